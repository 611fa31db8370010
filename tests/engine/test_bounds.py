"""What one command may do, and what it costs: every bound at its edge, one below and one above."""

from decimal import Decimal
from time import process_time

import pytest

from engine import BadSnapshot, Commands, EventKind, Exchange, Instrument, OrderType, Phase, Reason, Rejected, SelfTrade, Side, TimeInForce
from engine.records import Event

MAKER, TAKER = 0, 1


def market(accounts: int = 2, **terms: int) -> Exchange:
    exchange = Exchange()
    exchange.add_asset("BTC", 0)
    exchange.add_asset("USD", 0)
    exchange.add_instrument(Instrument("BTC-USD", "BTC", "USD", Decimal(1), Decimal(1), **terms))
    for account in range(accounts):
        exchange.open_account()
        for asset in range(2):
            exchange.deposit(account, asset, 10**15)
    return exchange


def refusal(exchange: Exchange, *arguments: int, **options: int) -> Reason | None:
    """Why an order is refused; None if it is not."""
    before = exchange.order_count
    try:
        exchange.place(*arguments, **options)
    except Rejected as rejected:
        assert exchange.order_count == before
        return rejected.reason
    finally:
        exchange.check()
    return None


def told(exchange: Exchange, kind: EventKind) -> list[Event]:
    return exchange.events.select(1 << kind)


# Icebergs


@pytest.mark.parametrize(("size", "display", "reason"), [
    (12, 3, None), (13, 3, Reason.TOO_MANY_PARTS), (4, 1, None), (5, 1, Reason.TOO_MANY_PARTS), (3, 7, None), (1 << 39, 1, Reason.TOO_MANY_PARTS),
])
def test_an_iceberg_has_at_most_so_many_parts(size: int, display: int, reason: Reason | None) -> None:
    assert refusal(market(parts_max=4), MAKER, 0, Side.SELL, 100, size, display=display) == reason


def test_an_iceberg_is_replaced_by_one_of_as_many_parts_at_most() -> None:
    exchange = market(parts_max=4)
    order = exchange.place(MAKER, 0, Side.SELL, 100, 8, display=2)
    with pytest.raises(Rejected) as refused:
        exchange.replace(MAKER, order, 101, 9)
    assert refused.value.reason == Reason.TOO_MANY_PARTS
    exchange.replace(MAKER, order, 101, 8)
    exchange.check()


# Stops


def test_so_many_stops_wait_in_a_book_and_no_more() -> None:
    exchange = market(stops_max=3)
    stops = [exchange.place(MAKER, 0, Side.SELL, 0, 1, type=OrderType.STOP, stop=10 + number) for number in range(3)]
    assert refusal(exchange, TAKER, 0, Side.BUY, 0, 1, type=OrderType.STOP, stop=500) == Reason.TOO_MANY_STOPS
    assert refusal(exchange, TAKER, 0, Side.BUY, 20, 1) is None
    exchange.cancel(MAKER, stops[1])
    assert refusal(exchange, TAKER, 0, Side.BUY, 0, 1, type=OrderType.STOP, stop=500) is None


def test_stops_of_one_trigger_enter_by_age_wherever_they_came_from() -> None:
    """Trailing stops that caught up with a trigger, and one that was given it, are older than some that waited there."""
    exchange = market()
    for side in Side:
        exchange.place(MAKER, 0, side, 100, 1)
    trailing = [exchange.place(MAKER, 0, Side.SELL, 0, 1, type=OrderType.TRAILING_STOP, stop=10) for _ in range(3)]      # 90
    moved = exchange.place(MAKER, 0, Side.SELL, 0, 1, type=OrderType.STOP, stop=50)
    trailing += [exchange.place(MAKER, 0, Side.SELL, 0, 1, type=OrderType.TRAILING_STOP, stop=10) for _ in range(2)]
    waiting = [exchange.place(MAKER, 0, Side.SELL, 0, 1, type=OrderType.STOP, stop=95) for _ in range(3)]
    for side in Side:
        exchange.place(TAKER, 0, side, 105, 1)      # the trailing ones are at 95 now
    exchange.replace(MAKER, moved, 0, 1, stop=95)
    exchange = Exchange.restore(exchange.snapshot())
    exchange.check()
    exchange.place(TAKER, 0, Side.BUY, 95, 1)
    exchange.place(TAKER, 0, Side.SELL, 95, 1)
    assert [event.order for event in told(exchange, EventKind.TRIGGERED)] == sorted([*trailing, moved, *waiting])
    exchange.check()


