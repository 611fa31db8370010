"""Every type and option of an order as a client has it: what is answered, and what its channels tell."""

from typing import Any, get_args

import pytest
from msgspec.structs import replace

from engine import OrderType, Phase, Reason, SelfTrade, TimeInForce
from stream.wire.codes import ErrorCode
from stream.wire.fields import OrderTypeName, PhaseName, SelfTradeMode, TimeInForceName
from stream.wire.frames import Orders, OrderUpdate, Ticker
from stream.wire.messages import CancelAll, Error, ListInstruments, Place, Reduce, Replace, Subscribe
from tests.worlds import BOOK, TICKER, Desk, QuietMarket

SECOND = 10**9


@pytest.fixture
def market() -> QuietMarket:
    return QuietMarket()


@pytest.fixture
def alice(market: QuietMarket) -> Desk:
    return listening(market, "alice")


@pytest.fixture
def bob(market: QuietMarket) -> Desk:
    return listening(market, "bob")


def listening(market: QuietMarket, subject: str) -> Desk:
    """A desk that hears of its own orders."""
    desk = Desk(market).sign_in(subject)
    desk.ask(Subscribe, ["orders"])
    return desk


def updates(messages: list[Any]) -> list[OrderUpdate]:
    return [update for message in messages if isinstance(message, Orders) for update in message.orders]


def events(messages: list[Any]) -> list[str]:
    return [update.event for update in updates(messages)]


def snapshot(market: QuietMarket, subject: str = "alice") -> list[OrderUpdate]:
    """One's open orders as a new connection is told of them."""
    return updates(Desk(market).sign_in(subject).ask(Subscribe, ["orders"]))


def trade_at(price: int, *desks: Desk) -> None:
    """Let somebody sell a lot to somebody else at a price."""
    seller, buyer = desks
    seller.ask(Place, "BTC-USD", "sell", price, 1)
    assert buyer.ask(Place, "BTC-USD", "buy", price, 1)[0].status == "filled"


def test_the_wire_names_what_the_engine_knows() -> None:
    def names(hint: Any) -> tuple[str, ...]:
        return get_args(hint.__origin__ if hasattr(hint, "__metadata__") else hint)

    assert names(OrderTypeName) == tuple(each.name.lower() for each in OrderType)
    assert names(TimeInForceName) == tuple(each.name.lower() for each in TimeInForce)
    assert names(PhaseName) == tuple(each.name.lower() for each in Phase)
    assert names(SelfTradeMode) == tuple(each.name.lower() for each in SelfTrade if each)


def test_every_refusal_of_the_engine_has_its_number() -> None:
    no_refusals = {Reason.NO_REASON, Reason.REQUESTED, Reason.UNFILLED, Reason.EXPIRED, Reason.SELF_TRADE, Reason.LINKED}
    no_users = {Reason.UNKNOWN_COMMAND, Reason.UNKNOWN_INSTRUMENT, Reason.UNKNOWN_ASSET}
    for reason in set(Reason) - no_refusals - no_users:
        assert ErrorCode(400 + reason).name == reason.name


# Stops


def test_a_stop_waits_and_is_triggered(market: QuietMarket, alice: Desk, bob: Desk) -> None:
    carol = Desk(market).sign_in("carol")
    carol.ask(Place, "BTC-USD", "sell", 1100, 50)
    done, frame = alice.ask(Place, "BTC-USD", "buy", 0, 20, "stop", stop=1050, client_id=4)
    assert (done.status, done.remaining, done.client_id) == ("waiting", 20, 4)
    assert [(update.event, update.type, update.stop) for update in frame.orders] == [("accepted", "stop", 1050), ("waiting", "stop", 1050)]
    (told,) = snapshot(market)
    assert (told.event, told.type, told.stop, told.price, told.remaining, told.displayed) == ("open", "stop", 1050, 0, 20, 0)
    trade_at(1050, carol, bob)
    told = updates(alice.hear())
    assert [(update.event, update.type, update.stop) for update in told] == [("triggered", "limit", 1050), ("filled", "limit", 0)]
    assert (told[-1].fill_price, told[-1].remaining, told[-1].price) == (1100, 0, 0)
    assert snapshot(market) == []


def test_a_stop_that_is_reached_already_enters_at_once(market: QuietMarket, alice: Desk, bob: Desk) -> None:
    carol = Desk(market).sign_in("carol")
    trade_at(1050, carol, bob)
    carol.ask(Place, "BTC-USD", "sell", 1100, 5)
    done, frame = alice.ask(Place, "BTC-USD", "buy", 1100, 20, "stop_limit", stop=1050)
    assert (done.status, done.remaining, done.filled) == ("open", 15, 5)
    assert events([frame]) == ["accepted", "triggered", "filled"]
    assert alice.ask(Place, "BTC-USD", "buy", 0, 20, "stop", stop=1050)[0].status == "cancelled"


