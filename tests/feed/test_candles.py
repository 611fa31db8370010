"""Candles are what a slow and obvious count of the trades gives, in every interval, at every time, and after a restart."""

import random
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine import Side
from stream.feed.candles import DAY, HOUR, INTERVALS, MINUTE, SECOND, Candle, Candles, end_of, start_of
from stream.feed.feed import Feed
from stream.wire.messages import Login, Place
from tests.journal.fake_disk import FakeDisk
from tests.market.journaled import after_a_power_cut, start
from tests.setting import CONFIG, START, token
from tests.worlds import Desk, QuietMarket

KEPT = 1500


class Trade(NamedTuple):
    """A TRADE event, and when it was."""

    seq: int
    time: int
    price: int
    size: int
    value: int
    side: int


def slow_start_of(name: str, time: int) -> int:
    """When the candle of a time begins, as a calendar has it."""
    date = datetime.fromtimestamp(time // SECOND, UTC)
    count, unit = int(name[:-1]), name[-1]
    match unit:
        case "s":
            begins = date
        case "m":
            begins = date.replace(second=0, minute=date.minute // count * count)
        case "h":
            begins = date.replace(second=0, minute=0, hour=date.hour // count * count)
        case "M":
            begins = date.replace(second=0, minute=0, hour=0, day=1)
        case _:
            midnight = date.replace(second=0, minute=0, hour=0)
            days = (midnight - datetime(1970, 1, 1, tzinfo=UTC)).days
            back = midnight.weekday() if unit == "w" else days % count
            return int(midnight.timestamp()) * SECOND - back * DAY
    return int(begins.timestamp()) * SECOND


def slow_candle(start: int, trades: list[Trade]) -> Candle:
    """The candle of these trades."""
    bought = [trade for trade in trades if trade.side == Side.BUY]
    prices = [trade.price for trade in trades]
    return Candle(
        start, prices[0], max(prices), min(prices), prices[-1], sum(trade.size for trade in trades), sum(trade.value for trade in trades),
        sum(trade.size for trade in bought), sum(trade.value for trade in bought), len(trades), trades[0].seq, trades[-1].seq,
    )


def slow_candles(name: str, trades: list[Trade]) -> list[Candle]:
    """The candles that have trades."""
    starts = dict.fromkeys(slow_start_of(name, trade.time) for trade in trades)
    return [slow_candle(start, [trade for trade in trades if slow_start_of(name, trade.time) == start]) for start in starts]


def fast(trades: list[Trade]) -> Candles:
    candles = Candles(KEPT)
    for trade in trades:
        event: Any = trade
        candles.add(event, trade.time)
    return candles


def again(candles: Candles) -> Candles:
    """The same after a restart."""
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(candles.dump()), type=dict[str, list[msgspec.Raw]])
    others = Candles(KEPT)
    others.restore(state)
    return others


STEPS = (0, 1, SECOND // 2, SECOND, 59 * SECOND, MINUTE, 7 * MINUTE, HOUR, 5 * HOUR, DAY, 9 * DAY, 40 * DAY)


@some.composite
def flows(draw: Any) -> list[Trade]:
    time, seq, trades = draw(some.integers(10 * DAY, 10**18)), 0, []    # the first week began before 1970
    for step in draw(some.lists(some.sampled_from(STEPS), min_size=1, max_size=30)):
        time, seq = time + step, seq + draw(some.integers(1, 5))
        size = draw(some.sampled_from((1, 7, 1 << 62)))
        trades.append(Trade(seq, time, draw(some.integers(1, 9)), size, size * 3, draw(some.sampled_from(list(Side)))))
    return trades


@given(flows(), some.booleans())
def test_candles_are_those_of_the_slow_twin_in_every_interval(trades: list[Trade], restarted: bool) -> None:
    candles = again(fast(trades)) if restarted else fast(trades)
    for name in INTERVALS:
        assert candles.between(name, 0, 1 << 62) == slow_candles(name, trades), name


@given(flows(), some.integers(0, 30))
def test_a_restart_between_two_trades_changes_nothing(trades: list[Trade], at: int) -> None:
    candles = again(fast(trades[:at]))
    for trade in trades[at:]:
        event: Any = trade
        candles.add(event, trade.time)
    for name in INTERVALS:
        assert candles.between(name, 0, 1 << 62) == slow_candles(name, trades), name


@given(flows(), some.sampled_from(list(INTERVALS)), some.integers(1, 12), some.booleans(), some.sampled_from((0, 1, SECOND, HOUR, 50 * DAY)))
def test_a_series_has_the_quiet_intervals_too(trades: list[Trade], name: str, count: int, from_the_end: bool, past: int) -> None:
    candles, traded = fast(trades), {candle.start: candle for candle in slow_candles(name, trades)}
    oldest, end = min(traded), trades[-1].time + past
    begin = None if from_the_end else max(0, end - 3 * past - count)
    expected: list[Candle] = []
    start, before = oldest, traded[oldest]
    while start <= end:
        before = traded.get(start) or before.flat_at(start)
        expected.append(before)
        start = end_of(name, start)
        if len(expected) > 100_000:
            return
    expected = expected[-count:] if begin is None else [candle for candle in expected if candle.start >= begin][:count]
    assert candles.series(name, begin, end, count) == expected


@given(flows(), some.integers(0, 60 * 24))
def test_a_window_is_the_trades_since_a_minute(trades: list[Trade], minutes: int) -> None:
    begin = trades[-1].time // MINUTE * MINUTE - minutes * MINUTE
    inside = [trade for trade in trades if trade.time >= begin]
    found = fast(trades).since(begin)
    assert found
    assert found.starting(0) == slow_candle(0, inside)


@pytest.mark.parametrize("name", INTERVALS)
@pytest.mark.parametrize("date", ["2023-12-31T23:59:59", "2024-01-01T00:00:00", "2024-02-29T12:00:00", "2024-03-01T00:00:00", "1970-01-01T00:00:00"])
def test_candles_begin_as_the_calendar_says(name: str, date: str) -> None:
    time = int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()) * SECOND
    assert start_of(name, time) == slow_start_of(name, time) <= time < end_of(name, start_of(name, time))
    assert start_of(name, end_of(name, start_of(name, time))) == end_of(name, start_of(name, time))


def test_only_so_many_are_kept_and_those_are_the_latest() -> None:
    trades = [Trade(second + 1, second * SECOND, 5, 1, 5, Side.BUY) for second in range(4 * KEPT)]
    for candles in (fast(trades), again(fast(trades))):
        kept = candles.between("1s", 0, 1 << 62)
        assert KEPT < len(kept) <= KEPT * 5 // 4 + 1
        assert kept == slow_candles("1s", trades[-len(kept) :])
        assert candles.series("1s", 0, trades[-1].time, 3) == kept[:3]    # what is forgotten is not made up
        assert sum(candle.trades for candle in candles.between("1h", 0, 1 << 62)) == len(trades)


def test_candles_are_there_right_after_a_crash() -> None:
    disk = FakeDisk(random.Random(1))
    history, journal = start(disk, CONFIG, START)
    market = QuietMarket(history, journal, START)

    def settle() -> None:
        while market.sequencer.waits or journal.waiting:
            journal.sync()
            market.tick(market.now)

    desks = [Desk(market), Desk(market)]
    for desk, subject in zip(desks, ("alice", "bob"), strict=True):
        desk.put(Login, token(subject, market.now))
        market.tick(market.now)
        settle()
    for price in (100, 101, 99):
        for desk, side in zip(desks, ("sell", "buy"), strict=True):
            desk.put(Place, "BTC-USD", side, price, 5)
            market.tick(market.now)
            settle()
        market.now += 70 * SECOND
    before = {name: market.feed.candles[0].between(name, 0, 1 << 62) for name in INTERVALS}
    assert [candle.trades for candle in before["1m"]] == [1, 1, 1]
    recovered, _ = start(after_a_power_cut(disk), CONFIG, market.now)
    assert {name: recovered.feed.candles[0].between(name, 0, 1 << 62) for name in INTERVALS} == before


def test_a_snapshot_of_a_version_without_candles_is_read() -> None:
    market = QuietMarket()
    maker, taker = Desk(market).sign_in("alice"), Desk(market).sign_in("bob")
    maker.ask(Place, "BTC-USD", "sell", 100, 5)
    taker.ask(Place, "BTC-USD", "buy", 100, 5)
    assert market.feed.candles[0].last is not None
    state = msgspec.msgpack.decode(market.feed.dump())
    assert len(state) > 2
    feed = Feed(market.exchange, market.config)
    feed.restore(msgspec.msgpack.encode(state[:2]))
    assert [candles.last for candles in feed.candles] == [None] * len(feed.candles)
    assert msgspec.msgpack.decode(feed.dump())[:2] == state[:2]
    feed.restore(market.feed.dump())
    assert feed.candles[0].last == market.feed.candles[0].last
