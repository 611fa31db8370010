"""Servers that relay a server: the same books under the same sequences, whatever happens to the links, and clients that resume on any of them."""

import os
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from engine.levels import digest_of
from stream.access.keys import key_of
from stream.client.allowance import Allowance
from stream.feed.channel import Point
from stream.relay.relay import Relay
from stream.relay.relay_channels import RelayedFeed
from stream.relay.upstream import LIST_AGAIN
from stream.venue.venue import Venue
from stream.wire.administration import ListInstrument, SetFees, SetLimits, SetPhase
from stream.wire.codec import MSGPACK
from stream.wire.codes import ErrorCode
from stream.wire.frames import Book, Gap, Ticker, Trade, Trades
from stream.wire.messages import Error, InForce, Instruments, ListInstruments, Ping, Place, Stale, Subscribe, Subscribed, Welcome
from stream.wire.mirror import Verdict
from tests.market.simulated_clients import is_heartbeat
from tests.relay.simulated_relays import simulate
from tests.setting import CONFIG, NAMES, SECRET, START, messages_in
from tests.worlds import BOOK, MILLISECOND, TICKER, TRADES, Desk, QuietMarket

FIRST = int(os.environ.get("DELTABOOK_SEED", "1"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("DELTABOOK_SEEDS", "20")))

SECOND = 1000 * MILLISECOND


@pytest.mark.parametrize("seed", SEEDS)
def test_every_promise_holds(seed: int) -> None:
    simulate(seed)


def test_the_worlds_are_eventful() -> None:
    """The simulation reaches every way in which a relay brings a client up to date, and what can happen to a relay."""
    seen: Counter[tuple[str, str]] = Counter()
    links = recoveries = gaps = stale = 0
    for seed in range(12):
        world = simulate(seed)
        stale += world.stale
        for relay in world.relays:
            seen.update(relay.hub.counters.recovered)
            gaps += relay.hub.counters.gaps
            links += relay.upstream.links
            recoveries += relay.upstream.recoveries
    assert {("none", "current"), ("none", "ahead"), ("merged", "patch")} <= seen.keys()
    assert {"new", "epoch", "forgotten", "window", "larger"} <= {reason for recovered, reason in seen if recovered == "snapshot"}
    assert min(recoveries, gaps, stale) > 0
    assert links > 100


