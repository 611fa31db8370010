"""What operators do while the market runs: mass cancels, frozen accounts, rebates, fees that are paid out, instruments that are delisted, bands."""

from decimal import Decimal

import pytest

from engine import MONEY_MAX, EventKind, Exchange, Instrument, OrderType, Phase, Reason, SelfTrade
from tests.conftest import BUY, MAKER, OTHER, SELL, TAKER, WIDE, check, depth, new_exchange, refused, told

ETH = Instrument("ETH-USD", "BTC", "USD", Decimal(1), Decimal(1), price_max=10**6, size_max=10**6)


@pytest.fixture
def exchange() -> Exchange:
    exchange = new_exchange(WIDE._replace(maker_fee=10_000, taker_fee=20_000, hold_fee=30_000), accounts=3, btc=10**6, usd=10**8)
    exchange.add_instrument(ETH)
    return exchange


def copied(exchange: Exchange) -> Exchange:
    """The same exchange, out of its snapshot."""
    copy = Exchange.restore(exchange.snapshot())
    assert copy.state_hash() == exchange.state_hash()
    return copy


# Mass cancels


def crowd(exchange: Exchange) -> list[int]:
    """Orders of all three accounts on both sides of both books; stops too."""
    orders = [exchange.place(account, book, side, 100 + side * 100, 1) for account in range(3) for book in range(2) for side in (BUY, SELL)]
    exchange.place(MAKER, 0, BUY, 500, 1)
    orders.append(exchange.place(TAKER, 0, SELL, 500, 1))
    return [*orders, *(exchange.place(account, 0, BUY, 0, 1, type=OrderType.STOP, stop=600) for account in (2, 0))]


def test_a_mass_cancel_ends_the_orders_of_an_account_an_instrument_or_everybody(exchange: Exchange) -> None:
    crowd(exchange)
    assert exchange.mass_cancel(100, account=MAKER) == 4
    assert (exchange.orders(MAKER), exchange.order_count) == ([], 10)
    assert exchange.mass_cancel(100, instrument=0) == 6
    assert (depth(exchange), exchange.order_count) == (([], []), 4)
    assert exchange.mass_cancel(100) == 4
    assert exchange.order_count == 0
    assert exchange.mass_cancel(100) == 0
    assert all(exchange.balance(account, asset)[1] == 0 for account in range(3) for asset in range(2))
    check(exchange)


@pytest.mark.parametrize("step", [1, 3, 14, 15])
def test_a_mass_cancel_does_so_many_at_a_time(exchange: Exchange, step: int) -> None:
    crowd(exchange)
    counts = []
    while True:
        counts.append(exchange.mass_cancel(step))
        check(exchange)
        if counts[-1] < step:
            break
    assert counts == [step] * (14 // step) + [14 % step]
    assert exchange.order_count == 0


def test_a_mass_cancel_takes_the_best_levels_first_and_stops_by_age(exchange: Exchange) -> None:
    orders = crowd(exchange)
    exchange.mass_cancel(100, instrument=0)
    assert [event.order for event in told(exchange, EventKind.CANCELLED)] == [*orders[0:12:4], *orders[5:12:4], *orders[12:]]
    assert {event.reason for event in told(exchange, EventKind.CANCELLED)} == {Reason.REQUESTED}


def test_a_mass_cancel_counts_a_pair_as_one(exchange: Exchange) -> None:
    stop = exchange.place(0, 0, SELL, 0, 1, type=OrderType.STOP, stop=50)
    exchange.place(0, 0, SELL, 900, 1, linked=stop)
    exchange.place(0, 0, SELL, 901, 1)
    assert exchange.mass_cancel(1, account=0) == 2
    assert exchange.order_count == 1
    assert exchange.mass_cancel(1, instrument=0) == 1


def test_a_mass_cancel_in_a_halted_auction_finds_what_was_collected(exchange: Exchange) -> None:
    exchange.set_phase(0, Phase.AUCTION)
    exchange.place(0, 0, BUY, 100, 1)
    exchange.place(1, 0, SELL, 90, 1)
    exchange.set_phase(0, Phase.HALT)
    assert exchange.mass_cancel(9, instrument=0) == 2
    exchange.set_phase(0, Phase.TRADING)
    assert exchange.fees(1) == 0
    check(exchange)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"orders_max": 0}, Reason.AMOUNT_OUT_OF_RANGE), ({"orders_max": 1, "account": 3}, Reason.UNKNOWN_ACCOUNT),
        ({"orders_max": 1, "instrument": 2}, Reason.UNKNOWN_INSTRUMENT), ({"orders_max": 1, "account": 0, "instrument": 0}, Reason.UNKNOWN_OPTION),
    ],
)
def test_mass_cancels_that_cannot_be(exchange: Exchange, fields: dict[str, int], reason: Reason) -> None:
    with refused(reason):
        exchange.mass_cancel(**fields)


