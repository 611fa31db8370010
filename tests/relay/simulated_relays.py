"""A market, relays of it and of each other, and clients that roam over all of them: no socket, no sleep, a clock that the seed drives."""

from typing import Any

import msgspec

from stream.access.keys import key_of
from stream.feed.public_channels import BookChannel, TradesChannel
from stream.relay.relay import Relay
from stream.venue.venue import Venue
from stream.wire.frames import Book, MarketByOrder, OrderAdded, OrderBatch
from stream.wire.messages import Welcome
from tests.market.simulated_clients import Client, Liar
from tests.market.simulation import RecordingMarket, World
from tests.setting import CONFIG, MILLISECOND, NAMES, SECRET

STALE_MS = 2000


def falsified(frame: Book | MarketByOrder) -> Book | MarketByOrder:
    """A frame that says something else."""
    if isinstance(frame, Book):
        return msgspec.structs.replace(frame, bids=[*frame.bids, 1, 77])
    return msgspec.structs.replace(frame, batches=[*frame.batches, OrderBatch(frame.seq, 0, [OrderAdded(1, "buy", 1, 77)])])


class Roaming(Client):
    """A client that connects to any of the servers."""

    world: "RelayWorld"

    def home(self) -> Venue:
        return self.world.random.choice([node for node in self.world.nodes if node.begun])


class RoamingLiar(Roaming, Liar):
    """A liar who does so too."""


class Link(Client):
    """A relay's connection to the server that it relays, which may be lost, stall, and now and then lose or falsify a frame."""

    world: "RelayWorld"

    def __init__(self, world: "RelayWorld", relay: Relay, *upstreams: int) -> None:
        self.relay = relay
        self.upstreams = upstreams    # the places among the nodes of those that it may connect to
        self.up = False
        super().__init__(world, 0)

    def home(self) -> Venue:
        return self.upstream

    def connect(self) -> None:
        """Connect, if the other server takes anybody."""
        self.upstream = self.world.nodes[self.world.random.choice(self.upstreams)]
        self.up = self.upstream.begun
        if self.up:
            super().connect()

    def vanish(self) -> None:
        """Lose the connection with all that was under way."""
        if self.up:
            super().vanish()
            self.relay.upstream.unlinked()
            self.up = False

    def take(self, message: Any) -> None:
        """Hand a message to the relay."""
        random, now = self.world.random, self.world.now
        if isinstance(message, Welcome):
            self.relay.upstream.linked(self.send, now)
        elif isinstance(message, Book | MarketByOrder) and message.prev is not None and random.random() < self.world.faults:
            if random.random() < 0.5:
                self.relay.upstream.receive(falsified(message), now)
        else:
            self.relay.upstream.receive(message, now)

    def run(self) -> None:
        """What is under way arrives, and what the relay says to it."""
        for _ in range(3):
            if self.up:
                self.write()
                self.read()


