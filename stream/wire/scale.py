"""Exact decimal text: the only place where integers are converted to text and text to integers."""

from contextlib import suppress
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow

_EXACT = Context(prec=60, Emax=60, Emin=-60, traps=[Inexact, InvalidOperation, Overflow])
"""Raises where the usual one would round."""

TEXT_MAX = 60
"""How many characters of a text an error shows."""


def from_text(text: str, step: Decimal | str) -> int:
    """How many steps a decimal text is. Raises ValueError if it is not text, or not a whole number of steps below 2^63."""
    if isinstance(text, float):
        raise ValueError(f"{text!r}: a float is rarely exactly the number that it shows: expected decimal text such as {str(text)!r}")
    if isinstance(text, bool) or not isinstance(text, str | Decimal | int):
        raise ValueError(f"{text!r}: expected decimal text such as '0.1'")
    shown = str(text)[:TEXT_MAX]
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{shown!r}: expected a decimal number") from None
    if number.is_finite() and number.adjusted() > _EXACT.Emax:
        raise ValueError(f"{shown!r}: expected less than 2^63 times {step}")
    with suppress(DecimalException):
        count = _EXACT.divide(number, Decimal(step))
        if count.is_finite() and count == count.to_integral_value():
            if abs(count) >= 1 << 63:
                raise ValueError(f"{shown!r}: expected less than 2^63 times {step}")
            return int(count)
    raise ValueError(f"{shown!r}: expected a whole multiple of {step}")


def to_text(count: int, step: Decimal | str) -> str:
    """A number of steps as decimal text, with all the digits of the step."""
    return format(_EXACT.multiply(Decimal(count), Decimal(step)), "f")
