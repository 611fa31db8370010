"""Events as Databento's market-by-order actions, which hftbacktest has taken over.

A trade and a fill change no book; the cancel or modify that follows does. A modify only ever makes an order smaller, at its price, where it keeps its
place: some readers give a modified order its priority by rules of their own, and some take any cancel for the whole order.
"""

from collections.abc import Iterator
from typing import NamedTuple

from engine import Side
from stream.export.order_events import ADD, CLEAR, FILL, OrderEvent


class Action(NamedTuple):
    """One action: `code` is Databento's, `side` the aggressor's for `T`, the order's otherwise, None for `R`. `last` is that of its batch."""

    code: str
    side: Side | None
    price: int
    size: int
    order: int
    last: bool


def actions_of(event: OrderEvent) -> Iterator[Action]:
    """One to three actions."""
    kind, side, price, size, order = event.kind, event.side, event.price, event.size, event.order
    if kind == CLEAR:
        yield Action("R", None, 0, 0, 0, event.last)
    elif kind == ADD:
        yield Action("A", side, price, size, order, event.last)
    else:
        if kind == FILL:
            yield Action("T", Side(1 - side), price, size, 0, False)
            yield Action("F", side, price, size, order, False)
        if event.left:
            yield Action("M", side, price, event.left, order, event.last)
        else:
            yield Action("C", side, price, size, order, event.last)
