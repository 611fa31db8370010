"""Post-only orders: refused, or slid."""

import pytest

from engine import Exchange, OrderType, Reason, TimeInForce
from tests.conftest import BUY, MAKER, SELL, TAKER, WIDE, depth, new_exchange, refused, trades


def test_it_is_refused_where_it_would_match(exchange: Exchange, asks: list[int]) -> None:
    for price in (100, 105):
        with refused(Reason.POST_ONLY_WOULD_TAKE):
            exchange.place(TAKER, 0, BUY, price, 1, post_only=True)
    exchange.place(TAKER, 0, BUY, 99, 1, post_only=True)


def test_it_slides_to_a_tick_from_the_best(exchange: Exchange, asks: list[int]) -> None:
    order = exchange.place(TAKER, 0, BUY, 105, 1, post_only=True, slide=True)
    assert (exchange.events[0].price, depth(exchange)[0]) == (99, [99, 1])
    assert exchange.balance(TAKER, 1)[1] == 99
    exchange.place(MAKER, 0, SELL, 90, 2, post_only=True, slide=True)
    assert depth(exchange)[1][:2] == [100, 14]
    assert (trades(exchange), exchange.orders(TAKER)[0].order) == ([], order)


def test_where_it_would_rest_it_stays(exchange: Exchange, asks: list[int]) -> None:
    exchange.place(TAKER, 0, BUY, 95, 1, post_only=True, slide=True)
    assert depth(exchange)[0] == [95, 1]


def test_there_must_be_a_price_to_slide_to() -> None:
    exchange = new_exchange(WIDE._replace(price_max=10), btc=100, usd=1_000)
    exchange.place(0, 0, SELL, 1, 1)
    with refused(Reason.POST_ONLY_WOULD_TAKE):
        exchange.place(1, 0, BUY, 5, 1, post_only=True, slide=True)
    exchange.cancel_all(0)
    exchange.place(0, 0, BUY, 10, 1)
    with refused(Reason.POST_ONLY_WOULD_TAKE):
        exchange.place(1, 0, SELL, 5, 1, post_only=True, slide=True)


def test_a_replace_does_not_slide(exchange: Exchange, asks: list[int]) -> None:
    order = exchange.place(TAKER, 0, BUY, 95, 1, post_only=True, slide=True)
    with refused(Reason.POST_ONLY_WOULD_TAKE, order):
        exchange.replace(TAKER, order, 100, 1)
    exchange.replace(TAKER, order, 99, 1)


@pytest.mark.parametrize("options", [{"time_in_force": TimeInForce.IOC}, {"time_in_force": TimeInForce.FOK}, {"type": OrderType.MARKET}, {"min_size": 1}])
def test_it_needs_to_stay(exchange: Exchange, options: dict[str, int]) -> None:
    for slide in (False, True):
        with refused(Reason.UNKNOWN_OPTION):
            exchange.place(TAKER, 0, BUY, 95, 1, post_only=True, slide=slide, **options)    # type: ignore[arg-type]


def test_only_post_only_orders_slide(exchange: Exchange) -> None:
    with refused(Reason.UNKNOWN_OPTION):
        exchange.place(TAKER, 0, BUY, 95, 1, slide=True)


def test_a_sliding_iceberg(exchange: Exchange, asks: list[int]) -> None:
    exchange.place(TAKER, 0, BUY, 100, 9, post_only=True, slide=True, display=2, time_in_force=TimeInForce.DAY)
    assert depth(exchange)[0] == [99, 2]
