"""A book by orders, as clients get it, is the naive twin's at every batch, whatever of it they missed."""

from collections import Counter
from random import Random

import msgspec
import pytest

from engine import Commands, EventKind, Exchange, OrderType, Phase, Side
from stream.feed.channel import Point
from stream.feed.feed import Feed
from stream.feed.public_channels import FollowedByOrder
from stream.settings.config import Config
from stream.wire.codec import MSGPACK
from stream.wire.frames import MarketByOrder, OrderAdded, OrderExecuted
from stream.wire.framing import payload_of
from stream.wire.mirror import ByOrderMirror, Verdict
from tests.engine.oracle_exchange import NaiveExchange
from tests.engine.random_flow import RandomFlow, new_exchange, new_oracle

KEPT = 150
Queues = dict[tuple[int, int], list[tuple[int, int]]]


def feed_of(exchange: Exchange, **settings: object) -> Feed:
    return Feed(exchange, msgspec.structs.replace(Config(market_by_order_kept=KEPT), **settings))


def channels_of(feed: Feed) -> list[FollowedByOrder]:
    return [channel for channel in feed.public.values() if isinstance(channel, FollowedByOrder)]


def queues_of(oracle: NaiveExchange, instrument: int) -> Queues:
    """What the twin's book shows, by its own ids."""
    queues: Queues = {}
    if not oracle.terms[instrument].collecting:
        for side in Side:
            for order in oracle.resting(instrument, side):
                queues.setdefault((side, order.price), []).append((order.order, order.shown))
    return queues


class Witness:
    """A client of all books by order, which now and then hears nothing for a while, and comes back to any of several feeds."""

    def __init__(self, random: Random, feeds: list[Feed]) -> None:
        self.random, self.feeds = random, feeds
        self.mirrors = [ByOrderMirror(channel.name) for channel in channels_of(feeds[0])]
        self.known: dict[int, int] = {}    # public number -> the twin's id
        self.seen: Counter[str] = Counter()

    def hear(self, at: Point, oracle: NaiveExchange) -> None:
        feed = self.random.choice(self.feeds)
        for index, (channel, mirror) in enumerate(zip(channels_of(feed), self.mirrors, strict=True)):
            channel.heard = True
            if self.random.random() < 0.6:
                shared = channel.since(mirror.seq, at) if mirror.seq >= 0 else None
                self.seen["forgotten"] += shared is None
                frame = (shared or channel.snapshot(at)).frame(MSGPACK)
                told = MSGPACK.decode_answer(payload_of(frame))
                assert isinstance(told, MarketByOrder)
                assert MSGPACK.frame(told) == frame, "the bytes are not msgspec's"
                self.seen.update(change.__struct_config__.tag for batch in told.batches for change in batch.changes)
                verdict = mirror.receive(told)
                assert verdict in (Verdict.SNAPSHOT, Verdict.APPLIED, Verdict.HEARTBEAT)
                self.compare(index, oracle)

    def compare(self, index: int, oracle: NaiveExchange) -> None:
        """Numbers are public ones, each for one order of the twin's, and for one part of an iceberg."""
        queues, expected = self.mirrors[index].queues, queues_of(oracle, index)
        queues.check()
        assert len(queues) == sum(map(len, expected.values()))
        for (side, price), queue in expected.items():
            told = queues.queue(side, price)
            assert [size for _, size in told] == [size for _, size in queue]
            for (number, _), (order, _) in zip(told, queue, strict=True):
                assert self.known.setdefault(number, order) == order


@pytest.mark.parametrize("seed", range(6))
def test_the_queues_are_the_twins(seed: int) -> None:
    random = Random(seed)
    oracle, exchange = new_oracle(seed), new_exchange(seed)
    flow, feeds = RandomFlow(seed, oracle), [feed_of(exchange), feed_of(exchange, market_by_order_always=True)]
    witness = Witness(random, feeds)
    for _ in range(900):
        group = Commands()
        for _ in range(random.choice((1, 1, 2, 9))):
            command = flow.next()
            group.extend(command.packed())
            flow.saw(oracle.run(command))
        exchange.execute(group)
        for feed in feeds:
            feed.apply(exchange.clock)
            assert not feed.by_order_failures
        at = Point(1, exchange.seq, exchange.clock, 0)
        witness.hear(at, oracle)
        for channel, book in zip(channels_of(feeds[1]), exchange.books, strict=True):
            queues = channel.log.queues
            assert queues.levels_digest == book.levels.digest
            assert queues.depth() == book.levels.depth()
        if random.random() < 0.01:
            state = feeds[0].dump()
            feeds[0] = feed_of(exchange)
            feeds[0].restore(state)
        assert {channel.snapshot(at).frame(MSGPACK) for channel in channels_of(feeds[0])[:1]} == {
            channel.snapshot(at).frame(MSGPACK) for channel in channels_of(feeds[1])[:1]
        }, "two processes disagree"
    assert witness.seen.keys() >= {"add", "reduce", "move", "fill", "delete", "clear", "forgotten"}
    exchange.check()


