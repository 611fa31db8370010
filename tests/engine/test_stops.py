"""Stop, stop-limit and trailing stop orders."""

import pytest

from engine import EventKind, Exchange, OrderType, Phase, Reason, SelfTrade
from tests.conftest import BUY, MAKER, OTHER, SELL, TAKER, WIDE, check, depth, kinds, new_exchange, refused, told, trades

STOP, STOP_LIMIT, TRAILING_STOP = OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP
TAKE_PROFIT, TAKE_PROFIT_LIMIT = OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT


def trade(exchange: Exchange, price: int, size: int = 1) -> None:
    """Let somebody trade at a price that nothing else is at."""
    exchange.place(MAKER, 0, SELL, price, size)
    exchange.place(OTHER, 0, BUY, price, size)


def trigger_of(exchange: Exchange, order: int) -> int:
    found = exchange.order(order)
    assert found
    return found.stop


def test_a_stop_waits_unseen_and_is_then_a_market_order(exchange: Exchange, asks: list[int]) -> None:
    stop = exchange.place(TAKER, 0, BUY, 0, 6, type=STOP, stop=101)
    assert kinds(exchange) == [EventKind.ACCEPTED, EventKind.WAITING]
    assert (depth(exchange), trigger_of(exchange, stop)) == (([], [100, 12, 101, 10]), 101)
    exchange.place(OTHER, 0, BUY, 100, 1)
    assert told(exchange, EventKind.TRIGGERED) == []
    exchange.place(OTHER, 0, BUY, 101, 13)
    [triggered] = told(exchange, EventKind.TRIGGERED)
    assert (triggered.order, triggered.price, triggered.size) == (stop, 101, 6)
    assert trades(exchange)[-1] == (asks[2], 101, 6)
    assert exchange.order(stop) is None


def test_a_sell_stop_triggers_at_its_price_and_below(exchange: Exchange) -> None:
    exchange.place(MAKER, 0, BUY, 80, 50)
    stops = [exchange.place(TAKER, 0, SELL, 0, 1, type=STOP, stop=price) for price in (95, 90, 89)]
    trade(exchange, 96)
    assert told(exchange, EventKind.TRIGGERED) == []
    trade(exchange, 90)
    assert [event.order for event in told(exchange, EventKind.TRIGGERED)] == stops      # 89 by the trades of the others, at 80
    assert len(exchange.orders(TAKER)) == 0


def test_what_a_triggered_stop_does_not_get_is_cancelled(exchange: Exchange) -> None:
    stop = exchange.place(TAKER, 0, BUY, 105, 5, type=STOP, stop=100)
    exchange.place(MAKER, 0, SELL, 104, 1)
    exchange.place(MAKER, 0, SELL, 106, 9)
    trade(exchange, 100)
    [cancelled] = told(exchange, EventKind.CANCELLED)
    assert (cancelled.order, cancelled.size, cancelled.filled, cancelled.reason) == (stop, 4, 1, Reason.UNFILLED)


def test_a_stop_limit_rests_at_its_limit(exchange: Exchange) -> None:
    stop = exchange.place(TAKER, 0, BUY, 103, 5, type=STOP_LIMIT, stop=100)
    held = exchange.balance(TAKER, 1)[1]
    assert held == 515
    exchange.place(MAKER, 0, SELL, 102, 2)
    trade(exchange, 100)
    assert depth(exchange) == ([103, 3], [])
    order = exchange.order(stop)
    assert order
    assert (order.type, order.stop, order.remaining, exchange.balance(TAKER, 1)[1]) == (OrderType.LIMIT, 0, 3, 309)


def test_those_that_a_trade_triggers_enter_in_a_defined_order(exchange: Exchange) -> None:
    """Buys from the lowest trigger on, the oldest first; sells from the highest on."""
    exchange.place(MAKER, 0, SELL, 100, 1)
    exchange.place(MAKER, 0, SELL, 110, 1)
    buys = [exchange.place(TAKER, 0, BUY, 1, 1, type=STOP, stop=price) for price in (108, 105, 108, 101)]
    sells = [exchange.place(TAKER, 0, SELL, 500, 1, type=STOP, stop=price) for price in (99, 97, 99)]
    exchange.place(OTHER, 0, BUY, 110, 2)
    assert [event.order for event in told(exchange, EventKind.TRIGGERED)] == [buys[3], buys[1], buys[0], buys[2]]
    exchange.place(MAKER, 0, BUY, 96, 1)
    exchange.place(OTHER, 0, SELL, 96, 1)
    assert [event.order for event in told(exchange, EventKind.TRIGGERED)] == [sells[0], sells[2], sells[1]]


