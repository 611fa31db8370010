"""Orders that end at a time: GTD and DAY, and the clock that comes with the commands."""

import pytest

from engine import EventKind, Exchange, OrderType, Reason, TimeInForce
from tests.conftest import BTC_USD, BUY, MAKER, OTHER, SELL, TAKER, depth, kinds, refused, told, trades

GTD, DAY = TimeInForce.GTD, TimeInForce.DAY
DAY_NS = 86_400 * 10**9


def ended(exchange: Exchange) -> list[int]:
    return [event.order for event in told(exchange, EventKind.CANCELLED) if event.reason == Reason.EXPIRED]


def test_an_order_expires_with_the_first_command_at_its_time(exchange: Exchange) -> None:
    order = exchange.place(MAKER, 0, BUY, 100, 5, time_in_force=GTD, expires=1_000, time=10)
    exchange.advance(999)
    assert (kinds(exchange), depth(exchange)) == ([EventKind.ADVANCED], ([100, 5], []))
    exchange.advance(1_000)
    assert (ended(exchange), depth(exchange), exchange.balance(MAKER, 1)[1]) == ([order], ([], []), 0)


def test_it_is_gone_before_the_command_runs(exchange: Exchange) -> None:
    expired = exchange.place(MAKER, 0, SELL, 100, 5, time_in_force=GTD, expires=1_000)
    taker = exchange.place(TAKER, 0, BUY, 100, 5, time=1_000)
    assert (ended(exchange), trades(exchange)) == ([expired], [])
    assert exchange.events.outcome(0).order == taker
    assert kinds(exchange) == [EventKind.CANCELLED, EventKind.ACCEPTED]


def test_a_refused_command_moves_the_clock_too(exchange: Exchange) -> None:
    order = exchange.place(MAKER, 0, SELL, 100, 5, time_in_force=GTD, expires=1_000)
    with refused(Reason.UNKNOWN_ORDER, 77):
        exchange.cancel(MAKER, 77, time=2_000)
    assert ended(exchange) == [order]


def test_by_time_and_then_the_oldest_first(exchange: Exchange) -> None:
    times = (30, 10, 20, 10, 40)
    orders = [exchange.place(MAKER, 0, BUY, 50 + n, 1, time_in_force=GTD, expires=time) for n, time in enumerate(times)]
    exchange.cancel(MAKER, orders[2])
    exchange.advance(30)
    assert ended(exchange) == [orders[1], orders[3], orders[0]]
    exchange.advance(100)
    assert ended(exchange) == [orders[4]]


def test_the_clock_never_goes_back(exchange: Exchange) -> None:
    exchange.advance(500)
    exchange.place(MAKER, 0, BUY, 50, 1, time=100)
    assert exchange.clock == 500
    for expires in (499, 500, 0, -1):
        with refused(Reason.ALREADY_EXPIRED):
            exchange.place(MAKER, 0, BUY, 50, 1, time_in_force=GTD, expires=expires, time=100)
    exchange.place(MAKER, 0, BUY, 50, 1, time_in_force=GTD, expires=501, time=100)


def test_the_clock_ends_at_2_to_the_62(exchange: Exchange) -> None:
    exchange.place(MAKER, 0, BUY, 50, 1, time_in_force=GTD, expires=(1 << 63) - 1)
    exchange.advance((1 << 63) - 1)
    assert (exchange.clock, len(exchange.orders(MAKER))) == (1 << 62, 1)


@pytest.mark.parametrize(
    ("day_end", "placed", "expires"),
    [
        (0, 0, DAY_NS), (0, 1, DAY_NS), (0, DAY_NS - 1, DAY_NS), (0, DAY_NS, 2 * DAY_NS),
        (3_600, 0, 3_600 * 10**9), (3_600, 3_600 * 10**9 - 1, 3_600 * 10**9), (3_600, 3_600 * 10**9, DAY_NS + 3_600 * 10**9),
        (86_399, 5 * DAY_NS, 5 * DAY_NS + 86_399 * 10**9),
    ],
)
def test_a_day_order_ends_with_the_instruments_day(exchange: Exchange, day_end: int, placed: int, expires: int) -> None:
    book = exchange.add_instrument(BTC_USD._replace(name="other", day_end=day_end))
    order = exchange.place(MAKER, book, BUY, 50, 1, time_in_force=DAY, time=placed)
    assert exchange.orders(MAKER)[0].expires == expires
    exchange.advance(expires - 1)
    assert len(exchange.orders(MAKER)) == 1
    exchange.advance(expires)
    assert ended(exchange) == [order]


def test_a_waiting_stop_expires(exchange: Exchange) -> None:
    order = exchange.place(TAKER, 0, SELL, 0, 5, type=OrderType.STOP, stop=90, time_in_force=GTD, expires=9)
    exchange.advance(9)
    assert (ended(exchange), exchange.balance(TAKER, 0)[1]) == ([order], 0)


def test_a_triggered_stop_limit_still_expires(exchange: Exchange) -> None:
    order = exchange.place(TAKER, 0, BUY, 99, 5, type=OrderType.STOP_LIMIT, stop=100, time_in_force=GTD, expires=9)
    exchange.place(MAKER, 0, SELL, 100, 1)
    exchange.place(OTHER, 0, BUY, 100, 1)
    assert depth(exchange) == ([99, 5], [])
    exchange.advance(9)
    assert ended(exchange) == [order]


def test_what_was_filled_does_not_expire(exchange: Exchange) -> None:
    exchange.place(MAKER, 0, SELL, 100, 1, time_in_force=GTD, expires=9)
    exchange.place(TAKER, 0, BUY, 100, 1)
    later = exchange.place(MAKER, 0, SELL, 100, 1)
    exchange.advance(9)
    assert (ended(exchange), exchange.orders(MAKER)[0].order) == ([], later)


def test_a_replaced_order_keeps_its_expiry(exchange: Exchange) -> None:
    order = exchange.place(MAKER, 0, BUY, 50, 1, time_in_force=GTD, expires=9)
    exchange.replace(MAKER, order, 60, 5)
    exchange.advance(9)
    assert ended(exchange) == [order]


def test_the_expiry_is_for_gtd_alone(exchange: Exchange) -> None:
    for time_in_force in (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, DAY):
        with refused(Reason.UNKNOWN_OPTION):
            exchange.place(MAKER, 0, BUY, 50, 1, time_in_force=time_in_force, expires=9)
    for time_in_force in (GTD, DAY):
        with refused(Reason.UNKNOWN_OPTION):
            exchange.place(MAKER, 0, BUY, 0, 1, type=OrderType.MARKET, time_in_force=time_in_force)


def test_a_thousand_expiries(exchange: Exchange) -> None:
    """In the order of their times, whatever was cancelled in between."""
    orders = {exchange.place(MAKER, 0, BUY, 50, 1, time_in_force=GTD, expires=1 + n * 7919 % 1009): 1 + n * 7919 % 1009 for n in range(1_000)}
    for order in list(orders)[::3]:
        exchange.cancel(MAKER, order)
        del orders[order]
        exchange.check()
    for now in (100, 400, 401, 2_000):
        exchange.advance(now)
        due = sorted((order for order in orders if orders[order] <= now), key=lambda order: (orders[order], order))
        assert ended(exchange) == due
        orders = {order: time for order, time in orders.items() if time > now}
        exchange.check()
