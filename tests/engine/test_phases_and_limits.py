"""Halts, price bands, limits of accounts and instruments, fee tiers."""

import pytest

from engine import MONEY_MAX, EventKind, Exchange, OrderType, Phase, Reason, SelfTrade, TimeInForce
from tests.conftest import BTC_USD, BUY, MAKER, OTHER, SELL, TAKER, WIDE, check, depth, kinds, new_exchange, refused, told, trades

# Halts


def test_a_halt_refuses_orders_and_lets_cancels_pass(exchange: Exchange, asks: list[int]) -> None:
    exchange.set_phase(0, Phase.HALT)
    assert kinds(exchange) == [EventKind.PHASE]
    with refused(Reason.HALTED):
        exchange.place(TAKER, 0, BUY, 100, 1)
    with refused(Reason.HALTED, asks[0]):
        exchange.replace(MAKER, asks[0], 100, 1)
    exchange.reduce(MAKER, asks[0], 1)
    exchange.cancel(OTHER, asks[1])
    exchange.cancel_all(MAKER)
    assert depth(exchange) == ([], [])
    exchange.set_phase(0, Phase.TRADING)
    exchange.place(TAKER, 0, BUY, 100, 1)


def test_orders_expire_in_a_halt(exchange: Exchange) -> None:
    exchange.place(MAKER, 0, BUY, 100, 1, time_in_force=TimeInForce.GTD, expires=5)
    exchange.set_phase(0, Phase.HALT)
    exchange.advance(5)
    assert depth(exchange) == ([], [])


def test_a_halt_is_of_one_instrument(exchange: Exchange) -> None:
    exchange.add_instrument(BTC_USD._replace(name="other"))
    exchange.set_phase(1, Phase.HALT)
    exchange.place(TAKER, 0, BUY, 100, 1)
    with refused(Reason.UNKNOWN_INSTRUMENT):
        exchange.set_phase(2, Phase.HALT)
    with refused(Reason.UNKNOWN_OPTION):
        exchange.set_phase(0, 3)


# Bands


@pytest.fixture
def banded() -> Exchange:
    """A band of 10 %, around 105: from 95 to 115."""
    exchange = new_exchange(WIDE._replace(band=100_000), accounts=3, btc=10**6, usd=10**9)
    exchange.set_reference(0, 105)
    return exchange


def test_no_limit_beyond_the_band(banded: Exchange) -> None:
    for side, beyond, edge in ((BUY, 116, 115), (SELL, 94, 95)):
        with refused(Reason.PRICE_OUT_OF_BAND):
            banded.place(0, 0, side, beyond, 1, time_in_force=TimeInForce.IOC)
        banded.place(0, 0, side, edge, 1, time_in_force=TimeInForce.IOC)
    banded.place(0, 0, BUY, 1, 1)
    banded.place(0, 0, SELL, 10**6, 1)


def test_a_replace_stays_within_the_band(banded: Exchange) -> None:
    order = banded.place(0, 0, BUY, 100, 1)
    with refused(Reason.PRICE_OUT_OF_BAND, order):
        banded.replace(0, order, 116, 1)


@pytest.mark.parametrize("protection", [0, 118, 200])
def test_a_market_order_trades_up_to_the_band(banded: Exchange, protection: int) -> None:
    for price in (114, 115, 116):
        banded.place(0, 0, SELL, price, 1)
    banded.place(1, 0, BUY, protection, 3, type=OrderType.MARKET)
    assert [price for _, price, _ in trades(banded)] == [114, 115]


def test_the_last_trade_is_the_reference_if_none_is_set(banded: Exchange) -> None:
    banded.set_reference(0, 0)
    banded.place(0, 0, SELL, 200, 2)
    banded.place(1, 0, BUY, 10**6, 1)
    assert banded.books[0].reference == 200
    with refused(Reason.PRICE_OUT_OF_BAND):
        banded.place(1, 0, BUY, 221, 1)
    with refused(Reason.PRICE_OUT_OF_RANGE):
        banded.set_reference(0, -1)


# Limits


def test_an_account_has_limits() -> None:
    exchange = new_exchange(accounts=2, usd=10**9)
    exchange.set_account(0, orders_max=2, size_max=10, notional_max=1_000)
    with refused(Reason.SIZE_TOO_LARGE):
        exchange.place(0, 0, BUY, 1, 11)
    with refused(Reason.NOTIONAL_TOO_LARGE):
        exchange.place(0, 0, BUY, 101, 10)
    order = exchange.place(0, 0, BUY, 100, 10)
    for price, size, reason in ((101, 10, Reason.NOTIONAL_TOO_LARGE), (1, 11, Reason.SIZE_TOO_LARGE)):
        with refused(reason, order):
            exchange.replace(0, order, price, size)
    exchange.place(0, 0, BUY, 0, 1, type=OrderType.STOP, stop=50)
    with refused(Reason.TOO_MANY_ORDERS):
        exchange.place(0, 0, BUY, 1, 1)
    exchange.cancel(0, order)
    exchange.place(0, 0, BUY, 1, 1)
    exchange.place(1, 0, BUY, 101, 11)
    exchange.set_account(0)
    exchange.place(0, 0, BUY, 101, 11)