def test_stops_trigger_stops_in_the_same_batch(exchange: Exchange) -> None:
    for price in (100, 101, 102, 103):
        exchange.place(MAKER, 0, SELL, price, 1)
    first = exchange.place(TAKER, 0, BUY, 0, 1, type=STOP, stop=100)
    third = exchange.place(TAKER, 0, BUY, 0, 1, type=STOP, stop=102)
    second = exchange.place(TAKER, 0, BUY, 0, 1, type=STOP, stop=101)
    exchange.place(OTHER, 0, BUY, 100, 1)
    assert [event.order for event in told(exchange, EventKind.TRIGGERED)] == [first, second, third]
    assert [price for _, price, _ in trades(exchange)] == [100, 101, 102, 103]
    assert exchange.events.batches == 1
    assert exchange.books[0].last == 103


def test_every_trade_of_a_sweep_counts(exchange: Exchange) -> None:
    """A sweep that starts below the last price triggers a sell stop that its end would not."""
    trade(exchange, 100)
    sell = exchange.place(TAKER, 0, SELL, 500, 1, type=STOP, stop=95)
    exchange.place(MAKER, 0, SELL, 94, 1)
    exchange.place(MAKER, 0, SELL, 106, 1)
    exchange.place(OTHER, 0, BUY, 106, 2)
    assert [event.order for event in told(exchange, EventKind.TRIGGERED)] == [sell]


@pytest.mark.parametrize(("side", "stop"), [(BUY, 100), (BUY, 90), (SELL, 100), (SELL, 110)])
def test_a_trigger_that_the_last_trade_reached_enters_at_once(exchange: Exchange, side: int, stop: int) -> None:
    trade(exchange, 100)
    exchange.place(TAKER, 0, side, 0, 1, type=STOP, stop=stop)
    assert kinds(exchange) == [EventKind.ACCEPTED, EventKind.TRIGGERED, EventKind.CANCELLED]


def test_before_the_first_trade_nothing_is_reached(exchange: Exchange, asks: list[int]) -> None:
    exchange.place(TAKER, 0, BUY, 0, 1, type=STOP, stop=1)
    assert kinds(exchange) == [EventKind.ACCEPTED, EventKind.WAITING]


def test_a_trailing_sell_stop_follows_the_price_up_and_not_down(exchange: Exchange) -> None:
    trade(exchange, 100)
    stop = exchange.place(TAKER, 0, SELL, 0, 1, type=TRAILING_STOP, stop=10)
    triggers = []
    for price in (105, 97, 112, 103):
        trade(exchange, price)
        triggers.append(trigger_of(exchange, stop))
    assert triggers == [95, 95, 102, 102]
    exchange.place(MAKER, 0, BUY, 60, 1)
    trade(exchange, 102)
    assert [event.price for event in told(exchange, EventKind.TRIGGERED)] == [102]
    assert trades(exchange)[-1][1:] == (60, 1)


def test_a_trailing_buy_stop_follows_the_price_down(exchange: Exchange) -> None:
    trade(exchange, 100)
    early = exchange.place(TAKER, 0, BUY, 0, 1, type=TRAILING_STOP, stop=10)
    trade(exchange, 104)
    late = exchange.place(TAKER, 0, BUY, 0, 1, type=TRAILING_STOP, stop=5)
    assert [trigger_of(exchange, order) for order in (early, late)] == [110, 109]
    trade(exchange, 102)
    assert [trigger_of(exchange, order) for order in (early, late)] == [110, 107]
    trade(exchange, 95)
    assert [trigger_of(exchange, order) for order in (early, late)] == [105, 100]


def test_a_sweep_down_first_lifts_and_then_triggers_a_trailing_stop(exchange: Exchange) -> None:
    trade(exchange, 100)
    exchange.place(TAKER, 0, SELL, 500, 1, type=TRAILING_STOP, stop=5)
    exchange.place(MAKER, 0, BUY, 108, 1)
    exchange.place(MAKER, 0, BUY, 102, 1)
    exchange.place(OTHER, 0, SELL, 102, 2)
    assert [event.price for event in told(exchange, EventKind.TRIGGERED)] == [103]


