"""What clients ask of the history, and what they get."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stream import Lots, Ticks, connect
from stream.account_history.database import Database, Wanted
from stream.client.errors import RequestRefused
from stream.settings.config import ConfigError
from stream.wire.codes import ErrorCode
from stream.wire.history import ListOrders, ListTrades, OrderPage, TradePage
from stream.wire.messages import Cancel, Done, Error, Place
from tests.account_history.recorded import RecordedMarket, ask
from tests.setting import START, token
from tests.sockets import run, serving
from tests.worlds import Desk, QuietMarket


@pytest.fixture
def market(tmp_path: Path) -> Iterator[RecordedMarket]:
    made = RecordedMarket(tmp_path / "history")
    yield made
    made.close()


def test_an_account_sees_its_own_orders_and_fills_at_once(market: RecordedMarket) -> None:
    alice, bob = Desk(market).sign_in("alice"), Desk(market).sign_in("bob")
    resting = ask(market, alice, Place, "BTC-USD", "sell", 100, 5, client_id=7)
    market.now += 1000
    taken = ask(market, bob, Place, "BTC-USD", "buy", 101, 3, time_in_force="ioc", client_id=9)
    assert isinstance(resting, Done)
    assert isinstance(taken, Done)
    page = ask(market, alice, ListOrders)
    assert isinstance(page, OrderPage)
    (order,) = page.orders
    assert (order.order, order.client_id, order.instrument, order.side, order.type, order.price, order.size, order.filled, order.status) == (
        resting.order, 7, "BTC-USD", "sell", "limit", 100, 5, 3, "open",
    )
    assert (order.time, order.updated) == (START, START + 1000)
    (his,) = ask(market, bob, ListOrders).orders
    assert (his.order, his.time_in_force, his.price, his.status, his.value) == (taken.order, "ioc", 101, "filled", taken.value)
    hers, his_fills = (ask(market, desk, ListTrades) for desk in (alice, bob))
    assert isinstance(hers, TradePage)
    assert [(each.order, each.client_id, each.price, each.size, each.liquidity, each.side) for each in hers.trades] == [
        (resting.order, 7, 100, 3, "maker", "sell"),
    ]
    assert [(each.trade, each.liquidity) for each in his_fills.trades] == [(hers.trades[0].trade, "taker")]
    assert ask(market, bob, ListTrades, order=resting.order).trades == [], "which is not his"
    ask(market, alice, Cancel, client_id=7)
    (order,) = ask(market, alice, ListOrders).orders
    assert (order.status, order.reason, order.size, order.filled) == ("cancelled", "requested", 5, 3)


def test_pages_follow_each_other(market: RecordedMarket) -> None:
    alice = Desk(market).sign_in("alice")
    placed = []
    for number in range(10):
        market.now += 1000
        placed.append(ask(market, alice, Place, "BTC-USD" if number % 2 else "ETH-USD", "buy", 1 + number, 1).order)
    found: list[int] = []
    while page := ask(market, alice, ListOrders, after=found[-1] if found else 0, count=3).orders:
        found += [each.order for each in page]
    assert found == placed
    assert [each.order for each in ask(market, alice, ListOrders, latest=True, count=2).orders] == placed[-2:]
    assert [each.order for each in ask(market, alice, ListOrders, "BTC-USD").orders] == placed[1::2]
    assert [each.order for each in ask(market, alice, ListOrders, since=START + 3000, until=START + 5000).orders] == placed[2:4]
    assert ask(market, alice, ListTrades, order=placed[0]).trades == []


def test_the_last_of_all_numbers_has_nothing_behind_it(market: RecordedMarket) -> None:
    alice, last = Desk(market).sign_in("alice"), (1 << 63) - 1
    assert ask(market, alice, ListOrders, after=last, since=last, until=last).orders == []
    assert ask(market, alice, ListTrades, after=last, order=last, since=last, until=last).trades == []
    assert ask(market, alice, ListOrders).orders == []


def test_who_may_not_or_asks_nonsense_is_refused(market: RecordedMarket) -> None:
    for kind in (ListOrders, ListTrades):
        (error,) = Desk(market).ask(kind)
        assert (type(error), error.code) == (Error, ErrorCode.NOT_SIGNED_IN)
        (error,) = Desk(market).sign_in("eve", "market trade").ask(kind)
        assert (type(error), error.code) == (Error, ErrorCode.MISSING_SCOPE)
        alice = Desk(market).sign_in("alice")
        (error,) = alice.ask(kind, "NO-SUCH")
        assert (type(error), error.code) == (Error, ErrorCode.UNKNOWN_INSTRUMENT)
        for count in (0, 1001, -1):
            (error,) = alice.ask(kind, count=count)
            assert (type(error), error.code) == (Error, ErrorCode.MALFORMED)


def test_a_long_page_is_charged_by_its_length(market: RecordedMarket) -> None:
    alice = Desk(market).sign_in("alice")
    for number in range(300):
        alice.ask(Place, "BTC-USD", "buy", 1 + number % 50, 1)
        market.now += 10**9
    before = alice.session.allowance.messages.level(market.now)
    assert len(ask(market, alice, ListOrders, count=1000).orders) == 300
    assert before - alice.session.allowance.messages.level(market.now) >= 5, "and not 1"


def test_without_a_history_the_request_is_refused() -> None:
    alice = Desk(QuietMarket()).sign_in("alice")
    for kind in (ListOrders, ListTrades):
        (error,) = alice.ask(kind)
        assert (type(error), error.code, error.message) == (Error, ErrorCode.NO_HISTORY, ErrorCode.NO_HISTORY.text)


def test_a_history_that_has_failed_refuses_what_waits_and_what_comes(market: RecordedMarket, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = Desk(market).sign_in("alice")

    def fail(self: Database, wanted: Wanted) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Database, "orders", fail)
    for kind in (ListOrders, ListTrades):
        assert ask(market, alice, kind).code == ErrorCode.NO_HISTORY
    assert market.recorder
    assert "disk I/O error" in market.recorder.failure


@pytest.mark.parametrize("kept", [True, False])
def test_a_server_has_its_history_after_a_restart_whether_the_file_is_there_or_not(kept: bool, tmp_path: Path) -> None:
    path, journal = tmp_path / "history", str(tmp_path / "journal")

    @run
    async def scene() -> None:
        found: list[Any] = []
        for life in range(3):
            async with (
                serving(history=str(path), journal=journal) as server,
                connect(f"ws://127.0.0.1:{server.port}/v1", token("alice", server.clock.now())) as client,
            ):
                await client.place("BTC-USD", "buy", Ticks(100 + life), Lots(1), client_id=life + 1)
                page = await client.order_history()
                assert [each.client_id for each in page.orders] == list(range(1, life + 2))
                assert page.orders[:life] == found
                assert page.complete_since == 0
                found = page.orders
                assert (await client.trade_history(latest=True)).trades == []
            if not kept:
                path.unlink()

    scene()


def test_a_server_without_a_history_says_so_to_the_python_client() -> None:
    @run
    async def scene() -> None:
        async with serving() as server, connect(f"ws://127.0.0.1:{server.port}/v1", token("alice", server.clock.now())) as client:
            with pytest.raises(RequestRefused) as refused:
                await client.order_history()
            assert refused.value.code == ErrorCode.NO_HISTORY

    scene()


def test_a_history_that_cannot_be_had_keeps_the_server_from_starting(tmp_path: Path) -> None:
    @run
    async def scene() -> None:
        with pytest.raises(ConfigError, match="history"):
            async with serving(history=str(tmp_path)):
                pass

    scene()