def test_a_fill_names_its_trade_and_an_iceberg_comes_back_under_another_number() -> None:
    exchange = new_exchange(0)
    for _ in range(2):
        account = exchange.open_account()
        exchange.deposit(account, 0, 10**12)
        exchange.deposit(account, 2, 10**12)
    channel = channels_of(feed := feed_of(exchange))[0]
    start = channel.seq
    exchange.place(0, 0, Side.SELL, 100, 9, display=4)
    feed.apply(1)
    exchange.place(1, 0, Side.BUY, 100, 5)
    trades = [event for event in exchange.events if event.kind == EventKind.TRADE]
    feed.apply(2)
    frame = channel.since(start, Point(1, exchange.seq, 2, 3))
    assert frame
    told = frame.message
    assert isinstance(told, MarketByOrder)
    first, second = told.batches
    assert (first.time, second.time) == (1, 2)
    added, = first.changes
    fill, shown, again = second.changes
    assert isinstance(added, OrderAdded)
    assert isinstance(shown, OrderAdded)
    assert (added.side, added.price, added.size) == ("sell", 100, 4)
    assert fill == OrderExecuted(added.order, 4, trades[0].seq)
    assert shown == OrderAdded(shown.order, "sell", 100, 4)
    assert again == OrderExecuted(shown.order, 1, trades[1].seq)
    assert added.order != shown.order


def test_a_stop_that_is_triggered_as_it_arrives_is_never_seen_to_rest() -> None:
    exchange = new_exchange(0)
    for _ in range(2):
        account = exchange.open_account()
        exchange.deposit(account, 0, 10**12)
        exchange.deposit(account, 2, 10**12)
    channel = channels_of(feed := feed_of(exchange))[0]
    exchange.place(0, 0, Side.SELL, 100, 1)
    exchange.place(1, 0, Side.BUY, 100, 1)    # the last trade
    start = channel.seq
    exchange.place(0, 0, Side.BUY, 0, 5, OrderType.STOP, stop=50)
    assert [event.kind for event in exchange.events if event.kind == EventKind.TRIGGERED]
    feed.apply(1)
    frame = channel.since(start, Point(1, exchange.seq, 0, 0))
    assert frame
    assert frame.message.batches == []    # type: ignore[attr-defined]


def test_books_that_nobody_hears_are_followed_no_longer() -> None:
    exchange = new_exchange(0)
    account = exchange.open_account()
    exchange.deposit(account, 2, 10**12)
    channel = channels_of(feed := feed_of(exchange, market_by_order_resume_s=5))[0]
    start, second = channel.seq, 10**9
    for time in (0, 1, 5, 6, 7):
        exchange.place(account, 0, Side.BUY, 100 + time, 5)
        feed.apply(1 + time * second)
        if time == 5:
            assert channel.since(start, Point(1, exchange.seq, 0, 0)), "whoever comes back in time is patched"
    assert channel.since(start, Point(1, exchange.seq, 0, 0)) is None
    assert len(channel.log.queues) == 5


def test_a_wrong_book_begins_again() -> None:
    exchange = new_exchange(0)
    account = exchange.open_account()
    exchange.deposit(account, 2, 10**12)
    channel = channels_of(feed := feed_of(exchange))[0]
    mirror = ByOrderMirror(channel.name)
    exchange.place(account, 0, Side.BUY, 100, 5)
    feed.apply(1)
    mirror.receive(channel.snapshot(Point(1, exchange.seq, 0, 0)).message)    # type: ignore[arg-type]
    exchange.place(account, 0, Side.BUY, 100, 5)    # of which the feed is not told
    exchange.place(account, 0, Side.BUY, 101, 5)
    feed.apply(2)
    assert feed.by_order_failures == 1
    frame = channel.since(mirror.seq, Point(1, exchange.seq, 0, 0))
    assert frame
    assert mirror.receive(frame.message) is Verdict.APPLIED    # type: ignore[arg-type]
    assert mirror.queues.depth() == exchange.books[0].levels.depth()


def test_an_auction_is_not_seen_before_it_ends() -> None:
    exchange = new_exchange(0)
    account = exchange.open_account()
    exchange.deposit(account, 2, 10**12)
    channel = channels_of(feed := feed_of(exchange))[0]
    exchange.place(account, 0, Side.BUY, 100, 5)
    exchange.set_phase(0, Phase.AUCTION)
    exchange.place(account, 0, Side.BUY, 101, 5)
    at = Point(1, exchange.seq, 0, 0)
    assert channel.snapshot(at).message.batches == []    # type: ignore[attr-defined]
    exchange.set_phase(0, Phase.TRADING)
    feed.apply(1)
    batch, = channel.since(at.seq, Point(1, exchange.seq, 0, 0)).message.batches    # type: ignore[union-attr, attr-defined]
    assert [change.price for change in batch.changes] == [101, 100]
