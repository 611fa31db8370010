"""Prices, sizes and amounts of money as a client gives them: decimal text, a Decimal, or a count that says what it counts."""

from decimal import Decimal

from stream.wire.scale import from_text


class Ticks(int):
    """A price, as a number of ticks of its instrument."""


class Lots(int):
    """A size, as a number of lots of its instrument."""


class Units(int):
    """An amount of money, as a number of the smallest units of its asset."""


KINDS: dict[str, type[int]] = {"ticks": Ticks, "lots": Lots, "units": Units}
"""The kinds of counts, in the order of a Scale, by the word that the name of a field with such a count ends with."""

Price = Decimal | str | Ticks
Size = Decimal | str | Lots
Amount = Decimal | str | Lots | Units


def count(name: str, value: Decimal | str | int, kind: type[int], step: Decimal) -> int:
    """How many steps of a kind a value is, exactly. Raises ValueError if it is a bare number, a count of another kind, or no whole number of steps."""
    if type(value) is kind:
        return int(value)
    if isinstance(value, int):
        given = f"{type(value).__name__}({int(value)})" if type(value) in KINDS.values() else str(value)
        count = f"{name}={kind.__name__}({int(value)})"
        raise ValueError(f'{name}={given}: expected decimal text such as {name}="{int(value)}"; or {count}, which counts steps of {step}')
    return from_text(value, step)    # type: ignore[arg-type]
