"""The orders of a book as they are followed: what the market-by-order channel does not say again, and each change as the venue writes it."""

from collections.abc import Callable
from typing import NamedTuple

from msgspec import Raw
from msgspec.json import encode

from engine import OrderQueues
from stream.dialects.kraken.symbols import Symbol, instant, number, order_id
from stream.feed.channel import Point
from stream.feed.public_channels import FollowedByOrder
from stream.wire.frames import (
    BookCleared,
    MarketByOrder,
    OrderAdded,
    OrderChange,
    OrderDeleted,
    OrderExecuted,
    OrderMoved,
    OrderReduced,
)
from stream.wire.mirror import SIDES


class Resting(NamedTuple):
    """An order in the book. `time` is when it came to its place in the queue."""

    side: int
    price: int
    size: int
    time: int


class Change(NamedTuple):
    """What happened to an order at a price, as it is told."""

    side: int
    price: int
    told: Raw


class Orders:
    """The orders of one book. Each of `readers` is given the changes; None if some are forgotten, so that only a snapshot helps."""

    def __init__(self, symbol: Symbol, channel: Callable[[], FollowedByOrder], now: int) -> None:
        """`channel` is asked for each time, for the market's feed may be replaced."""
        self.symbol = symbol
        self.readers: dict[object, list[Change] | None] = {}
        self._channel = channel
        self._resting: dict[int, Resting] = {}
        self._take_all(now)

    @property
    def queues(self) -> OrderQueues:
        """The orders as they are in the engine."""
        return self._log.queues

    @property
    def settled(self) -> bool:
        """Whether all that has happened was given out."""
        return self._channel().read().seq == self._seq

    def _take_all(self, now: int) -> None:
        self._log = self._channel().read()
        self._seq = self._log.seq
        known, self._resting = self._resting, {}
        for side, levels in enumerate(self.queues.depth()):
            for price in levels[::2]:
                for order, size in self.queues.queue(side, price):
                    before = known.get(order)
                    time = before.time if before and before[:2] == (side, price) else now
                    self._resting[order] = Resting(side, price, size, time)

    def advance(self, now: int) -> None:
        """Take in what has happened, and give it out. O(changes)."""
        channel = self._channel()
        self._log = channel.read()
        prev = self._seq
        if self.settled:
            return
        frame = channel.since(prev, Point(0, self._log.seq, 0, 0)) if prev < self._log.seq else None
        if frame is None:
            self._take_all(now)
            self.readers = dict.fromkeys(self.readers)
            return
        told = frame.message
        assert isinstance(told, MarketByOrder)
        self._seq = told.seq
        changes = [found for batch in told.batches for change in batch.changes for found in self._take(change, batch.time)]
        for reader, waiting in self.readers.items():
            if waiting is not None:
                self.readers[reader] = waiting + changes

    def _take(self, change: OrderChange, time: int) -> list[Change]:
        """What is told of a change. An order that goes to the end of a queue is deleted and added."""
        match change:
            case OrderAdded(order, side, price, size):
                return [self._add(order, Resting(SIDES[side], price, size, time))]
            case OrderReduced(order, size) | OrderExecuted(order, size):
                before = self._resting[order]
                if before.size == size:
                    return [self._delete(order, time)]
                after = self._resting[order] = before._replace(size=before.size - size)
                return [self._change("modify", order, after, after.time)]
            case OrderMoved(order, price, size):
                before = self._resting[order]
                return [self._delete(order, time), self._add(order, Resting(before.side, price, size, time))]
            case OrderDeleted(order):
                return [self._delete(order, time)]
            case BookCleared():
                return [self._delete(order, time) for order in list(self._resting)]

    def _add(self, order: int, resting: Resting) -> Change:
        self._resting[order] = resting
        return self._change("add", order, resting, resting.time)

    def _delete(self, order: int, time: int) -> Change:
        return self._change("delete", order, self._resting.pop(order), time)

    def _change(self, event: str, order: int, resting: Resting, time: int) -> Change:
        return Change(resting.side, resting.price, Raw(encode({"event": event} | self._fields(order, resting.price, resting.size, time))))

    def _fields(self, order: int, price: int, size: int, time: int) -> dict[str, object]:
        price_text, size_text = self.symbol.price.text(price), self.symbol.size.text(size)
        return {"order_id": order_id(order), "limit_price": number(price_text), "order_qty": number(size_text), "timestamp": instant(time)}

    def level(self, side: int, price: int, event: str = "") -> list[Raw]:
        """All orders at a price, as they queue; as an event if one is named. O(orders)."""
        head = {"event": event} if event else {}
        return [
            Raw(encode(head | self._fields(order, price, size, self._resting[order].time))) for order, size in self.queues.queue(side, price)
        ]
