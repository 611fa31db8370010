"""Market orders with protection and for money; minimum quantity, all or none."""

import pytest

from engine import EventKind, Exchange, OrderType, Reason, TimeInForce
from tests.conftest import BUY, MAKER, SELL, TAKER, WIDE, check, depth, new_exchange, refused, told, trades
from tests.engine.oracle_model import fee

MARKET = OrderType.MARKET


@pytest.fixture
def costly() -> Exchange:
    """Fees of 3 % for takers; asks of 5 lots at 100 and 10 at 110, bids of 5 at 90 and 10 at 80; account 2 has 1,000 and 20 lots."""
    exchange = new_exchange(WIDE._replace(taker_fee=30_000), accounts=2, btc=100, usd=10_000)
    for side, price, size in ((SELL, 100, 5), (SELL, 110, 10), (BUY, 90, 5), (BUY, 80, 10)):
        exchange.place(0, 0, side, price, size)
    taker = exchange.open_account()
    exchange.deposit(taker, 0, 20)
    exchange.deposit(taker, 1, 1_000)
    return exchange


def test_protection(exchange: Exchange, asks: list[int]) -> None:
    exchange.place(TAKER, 0, BUY, 100, 20, type=MARKET)
    assert [price for _, price, _ in trades(exchange)] == [100, 100]
    [cancelled] = told(exchange, EventKind.CANCELLED)
    assert (cancelled.size, cancelled.reason, cancelled.price) == (8, Reason.UNFILLED, 100)
    with refused(Reason.UNFILLABLE):
        exchange.place(TAKER, 0, BUY, 100, 1, type=MARKET, time_in_force=TimeInForce.FOK)


def test_a_buy_for_money_spends_at_most_that_with_fees(costly: Exchange) -> None:
    """5 lots at 100 cost 500 and 15; of the 485 left 4 lots at 110 cost 440 and 13."""
    costly.place(2, 0, BUY, 0, 1_000, type=MARKET, quote=True)
    assert [(price, size) for _, price, size in trades(costly)] == [(100, 5), (110, 4)]
    assert costly.events[0].size == 9
    assert costly.balances(2) == [(29, 0), (1_000 - 515 - 453, 0)]
    assert told(costly, EventKind.CANCELLED) == []
    check(costly)


@pytest.mark.parametrize(("money", "lots"), [(102, 0), (103, 1), (514, 4), (515, 5), (627, 5), (628, 6)])
def test_to_the_last_unit(costly: Exchange, money: int, lots: int) -> None:
    """A lot costs 103; the sixth 110 and 3."""
    if lots:
        costly.place(2, 0, BUY, 0, money, type=MARKET, quote=True)
        assert sum(size for _, _, size in trades(costly)) == lots
        assert costly.balance(2, 1)[0] >= 1_000 - money
    else:
        with refused(Reason.UNFILLABLE):
            costly.place(2, 0, BUY, 0, money, type=MARKET, quote=True)


def test_a_sell_for_money_brings_in_at_most_that_before_fees(costly: Exchange) -> None:
    """5 lots at 90 bring in 450; of the 200 left 2 at 80."""
    costly.place(2, 0, SELL, 0, 650, type=MARKET, quote=True)
    assert [(price, size) for _, price, size in trades(costly)] == [(90, 5), (80, 2)]
    assert costly.balances(2) == [(13, 0), (1_000 + 610 - fee(30_000, 610), 0)]
    check(costly)


def test_money_ends_at_the_first_order_that_does_not_fit(costly: Exchange) -> None:
    """20 are left at 90, for which a lot could be had nowhere better; none is sought at 15."""
    costly.place(0, 0, BUY, 15, 1)
    costly.place(2, 0, SELL, 0, 380, type=MARKET, quote=True)
    assert [(price, size) for _, price, size in trades(costly)] == [(90, 4)]


def test_money_and_protection(costly: Exchange) -> None:
    costly.place(2, 0, BUY, 100, 1_000, type=MARKET, quote=True)
    assert [(price, size) for _, price, size in trades(costly)] == [(100, 5)]


@pytest.mark.parametrize(("side", "money"), [(BUY, 1_200), (SELL, 10_000)])
def test_money_that_is_not_there(costly: Exchange, side: int, money: int) -> None:
    costly.place(1, 0, BUY, 79, 10)
    with refused(Reason.INSUFFICIENT_FUNDS):
        costly.place(2, 0, side, 0, money, type=MARKET, quote=True)


@pytest.mark.parametrize(
    ("money", "reason"),
    [(0, Reason.SIZE_TOO_SMALL), (-5, Reason.SIZE_TOO_SMALL), ((1 << 62) + 1, Reason.NOTIONAL_TOO_LARGE)],
)
def test_what_is_no_money(costly: Exchange, money: int, reason: Reason) -> None:
    with refused(reason):
        costly.place(2, 0, BUY, 0, money, type=MARKET, quote=True)


def test_money_comes_to_a_size_within_the_limits() -> None:
    exchange = new_exchange(WIDE._replace(size_min=3, size_max=6), btc=100, usd=10_000)
    exchange.place(0, 0, SELL, 100, 6)
    exchange.place(0, 0, SELL, 100, 6)
    for money, reason in ((299, Reason.SIZE_TOO_SMALL), (700, Reason.SIZE_TOO_LARGE)):
        with refused(reason):
            exchange.place(1, 0, BUY, 0, money, type=MARKET, quote=True)
    exchange.place(1, 0, BUY, 0, 300, type=MARKET, quote=True)


@pytest.mark.parametrize("options", [{"type": 0}, {"type": 2, "stop": 100}, {"time_in_force": 2}, {"min_size": 1}])
def test_what_does_not_go_with_money(exchange: Exchange, options: dict[str, int]) -> None:
    with refused(Reason.UNKNOWN_OPTION):
        exchange.place(TAKER, 0, BUY, 100, 1_000, **{"type": MARKET, "quote": True, **options})    # type: ignore[arg-type]


# Minimum quantity


def test_a_minimum_is_there_at_once_or_nothing_happens(exchange: Exchange, asks: list[int]) -> None:
    with refused(Reason.UNFILLABLE):
        exchange.place(TAKER, 0, BUY, 100, 20, min_size=13)
    exchange.place(TAKER, 0, BUY, 100, 20, min_size=12)
    assert sum(size for _, _, size in trades(exchange)) == 12
    assert depth(exchange) == ([100, 8], [101, 10])


def test_all_or_none(exchange: Exchange, asks: list[int]) -> None:
    for options in ({"time_in_force": TimeInForce.IOC}, {}, {"type": MARKET}):
        with refused(Reason.UNFILLABLE):
            exchange.place(TAKER, 0, BUY, 101, 23, min_size=23, **options)    # type: ignore[arg-type]
    exchange.place(TAKER, 0, BUY, 101, 22, min_size=22, time_in_force=TimeInForce.IOC)
    assert depth(exchange) == ([], [])


def test_what_is_no_minimum(exchange: Exchange) -> None:
    for min_size, reason in ((-1, Reason.SIZE_TOO_SMALL), (6, Reason.SIZE_TOO_LARGE)):
        with refused(reason):
            exchange.place(TAKER, 0, BUY, 100, 5, min_size=min_size)
    with refused(Reason.UNKNOWN_OPTION):
        exchange.place(MAKER, 0, BUY, 100, 5, min_size=1, post_only=True)