class Chain:
    """A market, a relay of it, and a relay of that, on links that carry all at once; `alter` may change or drop what goes over the first."""

    def __init__(self, **changes: Any) -> None:
        self.market = QuietMarket(self_trade="allow", **changes)
        config = msgspec.structs.replace(self.market.config, upstream_stale_ms=2000)
        self.relays = [Relay(config, [key_of("HS256", SECRET)], self.market.now) for _ in range(2)]
        self.nodes: list[Venue] = [self.market, *self.relays]
        self.sessions = {}
        self.up = True
        self.alter: Callable[[Any], Any] = lambda message: message
        self.said: list[Any] = []    # by the first relay
        self.trader = Desk(self.market).sign_in("alice")
        self.run(1100)

    @property
    def now(self) -> int:
        return self.market.now

    def run(self, milliseconds: int = 0) -> None:
        """Let time pass, and everything arrive."""
        for _ in range(max(1, milliseconds // 10)):
            self.market.pass_time(min(milliseconds, 10))
            for place, relay in enumerate(self.relays):
                if self.nodes[place].begun:
                    self._carry(place, relay)
                relay.tick(self.now)

    def _carry(self, place: int, relay: Relay) -> None:
        if place not in self.sessions:
            self.sessions[place] = self.nodes[place].connect(MSGPACK, self.now)
            self.sessions[place].begin(self.now, None)
        session = self.sessions[place]

        def say(message: Any) -> None:
            payload = MSGPACK.encode(message)
            self.said += [] if place else [message]
            session.receive(payload, self.now, session.charge(len(payload), self.now))

        while session.out and (place or self.up):
            for message in messages_in(session.take_out()):
                altered = message if place else self.alter(message)
                if isinstance(altered, Welcome):
                    relay.upstream.linked(say, self.now)
                elif altered:
                    relay.upstream.receive(altered, self.now)

    def trade(self, price: int, size: int = 5) -> None:
        """An order, and one that takes a part of it."""
        for side, lots in (("buy", size), ("sell", 1)):
            self.trader.ask(Place, NAMES[0], side, price, lots)
            self.run()

    def listener(self, place: int, *channels: str) -> "Listener":
        return Listener(self, place, *channels)


class Listener(Desk):
    """A client of one of the chain's nodes, who hears every batch."""

    def __init__(self, chain: Chain, place: int, *channels: str) -> None:
        self.chain = chain
        self.node = chain.nodes[place]
        self.node.now = chain.now    # type: ignore[attr-defined]
        super().__init__(self.node)    # type: ignore[arg-type]
        if channels:
            self.ask(Subscribe, list(channels), 0, 0)

    def hear(self) -> list[Any]:
        self.node.now = self.chain.now    # type: ignore[attr-defined]
        return super().hear()


def told(frame: Any) -> Any:
    """A frame without the time at which it was made."""
    return msgspec.structs.replace(frame, server_time=0) if hasattr(frame, "server_time") else frame


def test_the_frames_of_a_relay_are_the_markets() -> None:
    chain = Chain()
    listeners = [chain.listener(place, BOOK, TRADES, TICKER) for place in range(3)]
    for listener in listeners:
        listener.heard.clear()
    for price in range(100, 120):
        chain.trade(price)
        chain.run(10)
    chain.run(600)    # and a heartbeat
    frames = [[told(message) for message in listener.hear() if isinstance(message, Book | Trades) and not is_heartbeat(message)] for listener in listeners]
    assert frames[0] == frames[1] == frames[2]
    assert {frame.batches for frame in frames[0] if isinstance(frame, Book)} == {1}
    tickers = [told([message for message in listener.heard if isinstance(message, Ticker)][-1]) for listener in listeners]
    assert tickers[0] == tickers[1] == tickers[2]


def test_a_falsified_frame_is_never_shown_and_the_channel_asked_for_again() -> None:
    chain = Chain()
    listener = chain.listener(1, BOOK)
    chain.alter = lambda message: msgspec.structs.replace(message, bids=[*message.bids, 7, 7]) if isinstance(message, Book) and message.bids else message
    chain.trade(100)
    chain.run(10)
    assert not [message for message in listener.hear() if isinstance(message, Book) and message.bids]
    assert chain.relays[0].upstream.recoveries == 2
    assert not chain.relays[0].upstream.follows
    [asked] = [message for message in chain.said if isinstance(message, Subscribe)][1:]
    assert (asked.channels, asked.resume) == ([BOOK], {})
    chain.run(2000)
    assert chain.relays[0].upstream.recoveries <= 4, "a server that is always wrong is flooded"
    assert chain.relays[0].stale_since
    chain.alter = lambda message: message
    chain.run(2000)
    assert not chain.relays[0].stale_since
    [book] = [message for message in listener.hear() if isinstance(message, Book) and message.bids]
    assert (book.prev, book.bids) == (None, [100, 4])
    assert [message.since > 0 for message in listener.heard if isinstance(message, Stale)] == [True, False]


def test_a_lost_frame_is_made_good_by_a_patch() -> None:
    chain = Chain()
    listener = chain.listener(2, BOOK)
    chain.alter = lambda message: None if isinstance(message, Book) and message.prev is not None else message
    chain.trade(100)
    chain.run(10)
    chain.alter = lambda message: message
    chain.trade(101)
    chain.run(10)
    assert chain.relays[0].upstream.recoveries == 1
    books = [message for message in listener.hear() if isinstance(message, Book) and message.bids]
    assert all(book.prev is not None for book in books[1:])
    assert chain.relays[1].feed.public[BOOK].levels.depth() == chain.market.exchange.books[0].levels.depth()    # type: ignore[attr-defined]


def test_trades_that_the_upstream_no_longer_has_are_told_as_a_gap() -> None:
    chain = Chain(trades_kept=3, trades_in_snapshot=3)
    listener = chain.listener(2, TRADES)
    chain.trade(100)
    chain.run(10)
    chain.alter = lambda message: None if isinstance(message, Trades) else message
    for price in range(101, 110):
        chain.trade(price)
    chain.run(10)
    chain.alter = lambda message: message
    chain.trade(110)
    chain.run(1100)
    heard = [message for message in listener.hear() if isinstance(message, Gap) or (isinstance(message, Trades) and message.trades)]
    assert [type(message) for message in heard] == [Trades, Gap, Trades]
    assert [trade.price for trade in heard[2].trades] == [108, 109, 110]
    assert heard[1].since < heard[2].trades[0].seq


def test_an_epoch_that_ends_is_told_by_a_snapshot() -> None:
    chain = Chain()
    listeners = [chain.listener(2, BOOK, TRADES, TICKER), chain.listener(2)]
    listeners[1].ask(Subscribe, [BOOK], 5, 100)
    for price in range(100, 120):
        chain.trade(price)
        chain.run(200)
    for listener in listeners:
        listener.hear()
    chain.market = chain.nodes[0] = QuietMarket(now=START + 3600 * SECOND, self_trade="allow")
    chain.relays[0].upstream.unlinked()
    del chain.sessions[0]
    chain.run(200)
    chain.trader = Desk(chain.market).sign_in("alice")
    chain.trade(90)
    chain.run(200)
    for listener in listeners:
        frames = [message for message in listener.hear() if hasattr(message, "prev")]
        for name in map(str, listener.session.subscriptions):
            of_channel = [frame for frame in frames if frame.channel == name]
            epochs = [frame.epoch for frame in of_channel]
            assert epochs == sorted(epochs)
            assert of_channel[epochs.index(chain.market.point(0).epoch)].prev is None


def test_silence_is_asked_about_and_then_told() -> None:
    chain = Chain()
    listener = chain.listener(2)
    chain.run(3000)
    assert not [message for message in listener.hear() if isinstance(message, Stale)]
    chain.up = False
    silent_at = chain.now
    chain.run(1000)
    assert [message for message in chain.said if isinstance(message, Ping)]
    assert not [message for message in listener.hear() if isinstance(message, Stale)]
    chain.run(1200)
    [stale] = [message for message in listener.hear() if isinstance(message, Stale)]
    assert silent_at - 600 * MILLISECOND <= stale.since <= silent_at
    chain.up = True
    chain.run(100)
    assert [message.since for message in listener.hear() if isinstance(message, Stale)] == [0]


def test_what_the_upstream_says_of_itself_is_passed_on() -> None:
    chain = Chain()
    listener = chain.listener(2)
    for since in (77, 0):
        chain.market.tell_stale(since)
        chain.run(100)
        assert [message.since for message in listener.hear() if isinstance(message, Stale)] == [since]


def test_phases_are_those_of_the_tickers() -> None:
    chain = Chain()
    chain.market.command("set_phase", 0, 1)
    chain.run(600)
    listener = chain.listener(2)
    [answer] = [message for message in listener.ask(ListInstruments) if isinstance(message, Instruments)]
    assert answer.instruments == chain.market.instrument_terms()
    assert answer.instruments[0].phase == "halt"


def test_a_new_instrument_of_the_upstream_is_relayed_in_a_while_and_terms_follow() -> None:
    chain = Chain()
    listener = chain.listener(1)
    root = Desk(chain.market).sign_in("root", "admin")
    root.ask(ListInstrument, "BTC-ETH", "BTC", "ETH", "0.01", "0.0001")
    root.ask(SetFees, NAMES[0], 0, 1, 2)
    chain.run(1000)
    assert [message.code for message in listener.ask(Subscribe, ["orderbook:BTC-ETH"]) if isinstance(message, Error)] == [ErrorCode.UNKNOWN_INSTRUMENT]
    asked = [message for message in chain.said if isinstance(message, Subscribe)]
    chain.run(LIST_AGAIN // MILLISECOND + 500)
    assert [message for message in listener.ask(Subscribe, ["orderbook:BTC-ETH"]) if isinstance(message, Subscribed)]
    [answer] = [message for message in listener.ask(ListInstruments) if isinstance(message, Instruments)]
    assert answer.instruments == chain.market.instrument_terms()
    (again,) = [message for message in chain.said if isinstance(message, Subscribe)][len(asked) :]
    assert {name.partition(":")[2] for name in again.channels} == {"BTC-ETH"}, "what is followed goes on as it is"


def test_an_administrator_may_look_and_not_touch() -> None:
    chain = Chain()
    admin = chain.listener(1)
    admin.sign_in("root", "admin")
    for request in ((SetPhase, NAMES[0], "halt"), (SetLimits, "alice")):
        [error] = [message for message in admin.ask(*request) if isinstance(message, Error)]
        assert error.code == ErrorCode.PUBLIC_ONLY


def test_what_is_here_is_never_older_than_it_was() -> None:
    """A relay that comes to another upstream, which is behind, keeps what it has."""
    feed = RelayedFeed(CONFIG)
    feed.add("X")
    names = ("orderbook:X", "trades:X", "ticker:X")
    ticker = Ticker(names[2], 1, None, 10, 5, 1, *[0] * 11, "trading", 0, 0)
    frames = Book(names[0], 1, None, 10, [5, 5], [], digest_of([5, 5], []), 0, 0, 0), Trades(names[1], 1, None, 10, [Trade(10, 0, 5, 1, "buy")], 0), ticker
    for frame in frames:
        assert feed.apply(frame) is Verdict.SNAPSHOT
    for older in (Book(names[0], 1, None, 9, [], [], 0, 0, 0, 0), Trades(names[1], 1, None, 9, [], 0), msgspec.structs.replace(ticker, seq=9, last=4)):
        assert feed.apply(older) is Verdict.DROPPED
    now = Point(0, 0, 0, 0)
    for frame, name in zip(frames, names, strict=True):
        assert told(feed.public[name].snapshot(feed.public[name].point(now)).message) == told(frame)
    assert feed.apply(Book(names[0], 2, None, 3, [], [], 0, 0, 0, 0)) is Verdict.SNAPSHOT
    assert feed.public[names[0]].point(now)[:2] == (2, 3)


class Script:
    """An upstream of many instruments that says what a test wants."""

    def __init__(self, names: list[str]) -> None:
        self.now = 0
        self.relay = Relay(msgspec.structs.replace(CONFIG, upstream_stale_ms=2000), [], self.now)
        self.said: list[Any] = []
        self.gone: set[str] = set()
        self.relay.upstream.linked(self.said.append, self.now)
        terms = QuietMarket().instrument_terms()[0]
        self.relay.tick(self.now)
        self.terms = [msgspec.structs.replace(terms, name=name) for name in names]

    def answer(self) -> list[Any]:
        """Answer all that the relay has asked; what that was."""
        asked, self.said[:] = list(self.said), []
        for request in asked:
            if isinstance(request, ListInstruments):
                self.relay.upstream.receive(Instruments(request.id, self.terms), self.now)
            elif isinstance(request, Subscribe) and any(channel.partition(":")[2] in self.gone for channel in request.channels):
                self.relay.upstream.receive(Error(request.id, ErrorCode.UNKNOWN_INSTRUMENT, "gone"), self.now)
            elif isinstance(request, Subscribe):
                entries = [InForce(channel, "none", "current", 0, 0) for channel in request.channels]
                self.relay.upstream.receive(Subscribed(request.id, 1, 1, entries), self.now)
        self.relay.tick(self.now)
        return asked


def test_many_instruments_are_asked_for_in_parts() -> None:
    """No message is longer than the server takes, no more come than it takes, and what one connection may not have goes to others."""
    script = Script([f"I{i}" for i in range(100)])
    upstream = script.relay.upstream
    upstream.linked(script.said.append, script.now, Allowance(Welcome("", 1, 1, 0, 500, None, 200, 2000, 100, 20), script.now))
    script.relay.tick(script.now)
    script.answer()
    parts = []
    for _ in range(200):
        assert len(script.said) <= 1, "more than one request is under way"
        assert all(len(MSGPACK.encode(request)) <= 2000 for request in script.said)
        parts += [(script.now, request.channels) for request in script.answer() if isinstance(request, Subscribe)]
        script.now += 100 * MILLISECOND
        script.relay.tick(script.now)
    asked = parts
    assert len({channel for _, part in asked for channel in part}) == 200
    assert len(asked) > 3
    for (then, part), (now, _) in pairwise(asked):
        assert (now - then) / 10**9 * 100 >= len(part) - 20, "the debt of a request is not paid yet"
    assert upstream.follows
    assert len(script.relay.upstreams) == 2
    assert not script.relay.upstreams.follows


def test_an_instrument_that_is_gone_does_not_keep_the_others_waiting() -> None:
    script = Script([f"I{i}" for i in range(40)])
    script.gone.add("I7")
    for _ in range(60):
        script.answer()
        script.now += 100 * MILLISECOND
    upstream = script.relay.upstream
    assert not upstream.follows
    assert {channel.partition(":")[2] for channel in (*upstream.to_ask, *upstream.asked)} == {"I7"}
