"""What the exchange's own people may ask."""

import logging
from typing import Any

import pytest

from stream.wire.codes import CloseCode, ErrorCode
from stream.wire.frames import Book
from stream.wire.messages import Confirmed, Connections, Disconnect, Done, Error, ListConnections, Place, Revoke, SetLimits, SetPhase, Subscribe
from tests.worlds import BOOK, TICKER, Desk, QuietMarket


@pytest.fixture
def market() -> QuietMarket:
    return QuietMarket()


def code(answers: list[Any]) -> int:
    (error,) = [answer for answer in answers if isinstance(answer, Error)]
    return error.code


def test_an_instrument_is_halted_and_trades_again(market: QuietMarket, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "deltabook.audit")
    admin, trader = Desk(market).sign_in("root", "admin"), Desk(market).sign_in("alice")
    assert admin.ask(SetPhase, "BTC-USD", "halt") == [Confirmed(admin.id)]
    assert code(trader.ask(Place, "BTC-USD", "buy", 100, 1)) == ErrorCode.HALTED
    assert isinstance(trader.ask(Place, "ETH-USD", "buy", 100, 1)[0], Done)
    admin.ask(SetPhase, "BTC-USD", "trading")
    assert isinstance(trader.ask(Place, "BTC-USD", "buy", 100, 1)[0], Done)
    assert code(admin.ask(SetPhase, "NO-SUCH", "halt")) == ErrorCode.UNKNOWN_INSTRUMENT
    unknown = "instrument 'NO-SUCH': there is no instrument of that name"
    assert [record.outcome for record in caplog.records] == ["done", "done", unknown]    # type: ignore[attr-defined]


def test_an_account_is_limited(market: QuietMarket) -> None:
    admin, trader = Desk(market).sign_in("root", "admin"), Desk(market).sign_in("alice")
    assert admin.ask(SetLimits, "alice", 1, 10) == [Confirmed(admin.id)]
    assert code(trader.ask(Place, "BTC-USD", "buy", 100, 11)) == ErrorCode.SIZE_TOO_LARGE
    trader.ask(Place, "BTC-USD", "buy", 100, 10)
    assert code(trader.ask(Place, "BTC-USD", "buy", 100, 10)) == ErrorCode.TOO_MANY_ORDERS
    assert code(trader.ask(Place, "BTC-USD", "sell", 100, 10)) == ErrorCode.TOO_MANY_ORDERS
    admin.ask(SetLimits, "alice")
    assert isinstance(trader.ask(Place, "BTC-USD", "buy", 100, 11)[0], Done)
    assert code(admin.ask(SetLimits, "nobody")) == ErrorCode.UNKNOWN_SUBJECT


def test_connections_are_closed_by_subject_or_by_number(market: QuietMarket) -> None:
    admin = Desk(market).sign_in("root", "admin")
    alice, also_alice, bob = Desk(market).sign_in("alice"), Desk(market).sign_in("alice"), Desk(market).sign_in("bob")
    admin.ask(Disconnect, connection=also_alice.session.number)
    closed = [desk.session.closed and desk.session.closed[0] for desk in (alice, also_alice, bob, admin)]
    assert closed == [None, CloseCode.DISCONNECTED, None, None]
    admin.ask(Disconnect, "alice")
    assert alice.session.closed
    assert bob.session.closed is None
    assert code(admin.ask(Disconnect)) == ErrorCode.MALFORMED
    assert code(admin.ask(Disconnect, "alice", 1)) == ErrorCode.MALFORMED


@pytest.mark.parametrize(("request_kind", "close_code"), [(Disconnect, CloseCode.DISCONNECTED), (Revoke, CloseCode.REVOKED)])
def test_an_administrator_who_closes_the_own_connection_is_answered_first(market: QuietMarket, request_kind: Any, close_code: CloseCode) -> None:
    admin = Desk(market).sign_in("root", "admin")
    assert admin.ask(request_kind, "root") == [Confirmed(admin.id)]
    assert admin.session.closed
    assert admin.session.closed[0] is close_code


def test_the_connections_tell_who_is_behind(market: QuietMarket) -> None:
    admin, trader, slow = Desk(market).sign_in("root", "admin"), Desk(market).sign_in("alice"), Desk(market, address="10.0.0.7")
    slow.ask(Subscribe, [BOOK, TICKER], 0, 0)
    slow.session.pause_writing(market.now)
    trader.ask(Place, "BTC-USD", "buy", 100, 1)
    (answer,) = admin.ask(ListConnections)
    assert isinstance(answer, Connections)
    assert [each.subject for each in answer.connections] == ["root", "alice", ""]
    status = answer.connections[2]
    assert (status.address, status.stalled, [each.channel for each in status.subscriptions]) == ("10.0.0.7", True, [BOOK, TICKER])
    assert all(each.behind > 0 and each.catch_ups == 0 for each in status.subscriptions)
    slow.session.resume_writing(market.now)
    assert [frame.seq for frame in slow.hear() if isinstance(frame, Book)] == [market.exchange.seq]
    (answer,) = admin.ask(ListConnections, answer.connections[1].connection, 1)
    (status,) = answer.connections
    assert [(each.behind, each.catch_ups) for each in status.subscriptions] == [(0, 1), (0, 1)]
