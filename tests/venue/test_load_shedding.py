"""What the server does when it is too slow for all that happens, and when it leaves."""

import asyncio
from typing import Any

from stream.settings.config import Config
from stream.venue.load_shedding import LoadShedding
from stream.wire.codes import CloseCode
from stream.wire.frames import Book, Trades
from stream.wire.messages import Leaving, Pacing, Place, Subscribe
from tests.setting import START, token
from tests.sockets import RawClient, run, serving
from tests.waiting import until
from tests.worlds import BOOK, MILLISECOND, TRADES, Desk, QuietMarket

SECOND = 1000 * MILLISECOND


def test_load_goes_up_and_down_by_steps_with_patience() -> None:
    load_shedding = LoadShedding(Config(lag_ms_max=50, load_patience_ms=1000, loaded_intervals_ms=(50, 250)), START)
    now, steps = START, []
    for lag_ms in [0] * 15 + [100] * 45 + [10] * 45:
        now += 100 * MILLISECOND
        if load_shedding.observe(lag_ms * MILLISECOND, now):
            steps.append(((now - START) // (100 * MILLISECOND), load_shedding.interval_ms))
    assert steps == [(26, 50), (36, 250), (71, 50), (81, 0)]


def test_one_late_moment_is_no_load() -> None:
    load_shedding = LoadShedding(Config(), START)
    for i in range(100):
        assert not load_shedding.observe(SECOND if i % 10 == 0 else 0, START + i * 100 * MILLISECOND)


def frames(desk: Desk, kind: type[Any]) -> list[Any]:
    return [message for message in desk.hear() if isinstance(message, kind)]


def test_under_load_books_come_less_often_and_everybody_is_told() -> None:
    market = QuietMarket(loaded_intervals_ms=(200,), load_patience_ms=1)
    trader, watcher = Desk(market).sign_in("alice"), Desk(market)
    watcher.ask(Subscribe, [BOOK, TRADES], 0, 0)
    for lag, expected in ((0, 20), (SECOND, 2), (SECOND, 2), (0, 20)):
        for _ in range(2):
            market.now += 2 * MILLISECOND
            market.observe_lag(lag, market.now)
        market.pass_time(1000)
        watcher.hear()
        for i in range(20):
            trader.ask(Place, "BTC-USD", "buy", 100 + i, 1)
            market.pass_time(20)
        assert len(frames(watcher, Book)) in (expected, expected + 1)
    assert [message.interval_ms for message in trader.heard if isinstance(message, Pacing)] == [200, 0]
    assert not [message for message in Desk(market).heard if isinstance(message, Pacing)]
    market.observe_lag(SECOND, market.now + SECOND)
    market.observe_lag(SECOND, market.now + 2 * SECOND)
    assert [message.interval_ms for message in Desk(market).heard if isinstance(message, Pacing)] == [200]


def test_lossless_channels_do_not_wait_for_the_load_to_pass() -> None:
    market = QuietMarket(loaded_intervals_ms=(1000,), load_patience_ms=1, self_trade="allow")
    trader, watcher = Desk(market).sign_in("alice"), Desk(market)
    watcher.ask(Subscribe, [TRADES])
    for _ in range(2):
        market.now += 2 * MILLISECOND
        market.observe_lag(SECOND, market.now)
    watcher.hear()
    for _ in range(3):
        trader.ask(Place, "BTC-USD", "sell", 100, 1)
        trader.ask(Place, "BTC-USD", "buy", 100, 1)
        assert len(frames(watcher, Trades)) == 1


def test_a_trade_may_flush_its_book_early() -> None:
    market = QuietMarket(trade_flush_ms=10, self_trade="allow")
    trader, watcher = Desk(market).sign_in("alice"), Desk(market)
    watcher.ask(Subscribe, [BOOK], 0, 1000)
    trader.ask(Place, "BTC-USD", "buy", 100, 5)
    watcher.hear()
    trader.ask(Place, "BTC-USD", "buy", 99, 5)
    market.pass_time(500)
    assert not frames(watcher, Book)
    trader.ask(Place, "BTC-USD", "sell", 100, 1)
    assert len(frames(watcher, Book)) == 1
    trader.ask(Place, "BTC-USD", "sell", 100, 1)
    assert not frames(watcher, Book)
    market.pass_time(10)
    assert len(frames(watcher, Book)) == 1


def test_an_instrument_that_nobody_hears_costs_no_flush() -> None:
    market = QuietMarket()
    trader, watcher = Desk(market).sign_in("alice"), Desk(market)
    watcher.ask(Subscribe, [BOOK], 0, 0)
    trader.ask(Place, "ETH-USD", "buy", 100, 5)
    assert not market.feed.changed
    assert not frames(watcher, Book)


@run
async def test_a_server_that_leaves_gives_everybody_what_they_are_owed() -> None:
    """Those who read are told at once; one who is behind gets its trades first; who never reads is left behind at the deadline."""
    async with serving(drain_timeout_s=2, return_window_ms=1234, self_trade="allow") as server:
        (reader, _), (late, _), (dead, _) = [await RawClient.open(server.port) for _ in range(3)]
        for client in (reader, late, dead):
            client.send(Subscribe(1, [BOOK, TRADES], 0, 0))
            await client.message()
        sessions = sorted(server.market.sessions, key=lambda session: session.number)
        await until(lambda: all(session.subscriptions for session in sessions))
        for session in sessions[1:]:
            session.pause_writing(server.clock.now())
        trader, _ = await RawClient.open(server.port, f"Authorization: Bearer {token('alice', server.clock.now())}\r\n")
        trader.send(Place(1, "BTC-USD", "sell", 100, 1))
        trader.send(Place(2, "BTC-USD", "buy", 100, 1))
        for _ in range(3):
            await trader.message()
        stopping = asyncio.ensure_future(server.stop())
        heard = []
        while True:
            opcode, payload = await reader.frame()
            if opcode == 8:
                assert int.from_bytes(payload[:2]) == CloseCode.SHUTTING_DOWN
                break
            heard.append(payload)
        assert any(b"leaving" in payload for payload in heard)
        assert sessions[1].closed is None
        sessions[1].resume_writing(server.clock.now())
        server.wake()
        told = []
        while True:
            opcode, payload = await late.frame()
            if opcode == 8:
                break
            told.append(payload)
        assert any(b"trades:BTC-USD" in payload for payload in told)
        await stopping
        assert not server.market.sessions


def test_leaving_says_when_to_return() -> None:
    market = QuietMarket(return_window_ms=1234)
    desk = Desk(market)
    market.leave()
    assert desk.session.closed == (CloseCode.SHUTTING_DOWN, "the server is leaving")
    assert [message.return_ms for message in desk.hear() if isinstance(message, Leaving)] == [1234]
