"""What a test waits for in vain is named, with what was there instead."""

import pytest

from tests.sockets import run
from tests.waiting import until


def never() -> bool:
    return False


@run
async def test_a_condition_that_never_holds_is_named_with_its_parts() -> None:
    seen, wanted = [1, 2], 3
    with pytest.raises(AssertionError, match=r"^waited 0.01 s for `len\(seen\) == wanted and seen`: len\(seen\) was 2, wanted was 3, seen was \[1, 2\]$"):
        await until(lambda: len(seen) == wanted and seen, 0.01)


@run
async def test_a_function_is_named_by_its_source() -> None:
    with pytest.raises(AssertionError, match=r"def never\(\)(?s:.*), which was False$"):
        await until(never, 0.01)


@run
async def test_what_comes_is_waited_for() -> None:
    seen: list[int] = []
    await until(lambda: seen.append(1) or len(seen) == 3)
    assert len(seen) == 3
