"""The client inside the server, and what the server logs."""

import io
import logging
import sys

import msgspec
import pytest

from stream.feed.public_channels import BookChannel, FollowedByOrder
from stream.system.logs import FloodGate, JsonFormatter
from stream.venue.metrics import exposition
from stream.wire.messages import Place, Subscribe
from tests.worlds import BOOK, Desk, QuietMarket


def test_every_book_is_rebuilt_from_what_is_sent() -> None:
    market = QuietMarket(audit_interval_ms=100)
    trader = Desk(market).sign_in("alice")
    for i in range(50):
        trader.ask(Place, ("BTC-USD", "ETH-USD")[i % 2], "buy", 100 + i, 1)
        market.pass_time(10)
    market.pass_time(200)
    assert market.audit.failures == 0
    assert market.audit.frames >= 10
    assert {channel: mirror.levels.digest for channel, mirror in market.audit.mirrors.items()} == {
        f"orderbook:{book.instrument.name}": book.levels.digest for book in market.exchange.books
    }


def test_a_book_that_is_sent_wrong_raises_an_alarm_and_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    market = QuietMarket(audit_interval_ms=100)
    trader = Desk(market).sign_in("alice")
    trader.ask(Place, "BTC-USD", "buy", 100, 1)
    market.pass_time(200)
    channel = market.feed.public[BOOK]
    assert isinstance(channel, BookChannel)
    market.audit.mirrors[BOOK].levels.apply([77, 5], [], market.audit.mirrors[BOOK].seq)
    trader.ask(Place, "BTC-USD", "buy", 101, 1)
    market.pass_time(200)
    assert market.audit.failures == 1
    assert [(record.levelname, record.channel) for record in caplog.records] == [("ERROR", BOOK)]    # type: ignore[attr-defined]
    assert b"deltabook_audit_failures_total 1.0" in exposition(market)
    trader.ask(Place, "BTC-USD", "buy", 102, 1)
    market.pass_time(200)
    assert market.audit.failures == 1
    assert market.audit.mirrors[BOOK].levels.digest == market.exchange.book("BTC-USD").levels.digest


def test_a_queue_that_is_not_the_engines_raises_an_alarm(caplog: pytest.LogCaptureFixture) -> None:
    market = QuietMarket(audit_interval_ms=100)
    trader, name = Desk(market).sign_in("alice"), BOOK.replace("orderbook", "market_by_order")
    Desk(market).ask(Subscribe, [name])
    for size in (1, 1):
        trader.ask(Place, "BTC-USD", "buy", 100, size)
    market.pass_time(200)
    channel = market.feed.public[name]
    assert isinstance(channel, FollowedByOrder)
    compared, true = [], channel.queue
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(channel, "queue", lambda side, price: compared.append(price) or true(side, price))
        trader.ask(Place, "BTC-USD", "buy", 99, 1)
        market.pass_time(200)
        assert compared
        assert set(compared) == {100}
        assert market.audit.failures == 0
        patch.setattr(channel, "queue", lambda side, price: true(side, price)[::-1])
        trader.ask(Place, "BTC-USD", "buy", 98, 1)
        market.pass_time(200)
    assert market.audit.failures >= 1
    assert {record.channel for record in caplog.records} == {name}    # type: ignore[attr-defined]
    failures = market.audit.failures
    trader.ask(Place, "BTC-USD", "buy", 97, 1)
    market.pass_time(300)
    assert market.audit.failures == failures


def test_without_it_nothing_is_spent() -> None:
    market = QuietMarket(audit_interval_ms=0)
    Desk(market).sign_in("alice").ask(Place, "BTC-USD", "buy", 100, 1)
    assert not market.hub.conflations
    assert market.audit.frames == 0


def test_a_record_is_one_line_of_json() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    try:
        raise ValueError("why")
    except ValueError:
        record = logging.getLogger("deltabook").makeRecord(
            "deltabook", logging.ERROR, __file__, 1, "a message\ncaused an error", (), sys.exc_info(), extra={"connection": 7}
        )
    handler.handle(record)
    (line,) = stream.getvalue().splitlines()
    told = msgspec.json.decode(line)
    assert (told["level"], told["logger"], told["event"], told["connection"]) == ("error", "deltabook", "a message\ncaused an error", 7)
    assert "ValueError: why" in told["traceback"]
    assert told["time"].endswith("Z")


def test_a_flood_of_records_is_cut_off_and_counted() -> None:
    gate = FloodGate(records_per_minute=3)

    def passes(line: int, minute: int) -> tuple[bool, int]:
        record = logging.LogRecord("deltabook", logging.INFO, __file__, line, "event", (), None)
        record.created = minute * 60.0
        return gate.filter(record), getattr(record, "suppressed", 0)

    assert [passes(1, 5)[0] for _ in range(5)] == [True] * 3 + [False] * 2
    assert passes(2, 5) == (True, 0)
    assert passes(1, 6) == (True, 2)
    assert passes(1, 6) == (True, 0)
