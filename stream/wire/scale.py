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


def to_decimal(count: int, step: Decimal) -> Decimal:
    """A number of steps as a decimal, with all the digits of the step."""
    return _EXACT.multiply(Decimal(count), step)


def to_text(count: int, step: Decimal | str) -> str:
    """A number of steps as decimal text, with all the digits of the step."""
    return format(_EXACT.multiply(Decimal(count), Decimal(step)), "f")


class Digits:
    """Writes numbers of steps with at least `places` decimals, more if the step has more. Exact, and several times as fast as `to_text`."""

    __slots__ = ("_factor", "_one", "_places")

    def __init__(self, step: Decimal | str, places: int) -> None:
        """ValueError if the step is not a positive finite number."""
        numerator, denominator = Decimal(step).as_integer_ratio()
        self._places = places
        while 10**self._places % denominator:
            self._places += 1
        self._one = 10**self._places
        self._factor = numerator * (self._one // denominator)
        if self._factor <= 0:
            raise ValueError(f"step {step}: expected a positive number")

    def text(self, count: int) -> str:
        """So many steps as decimal text. O(1)."""
        units = count * self._factor
        if units < 0:
            return "-" + self.text(-count)
        whole, part = divmod(units, self._one)
        return f"{whole}.{part:0{self._places}d}" if self._places else str(whole)

    def fraction(self, count: int) -> tuple[int, int]:
        """So many steps as a numerator and a denominator."""
        return count * self._factor, self._one


def ratio(numerator: int, denominator: int, places: int) -> str:
    """A fraction as text with so many decimals, rounded half away from zero. For what is shown and never counted on. `denominator` is positive."""
    units = (abs(numerator) * 10**places * 2 + denominator) // (2 * denominator)
    whole, part = divmod(units, 10**places)
    return f"{'-' if numerator < 0 and units else ''}{whole}.{part:0{places}d}"
