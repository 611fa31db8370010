"""What clients ask about candles, and what they get: the same at a market, a gateway, a playback and a relay."""

from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from stream import connect
from stream.client.allowance import Allowance
from stream.client.errors import RequestRefused
from stream.feed.candle_pages import candle_of
from stream.feed.candles import DAY, HOUR, INTERVALS, MINUTE, SECOND, end_of
from stream.wire.candles import Candle, CandlePage, IntervalName, ListCandles
from stream.wire.codes import ErrorCode
from stream.wire.fields import Message
from stream.wire.frames import Trade, Trades
from stream.wire.messages import Error, Place, Subscribe
from tests.cluster.cluster import Cluster
from tests.cluster.test_cluster import desk as desk_at
from tests.cluster.test_cluster import of_kind
from tests.market.journaled import after_a_stop
from tests.market.test_journaled_market import JournaledMarket
from tests.market.test_playback import Watched
from tests.relay.test_relay import Chain
from tests.setting import token
from tests.sockets import relaying, run, serving
from tests.worlds import TRADES, Desk, QuietMarket

STEPS = (0, 1, SECOND, 40 * SECOND, MINUTE, HOUR, 3 * DAY, 40 * DAY)
NAME = "BTC-USD"


def trade(desk: Desk, price: int, side: str = "buy", size: int = 5) -> None:
    """A trade of the account with itself."""
    desk.ask(Place, NAME, "sell" if side == "buy" else "buy", price, size)
    desk.ask(Place, NAME, side, price, size)


def page(desk: Desk, interval: str = "1m", **named: Any) -> CandlePage:
    """What a client gets that asks."""
    (found,) = of_kind(desk.ask(ListCandles, NAME, interval, **named), CandlePage)
    return found    # type: ignore[no-any-return]


def error(desk: Desk, *fields: Any, **named: Any) -> ErrorCode:
    (found,) = of_kind(desk.ask(ListCandles, *fields, **named), Error)
    return ErrorCode(found.code)


def grown(candle: Candle, trades: list[Trade]) -> tuple[int, ...]:
    """The prices, the size and the last sequence of a candle, with some trades more."""
    prices = [each.price for each in trades]
    high, low = max(candle.high, *prices), min(candle.low, *prices)
    return candle.open, high, low, prices[-1], candle.size + sum(each.size for each in trades), candle.trades + len(trades), trades[-1].seq


def test_the_intervals_of_the_wire_are_those_that_are_kept() -> None:
    (names, *_) = get_args(IntervalName)
    assert list(get_args(names)) == list(INTERVALS)


FLOWS = some.lists(some.tuples(some.sampled_from(STEPS), some.integers(90, 110), some.sampled_from(("buy", "sell"))), min_size=1, max_size=12)


@settings(max_examples=30)
@given(FLOWS, some.sampled_from(list(INTERVALS)))
def test_pages_follow_each_other_and_have_all_candles(flow: list[tuple[int, int, str]], interval: str) -> None:
    market = QuietMarket(self_trade="allow")
    for step, price, side in flow:
        market.now += step
        trade(Desk(market).sign_in("alice"), price, side)
    desk = Desk(market)
    kept = market.feed.candles[0]
    (last,) = page(desk, interval, count=1).candles
    for count in (7, 1000):
        latest = page(desk, interval, count=count)
        assert latest.candles == [candle_of(each) for each in kept.series(interval, None, market.now, count)]
        assert latest.candles[-1] == last
        assert (latest.epoch, latest.seq) == market.point(market.now)[:2]
    first = kept.between(interval, 0, 1 << 62)[0]
    found = page(desk, interval, since=first.start, count=9).candles
    for _ in range(20):
        found += page(desk, interval, since=found[-1].start + 1, count=9).candles
    assert found[0] == candle_of(first)
    assert [each.start for each in found[1:]] == [end_of(interval, each.start) for each in found[:-1]]
    assert page(desk, interval, until=found[-1].start + 1, count=5).candles == found[-5:]
    assert page(desk, interval, since=found[-1].start, until=found[-1].start).candles == []
    assert page(desk, interval, since=market.now + 1).candles == page(desk, interval, until=1).candles == []


def test_the_trades_above_its_sequence_go_on_from_a_page() -> None:
    market = QuietMarket(self_trade="allow")
    desk, watcher = Desk(market).sign_in("alice"), Desk(market)
    trade(desk, 100)
    watcher.ask(Subscribe, [TRADES], interval_ms=0)
    trade(desk, 103)
    had = page(watcher)
    trade(desk, 99, "sell")
    trade(desk, 101)
    later = [each for frame in of_kind(watcher.hear() or watcher.heard, Trades) for each in frame.trades if each.seq > had.seq]
    assert [each.price for each in later] == [99, 101]
    (candle,) = page(watcher).candles
    assert grown(had.candles[-1], later) == (candle.open, candle.high, candle.low, candle.close, candle.size, candle.trades, candle.last)


def test_who_asks_nonsense_is_refused() -> None:
    desk = Desk(QuietMarket())
    assert error(desk, "NO-SUCH", "1m") == ErrorCode.UNKNOWN_INSTRUMENT
    for interval, named in (("7m", {}), ("", {}), ("1m", {"count": 0}), ("1m", {"count": 1001}), ("1m", {"since": -1}), ("1m", {"until": 1 << 63})):
        assert error(desk, NAME, interval, **named) == ErrorCode.MALFORMED
    assert page(desk, since=(1 << 63) - 1).candles == page(desk, until=(1 << 63) - 1).candles == []


