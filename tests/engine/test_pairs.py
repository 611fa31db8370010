"""One cancels the other."""

import pytest

from engine import EventKind, Exchange, OrderType, Phase, Reason, SelfTrade, TimeInForce
from tests.conftest import BUY, MAKER, OTHER, SELL, TAKER, check, depth, new_exchange, refused, told, trades

STOP = OrderType.STOP


def bracket(exchange: Exchange, size: int = 5) -> tuple[int, int]:
    """TAKER takes profit at 120, or stops its loss at 80."""
    limit = exchange.place(TAKER, 0, SELL, 120, size)
    return limit, exchange.place(TAKER, 0, SELL, 0, size, type=STOP, stop=80, linked=limit)


def ends(exchange: Exchange) -> list[tuple[int, Reason]]:
    return [(event.order, Reason(event.reason)) for event in told(exchange, EventKind.CANCELLED)]


def test_a_pair_holds_once() -> None:
    exchange = new_exchange(accounts=3, btc=5)
    limit, stop = bracket(exchange)
    assert exchange.balance(TAKER, 0) == (0, 5)
    assert [(order.order, order.linked) for order in exchange.orders(TAKER)] == [(limit, stop), (stop, limit)]
    check(exchange)


def test_a_pair_holds_the_larger_of_its_holds() -> None:
    exchange = new_exchange(accounts=3, btc=9)
    limit = exchange.place(TAKER, 0, SELL, 120, 5)
    stop = exchange.place(TAKER, 0, SELL, 0, 7, type=STOP, stop=80, linked=limit)
    held = [exchange.balance(TAKER, 0)[1]]
    for order, size in ((stop, 3), (limit, 2), (stop, 9)):
        exchange.replace(TAKER, order, 0 if order == stop else 120, size)
        held.append(exchange.balance(TAKER, 0)[1])
    assert held == [7, 5, 3, 9]
    with refused(Reason.INSUFFICIENT_FUNDS, limit):
        exchange.replace(TAKER, limit, 120, 10)
    check(exchange)


def test_a_fill_cancels_the_other_ahead_of_the_trade(exchange: Exchange) -> None:
    limit, stop = bracket(exchange)
    exchange.place(OTHER, 0, BUY, 120, 1)
    assert next((event.kind, event.order) for event in exchange.events if event.kind in (EventKind.CANCELLED, EventKind.TRADE)) == (EventKind.CANCELLED, stop)
    assert ends(exchange) == [(stop, Reason.LINKED)]
    assert [(order.order, order.remaining, order.linked) for order in exchange.orders(TAKER)] == [(limit, 4, 0)]


def test_a_trigger_cancels_the_other(exchange: Exchange) -> None:
    limit, stop = bracket(exchange)
    exchange.place(MAKER, 0, BUY, 80, 6)
    exchange.place(OTHER, 0, SELL, 80, 1)
    assert ends(exchange) == [(limit, Reason.LINKED)]
    assert [event.order for event in told(exchange, EventKind.TRIGGERED)] == [stop]
    assert trades(exchange)[-1][1:] == (80, 5)
    assert (exchange.orders(TAKER), exchange.balance(TAKER, 0)[1]) == ([], 0)


@pytest.mark.parametrize("which", [0, 1])
def test_the_end_of_one_is_the_end_of_both(exchange: Exchange, which: int) -> None:
    pair = bracket(exchange)
    exchange.cancel(TAKER, pair[which])
    assert ends(exchange) == [(pair[which], Reason.REQUESTED), (pair[1 - which], Reason.LINKED)]
    assert exchange.balance(TAKER, 0)[1] == 0


def test_one_expires_with_the_other(exchange: Exchange) -> None:
    limit = exchange.place(TAKER, 0, SELL, 120, 5, time_in_force=TimeInForce.GTD, expires=9)
    stop = exchange.place(TAKER, 0, SELL, 0, 5, type=STOP, stop=80, linked=limit, time_in_force=TimeInForce.GTD, expires=9)
    exchange.advance(9)
    assert ends(exchange) == [(limit, Reason.EXPIRED), (stop, Reason.LINKED)]


