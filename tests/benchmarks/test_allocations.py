"""The engine asks the C library for memory while it grows, and in a steady state never."""

from functools import partial
from pathlib import Path

import pytest

from benchmarks.allocations import Count, build, counted, growing, uniform_flow
from benchmarks.flow import Flow
from benchmarks.memory import size_of
from benchmarks.uniform import Shape

SHAPE = Shape(orders=5_000, instruments=2, levels=200, accounts=100)
COMMANDS = 10_000


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = build(tmp_path_factory.mktemp("library"))
    if library is None:
        pytest.skip("needs glibc and a C++ compiler")
    return library


@pytest.mark.parametrize("expiring", [False, True], ids=["", "with expiries"])
@pytest.mark.parametrize("batched", [True, False], ids=["batched", "one a call"])
def test_a_steady_state_asks_for_nothing(library: Path, batched: bool, expiring: bool) -> None:
    assert counted(library, partial(uniform_flow, COMMANDS, SHAPE, expiring), batched) == Count(COMMANDS, 0, 0)


def test_growth_is_seen(library: Path) -> None:
    """Tables double, so few of many orders ask for memory, and they ask for enough."""
    requests = growing(library, Flow(5_000, 500, 1, 1))
    assert 1 < len(requests) < 50
    assert sum(request.size for request in requests) > 1_000 * size_of("Level")


def test_sizes_of_structs() -> None:
    """As the comments in the sources say."""
    assert (size_of("Order"), size_of("Level"), size_of("Balance")) == (64, 64, 16)