def test_a_trailing_stop_needs_a_price_to_trail(exchange: Exchange) -> None:
    with refused(Reason.NO_REFERENCE):
        exchange.place(TAKER, 0, SELL, 0, 1, type=TRAILING_STOP, stop=5)
    trade(exchange, 5)
    with refused(Reason.PRICE_OUT_OF_RANGE):
        exchange.place(TAKER, 0, SELL, 0, 1, type=TRAILING_STOP, stop=5)
    exchange.place(TAKER, 0, SELL, 0, 1, type=TRAILING_STOP, stop=4)


def test_a_waiting_stop_can_be_reduced_cancelled_and_replaced(exchange: Exchange) -> None:
    stop = exchange.place(TAKER, 0, BUY, 103, 5, type=STOP_LIMIT, stop=100)
    exchange.reduce(TAKER, stop, 2)
    assert exchange.balance(TAKER, 1)[1] == 309
    exchange.replace(TAKER, stop, 110, 4, stop=105)
    assert kinds(exchange) == [EventKind.REPLACED, EventKind.WAITING]
    assert (trigger_of(exchange, stop), exchange.balance(TAKER, 1)[1]) == (105, 440)
    exchange.replace(TAKER, stop, 111, 4)
    assert kinds(exchange) == [EventKind.REPLACED]
    trade(exchange, 104)
    assert trigger_of(exchange, stop) == 105
    exchange.cancel(TAKER, stop)
    assert exchange.balance(TAKER, 1)[1] == 0
    trade(exchange, 105)
    assert told(exchange, EventKind.TRIGGERED) == []


def test_a_replaced_trigger_that_was_reached_enters_at_once(exchange: Exchange) -> None:
    trade(exchange, 100)
    stop = exchange.place(TAKER, 0, BUY, 103, 5, type=STOP_LIMIT, stop=105)
    exchange.replace(TAKER, stop, 103, 5, stop=100)
    assert kinds(exchange) == [EventKind.REPLACED, EventKind.TRIGGERED]
    assert depth(exchange) == ([103, 5], [])


def test_the_trigger_of_what_does_not_wait_or_trails_cannot_be_replaced(exchange: Exchange) -> None:
    trade(exchange, 100)
    resting = exchange.place(TAKER, 0, BUY, 50, 1)
    trailing = exchange.place(TAKER, 0, SELL, 0, 1, type=TRAILING_STOP, stop=5)
    for order in (resting, trailing):
        with refused(Reason.UNKNOWN_OPTION, order):
            exchange.replace(TAKER, order, 50, 1, stop=60)
    exchange.replace(TAKER, trailing, 40, 1)


def test_a_buy_stop_that_cannot_be_paid_is_cancelled_when_it_triggers() -> None:
    exchange = new_exchange(accounts=3, btc=100, usd=1_000)
    stop = exchange.place(2, 0, BUY, 0, 11, type=STOP, stop=100)
    assert exchange.balance(2, 1) == (1_000, 0)
    exchange.place(0, 0, SELL, 100, 50)
    exchange.place(1, 0, BUY, 100, 1)
    [cancelled] = told(exchange, EventKind.CANCELLED)
    assert (cancelled.order, cancelled.reason) == (stop, Reason.INSUFFICIENT_FUNDS)
    check(exchange)


def test_a_sell_stop_holds_its_lots_while_it_waits() -> None:
    exchange = new_exchange(btc=10)
    exchange.place(0, 0, SELL, 0, 7, type=STOP, stop=50)
    assert exchange.balance(0, 0) == (3, 7)
    with refused(Reason.INSUFFICIENT_FUNDS):
        exchange.place(0, 0, SELL, 0, 4, type=STOP, stop=50)


def test_a_stop_limit_outside_the_band_is_cancelled_when_it_triggers() -> None:
    exchange = new_exchange(WIDE._replace(band=100_000), accounts=3, btc=10**9, usd=10**9)
    exchange.set_reference(0, 100)
    stop = exchange.place(2, 0, BUY, 120, 1, type=STOP_LIMIT, stop=100)
    trade(exchange, 100)
    [cancelled] = told(exchange, EventKind.CANCELLED)
    assert (cancelled.order, cancelled.reason) == (stop, Reason.PRICE_OUT_OF_BAND)