def test_the_second_one_may_match_at_once(exchange: Exchange) -> None:
    exchange.place(MAKER, 0, BUY, 100, 2)
    stop = exchange.place(TAKER, 0, SELL, 0, 5, type=STOP, stop=80)
    limit = exchange.place(TAKER, 0, SELL, 100, 5, linked=stop)
    assert ends(exchange) == [(stop, Reason.LINKED)]
    assert depth(exchange) == ([], [100, 3])
    assert exchange.orders(TAKER)[0].order == limit


def test_reduce_and_replace_leave_the_pair(exchange: Exchange) -> None:
    limit, stop = bracket(exchange)
    exchange.reduce(TAKER, limit, 1)
    exchange.replace(TAKER, limit, 130, 9)
    exchange.replace(TAKER, stop, 0, 9, stop=70)
    assert [(order.order, order.linked) for order in exchange.orders(TAKER)] == [(limit, stop), (stop, limit)]


def test_cancel_all_counts_both(exchange: Exchange) -> None:
    bracket(exchange)
    bracket(exchange)
    exchange.place(TAKER, 0, BUY, 50, 1)
    assert exchange.cancel_all(TAKER, side=SELL) == 4
    assert exchange.cancel_all(TAKER) == 1


def test_self_trade_prevention_ends_both(exchange: Exchange) -> None:
    limit, stop = bracket(exchange)
    exchange.place(TAKER, 0, BUY, 120, 5, self_trade=SelfTrade.CANCEL_OLDEST)
    assert ends(exchange) == [(limit, Reason.SELF_TRADE), (stop, Reason.LINKED)]


def test_what_cannot_be_linked(exchange: Exchange) -> None:
    limit, stop = bracket(exchange)
    free = exchange.place(TAKER, 0, SELL, 130, 1)
    foreign = exchange.place(OTHER, 0, SELL, 130, 1)
    with refused(Reason.UNKNOWN_ORDER, 99):
        exchange.place(TAKER, 0, SELL, 0, 1, type=STOP, stop=80, linked=99)
    with refused(Reason.UNKNOWN_ORDER, foreign):
        exchange.place(TAKER, 0, SELL, 0, 1, type=STOP, stop=80, linked=foreign)
    for partner, side, type in ((limit, SELL, STOP), (stop, SELL, STOP), (free, BUY, STOP), (free, SELL, OrderType.LIMIT)):
        with refused(Reason.NOT_LINKABLE, partner):
            exchange.place(TAKER, 0, side, 140, 1, type=type, stop=80 if type == STOP else 0, linked=partner)
    exchange.add_instrument(exchange.books[0].instrument._replace(name="other"))
    with refused(Reason.NOT_LINKABLE, free):
        exchange.place(TAKER, 1, SELL, 0, 1, type=STOP, stop=80, linked=free)
    for time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
        with refused(Reason.UNKNOWN_OPTION, free):
            exchange.place(TAKER, 0, SELL, 80, 1, time_in_force=time_in_force, linked=free)


def test_two_stops_may_be_a_pair(exchange: Exchange) -> None:
    first = exchange.place(TAKER, 0, SELL, 0, 5, type=STOP, stop=80)
    second = exchange.place(TAKER, 0, SELL, 85, 5, type=OrderType.STOP_LIMIT, stop=90, linked=first)
    exchange.place(MAKER, 0, BUY, 90, 1)
    exchange.place(OTHER, 0, SELL, 90, 1)
    assert ends(exchange) == [(first, Reason.LINKED)]
    assert exchange.orders(TAKER)[0].order == second


# What a pair holds


def test_the_second_one_needs_only_what_the_first_does_not_hold() -> None:
    """5 lots at 100 hold 500; at 110 a pair holds 550, and at 130 would hold 650."""
    exchange = new_exchange(accounts=3, usd=600)
    stop = exchange.place(TAKER, 0, BUY, 100, 5, type=OrderType.STOP_LIMIT, stop=120)
    with refused(Reason.INSUFFICIENT_FUNDS, stop):
        exchange.place(TAKER, 0, BUY, 130, 5, linked=stop)
    limit = exchange.place(TAKER, 0, BUY, 110, 5, linked=stop)
    assert exchange.balance(TAKER, 1) == (50, 550)
    exchange.reduce(TAKER, limit, 1)
    assert exchange.balance(TAKER, 1) == (100, 500)
    check(exchange)


