"""Cancel-on-disconnect, and the dead-man timer."""

from typing import Any

import pytest

from stream.wire.codes import ErrorCode
from stream.wire.frames import Orders
from stream.wire.messages import CancelOnDisconnect, Confirmed, DeadMan, Done, Error, Login, Logout, Place, Subscribe
from tests.setting import token
from tests.sockets import RawClient, run, serving
from tests.worlds import MILLISECOND, Desk, QuietMarket


@pytest.fixture
def market() -> QuietMarket:
    return QuietMarket()


def place(desk: Desk, count: int = 1) -> None:
    for _ in range(count):
        assert isinstance(desk.ask(Place, "BTC-USD", "buy", 100, 1)[0], Done)


def lose(desk: Desk) -> None:
    desk.market.disconnect(desk.session, desk.market.now)
    desk.market.tick(desk.market.now)


def open_orders(market: QuietMarket) -> int:
    return market.exchange.order_count


def test_nothing_is_cancelled_unless_it_was_asked_for(market: QuietMarket) -> None:
    desk = Desk(market).sign_in("alice")
    place(desk)
    lose(desk)
    market.pass_time(10_000)
    assert open_orders(market) == 1


def test_the_orders_of_a_connection_end_with_it(market: QuietMarket) -> None:
    one, other, bob = Desk(market).sign_in("alice"), Desk(market).sign_in("alice"), Desk(market).sign_in("bob")
    place(one)
    assert one.ask(CancelOnDisconnect, "connection") == [Confirmed(one.id)]
    place(one, 2)
    place(other)
    place(bob)
    lose(one)
    assert open_orders(market) == 3


def test_a_session_ends_when_nobody_returns_within_the_grace_period(market: QuietMarket) -> None:
    desk = Desk(market).sign_in("alice")
    desk.ask(CancelOnDisconnect, "session", 1000)
    place(desk, 3)
    lose(desk)
    market.pass_time(999)
    assert open_orders(market) == 3
    market.pass_time(1)
    assert open_orders(market) == 0


def test_who_returns_in_time_keeps_his_orders(market: QuietMarket) -> None:
    desk = Desk(market).sign_in("alice")
    desk.ask(CancelOnDisconnect, "session", 1000)
    place(desk)
    lose(desk)
    market.pass_time(900)
    again = Desk(market).sign_in("alice")
    market.pass_time(2000)
    assert open_orders(market) == 1
    again.ask(CancelOnDisconnect, "session", 500)
    still = Desk(market).sign_in("alice")
    lose(again)
    market.pass_time(2000)
    assert open_orders(market) == 1, "another connection of the account is there"
    lose(still)
    market.pass_time(2000)
    assert open_orders(market) == 1, "the last connection had not asked for it"


@pytest.mark.parametrize("scope", ["connection", "session"])
def test_a_clean_logout_keeps_the_orders(market: QuietMarket, scope: str) -> None:
    desk = Desk(market).sign_in("alice")
    desk.ask(CancelOnDisconnect, scope)
    desk.ask(Subscribe, ["orders"])
    place(desk)
    answers = desk.ask(Logout)
    assert Confirmed(desk.id) in answers
    lose(desk)
    market.pass_time(2000)
    assert open_orders(market) == 1


def test_after_a_logout_the_connection_is_nobodys_and_never_anothers(market: QuietMarket) -> None:
    desk = Desk(market).sign_in("alice")
    desk.ask(Subscribe, ["orders"])
    desk.ask(Logout)
    assert desk.ask(Place, "BTC-USD", "buy", 100, 1)[0].code == ErrorCode.NOT_SIGNED_IN
    assert desk.ask(Login, token("bob", market.now))[0].code == ErrorCode.ANOTHER_SUBJECT
    other = Desk(market).sign_in("alice")
    place(other)
    assert not [message for message in desk.hear() if isinstance(message, Orders)]
    desk.sign_in("alice")
    place(desk)


def test_a_dead_man_cancels_everything(market: QuietMarket) -> None:
    desk, bob = Desk(market).sign_in("alice"), Desk(market).sign_in("bob")
    place(desk, 2)
    place(bob)
    desk.ask(DeadMan, 1000)
    for _ in range(5):
        market.pass_time(900)
        desk.ask(DeadMan, 1000)
    assert open_orders(market) == 3
    market.pass_time(1000)
    assert open_orders(market) == 1
    place(desk)
    market.pass_time(5000)
    assert open_orders(market) == 2, "it strikes once"


def test_a_dead_man_is_stopped(market: QuietMarket) -> None:
    desk = Desk(market).sign_in("alice")
    place(desk)
    desk.ask(DeadMan, 1000)
    desk.ask(DeadMan, 0)
    market.pass_time(5000)
    assert open_orders(market) == 1


def test_a_dead_man_strikes_though_the_owner_is_gone(market: QuietMarket) -> None:
    desk = Desk(market).sign_in("alice")
    place(desk)
    desk.ask(DeadMan, 1000)
    lose(desk)
    Desk(market).sign_in("alice")
    market.pass_time(1001)
    assert open_orders(market) == 0


def test_the_market_wakes_by_itself_for_a_deadline(market: QuietMarket) -> None:
    desk = Desk(market).sign_in("alice")
    place(desk)
    desk.ask(DeadMan, 100)
    assert market.tick(market.now) <= market.now + 100 * MILLISECOND


@pytest.mark.parametrize(("request_kind", "fields"), [(CancelOnDisconnect, ("session", 10_000_000)), (DeadMan, (10_000_000,))])
def test_what_is_asked_for_has_a_limit_and_needs_the_scope(market: QuietMarket, request_kind: Any, fields: tuple[Any, ...]) -> None:
    assert Desk(market).sign_in("alice").ask(request_kind, *fields)[0].code == ErrorCode.TOO_LONG
    assert Desk(market).sign_in("bob", "account").ask(request_kind, *fields)[0].code == ErrorCode.MISSING_SCOPE
    (error,) = Desk(market).ask(request_kind, *fields)
    assert isinstance(error, Error)
    assert error.code == ErrorCode.NOT_SIGNED_IN


@run
async def test_a_connection_that_is_cut_takes_its_orders_along() -> None:
    async with serving() as server:
        header = f"Authorization: Bearer {token('alice', server.clock.now())}\r\n"
        client, _ = await RawClient.open(server.port, header)
        client.send(CancelOnDisconnect(1, "connection"))
        client.send(Place(2, "BTC-USD", "buy", 100, 1))
        for _ in range(3):
            await client.message()
        watcher, _ = await RawClient.open(server.port, header)
        await watcher.message()
        watcher.send(Subscribe(1, ["orders"]))
        await watcher.message()
        assert [update.event for update in (await watcher.message()).orders] == ["open"]
        client.writer.transport.abort()
        while not (frame := await watcher.message()).orders:
            pass
        assert [update.event for update in frame.orders] == ["cancelled"]
