"""Exact decimal text at the edge: the only place where integers become text and text becomes integers."""

from contextlib import suppress
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow

_EXACT = Context(prec=60, Emax=60, Emin=-60, traps=[Inexact, InvalidOperation, Overflow])
"""Raises where the usual one would round."""


def from_text(text: str, step: Decimal | str) -> int:
    """How many steps a decimal text is. ValueError if it is not a whole number of them."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r}: expected a decimal number") from None
    with suppress(DecimalException):
        count = _EXACT.divide(number, Decimal(step))
        if count.is_finite() and abs(count) < 1 << 63 and count == count.to_integral_value():
            return int(count)
    raise ValueError(f"{text!r}: expected a whole multiple of {step}, of 64 bits")


def to_text(count: int, step: Decimal | str) -> str:
    """So many steps as decimal text, with all the digits of the step."""
    return format(_EXACT.multiply(Decimal(count), Decimal(step)), "f")
