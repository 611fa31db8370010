"""Text and integers at the edge, exactly."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from stream.wire.scale import from_text, to_text


@given(some.integers(0, 1 << 62), some.integers(0, 18), some.sampled_from((1, 5, 25)))
def test_there_and_back(count: int, decimals: int, step: int) -> None:
    unit = Decimal(step).scaleb(-decimals)
    assert from_text(to_text(count, unit), unit) == count


def test_the_digits_are_the_steps() -> None:
    assert to_text(6_000_050, "0.01") == "60000.50"
    assert to_text(1, "1e-8") == "0.00000001"
    assert to_text(7, "5") == "35"
    assert from_text("60000.5", "0.01") == 6_000_050


@pytest.mark.parametrize(
    "text",
    [
        "0.001", "x", "", "nan", "snan", "inf", "1e999999", "1e-999999", "0x10", "1/3", "1.0000000000000000000000000000001",
        "92233720368547758.08",
    ],
)
def test_what_is_no_multiple_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        from_text(text, "0.01")