# Fills


@pytest.mark.parametrize("options", [{}, {"time_in_force": TimeInForce.IOC}, {"type": OrderType.MARKET}])
def test_an_order_meets_at_most_so_many_others(options: dict[str, int]) -> None:
    for makers, reason in ((4, None), (5, Reason.TOO_MANY_FILLS)):
        exchange = market(fills_max=4)
        for _ in range(makers):
            exchange.place(MAKER, 0, Side.SELL, 100, 2)
        price = 0 if options.get("type") else 100
        assert refusal(exchange, TAKER, 0, Side.BUY, price, 2 * makers, **options) == reason
        if reason:      # as much as it may is had
            assert refusal(exchange, TAKER, 0, Side.BUY, price, 8, **options) is None
        assert len(told(exchange, EventKind.TRADE)) == 4


def test_a_long_level_stops_no_small_order() -> None:
    exchange = market(fills_max=4)
    for _ in range(500):
        exchange.place(MAKER, 0, Side.SELL, 100, 1)
    assert refusal(exchange, TAKER, 0, Side.BUY, 0, 4, type=OrderType.MARKET) is None
    assert refusal(exchange, TAKER, 0, Side.BUY, 0, 5, type=OrderType.MARKET) == Reason.TOO_MANY_FILLS


def test_own_orders_that_are_cancelled_on_the_way_count() -> None:
    for own, reason in ((3, None), (4, Reason.TOO_MANY_FILLS)):
        exchange = market(fills_max=4)
        for _ in range(own):
            exchange.place(TAKER, 0, Side.SELL, 100, 1)
        exchange.place(MAKER, 0, Side.SELL, 100, 1)
        assert refusal(exchange, TAKER, 0, Side.BUY, 100, 1, self_trade=SelfTrade.CANCEL_OLDEST) == reason


def test_a_replacement_meets_at_most_so_many_others() -> None:
    exchange = market(fills_max=4)
    for _ in range(5):
        exchange.place(MAKER, 0, Side.SELL, 100, 1)
    order = exchange.place(TAKER, 0, Side.BUY, 50, 5)
    with pytest.raises(Rejected) as refused:
        exchange.replace(TAKER, order, 100, 5)
    assert refused.value.reason == Reason.TOO_MANY_FILLS
    exchange.replace(TAKER, order, 100, 4)
    exchange.check()


def test_a_cascade_of_stops_meets_at_most_so_many_orders_in_all() -> None:
    """The stop that would go on for too long is cancelled, and so are those behind it; those that meet nobody end as ever."""
    exchange = market(fills_max=6)
    for price in range(90, 100):
        exchange.place(MAKER, 0, Side.BUY, price, 1)
    for number in range(5):
        exchange.place(TAKER, 0, Side.SELL, 0, 2, type=OrderType.STOP, stop=99 - number)
    exchange.place(TAKER, 0, Side.SELL, 99, 1)
    assert len(told(exchange, EventKind.TRADE)) == 5
    cancelled = told(exchange, EventKind.CANCELLED)
    assert {event.reason for event in cancelled} == {Reason.TOO_MANY_FILLS}
    exchange.check()


def test_a_hundred_thousand_stops_are_bounded() -> None:
    exchange = market(stops_max=200, fills_max=300)
    for _ in range(1_000):
        exchange.place(MAKER, 0, Side.BUY, 100, 1)
    accepted = sum(refusal_of_a_stop(exchange) is None for _ in range(1_000))
    assert accepted == 200
    exchange.place(MAKER, 0, Side.SELL, 100, 1)
    assert len(exchange.events) <= 4 * 300 + 4 * 200 + 10
    exchange.check()


def refusal_of_a_stop(exchange: Exchange) -> Reason | None:
    try:
        exchange.place(TAKER, 0, Side.SELL, 0, 3, type=OrderType.STOP, stop=100)
    except Rejected as rejected:
        return rejected.reason
    return None


