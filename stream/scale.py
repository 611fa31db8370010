"""Exact decimal text at the edge: the only place where integers become text and text becomes integers."""

from decimal import Decimal, InvalidOperation, Overflow


def from_text(text: str, step: Decimal | str) -> int:
    """How many steps a decimal text is. ValueError if it is not a whole number of them."""
    try:
        count = Decimal(text) / Decimal(step)
    except (InvalidOperation, Overflow):
        raise ValueError(f"{text!r}: expected a decimal number") from None
    if not count.is_finite() or abs(count) >= 1 << 63 or count != int(count):
        raise ValueError(f"{text!r}: expected a whole multiple of {step}, of 64 bits")
    return int(count)


def to_text(count: int, step: Decimal | str) -> str:
    """So many steps as decimal text, with all the digits of the step."""
    return format(count * Decimal(step), "f")
