"""The protocol, line by line: what is asked and what is answered."""

from typing import Any

import msgspec
import pytest

from stream.wire.codec import JSON
from stream.wire.codes import CloseCode, ErrorCode
from stream.wire.frames import Balances, Book, Gap, Orders, Ticker, Trades
from stream.wire.messages import (
    AllCancelled,
    Cancel,
    CancelAll,
    Done,
    Error,
    Instruments,
    ListInstruments,
    ListSubscriptions,
    LoggedIn,
    Login,
    Ping,
    Place,
    Pong,
    Reduce,
    Replace,
    Subscribe,
    Subscribed,
    Subscriptions,
    Unsubscribe,
    Unsubscribed,
    Welcome,
)
from tests.setting import CONFIG, START, token
from tests.worlds import BOOK, MILLISECOND, TICKER, TRADES, Desk, QuietMarket


@pytest.fixture
def market() -> QuietMarket:
    return QuietMarket()


def refusal(answers: list[Any]) -> int:
    (error,) = answers
    assert isinstance(error, Error)
    return error.code


# Signing in


def test_the_first_message_is_welcome(market: QuietMarket) -> None:
    (welcome,) = Desk(market).heard
    assert isinstance(welcome, Welcome)
    assert (welcome.epoch, welcome.seq, welcome.subject) == (START // 10**6, 0, None)


def test_a_token_opens_an_account_once(market: QuietMarket) -> None:
    (answer,) = Desk(market).ask(Login, token("alice", market.now))
    assert answer == LoggedIn(1, "alice", ["account", "trade"], START // 10**9 + 10_000, 1000, 64 * 1024, 2000, 1 << 20, 1000)
    Desk(market).sign_in("alice")
    assert market.exchange.accounts == 1
    Desk(market).sign_in("bob")
    assert market.exchange.accounts == 2
    assert market.exchange.balances(0) == market.exchange.balances(1) == [(10 * 10**8, 0), (100 * 10**8, 0), (100_000 * 10**6, 0)]


def test_a_bad_token_is_refused_and_the_connection_lives(market: QuietMarket) -> None:
    desk = Desk(market)
    assert refusal(desk.ask(Login, "nonsense")) == ErrorCode.BAD_TOKEN
    assert refusal(desk.ask(Login, token("alice", market.now - 10**15))) == ErrorCode.BAD_TOKEN
    assert isinstance(desk.ask(Login, token("alice", market.now))[0], LoggedIn)


def test_a_connection_keeps_its_subject(market: QuietMarket) -> None:
    desk = Desk(market).sign_in("alice")
    assert refusal(desk.ask(Login, token("bob", market.now))) == ErrorCode.ANOTHER_SUBJECT


def test_a_token_is_renewed_on_the_open_connection_and_expires(market: QuietMarket) -> None:
    desk = Desk(market)
    desk.ask(Login, token("alice", market.now, exp=START // 10**9 + 10))
    market.pass_time(9_000)
    desk.ask(Login, token("alice", market.now, exp=START // 10**9 + 20))
    market.pass_time(9_000)
    market.keep_house(market.now)
    assert desk.session.closed is None
    market.pass_time(2_000)
    market.keep_house(market.now)
    assert desk.session.closed
    assert desk.session.closed[0] is CloseCode.TOKEN_EXPIRED


def test_a_token_acts_until_it_ends_and_not_a_moment_longer() -> None:
    market = QuietMarket()
    alice, bob = Desk(market).sign_in("alice"), Desk(market).sign_in("bob")
    ends = (START // 10**9 + 10_000) * 10**9
    market.now = ends - MILLISECOND // 2
    for desk in (alice, bob):
        assert isinstance(desk.ask(Place, "BTC-USD", "buy", 100, 1)[0], Done)
    market.now = ends - 1
    assert isinstance(alice.ask(Place, "BTC-USD", "buy", 100, 1)[0], Done)
    market.now = ends
    for desk in (alice, bob):
        assert not desk.ask(Place, "BTC-USD", "buy", 100, 1)
        assert desk.session.closed
        assert desk.session.closed[0] is CloseCode.TOKEN_EXPIRED
    assert market.exchange.order_count == 3


def test_a_token_with_less_scope_ends_what_it_does_not_allow(market: QuietMarket) -> None:
    desk = Desk(market).sign_in("alice")
    desk.ask(Subscribe, ["orders", "balances", BOOK])
    answers = desk.ask(Login, token("alice", market.now, "trade"))
    assert answers[1] == Unsubscribed(0, ["orders", "balances"])
    assert [str(name) for name in desk.session.subscriptions] == [BOOK]
    answers = desk.ask(Place, "ETH-USD", "buy", 100, 5)
    assert [type(answer) for answer in answers] == [Done]
    desk.ask(Login, token("alice", market.now, ""))
    assert refusal(desk.ask(Place, "ETH-USD", "buy", 100, 5)) == ErrorCode.MISSING_SCOPE


def test_public_channels_end_too_where_they_need_a_token() -> None:
    market = QuietMarket(public_needs_token=True)
    desk = Desk(market).sign_in("alice")
    desk.ask(Subscribe, [BOOK])
    assert desk.ask(Login, token("alice", market.now, "trade"))[1] == Unsubscribed(0, [BOOK])
    assert not desk.session.subscriptions


def test_an_expired_token_is_worth_nothing_at_once(market: QuietMarket) -> None:
    desk = Desk(market)
    desk.ask(Login, token("alice", market.now, exp=START // 10**9 + 10))
    market.now = START + 10 * 10**9
    assert desk.ask(Place, "BTC-USD", "buy", 100, 5) == []
    assert desk.session.closed
    assert market.exchange.order_count == 0


def test_a_thousand_pipelined_logins_are_answered_in_turn(market: QuietMarket) -> None:
    desk = Desk(market)
    good = token("alice", market.now)
    for id in range(1, 1001):
        desk.send(desk.codec.encode(Login(id, good)))
    market.tick(market.now)
    assert [answer.id for answer in desk.hear()] == list(range(1, 1001))


def test_what_is_pipelined_behind_a_login_waits_for_its_answer(market: QuietMarket) -> None:
    desk = Desk(market)
    for message in (Login(1, token("alice", market.now)), Subscribe(2, ["balances"]), Place(3, "BTC-USD", "buy", 100, 5)):
        desk.send(desk.codec.encode(message))
    market.tick(market.now)
    answers = desk.hear()
    assert [type(answer) for answer in answers[:3]] == [LoggedIn, Subscribed, Balances]
    assert any(isinstance(answer, Done) for answer in answers)


# Who may do what


@pytest.mark.parametrize("scope", [None, "", "market", "account"])
def test_orders_need_the_scope_trade(market: QuietMarket, scope: str | None) -> None:
    desk = Desk(market)
    if scope is not None:
        desk.sign_in("alice", scope)
    code = ErrorCode.NOT_SIGNED_IN if scope is None else ErrorCode.MISSING_SCOPE
    for kind, fields in ((Place, ("BTC-USD", "buy", 100, 5)), (Cancel, (1,)), (Reduce, (1, 1)), (Replace, (1, 100, 5)), (CancelAll, ())):
        assert refusal(desk.ask(kind, *fields)) == code
    assert market.exchange.order_count == 0


@pytest.mark.parametrize("scope", [None, "", "market", "trade"])
def test_own_channels_need_the_scope_account(market: QuietMarket, scope: str | None) -> None:
    desk = Desk(market)
    if scope is not None:
        desk.sign_in("alice", scope)
    code = ErrorCode.NOT_SIGNED_IN if scope is None else ErrorCode.MISSING_SCOPE
    for channels in (["orders"], ["balances"], [BOOK, "orders"]):
        assert refusal(desk.ask(Subscribe, channels)) == code
    assert not desk.session.subscriptions


def test_public_channels_need_a_token_only_if_configured() -> None:
    assert isinstance(Desk(QuietMarket()).ask(Subscribe, [BOOK])[0], Subscribed)
    closed = QuietMarket(public_needs_token=True)
    assert refusal(Desk(closed).ask(Subscribe, [BOOK])) == ErrorCode.NOT_SIGNED_IN
    assert refusal(Desk(closed).sign_in("alice", "account").ask(Subscribe, [BOOK])) == ErrorCode.MISSING_SCOPE
    assert isinstance(Desk(closed).sign_in("alice").ask(Subscribe, [BOOK])[0], Subscribed)


@pytest.mark.parametrize("channel", ["orders:bob", "orders:2", "balances:bob", "orders:", "balances:0"])
def test_nobody_can_even_name_anothers_channel(market: QuietMarket, channel: str) -> None:
    Desk(market).sign_in("bob")
    desk = Desk(market).sign_in("alice")
    assert refusal(desk.ask(Subscribe, [channel])) in (ErrorCode.UNKNOWN_CHANNEL, ErrorCode.MALFORMED)


def test_nobody_can_touch_anothers_orders(market: QuietMarket) -> None:
    bob = Desk(market).sign_in("bob")
    (done,) = bob.ask(Place, "BTC-USD", "buy", 100, 5, client_id=7)
    alice = Desk(market).sign_in("alice")
    alice.ask(Subscribe, ["orders", "balances"])
    for kind, fields in ((Cancel, (done.order,)), (Cancel, (0, 7)), (Reduce, (done.order, 1)), (Replace, (done.order, 100, 1))):
        assert refusal(alice.ask(kind, *fields)) == ErrorCode.UNKNOWN_ORDER
    alice.ask(CancelAll)
    bob.ask(Reduce, done.order, 1)
    assert not [answer for answer in alice.hear() if isinstance(answer, Orders | Balances)]
    assert market.exchange.order(done.order).remaining == 4    # type: ignore[union-attr]


# Subscriptions


def test_all_channels_of_a_request_are_answered_as_of_one_sequence(market: QuietMarket) -> None:
    desk = Desk(market).sign_in("alice")
    desk.ask(Place, "BTC-USD", "buy", 100, 5)
    subscribed, *frames = desk.ask(Subscribe, [BOOK, TRADES, TICKER, "orders", "balances"])
    assert isinstance(subscribed, Subscribed)
    assert [type(frame) for frame in frames] == [Book, Trades, Ticker, Orders, Balances]
    assert {frame.seq for frame in frames} == {subscribed.seq} == {market.exchange.seq}
    assert all(frame.prev is None for frame in frames)
    (order,) = frames[3].orders
    assert (order.event, order.price, order.remaining) == ("open", 100, 5)


def test_the_answer_says_what_is_in_force(market: QuietMarket) -> None:
    desk = Desk(market)
    for asked, in_force in (((None, None), (0, 100)), ((0, 0), (0, 0)), ((7, 3), (10, 10)), ((10_000, 99_999), (0, 1000)), ((500, 1000), (500, 1000))):
        subscribed = desk.ask(Subscribe, [BOOK], *asked)[0]
        assert (subscribed.channels[0].depth, subscribed.channels[0].interval_ms) == in_force
        assert desk.ask(ListSubscriptions) == [Subscriptions(desk.id, subscribed.channels)]
    assert len(desk.session.subscriptions) == 1


def test_unsubscribe_ends_the_frames(market: QuietMarket) -> None:
    desk = Desk(market).sign_in("alice")
    desk.ask(Subscribe, [BOOK, TICKER], None, 0)
    assert desk.ask(Unsubscribe, [BOOK, TRADES]) == [Unsubscribed(desk.id, [BOOK])]
    frames = desk.ask(Place, "BTC-USD", "buy", 100, 5)
    assert [type(frame) for frame in frames] == [Done, Ticker]


def test_what_cannot_be_subscribed(market: QuietMarket) -> None:
    desk = Desk(market)
    assert refusal(desk.ask(Subscribe, ["orderbook:NO-SUCH"])) == ErrorCode.UNKNOWN_INSTRUMENT
    assert refusal(desk.ask(Subscribe, ["candles:BTC-USD"])) == ErrorCode.UNKNOWN_CHANNEL
    assert refusal(Desk(QuietMarket(subscriptions_max=2)).ask(Subscribe, [BOOK, TRADES, TICKER])) == ErrorCode.TOO_MANY_SUBSCRIPTIONS
    assert not desk.session.subscriptions


# Orders


def test_each_request_gets_exactly_one_reply(market: QuietMarket) -> None:
    desk = Desk(market).sign_in("alice")
    (placed,) = desk.ask(Place, "BTC-USD", "buy", 100, 50, client_id=9)
    assert (placed.status, placed.remaining, placed.filled, placed.client_id) == ("open", 50, 0, 9)
    (reduced,) = desk.ask(Reduce, placed.order, 10)
    assert (reduced.status, reduced.remaining) == ("open", 40)
    (replaced,) = desk.ask(Replace, placed.order, 110, 60)
    assert (replaced.status, replaced.remaining, replaced.order) == ("open", 60, placed.order)
    (cancelled,) = desk.ask(Cancel, client_id=9)
    assert (cancelled.status, cancelled.remaining) == ("cancelled", 0)
    desk.ask(Place, "BTC-USD", "buy", 100, 5)
    desk.ask(Place, "ETH-USD", "buy", 100, 5)
    assert isinstance(desk.ask(CancelAll, "BTC-USD")[0], AllCancelled)
    assert desk.ask(CancelAll)[0].count == 1


def test_a_trade_reaches_both_sides_and_everybody(market: QuietMarket) -> None:
    maker, taker, watcher = Desk(market).sign_in("maker"), Desk(market).sign_in("taker"), Desk(market)
    for desk in (maker, taker):
        desk.ask(Subscribe, ["orders", "balances"])
    watcher.ask(Subscribe, [BOOK, TRADES, TICKER], None, 0)
    maker.ask(Place, "BTC-USD", "sell", 1000, 50)
    maker.hear(), watcher.hear()
    done = taker.ask(Place, "BTC-USD", "buy", 1010, 20)
    assert (done[0].status, done[0].filled) == ("filled", 20)
    book, trades, ticker = sorted(watcher.hear(), key=lambda frame: frame.channel)[:1] + [frame for frame in watcher.heard[-3:] if not isinstance(frame, Book)]
    assert book.asks == [1000, 30]
    assert [(trade.price, trade.size, trade.side) for trade in trades.trades] == [(1000, 20, "buy")]
    assert (ticker.last, ticker.ask_size, ticker.volume) == (1000, 30, 20)
    (fill,) = [update for frame in maker.hear() if isinstance(frame, Orders) for update in frame.orders]
    assert (fill.event, fill.fill_price, fill.fill_size, fill.remaining, fill.liquidity, fill.fee) == ("filled", 1000, 20, 30, "maker", 2)
    updates = [update for frame in done if isinstance(frame, Orders) for update in frame.orders]
    assert [(update.event, update.price, update.liquidity) for update in updates] == [("accepted", 1010, ""), ("filled", 1010, "taker")]
    assert book.seq == trades.seq == ticker.seq == done[1].seq


@pytest.mark.parametrize(("fields", "code", "text"), [
    (("NO-SUCH", "buy", 100, 5), ErrorCode.UNKNOWN_INSTRUMENT, "NO-SUCH"),
    (("BTC-USD", "buy", 0, 5), ErrorCode.PRICE_OUT_OF_RANGE, "price 0: expected 1 to"),
    (("BTC-USD", "buy", 100, 0), ErrorCode.SIZE_TOO_SMALL, "at least 1"),
    (("BTC-USD", "buy", 100, 1 << 41), ErrorCode.SIZE_TOO_LARGE, "at most"),
    (("BTC-USD", "buy", 1 << 39, 1 << 39), ErrorCode.NOTIONAL_TOO_LARGE, ""),
    (("BTC-USD", "sell", 100, 1 << 30), ErrorCode.INSUFFICIENT_FUNDS, "BTC"),
    (("BTC-USD", "buy", 10**9, 10**9), ErrorCode.INSUFFICIENT_FUNDS, "USD"),
    (("BTC-USD", "buy", 100, 5, "market", "gtc", True), ErrorCode.UNKNOWN_OPTION, ""),
    (("BTC-USD", "buy", 100, 5, "limit", "fok"), ErrorCode.UNFILLABLE, ""),
])
def test_a_refused_order_changes_nothing_and_says_why(market: QuietMarket, fields: tuple[Any, ...], code: ErrorCode, text: str) -> None:
    desk = Desk(market).sign_in("alice")
    before = market.exchange.balances(0)
    (error,) = desk.ask(Place, *fields)
    assert (error.id, error.code) == (desk.id, code)
    assert text in error.message
    assert market.exchange.balances(0) == before
    assert market.exchange.order_count == 0


def test_a_refused_replacement_is_explained_by_its_own_instrument() -> None:
    market = QuietMarket(instruments=(CONFIG.instruments[0], msgspec.structs.replace(CONFIG.instruments[1], price_max=500, size_min=3)))
    desk = Desk(market).sign_in("alice")
    (done,) = desk.ask(Place, "ETH-USD", "buy", 100, 5)
    assert "1 to 500" in desk.ask(Replace, done.order, 501, 5)[0].message
    assert "at least 3" in desk.ask(Replace, done.order, 100, 2)[0].message
    assert "USD" in desk.ask(Replace, done.order, 500, 1 << 38)[0].message


def test_a_market_without_instruments_answers_too() -> None:
    desk = Desk(QuietMarket(assets={}, instruments=(), deposit={})).sign_in("alice")
    assert refusal(desk.ask(Cancel, 5)) == ErrorCode.UNKNOWN_ORDER
    assert refusal(desk.ask(Subscribe, [BOOK])) == ErrorCode.UNKNOWN_INSTRUMENT
    assert desk.ask(CancelAll)[0].count == 0


def test_one_subject_on_two_connections_at_once_has_one_account(market: QuietMarket) -> None:
    desks = [Desk(market), Desk(market)]
    for desk in desks:
        desk.send(desk.codec.encode(Login(1, token("alice", market.now))))
    market.tick(market.now)
    assert [type(desk.hear()[0]) for desk in desks] == [LoggedIn, LoggedIn]
    assert market.exchange.accounts == 1
    assert market.exchange.balance(0, 0) == (10 * 10**8, 0)


def test_a_repeated_client_id_names_the_first_order(market: QuietMarket) -> None:
    desk = Desk(market).sign_in("alice")
    (done,) = desk.ask(Place, "BTC-USD", "buy", 100, 5, client_id=3)
    (error,) = desk.ask(Place, "BTC-USD", "buy", 100, 5, client_id=3)
    assert (error.code, error.order) == (ErrorCode.DUPLICATE_CLIENT_ID, done.order)


# Anything else


def test_what_cannot_be_read_says_where(market: QuietMarket) -> None:
    desk = Desk(market)
    for payload, id, text in (
        (b"", 0, "truncated"), (b"\xc1", 0, ""), (msgspec.msgpack.encode(["place", 7, "BTC-USD", "up", 1, 2]), 7, "$[3]"),
        (msgspec.msgpack.encode(["subscribe", 8, [""]]), 8, "$[2][0]"), (msgspec.msgpack.encode(["ping", 1]) + b"x", 0, "trailing"),
        (msgspec.msgpack.encode(["ping", -1]), 0, "$[1]"), (msgspec.msgpack.encode(["no such request", 9]), 9, "$[0]"),
        (b"\x91" * 100_000, 0, ""), (b"\xdd\xff\xff\xff\xff", 0, ""), (msgspec.msgpack.encode({"tag": "ping"}), 0, "array"),
    ):
        desk.send(payload)
        (error,) = desk.hear()
        assert (error.id, error.code) == (id, ErrorCode.MALFORMED)
        assert text in error.message
    assert desk.ask(Ping) == [Pong(1, market.now)]


def test_babble_closes_the_connection() -> None:
    market = QuietMarket(errors_max=3)
    desk = Desk(market)
    for _ in range(5):
        desk.send(b"x")
    assert desk.session.closed
    assert desk.session.closed[0] is CloseCode.ABUSE
    count = len(desk.hear())
    desk.send(msgspec.msgpack.encode(Ping(1)))
    assert (count, desk.hear()) == (4, [])


def test_messages_that_come_too_fast_are_refused_until_time_passes() -> None:
    market = QuietMarket(messages_burst=3, messages_per_s=10)
    desk = Desk(market)
    answers = [desk.ask(Ping)[0] for _ in range(5)]
    assert [type(answer) for answer in answers] == [Pong, Pong, Pong, Error, Error]
    assert (answers[-1].code, answers[-1].id) == (ErrorCode.TOO_MANY_REQUESTS, desk.id)
    market.pass_time(100)
    assert isinstance(desk.ask(Ping)[0], Pong)


def test_who_never_reads_replies_is_closed() -> None:
    market = QuietMarket(pending_bytes_max=1000)
    desk = Desk(market)
    desk.session.pause_writing(market.now)
    for id in range(1, 200):
        desk.send(msgspec.msgpack.encode(ListInstruments(id)))
    assert desk.session.closed
    assert desk.session.closed[0] is CloseCode.SLOW_CONSUMER
    assert desk.session.out_bytes < 2000


def test_json_speaks_the_same_messages(market: QuietMarket) -> None:
    desk = Desk(market, JSON).sign_in("alice")
    assert isinstance(desk.ask(ListInstruments)[0], Instruments)
    assert isinstance(desk.ask(Place, "BTC-USD", "buy", 100, 5)[0], Done)
    subscribed, book = desk.ask(Subscribe, [BOOK])
    assert (subscribed.id, book.bids) == (desk.id, [100, 5])
    assert book.digest == market.exchange.book("BTC-USD").levels.digest


def test_lost_trades_are_told_by_a_gap_and_a_snapshot() -> None:
    market = QuietMarket(trades_kept=5, self_trade="allow")
    watcher, trader = Desk(market), Desk(market).sign_in("alice")
    watcher.ask(Subscribe, [TRADES])
    watcher.session.pause_writing(market.now)
    for _ in range(8):
        trader.ask(Place, "BTC-USD", "sell", 100, 1)
        trader.ask(Place, "BTC-USD", "buy", 100, 1)
    watcher.session.resume_writing(market.now)
    gap, trades = watcher.hear()
    assert isinstance(gap, Gap)
    assert trades.prev is None
    assert len(trades.trades) == 5