# Looking


LOOKS_MAX = 1 << 20


def test_the_checks_of_a_cascade_look_at_so_many_orders_and_no_more() -> None:
    """Each stop looks at all makers to find that the last one is too dear."""
    exchange = market()
    makers, stops = 1 << 10, (1 << 10) + 3
    for side in Side:
        exchange.place(MAKER, 0, side, 100, 1)
    for _ in range(makers):
        exchange.place(MAKER, 0, Side.SELL, 102, 1)
    exchange.withdraw(TAKER, 1, exchange.balance(TAKER, 1)[0] - 101 - 102 * makers + 1)
    for _ in range(stops):
        exchange.place(TAKER, 0, Side.BUY, 0, makers, type=OrderType.STOP, stop=101)
    exchange.place(MAKER, 0, Side.SELL, 101, 1)
    exchange.place(TAKER, 0, Side.BUY, 101, 1)
    reasons = [event.reason for event in told(exchange, EventKind.CANCELLED)]
    assert reasons == [Reason.INSUFFICIENT_FUNDS] * (LOOKS_MAX // makers) + [Reason.TOO_MANY_FILLS] * (stops - LOOKS_MAX // makers)
    exchange.check()


def test_a_cascade_moves_so_many_triggers_and_no_more() -> None:
    """Each stop of a cascade trades at a lower price than ever, which moves all that trail."""
    exchange = market()
    trailing, stops = 1 << 10, (1 << 10) + 9
    for side in Side:
        exchange.place(MAKER, 0, side, 5_000, 1)
    for number in range(stops + 1):
        exchange.place(MAKER, 0, Side.BUY, 4_999 - number, 1)
    for number in range(trailing):
        exchange.place(MAKER, 0, Side.BUY, 0, 1, type=OrderType.TRAILING_STOP, stop=2_000 + number)
    for number in range(stops):
        exchange.place(TAKER, 0, Side.SELL, 0, 1, type=OrderType.STOP, stop=4_999 - number)
    exchange.place(TAKER, 0, Side.SELL, 4_999, 1)
    assert len(told(exchange, EventKind.TRADE)) == LOOKS_MAX // trailing + 1
    assert {event.reason for event in told(exchange, EventKind.CANCELLED)} == {Reason.TOO_MANY_FILLS}
    exchange.check()


def test_an_order_looks_at_so_many_others_and_no_more() -> None:
    """At icebergs twice."""
    exchange = market()
    crowd = Commands()
    for _ in range(LOOKS_MAX // 2 + 1):
        crowd.place(MAKER, 0, Side.SELL, 100, 2, display=1)
    exchange.execute(crowd)
    first = exchange.events[0].order
    least = {"min_size": 1 << 30}
    options = ({"time_in_force": TimeInForce.FOK}, least | {"time_in_force": TimeInForce.IOC}, least | {"price": 0, "type": OrderType.MARKET})

    def reasons() -> set[Reason]:
        found = set()
        for some in options:
            with pytest.raises(Rejected) as refused:
                exchange.place(TAKER, 0, Side.BUY, size=1 << 30, **{"price": 100} | some)
            found.add(refused.value.reason)
        return found

    assert reasons() == {Reason.TOO_MANY_FILLS}
    exchange.cancel(MAKER, first)
    assert reasons() == {Reason.UNFILLABLE}


@pytest.mark.parametrize("mode", [SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_OLDEST, SelfTrade.CANCEL_BOTH, SelfTrade.DECREMENT])
def test_an_auction_that_self_trade_prevention_empties_takes_no_longer_for_that(mode: SelfTrade) -> None:
    """The price that is left crossed moves with every bid that is cancelled; a walk through the book for each took a minute."""
    exchange = market()
    exchange.set_account(TAKER, self_trade=mode)
    exchange.set_phase(0, Phase.AUCTION)
    exchange.place(TAKER, 0, Side.SELL, 1, 1)
    bids = Commands()
    for number in range(50_000):
        bids.place(TAKER, 0, Side.BUY, 10 + number, 1)
    exchange.execute(bids)
    start = process_time()
    exchange.set_phase(0, Phase.TRADING)
    assert process_time() - start < 1
    assert len(told(exchange, EventKind.CANCELLED)) == {SelfTrade.CANCEL_NEWEST: 50_000, SelfTrade.CANCEL_OLDEST: 1}.get(mode, 2)
    exchange.check()


def test_what_self_trade_prevention_leaves_crossed_trades_as_near_to_the_price_as_it_may() -> None:
    exchange = market(accounts=3)
    exchange.set_account(TAKER, self_trade=SelfTrade.CANCEL_NEWEST)
    exchange.set_phase(0, Phase.AUCTION)
    exchange.place(TAKER, 0, Side.SELL, 90, 3)
    exchange.place(TAKER, 0, Side.BUY, 100, 3)      # the price is its limit: it is cancelled
    exchange.place(2, 0, Side.BUY, 95, 2)
    exchange.place(2, 0, Side.BUY, 92, 2)
    exchange.set_phase(0, Phase.TRADING)
    assert [(event.price, event.size) for event in told(exchange, EventKind.TRADE)] == [(95, 2), (92, 1)]
    exchange.check()


# Limits of open orders are not for those that never are open


@pytest.mark.parametrize("options", [{"time_in_force": TimeInForce.IOC}, {"time_in_force": TimeInForce.FOK}, {"type": OrderType.MARKET}])
@pytest.mark.parametrize("whose", ["exchange", "instrument", "account"])
def test_who_may_have_no_more_orders_may_trade(whose: str, options: dict[str, int]) -> None:
    exchange = Exchange(orders_max=2) if whose == "exchange" else Exchange()
    exchange.add_asset("BTC", 0)
    exchange.add_asset("USD", 0)
    exchange.add_instrument(Instrument("BTC-USD", "BTC", "USD", Decimal(1), Decimal(1), orders_max=2 if whose == "instrument" else 0))
    for account in range(2):
        exchange.open_account()
        for asset in range(2):
            exchange.deposit(account, asset, 10**6)
    if whose == "account":
        exchange.set_account(TAKER, orders_max=1)
    exchange.place(MAKER, 0, Side.SELL, 100, 5)
    exchange.place(TAKER, 0, Side.BUY, 50, 1)
    assert refusal(exchange, TAKER, 0, Side.BUY, 100, 1) == Reason.TOO_MANY_ORDERS
    assert refusal(exchange, TAKER, 0, Side.BUY, 0 if options.get("type") else 100, 1, **options) is None
    assert len(told(exchange, EventKind.TRADE)) == 1
    assert Exchange.restore(exchange.snapshot()).state_hash() == exchange.state_hash()


@pytest.mark.parametrize("limits", [{"instrument": 5_000}, {"account": 5_000}])
@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("applies", [0, 1])
def test_the_largest_notional_is_for_market_orders_too(limits: dict[str, int], side: Side, applies: int) -> None:
    exchange = market(notional_max=limits.get("instrument", 0), market_notional=applies)
    if "account" in limits:
        exchange.set_account(TAKER, notional_max=5_000)
    for _ in range(20):
        exchange.place(MAKER, 0, 1 - side, 1_000, 1)
    assert refusal(exchange, TAKER, 0, side, 0, 6, type=OrderType.MARKET) == (Reason.NOTIONAL_TOO_LARGE if applies else None)
    assert refusal(exchange, TAKER, 0, side, 0, 5, type=OrderType.MARKET) is None


# Fees


@pytest.mark.parametrize("slices", [(1_000,), (1,) * 1_000, (333, 333, 334), (1, 999)])
@pytest.mark.parametrize("takes", [False, True])
def test_the_fee_of_an_order_does_not_depend_on_its_fills(slices: tuple[int, ...], takes: bool) -> None:
    exchange = market(maker_fee=1_000, taker_fee=1_000)
    before = exchange.balance(TAKER, 1)[0]
    if takes:
        for size in slices:
            exchange.place(MAKER, 0, Side.SELL, 901, size)
        exchange.place(TAKER, 0, Side.BUY, 901, 1_000)
    else:
        exchange.place(TAKER, 0, Side.BUY, 901, 1_000)
        for size in slices:
            exchange.place(MAKER, 0, Side.SELL, 901, size)
            exchange.check()
    assert before - exchange.balance(TAKER, 1)[0] == 901_000 + 901
    assert exchange.balance(TAKER, 1)[1] == 0
    exchange.check()


def test_what_a_fee_has_not_paid_yet_is_kept_by_a_snapshot() -> None:
    exchange = market(maker_fee=999, taker_fee=1_000)
    exchange.place(MAKER, 0, Side.BUY, 901, 10)
    exchange.place(TAKER, 0, Side.SELL, 901, 3)
    twin = Exchange.restore(exchange.snapshot())
    for each in (exchange, twin):
        each.place(TAKER, 0, Side.SELL, 901, 7)
        each.check()
    assert twin.state_hash() == exchange.state_hash()
    assert sum(exchange.balance(MAKER, 1)) == 10**15 - 9_010 - 9_010 * 999 // 10**6


def test_a_post_only_order_never_pays_as_a_taker() -> None:
    """It is the younger one of the two that an auction lets meet."""
    exchange = market(maker_fee=0, taker_fee=1_000)
    order = exchange.place(MAKER, 0, Side.SELL, 1_000, 1_000)
    exchange.place(TAKER, 0, Side.BUY, 990, 1_000, post_only=True)
    exchange.set_phase(0, Phase.AUCTION)
    exchange.replace(MAKER, order, 980, 1_000)
    exchange.set_phase(0, Phase.TRADING)
    fees = {event.account: event.fee for event in told(exchange, EventKind.FILLED)}
    assert fees == {MAKER: 0, TAKER: 0}


# Whatever may be reached may be saved and restored


def test_as_many_assets_as_there_may_be_are_saved_and_restored() -> None:
    exchange = Exchange(orders_max=4)
    for number in range(65_536):
        exchange.add_asset(f"A{number}")
        if number in (65_534, 65_535):
            assert Exchange.restore(exchange.snapshot()).state_hash() == exchange.state_hash()
    with pytest.raises(ValueError, match="65536 assets already"):
        exchange.add_asset("one more")


def test_as_many_orders_as_there_may_be_are_saved_and_restored() -> None:
    exchange = Exchange(orders_max=3)
    exchange.add_asset("BTC", 0)
    exchange.add_asset("USD", 0)
    exchange.add_instrument(Instrument("BTC-USD", "BTC", "USD", Decimal(1), Decimal(1)))
    exchange.open_account()
    exchange.deposit(0, 1, 10**6)
    for number in range(3):
        assert Exchange.restore(exchange.snapshot()).state_hash() == exchange.state_hash()
        exchange.place(0, 0, Side.BUY, 100 + number, 1)
    assert refusal(exchange, 0, 0, Side.BUY, 100, 1, time_in_force=TimeInForce.IOC) is None
    again = Exchange.restore(exchange.snapshot())
    assert again.state_hash() == exchange.state_hash()
    assert refusal(again, 0, 0, Side.BUY, 100, 1) == Reason.TOO_MANY_ORDERS


@pytest.mark.parametrize("name", ["", "\ud800", "a" * 256, "ä" * 128])
def test_a_name_that_no_snapshot_holds_is_refused(name: str) -> None:
    exchange = Exchange(orders_max=4)
    with pytest.raises(ValueError, match="expected text of 1 to 255 bytes"):
        exchange.add_asset(name)
    exchange.add_asset("ä" * 127)
    exchange.add_asset("USD", 0)
    with pytest.raises(ValueError, match="expected text of 1 to 255 bytes"):
        exchange.add_instrument(Instrument(name, "ä" * 127, "USD", Decimal(1), Decimal(1)))
    assert Exchange.restore(exchange.snapshot()).assets() == exchange.assets()


@pytest.mark.parametrize("scale", [1, "1", Decimal("1E+0"), Decimal("1.000")])
def test_a_tick_of_any_kind_is_saved_and_restored(scale: Decimal) -> None:
    exchange = market()
    exchange.add_instrument(Instrument("again", "BTC", "USD", scale, scale))
    assert Exchange.restore(exchange.snapshot()).state_hash() == exchange.state_hash()


def test_a_damaged_snapshot_of_a_later_version_says_so() -> None:
    data = bytearray(market().snapshot())
    data[7] += 1
    with pytest.raises(BadSnapshot, match="of version 2 or below"):
        Exchange.restore(data)