# Frozen accounts


def test_a_frozen_account_cancels_and_is_paid_and_does_nothing_else(exchange: Exchange) -> None:
    bid, other = exchange.place(0, 0, BUY, 100, 5), exchange.place(0, 0, BUY, 90, 5, client_id=7)
    exchange.freeze(0)
    copy = copied(exchange)
    for each in (exchange, copy):
        with refused(Reason.ACCOUNT_FROZEN):
            each.place(0, 0, BUY, 100, 1)
        with refused(Reason.ACCOUNT_FROZEN, bid):
            each.replace(0, bid, 100, 1)
        with refused(Reason.ACCOUNT_FROZEN):
            each.withdraw(0, 1, 1)
        with refused(Reason.DUPLICATE_CLIENT_ID, other):
            each.place(0, 0, BUY, 100, 1, client_id=7)
        each.deposit(0, 1, 1)
        each.reduce(0, bid, 1)
        each.cancel(0, other)
        each.place(1, 0, SELL, 100, 1)
        assert [order.remaining for order in each.orders(0)] == [3]
        each.cancel_all(0)
        each.freeze(0, frozen=False)
        each.withdraw(0, 1, 1)
        each.place(0, 0, BUY, 100, 1)
        check(each)
    assert copy.state_hash() == exchange.state_hash()


def test_what_is_set_of_an_account_leaves_the_rest(exchange: Exchange) -> None:
    exchange.set_account(0, group=4, tier=3, self_trade=SelfTrade.CANCEL_OLDEST, orders_max=1)
    exchange.freeze(0)
    exchange.set_account(0, group=4, tier=3, self_trade=SelfTrade.CANCEL_OLDEST, orders_max=1)
    exchange.set_limits(0, size_max=10)
    exchange.set_tier(0, 2)
    with refused(Reason.ACCOUNT_FROZEN):
        exchange.place(0, 0, BUY, 100, 1)
    exchange.freeze(0, frozen=False)
    expected = new_exchange(exchange.books[0].instrument, accounts=3, btc=10**6, usd=10**8)
    expected.add_instrument(ETH)
    expected.set_account(0, group=4, tier=2, self_trade=SelfTrade.CANCEL_OLDEST, size_max=10)
    for _ in range(exchange.seq - expected.seq):
        expected.advance(0)
    assert exchange.state_hash() == expected.state_hash()


def test_what_an_account_cannot_be(exchange: Exchange) -> None:
    for call, reason in (
        (lambda: exchange.freeze(3), Reason.UNKNOWN_ACCOUNT), (lambda: exchange.set_tier(0, 8), Reason.UNKNOWN_OPTION),
        (lambda: exchange.set_limits(0, size_max=-1), Reason.AMOUNT_OUT_OF_RANGE), (lambda: exchange.set_limits(0, 1 << 32), Reason.AMOUNT_OUT_OF_RANGE),
    ):
        with refused(reason):
            call()


def test_a_freeze_leaves_the_hash_of_others_as_it_was(exchange: Exchange) -> None:
    copy = copied(exchange)
    exchange.freeze(0)
    copy.advance(0)
    assert exchange.state_hash() != copy.state_hash()
    exchange.freeze(0, frozen=False)
    copy.advance(0)
    assert exchange.state_hash() == copy.state_hash()