def test_a_triggered_stop_heeds_its_self_trade_prevention(exchange: Exchange) -> None:
    stop = exchange.place(TAKER, 0, BUY, 0, 5, type=STOP, stop=100, self_trade=SelfTrade.CANCEL_NEWEST)
    exchange.place(TAKER, 0, SELL, 101, 5)
    trade(exchange, 100)
    [cancelled] = told(exchange, EventKind.CANCELLED)
    assert (cancelled.order, cancelled.reason) == (stop, Reason.SELF_TRADE)


@pytest.mark.parametrize(
    "options",
    [
        {"time_in_force": 1}, {"time_in_force": 2}, {"post_only": True}, {"display": 1}, {"min_size": 1}, {"quote": True}, {"post_only": True, "slide": True},
    ],
)
def test_what_does_not_go_with_a_stop(exchange: Exchange, options: dict[str, int]) -> None:
    for type in (STOP, STOP_LIMIT, TRAILING_STOP):
        with refused(Reason.UNKNOWN_OPTION):
            exchange.place(TAKER, 0, BUY, 100, 5, type=type, stop=100, **options)    # type: ignore[arg-type]
    with refused(Reason.UNKNOWN_OPTION):
        exchange.place(TAKER, 0, BUY, 100, 5, stop=100)


@pytest.mark.parametrize("stop", [0, -1, 1_000_001])
def test_a_trigger_is_a_price(exchange: Exchange, stop: int) -> None:
    for type in (STOP, STOP_LIMIT, TRAILING_STOP):
        with refused(Reason.PRICE_OUT_OF_RANGE):
            exchange.place(TAKER, 0, BUY, 100, 5, type=type, stop=stop)


# One after the other


def test_of_those_at_one_trigger_the_oldest_enters_first_however_it_got_there(exchange: Exchange) -> None:
    trade(exchange, 100)
    replaced = exchange.place(TAKER, 0, SELL, 500, 1, type=STOP, stop=80)
    trailing = exchange.place(TAKER, 0, SELL, 0, 1, type=TRAILING_STOP, stop=10)
    placed = exchange.place(TAKER, 0, SELL, 500, 1, type=STOP, stop=95)
    exchange.replace(TAKER, replaced, 500, 2, stop=95)
    trade(exchange, 105)
    assert {trigger_of(exchange, order) for order in (replaced, trailing, placed)} == {95}
    trade(exchange, 95)
    assert [event.order for event in told(exchange, EventKind.TRIGGERED)] == [replaced, trailing, placed]


def test_what_a_stop_triggers_waits_for_those_that_are_triggered_already(exchange: Exchange) -> None:
    """The sweep to 101 triggers two; the first of them trades at 103 and triggers a third, which comes after the second."""
    makers = {price: exchange.place(MAKER, 0, SELL, price, 1) for price in (100, 101, 103, 104, 105)}
    third, second, first = (exchange.place(TAKER, 0, BUY, 0, 1, type=STOP, stop=stop) for stop in (102, 101, 100))
    sweep = exchange.place(OTHER, 0, BUY, 101, 2)
    met = [(event.order, event.maker) for event in told(exchange, EventKind.TRADE)]
    assert met == [(sweep, makers[100]), (sweep, makers[101]), (first, makers[103]), (second, makers[104]), (third, makers[105])]


def test_a_stop_enters_when_the_order_that_triggered_it_rests(exchange: Exchange) -> None:
    stop = exchange.place(TAKER, 0, SELL, 0, 2, type=STOP, stop=100)
    exchange.place(MAKER, 0, SELL, 100, 1)
    bid = exchange.place(OTHER, 0, BUY, 100, 5)
    assert [(event.order, event.maker, event.size) for event in told(exchange, EventKind.TRADE)][1:] == [(stop, bid, 2)]
    assert depth(exchange) == ([100, 2], [])