def test_where_the_market_needs_a_token_candles_need_one() -> None:
    market = QuietMarket(public_needs_token=True)
    assert error(Desk(market), NAME, "1m") == ErrorCode.NOT_SIGNED_IN
    assert error(Desk(market).sign_in("eve", "trade"), NAME, "1m") == ErrorCode.MISSING_SCOPE
    assert page(Desk(market).sign_in("alice", "market")).candles == []


def test_a_long_page_is_charged_by_its_length() -> None:
    market = QuietMarket(self_trade="allow")
    desk = Desk(market).sign_in("alice")
    trade(desk, 100)
    market.now += 2000 * SECOND
    before = desk.session.allowance.messages.level(market.now)
    assert len(page(desk, "1s", count=1000).candles) == 1000
    assert before - desk.session.allowance.messages.level(market.now) >= 5, "and not 1"


def test_a_gateway_has_the_candles_of_its_engine() -> None:
    cluster = Cluster(self_trade="allow")
    alice = desk_at(cluster, 0, "alice")
    for price in (100, 102, 99):
        trade(alice, price)
        cluster.step(70_000)
    new = cluster.add_gateway()
    engine: Any = cluster.engine
    engine.now = cluster.now
    pages = [page(Desk(market), "1m") for market in (engine, *cluster.gateways)]
    assert all(each == pages[0] for each in pages)
    assert len(pages[0].candles) == 4
    assert new.point(cluster.now)[:2] == (pages[0].epoch, pages[0].seq)


def test_a_playback_has_the_candles_of_its_moment() -> None:
    journaled = JournaledMarket()
    desks = journaled.desk("alice"), journaled.desk("bob")
    for price in (100, 101, 102):
        for desk, side in zip(desks, ("buy", "sell"), strict=True):
            journaled.ask(desk, Place, NAME, side, price, 5)
        journaled.market.now += 100 * SECOND
    market = Watched(after_a_stop(journaled.disk), journaled.now + DAY, 10.0)
    seen = []
    for _ in range(40):
        market.tick(market.now)
        seen.append(tuple(each.close for each in page(Desk(market)).candles))    # type: ignore[arg-type]
        market.now += SECOND
    assert [each for each in dict.fromkeys(seen) if each] == [(100,), (100, 100), (100, 100, 101), (100, 100, 101, 101), (100, 100, 101, 102)]
    assert len(seen) - seen.index(seen[-1]) > 15, "and it stands still at the end"


def test_a_relay_passes_the_request_on() -> None:
    chain = Chain()
    for price in (100, 103, 99):
        chain.trade(price)
    listeners = [chain.listener(place) for place in range(3)]
    answers: list[list[Message]] = []
    for listener in listeners:
        heard = listener.ask(ListCandles, NAME, "1m")
        chain.run(20)
        answers.append(heard + listener.hear())
    assert len(answers[0]) == 1
    assert answers[0] == answers[1] == answers[2]
    listeners[1].ask(ListCandles, "NO-SUCH", "1m")
    chain.run()
    assert of_kind(listeners[1].hear(), Error)[-1].code == ErrorCode.UNKNOWN_INSTRUMENT


def test_a_relay_without_its_upstream_says_so_also_to_who_waits() -> None:
    chain = Chain()
    chain.up = False
    relay, listener = chain.relays[0], chain.listener(1)
    assert of_kind(listener.ask(ListCandles, NAME, "1m"), Error) == []
    relay.upstream.unlinked()
    assert of_kind(listener.hear(), Error)[-1].code == ErrorCode.NO_UPSTREAM
    assert error(listener, NAME, "1m") == ErrorCode.NO_UPSTREAM


def test_a_relay_keeps_half_of_what_it_may_ask_for_itself() -> None:
    chain = Chain()
    listener, allowance = chain.listener(1), Allowance(None, chain.now)
    chain.relays[0].upstream.linked(lambda message: None, chain.now, allowance)
    codes = [each.code for _ in range(300) for each in of_kind(listener.ask(ListCandles, NAME, "1m"), Error)]
    assert set(codes) == {ErrorCode.TOO_MANY_WAITING}
    assert 50 <= len(codes) <= 250
    assert allowance.wait(chain.now) == 0


def test_the_clients_ask() -> None:
    @run
    async def scene() -> None:
        async with serving(self_trade="allow") as server, connect(f"ws://127.0.0.1:{server.port}/v1", token("alice", server.clock.now())) as alice:
            for price in ("1.00", "1.02", "0.99"):
                await alice.place(NAME, "sell", price, "0.0005")
                await alice.place(NAME, "buy", price, "0.0005")
            async with relaying(server) as relay, connect(f"ws://127.0.0.1:{relay.port}/v1") as client:
                pages = [await each.candles(NAME, "1M") for each in (alice, client)]
                with pytest.raises(RequestRefused) as refused:
                    await client.candles("NO-SUCH", "1M")
            assert refused.value.code == ErrorCode.UNKNOWN_INSTRUMENT
            for found in pages:
                (candle,) = found.candles
                assert str(candle.size) == "0.0015"
                assert (str(candle.open), candle.high_ticks, candle.low_ticks, str(candle.close), candle.trades) == ("1.00", 102, 99, "0.99", 3)

    scene()
