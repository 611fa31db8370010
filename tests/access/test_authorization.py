"""Who may do what: every request of the protocol by every way of being unauthorised, and every kind of bad token. None gets in.

A token is looked at before any request, so each token is tried once, each request once, and their pairs by a property. What is asked would do
much, if the right one asked: a test says so of every request, so that none is refused for another reason.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.wire import administration
from stream.wire.administration import Disconnect, Freeze, ListConnections, MassCancel, Revoke, SetFees, SetLimits, SetPhase, SetTier, Transfer
from stream.wire.candles import ListCandles
from stream.wire.codes import CloseCode, ErrorCode
from stream.wire.fields import Message
from stream.wire.frames import Balances, Orders
from stream.wire.history import ListOrders, ListTrades
from stream.wire.messages import (
    AllCancelled,
    Cancel,
    CancelAll,
    CancelOnDisconnect,
    Confirmed,
    DeadMan,
    Error,
    Instruments,
    ListInstruments,
    ListSubscriptions,
    LoggedIn,
    Login,
    Logout,
    Ping,
    Place,
    Pong,
    Reduce,
    Replace,
    Request,
    Subscribe,
    Subscriptions,
    Unsubscribe,
    Unsubscribed,
)
from stream.wire.queue_position import AskQueuePosition
from tests.access.forgeries import ALGORITHMS, EVERY_SCOPE, authenticator, bad_tokens, claims_of, good, signed
from tests.market.simulation import START
from tests.worlds import BOOK, TICKER, TRADES, Desk, QuietMarket

S = 10**9
NOW = START // S
BAD_TOKENS = bad_tokens(NOW)
KINDS: tuple[type[Message], ...] = get_args(Request)
ID = 99
EPOCH = START // 10**6
BOBS_CONNECTION, BOBS_ACCOUNT, ORDER = 2, 1, 0x1000001
NO_ORDER, NO_CLIENT_ID = 0x1000007, 8


class World:
    """A market in which bob has an order and listens, and root administers. Mallory would like to be either."""

    def __init__(self, log: pytest.LogCaptureFixture, **changes: Any) -> None:
        log.set_level(logging.INFO, "deltabook.audit")
        self.log = log
        self.market = QuietMarket(**{"public_needs_token": True, "orders_max": 64, "accounts_max": 8, "client_ids_max": 64} | changes)
        self.market.authenticator = authenticator(self.market.config, NOW)
        self.root = self.desk("root", ("admin",))
        self.bob = self.desk("bob", EVERY_SCOPE[:3], jti="bob's")
        (placed,) = self.bob.ask(Place, "BTC-USD", "buy", 100, 5, client_id=7)
        assert (self.bob.session.number, placed.order) == (BOBS_CONNECTION, ORDER)
        self.bob.ask(Subscribe, [BOOK, "orders", "balances"], None, 0)

    def desk(self, subject: str, scopes: tuple[str, ...], **changes: Any) -> Desk:
        """A connection that has signed in."""
        desk = Desk(self.market)
        assert isinstance(desk.ask(Login, good(subject, NOW, scopes, **changes))[0], LoggedIn)
        return desk

    def put(self, desk: Desk, *requests: Message) -> list[Any]:
        """What comes of requests that arrive in one turn."""
        for request in requests:
            desk.send(desk.codec.encode(request))
        self.market.tick(self.market.now)
        return desk.hear()

    def state(self) -> tuple[Any, ...]:
        """All that a request could change, or leave a trace in."""
        market, desks = self.market, (self.root, self.bob)
        return (
            market.exchange.state_hash(), market.sequencer.executed, len(market.authenticator.revocations), len(self.log.records),
            [(desk.session.closed, list(desk.session.subscriptions)) for desk in desks],
            {(session.number, session.guard.scope) for session in market.sessions if session.guard.scope != "off"}, market.deadlines.next,
        )

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """What is done inside must change nothing, and nobody may hear of it."""
        self.hear()
        before = self.state()
        yield
        assert self.state() == before
        assert self.hear() == []

    def hear(self) -> list[Any]:
        """What bob and root have heard since the last call."""
        return self.bob.hear() + self.root.hear()


# The rows: what is asked

ASKED: dict[type[Message], list[tuple[str, tuple[Any, ...]]]] = {
    Login: [("", (BAD_TOKENS["another key as ed"],))],
    Subscribe: [
        *(("market", ([channel],)) for channel in (BOOK, TRADES, TICKER)),
        *(("account", ([channel],)) for channel in ("orders", "balances")),
        ("account", (["orders", "balances"], None, None, {"orders": (EPOCH, 0), "balances": (EPOCH, 0)})),
    ],
    Unsubscribe: [("", ([BOOK, "orders"],))],
    ListSubscriptions: [("", ())],
    ListInstruments: [("", ())],
    ListCandles: [("market", ("BTC-USD", "1m"))],
    Ping: [("", ())],
    Place: [("trade", fields) for fields in (
        ("BTC-USD", "buy", 90, 5), ("BTC-USD", "sell", 200, 5), ("BTC-USD", "buy", 0, 5, "stop", "gtc", False, 0, False, False, 300),
    )],
    Cancel: [("trade", (ORDER,)), ("trade", (0, 7))],
    Reduce: [("trade", (ORDER, 1)), ("trade", (0, 1, 7))],
    Replace: [("trade", (ORDER, 99, 1)), ("trade", (0, 99, 1, 7))],
    CancelAll: [("trade", ()), ("trade", ("BTC-USD", "buy"))],
    CancelOnDisconnect: [("trade", ("session", 1000)), ("trade", ("connection",))],
    DeadMan: [("trade", (1000,))],
    ListOrders: [("account", ())],
    ListTrades: [("account", ()), ("account", (None, 0, ORDER))],
    AskQueuePosition: [("account", (ORDER,))],
    Logout: [("", ())],
    SetPhase: [("admin", ("BTC-USD", phase)) for phase in ("halt", "auction", "trading")],
    administration.ListInstrument: [("admin", ("BTC-ETH", "BTC", "ETH", "0.01", "0.0001"))],
    administration.Delist: [("admin", ("ETH-USD",))],
    administration.SetBand: [("admin", ("BTC-USD", 5))],
    administration.SetReference: [("admin", ("BTC-USD", 5))],
    SetLimits: [("admin", ("bob", 1, 1, 1))],
    MassCancel: [("admin", ("bob",)), ("admin", ("", "BTC-USD")), ("admin", ())],
    Freeze: [("admin", ("bob",)), ("admin", ("bob", False))],
    **{kind: [("admin", ("bob", "USD", 5))] for kind in get_args(Transfer)},
    SetFees: [("admin", ("BTC-USD", 1, 0, 0))],
    SetTier: [("admin", ("bob", 1))],
    Disconnect: [("admin", ("bob",)), ("admin", ("", BOBS_CONNECTION))],
    Revoke: [("admin", ("bob",)), ("admin", ("", "bob's"))],
    ListConnections: [("admin", ())],
    administration.ListSchedule: [("admin", ())],
}
"""For each request the scope that it needs ("" for none), and the fields."""

ADMINISTRATORS = [kind for kind, [(scope, _), *_] in ASKED.items() if scope == "admin"]

OPEN: dict[type[Message], Callable[[World], Message]] = {
    Unsubscribe: lambda _: Unsubscribed(ID, []),
    ListSubscriptions: lambda _: Subscriptions(ID, []),
    ListInstruments: lambda world: Instruments(ID, world.market.instrument_terms()),
    Ping: lambda world: Pong(ID, world.market.now),
    Logout: lambda _: Confirmed(ID),
}
"""What anybody may ask, and all that is said."""


# The columns: how one is not authorised

Asking = Callable[[World, str, Message], list[Any]]
"""Ask for something that needs a scope; what is answered."""


class Way(NamedTuple):
    """A way of asking without being allowed to, and the code that it gets; None for silence."""

    code: ErrorCode | None
    ask: Asking
    settings: dict[str, Any] = {}


def others(scope: str) -> tuple[str, ...]:
    """Every scope but one."""
    return tuple(other for other in EVERY_SCOPE if other != scope)


def bad_token(token: str, *before: str) -> Asking:
    """Sign in with it; on a connection that has signed in without any scope, if `before` says as whom. Then ask."""

    def ask(world: World, scope: str, request: Message) -> list[Any]:
        desk = world.desk(before[0], ()) if before else Desk(world.market)
        with world.untouched():
            (refusal,) = desk.ask(Login, token)
            assert refusal.code in (ErrorCode.BAD_TOKEN, ErrorCode.ANOTHER_SUBJECT, ErrorCode.TOO_MANY_SIGN_INS)
            return world.put(desk, request)

    return ask


def behind_bad_token(token: str) -> Asking:
    """Ask in the same turn, ahead of the refusal."""

    def ask(world: World, scope: str, request: Message) -> list[Any]:
        with world.untouched():
            refusal, *answers = world.put(Desk(world.market), Login(1, token), request)
            assert refusal.code == ErrorCode.BAD_TOKEN
            return answers

    return ask


def with_scopes(choose: Callable[[str], tuple[str, ...]], *before: tuple[str, ...]) -> Asking:
    """Ask with a good token that has these scopes; after one that had others, perhaps."""

    def ask(world: World, scope: str, request: Message) -> list[Any]:
        desk = world.desk("mallory", (before or (choose(scope),))[0])
        desk.ask(Login, good("mallory", NOW, choose(scope)))
        with world.untouched():
            return world.put(desk, request)

    return ask


def behind_too_few_scopes(world: World, scope: str, request: Message) -> list[Any]:
    """Ask while the account is still being opened."""
    twin = World(world.log)
    twin.put(Desk(twin.market), Login(1, good("mallory", NOW, others(scope))))
    welcome, *answers = world.put(Desk(world.market), Login(1, good("mallory", NOW, others(scope))), request)
    assert isinstance(welcome, LoggedIn)
    assert world.state() == twin.state()
    return answers


def without_account(world: World, scope: str, request: Message) -> list[Any]:
    """The exchange has no account left."""
    desk = Desk(world.market)
    assert desk.ask(Login, good("mallory", NOW))[0].code == ErrorCode.TOO_MANY_ACCOUNTS
    with world.untouched():
        return world.put(desk, request)


def closed(code: CloseCode, close: Callable[[World, Desk], object]) -> Asking:
    """Ask on a connection that has every scope, and that the server has closed, or closes as it hears the request."""

    def ask(world: World, scope: str, request: Message) -> list[Any]:
        desk = world.desk("mallory", EVERY_SCOPE, jti="mallory's", exp=NOW + 10)
        close(world, desk)
        world.market.tick(world.market.now)
        desk.hear()
        with world.untouched():
            answers = world.put(desk, request)
        assert desk.session.closed
        assert desk.session.closed[0] is code
        return answers

    return ask


def wait(world: World, desk: Desk) -> None:
    world.market.now = START + 10 * S


def babble(world: World, desk: Desk) -> None:
    while not desk.session.closed:
        desk.send(b"babble")


def once_more(world: World, desk: Desk) -> None:
    """The account has one connection too many, and this is the one."""
    desk.session = Desk(world.market).session
    desk.ask(Login, good("mallory", NOW))


def revoked_while_waiting(**revoked: str) -> Asking:
    """The token is revoked between the sign-in and the account."""

    def ask(world: World, scope: str, request: Message) -> list[Any]:
        twin = World(world.log)
        login = Login(1, good("mallory", NOW, jti="mallory's"))
        desks = []
        for there, messages in ((twin, [login]), (world, [login, request])):
            desks.append(Desk(there.market))
            for message in messages:
                desks[-1].send(desks[-1].codec.encode(message))
            there.root.ask(Revoke, **revoked)
        assert world.state() == twin.state()
        return desks[-1].hear()

    return ask


WITH_TOKEN: dict[str, Callable[[str], Way]] = {
    "bad token": lambda token: Way(ErrorCode.NOT_SIGNED_IN, bad_token(token)),
    "bad token, renewed": lambda token: Way(ErrorCode.MISSING_SCOPE, bad_token(token, "mallory")),
    "ahead of a bad token's refusal": lambda token: Way(ErrorCode.NOT_SIGNED_IN, behind_bad_token(token)),
}
"""The ways with a token that is refused."""

WAYS: dict[str, Way] = {
    "no token": Way(ErrorCode.NOT_SIGNED_IN, lambda world, _, request: world.put(Desk(world.market), request)),
    **{how: way(BAD_TOKENS["another key as ed"]) for how, way in WITH_TOKEN.items()},
    "renewed: another's token": Way(ErrorCode.MISSING_SCOPE, bad_token(good("bob", NOW), "mallory")),
    "one token too many": Way(ErrorCode.NOT_SIGNED_IN, bad_token(good("bob", NOW)), {"sign_ins_burst": 2}),
    "no account": Way(ErrorCode.NOT_SIGNED_IN, without_account, {"accounts_max": 2}),
    "no scope": Way(ErrorCode.MISSING_SCOPE, with_scopes(lambda _: ())),
    "every other scope": Way(ErrorCode.MISSING_SCOPE, with_scopes(others)),
    "every other scope, of the first message": Way(ErrorCode.MISSING_SCOPE, behind_too_few_scopes),
    "a scope that is gone": Way(ErrorCode.MISSING_SCOPE, with_scopes(others, EVERY_SCOPE)),
    **{
        f"scopes that look alike: {text}": Way(ErrorCode.MISSING_SCOPE, with_scopes(lambda _, text=text: (text,)))    # type: ignore[misc]
        for text in (" ".join(EVERY_SCOPE).upper(), ",".join(EVERY_SCOPE), "markets accounts trader administrator", "* all", "admin:* trade/ -account market.")
    },
    "expired meanwhile": Way(None, closed(CloseCode.TOKEN_EXPIRED, wait)),
    "revoked meanwhile, by id": Way(None, closed(CloseCode.REVOKED, lambda world, _: world.root.ask(Revoke, "", "mallory's"))),
    "revoked meanwhile, by subject": Way(None, closed(CloseCode.REVOKED, lambda world, _: world.root.ask(Revoke, "mallory"))),
    "revoked while it waits, by id": Way(None, revoked_while_waiting(token_id="mallory's")),
    "revoked while it waits, by subject": Way(None, revoked_while_waiting(subject="mallory")),
    "disconnected": Way(None, closed(CloseCode.DISCONNECTED, lambda world, desk: world.root.ask(Disconnect, "", desk.session.number))),
    "closed for abuse": Way(None, closed(CloseCode.ABUSE, babble), {"errors_max": 3}),
    "one connection too many": Way(None, closed(CloseCode.TOO_MANY_CONNECTIONS, once_more), {"connections_per_account_max": 1}),
    "closed by a server that leaves": Way(None, closed(CloseCode.SHUTTING_DOWN, lambda world, _: world.market.leave())),
}


def test_the_keys_are_good() -> None:
    """So that what is refused is refused for what is wrong with it."""
    known = authenticator(QuietMarket().config, NOW)
    for kid in ALGORITHMS:
        assert known.verify(signed(claims_of("bob", NOW), kid), NOW).subject == "bob"


def test_every_request_is_in_the_matrix() -> None:
    assert ASKED.keys() == WHAT_IS_BOBS.keys() == set(KINDS)
    assert OPEN.keys() | {Login} == {kind for kind in KINDS if "" in {scope for scope, _ in ASKED[kind]}}


def assert_refused(way: Way, kind: type[Message], log: pytest.LogCaptureFixture) -> None:
    """Ask for all that a kind of request can do. Nothing comes of it, and the answer is the one that it has to be."""
    for scope, fields in ASKED[kind]:
        world = World(log, **way.settings)
        answers = way.ask(world, scope, kind(ID, *fields))
        if way.code is None:
            assert answers == []
        elif kind is Login:
            assert [answer.code for answer in answers] in ([ErrorCode.BAD_TOKEN], [ErrorCode.TOO_MANY_SIGN_INS])
        elif scope:
            assert [(type(answer), answer.id, answer.code) for answer in answers] == [(Error, ID, way.code)]
        else:
            assert answers == [OPEN[kind](world)]


@pytest.mark.parametrize("way", WAYS)
def test_no_request_gets_in(way: str, caplog: pytest.LogCaptureFixture) -> None:
    for kind in KINDS:
        assert_refused(WAYS[way], kind, caplog)


@pytest.mark.parametrize("token", BAD_TOKENS)
def test_no_token_gets_in(token: str, caplog: pytest.LogCaptureFixture) -> None:
    for way in WITH_TOKEN.values():
        assert_refused(way(BAD_TOKENS[token]), Cancel, caplog)


@settings(max_examples=60)
@given(st.sampled_from(sorted(BAD_TOKENS)), st.sampled_from(sorted(WITH_TOKEN)), st.sampled_from(KINDS))
def test_no_request_gets_in_with_any_token(caplog: pytest.LogCaptureFixture, token: str, how: str, kind: type[Message]) -> None:
    assert_refused(WITH_TOKEN[how](BAD_TOKENS[token]), kind, caplog)


@pytest.mark.parametrize("kind", KINDS)
def test_who_may_does(kind: type[Message], caplog: pytest.LogCaptureFixture) -> None:
    """Each request of the matrix, by who may ask for it, with no more than the one scope; what changes anything is noticed."""
    for scope, fields in ASKED[kind]:
        world = World(caplog)
        desk = world.desk("root" if scope == "admin" else "bob", (scope,))
        answers: list[Any] = []
        with pytest.raises(AssertionError) if scope in ("trade", "admin") else nullcontext(), world.untouched():
            answers = world.put(desk, kind(ID, *fields) if kind is not Login else Login(ID, good("bob", NOW)))
        refused = {answer.code for answer in answers if isinstance(answer, Error)}
        assert refused <= {ErrorCode.NO_HISTORY, ErrorCode.INSUFFICIENT_FUNDS}    # here is no history, and there are no fees, for anybody
        assert ID in {getattr(answer, "id", 0) for answer in answers}


# What is another's


WHAT_IS_BOBS: dict[type[Message], list[tuple[ErrorCode | None, tuple[Any, ...]]]] = {
    Login: [(ErrorCode.ANOTHER_SUBJECT, (good("bob", NOW),))],
    Subscribe: [
        *((ErrorCode.UNKNOWN_CHANNEL, ([channel],)) for channel in ("orders:bob", "balances:bob", f"orders:{BOBS_ACCOUNT}", f"balances:{BOBS_ACCOUNT}")),
        (None, (["orders", "balances"], None, None, {"orders": (EPOCH, 0), "balances": (EPOCH, 0)})),
    ],
    Unsubscribe: [(None, ([BOOK, "orders", "balances"],))],
    ListSubscriptions: [(None, ())],
    ListInstruments: [(None, ())],
    ListCandles: [(None, ("BTC-USD", "1m"))],
    Ping: [(None, ())],
    Place: [(ErrorCode.UNKNOWN_ORDER, ("BTC-USD", "buy", 0, 5, "stop", "gtc", False, 0, False, False, 300, 0, 0, 0, ORDER))],
    Cancel: [(ErrorCode.UNKNOWN_ORDER, fields) for fields in ((ORDER,), (0, 7))],
    Reduce: [(ErrorCode.UNKNOWN_ORDER, fields) for fields in ((ORDER, 1), (0, 1, 7))],
    Replace: [(ErrorCode.UNKNOWN_ORDER, fields) for fields in ((ORDER, 99, 1), (0, 99, 1, 7))],
    CancelAll: [(None, fields) for fields in ((), ("BTC-USD",), (None, "buy"))],
    CancelOnDisconnect: [(None, ("session", 0)), (None, ("connection",))],
    DeadMan: [(None, (1000,))],
    ListOrders: [(ErrorCode.NO_HISTORY, ())],
    ListTrades: [(ErrorCode.NO_HISTORY, (None, 0, ORDER))],
    AskQueuePosition: [(ErrorCode.UNKNOWN_ORDER, (ORDER,))],
    Logout: [(None, ())],
    **{kind: [(ErrorCode.MISSING_SCOPE, fields) for _, fields in ASKED[kind]] for kind in ADMINISTRATORS},
}
"""How one who may trade could name what is bob's, and the code that it gets; None where the answer is about the asker alone."""


