"""Auctions: collecting unseen, one price, the trades at it."""

import pytest

from engine import EventKind, Exchange, OrderType, Phase, Reason, TimeInForce
from tests.conftest import BTC_USD, BUY, MAKER, OTHER, SELL, TAKER, WIDE, check, depth, new_exchange, refused, told, trades


def collect(exchange: Exchange, bids: dict[int, int], asks: dict[int, int]) -> tuple[int, int]:
    """Let an auction collect these lots by price; price and volume that it would come to."""
    exchange.set_phase(0, Phase.AUCTION)
    for price, size in bids.items():
        exchange.place(MAKER, 0, BUY, price, size)
    for price, size in asks.items():
        exchange.place(OTHER, 0, SELL, price, size)
    return exchange.books[0].indicative()


def test_orders_are_collected_without_matching_and_unseen(exchange: Exchange) -> None:
    exchange.place(MAKER, 0, BUY, 90, 5)
    exchange.place(MAKER, 0, SELL, 110, 5)
    exchange.set_phase(0, Phase.AUCTION)
    assert [(event.side, event.price, event.size, event.orders) for event in told(exchange, EventKind.LEVEL)] == [(BUY, 90, 0, 0), (SELL, 110, 0, 0)]
    order = exchange.place(TAKER, 0, BUY, 120, 3)
    assert (trades(exchange), told(exchange, EventKind.LEVEL), depth(exchange)) == ([], [], ([], []))
    assert [found.order for found in exchange.books[0].queue(BUY, 120)] == [order]
    assert exchange.books[0].phase == Phase.AUCTION


def test_what_is_left_is_published(exchange: Exchange) -> None:
    assert collect(exchange, {102: 5, 101: 2, 90: 7}, {101: 6, 110: 1}) == (101, 6)
    exchange.set_phase(0, Phase.TRADING)
    [phase] = told(exchange, EventKind.PHASE)
    assert (phase.phase, phase.price, phase.size) == (Phase.TRADING, 101, 6)
    assert [(price, size) for _, price, size in trades(exchange)] == [(101, 5), (101, 1)]
    assert depth(exchange) == ([101, 1, 90, 7], [110, 1])
    assert [(event.side, event.price, event.size) for event in told(exchange, EventKind.LEVEL)] == [(BUY, 101, 1), (BUY, 90, 7), (SELL, 110, 1)]
    check(exchange)


def test_a_book_that_does_not_cross_opens_as_it_is(exchange: Exchange) -> None:
    assert collect(exchange, {99: 5}, {100: 5}) == (0, 0)
    exchange.set_phase(0, Phase.TRADING)
    assert (trades(exchange), depth(exchange)) == ([], ([99, 5], [100, 5]))


@pytest.mark.parametrize(
    ("bids", "asks", "expected"),
    [
        ({105: 10}, {95: 4, 100: 6}, (102, 10)),                    # nothing is left over from 100 to 105: the middle
        ({105: 5, 103: 5, 101: 10}, {100: 8, 102: 4}, (102, 10)),   # the largest volume, at 102 and 103; asks are left over at both
        ({105: 10, 102: 1}, {100: 10, 104: 1}, (102, 10)),          # a bid is left over up to 102, an ask from 104 on: the middle of 100 to 105
        ({105: 10}, {100: 5}, (105, 5)),                            # bids are left over at every price: the highest
        ({105: 5}, {100: 10}, (100, 5)),                            # asks are left over at every price: the lowest
    ],
)
def test_the_price(exchange: Exchange, bids: dict[int, int], asks: dict[int, int], expected: tuple[int, int]) -> None:
    assert collect(exchange, bids, asks) == expected
    exchange.set_phase(0, Phase.TRADING)
    assert {price for _, price, _ in trades(exchange)} == {expected[0]}
    assert sum(size for _, _, size in trades(exchange)) == expected[1]


@pytest.mark.parametrize(("reference", "price"), [(0, 102), (97, 100), (100, 100), (101, 101), (104, 104), (105, 105), (200, 105)])
def test_the_reference_decides_between_equal_prices(exchange: Exchange, reference: int, price: int) -> None:
    exchange.set_reference(0, reference)
    assert collect(exchange, {105: 10}, {100: 10}) == (price, 10)


def test_the_last_trade_is_the_reference_that_was_not_set(exchange: Exchange) -> None:
    exchange.place(MAKER, 0, SELL, 104, 1)
    exchange.place(OTHER, 0, BUY, 104, 1)
    assert collect(exchange, {105: 10}, {100: 10}) == (104, 10)


def test_a_smaller_surplus_wins_over_the_reference(exchange: Exchange) -> None:
    """10 lots trade at 100 and at 103; 5 bids are left over at 100, none at 103."""
    exchange.set_reference(0, 100)
    assert collect(exchange, {103: 10, 101: 5}, {100: 10}) == (103, 10)


def test_priority_is_price_and_then_time(exchange: Exchange) -> None:
    exchange.set_phase(0, Phase.AUCTION)
    late = exchange.place(MAKER, 0, BUY, 100, 5)
    best = exchange.place(MAKER, 0, BUY, 101, 5)
    later = exchange.place(MAKER, 0, BUY, 100, 5)
    exchange.replace(MAKER, late, 100, 6)    # to the end of its queue
    sell = exchange.place(OTHER, 0, SELL, 100, 12)
    exchange.set_phase(0, Phase.TRADING)
    assert trades(exchange) == [(best, 100, 5), (later, 100, 5), (late, 100, 2)]
    assert {event.order for event in told(exchange, EventKind.TRADE)} == {sell}