class RelayWorld(World):
    """The market is the first of the `nodes`; then come a relay of it, a relay of that one, and a relay of now the one and now the other.

    In some worlds the market has a journal and crashes, in the others it now and then loses its history.
    """

    def __init__(self, seed: int, watchers: int = 10) -> None:
        super().__init__(seed, clients=6, crashing=seed % 2 == 1)
        config = msgspec.structs.replace(self.config, trades_kept=15, upstream_stale_ms=STALE_MS, upstream_interval_ms=self.random.choice((0, 10)))
        relays = [Relay(config, [key_of("HS256", SECRET)], self.now) for _ in range(3)]
        self.relays = relays
        self.nodes: list[Venue] = [self.market, *relays]
        self.histories = {self.market.point(0).epoch: self.market}
        self.faults = self.random.choice((0.0, 0.01))
        self.stale = 0    # how often a relay was found to be
        self.links = [Link(self, relays[0], 0), Link(self, relays[1], 1), Link(self, relays[2], 0, 1)]
        self.watchers = [Roaming(self, 2 * number) for number in range(watchers)]
        self.liars.append(RoamingLiar(self, 1))

    def history(self, epoch: int) -> RecordingMarket:
        return self.histories[epoch]

    def step(self) -> None:
        """What happens in any world, and to links and watchers."""
        for link in self.links:
            if not link.up:
                if self.random.random() < 0.1:
                    link.connect()
            elif self.random.random() < 0.02:
                link.vanish()
            elif self.random.random() < 0.03:
                link.reading = not link.reading
        for watcher in self.watchers:
            if self.random.random() < 0.1:
                self.trouble(watcher)
        if not self.disk and self.random.random() < 0.004:
            self.begin_anew()
        super().step()

    def begin_anew(self) -> None:
        """The market loses its history and begins another epoch."""
        self.now += MILLISECOND
        self.market = self.begin()
        self.market.tick(self.now)
        for client in (*self.clients, *self.liars):
            client.connect()
        self.replaced()

    def crash(self) -> None:
        super().crash()
        self.replaced()

    def replaced(self) -> None:
        """There is another market in the place of the one that crashed."""
        old, self.nodes[0] = self.nodes[0], self.market
        self.histories[self.market.point(0).epoch] = self.market
        for watcher in self.watchers:
            if watcher.node is old:
                watcher.connect()
        for link in self.links:
            if link.up and link.node is old:
                link.vanish()

    def settle(self) -> None:
        """A tick of every node in turn, and what their clients read of it."""
        super().settle()
        for link in self.links:
            link.run()
            link.relay.tick(self.now)
        for watcher in self.watchers:
            watcher.write()
            watcher.read()
            watcher.write()
        self.check_relays()

    def check_relays(self) -> None:
        """Relays hold only what was; who listens to one that has fallen behind knows it; and nobody is left in silence."""
        for link in self.links:
            if link.up and link.session.closed:
                link.vanish()
        for relay in self.relays:
            assert not relay.audit.failures, "a relay sent a wrong book"
            self.stale += relay.begun and relay.stale_since > 0
            assert relay.stale_since or self.now - relay.upstream.complete_at < STALE_MS * MILLISECOND
        for watcher in self.watchers:
            if watcher.session.closed:
                assert not watcher.reading, f"closed: {watcher.session.closed}"
                watcher.vanish()
                watcher.connect()
            elif watcher.reading and watcher.session.writable:
                assert watcher.kernel or watcher.stale_since == watcher.node.stale_since
                for subscription in watcher.session.subscriptions.values():
                    conflation = subscription.conflation
                    view = watcher.views[conflation.channel.name]
                    if subscription.in_force.reason == "ahead" and view.seq >= conflation.sent:    # it hears nothing until the relay is where it is
                        view.heard_at = self.now
                    assert self.now - view.heard_at < (CONFIG.heartbeat_ms + 600) * MILLISECOND, f"{conflation.channel.name} is silent"

    def recover(self) -> None:
        """Everybody reads again, no link is lost; in the end every book is the engine's, on every node."""
        self.faults = 0.0
        for client in (*self.links, *self.watchers):
            client.reading = True
            for view in client.views.values():
                view.heard_at = self.now
        for _ in range(20):
            for link in self.links:
                if not link.up:
                    link.connect()
            self.now += 300 * MILLISECOND
            self.settle()
        super().recover()
        books = self.market.books[self.market.exchange.seq]
        for relay in self.relays:
            assert relay.begun
            assert not relay.stale_since
            for index, book in enumerate(self.market.exchange.books):
                channel = relay.feed.public[f"orderbook:{NAMES[index]}"]
                assert isinstance(channel, BookChannel)
                channel.levels.check()
                assert channel.levels.depth() == book.levels.depth()
                trades = relay.feed.public[f"trades:{NAMES[index]}"]
                assert isinstance(trades, TradesChannel)
                told = [(trade.seq, trade.price, trade.size) for _, trade in trades.dump()[1]]
                assert told == self.market.trades.get(index, [])[-len(told) :] or not told
        for watcher in self.watchers:
            assert watcher.asked == watcher.answered, "a request without an answer"
            for channel, view in watcher.views.items():
                kind, _, name = channel.partition(":")
                assert view.frames, f"{channel} never came"
                assert view.epoch == self.market.point(0).epoch
                if kind == "orderbook" and not view.depth:
                    assert view.told == books[NAMES.index(name)]
                if kind == "market_by_order":
                    assert view.listed() == self.market.queues[self.market.exchange.seq][NAMES.index(name)]


def simulate(seed: int, steps: int = 300) -> RelayWorld:
    """A whole run; an assertion fails where a promise is broken."""
    world = RelayWorld(seed)
    for _ in range(steps):
        world.step()
    world.recover()
    return world