def bobs(world: World) -> tuple[Any, ...]:
    """All that is bob's."""
    exchange, session = world.market.exchange, world.bob.session
    return exchange.orders(BOBS_ACCOUNT), exchange.balances(BOBS_ACCOUNT), session.closed, list(session.subscriptions)


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_reaches_what_is_anothers(kind: type[Message], caplog: pytest.LogCaptureFixture) -> None:
    for code, fields in WHAT_IS_BOBS[kind]:
        world = World(caplog)
        mallory = world.desk("mallory", EVERY_SCOPE[:3])
        world.hear()
        before = bobs(world)
        answers = world.put(mallory, kind(ID, *fields))
        assert bobs(world) == before
        assert world.hear() == []
        assert [answer.code for answer in answers if isinstance(answer, Error)] == ([code] if code else [])
        for answer in answers:
            assert not (isinstance(answer, Orders) and answer.orders)
            assert not (isinstance(answer, Balances) and any(balance.held for balance in answer.balances))
            assert not (isinstance(answer, AllCancelled) and answer.count)
            assert not (isinstance(answer, Subscriptions | Unsubscribed) and answer.channels)
        assert world.bob.ask(Reduce, ORDER, 1)
        assert mallory.hear() == []


def test_anothers_order_is_answered_as_one_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    absent = {ORDER: NO_ORDER, 7: NO_CLIENT_ID}
    mallory = World(caplog).desk("mallory", EVERY_SCOPE[:3])
    for kind in (Place, Cancel, Reduce, Replace):
        for _, fields in WHAT_IS_BOBS[kind]:
            (theirs,) = mallory.ask(kind, *fields)
            (nobodys,) = mallory.ask(kind, *(absent.get(field, field) if isinstance(field, int) else field for field in fields))
            assert (theirs.code, theirs.message) == (nobodys.code, nobodys.message)
            assert theirs.order in (0, *fields)
