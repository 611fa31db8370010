"""The rules of matching, one test for each. Accounts 0 and 1 make, account 2 takes; a lot at one tick is one unit of USD."""

import pytest

from engine import EventKind, Exchange, Order, OrderBook, OrderType, Reason, TimeInForce
from tests.conftest import BTC_USD, BUY, MAKER, SELL, TAKER, depth, kinds, queue, refused, told, trades

GTC, IOC, FOK = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK
LIMIT, MARKET = OrderType.LIMIT, OrderType.MARKET


# Price-time priority


def test_an_order_that_meets_nobody_rests(exchange: Exchange) -> None:
    order = exchange.place(MAKER, 0, BUY, 100, 5, client_id=9)
    assert kinds(exchange) == [EventKind.ACCEPTED]
    assert exchange.order(order) == Order(order, 9, MAKER, 0, BUY, 100, 5, 0, 0, False, displayed=5)
    assert depth(exchange) == ([100, 5], [])


def test_the_best_price_is_matched_first(exchange: Exchange) -> None:
    worse, better = exchange.place(MAKER, 0, SELL, 102, 5), exchange.place(MAKER, 0, SELL, 101, 5)
    exchange.place(TAKER, 0, BUY, 102, 8)
    assert trades(exchange) == [(better, 101, 5), (worse, 102, 3)]
    worse, better = exchange.place(MAKER, 0, BUY, 90, 5), exchange.place(MAKER, 0, BUY, 91, 5)
    exchange.place(TAKER, 0, SELL, 90, 8)
    assert trades(exchange) == [(better, 91, 5), (worse, 90, 3)]


def test_the_oldest_order_at_a_price_is_matched_first(exchange: Exchange, asks: list[int]) -> None:
    exchange.place(TAKER, 0, BUY, 100, 6)
    assert trades(exchange) == [(asks[0], 100, 5), (asks[1], 100, 1)]
    assert queue(exchange, SELL, 100) == [(asks[1], 6)]


def test_a_trade_is_at_the_makers_price(exchange: Exchange, asks: list[int]) -> None:
    exchange.place(TAKER, 0, BUY, 500, 5)
    assert trades(exchange) == [(asks[0], 100, 5)]


def test_a_partly_filled_maker_keeps_its_place(exchange: Exchange, asks: list[int]) -> None:
    exchange.place(TAKER, 0, BUY, 100, 1)
    assert queue(exchange, SELL, 100) == [(asks[0], 4), (asks[1], 7)]


def test_a_limit_is_not_passed(exchange: Exchange, asks: list[int]) -> None:
    order = exchange.place(TAKER, 0, BUY, 100, 20)
    assert trades(exchange) == [(asks[0], 100, 5), (asks[1], 100, 7)]
    assert depth(exchange) == ([100, 8], [101, 10])
    assert queue(exchange, BUY, 100) == [(order, 8)]


def test_what_a_fill_tells(exchange: Exchange, asks: list[int]) -> None:
    """First the trade, then the maker's fill, then the taker's, each with its own totals so far."""
    taker = exchange.place(TAKER, 0, BUY, 101, 13, client_id=44)
    events = [event for event in exchange.events if event.kind in (EventKind.TRADE, EventKind.FILLED)][-3:]
    trade, maker_fill, taker_fill = events
    assert (trade.order, trade.maker, trade.side, trade.price, trade.size, trade.value) == (taker, asks[2], BUY, 101, 1, 101)
    assert (maker_fill.order, maker_fill.client_id, maker_fill.account, maker_fill.side, maker_fill.flags) == (asks[2], 0, MAKER, SELL, 0)
    assert (maker_fill.price, maker_fill.size, maker_fill.remaining, maker_fill.filled, maker_fill.value) == (101, 1, 9, 1, 101)
    assert (taker_fill.order, taker_fill.client_id, taker_fill.account, taker_fill.side, taker_fill.flags) == (taker, 44, TAKER, BUY, 2)
    assert (taker_fill.price, taker_fill.size, taker_fill.remaining, taker_fill.filled, taker_fill.value) == (101, 1, 0, 13, 12 * 100 + 101)


def test_levels_are_told_once_with_what_is_there_at_the_end(exchange: Exchange, asks: list[int]) -> None:
    exchange.place(TAKER, 0, BUY, 101, 13)
    assert [(level.side, level.price, level.size, level.orders) for level in told(exchange, EventKind.LEVEL)] == [(SELL, 100, 0, 0), (SELL, 101, 9, 1)]


def test_an_account_may_trade_with_itself(exchange: Exchange) -> None:
    maker = exchange.place(MAKER, 0, SELL, 100, 5)
    before = exchange.balances(MAKER)
    exchange.place(MAKER, 0, BUY, 100, 5)
    assert trades(exchange) == [(maker, 100, 5)]
    assert exchange.balances(MAKER) == [(before[0][0] + before[0][1], 0), before[1]]


