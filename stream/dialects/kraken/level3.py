"""`level3`: the orders of a book."""

from msgspec import Raw

from stream.dialects.kraken.books import Window, edges_of
from stream.dialects.kraken.checksum import checksum_of_orders
from stream.dialects.topic import Event, Listener

DEPTHS = (10, 100, 1000)


class Level3(Window):
    """The orders of the best levels of a book, change by change. Whoever missed some gets a new snapshot."""

    channel = "level3"

    def begin(self, now: int) -> None:
        self._orders = self.data.orders(self.symbol, now)
        self._orders.advance(now)
        self._orders.readers[self] = []
        self._edges = edges_of(self._orders.queues.depth(self.depth), self.depth)

    def end(self) -> None:
        del self._orders.readers[self]

    @property
    def settled(self) -> bool:
        return self._orders.settled and self._orders.readers[self] == []

    def join(self, listener: Listener, now: int) -> None:
        self.publish(now)    # the snapshot shows the orders as they are now
        super().join(listener, now)

    def news(self, now: int) -> list[Event]:
        self._orders.advance(now)
        changes, self._orders.readers[self] = self._orders.readers[self], []
        window = self._orders.queues.depth(self.depth)
        before, self._edges = self._edges, edges_of(window, self.depth)
        if changes is None:
            self.position += 1
            return [self.snapshot(now)]
        told: tuple[list[Raw], list[Raw]] = [], []
        for change in changes:
            if before.covers(change.side, change.price):
                told[change.side].append(change.told)
        for side, levels in enumerate(window):
            for price in levels[::2]:
                if not before.covers(side, price):
                    told[side].extend(self._orders.level(side, price, "add"))
        if not any(told):
            return []
        self.position += 1
        return [self.event("update", *told, checksum_of_orders(self.symbol, self._orders.queues), now)]

    def missed(self, position: int, now: int) -> list[Event]:
        return [self.snapshot(now)]

    def snapshot(self, now: int) -> Event:
        bids, asks = (
            [order for price in levels[::2] for order in self._orders.level(side, price)]
            for side, levels in enumerate(self._orders.queues.depth(self.depth))
        )
        return self.event("snapshot", bids, asks, checksum_of_orders(self.symbol, self._orders.queues), now)
