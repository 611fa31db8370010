"""What is done to an order after it was placed, and how orders are named. Accounts 0 and 1 make, account 2 takes."""

from functools import partial

import pytest

from engine import EventKind, Exchange, Order, OrderType, Reason, TimeInForce
from tests.conftest import BTC_USD, BUY, MAKER, OTHER, SELL, TAKER, depth, kinds, queue, refused, told, trades

IOC = TimeInForce.IOC


# Cancel


def test_cancel(exchange: Exchange, asks: list[int]) -> None:
    exchange.place(TAKER, 0, BUY, 100, 2)
    exchange.cancel(MAKER, asks[0])
    [cancelled] = told(exchange, EventKind.CANCELLED)
    assert (cancelled.order, cancelled.price, cancelled.size, cancelled.filled, cancelled.value) == (asks[0], 100, 3, 2, 200)
    assert (cancelled.remaining, cancelled.reason) == (0, Reason.REQUESTED)
    assert depth(exchange) == ([], [100, 7, 101, 10])


def test_cancel_in_the_middle_of_a_queue(exchange: Exchange) -> None:
    first, middle, last = (exchange.place(MAKER, 0, SELL, 100, size) for size in (1, 2, 3))
    exchange.cancel(MAKER, middle)
    assert queue(exchange, SELL, 100) == [(first, 1), (last, 3)]


def test_an_order_of_another_account_is_unknown(exchange: Exchange, asks: list[int]) -> None:
    for command in (exchange.cancel, partial(exchange.reduce, by=1), partial(exchange.replace, price=100, size=1)):
        with refused(Reason.UNKNOWN_ORDER, asks[0]):
            command(TAKER, asks[0])
        with refused(Reason.UNKNOWN_ORDER, 12345):
            command(TAKER, 12345)
        with refused(Reason.UNKNOWN_ORDER):
            command(TAKER, 0)


def test_a_done_order_is_unknown(exchange: Exchange, asks: list[int]) -> None:
    exchange.place(TAKER, 0, BUY, 100, 5)
    with refused(Reason.UNKNOWN_ORDER, asks[0]):
        exchange.cancel(MAKER, asks[0])


def test_cancel_all_takes_the_oldest_first(exchange: Exchange, asks: list[int]) -> None:
    bid = exchange.place(MAKER, 0, BUY, 99, 1)
    exchange.replace(MAKER, asks[0], 105, 5)
    assert exchange.cancel_all(MAKER) == 3
    assert [event.order for event in told(exchange, EventKind.CANCELLED)] == [asks[0], asks[2], bid]
    assert kinds(exchange)[-1] == EventKind.ALL_CANCELLED
    assert depth(exchange) == ([], [100, 7])


def test_cancel_all_of_one_instrument(exchange: Exchange) -> None:
    exchange.add_instrument(BTC_USD._replace(name="BTC-USD-2"))
    exchange.place(MAKER, 0, SELL, 100, 1)
    other = exchange.place(MAKER, 1, SELL, 100, 1)
    assert exchange.cancel_all(MAKER, 0) == 1
    assert [order.order for order in exchange.orders(MAKER)] == [other]
    with refused(Reason.UNKNOWN_INSTRUMENT):
        exchange.cancel_all(MAKER, 2)


def test_cancel_all_of_nothing(exchange: Exchange) -> None:
    assert exchange.cancel_all(MAKER) == 0
    assert [(event.kind, event.orders) for event in exchange.events] == [(EventKind.ALL_CANCELLED, 0)]


# Reduce


def test_reduce_keeps_the_place(exchange: Exchange, asks: list[int]) -> None:
    exchange.reduce(MAKER, asks[0], 3)
    [reduced] = told(exchange, EventKind.REDUCED)
    assert (reduced.order, reduced.price, reduced.size, reduced.remaining) == (asks[0], 100, 3, 2)
    assert queue(exchange, SELL, 100) == [(asks[0], 2), (asks[1], 7)]


@pytest.mark.parametrize("by", [5, 6, (1 << 63) - 1])
def test_reduce_by_all_cancels(exchange: Exchange, asks: list[int], by: int) -> None:
    exchange.reduce(MAKER, asks[0], by)
    [cancelled] = told(exchange, EventKind.CANCELLED)
    assert (cancelled.size, cancelled.reason) == (5, Reason.REQUESTED)


@pytest.mark.parametrize("by", [0, -1, -(1 << 63)])
def test_reduce_by_nothing_is_refused(exchange: Exchange, asks: list[int], by: int) -> None:
    with refused(Reason.SIZE_TOO_SMALL, asks[0]):
        exchange.reduce(MAKER, asks[0], by)


# Replace


def test_replace_with_a_smaller_size_at_the_same_price_keeps_the_place(exchange: Exchange, asks: list[int]) -> None:
    exchange.replace(MAKER, asks[0], 100, 2)
    assert queue(exchange, SELL, 100) == [(asks[0], 2), (asks[1], 7)]
    assert kinds(exchange) == [EventKind.REPLACED]