def test_books_do_not_mix(exchange: Exchange) -> None:
    exchange.add_instrument(BTC_USD._replace(name="BTC-USD-2"))
    exchange.place(MAKER, 0, SELL, 100, 5)
    exchange.place(TAKER, 1, BUY, 100, 5)
    assert trades(exchange) == []
    assert [book.levels.depth() for book in exchange.books] == [([], [100, 5]), ([100, 5], [])]


# Time in force


def test_immediate_or_cancel_never_rests(exchange: Exchange, asks: list[int]) -> None:
    order = exchange.place(TAKER, 0, BUY, 100, 20, time_in_force=IOC)
    assert trades(exchange) == [(asks[0], 100, 5), (asks[1], 100, 7)]
    [cancelled] = told(exchange, EventKind.CANCELLED)
    assert (cancelled.order, cancelled.price, cancelled.size, cancelled.filled, cancelled.value) == (order, 100, 8, 12, 1200)
    assert (cancelled.remaining, cancelled.reason) == (0, Reason.UNFILLED)
    assert depth(exchange) == ([], [101, 10])
    assert exchange.order(order) is None


def test_immediate_or_cancel_in_an_empty_book(exchange: Exchange) -> None:
    before = exchange.balances(TAKER)
    exchange.place(TAKER, 0, BUY, 100, 20, time_in_force=IOC)
    assert kinds(exchange) == [EventKind.ACCEPTED, EventKind.CANCELLED]
    assert exchange.balances(TAKER) == before


def test_fill_or_kill_fills_whole(exchange: Exchange, asks: list[int]) -> None:
    exchange.place(TAKER, 0, BUY, 101, 22, time_in_force=FOK)
    assert sum(size for _, _, size in trades(exchange)) == 22
    assert depth(exchange) == ([], [])


@pytest.mark.parametrize(("price", "size"), [(100, 13), (101, 23), (99, 1)])
def test_fill_or_kill_does_nothing_if_the_makers_within_its_limit_do_not_cover_it(exchange: Exchange, asks: list[int], price: int, size: int) -> None:
    before = depth(exchange)
    with refused(Reason.UNFILLABLE):
        exchange.place(TAKER, 0, BUY, price, size, time_in_force=FOK)
    assert depth(exchange) == before


# Market orders


def test_a_market_order_takes_any_price(exchange: Exchange, asks: list[int]) -> None:
    exchange.place(TAKER, 0, BUY, 0, 15, type=MARKET)
    assert trades(exchange) == [(asks[0], 100, 5), (asks[1], 100, 7), (asks[2], 101, 3)]


def test_a_market_order_stops_at_its_protection_price(exchange: Exchange, asks: list[int]) -> None:
    exchange.place(TAKER, 0, BUY, 100, 15, type=MARKET)
    assert trades(exchange) == [(asks[0], 100, 5), (asks[1], 100, 7)]
    [cancelled] = told(exchange, EventKind.CANCELLED)
    assert (cancelled.size, cancelled.reason) == (3, Reason.UNFILLED)


@pytest.mark.parametrize("time_in_force", [GTC, IOC])
def test_a_market_order_never_rests(exchange: Exchange, time_in_force: TimeInForce) -> None:
    exchange.place(TAKER, 0, SELL, 0, 15, type=MARKET, time_in_force=time_in_force)
    assert kinds(exchange) == [EventKind.ACCEPTED, EventKind.CANCELLED]
    assert exchange.order_count == 0


def test_a_market_order_that_must_fill_or_be_killed(exchange: Exchange, asks: list[int]) -> None:
    with refused(Reason.UNFILLABLE):
        exchange.place(TAKER, 0, BUY, 0, 23, type=MARKET, time_in_force=FOK)
    with refused(Reason.UNFILLABLE):
        exchange.place(TAKER, 0, BUY, 100, 13, type=MARKET, time_in_force=FOK)
    exchange.place(TAKER, 0, BUY, 0, 22, type=MARKET, time_in_force=FOK)
    assert depth(exchange) == ([], [])


# Post-only


def test_post_only_rests_and_says_so(exchange: Exchange, asks: list[int]) -> None:
    order = exchange.place(TAKER, 0, BUY, 99, 5, post_only=True)
    told_order = exchange.order(order)
    assert told_order is not None
    assert told_order.post_only


def test_post_only_that_would_take_is_refused(exchange: Exchange, asks: list[int]) -> None:
    with refused(Reason.POST_ONLY_WOULD_TAKE):
        exchange.place(TAKER, 0, BUY, 100, 5, post_only=True)
    with refused(Reason.POST_ONLY_WOULD_TAKE):
        exchange.place(MAKER, 0, BUY, 101, 5, post_only=True)


@pytest.mark.parametrize(("type", "time_in_force"), [(MARKET, GTC), (MARKET, IOC), (LIMIT, IOC), (LIMIT, FOK)])
def test_post_only_goes_with_resting_limit_orders_alone(exchange: Exchange, type: OrderType, time_in_force: TimeInForce) -> None:
    with refused(Reason.UNKNOWN_OPTION):
        exchange.place(TAKER, 0, BUY, 100, 5, type=type, time_in_force=time_in_force, post_only=True)


def test_a_book_is_made_by_an_exchange_alone() -> None:
    with pytest.raises(TypeError):
        OrderBook()