def test_a_trade_that_triggers_both_of_a_pair_lets_one_enter(exchange: Exchange) -> None:
    lower = exchange.place(TAKER, 0, SELL, 0, 1, type=STOP, stop=90)
    upper = exchange.place(TAKER, 0, SELL, 85, 1, type=STOP_LIMIT, stop=92, linked=lower)
    trade(exchange, 88)
    assert [event.order for event in told(exchange, EventKind.TRIGGERED)] == [upper]
    assert [(event.order, event.reason) for event in told(exchange, EventKind.CANCELLED)] == [(lower, Reason.LINKED)]
    assert kinds(exchange)[-2:] == [EventKind.TRIGGERED, EventKind.CANCELLED]
    assert depth(exchange) == ([], [85, 1])
    check(exchange)


def test_the_others_trail_on_when_one_is_gone(exchange: Exchange) -> None:
    trade(exchange, 100)
    first, middle, last = (exchange.place(TAKER, 0, SELL, 0, 1, type=TRAILING_STOP, stop=distance) for distance in (10, 20, 30))
    exchange.cancel(TAKER, middle)
    trade(exchange, 110)
    assert [trigger_of(exchange, order) for order in (first, last)] == [100, 80]
    exchange.cancel(TAKER, last)
    trade(exchange, 111)
    assert trigger_of(exchange, first) == 101


# What it may spend


def test_a_partners_money_pays_for_a_triggered_stop() -> None:
    """All that the account has is held for the partner, until the trigger cancels it."""
    exchange = new_exchange(accounts=3, btc=100, usd=1_000)
    limit = exchange.place(2, 0, BUY, 90, 11)
    exchange.place(2, 0, BUY, 0, 10, type=STOP, stop=100, linked=limit)
    assert exchange.balance(2, 1) == (10, 990)
    exchange.place(0, 0, SELL, 100, 11)
    exchange.place(1, 0, BUY, 100, 1)
    assert exchange.balances(2) == [(110, 0), (0, 0)]
    check(exchange)


def test_what_one_stop_spends_the_next_has_not() -> None:
    exchange = new_exchange(accounts=3, btc=100, usd=1_000)
    exchange.place(2, 0, BUY, 0, 6, type=STOP, stop=100)
    late = exchange.place(2, 0, BUY, 0, 5, type=STOP, stop=100)
    exchange.place(0, 0, SELL, 100, 50)
    exchange.place(1, 0, BUY, 100, 1)
    assert [(event.order, event.reason) for event in told(exchange, EventKind.CANCELLED)] == [(late, Reason.INSUFFICIENT_FUNDS)]
    assert exchange.balances(2) == [(106, 0), (400, 0)]
    check(exchange)


def test_only_what_its_protection_lets_it_have_must_be_paid() -> None:
    """Six lots at 100 are all that the protection allows: 600 of the 1,000 that the account has."""
    exchange = new_exchange(accounts=3, btc=100, usd=1_000)
    exchange.place(2, 0, BUY, 100, 20, type=STOP, stop=100)
    exchange.place(0, 0, SELL, 100, 7)
    exchange.place(0, 0, SELL, 101, 50)
    exchange.place(1, 0, BUY, 100, 1)
    assert exchange.balances(2) == [(106, 0), (400, 0)]


@pytest.mark.parametrize(("side", "edge"), [(BUY, 110), (SELL, 90)])
@pytest.mark.parametrize("protection", [False, True])
def test_a_triggered_stop_trades_up_to_the_band(side: int, edge: int, protection: bool) -> None:
    exchange = new_exchange(WIDE._replace(band=100_000), accounts=3, btc=100, usd=10_000)
    beyond = edge + (1 if side == BUY else -1)
    exchange.place(2, 0, side, beyond if protection else 0, 3, type=STOP, stop=100)
    for price in (edge, beyond):
        exchange.place(0, 0, 1 - side, price, 1)
    exchange.set_reference(0, 100)
    trade(exchange, 100)
    assert [price for _, price, _ in trades(exchange)] == [100, edge]
    [cancelled] = told(exchange, EventKind.CANCELLED)
    assert (cancelled.size, cancelled.reason) == (2, Reason.UNFILLED)


# While the instrument collects


def test_a_trigger_is_not_replaced_while_the_instrument_collects(exchange: Exchange) -> None:
    stop = exchange.place(TAKER, 0, BUY, 103, 5, type=STOP_LIMIT, stop=100)
    exchange.set_phase(0, Phase.AUCTION)
    with refused(Reason.WRONG_PHASE, stop):
        exchange.replace(TAKER, stop, 103, 5, stop=101)
    exchange.replace(TAKER, stop, 104, 4)
    exchange.reduce(TAKER, stop, 1)
    assert exchange.balance(TAKER, 1)[1] == 312
    exchange.cancel(TAKER, stop)