def test_replace_with_a_larger_size_goes_to_the_tail(exchange: Exchange, asks: list[int]) -> None:
    exchange.replace(MAKER, asks[0], 100, 6)
    assert queue(exchange, SELL, 100) == [(asks[1], 7), (asks[0], 6)]


def test_replace_with_another_price_goes_to_the_tail_there(exchange: Exchange, asks: list[int]) -> None:
    exchange.replace(OTHER, asks[1], 101, 7)
    assert queue(exchange, SELL, 101) == [(asks[2], 10), (asks[1], 7)]
    assert [(level.price, level.size) for level in told(exchange, EventKind.LEVEL)] == [(100, 5), (101, 17)]


def test_replace_with_a_crossing_price_takes(exchange: Exchange, asks: list[int]) -> None:
    bid = exchange.place(TAKER, 0, BUY, 99, 8, client_id=5)
    exchange.replace(TAKER, bid, 100, 20)
    assert kinds(exchange) == [EventKind.REPLACED] + [EventKind.TRADE, EventKind.FILLED, EventKind.FILLED] * 2
    assert trades(exchange) == [(asks[0], 100, 5), (asks[1], 100, 7)]
    assert queue(exchange, BUY, 100) == [(bid, 8)]


def test_a_replaced_order_goes_on_with_its_id_and_its_fills(exchange: Exchange, asks: list[int]) -> None:
    exchange.place(TAKER, 0, BUY, 100, 2)
    exchange.replace(MAKER, asks[0], 103, 9)
    assert exchange.order(asks[0]) == Order(asks[0], 0, MAKER, 0, SELL, 103, 9, 2, 200, False, displayed=9)


def test_a_refused_replace_leaves_the_order_and_its_place(exchange: Exchange, asks: list[int]) -> None:
    for price, size, reason in (
        (0, 5, Reason.PRICE_OUT_OF_RANGE),
        (1_000_001, 5, Reason.PRICE_OUT_OF_RANGE),
        (100, 0, Reason.SIZE_TOO_SMALL),
        (100, 1_000_001, Reason.SIZE_TOO_LARGE),
    ):
        with refused(reason, asks[0]):
            exchange.replace(MAKER, asks[0], price, size)
    assert queue(exchange, SELL, 100) == [(asks[0], 5), (asks[1], 7)]


def test_a_post_only_order_stays_one_when_it_is_replaced(exchange: Exchange, asks: list[int]) -> None:
    bid = exchange.place(TAKER, 0, BUY, 98, 5, post_only=True)
    with refused(Reason.POST_ONLY_WOULD_TAKE, bid):
        exchange.replace(TAKER, bid, 100, 5)
    exchange.replace(TAKER, bid, 99, 5)
    assert queue(exchange, BUY, 99) == [(bid, 5)]


def test_a_post_only_order_would_also_take_from_its_own_account(exchange: Exchange, asks: list[int]) -> None:
    bid = exchange.place(MAKER, 0, BUY, 98, 5, post_only=True)
    with refused(Reason.POST_ONLY_WOULD_TAKE, bid):
        exchange.replace(MAKER, bid, 100, 5)


# Client ids


def test_a_client_id_names_an_open_order(exchange: Exchange) -> None:
    order = exchange.place(MAKER, 0, BUY, 100, 5, client_id=7)
    exchange.reduce(MAKER, 0, 1, client_id=7)
    exchange.replace(MAKER, 0, 99, 9, client_id=7)
    assert queue(exchange, BUY, 99) == [(order, 9)]
    exchange.cancel(MAKER, client_id=7)
    with refused(Reason.UNKNOWN_ORDER):
        exchange.cancel(MAKER, client_id=7)


def test_a_client_id_that_was_used_is_refused_with_the_first_order(exchange: Exchange) -> None:
    order = exchange.place(MAKER, 0, BUY, 100, 5, client_id=7)
    with refused(Reason.DUPLICATE_CLIENT_ID, order):
        exchange.place(MAKER, 0, BUY, 101, 6, client_id=7)
    exchange.cancel(MAKER, order)
    with refused(Reason.DUPLICATE_CLIENT_ID, order):
        exchange.place(MAKER, 0, BUY, 101, 6, client_id=7)


def test_client_ids_are_the_accounts_own(exchange: Exchange) -> None:
    one, other = exchange.place(MAKER, 0, BUY, 100, 5, client_id=7), exchange.place(OTHER, 0, BUY, 100, 5, client_id=7)
    exchange.cancel(OTHER, client_id=7)
    assert queue(exchange, BUY, 100) == [(one, 5)]
    assert exchange.order(other) is None


def test_a_refused_order_does_not_use_its_client_id(exchange: Exchange) -> None:
    with refused(Reason.PRICE_OUT_OF_RANGE):
        exchange.place(MAKER, 0, BUY, 0, 5, client_id=7)
    exchange.place(MAKER, 0, BUY, 100, 5, client_id=7)