def test_an_instrument_has_limits() -> None:
    exchange = new_exchange(WIDE._replace(notional_max=1_000, orders_max=2), usd=10**9)
    with refused(Reason.NOTIONAL_TOO_LARGE):
        exchange.place(0, 0, BUY, 1_001, 1)
    exchange.place(0, 0, BUY, 1_000, 1)
    exchange.place(1, 0, BUY, 1, 1_000)
    for account in (0, 1):
        with refused(Reason.TOO_MANY_ORDERS):
            exchange.place(account, 0, BUY, 1, 1)
    exchange.cancel_all(0)
    exchange.place(1, 0, BUY, 1, 1)


@pytest.mark.parametrize(
    "terms",
    [
        {"notional_max": -1}, {"notional_max": MONEY_MAX + 1}, {"orders_max": -1}, {"orders_max": 1 << 24}, {"band": -1}, {"band": 10**6},
        {"hold_fee": 10**6}, {"hold_fee": 5, "taker_fee": 6}, {"day_end": -1}, {"day_end": 86_400},
    ],
)
def test_terms_that_cannot_be(terms: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="BTC-USD"):
        new_exchange(WIDE._replace(**terms))    # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"tier": 8}, Reason.UNKNOWN_OPTION), ({"self_trade": 0}, Reason.UNKNOWN_OPTION), ({"self_trade": 6}, Reason.UNKNOWN_OPTION),
        ({"group": 1 << 32}, Reason.AMOUNT_OUT_OF_RANGE), ({"orders_max": 1 << 32}, Reason.AMOUNT_OUT_OF_RANGE),
        ({"size_max": -1}, Reason.AMOUNT_OUT_OF_RANGE), ({"notional_max": -1}, Reason.AMOUNT_OUT_OF_RANGE),
    ],
)
def test_what_an_account_cannot_be(exchange: Exchange, options: dict[str, int], reason: Reason) -> None:
    exchange.set_account(0, self_trade=SelfTrade.DECREMENT, orders_max=1)
    before = exchange.state_hash()
    with refused(reason, options.get("group", 0)):
        exchange.set_account(0, **options)
    exchange.place(0, 0, BUY, 1, 1)
    with refused(Reason.TOO_MANY_ORDERS):
        exchange.place(0, 0, BUY, 1, 1)
    assert exchange.state_hash() != before
    with refused(Reason.UNKNOWN_ACCOUNT):
        exchange.set_account(3)


# Fees


def test_tiers_pay_their_own_fees() -> None:
    exchange = new_exchange(WIDE._replace(maker_fee=10_000, taker_fee=20_000), accounts=3, btc=1_000, usd=10**6)
    exchange.set_account(MAKER, tier=1)
    exchange.set_account(TAKER, tier=7)
    exchange.set_fees(0, 1, 0, 5_000)
    exchange.set_fees(0, 7, 3_000, 7_000)
    assert [exchange.books[0].rates(tier) for tier in (0, 1, 7)] == [(10_000, 20_000), (0, 5_000), (3_000, 7_000)]
    exchange.place(MAKER, 0, SELL, 100, 10)
    exchange.place(TAKER, 0, BUY, 100, 10)
    assert [event.fee for event in told(exchange, EventKind.FILLED)] == [0, 7]
    exchange.place(OTHER, 0, SELL, 100, 10)
    exchange.place(MAKER, 0, BUY, 100, 10)
    assert [event.fee for event in told(exchange, EventKind.FILLED)] == [10, 5]
    assert exchange.fees(1) == 22
    check(exchange)


def test_the_hold_is_for_the_highest_fee_of_any_tier() -> None:
    exchange = new_exchange(WIDE._replace(maker_fee=10_000, taker_fee=20_000, hold_fee=30_000), usd=10**6)
    exchange.set_account(0, tier=1)
    exchange.place(0, 0, BUY, 100, 10)
    assert exchange.balance(0, 1)[1] == 1_030
    exchange.set_fees(0, 1, 30_000, 30_000)
    for maker, taker in ((30_001, 0), (0, 30_001), (-1, 0), (0, -1)):
        with refused(Reason.AMOUNT_OUT_OF_RANGE):
            exchange.set_fees(0, 1, maker, taker)
    with refused(Reason.UNKNOWN_OPTION):
        exchange.set_fees(0, 8, 0, 0)
    with refused(Reason.UNKNOWN_INSTRUMENT):
        exchange.set_fees(1, 0, 0, 0)


def test_a_fee_that_changes_finds_open_orders_covered() -> None:
    exchange = new_exchange(WIDE._replace(hold_fee=500_000), btc=10, usd=150)
    exchange.place(0, 0, BUY, 100, 1)
    exchange.set_fees(0, 0, 500_000, 500_000)
    exchange.place(1, 0, SELL, 100, 1)
    assert exchange.balance(0, 1) == (0, 0)
    check(exchange)