def test_a_buy_stop_without_a_limit_adds_nothing_to_what_its_partner_holds() -> None:
    exchange = new_exchange(accounts=3, usd=600)
    limit = exchange.place(TAKER, 0, BUY, 100, 5)
    stop = exchange.place(TAKER, 0, BUY, 0, 10**6, type=STOP, stop=120, linked=limit)
    assert exchange.balance(TAKER, 1) == (100, 500)
    exchange.cancel(TAKER, stop)
    assert exchange.balance(TAKER, 1) == (600, 0)


def test_what_is_left_of_a_pair_holds_for_itself(exchange: Exchange) -> None:
    """The pair holds for 7 lots; when a lot of the smaller order is filled, what is left of it holds for 4."""
    limit = exchange.place(TAKER, 0, SELL, 120, 5)
    exchange.place(TAKER, 0, SELL, 0, 7, type=STOP, stop=80, linked=limit)
    assert exchange.balance(TAKER, 0)[1] == 7 * 10_000
    exchange.place(OTHER, 0, BUY, 120, 1)
    assert exchange.balance(TAKER, 0)[1] == 4 * 10_000
    check(exchange)


# What else ends one of them


def test_the_takers_partner_ends_ahead_of_the_makers(exchange: Exchange) -> None:
    limit, stop = bracket(exchange)
    buy_stop = exchange.place(OTHER, 0, BUY, 0, 5, type=STOP, stop=150)
    exchange.place(OTHER, 0, BUY, 120, 5, linked=buy_stop)
    assert ends(exchange) == [(buy_stop, Reason.LINKED), (stop, Reason.LINKED)]
    assert [event.maker for event in told(exchange, EventKind.TRADE)] == [limit]


@pytest.mark.parametrize("size", [5, 6])
def test_a_reduction_to_nothing_ends_both(exchange: Exchange, size: int) -> None:
    limit, stop = bracket(exchange)
    exchange.reduce(TAKER, limit, size)
    assert ends(exchange) == [(limit, Reason.REQUESTED), (stop, Reason.LINKED)]


def test_a_replaced_order_that_matches_ends_the_other(exchange: Exchange) -> None:
    limit, stop = bracket(exchange)
    exchange.place(MAKER, 0, BUY, 100, 2)
    exchange.replace(TAKER, limit, 100, 5)
    assert ends(exchange) == [(stop, Reason.LINKED)]
    assert [(order.order, order.remaining, order.linked) for order in exchange.orders(TAKER)] == [(limit, 3, 0)]


def test_the_end_of_an_incoming_order_ends_the_other(exchange: Exchange) -> None:
    """It would meet its own order, and ends before it has traded."""
    exchange.place(TAKER, 0, BUY, 100, 5)
    stop = exchange.place(TAKER, 0, SELL, 0, 5, type=STOP, stop=80)
    limit = exchange.place(TAKER, 0, SELL, 100, 5, linked=stop, self_trade=SelfTrade.CANCEL_NEWEST)
    assert ends(exchange) == [(limit, Reason.SELF_TRADE), (stop, Reason.LINKED)]
    assert exchange.balance(TAKER, 0)[1] == 0


def test_decrementing_leaves_the_pair(exchange: Exchange) -> None:
    limit, stop = bracket(exchange)
    exchange.place(TAKER, 0, BUY, 120, 2, self_trade=SelfTrade.DECREMENT)
    assert [(order.order, order.remaining, order.linked) for order in exchange.orders(TAKER)] == [(limit, 3, stop), (stop, 5, limit)]
    assert exchange.balance(TAKER, 0)[1] == 5 * 10_000


def test_a_trade_of_an_uncrossing_ends_the_other(exchange: Exchange) -> None:
    limit, stop = bracket(exchange)
    exchange.set_phase(0, Phase.AUCTION)
    exchange.place(OTHER, 0, BUY, 120, 2)
    exchange.set_phase(0, Phase.TRADING)
    assert ends(exchange) == [(stop, Reason.LINKED)]
    assert trades(exchange) == [(limit, 120, 2)]


def test_what_has_lost_its_partner_can_have_another(exchange: Exchange) -> None:
    """A fill does not end the order, only the pair."""
    limit, _ = bracket(exchange)
    exchange.place(OTHER, 0, BUY, 120, 1)
    stop = exchange.place(TAKER, 0, SELL, 0, 4, type=STOP, stop=80, linked=limit)
    assert [(order.order, order.linked) for order in exchange.orders(TAKER)] == [(limit, stop), (stop, limit)]