# Take-profits


@pytest.mark.parametrize(("side", "stop", "before", "at"), [(SELL, 110, 109, 110), (SELL, 110, 105, 112), (BUY, 90, 91, 90), (BUY, 90, 100, 88)])
def test_a_take_profit_triggers_from_the_other_side(exchange: Exchange, side: int, stop: int, before: int, at: int) -> None:
    order = exchange.place(TAKER, 0, side, 0, 1, type=TAKE_PROFIT, stop=stop)
    assert kinds(exchange) == [EventKind.ACCEPTED, EventKind.WAITING]
    trade(exchange, before)
    assert told(exchange, EventKind.TRIGGERED) == []
    trade(exchange, at)
    assert [(event.order, event.price) for event in told(exchange, EventKind.TRIGGERED)] == [(order, stop)]
    assert exchange.order(order) is None


def test_a_take_profit_that_is_reached_already_enters_at_once(exchange: Exchange) -> None:
    trade(exchange, 100)
    exchange.place(TAKER, 0, SELL, 0, 1, type=TAKE_PROFIT, stop=100)
    assert kinds(exchange) == [EventKind.ACCEPTED, EventKind.TRIGGERED, EventKind.CANCELLED]
    exchange.place(TAKER, 0, SELL, 0, 1, type=TAKE_PROFIT, stop=101)
    assert kinds(exchange) == [EventKind.ACCEPTED, EventKind.WAITING]


def test_a_take_profit_limit_holds_what_it_costs_and_rests_at_its_limit(exchange: Exchange) -> None:
    order = exchange.place(TAKER, 0, BUY, 95, 2, type=TAKE_PROFIT_LIMIT, stop=90)
    assert exchange.balance(TAKER, 1)[1] == 190
    trade(exchange, 90)
    assert depth(exchange) == ([95, 2], [])
    found = exchange.order(order)
    assert found
    assert found.type == OrderType.LIMIT
    check(exchange)


def test_those_that_wait_for_one_price_enter_by_age_whatever_they_are(exchange: Exchange) -> None:
    """Rising: a sell's profit and a buy's stop. Falling: a buy's profit and a sell's stop."""
    risers = (SELL, 500, TAKE_PROFIT), (BUY, 1, STOP), (SELL, 500, TAKE_PROFIT)
    fallers = (SELL, 500, STOP), (BUY, 1, TAKE_PROFIT)
    rising = [exchange.place(TAKER, 0, side, price, 1, type=type, stop=105) for side, price, type in risers]
    falling = [exchange.place(TAKER, 0, side, price, 1, type=type, stop=95) for side, price, type in fallers]
    trade(exchange, 105)
    assert [event.order for event in told(exchange, EventKind.TRIGGERED)] == rising
    trade(exchange, 95)
    assert [event.order for event in told(exchange, EventKind.TRIGGERED)] == falling


def test_a_take_profit_is_replaced_and_found_again_in_a_snapshot(exchange: Exchange) -> None:
    order = exchange.place(TAKER, 0, SELL, 0, 3, type=TAKE_PROFIT, stop=120)
    exchange.replace(TAKER, order, 0, 2, stop=110)
    again = Exchange.restore(exchange.snapshot())
    again.check()
    assert again.state_hash() == exchange.state_hash()
    trade(again, 111)
    assert [(event.order, event.size) for event in told(again, EventKind.TRIGGERED)] == [(order, 2)]


def test_profit_and_loss_are_a_pair(exchange: Exchange) -> None:
    """Two stops that wait on both sides of the price: each cancels the other."""
    profit = exchange.place(TAKER, 0, SELL, 0, 5, type=TAKE_PROFIT, stop=120)
    loss = exchange.place(TAKER, 0, SELL, 0, 5, type=STOP, stop=80, linked=profit)
    trade(exchange, 120)
    assert [event.order for event in told(exchange, EventKind.TRIGGERED)] == [profit]
    assert (loss, Reason.LINKED) in [(event.order, event.reason) for event in told(exchange, EventKind.CANCELLED)]
