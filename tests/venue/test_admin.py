"""What the exchange's own people may ask."""

import logging
from typing import Any

import pytest
from msgspec.structs import replace

from engine import EventKind
from stream.wire.administration import (
    Deposit,
    Disconnect,
    Freeze,
    ListConnections,
    MassCancel,
    PayFees,
    Revoke,
    SetFees,
    SetLimits,
    SetPhase,
    SetTier,
    Withdraw,
)
from stream.wire.codes import CloseCode, ErrorCode
from stream.wire.frames import Book, Orders
from stream.wire.messages import AllCancelled, Cancel, Confirmed, Connections, Done, Error, Place, Subscribe
from tests.setting import CONFIG
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


def test_a_mass_cancel_ends_all_orders_a_part_at_a_time(market: QuietMarket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "deltabook.audit")
    monkeypatch.setattr("stream.market.operations.CANCELS_AT_ONCE", 3)
    admin, alice, bob = Desk(market).sign_in("root", "admin"), Desk(market).sign_in("alice"), Desk(market).sign_in("bob")
    for size in range(1, 8):
        alice.ask(Place, "BTC-USD", "buy", 100, size)
    for name in ("BTC-USD", "ETH-USD", "ETH-USD"):
        bob.ask(Place, name, "buy", 100, 1)
    assert admin.ask(MassCancel, "alice") == []    # a part of them
    assert market.exchange.order_count == 7
    bob.ask(Place, "ETH-USD", "buy", 100, 1)    # others have their turn in between
    market.pass_time(1)
    assert [(type(answer), answer.count) for answer in admin.hear()] == [(AllCancelled, 7)]
    admin.put(MassCancel, "", "ETH-USD")
    market.pass_time(1)
    assert [answer.count for answer in admin.hear()] == [3]
    assert [answer.count for answer in admin.ask(MassCancel)] == [1]
    assert market.exchange.order_count == 0
    assert code(admin.ask(MassCancel, "alice", "BTC-USD")) == ErrorCode.MALFORMED
    assert code(admin.ask(MassCancel, "", "NO-SUCH")) == ErrorCode.UNKNOWN_INSTRUMENT
    assert [record.outcome for record in caplog.records][:3] == ["done"] * 3    # type: ignore[attr-defined]
    assert len(caplog.records) == 5


def test_a_frozen_account_can_only_cancel(market: QuietMarket) -> None:
    admin, alice = Desk(market).sign_in("root", "admin"), Desk(market).sign_in("alice")
    (placed,) = alice.ask(Place, "BTC-USD", "buy", 100, 1)
    assert admin.ask(Freeze, "alice") == [Confirmed(admin.id)]
    assert code(alice.ask(Place, "BTC-USD", "buy", 100, 1)) == ErrorCode.ACCOUNT_FROZEN
    assert code(admin.ask(Withdraw, "alice", "USD", 1)) == ErrorCode.ACCOUNT_FROZEN
    assert admin.ask(SetLimits, "alice", 9) == [Confirmed(admin.id)]
    assert code(alice.ask(Place, "BTC-USD", "buy", 100, 1)) == ErrorCode.ACCOUNT_FROZEN
    assert isinstance(alice.ask(Cancel, placed.order)[0], Done)
    admin.ask(Freeze, "alice", False)
    alice.ask(Place, "BTC-USD", "buy", 100, 1)
    admin.put(Freeze, "alice", True, True)
    market.pass_time(1)
    assert admin.hear() == [Confirmed(admin.id)]
    assert market.exchange.order_count == 0
    assert code(admin.ask(Freeze, "nobody")) == ErrorCode.UNKNOWN_SUBJECT


def test_a_transfer_with_a_key_is_done_once(market: QuietMarket) -> None:
    admin, alice = Desk(market).sign_in("root", "admin"), Desk(market).sign_in("alice")
    account = market.account_of("alice")
    usd = market.exchange.asset("USD")

    def has() -> int:
        return market.exchange.balance(account, usd)[0]

    before = has()
    alice.ask(Place, "BTC-USD", "buy", 100, 10**9, key=7)    # of another kind: it stands in the way of no transfer
    for _ in range(3):
        assert admin.ask(Deposit, "alice", "USD", 5, 7) == [Confirmed(admin.id)]
    assert has() == before + 5
    for _ in range(2):
        assert admin.ask(Withdraw, "alice", "USD", 3, 8) == [Confirmed(admin.id)]
    assert has() == before + 2
    for _ in range(2):
        assert code(admin.ask(Withdraw, "alice", "USD", 1 << 62, 9)) == ErrorCode.INSUFFICIENT_FUNDS
    for _ in range(2):
        assert admin.ask(Deposit, "alice", "USD", 1) == [Confirmed(admin.id)]
    assert has() == before + 4
    admin.put(Deposit, "alice", "USD", 1, 10)
    admin.put(Deposit, "alice", "USD", 1, 10)    # while the first one is under way
    market.pass_time(1)
    assert admin.hear() == [Confirmed(admin.id - 1), Confirmed(admin.id)]
    assert has() == before + 5
    assert code(admin.ask(Deposit, "alice", "GOLD", 1)) == ErrorCode.UNKNOWN_ASSET
    assert code(admin.ask(Deposit, "nobody", "USD", 1)) == ErrorCode.UNKNOWN_SUBJECT


def test_fees_are_changed_rebated_and_paid_out() -> None:
    market = QuietMarket(instruments=[replace(CONFIG.instruments[0], maker_fee=10_000, taker_fee=50_000), *CONFIG.instruments[1:]])
    admin, alice, bob = Desk(market).sign_in("root", "admin"), Desk(market).sign_in("alice"), Desk(market).sign_in("bob")
    index, usd = market.exchange.book("BTC-USD").index, market.exchange.asset("USD")
    for tier in range(8):
        assert admin.ask(SetFees, "BTC-USD", tier, -20_000, 50_000 if tier else 20_000) == [Confirmed(admin.id)]
    assert admin.ask(SetTier, "bob", 3) == [Confirmed(admin.id)]
    assert code(admin.ask(SetFees, "BTC-USD", 5, -20_001, 50_000)) == ErrorCode.AMOUNT_OUT_OF_RANGE
    assert market.exchange.books[index].rates(5) == (-20_000, 50_000)
    for name in ("alice", "bob"):
        admin.ask(Deposit, name, "BTC", 10**6)
        admin.ask(Deposit, name, "USD", 10**8)
    collected = market.exchange.fees(usd)
    alice.ask(Subscribe, ["orders"])
    alice.ask(Place, "BTC-USD", "sell", 100, 10)
    bob.ask(Place, "BTC-USD", "buy", 100, 10)
    (trade,) = [event for event in market.exchange.events if event.kind == EventKind.TRADE]
    assert (trade.maker_fee, trade.taker_fee) == (-trade.value * 2 // 100, trade.value * 5 // 100)
    (fill,) = [update for frame in alice.hear() if isinstance(frame, Orders) for update in frame.orders if update.event == "filled"]
    assert fill.fee == trade.maker_fee < 0
    paid = market.exchange.fees(usd) - collected
    assert paid == trade.value * 3 // 100
    before = market.exchange.balance(market.account_of("root"), usd)[0]
    assert admin.ask(PayFees, "root", "USD", paid, 1) == [Confirmed(admin.id)]
    assert market.exchange.balance(market.account_of("root"), usd)[0] == before + paid
    assert code(admin.ask(PayFees, "root", "USD", 1 << 62)) == ErrorCode.INSUFFICIENT_FUNDS
    market.exchange.check()