# Fees


def test_collected_fees_are_paid_out(exchange: Exchange) -> None:
    exchange.place(MAKER, 0, SELL, 100, 10)
    exchange.place(TAKER, 0, BUY, 100, 10)
    assert exchange.fees(1) == 30
    with refused(Reason.INSUFFICIENT_FUNDS):
        exchange.pay_fees(OTHER, 1, 31)
    for amount in (0, -1):
        with refused(Reason.AMOUNT_OUT_OF_RANGE):
            exchange.pay_fees(OTHER, 1, amount)
    with refused(Reason.UNKNOWN_ASSET):
        exchange.pay_fees(OTHER, 2, 1)
    before, supply = exchange.balance(OTHER, 1)[0], exchange.supply(1)
    exchange.pay_fees(OTHER, 1, 30)
    assert (exchange.balance(OTHER, 1)[0], exchange.fees(1), exchange.supply(1)) == (before + 30, 0, supply)
    check(exchange)


def test_a_maker_gets_a_rebate_rounded_down(exchange: Exchange) -> None:
    for tier in range(8):
        exchange.set_fees(0, tier, -10_000, 20_000)
    exchange = copied(exchange)
    assert exchange.books[0].rates(7) == (-10_000, 20_000)
    for side in (SELL, BUY):
        exchange.place(MAKER, 0, side, 199, 1)
        before = exchange.balance(MAKER, 1)
        exchange.place(TAKER, 0, 1 - side, 199, 1)
        assert [event.fee for event in told(exchange, EventKind.FILLED)] == [-1, 3]
        assert sum(exchange.balance(MAKER, 1)) - sum(before) == (200 if side == SELL else -198)
    assert exchange.fees(1) == 4
    check(exchange)


def test_no_rebate_is_more_than_any_taker_pays(exchange: Exchange) -> None:
    exchange.set_fees(0, 1, -20_000, 20_000)
    exchange.set_fees(0, 1, -20_000, 30_000)
    for tier, maker, taker in ((1, -20_001, 30_000), (2, 0, 19_999), (2, -30_001, 30_000), (2, -MONEY_MAX * 2, 30_000)):
        with refused(Reason.AMOUNT_OUT_OF_RANGE):
            exchange.set_fees(0, tier, maker, taker)
    with pytest.raises(ValueError, match="maker_fee -11"):
        new_exchange(WIDE._replace(maker_fee=-11, taker_fee=10))
    assert Exchange.restore(new_exchange(WIDE._replace(maker_fee=-10, taker_fee=10)).snapshot()).books[0].rates() == (-10, 10)


def test_a_rebate_in_an_auction_is_paid_by_the_other_one(exchange: Exchange) -> None:
    """A post-only order that is the younger one pays as a maker: it gets no rebate, and there is none for the other one."""
    exchange.set_fees(0, 0, -20_000, 20_000)
    exchange.place(MAKER, 0, BUY, 100, 10)
    exchange.place(TAKER, 0, SELL, 300, 10, post_only=True)
    exchange.place(MAKER, 0, BUY, 299, 10, post_only=True)
    exchange.set_phase(0, Phase.AUCTION)
    exchange.place(OTHER, 0, BUY, 300, 10)
    exchange.place(OTHER, 0, SELL, 100, 20)
    exchange.set_phase(0, Phase.TRADING)
    fees = [(event.maker_fee, event.taker_fee) for event in told(exchange, EventKind.TRADE)]
    assert all(maker + taker >= 0 for maker, taker in fees)
    assert exchange.fees(1) >= 0
    check(exchange)


# Instruments


