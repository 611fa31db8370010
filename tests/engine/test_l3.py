"""A view order by order (level 3), built from nothing but the events, is the book's own.

An order that was accepted, replaced with the loss of its place, or triggered is incoming until the next such order or the end of its
batch; if it is still open then, it is the last one in the queue of its price. DISPLAYED puts an order at the end of its queue with what it
shows. Everything else changes an order where it is. What an auction collects queues up in the same way, and an uncrossing has no incoming
order; a book's queues are compared where it has published levels, so not while it collects.
"""

from dataclasses import dataclass

import pytest

from engine import Event, EventKind, Reason, Side
from tests.engine.random_flow import RandomFlow, new_exchange, new_oracle, submit

Level = tuple[int, int, int]


@dataclass
class Seen:
    level: Level
    remaining: int
    shown: int = 0


class OrderByOrder:
    def __init__(self) -> None:
        self.orders: dict[int, Seen] = {}
        self.queues: dict[Level, list[int]] = {}
        self.incoming = 0

    def apply(self, batch: list[Event]) -> None:
        for event in batch:
            self.take_in(event)
        self.settle()

    def settle(self) -> None:
        """What was incoming rests, if it is open."""
        order = self.orders.get(self.incoming)
        if order and order.remaining:
            self.show(self.incoming, order.remaining)
        self.incoming = 0

    def leave(self, order: int) -> None:
        queue = self.queues.get(self.orders[order].level, [])
        if order in queue:
            queue.remove(order)

    def show(self, order: int, size: int) -> None:
        self.leave(order)
        self.queues.setdefault(self.orders[order].level, []).append(order)
        self.orders[order].shown = size

    def take_in(self, event: Event) -> None:
        order = self.orders.get(event.order)
        match event.kind:
            case EventKind.ACCEPTED:
                self.settle()
                self.incoming = event.order
                self.orders[event.order] = Seen((event.instrument, event.side, event.price), event.size)
            case EventKind.WAITING:
                self.incoming = 0
            case EventKind.TRIGGERED:
                self.settle()
                self.incoming = event.order
            case EventKind.DISPLAYED:
                self.show(event.order, event.size)
                if event.order == self.incoming:
                    self.incoming = 0
            case EventKind.REPLACED:
                assert order
                level = (event.instrument, event.side, event.price)
                in_queue = event.order in self.queues.get(order.level, [])
                if in_queue and level == order.level and event.size <= order.remaining:
                    order.shown = min(order.shown, event.size)
                else:
                    self.leave(event.order)
                    self.incoming = event.order if in_queue else 0
                order.level, order.remaining = level, event.remaining
            case EventKind.FILLED | EventKind.REDUCED | EventKind.CANCELLED:
                assert order
                order.remaining = event.remaining
                if event.kind == EventKind.FILLED or event.reason == Reason.SELF_TRADE:
                    order.shown -= event.size
                order.shown = min(order.shown, order.remaining)
                if order.shown <= 0:
                    self.leave(event.order)
                if not order.remaining:
                    del self.orders[event.order]


@pytest.mark.parametrize("seed", range(3))
def test_the_view_order_by_order_is_derived_from_the_events(seed: int) -> None:
    oracle, exchange = new_oracle(seed), new_exchange(seed)
    flow, view = RandomFlow(seed, oracle), OrderByOrder()
    compared = uncrossings = 0
    for _ in range(4_000):
        command = flow.next()
        flow.saw(oracle.run(command))
        events = submit(exchange, command)
        view.apply(events)
        uncrossings += any(event.kind == EventKind.PHASE and event.size for event in events)
        for book in exchange.books:
            for side, levels in zip(Side, book.levels.depth(), strict=True):
                for price, size in zip(levels[::2], levels[1::2], strict=True):
                    queue = view.queues[book.index, side, price]
                    assert queue == [order.order for order in book.queue(side, price)]
                    assert [view.orders[order].shown for order in queue] == [order.displayed for order in book.queue(side, price)]
                    assert sum(view.orders[order].shown for order in queue) == size
                    compared += 1
        assert sum(map(len, view.queues.values())) == sum(len(oracle.resting(book.index, side)) for book in exchange.books for side in Side)
    assert compared > 20_000
    assert uncrossings
