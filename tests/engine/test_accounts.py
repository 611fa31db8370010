"""Money: what an order holds, what a fill moves, and that nothing is created or lost."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import FEE_SCALE, MONEY_MAX, EventKind, Exchange, OrderType, Reason, Side
from tests.conftest import BTC, BTC_USD, BUY, SELL, USD, WIDE, check, new_exchange, refused, told
from tests.engine.oracle_model import Terms

# Deposits and withdrawals


def test_a_deposit_and_a_withdrawal() -> None:
    exchange = new_exchange()
    exchange.deposit(0, USD, 100)
    assert [(event.kind, event.account, event.asset, event.available, event.held) for event in exchange.events] == [(EventKind.BALANCE, 0, USD, 100, 0)]
    exchange.withdraw(0, USD, 40)
    assert (exchange.balance(0, USD), exchange.supply(USD)) == ((60, 0), 60)


@pytest.mark.parametrize("amount", [0, -1, -(1 << 63), MONEY_MAX + 1, (1 << 63) - 1])
def test_amounts_out_of_range(amount: int) -> None:
    exchange = new_exchange()
    with refused(Reason.AMOUNT_OUT_OF_RANGE):
        exchange.deposit(0, USD, amount)
    if amount <= 0:
        with refused(Reason.AMOUNT_OUT_OF_RANGE):
            exchange.withdraw(0, USD, amount)


def test_the_supply_of_an_asset_is_at_most_money_max() -> None:
    exchange = new_exchange()
    exchange.deposit(0, USD, MONEY_MAX - 1)
    with refused(Reason.AMOUNT_OUT_OF_RANGE):
        exchange.deposit(1, USD, 2)
    exchange.deposit(1, USD, 1)
    with refused(Reason.AMOUNT_OUT_OF_RANGE):
        exchange.deposit(1, USD, 1)
    exchange.withdraw(0, USD, MONEY_MAX - 1)
    exchange.deposit(1, USD, MONEY_MAX - 1)
    assert exchange.balance(1, USD) == (MONEY_MAX, 0)


def test_what_is_held_cannot_be_withdrawn() -> None:
    exchange = new_exchange(usd=100)
    exchange.place(0, 0, BUY, 60, 1)
    with refused(Reason.INSUFFICIENT_FUNDS):
        exchange.withdraw(0, USD, 41)
    exchange.withdraw(0, USD, 40)
    assert exchange.balance(0, USD) == (0, 60)


def test_unknown_accounts_and_assets() -> None:
    exchange = new_exchange()
    for command in (exchange.deposit, exchange.withdraw):
        with refused(Reason.UNKNOWN_ACCOUNT):
            command(2, 9, 0)
        with refused(Reason.UNKNOWN_ASSET):
            command(1, 2, 0)


def test_there_is_room_for_accounts_max_accounts() -> None:
    exchange = Exchange(accounts_max=2)
    assert [exchange.open_account(), exchange.open_account()] == [0, 1]
    with refused(Reason.TOO_MANY_ACCOUNTS):
        exchange.open_account()


def test_an_asset_may_come_after_the_accounts() -> None:
    exchange = new_exchange(btc=5, usd=7)
    exchange.add_asset("ETH", 0)
    assert exchange.balances(1) == [(5, 0), (7, 0), (0, 0)]
    exchange.deposit(1, 2, 9)
    exchange.open_account()
    assert [exchange.balances(account) for account in range(3)] == [[(5, 0), (7, 0), (0, 0)], [(5, 0), (7, 0), (9, 0)], [(0, 0)] * 3]


# Holds


def test_a_buy_holds_its_notional_and_the_higher_fee() -> None:
    exchange = new_exchange(WIDE._replace(maker_fee=10_000, taker_fee=30_000), usd=1_000)
    exchange.place(0, 0, BUY, 10, 10)
    assert exchange.balance(0, USD) == (897, 103)
    exchange.reduce(0, exchange.orders(0)[0].order, 1)
    assert exchange.balance(0, USD) == (1_000 - 92, 92)     # 90 and 2.7, rounded down
    exchange.cancel_all(0)
    assert exchange.balance(0, USD) == (1_000, 0)


def test_a_sell_holds_its_lots() -> None:
    exchange = new_exchange(WIDE._replace(taker_fee=500_000), btc=10)
    exchange.place(0, 0, SELL, 10, 7)
    assert exchange.balance(0, BTC) == (3, 7)


def test_scales_of_ticks_and_lots() -> None:
    """A lot of 0.001 BTC is 100,000 units of 8 decimals; at a tick of 0.5 USD it costs 500 units of 6 decimals."""
    exchange = Exchange()
    exchange.add_asset("BTC", 8)
    exchange.add_asset("USD", 6)
    exchange.add_instrument(BTC_USD._replace(tick=Decimal("0.5"), lot=Decimal("0.001")))
    assert (exchange.books[0].lot_units, exchange.books[0].tick_value) == (100_000, 500)
    for account, asset, amount in ((0, BTC, 300_000), (1, USD, 1_500)):
        exchange.open_account()
        exchange.deposit(account, asset, amount)
    exchange.place(0, 0, SELL, 1, 3)
    exchange.place(1, 0, BUY, 1, 3)
    assert (exchange.balances(0), exchange.balances(1)) == ([(0, 0), (1_500, 0)], [(300_000, 0), (0, 0)])


def test_an_order_needs_its_hold_to_the_last_unit() -> None:
    exchange = new_exchange(WIDE._replace(taker_fee=30_000), btc=10, usd=103)
    with refused(Reason.INSUFFICIENT_FUNDS):
        exchange.place(0, 0, BUY, 104, 1)
    with refused(Reason.INSUFFICIENT_FUNDS):
        exchange.place(0, 0, SELL, 1, 11)
    exchange.place(0, 0, BUY, 100, 1)
    exchange.place(0, 0, SELL, 101, 10)
    assert exchange.balances(0) == [(0, 10), (0, 103)]


def test_replace_needs_only_what_its_hold_grows_by() -> None:
    exchange = new_exchange(btc=10, usd=100)
    order = exchange.place(0, 0, BUY, 10, 9)
    with refused(Reason.INSUFFICIENT_FUNDS, order):
        exchange.replace(0, order, 10, 11)
    exchange.replace(0, order, 10, 10)
    assert exchange.balance(0, USD) == (0, 100)
    exchange.replace(0, order, 3, 5)
    assert exchange.balance(0, USD) == (85, 15)


def test_replace_tells_the_balance_even_if_it_stays() -> None:
    exchange = new_exchange(btc=10)
    order = exchange.place(0, 0, SELL, 10, 9)
    exchange.replace(0, order, 11, 9)
    assert [(event.asset, event.available, event.held) for event in told(exchange, EventKind.BALANCE)] == [(BTC, 1, 9)]


# Fills


def test_a_better_price_comes_back_to_the_taker() -> None:
    exchange = new_exchange(btc=10, usd=1_000)
    exchange.place(0, 0, SELL, 10, 5)
    exchange.place(1, 0, BUY, 20, 8)
    assert exchange.balance(1, USD) == (1_000 - 50 - 60, 60)
    assert exchange.balances(0) == [(5, 0), (1_050, 0)]


@pytest.mark.parametrize("side", [BUY, SELL])
def test_both_sides_pay_their_fee_in_quote(side: Side) -> None:
    exchange = new_exchange(WIDE._replace(maker_fee=10_000, taker_fee=30_000), btc=100, usd=10_000)
    exchange.place(0, 0, Side(1 - side), 100, 10)
    exchange.place(1, 0, side, 100, 10)
    buys_pay = {0: -10, 1: -30}
    for account in range(2):
        traded = 1_000 if (account == 0) == (side == BUY) else -1_000
        assert exchange.balance(account, USD) == (10_000 + traded + buys_pay[account], 0)
    assert exchange.fees(USD) == 40
    check(exchange)


def test_balances_are_told_in_the_order_in_which_they_were_touched() -> None:
    exchange = new_exchange(accounts=3, btc=10, usd=1_000)
    exchange.place(0, 0, SELL, 10, 5)
    exchange.place(1, 0, SELL, 10, 5)
    exchange.place(2, 0, BUY, 10, 7)
    rows = [(event.account, event.asset) for event in told(exchange, EventKind.BALANCE)]
    assert rows == [(2, USD), (2, BTC), (0, BTC), (0, USD), (1, BTC), (1, USD)]


def test_a_market_buy_needs_what_it_costs_and_no_more() -> None:
    exchange = new_exchange(WIDE._replace(taker_fee=30_000))
    exchange.deposit(0, BTC, 10)
    exchange.deposit(1, USD, 10 * 5 + 20 * 2 + 1 + 1)
    exchange.place(0, 0, SELL, 10, 5)
    exchange.place(0, 0, SELL, 20, 5)
    with refused(Reason.INSUFFICIENT_FUNDS):
        exchange.place(1, 0, BUY, 0, 8, type=OrderType.MARKET)
    exchange.place(1, 0, BUY, 0, 7, type=OrderType.MARKET)
    assert exchange.balances(1) == [(7, 0), (0, 0)]
    check(exchange)


def test_a_market_buy_that_meets_nobody_needs_no_money() -> None:
    exchange = new_exchange()
    exchange.place(0, 0, BUY, 0, MONEY_MAX, type=OrderType.MARKET)
    assert [event.kind for event in exchange.events] == [EventKind.ACCEPTED, EventKind.CANCELLED]


def test_a_market_sell_needs_its_lots() -> None:
    exchange = new_exchange(btc=10)
    with refused(Reason.INSUFFICIENT_FUNDS):
        exchange.place(0, 0, SELL, 0, 11, type=OrderType.MARKET)
    exchange.place(0, 0, SELL, 0, 10, type=OrderType.MARKET)
    assert exchange.balance(0, BTC) == (10, 0)


# Rounding


@given(
    st.integers(0, 999_999), st.integers(0, 999_999), st.integers(1, 1_000), st.integers(1, 10_000),
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 400)), min_size=1, max_size=12), st.booleans(),
)
def test_the_fees_of_fills_never_pass_the_hold(
    maker_fee: int, taker_fee: int, tick_value: int, price: int, fills: list[tuple[int, int]], buyer_makes: bool
) -> None:
    """A buyer who has only the hold can always pay: for many small fills, at its own price or better ones."""
    exchange = new_exchange(WIDE._replace(tick=Decimal(tick_value), maker_fee=maker_fee, taker_fee=taker_fee))
    terms = Terms(exchange.books[0].instrument, BTC, USD, tick_value, lot_units=1)
    size = sum(lots for lots, _ in fills)
    exchange.deposit(0, USD, terms.cost(price, size))
    exchange.deposit(1, BTC, size)
    if buyer_makes:
        order = exchange.place(0, 0, BUY, price, size)
        left, parts = size, 0
        for lots, _ in fills:
            exchange.place(1, 0, SELL, price, lots)
            left -= lots
            parts += terms.notional(price, lots) * maker_fee
            assert exchange.balance(0, USD)[1] == (terms.cost(price, left, parts % FEE_SCALE) if left else 0)
        assert exchange.order(order) is None
    else:
        for lots, better_by in fills:
            exchange.place(1, 0, SELL, max(1, price - better_by), lots)
        exchange.place(0, 0, BUY, price, size)
    assert exchange.balance(0, USD)[1] == 0
    assert exchange.balance(0, BTC) == (size, 0)
    check(exchange)


def test_fees_below_one_unit_are_none() -> None:
    exchange = new_exchange(WIDE._replace(maker_fee=999_999, taker_fee=999_999), btc=1, usd=1)
    exchange.place(0, 0, SELL, 1, 1)
    exchange.place(1, 0, BUY, 1, 1)
    assert (exchange.fees(USD), exchange.balance(0, USD)) == (0, (2, 0))


def test_without_fees_nothing_is_collected() -> None:
    exchange = new_exchange(btc=100, usd=10_000)
    for price in range(1, 50):
        exchange.place(0, 0, SELL, price, 1)
        exchange.place(1, 0, BUY, price, 1)
    assert exchange.fees(USD) == 0
    check(exchange)
