"""A journal and a live channel give the very same batches, whatever part of the history is asked for."""

import asyncio
import random
from bisect import bisect_left
from typing import Any

import pytest

from stream.client.client import connect
from stream.export.channel_source import export_channel
from stream.export.errors import ExportError
from stream.export.exporter import Exporter
from stream.export.journal_source import export_journal
from stream.export.order_events import CLEAR, MOVE, OrderEvent
from stream.journal import snapshots
from stream.journal.reader import SUFFIX, numbers
from stream.sources.simulated import SimulatedSource
from stream.wire.frames import MarketByOrder
from stream.wire.messages import Cancel, Place, Replace, Subscribe
from tests.export.recorded import EventList
from tests.journal.fake_disk import FakeDisk
from tests.journal.journals import FOLDER
from tests.market.test_journaled_market import JournaledMarket, S
from tests.setting import CONFIG
from tests.sockets import run, serving
from tests.waiting import until

BTC = "BTC-USD"


class Market:
    """A journaled market in which two users trade, and the frames that a client of a book by orders hears."""

    def __init__(self) -> None:
        self.market = JournaledMarket()
        self.heard: list[MarketByOrder] = []
        self._chance = random.Random(4)

    def trade(self, requests: int) -> None:
        chance, market = self._chance, self.market
        desks = [market.desk("alice"), market.desk("bob")]
        watcher = market.desk()
        self._note(watcher.ask(Subscribe, [f"market_by_order:{BTC}"]))
        orders: list[tuple[Any, int]] = []
        for _ in range(requests):
            market.market.now += S
            desk = chance.choice(desks)
            if orders and chance.random() < 0.3:
                desk, order = orders.pop(chance.randrange(len(orders)))
                request: tuple[Any, ...] = chance.choice(((Cancel, order), (Replace, order, chance.randrange(95, 105), chance.randrange(1, 9))))
            else:
                request = Place, BTC, chance.choice(("buy", "sell")), chance.randrange(95, 105), chance.randrange(1, 30)
            answer = market.ask(desk, *request, **({"display": 2} if request[0] is Place and chance.random() < 0.3 else {}))
            if order := getattr(answer, "order", 0):
                orders.append((desk, order))
            self._note(watcher.hear())

    def _note(self, messages: list[Any]) -> None:
        self.heard += [message for message in messages if isinstance(message, MarketByOrder)]

    def export(self, begin: int = 0, end: int | None = None) -> EventList:
        return exported(self.market.disk, BTC, begin, end)


def exported(disk: FakeDisk, instrument: str, begin: int = 0, end: int | None = None) -> EventList:
    writer = EventList({MOVE, CLEAR})
    assert export_journal(disk, FOLDER, instrument, begin, end, lambda terms: Exporter(writer)) == len(writer.events)
    assert writer.closed == 1
    return writer


def told(frames: list[MarketByOrder]) -> list[OrderEvent]:
    writer = EventList({MOVE, CLEAR})
    exporter = Exporter(writer)
    for frame in frames:
        for batch in frame.batches:
            exporter.take(batch)
    return writer.events


def test_a_journal_tells_what_the_channel_told() -> None:
    market = Market()
    market.trade(200)
    events = market.export().events
    assert market.heard[0].prev is None
    assert events[0].kind == CLEAR
    assert events[1:] == told(market.heard)
    assert {event.kind for event in events} >= {"add", "fill", "move", "delete"}


def test_public_numbers_are_the_same_out_of_a_snapshot() -> None:
    market = Market()
    market.trade(700)
    whole = market.export()
    market.market.stop()
    snapshots.prune(market.market.disk, FOLDER, 1)
    assert 1 not in numbers(market.market.disk, FOLDER, SUFFIX)
    assert market.export().books[-1] == whole.books[-1]
    market.heard.clear()
    market.trade(50)
    rest = [event for event in told(market.heard) if event.seq > market.heard[0].seq]
    assert market.export().events[-len(rest) :] == rest


def test_a_part_of_a_journal_begins_with_the_book_as_it_was() -> None:
    market = Market()
    market.trade(120)
    whole = market.export()
    times = sorted({event.time for event in whole.events})
    for begin, end in ((times[20], times[60]), (times[20] + 1, times[60] - 1), (times[-1] + 1, times[-1] + 5)):
        part = market.export(begin, end)
        snapshot = [event for event in part.events if event.snapshot]
        before = [book for event, book in zip(whole.events, whole.books, strict=True) if event.time < begin][-1]
        assert part.books[len(snapshot) - 1] == before
        assert part.events[len(snapshot) :] == [event for event in whole.events if begin <= event.time <= end]


def test_an_instrument_or_a_time_that_is_not_there_is_told() -> None:
    market = Market()
    market.trade(3)
    with pytest.raises(ExportError, match="expected one of the instruments BTC-USD, ETH-USD in this time, got 'DOGE-USD'"):
        exported(market.market.disk, "DOGE-USD")
    with pytest.raises(ExportError, match=r"\(none\)"):
        market.export(0, 1)


class Digests:
    """What the server's book was after each sequence."""

    def __init__(self, server: Any, instrument: str) -> None:
        self.digests: dict[int, int] = {}
        self._book = server.market.exchange.book(instrument)

    def tick(self, now: int) -> int:
        self.digests[self._book.levels.seq] = self._book.levels.digest
        return 1 << 62

    def keep_house(self, now: int) -> None:
        pass

    async def stop(self) -> None:
        pass


class Watched(EventList):
    """Also keeps the digest of the levels after each batch."""

    def __init__(self) -> None:
        super().__init__(())
        self.digests: dict[int, int] = {}

    def write(self, event: OrderEvent, queues: Any) -> None:
        self.events.append(event)
        if event.last:
            self.digests[event.seq] = queues.levels_digest


def test_a_live_channel_is_exported_until_it_is_told_to_stop() -> None:
    async def scene() -> None:
        async with serving(CONFIG, [SimulatedSource(1, 300)]) as server:
            digests = Digests(server, "ETH-USDT")
            server.followers.append(digests)
            async with connect(f"ws://127.0.0.1:{server.port}/v1") as client:
                with pytest.raises(ExportError, match="no instrument 'DOGE'"):
                    await export_channel(client, "DOGE", None, None, lambda terms: Exporter(EventList(())))
                first = Watched()
                task = asyncio.ensure_future(export_channel(client, "ETH-USDT", None, None, lambda terms: Exporter(first)))
                await until(lambda: len(first.digests) > 30)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                end = first.events[-1].time + 200_000_000
                second = Watched()
                assert await export_channel(client, "ETH-USDT", end, None, lambda terms: Exporter(second)) == len(second.events)
                assert second.events[-1].time <= end
                third = EventList(())
                assert await export_channel(client, "ETH-USDT", None, 0.01, lambda terms: Exporter(third)) == len(third.events) > 0
                assert third.closed == 1
                for writer in (first, second):
                    assert writer.closed == 1
                    seqs = sorted(writer.digests)
                    both = {seq: seqs[bisect_left(seqs, seq)] for seq in digests.digests if seqs[0] < seq <= seqs[-1]}    # the batch that it is in
                    assert both
                    assert all(writer.digests[batch] == digests.digests[seq] for seq, batch in both.items())

    run(scene)()

