"""The events of a book by orders, each with all that a format says of it.

They are the changes of `market_by_order:<instrument>`, applied to a copy of the book, which has the order's side, price and size.
"""

from array import array
from collections.abc import Collection, Iterator
from typing import NamedTuple

from engine import IndexedQueues, OrderQueues, Side
from stream.wire.fields import SideName
from stream.wire.frames import BookCleared, OrderAdded, OrderBatch, OrderChange, OrderDeleted, OrderExecuted, OrderMoved, OrderReduced
from stream.wire.mirror import SIDES

ADD, REDUCE, MOVE, FILL, DELETE, CLEAR = (
    str(kind.__struct_config__.tag) for kind in (OrderAdded, OrderReduced, OrderMoved, OrderExecuted, OrderDeleted, BookCleared)
)
NAMES: dict[Side, SideName] = {Side.BUY: "buy", Side.SELL: "sell"}


class OrderEvent(NamedTuple):
    """One change of one order. `price` in ticks, `size` and `left` in lots, `time` in ns since 1970, which never goes back."""

    kind: str
    seq: int        # of the batch
    time: int
    order: int      # the public number; 0 for CLEAR
    side: Side      # of the order; without a meaning for CLEAR
    price: int
    size: int       # what came, went, or was filled
    left: int       # what the book shows of the order now
    trade: int      # of FILL
    reason: str     # of DELETE
    last: bool      # whether it is the last one of its batch
    snapshot: bool


def snapshot_of(queues: OrderQueues, seq: int, time: int) -> OrderBatch:
    """A batch that clears a book and adds all orders anew, the best price first and by priority at each price. O(orders)."""
    changes: list[OrderChange] = [BookCleared()]
    for side, name in NAMES.items():
        flat = array("q", queues.rows(side))
        changes += [OrderAdded(flat[at], name, flat[at + 1], flat[at + 2]) for at in range(0, len(flat), 3)]
    return OrderBatch(seq, time, changes)


class ExportedBook:
    """The book while it is exported: `queues` are as they are after the event that was yielded last.

    A move or a clear that is not in `whole` is told apart: as a delete and an add of the same order, as a delete of each order.
    """

    def __init__(self, whole: Collection[str]) -> None:
        self.queues = IndexedQueues()
        self._whole = whole
        self._time = 0

    def take(self, batch: OrderBatch, snapshot: bool = False) -> Iterator[OrderEvent]:
        """Take in a batch, event by event. Raises ValueError if it does not fit the book."""
        self._time = max(self._time, batch.time)
        final = len(batch.changes) - 1
        for index, change in enumerate(batch.changes):
            for kind, order, side, price, size, left, trade, reason, ends in self._parts(change):
                yield OrderEvent(kind, batch.seq, self._time, order, side, price, size, left, trade, reason, ends and index == final, snapshot)

    def _parts(self, change: OrderChange) -> Iterator[tuple[str, int, Side, int, int, int, int, str, bool]]:
        """From `kind` to `reason` as in an event, and whether the change ends with it."""
        queues = self.queues
        match change:
            case OrderAdded(order, name, price, size):
                side = SIDES[name]
                queues.add(order, side, price, size)
                yield ADD, order, side, price, size, size, 0, "", True
            case BookCleared() if CLEAR in self._whole:
                queues.clear()
                yield CLEAR, 0, Side.BUY, 0, 0, 0, 0, "", True
            case BookCleared():
                for side in Side:
                    flat = array("q", queues.rows(side))
                    for at in range(0, len(flat), 3):
                        queues.delete(flat[at])
                        yield DELETE, flat[at], side, flat[at + 1], flat[at + 2], 0, 0, "", False
            case OrderReduced(order, size):
                side, price, _ = self._find(order)
                yield REDUCE, order, side, price, size, queues.take(order, size), 0, "", True
            case OrderExecuted(order, size, trade):
                side, price, _ = self._find(order)
                yield FILL, order, side, price, size, queues.take(order, size), trade, "", True
            case OrderDeleted(order, reason):
                side, price, size = self._find(order)
                queues.delete(order)
                yield DELETE, order, side, price, size, 0, 0, reason, True
            case OrderMoved(order, price, size) if MOVE in self._whole:
                side, _, _ = self._find(order)
                queues.move(order, price, size)
                yield MOVE, order, side, price, size, size, 0, "", True
            case OrderMoved(order, price, size):
                side, old_price, old_size = self._find(order)
                queues.delete(order)
                yield DELETE, order, side, old_price, old_size, 0, 0, "", False
                queues.add(order, side, price, size)
                yield ADD, order, side, price, size, size, 0, "", True

    def _find(self, order: int) -> tuple[Side, int, int]:
        found = self.queues.find(order)
        if found is None:
            raise ValueError(f"order {order}: expected one that is in the book")
        return Side(found[0]), found[1], found[2]