def test_a_take_profit_waits_for_the_other_side(market: QuietMarket, alice: Desk, bob: Desk) -> None:
    carol = Desk(market).sign_in("carol")
    done, frame = alice.ask(Place, "BTC-USD", "sell", 1010, 20, "take_profit_limit", stop=1020)
    assert (done.status, frame.orders[-1].type, frame.orders[-1].stop) == ("waiting", "take_profit_limit", 1020)
    assert [(told.type, told.stop) for told in snapshot(market)] == [("take_profit_limit", 1020)]
    trade_at(1020, carol, bob)
    assert events(alice.hear()) == ["triggered"]
    assert [(told.type, told.price) for told in snapshot(market)] == [("limit", 1010)]


def test_a_waiting_order_is_reduced_and_replaced(market: QuietMarket, alice: Desk, bob: Desk) -> None:
    done = alice.ask(Place, "BTC-USD", "sell", 900, 20, "stop_limit", stop=950)[0]
    assert alice.ask(Reduce, done.order, 5)[0].status == "waiting"
    assert alice.ask(Replace, done.order, 910, 12)[0].status == "waiting"
    replaced, frame = alice.ask(Replace, done.order, 910, 12, stop=960)
    assert (replaced.status, events([frame])) == ("waiting", ["replaced", "waiting"])
    assert [(update.price, update.stop, update.remaining) for update in snapshot(market)] == [(910, 960, 12)]
    trade_at(960, bob, Desk(market).sign_in("carol"))
    assert [(update.type, update.stop, update.displayed) for update in snapshot(market)] == [("limit", 0, 12)]
    assert events(alice.hear()) == ["triggered"]
    assert alice.ask(Reduce, done.order, 5)[0].status == "open"
    assert alice.ask(Replace, done.order, 910, 5, stop=960)[0].code == ErrorCode.UNKNOWN_OPTION


def test_a_trailing_stop_follows_the_price(market: QuietMarket, alice: Desk, bob: Desk) -> None:
    carol = Desk(market).sign_in("carol")
    assert alice.ask(Place, "BTC-USD", "sell", 0, 5, "trailing_stop", stop=50)[0].code == ErrorCode.NO_REFERENCE
    trade_at(1000, carol, bob)
    done, frame = alice.ask(Place, "BTC-USD", "sell", 0, 5, "trailing_stop", stop=50)
    assert (done.status, frame.orders[-1].type, frame.orders[-1].stop) == ("waiting", "trailing_stop", 950)
    trade_at(1100, carol, bob)
    assert snapshot(market)[0].stop == 1050
    trade_at(1050, carol, bob)
    assert [(update.event, update.stop, update.reason) for update in updates(alice.hear())] == [("triggered", 1050, ""), ("cancelled", 0, "unfilled")]


def test_one_of_a_pair_cancels_the_other(market: QuietMarket, alice: Desk, bob: Desk) -> None:
    take = alice.ask(Place, "BTC-USD", "sell", 1100, 20)[0]
    stop = alice.ask(Place, "BTC-USD", "sell", 0, 20, "stop", stop=900, linked=take.order)[0]
    assert stop.status == "waiting"
    assert {update.order: update.linked for update in snapshot(market)} == {take.order: stop.order, stop.order: take.order}
    assert alice.ask(Place, "BTC-USD", "sell", 0, 20, "stop", stop=900, linked=take.order)[0].code == ErrorCode.NOT_LINKABLE
    assert bob.ask(Place, "BTC-USD", "buy", 1100, 1)[0].status == "filled"
    told = [(update.order, update.event, update.reason) for update in updates(alice.hear())]
    assert told == [(stop.order, "cancelled", "linked"), (take.order, "filled", "")]
    assert [(update.order, update.linked, update.remaining) for update in snapshot(market)] == [(take.order, 0, 19)]


# Sizes and prices


