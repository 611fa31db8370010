"""Text and integers at the edge, exactly."""

from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as some

from stream.wire.scale import Digits, from_text, ratio, to_text


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


@given(some.integers(-(1 << 80), 1 << 80), some.integers(0, 18), some.sampled_from((1, 5, 25, 300)), some.integers(0, 8))
def test_digits_are_the_number_with_at_least_so_many_places(count: int, decimals: int, step: int, places: int) -> None:
    unit = Decimal(step).scaleb(-decimals)
    text = Digits(unit, places).text(count)
    whole, _, part = text.partition(".")
    assert Fraction(text) == count * Fraction(unit)
    assert len(part) >= places
    assert whole.lstrip("-").isdecimal()
    assert (len(part) == places) or Fraction(unit) * 10 ** (len(part) - 1) % 1    # no more places than the step needs
    assert Fraction(*Digits(unit, places).fraction(count)) == count * Fraction(unit)


@pytest.mark.parametrize("step", ["0", "-1"])
def test_there_are_no_digits_of_no_step(step: str) -> None:
    with pytest.raises(ValueError, match="positive"):
        Digits(step, 8)


@given(some.integers(-(1 << 80), 1 << 80), some.integers(1, 1 << 80), some.integers(1, 8))
def test_a_ratio_is_rounded_half_away_from_zero(numerator: int, denominator: int, places: int) -> None:
    with localcontext(prec=200):
        expected = (Decimal(numerator) / Decimal(denominator)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    assert ratio(numerator, denominator, places) == (format(expected, "f") if expected else format(abs(expected), "f"))