def test_a_delisted_instrument_takes_nothing_and_lets_go(exchange: Exchange) -> None:
    crowd(exchange)
    exchange.delist(0)
    assert [(event.instrument, event.phase) for event in told(exchange, EventKind.PHASE)] == [(0, Phase.DELISTED)]
    copy = copied(exchange)
    for each in (exchange, copy):
        bid, other = each.orders(MAKER)[0].order, each.orders(TAKER)[0].order
        with refused(Reason.NOT_LISTED):
            each.place(TAKER, 0, SELL, 100, 1)
        with refused(Reason.NOT_LISTED):
            each.place(MAKER, 0, BUY, 0, 1, type=OrderType.STOP, stop=900)
        with refused(Reason.NOT_LISTED):
            each.set_phase(0, Phase.TRADING)
        with refused(Reason.NOT_LISTED):
            each.delist(0, delisted=False)
        with refused(Reason.NOT_LISTED, bid):
            each.replace(MAKER, bid, 101, 1)
        each.cancel(MAKER, bid)
        each.reduce(TAKER, other, 1)
        each.place(TAKER, 1, SELL, 100, 1)    # another one trades on
        while each.mass_cancel(3, instrument=0) == 3:
            check(each)
        assert {order.instrument for account in range(3) for order in each.orders(account)} == {1}
        each.mass_cancel(100)
        assert all(each.balance(account, asset)[1] == 0 for account in range(3) for asset in range(2))
    assert copy.state_hash() == exchange.state_hash()


def test_an_instrument_is_listed_again_halted(exchange: Exchange) -> None:
    exchange.set_phase(0, Phase.AUCTION)
    exchange.place(0, 0, BUY, 100, 1)
    exchange.delist(0)
    exchange.delist(0)
    exchange.mass_cancel(9, instrument=0)
    exchange.delist(0, delisted=False)
    assert exchange.books[0].phase == Phase.HALT
    with refused(Reason.WRONG_PHASE):
        exchange.delist(0, delisted=False)
    exchange.set_phase(0, Phase.TRADING)
    exchange.place(0, 0, BUY, 100, 1)
    assert depth(exchange) == ([100, 1], [])
    with refused(Reason.UNKNOWN_INSTRUMENT):
        exchange.delist(2)
    with refused(Reason.UNKNOWN_OPTION):
        exchange.set_phase(0, Phase.DELISTED)
    check(exchange)


@pytest.mark.parametrize("listed", [0, 100_000])
def test_a_band_is_set_and_taken_away(listed: int) -> None:
    """Above the reference 1,000 by at most a twentieth, for limits, markets and stops that were triggered."""
    exchange = new_exchange(WIDE._replace(band=listed), accounts=3, btc=10**6, usd=10**8)
    exchange.set_reference(0, 1_000)
    exchange.place(MAKER, 0, SELL, 1_050, 1)
    exchange.place(MAKER, 0, SELL, 1_051, 1)
    exchange.set_band(0, 50_000)
    assert [event.band for event in told(exchange, EventKind.BAND_SET)] == [50_000]
    exchange = copied(exchange)
    assert (exchange.books[0].band, exchange.books[0].instrument.band) == (50_000, listed)
    for side, price in ((BUY, 1_051), (SELL, 949)):
        with refused(Reason.PRICE_OUT_OF_BAND):
            exchange.place(TAKER, 0, side, price, 1)
    exchange.place(TAKER, 0, BUY, 0, 2, type=OrderType.MARKET)
    assert [event.price for event in told(exchange, EventKind.TRADE)] == [1_050]
    exchange.place(TAKER, 0, BUY, 1_051, 1, type=OrderType.STOP_LIMIT, stop=1_050)
    assert [event.reason for event in told(exchange, EventKind.CANCELLED)] == [Reason.PRICE_OUT_OF_BAND]
    exchange.set_band(0, 0)
    exchange = copied(exchange)
    assert exchange.books[0].band == 0
    exchange.place(TAKER, 0, BUY, 1_051, 1)
    assert [event.price for event in told(exchange, EventKind.TRADE)] == [1_051]
    for band in (-1, 10**6):
        with refused(Reason.AMOUNT_OUT_OF_RANGE):
            exchange.set_band(0, band)
    with refused(Reason.UNKNOWN_INSTRUMENT):
        exchange.set_band(1, 0)
    check(exchange)

