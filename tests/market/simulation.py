"""A market and its clients in one thread: no socket, no sleep, a clock that the seed drives.

Each client is slow and obvious: its books are dicts, and it obeys the five rules of the protocol. After every frame its book
is compared with the engine's at that sequence, and after every step the promises of the protocol are checked.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from engine import Event, EventKind, Order, OrderType, Phase, Reason
from stream.access.keys import key_of
from stream.commands.directory import Entry
from stream.commands.results import ORDER_KINDS
from stream.journal.format import Buffer, Kind, Record
from stream.journal.recovery import replay
from stream.journal.snapshots import State
from stream.market.market import Market
from stream.wire.frames import OrderUpdate
from stream.wire.messages import ListInstruments, Unsubscribe
from tests.journal.fake_disk import FakeDisk
from tests.journal.journals import FOLDER
from tests.market.journaled import SteppedJournal, after_a_power_cut, start
from tests.market.simulated_clients import Client, Liar
from tests.market.simulated_orders import random_request
from tests.setting import CONFIG, MILLISECOND, NAMES, SECRET, START, messages_in

FIELDS_SHOWN = attrgetter("order", "client_id", "price", "remaining", "filled", "value", "displayed", "expires")


class RecordingMarket(Market):
    """A market that remembers all that ever happened."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.trades: dict[int, list[tuple[int, int, int]]] = {}
        self.own: dict[tuple[str, int], list[int]] = {}
        self.seen: set[tuple[EventKind, Reason]] = set()
        self.books: dict[int, list[tuple[dict[int, int], dict[int, int]]]] = {}
        self.queues: dict[int, list[list[tuple[int, int, int, int]]]] = {}    # number, side, price and size of each order, by priority
        self.hashes: dict[int, int] = {}
        self._record_state()

    def _applied(self, time: int, commands: Buffer, entries: Sequence[Entry]) -> None:
        super()._applied(time, commands, entries)
        self.record(self.exchange.events)
        self._record_state()

    def record(self, events: Iterable[Event]) -> None:
        """Remember what happened."""
        for event in events:
            self.seen.add((EventKind(event.kind), Reason(event.reason)))
            if event.kind == EventKind.TRADE:
                self.trades.setdefault(event.instrument, []).append((event.seq, event.price, event.size))
            elif event.kind == EventKind.BALANCE:
                self.own.setdefault(("balances", event.account), []).append(event.seq)
            elif event.kind in ORDER_KINDS:
                self.own.setdefault(("orders", event.account), []).append(event.seq)

    def _record_state(self) -> None:
        self.hashes[self.exchange.seq] = self.exchange.state_hash()
        self.books[self.exchange.seq] = [
            tuple(dict(zip(side[::2], side[1::2], strict=True)) for side in book.levels.depth())    # type: ignore[misc]
            for book in self.exchange.books
        ]
        number = self.feed.public_orders.number
        self.queues[self.exchange.seq] = [
            [
                (number(order.order), side, price, order.displayed)
                for side, levels in enumerate(book.levels.depth()) for price in levels[::2] for order in book.queue(side, price)
            ]
            for book in self.exchange.books
        ]


def shown(order: Order | OrderUpdate) -> tuple[object, ...]:
    """What a client can know of an open order. A trigger that trails moves without being told."""
    type = order.type if isinstance(order, OrderUpdate) else OrderType(order.type).name.lower()
    return *FIELDS_SHOWN(order), type, order.stop if type in ("stop", "stop_limit") else 0