def test_the_client_ids_of_done_orders_are_forgotten_after_a_while() -> None:
    exchange = Exchange(client_ids_max=2)
    exchange.add_asset("BTC", 8)
    exchange.add_asset("USD", 6)
    exchange.add_instrument(BTC_USD)
    exchange.open_account()
    exchange.deposit(0, 1, 10**9)
    exchange.place(0, 0, BUY, 50, 1, client_id=99)
    done = [exchange.place(0, 0, BUY, 100, 1, time_in_force=IOC, client_id=client_id) for client_id in (1, 2, 3)]
    with refused(Reason.DUPLICATE_CLIENT_ID, done[1]):
        exchange.place(0, 0, BUY, 100, 1, client_id=2)
    exchange.place(0, 0, BUY, 100, 1, client_id=1)
    with refused(Reason.DUPLICATE_CLIENT_ID, exchange.orders(0)[0].order):
        exchange.place(0, 0, BUY, 100, 1, client_id=99)


# Order ids


def test_an_order_id_is_a_number_and_a_slot(exchange: Exchange) -> None:
    assert [exchange.place(MAKER, 0, BUY, 100, 1) for _ in range(3)] == [1 << 24 | 1, 2 << 24 | 2, 3 << 24 | 3]


def test_the_slot_that_became_free_last_is_used_first(exchange: Exchange) -> None:
    orders = [exchange.place(MAKER, 0, SELL, 100, 1) for _ in range(3)]
    exchange.cancel(MAKER, orders[1])
    exchange.cancel(MAKER, orders[0])
    assert [exchange.place(MAKER, 0, BUY, 1, 1) & 0xFFFFFF for _ in range(3)] == [1, 2, 4]


def test_a_taker_gives_its_slot_back_after_its_makers(exchange: Exchange) -> None:
    makers = [exchange.place(MAKER, 0, SELL, 100, 1) for _ in range(2)]
    taker = exchange.place(TAKER, 0, BUY, 100, 2)
    assert [exchange.place(MAKER, 0, BUY, 1, 1) & 0xFFFFFF for _ in range(3)] == [order & 0xFFFFFF for order in (taker, makers[1], makers[0])]


def test_an_old_id_does_not_name_the_next_order_in_its_slot(exchange: Exchange) -> None:
    old = exchange.place(MAKER, 0, BUY, 100, 1)
    exchange.cancel(MAKER, old)
    new = exchange.place(MAKER, 0, BUY, 100, 1)
    assert new & 0xFFFFFF == old & 0xFFFFFF
    assert exchange.order(old) is None
    with refused(Reason.UNKNOWN_ORDER, old):
        exchange.cancel(MAKER, old)


# Limits


def test_prices_are_from_1_to_price_max(exchange: Exchange) -> None:
    for price in (0, -1, 1_000_001, (1 << 63) - 1, -(1 << 63)):
        with refused(Reason.PRICE_OUT_OF_RANGE):
            exchange.place(MAKER, 0, BUY, price, 1)
    for price in (-1, 1_000_001):
        with refused(Reason.PRICE_OUT_OF_RANGE):
            exchange.place(MAKER, 0, BUY, price, 1, type=OrderType.MARKET)
    for price in (1, 1_000_000):
        exchange.place(MAKER, 0, BUY, price, 1)


def test_sizes_are_from_size_min_to_size_max(exchange: Exchange) -> None:
    exchange.add_instrument(BTC_USD._replace(name="BTC-USD-2", size_min=10, size_max=20))
    for size, reason in ((9, Reason.SIZE_TOO_SMALL), (0, Reason.SIZE_TOO_SMALL), (-(1 << 63), Reason.SIZE_TOO_SMALL), (21, Reason.SIZE_TOO_LARGE)):
        with refused(reason):
            exchange.place(MAKER, 1, BUY, 100, size)
    order = exchange.place(MAKER, 1, BUY, 100, 10)
    exchange.place(MAKER, 1, BUY, 100, 20)
    with refused(Reason.SIZE_TOO_SMALL, order):
        exchange.replace(MAKER, order, 100, 9)
    exchange.reduce(MAKER, order, 9)
    assert exchange.books[1].queue(BUY, 100)[0].remaining == 1


def test_there_is_room_for_orders_max_orders() -> None:
    exchange = Exchange(orders_max=2)
    exchange.add_asset("BTC", 8)
    exchange.add_asset("USD", 6)
    exchange.add_instrument(BTC_USD)
    exchange.open_account()
    exchange.deposit(0, 1, 1000)
    order = exchange.place(0, 0, BUY, 100, 1)
    exchange.place(0, 0, BUY, 100, 1)
    for time_in_force in (TimeInForce.GTC, TimeInForce.DAY):
        with refused(Reason.TOO_MANY_ORDERS):
            exchange.place(0, 0, BUY, 100, 1, time_in_force=time_in_force)
    exchange.cancel(0, order)
    exchange.place(0, 0, BUY, 100, 1)