def test_an_iceberg_shows_its_parts(market: QuietMarket, alice: Desk, bob: Desk) -> None:
    watcher = Desk(market)
    watcher.ask(Subscribe, [BOOK], 0, 0)
    done, frame = alice.ask(Place, "BTC-USD", "sell", 1000, 50, display=20)
    assert (done.status, done.remaining) == ("open", 50)
    assert [(update.event, update.remaining, update.displayed) for update in frame.orders] == [("accepted", 50, 20), ("displayed", 50, 20)]
    assert watcher.hear()[-1].asks == [1000, 20]
    bob.ask(Place, "BTC-USD", "buy", 1000, 25)
    told = updates(alice.hear())
    assert [(update.event, update.remaining, update.filled) for update in told] == [("filled", 30, 20), ("displayed", 30, 20), ("filled", 25, 25)]
    assert (told[-1].displayed, watcher.hear()[-1].asks) == (15, [1000, 15])
    assert [(update.remaining, update.displayed) for update in snapshot(market)] == [(25, 15)]


def test_a_market_order_spends_so_much_money(market: QuietMarket, alice: Desk, bob: Desk) -> None:
    bob.ask(Place, "BTC-USD", "sell", 1000, 500)
    done = alice.ask(Place, "BTC-USD", "buy", 0, 100_000, "market", "ioc", quote=True)[0]
    assert (done.status, done.filled, done.value) == ("filled", 99, 99_000)    # with the fee of 0.03 % a hundredth lot is too much
    error = alice.ask(Place, "BTC-USD", "buy", 0, 5, "market", "ioc", quote=True)[0]
    assert (error.code, error.message) == (ErrorCode.UNFILLABLE, ErrorCode.UNFILLABLE.text)


def test_a_post_only_order_slides_if_it_may(market: QuietMarket, alice: Desk, bob: Desk) -> None:
    bob.ask(Place, "BTC-USD", "sell", 1000, 5)
    assert alice.ask(Place, "BTC-USD", "buy", 1000, 5, post_only=True)[0].code == ErrorCode.POST_ONLY_WOULD_TAKE
    alice.ask(Place, "BTC-USD", "buy", 1000, 5, post_only=True, slide=True)
    assert [(update.price, update.remaining) for update in snapshot(market)] == [(999, 5)]


def test_a_least_size_is_filled_or_refused(market: QuietMarket, alice: Desk, bob: Desk) -> None:
    bob.ask(Place, "BTC-USD", "sell", 1000, 5)
    assert alice.ask(Place, "BTC-USD", "buy", 1000, 10, min_size=6)[0].code == ErrorCode.UNFILLABLE
    assert (done := alice.ask(Place, "BTC-USD", "buy", 1000, 10, min_size=5)[0]).status == "open"
    assert (done.filled, done.remaining) == (5, 5)


# Time


def test_an_order_expires_though_nobody_asks_for_anything(market: QuietMarket, alice: Desk) -> None:
    end = market.now + SECOND // 7
    assert alice.ask(Place, "BTC-USD", "buy", 1000, 5, time_in_force="gtd", expires=end)[0].status == "open"
    assert snapshot(market)[0].expires == end
    market.pass_time(1000)
    assert market.exchange.order_count == 0
    assert [(update.event, update.reason, update.time) for update in updates(alice.hear())] == [("cancelled", "expired", end)]
    seq = market.exchange.seq
    market.pass_time(5000)
    assert market.exchange.seq == seq, "nothing advances the clock while no order expires"


