"""Self-trade prevention."""

import pytest

from engine import EventKind, Exchange, Phase, Reason, SelfTrade, TimeInForce
from tests.conftest import BUY, MAKER, OTHER, SELL, TAKER, check, depth, refused, trades

NEWEST, OLDEST, BOTH, DECREMENT = SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_OLDEST, SelfTrade.CANCEL_BOTH, SelfTrade.DECREMENT
PREVENTING = (NEWEST, OLDEST, BOTH, DECREMENT)


def told_of_self_trade(exchange: Exchange) -> list[tuple[EventKind, int, int]]:
    """Kind, order and lots of what was done instead of a trade."""
    return [(EventKind(event.kind), event.order, event.size) for event in exchange.events if event.reason == Reason.SELF_TRADE]


def own_between_others(exchange: Exchange) -> list[int]:
    """Sells of 3 lots at 100: another's, TAKER's own, another's; and one at 101."""
    return [exchange.place(account, 0, SELL, price, 3) for account, price in ((MAKER, 100), (TAKER, 100), (OTHER, 100), (MAKER, 101))]


def test_an_account_may_trade_with_itself_unless_it_says_so(exchange: Exchange) -> None:
    sells = own_between_others(exchange)
    exchange.place(TAKER, 0, BUY, 100, 9)
    assert [maker for maker, _, _ in trades(exchange)] == sells[:3]


def test_cancel_newest(exchange: Exchange) -> None:
    sells = own_between_others(exchange)
    buy = exchange.place(TAKER, 0, BUY, 101, 10, self_trade=NEWEST)
    assert trades(exchange) == [(sells[0], 100, 3)]
    assert told_of_self_trade(exchange) == [(EventKind.CANCELLED, buy, 7)]
    assert depth(exchange) == ([], [100, 6, 101, 3])
    check(exchange)


def test_cancel_oldest(exchange: Exchange) -> None:
    sells = own_between_others(exchange)
    exchange.place(TAKER, 0, BUY, 101, 10, self_trade=OLDEST)
    assert trades(exchange) == [(sells[0], 100, 3), (sells[2], 100, 3), (sells[3], 101, 3)]
    assert told_of_self_trade(exchange) == [(EventKind.CANCELLED, sells[1], 3)]
    assert depth(exchange) == ([101, 1], [])
    check(exchange)


def test_cancel_both(exchange: Exchange) -> None:
    sells = own_between_others(exchange)
    buy = exchange.place(TAKER, 0, BUY, 101, 10, self_trade=BOTH)
    assert trades(exchange) == [(sells[0], 100, 3)]
    assert told_of_self_trade(exchange) == [(EventKind.CANCELLED, sells[1], 3), (EventKind.CANCELLED, buy, 7)]
    assert depth(exchange) == ([], [100, 3, 101, 3])
    check(exchange)


def test_decrement(exchange: Exchange) -> None:
    sells = own_between_others(exchange)
    buy = exchange.place(TAKER, 0, BUY, 101, 10, self_trade=DECREMENT)
    assert trades(exchange) == [(sells[0], 100, 3), (sells[2], 100, 3), (sells[3], 101, 1)]
    assert told_of_self_trade(exchange) == [(EventKind.CANCELLED, sells[1], 3), (EventKind.REDUCED, buy, 3)]
    check(exchange)


@pytest.mark.parametrize(
    ("resting", "incoming", "expected"),
    [
        (5, 3, [(EventKind.REDUCED, 0, 3), (EventKind.CANCELLED, 1, 3)]),
        (3, 5, [(EventKind.CANCELLED, 0, 3), (EventKind.REDUCED, 1, 3)]),
        (4, 4, [(EventKind.CANCELLED, 0, 4), (EventKind.CANCELLED, 1, 4)]),
    ],
)
def test_decrement_takes_the_same_off_both(exchange: Exchange, resting: int, incoming: int, expected: list[tuple[EventKind, int, int]]) -> None:
    orders = [exchange.place(TAKER, 0, SELL, 100, resting), exchange.place(TAKER, 0, BUY, 100, incoming, self_trade=DECREMENT)]
    assert told_of_self_trade(exchange) == [(kind, orders[which], size) for kind, which, size in expected]
    assert depth(exchange) == ([100, incoming - 3] if incoming > resting else [], [100, resting - 3] if resting > incoming else [])
    check(exchange)


@pytest.mark.parametrize("mode", PREVENTING)
def test_an_account_has_a_mode_of_its_own(exchange: Exchange, mode: SelfTrade) -> None:
    exchange.set_account(TAKER, self_trade=mode)
    exchange.place(TAKER, 0, SELL, 100, 3)
    exchange.place(TAKER, 0, BUY, 100, 3)
    assert (trades(exchange), len(told_of_self_trade(exchange)) > 0) == ([], True)
    exchange.cancel_all(TAKER)
    exchange.place(TAKER, 0, SELL, 100, 3)
    exchange.place(TAKER, 0, BUY, 100, 3, self_trade=SelfTrade.ALLOW)
    assert len(trades(exchange)) == 1


def test_a_group_is_one_owner(exchange: Exchange) -> None:
    for account in (MAKER, TAKER):
        exchange.set_account(account, group=7, self_trade=OLDEST)
    exchange.set_account(OTHER, group=8, self_trade=OLDEST)
    ours = exchange.place(MAKER, 0, SELL, 100, 3)
    theirs = exchange.place(OTHER, 0, SELL, 100, 3)
    exchange.place(TAKER, 0, BUY, 100, 3)
    assert (told_of_self_trade(exchange), trades(exchange)) == ([(EventKind.CANCELLED, ours, 3)], [(theirs, 100, 3)])


