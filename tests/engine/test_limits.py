"""The edges: the largest numbers, many of everything, terms that do not fit together."""

from decimal import Decimal, localcontext

import pytest

from engine import MONEY_MAX, PRICE_MAX, Commands, EventKind, Exchange, Instrument, OrderType, Phase, Reason, Side, TimeInForce
from tests.conftest import BTC, BUY, SELL, USD, WIDE, check, new_exchange, refused, told, trades
from tests.engine.oracle_model import fee

RICH = 1 << 61


# The largest numbers


def test_an_order_for_all_the_money_there_can_be() -> None:
    exchange = new_exchange()
    exchange.deposit(0, USD, MONEY_MAX)
    exchange.deposit(1, BTC, MONEY_MAX)
    exchange.place(0, 0, BUY, 1, MONEY_MAX)
    exchange.place(1, 0, SELL, 1, MONEY_MAX)
    assert trades(exchange) == [(1 << 24 | 1, 1, MONEY_MAX)]
    assert (exchange.balances(0), exchange.balances(1)) == ([(MONEY_MAX, 0), (0, 0)], [(0, 0), (MONEY_MAX, 0)])
    check(exchange)


def test_the_highest_price() -> None:
    exchange = new_exchange()
    price, size = PRICE_MAX - 1, MONEY_MAX // (PRICE_MAX - 1)
    exchange.deposit(0, USD, price * size)
    exchange.deposit(1, BTC, size)
    exchange.place(1, 0, SELL, price, size)
    exchange.place(0, 0, BUY, 0, size, type=OrderType.MARKET)
    assert exchange.balance(1, USD) == (price * size, 0)
    check(exchange)


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize(
    ("instrument", "price", "size"),
    [
        (WIDE, 2, MONEY_MAX // 2 + 1),
        (WIDE, PRICE_MAX - 1, MONEY_MAX),
        (WIDE._replace(tick=Decimal(1 << 40)), 1 << 30, 1 << 30),
        (WIDE._replace(maker_fee=1), 1, MONEY_MAX),
        (WIDE._replace(taker_fee=999_999), 1, MONEY_MAX // 2 + 10**13),
        (WIDE._replace(lot=Decimal(3)), 1, MONEY_MAX // 3 + 1),
    ],
)
def test_an_order_that_would_cost_more_than_there_can_be(side: Side, instrument: Instrument, price: int, size: int) -> None:
    exchange = new_exchange(instrument)
    with refused(Reason.NOTIONAL_TOO_LARGE):
        exchange.place(0, 0, side, price, size)


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_replace_that_would_cost_more_than_there_can_be(side: Side) -> None:
    exchange = new_exchange(btc=1, usd=1)
    order = exchange.place(0, 0, side, 1, 1)
    for price, size in ((2, MONEY_MAX // 2 + 1), (PRICE_MAX - 1, MONEY_MAX)):
        with refused(Reason.NOTIONAL_TOO_LARGE, order):
            exchange.replace(0, order, price, size)
    check(exchange)


def test_a_market_order_for_more_lots_than_there_can_be() -> None:
    exchange = new_exchange(WIDE._replace(lot=Decimal(3)))
    for side in (BUY, SELL):
        with refused(Reason.NOTIONAL_TOO_LARGE):
            exchange.place(0, 0, side, 0, MONEY_MAX // 3 + 1, type=OrderType.MARKET)


def test_fees_on_the_largest_notional() -> None:
    """The fee is exact where notional * rate does not fit 64 bits."""
    exchange = new_exchange(WIDE._replace(maker_fee=1, taker_fee=999_999))
    notional = 2_305_844_161_933_902_000
    assert notional + fee(999_999, notional) <= MONEY_MAX < (notional + 10**13) + fee(999_999, notional + 10**13)
    exchange.deposit(0, USD, notional + fee(999_999, notional))
    exchange.deposit(1, BTC, notional)
    exchange.place(1, 0, SELL, 1, notional)
    exchange.place(0, 0, BUY, 1, notional)
    assert exchange.balances(0) == [(notional, 0), (0, 0)]
    assert exchange.balance(1, USD) == (notional - fee(1, notional), 0)
    assert exchange.fees(USD) == fee(1, notional) + fee(999_999, notional)
    check(exchange)


@pytest.mark.parametrize(("price", "size"), [(1, RICH), (1 << 47, 1 << 14)])
def test_what_an_order_has_filled_stays_within_64_bits(price: int, size: int) -> None:
    """One account trades the same money with itself, through one order that it refills until that is refused."""
    exchange = new_exchange(accounts=1, btc=RICH, usd=RICH)
    order = exchange.place(0, 0, SELL, price, size)
    exchange.place(0, 0, BUY, price, size - 1)
    exchange.replace(0, order, price, size)
    exchange.place(0, 0, BUY, price, size - 1)
    with refused(Reason.NOTIONAL_TOO_LARGE, order):
        exchange.replace(0, order, price, size)
    [rest] = exchange.orders(0)
    assert (rest.remaining, rest.filled, rest.value) == (1, 2 * (size - 1), price * 2 * (size - 1))


# Many


def test_one_order_sweeps_ten_thousand() -> None:
    exchange = new_exchange(btc=10_000, usd=10**9)
    commands = Commands()
    for number in range(10_000):
        commands.place(0, 0, SELL, 1 + number % 100, 1)
    exchange.execute(commands)
    exchange.place(1, 0, BUY, 100, 10_000, time_in_force=TimeInForce.FOK)
    assert len(trades(exchange)) == 10_000
    assert len(told(exchange, EventKind.LEVEL)) == 100
    assert len(told(exchange, EventKind.BALANCE)) == 4
    assert (exchange.order_count, exchange.balance(1, BTC)) == (0, (20_000, 0))
    assert exchange.place(1, 0, BUY, 1, 1) == 10_002 << 24 | 10_001
    check(exchange)


def test_cancel_all_of_ten_thousand() -> None:
    exchange = new_exchange(btc=10_000, usd=10**9)
    commands = Commands()
    for number in range(10_000):
        commands.place(0, 0, number % 2, 100 + number % 2 * 100 + number % 50, 1)
    exchange.execute(commands)
    assert exchange.cancel_all(0) == 10_000
    assert [event.order >> 24 for event in told(exchange, EventKind.CANCELLED)] == list(range(1, 10_001))
    assert exchange.balances(0) == [(10_000, 0), (10**9, 0)]
    assert len(exchange.books[0].levels) == 0
    assert exchange.place(0, 0, BUY, 1, 1) & 0xFFFFFF == 10_000
    check(exchange)


def test_a_hundred_thousand_accounts() -> None:
    exchange = new_exchange(accounts=0)
    commands = Commands()
    for account in range(100_000):
        commands.open_account()
        commands.deposit(account, account % 2, 1_000)
        commands.place(account, 0, account % 2 == BTC, 50 + account % 3, 1)
    assert exchange.execute(commands) == 0
    assert exchange.accounts == 100_000
    assert exchange.balance(99_998, BTC)[0] in (999, 1_000)
    check(exchange)


def test_a_thousand_instruments() -> None:
    exchange = Exchange()
    exchange.add_asset("USD", 2)
    exchange.open_account()
    exchange.deposit(0, 0, 10**9)
    for number in range(1_000):
        exchange.add_asset(f"A{number}", 0)
        assert exchange.add_instrument(Instrument(f"A{number}-USD", f"A{number}", "USD", Decimal("0.01"), Decimal(1))) == number
        exchange.deposit(0, number + 1, 5)
    for number in range(1_000):
        exchange.place(0, number, SELL, number + 1, 5)
    exchange.place(0, 777, BUY, 778, 3)
    assert exchange.book("A777-USD").levels.depth() == ([], [778, 2])
    assert exchange.cancel_all(0) == 1_000
    check(exchange)


# Terms that do not fit together


@pytest.mark.parametrize(
    "terms",
    [
        {"name": "BTC-USD"}, {"base": "ETH"}, {"quote": "EUR"}, {"price_max": 0}, {"price_max": PRICE_MAX}, {"size_min": 0}, {"size_min": 11, "size_max": 10},
        {"size_max": MONEY_MAX + 1}, {"maker_fee": -1}, {"taker_fee": 1_000_000}, {"lot": Decimal("0.1")}, {"tick": Decimal("0.1")}, {"tick": Decimal(0)},
        {"tick": Decimal(-1)}, {"lot": Decimal(MONEY_MAX + 1)},
    ],
)
def test_an_instrument_whose_terms_do_not_fit_together_is_refused(terms: dict[str, object]) -> None:
    exchange = new_exchange()
    with pytest.raises(ValueError, match="instrument"):
        exchange.add_instrument(WIDE._replace(**{"name": "another", **terms}))     # type: ignore[arg-type]
    assert len(exchange.books) == 1


def test_the_scales_do_not_depend_on_the_decimal_context() -> None:
    exchange = Exchange()
    exchange.add_asset("BTC", 18)
    exchange.add_asset("USD", 18)
    with localcontext(prec=3):
        exchange.add_instrument(WIDE._replace(tick=Decimal("0.12345"), lot=Decimal("1.2345")))
    assert exchange.books[0].tick_value == 152_399_025 * 10**9
    assert exchange.books[0].lot_units == 12345 * 10**14


@pytest.mark.parametrize(("name", "decimals"), [("BTC", 8), ("ETH", -1), ("ETH", 19)])
def test_an_asset_that_does_not_fit_is_refused(name: str, decimals: int) -> None:
    exchange = new_exchange()
    with pytest.raises(ValueError, match="asset"):
        exchange.add_asset(name, decimals)


# The largest numbers, for orders that do more than rest


def test_an_iceberg_of_all_there_can_be() -> None:
    exchange = new_exchange()
    exchange.deposit(0, USD, MONEY_MAX)
    exchange.deposit(1, BTC, MONEY_MAX)
    part = -(-MONEY_MAX // 1_000)
    exchange.place(1, 0, SELL, 1, MONEY_MAX, display=part)
    exchange.place(0, 0, BUY, 1, 3)
    assert exchange.orders(1)[0].remaining == MONEY_MAX - 3
    exchange.replace(1, exchange.orders(1)[0].order, 1, MONEY_MAX - 3)
    exchange.reduce(1, exchange.orders(1)[0].order, MONEY_MAX - 8)
    assert exchange.orders(1)[0].remaining == 5
    exchange.place(0, 0, BUY, 1, MONEY_MAX - 3, time_in_force=TimeInForce.IOC)
    assert exchange.balance(0, BTC) == (8, 0)
    check(exchange)


def test_a_pair_that_holds_all_there_can_be() -> None:
    exchange = new_exchange()
    exchange.deposit(0, BTC, MONEY_MAX)
    exchange.deposit(1, USD, MONEY_MAX)
    limit = exchange.place(0, 0, SELL, 1, MONEY_MAX)
    exchange.place(0, 0, SELL, 1, MONEY_MAX, type=OrderType.STOP_LIMIT, stop=PRICE_MAX - 1, linked=limit)
    assert exchange.balance(0, BTC) == (0, MONEY_MAX)
    exchange.place(1, 0, BUY, 1, MONEY_MAX)
    assert exchange.balance(1, BTC) == (MONEY_MAX, 0)
    check(exchange)


def max_lots(fee_rate: int) -> int:
    """The most lots at 1 whose price and fee together are at most 2**62."""
    low, high = 0, MONEY_MAX
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle + fee(fee_rate, middle) <= MONEY_MAX else (low, middle - 1)
    return low


@pytest.mark.parametrize("fee_rate", [0, 1, 250, 999_999])
def test_money_of_all_there_can_be(fee_rate: int) -> None:
    exchange = new_exchange(WIDE._replace(taker_fee=fee_rate))
    lots = max_lots(fee_rate)
    exchange.deposit(0, USD, MONEY_MAX)
    exchange.deposit(1, BTC, MONEY_MAX)
    exchange.place(1, 0, SELL, 1, lots)
    exchange.place(0, 0, BUY, 0, MONEY_MAX, type=OrderType.MARKET, quote=True)
    assert exchange.balance(0, BTC)[0] == lots
    check(exchange)


def test_triggers_at_the_highest_price() -> None:
    exchange = new_exchange(btc=100, usd=RICH)
    top = PRICE_MAX - 1
    for _ in range(2):
        exchange.place(1, 0, SELL, top, 1)
    exchange.place(0, 0, BUY, 0, 1, type=OrderType.STOP, stop=top)
    exchange.place(0, 0, BUY, top, 1)
    assert [event.price for event in told(exchange, EventKind.TRIGGERED)] == [top]
    with refused(Reason.PRICE_OUT_OF_RANGE):
        exchange.place(0, 0, BUY, 0, 1, type=OrderType.TRAILING_STOP, stop=1)
    exchange.place(0, 0, SELL, 0, 1, type=OrderType.TRAILING_STOP, stop=top - 1)
    assert exchange.orders(0)[0].stop == 1
    check(exchange)


def test_an_auction_of_all_there_can_be() -> None:
    exchange = new_exchange()
    exchange.deposit(0, USD, MONEY_MAX)
    exchange.deposit(1, BTC, MONEY_MAX)
    exchange.set_phase(0, Phase.AUCTION)
    exchange.place(0, 0, BUY, 1, MONEY_MAX)
    exchange.place(1, 0, SELL, 1, MONEY_MAX, display=MONEY_MAX // 2)
    assert exchange.books[0].indicative() == (1, MONEY_MAX)
    exchange.set_phase(0, Phase.TRADING)
    assert (exchange.balance(0, BTC), exchange.balance(1, USD)) == ((MONEY_MAX, 0), (MONEY_MAX, 0))
    check(exchange)


def test_a_band_at_the_edges_of_the_prices() -> None:
    exchange = new_exchange(WIDE._replace(band=999_999), btc=100, usd=RICH)
    exchange.set_reference(0, PRICE_MAX - 1)
    exchange.place(0, 0, BUY, PRICE_MAX - 1, 1)
    exchange.set_reference(0, 1)
    exchange.place(1, 0, SELL, 1, 1)
    with refused(Reason.PRICE_OUT_OF_BAND):
        exchange.place(0, 0, BUY, 2, 1)
    check(exchange)