def test_a_day_order_ends_with_the_day(market: QuietMarket, alice: Desk) -> None:
    alice.ask(Place, "BTC-USD", "buy", 1000, 5, time_in_force="day")
    midnight = -(-market.now // (24 * 3600 * SECOND)) * 24 * 3600 * SECOND
    assert snapshot(market)[0].expires == midnight
    market.now = midnight
    market.tick(market.now)
    assert market.exchange.order_count == 0


def test_what_expires_ahead_of_a_command_is_not_its_answer(market: QuietMarket, alice: Desk, bob: Desk) -> None:
    """The batch of a command begins with the ends of orders that had expired, its own account's too."""
    mine = alice.ask(Place, "BTC-USD", "buy", 1000, 5, time_in_force="gtd", expires=market.now + SECOND)[0]
    bob.ask(Place, "BTC-USD", "buy", 999, 5, time_in_force="gtd", expires=market.now + SECOND)
    market.now += SECOND
    done = alice.ask(Place, "BTC-USD", "sell", 900, 7)[0]
    assert (done.status, done.remaining) == ("open", 7)
    assert done.order != mine.order
    assert events(bob.hear()) == ["cancelled"]
    theirs = bob.ask(Place, "BTC-USD", "buy", 800, 5, time_in_force="gtd", expires=market.now + SECOND)[0]
    market.now += SECOND
    error, frame = bob.ask(Reduce, theirs.order, 1)
    assert (error.code, events([frame])) == (ErrorCode.UNKNOWN_ORDER, ["cancelled"])
    alice.ask(Place, "BTC-USD", "buy", 800, 5, time_in_force="gtd", expires=market.now + SECOND)
    market.now += SECOND
    Desk(market).sign_in("carol")
    assert market.exchange.accounts == 3


# Oneself


@pytest.mark.parametrize(("mode", "status", "left", "reasons"), [
    ("account", "cancelled", 10, ["self_trade"]), ("cancel_newest", "cancelled", 10, ["self_trade"]), ("cancel_oldest", "open", 15, ["self_trade"]),
    ("cancel_both", "cancelled", 0, ["self_trade", "self_trade"]), ("decrement", "open", 5, ["self_trade", "self_trade"]), ("allow", "open", 5, []),
])
def test_an_account_does_not_trade_with_itself(market: QuietMarket, alice: Desk, mode: str, status: str, left: int, reasons: list[str]) -> None:
    alice.ask(Place, "BTC-USD", "sell", 1000, 10)
    done, frame = alice.ask(Place, "BTC-USD", "buy", 1000, 15, self_trade=mode)
    assert done.status == status
    assert sum(order.remaining for order in market.exchange.orders(0)) == left
    assert [update.reason for update in frame.orders if update.event in ("cancelled", "reduced")] == reasons
    market.exchange.check()


def test_the_default_is_a_setting() -> None:
    desk = listening(QuietMarket(self_trade="allow"), "alice")
    desk.ask(Place, "BTC-USD", "sell", 1000, 10)
    assert desk.ask(Place, "BTC-USD", "buy", 1000, 10)[0].status == "filled"


def test_one_side_is_cancelled(market: QuietMarket, alice: Desk) -> None:
    for side, price in (("buy", 900), ("buy", 901), ("sell", 1000)):
        alice.ask(Place, "BTC-USD", side, price, 5)
    assert alice.ask(CancelAll, side="buy")[0].count == 2
    assert alice.ask(CancelAll, "ETH-USD", "sell")[0].count == 0
    assert alice.ask(CancelAll, "BTC-USD", "sell")[0].count == 1


def test_fees_are_those_of_the_tier(market: QuietMarket, alice: Desk, bob: Desk) -> None:
    market.command("set_fees", 0, 3, 50, 200)
    market.command("set_account", 1, tier=3)
    for maker, taker, fees in ((alice, bob, (1000, 2000)), (bob, alice, (500, 3000))):
        maker.ask(Place, "BTC-USD", "sell", 1000, 10_000)
        told = updates(taker.ask(Place, "BTC-USD", "buy", 1000, 10_000))[-1], updates(maker.hear())[-1]
        assert [(update.liquidity, update.fee) for update in told] == [("taker", fees[1]), ("maker", fees[0])]


# Phases


def test_a_ticker_tells_the_phase_and_what_an_auction_would_come_to(market: QuietMarket, alice: Desk, bob: Desk) -> None:
    watcher = Desk(market)

    def told() -> tuple[str, int, int]:
        market.tick(market.now)
        (ticker,) = [message for message in watcher.hear() if isinstance(message, Ticker)]
        return ticker.phase, ticker.indicative_price, ticker.indicative_size

    watcher.ask(Subscribe, [TICKER], None, 0)
    assert [ticker.phase for ticker in watcher.heard if isinstance(ticker, Ticker)] == ["trading"]
    market.command("set_phase", 0, Phase.AUCTION)
    assert told() == ("auction", 0, 0)
    alice.ask(Place, "BTC-USD", "buy", 1010, 30)
    assert told() == ("auction", 0, 0)
    bob.ask(Place, "BTC-USD", "sell", 1000, 20)
    assert told() == ("auction", 1010, 20)
    assert bob.ask(Place, "BTC-USD", "sell", 0, 20, "market", "ioc")[0].code == ErrorCode.WRONG_PHASE
    bob.ask(Place, "ETH-USD", "sell", 1000, 20)
    assert not watcher.hear()
    market.command("set_phase", 0, Phase.HALT)
    assert told() == ("halt", 1010, 20)
    assert bob.ask(Place, "BTC-USD", "sell", 1000, 20)[0].code == ErrorCode.HALTED
    bob.ask(CancelAll)
    assert told() == ("halt", 0, 0)
    market.command("set_phase", 0, Phase.TRADING)
    assert told() == ("trading", 0, 0)
    assert bob.ask(Place, "BTC-USD", "sell", 1000, 20)[0].status == "filled"


# What is said


def test_an_instruments_terms_are_all_told() -> None:
    config = QuietMarket().config.instruments[0]
    market = QuietMarket(instruments=(replace(config, notional_max=10**9, orders_max=7, band=100_000, hold_fee=500, day_end=3600),))
    market.command("set_fees", 0, 0, 10, 20)
    market.command("set_phase", 0, Phase.HALT)
    (terms,) = Desk(market).ask(ListInstruments)[0].instruments
    assert (terms.notional_max, terms.orders_max, terms.band, terms.hold_fee, terms.day_end) == (10**9, 7, 100_000, 500, 3600)
    assert (terms.maker_fee, terms.taker_fee, terms.phase) == (10, 20, "halt")


@pytest.mark.parametrize(("fields", "code", "text"), [
    (("buy", 1101, 5), ErrorCode.PRICE_OUT_OF_BAND, "price 1101: expected at most 1100 ticks, in the band around 1000"),
    (("sell", 899, 5), ErrorCode.PRICE_OUT_OF_BAND, "price 899: expected at least 900 ticks, in the band around 1000"),
    (("buy", 1000, 1001), ErrorCode.NOTIONAL_TOO_LARGE, "price times size is 1001000 units of USD: expected at most 1000000"),
    (("buy", 1000, 2), ErrorCode.SIZE_TOO_SMALL, "size 2: expected at least 3 lots"),
    (("buy", 1000, 5, "limit", "gtc", False, 0, False, False, 0, 2), ErrorCode.SIZE_TOO_SMALL, ErrorCode.SIZE_TOO_SMALL.text),
    (("buy", 1000, 5, "limit", "gtc", False, 0, False, False, 0, 0, 6), ErrorCode.SIZE_TOO_LARGE, ErrorCode.SIZE_TOO_LARGE.text),
    (("buy", 0, 1, "market", "ioc", False, 0, False, True), ErrorCode.UNFILLABLE, ErrorCode.UNFILLABLE.text),
    (("buy", 0, 2000, "market", "ioc", False, 0, False, True), ErrorCode.SIZE_TOO_SMALL, ErrorCode.SIZE_TOO_SMALL.text),
    (("buy", 0, 5, "stop"), ErrorCode.PRICE_OUT_OF_RANGE, "stop 0: expected 1 to 5000 ticks"),
    (("buy", 0, 5, "stop", "gtc", False, 0, False, False, 5001), ErrorCode.PRICE_OUT_OF_RANGE, "stop 5001: expected 1 to 5000 ticks"),
    (("buy", 0, 5, "stop_limit", "gtc", False, 0, False, False, 1100), ErrorCode.PRICE_OUT_OF_RANGE, "price 0: expected 1 to 5000 ticks"),
    (("sell", 0, 5, "trailing_stop", "gtc", False, 0, False, False, 1000), ErrorCode.PRICE_OUT_OF_RANGE,
     "stop 1000: expected a trigger of 1 to 5000 ticks, so far from the last trade's 1000"),
    (("buy", 1000, 5, "limit", "gtd", False, 0, False, False, 0, 0, 0, 7), ErrorCode.ALREADY_EXPIRED, "expires 7: expected later than 1700000000000000000"),
    (("buy", 1000, 5, "stop", "ioc"), ErrorCode.UNKNOWN_OPTION, ErrorCode.UNKNOWN_OPTION.text),
])
def test_a_refusal_says_what_was_expected(fields: tuple[Any, ...], code: ErrorCode, text: str) -> None:
    config = QuietMarket().config.instruments[0]
    market = QuietMarket(instruments=(replace(config, price_max=5000, size_min=3, notional_max=10**6, band=100_000),))
    alice, bob = listening(market, "alice"), listening(market, "bob")
    bob.ask(Place, "BTC-USD", "sell", 1000, 7)
    alice.ask(Place, "BTC-USD", "buy", 1000, 3)
    before = market.exchange.balances(0)
    (error,) = alice.ask(Place, "BTC-USD", *fields)
    assert isinstance(error, Error)
    assert (error.code, error.message) == (code, text)
    assert (market.exchange.balances(0), market.exchange.order_count) == (before, 1)


def test_a_waiting_orders_replacement_is_explained_as_its_type_is(market: QuietMarket, alice: Desk) -> None:
    stop = alice.ask(Place, "BTC-USD", "buy", 0, 5, "stop", stop=1000)[0].order
    limit = alice.ask(Place, "BTC-USD", "buy", 1000, 5, "stop_limit", stop=1000)[0].order
    assert "stop 2199023255552: expected 1 to 1099511627776" in alice.ask(Replace, stop, 0, 5, stop=1 << 41)[0].message
    assert "price 0: expected 1 to" in alice.ask(Replace, limit, 0, 5, stop=900)[0].message
    assert alice.ask(Reduce, limit, 0)[0].message == "size 0: expected at least 1 lot"