def test_a_replaced_order_heeds_its_mode(exchange: Exchange) -> None:
    exchange.place(TAKER, 0, SELL, 100, 3)
    buy = exchange.place(TAKER, 0, BUY, 90, 3, self_trade=NEWEST)
    exchange.replace(TAKER, buy, 100, 3)
    assert (told_of_self_trade(exchange), trades(exchange)) == ([(EventKind.CANCELLED, buy, 3)], [])


def test_an_iceberg_is_decremented_by_what_it_shows(exchange: Exchange) -> None:
    iceberg = exchange.place(TAKER, 0, SELL, 100, 10, display=4)
    other = exchange.place(OTHER, 0, SELL, 100, 1)
    buy = exchange.place(TAKER, 0, BUY, 100, 7, self_trade=DECREMENT)
    assert told_of_self_trade(exchange) == [
        (EventKind.REDUCED, iceberg, 4), (EventKind.REDUCED, buy, 4), (EventKind.REDUCED, iceberg, 2), (EventKind.CANCELLED, buy, 2),
    ]
    assert trades(exchange) == [(other, 100, 1)]
    assert depth(exchange) == ([], [100, 2])
    check(exchange)


@pytest.mark.parametrize("mode", [OLDEST, BOTH])
def test_a_cancelled_iceberg_is_gone_with_all_that_it_hides(exchange: Exchange, mode: SelfTrade) -> None:
    iceberg = exchange.place(TAKER, 0, SELL, 100, 10, display=4)
    exchange.place(TAKER, 0, BUY, 100, 20, self_trade=mode)
    assert told_of_self_trade(exchange)[0] == (EventKind.CANCELLED, iceberg, 10)
    assert depth(exchange)[1] == []


@pytest.mark.parametrize("mode", PREVENTING)
def test_a_post_only_order_counts_own_orders_as_anybodys(exchange: Exchange, mode: SelfTrade) -> None:
    exchange.place(TAKER, 0, SELL, 100, 3)
    with refused(Reason.POST_ONLY_WOULD_TAKE):
        exchange.place(TAKER, 0, BUY, 100, 3, post_only=True, self_trade=mode)
    exchange.place(TAKER, 0, BUY, 100, 3, post_only=True, slide=True, self_trade=mode)
    assert depth(exchange) == ([99, 3], [100, 3])


@pytest.mark.parametrize(("mode", "most"), [(SelfTrade.ALLOW, 12), (OLDEST, 9), (NEWEST, 3), (BOTH, 3), (DECREMENT, 3)])
def test_what_can_be_filled_at_once(exchange: Exchange, mode: SelfTrade, most: int) -> None:
    own_between_others(exchange)
    for options in ({"time_in_force": TimeInForce.FOK}, {"min_size": most + 1}):
        with refused(Reason.UNFILLABLE):
            exchange.place(TAKER, 0, BUY, 101, most + 1, self_trade=mode, **options)    # type: ignore[arg-type]
    exchange.place(TAKER, 0, BUY, 101, most, self_trade=mode, time_in_force=TimeInForce.FOK)
    assert sum(size for _, _, size in trades(exchange)) == most


@pytest.mark.parametrize("mode", [NEWEST, BOTH, DECREMENT])
def test_an_iceberg_ahead_of_an_own_order_counts_with_what_it_shows(exchange: Exchange, mode: SelfTrade) -> None:
    """What it shows next comes behind the own order, where the taker does not get."""
    exchange.place(OTHER, 0, SELL, 100, 10, display=4)
    exchange.place(TAKER, 0, SELL, 100, 1)
    with refused(Reason.UNFILLABLE):
        exchange.place(TAKER, 0, BUY, 100, 5, self_trade=mode, time_in_force=TimeInForce.FOK)
    exchange.place(TAKER, 0, BUY, 100, 4, self_trade=mode, time_in_force=TimeInForce.FOK)


@pytest.mark.parametrize(
    ("mode", "expected", "left"),
    [
        (NEWEST, [(EventKind.CANCELLED, 1, 5)], ([100, 3], [])),
        (OLDEST, [(EventKind.CANCELLED, 0, 3)], ([], [100, 5])),
        (BOTH, [(EventKind.CANCELLED, 0, 3), (EventKind.CANCELLED, 1, 5)], ([], [])),
        (DECREMENT, [(EventKind.CANCELLED, 0, 3), (EventKind.REDUCED, 1, 3)], ([], [100, 2])),
    ],
)
def test_in_an_uncrossing_the_younger_one_decides(
    exchange: Exchange, mode: SelfTrade, expected: list[tuple[EventKind, int, int]], left: tuple[list[int], list[int]]
) -> None:
    exchange.set_phase(0, Phase.AUCTION)
    orders = [exchange.place(TAKER, 0, BUY, 100, 3), exchange.place(TAKER, 0, SELL, 100, 5, self_trade=mode)]
    exchange.set_phase(0, Phase.TRADING)
    assert told_of_self_trade(exchange) == [(kind, orders[which], size) for kind, which, size in expected]
    assert (trades(exchange), depth(exchange)) == ([], left)
    check(exchange)


def test_what_prevention_leaves_crossed_trades_at_another_price(exchange: Exchange) -> None:
    """The first price is 100, with 5 lots; its bid goes, and what is left crosses at 104."""
    exchange.set_phase(0, Phase.AUCTION)
    exchange.place(TAKER, 0, SELL, 100, 5)
    exchange.place(TAKER, 0, BUY, 110, 5, self_trade=BOTH)
    low = exchange.place(MAKER, 0, SELL, 104, 1)
    exchange.place(OTHER, 0, BUY, 104, 1)
    exchange.set_phase(0, Phase.TRADING)
    assert trades(exchange) == [(low, 104, 1)]
    assert depth(exchange) == ([], [])
