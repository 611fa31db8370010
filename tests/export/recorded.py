"""A book by orders under every kind of order, and what each format has to give back of it."""

import math
from array import array
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

from engine import Exchange, OrderQueues, Side
from stream.export.exporter import Exporter
from stream.export.journal_source import terms_in
from stream.export.order_events import OrderEvent, snapshot_of
from stream.export.terms import ExportTerms
from stream.export.writers import writer_of
from stream.feed.channel import Point
from stream.feed.public_channels import FollowedByOrder
from stream.sources.simulated import PROFILES, SimulatedSource
from stream.wire.frames import OrderBatch
from tests.engine.random_flow import RandomFlow, new_exchange, new_oracle
from tests.feed.test_by_order import feed_of
from tests.sources.test_sources import opened, step

SEED, RANDOM_STEPS, SIMULATED_STEPS = 0, 3000, 500
LEVELS = 4
INSTRUMENT = 1    # whose prices and sizes every format can hold
TIME = 1_700_000_000_000_000_000

Row = tuple[int, int, int]
Rows = tuple[list[Row], list[Row]]
"""Bids and asks: order, price and size of each, the best price first and by priority at each price."""


def rows_of(queues: OrderQueues) -> Rows:
    bids, asks = ([*zip(*[iter(array("q", queues.rows(side)))] * 3, strict=True)] for side in Side)
    return bids, asks    # type: ignore[return-value]


class Recorded(NamedTuple):
    """Batches, the first one a snapshot, and the book after each of them."""

    terms: ExportTerms
    batches: list[OrderBatch]
    snapshots: list[bool]
    books: list[Rows]

    def write(self, path: Path) -> Path:
        """Export it."""
        exporter = Exporter(writer_of(path, self.terms, LEVELS))
        for batch, snapshot in zip(self.batches, self.snapshots, strict=True):
            exporter.take(batch, snapshot)
        exporter.close()
        return path

    def seen(self) -> Counter[str]:
        return Counter(str(change.__struct_config__.tag) for batch in self.batches for change in batch.changes)


class Recording:
    """Follows a book, and takes down every batch. Now and then it takes a snapshot, as after a gap."""

    def __init__(self, exchange: Exchange, name: str) -> None:
        self._exchange = exchange
        self._feed = feed_of(exchange)
        channel = self._feed.public[f"market_by_order:{name}"]
        assert isinstance(channel, FollowedByOrder)
        channel.heard = True
        self._channel, self._log = channel, channel.log
        self._chance, self._steps = Random(SEED), 0
        self.found = Recorded(terms_in(exchange, name), [], [], [])
        self._snapshot(TIME)

    def _note(self, batch: OrderBatch, snapshot: bool) -> None:
        self.found.batches.append(batch)
        self.found.snapshots.append(snapshot)
        self.found.books.append(rows_of(self._log.queues))

    def _snapshot(self, time: int) -> None:
        self._note(snapshot_of(self._log.queues, self._exchange.seq, time), True)

    def follow(self, prev: int) -> None:
        """Take down what the exchange's latest call did, after the sequence `prev`."""
        self._steps += 1
        time = TIME + self._steps * 997_000_001
        self._feed.apply(time)
        frame = self._channel.since(prev, Point(1, self._exchange.seq, 0, 0))
        assert frame
        for batch in frame.message.batches:    # type: ignore[attr-defined]
            self._note(batch, False)
        if self._chance.random() < 0.002:
            self._snapshot(time)


@cache
def random_market(instrument: int = INSTRUMENT) -> Recorded:
    """Every type of order, and every kind of mistake."""
    oracle, exchange = new_oracle(SEED), new_exchange(SEED)
    flow, recording = RandomFlow(SEED, oracle), Recording(exchange, exchange.books[instrument].instrument.name)
    for _ in range(RANDOM_STEPS):
        command, prev = flow.next(), exchange.seq
        flow.saw(oracle.run(command))
        exchange.execute(command.packed())
        recording.follow(prev)
    return recording.found


@cache
def simulated_market() -> Recorded:
    """A deep book with many trades."""
    source = SimulatedSource(SEED, profiles=PROFILES[:1])
    exchange = opened(source)
    recording = Recording(exchange, PROFILES[0].instrument.name)
    for _ in range(SIMULATED_STEPS):
        prev = exchange.seq
        step(source, exchange)
        recording.follow(prev)
    return recording.found


MARKETS = {"random": random_market, "simulated": simulated_market}


class Twin:
    """The slow and obvious book that a reader of a file keeps: orders in the order of their priority."""

    def __init__(self) -> None:
        self.orders: dict[int, list[int]] = {}    # side, price, size

    def add(self, order: int, side: int, price: int, size: int) -> None:
        assert order not in self.orders
        self.orders[order] = [side, price, size]

    def cancel(self, order: int, size: float = math.inf) -> None:
        self.orders[order][2] -= int(min(size, self.orders[order][2]))
        if not self.orders[order][2]:
            del self.orders[order]

    def modify(self, order: int, side: int, price: int, size: int) -> None:
        """As Databento's documentation says: a new price or more size costs the priority."""
        if price != self.orders[order][1] or size > self.orders[order][2]:
            del self.orders[order]
        self.orders[order] = [side, price, size]

    def rows(self) -> Rows:
        bids, asks = (
            sorted(((order, price, size) for order, (its, price, size) in self.orders.items() if its == side), key=lambda row: row[1], reverse=not side)
            for side in Side
        )
        return bids, asks


def levels_of(rows: Iterable[Row]) -> list[tuple[int, int]]:
    """Price and size of each level."""
    levels: dict[int, int] = {}
    for _, price, size in rows:
        levels[price] = levels.get(price, 0) + size
    return list(levels.items())


class EventList:
    """A writer that keeps what it gets, with the book's rows after each event."""

    def __init__(self, whole: Iterable[str]) -> None:
        self.whole = frozenset(whole)    # type: ignore[misc]
        self.events: list[OrderEvent] = []
        self.books: list[Rows] = []
        self.closed = 0

    def write(self, event: OrderEvent, queues: OrderQueues) -> None:
        self.events.append(event)
        self.books.append(rows_of(queues))

    def close(self) -> None:
        self.closed += 1