class World:
    """Everything, from one seed. Settings differ from world to world: what fits into a write, whether the server checks itself."""

    def __init__(self, seed: int, clients: int = 12, crashing: bool = False) -> None:
        self.random = random.Random(seed)
        self.now = START
        self.config = msgspec.structs.replace(
            CONFIG,
            write_bytes_max=self.random.choice((3_000, 1 << 18)), audit_interval_ms=self.random.choice((0, 100)), trade_flush_ms=self.random.choice((0, 10)),
            market_by_order_always=self.random.choice((False, True)),
            loaded_intervals_ms=(50, 200), load_patience_ms=100, messages_burst=400, messages_per_s=1000, errors_max=20,
        )
        self.disk = FakeDisk(random.Random(seed)) if crashing else None
        self.journal: SteppedJournal | None = None
        self.crashes = 0
        self.acknowledged = 0    # the latest sequence that anybody was told of
        self.market = self.begin()
        self.market.tick(self.now)
        self.clients = [Client(self, number) for number in range(clients)]
        self.liars = [Liar(self, clients + number) for number in range(clients // 6)]
        self.prices = [50_000, 30_000]
        self.lag = 0

    def begin(self) -> RecordingMarket:
        """A market with what is on the disk, if there is one."""
        history = None
        if self.disk:
            history, self.journal = start(self.disk, self.config, self.now)
        return RecordingMarket(self.config, [key_of("HS256", SECRET)], [], self.now, history, self.journal)

    def crash(self) -> None:
        """The power goes and comes back: nothing that anybody was told of is lost, and whoever returns goes on."""
        assert self.disk
        before = self.market
        self.disk = after_a_power_cut(self.disk)
        more: list[Event] = []    # what was on disk but never ran

        def visit(state: State, record: Record | None) -> None:
            if record and record.kind == Kind.COMMANDS:
                more.extend(event for event in state.exchange.events if event.seq > before.exchange.seq)

        assert replay(self.disk, FOLDER, None, visit)
        self.market = self.begin()
        seq = self.market.exchange.seq
        assert seq >= self.acknowledged, "what was told of is lost"
        assert seq >= before.exchange.seq, "the engine ran what was not on disk"
        assert before.hashes.get(seq, self.market.exchange.state_hash()) == self.market.exchange.state_hash(), "another state came back"
        self.market.trades, self.market.own, self.market.seen = before.trades, before.own, before.seen
        self.market.books, self.market.hashes = before.books | self.market.books, before.hashes | self.market.hashes
        self.market.queues = before.queues | self.market.queues
        self.market.record(more)
        self.crashes += 1
        for client in (*self.clients, *self.liars):
            client.connect()

    def history(self, epoch: int) -> RecordingMarket:
        """What really happened."""
        return self.market

    def orders(self) -> Iterator[int]:
        """Every open order's id."""
        for account in range(self.market.exchange.accounts):
            for order in self.market.exchange.orders(account):
                yield order.order

    def step(self) -> None:
        """A little time, some orders, some trouble; then a tick, and what every client reads of it."""
        self.now += self.random.choice((100_000, MILLISECOND, 10 * MILLISECOND, 120 * MILLISECOND))
        for _ in range(self.random.choice((0, 1, 1, 3, 20))):
            self.trade(self.random.choice(self.clients))
        self.administer()
        for client in self.clients:
            if self.random.random() < 0.05:
                self.trouble(client)
        for liar in self.liars:
            if self.random.random() < 0.1:
                liar.misbehave()
        if self.random.random() < 0.02:
            self.lag = self.random.choice((0, 0, 200 * MILLISECOND))
        self.market.observe_lag(self.lag, self.now)
        if self.disk and self.random.random() < 0.02:
            self.crash()
        if self.journal and self.random.random() < 0.7:
            self.journal.sync()
        self.settle()

    def settle(self) -> None:
        """A tick, its writes and reads, and what must hold afterwards."""
        queued = {client: len(client.session.out) for client in self.clients if not client.session.writable}
        self.market.tick(self.now)
        for client, before in queued.items():
            for message in messages_in(b"".join(client.session.out[before:])):
                assert not hasattr(message, "prev"), "a frame was queued for a client that does not read"
        for client in (*self.clients, *self.liars):
            client.write()
            client.read()
            client.write()
        self.check()

    def trade(self, client: Client) -> None:
        """One random request to the engine."""
        if not client.subject or client.session.closed:
            return
        which = self.random.randrange(2)
        self.prices[which] = max(100, self.prices[which] + self.random.randrange(-3, 4))
        orders = self.market.exchange.orders(client.session.account) if client.session.account >= 0 else []
        client.send(random_request(self.random, client.next_id(), NAMES[which], self.prices[which], orders, self.now))

    def administer(self) -> None:
        """Now and then, what only the exchange's own people do: halt an instrument, collect for an auction, and soon trade again."""
        commands = self.market.sequencer.ahead
        for book in self.market.exchange.books:
            if self.random.random() < (0.01 if book.phase == Phase.TRADING else 0.15):
                phase = self.random.choice((Phase.AUCTION, Phase.HALT)) if book.phase == Phase.TRADING else Phase.TRADING
                commands.set_phase(book.index, phase, self.now)
        self.market.sequencer.advance(self.now)

    def trouble(self, client: Client) -> None:
        """Something that clients do."""
        kind = self.random.randrange(8)
        if kind == 0:
            client.reading = not client.reading
        elif kind == 1:
            client.vanish()
            client.connect()
        elif kind == 2 and client.views and client.asked == client.answered:
            channels = self.random.sample(sorted(client.views), 1)
            client.send(Unsubscribe(client.next_id(), channels))
            self.drop(client, channels)
        elif kind == 3:
            client.send(["nonsense", self.random.random()])
        elif kind == 4:
            client.send(ListInstruments(client.next_id()))
        else:
            public = [f"{kind}:{name}" for kind in ("orderbook", "market_by_order", "trades", "ticker") for name in NAMES]
            own = ["orders", "balances"] if client.subject else []
            channels = [name for name in self.random.sample(public + own, self.random.randrange(1, 4)) if name not in client.views]
            if channels:
                client.subscribe(channels, self.random.choice((0, 0, 1, 5, 20)), {})

    def drop(self, client: Client, channels: list[str]) -> None:
        """Forget channels once the frames that are under way have come."""
        if client.reading:
            client.write()
            client.read()
            client.write()
            for channel in channels:
                client.views.pop(channel, None)
        else:
            client.vanish()
            for channel in channels:
                client.views.pop(channel, None)
            client.connect()

    def check(self) -> None:
        """What holds after every step."""
        assert not self.market.audit.failures, "the server sent a wrong book"
        for liar in self.liars:
            assert liar.session.out_bytes < CONFIG.pending_bytes_max + (1 << 17), "more is kept for a client than the limit says"
            if liar.session.closed:
                liar.vanish()
                liar.connect()
        for client in self.clients:
            if client.session.closed:
                assert not client.reading, f"closed: {client.session.closed}"
                client.vanish()
                client.connect()
                continue
            heartbeat = (CONFIG.heartbeat_ms + 600) * MILLISECOND
            if client.reading and client.session.writable:
                for channel in client.session.subscriptions:
                    view = client.views[str(channel)]
                    assert view.frames == 0 or self.now - view.heard_at < heartbeat, f"{channel} is silent"

    def recover(self) -> None:
        """Everybody reads again; in the end every book is the engine's."""
        for client in self.clients:
            client.reading = True
            for view in client.views.values():
                view.heard_at = self.now
        for _ in range(8):
            self.now += 300 * MILLISECOND
            self.settle()
            if self.journal:
                self.journal.sync()
                self.settle()
        self.market.exchange.check()
        assert not self.market.traffic.unanswered, "a request counts as under way for ever"
        assert not 0 < self.market.exchange.next_expiry <= self.now, "an order outlives its time"
        books = self.market.books[self.market.exchange.seq]
        for client in self.clients:
            assert client.asked == client.answered, "a request without an answer"
            assert set(map(str, client.session.subscriptions)) == set(client.views)
            for channel, view in client.views.items():
                kind, _, name = channel.partition(":")
                assert view.frames, f"{channel} never came"
                if kind == "orderbook" and not view.depth:
                    assert view.told == books[NAMES.index(name)]
                if kind == "market_by_order":
                    assert view.listed() == self.market.queues[self.market.exchange.seq][NAMES.index(name)]
                if kind == "orders":
                    orders = self.market.exchange.orders(client.session.account)
                    assert list(map(shown, view.open.values())) == list(map(shown, orders))


def simulate(seed: int, steps: int = 300, clients: int = 12, crashing: bool = False) -> World:
    """A whole run; an assertion fails where a promise is broken."""
    world = World(seed, clients, crashing)
    for _ in range(steps):
        world.step()
    world.recover()
    return world