def test_the_younger_order_pays_the_takers_fee() -> None:
    exchange = new_exchange(WIDE._replace(maker_fee=10_000, taker_fee=20_000), accounts=3, btc=1_000, usd=10**6)
    exchange.set_phase(0, Phase.AUCTION)
    sell = exchange.place(OTHER, 0, SELL, 90, 100)
    buy = exchange.place(MAKER, 0, BUY, 110, 100)
    exchange.set_reference(0, 100)
    exchange.set_phase(0, Phase.TRADING)
    [trade] = told(exchange, EventKind.TRADE)
    assert (trade.order, trade.maker, trade.side, trade.price, trade.taker_fee, trade.maker_fee) == (buy, sell, BUY, 100, 200, 100)
    assert [event.fee for event in told(exchange, EventKind.FILLED)] == [100, 200]
    assert exchange.balance(MAKER, 1) == (10**6 - 10_000 - 200, 0)      # what it held for 110 is released
    assert exchange.balance(OTHER, 1) == (10**6 + 10_000 - 100, 0)
    check(exchange)


def test_icebergs_count_whole_and_trade_by_what_they_show(exchange: Exchange) -> None:
    exchange.set_phase(0, Phase.AUCTION)
    iceberg = exchange.place(MAKER, 0, SELL, 100, 10, display=2)
    other = exchange.place(OTHER, 0, SELL, 100, 1)
    exchange.place(TAKER, 0, BUY, 100, 8)
    assert exchange.books[0].indicative() == (100, 8)
    exchange.set_phase(0, Phase.TRADING)
    assert trades(exchange) == [(iceberg, 100, 2), (other, 100, 1), (iceberg, 100, 2), (iceberg, 100, 2), (iceberg, 100, 1)]
    assert depth(exchange) == ([], [100, 1])
    assert exchange.orders(MAKER)[0].remaining == 3


def test_cancel_reduce_and_replace_while_collecting(exchange: Exchange) -> None:
    exchange.set_phase(0, Phase.AUCTION)
    orders = [exchange.place(MAKER, 0, BUY, 100, 5) for _ in range(3)]
    exchange.cancel(MAKER, orders[0])
    exchange.reduce(MAKER, orders[1], 2)
    exchange.replace(MAKER, orders[2], 120, 4)
    assert told(exchange, EventKind.LEVEL) == []
    exchange.set_phase(0, Phase.TRADING)
    assert depth(exchange) == ([120, 4, 100, 3], [])


@pytest.mark.parametrize(
    "options",
    [
        {"time_in_force": TimeInForce.IOC}, {"time_in_force": TimeInForce.FOK}, {"type": OrderType.MARKET}, {"post_only": True}, {"min_size": 1},
        {"type": OrderType.STOP, "stop": 100}, {"type": OrderType.STOP_LIMIT, "stop": 100},
    ],
)
def test_what_an_auction_does_not_take(exchange: Exchange, options: dict[str, int]) -> None:
    exchange.set_phase(0, Phase.AUCTION)
    with refused(Reason.WRONG_PHASE):
        exchange.place(MAKER, 0, BUY, 100, 5, **options)    # type: ignore[arg-type]


def test_the_uncrossing_triggers_stops(exchange: Exchange) -> None:
    stop = exchange.place(TAKER, 0, BUY, 0, 1, type=OrderType.STOP, stop=100)
    collect(exchange, {100: 5}, {100: 5, 103: 1})
    exchange.set_phase(0, Phase.TRADING)
    assert [event.order for event in told(exchange, EventKind.TRIGGERED)] == [stop]
    assert trades(exchange)[-1][1:] == (103, 1)


def test_a_halt_keeps_what_was_collected(exchange: Exchange) -> None:
    collect(exchange, {100: 5}, {100: 3})
    exchange.set_phase(0, Phase.HALT)
    with refused(Reason.HALTED):
        exchange.place(MAKER, 0, BUY, 100, 5)
    exchange.set_phase(0, Phase.AUCTION)
    exchange.place(OTHER, 0, SELL, 100, 2)
    exchange.set_phase(0, Phase.TRADING)
    assert (sum(size for _, _, size in trades(exchange)), depth(exchange)) == (5, ([], []))


def test_orders_expire_while_collected(exchange: Exchange) -> None:
    exchange.set_phase(0, Phase.AUCTION)
    exchange.place(MAKER, 0, BUY, 100, 5, time_in_force=TimeInForce.GTD, expires=9)
    exchange.place(OTHER, 0, SELL, 100, 5)
    exchange.set_phase(0, Phase.TRADING, time=9)
    assert (trades(exchange), depth(exchange)) == ([], ([], [100, 5]))


def test_other_instruments_trade_on(exchange: Exchange) -> None:
    exchange.add_instrument(BTC_USD._replace(name="other"))
    exchange.set_phase(0, Phase.AUCTION)
    exchange.place(MAKER, 1, SELL, 100, 5)
    exchange.place(TAKER, 1, BUY, 100, 5)
    assert len(trades(exchange)) == 1
