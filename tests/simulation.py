"""A market and its clients in one thread: no socket, no sleep, a clock that the seed drives.

Each client is slow and obvious: its books are dicts, and it obeys the five lines of the protocol. After every frame its book
is compared with the engine's at that sequence, and after every step the promises of the protocol are checked.
"""

import random
from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from operator import attrgetter
from typing import Any

import jwt
import msgspec

from engine import Commands, EventKind, Order, OrderType, Phase, Reason
from stream.config import Config, InstrumentConfig
from stream.feed import ORDER_KINDS
from stream.frames import Balances, Book, Gap, Orders, OrderUpdate, Ticker, Trades
from stream.keys import key_of
from stream.market import Market
from stream.messages import Cancel, Error, ListInstruments, Login, Pacing, Ping, SetPhase, Subscribe, Subscribed, Unsubscribe, Welcome
from stream.wire import MSGPACK
from tests.simulated_orders import random_request

SECRET = "a secret that is long enough to be one"
START = 1_700_000_000 * 10**9
MILLISECOND = 10**6
NAMES = ("BTC-USD", "ETH-USD")
FIELDS_SHOWN = attrgetter("order", "client_id", "price", "remaining", "filled", "value", "displayed", "expires")

CONFIG = Config(
    assets={"BTC": 8, "ETH": 8, "USD": 6},
    instruments=tuple(
        InstrumentConfig(name, name[:3], "USD", Decimal("0.01"), Decimal("0.0001"), maker_fee=100, taker_fee=300)
        for name in NAMES
    ),
    deposit={"BTC": "10", "ETH": "100", "USD": "100000"},
    tombstones_max=40,
    trades_kept=60,
    account_events_kept=200,
    heartbeat_ms=500,
    pending_bytes_max=1 << 18,
    messages_burst=1 << 20,
    errors_max=1 << 20,
    audit_interval_ms=0,
)


def token(subject: str, now: int, scope: str = "account trade", **changes: Any) -> str:
    """A token for a subject."""
    claims = {"sub": subject, "iss": "deltabook", "aud": "deltabook", "iat": now // 10**9, "exp": now // 10**9 + 10_000, "scope": scope}
    return jwt.encode(claims | changes, SECRET, algorithm="HS256")


def messages_in(data: bytes) -> list[Any]:
    """The messages in a run of WebSocket frames that a server wrote."""
    messages, at = [], 0
    while at < len(data):
        size, head = data[at + 1], 2
        if size >= 126:
            head = 4 if size == 126 else 10
            size = int.from_bytes(data[at + 2 : at + head])
        messages.append(MSGPACK.decode_answer(data[at + head : at + head + size]))
        at += head + size
    return messages


def digest_of(bids: dict[int, int], asks: dict[int, int]) -> int:
    """The digest as the reference defines it, in plain integers."""
    mask, total = (1 << 64) - 1, 0
    for side, levels in enumerate((bids, asks)):
        for price, size in levels.items():
            z = ((price * 2 + side) * 0x9E3779B97F4A7C15 + size * 0xC2B2AE3D27D4EB4F) & mask
            z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & mask
            z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
            total += z ^ z >> 31
    return total & mask


class RecordingMarket(Market):
    """A market that remembers all that ever happened."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.trades: dict[int, list[tuple[int, int, int]]] = {}
        self.own: dict[tuple[str, int], list[int]] = {}
        self.seen: set[tuple[EventKind, Reason]] = set()
        self.books: dict[int, list[tuple[dict[int, int], dict[int, int]]]] = {0: [({}, {}) for _ in NAMES]}

    def _execute(self, commands: Commands, now: int) -> None:
        super()._execute(commands, now)
        for event in self.exchange.events:
            self.seen.add((EventKind(event.kind), Reason(event.reason)))
            if event.kind == EventKind.TRADE:
                self.trades.setdefault(event.instrument, []).append((event.seq, event.price, event.size))
            elif event.kind == EventKind.BALANCE:
                self.own.setdefault(("balances", event.account), []).append(event.seq)
            elif event.kind in ORDER_KINDS:
                self.own.setdefault(("orders", event.account), []).append(event.seq)
        self.books[self.exchange.seq] = [
            tuple(dict(zip(side[::2], side[1::2], strict=True)) for side in book.levels.depth())    # type: ignore[misc]
            for book in self.exchange.books
        ]


def shown(order: Order | OrderUpdate) -> tuple[object, ...]:
    """What a client can know of an open order. A trigger that trails moves without being told."""
    type = order.type if isinstance(order, OrderUpdate) else OrderType(order.type).name.lower()
    return *FIELDS_SHOWN(order), type, order.stop if type in ("stop", "stop_limit") else 0


def is_heartbeat(frame: Any) -> bool:
    """Whether a frame tells of no change."""
    return not any(getattr(frame, part, None) for part in ("bids", "asks", "trades", "orders", "balances"))


class View:
    """What a client has of one channel: the five lines of the protocol."""

    def __init__(self, depth: int = 0) -> None:
        self.depth = depth
        self.epoch = self.seq = -1
        self.told: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.open: dict[int, OrderUpdate] = {}
        self.frames = 0
        self.heard_at = 0

    def takes(self, frame: Any) -> None:
        """Follow a frame; a gap is an error here, and so is a frame that is not needed, unless it is a heartbeat."""
        if frame.prev is None:
            self.told = ({}, {})
            self.open = {}
        else:
            assert frame.epoch == self.epoch, "another epoch without a snapshot"
            assert frame.prev <= self.seq, f"a gap on {frame.channel}: {frame.prev} after {self.seq}"
            assert frame.seq > self.seq or is_heartbeat(frame), "the client has this frame already"
        self.epoch, self.seq = frame.epoch, frame.seq
        self.frames += 1


class Client:
    """One simulated client and its socket: a kernel that holds so many bytes, and a reader that may stop."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.subject = f"user{number}" if number % 2 else ""
        self.views: dict[str, View] = {}
        self.capacity = world.random.choice((2_000, 20_000, 200_000))
        self.id = 0
        self.answered: set[int] = set()
        self.asked: set[int] = set()
        self.connect()

    def connect(self) -> None:
        """Open a connection, sign in, and subscribe again to what was subscribed, from where it was."""
        self.session = self.world.market.connect(MSGPACK, self.world.now)
        self.session.begin(self.world.now, None)
        self.kernel: deque[bytes] = deque()
        self.kernel_bytes = 0
        self.reading = True
        self.asked.clear()
        self.answered.clear()
        if self.subject:
            self.send(Login(self.next_id(), token(self.subject, self.world.now)))
        self.pending_resume: dict[int, dict[str, View]] = {}
        groups: dict[int, dict[str, View]] = {}
        for channel, view in self.views.items():
            groups.setdefault(view.depth, {})[channel] = view
        for depth, views in groups.items():
            resume = {channel: (view.epoch, view.seq) for channel, view in views.items() if view.seq >= 0}
            self.subscribe(list(views), depth, resume)

    def vanish(self) -> None:
        """Lose the connection with all that was under way."""
        self.world.market.disconnect(self.session, self.world.now)

    def next_id(self) -> int:
        self.id += 1
        self.asked.add(self.id)
        return self.id

    def send(self, message: Any) -> None:
        payload = msgspec.msgpack.encode(message)
        self.session.charge(len(payload), self.world.now)
        self.session.receive(payload, self.world.now)

    def subscribe(self, channels: list[str], depth: int, resume: dict[str, tuple[int, int]]) -> None:
        interval = self.world.random.choice((None, 0, 10, 100, 250))
        for channel in channels:
            if channel not in resume:
                self.views[channel] = View(depth)
        self.send(Subscribe(self.next_id(), channels, depth, interval, resume))

    # The socket

    def write(self) -> None:
        """What the server does after a tick: one write, if the socket takes it."""
        if self.session.writable and self.session.out:
            data = self.session.take_out()
            self.kernel.append(data)
            self.kernel_bytes += len(data)
            if self.kernel_bytes > self.capacity:
                self.session.pause_writing(self.world.now)

    def read(self) -> None:
        """What the client does when it reads: take all, and let the server write again."""
        if not self.reading:
            return
        while self.kernel:
            data = self.kernel.popleft()
            self.kernel_bytes -= len(data)
            for message in messages_in(data):
                self.take(message)
        if not self.session.writable:
            self.session.resume_writing(self.world.now)
            for view in self.views.values():
                view.heard_at = self.world.now

    # The protocol

    def take(self, message: Any) -> None:
        match message:
            case Book():
                self.take_book(message)
            case Trades() | Orders() | Balances():
                self.take_log(message)
            case Ticker():
                self.views[message.channel].takes(message)
            case Gap():
                assert message.since >= self.views[message.channel].seq
            case Subscribed():
                self.answer(message.id)
                for entry in message.channels:
                    assert entry.recovered != "none" or self.views[entry.channel].seq >= 0
                    self.views[entry.channel].heard_at = self.world.now
            case Error(id=0) | Welcome() | Pacing():
                pass
            case _:
                self.answer(message.id)
        channel = getattr(message, "channel", None)
        if channel in self.views:
            self.views[channel].heard_at = self.world.now

    def answer(self, id: int) -> None:
        assert id in self.asked, "an answer to something that was not asked"
        assert id not in self.answered, "a second answer"
        self.answered.add(id)

    def take_book(self, frame: Book) -> None:
        view = self.views[frame.channel]
        view.takes(frame)
        for told, levels in zip(view.told, (frame.bids, frame.asks), strict=True):
            for price, size in zip(levels[::2], levels[1::2], strict=True):
                if frame.batches == 1 and frame.prev is not None:
                    assert told.get(price, 0) != size, "a change of one batch that changes nothing"
                if size:
                    told[price] = size
                else:
                    told.pop(price, None)
        bids, asks = view.told
        assert not bids or not asks or max(bids) < min(asks), "a crossed book"
        assert digest_of(bids, asks) == frame.digest, "the digest differs"
        expected = self.world.market.books[frame.seq][NAMES.index(frame.channel.partition(":")[2])]
        if view.depth:
            expected = (
                {price: expected[0][price] for price in sorted(expected[0], reverse=True)[: view.depth]},
                {price: expected[1][price] for price in sorted(expected[1])[: view.depth]},
            )
        assert view.told == expected, "the book differs from the engine's"

    def take_log(self, frame: Trades | Orders | Balances) -> None:
        view = self.views[frame.channel]
        view.takes(frame)
        if isinstance(frame, Orders):
            for update in frame.orders:
                if update.remaining:
                    view.open[update.order] = update
                else:
                    view.open.pop(update.order, None)
        if frame.prev is None:
            return
        if isinstance(frame, Trades):
            all_trades = self.world.market.trades.get(NAMES.index(frame.channel.partition(":")[2]), [])
            expected = [trade for trade in all_trades if frame.prev < trade[0] <= frame.seq]
            assert [(trade.seq, trade.price, trade.size) for trade in frame.trades] == expected
        else:
            seqs = [seq for seq in self.world.market.own.get((frame.channel, self.session.account), []) if frame.prev < seq <= frame.seq]
            if isinstance(frame, Orders):
                assert [update.seq for update in frame.orders] == seqs
            else:
                assert len(frame.balances) == len(seqs)


class Liar(Client):
    """One who lies about where he is and who he is, babbles, floods, and believes nothing that he is told."""

    honest = False

    def take(self, message: Any) -> None:
        """So what."""

    def misbehave(self) -> None:
        """One lie, or many at once."""
        random, now = self.world.random, self.world.now
        at = self.world.market.point(now)
        channels = [f"orderbook:{name}" for name in NAMES]
        match random.randrange(8):
            case 0:
                where = [(random.choice((at.epoch, at.epoch - 1, 0)), random.choice((0, at.seq, at.seq + 1000, 1 << 62))) for _ in channels]
                self.send(Subscribe(self.next_id(), channels, random.choice((0, 5)), 0, dict(zip(channels, where, strict=True))))
            case 1:
                forged = random.choice((
                    token("user1", now)[:-4] + "AAAA", token("user1", now - 10**15), token("user1", now, aud="another"), token("", now), "x.y.z", "",
                ))
                self.send(Login(self.next_id(), forged))
            case 2:
                for _ in range(random.choice((10, 1000))):
                    self.send(Ping(self.next_id()))
            case 3:
                payload = random.randbytes(random.randrange(200))
                self.session.charge(len(payload), now)
                self.session.receive(payload, now)
            case 4:
                self.send(Cancel(self.next_id(), random.choice(list(self.world.orders()) or [1])))
            case 5:
                self.send(Subscribe(self.next_id(), [*channels, "orders", "balances", "trades:NO-SUCH"]))
            case 6:
                self.send(SetPhase(self.next_id(), NAMES[0], "halt"))
            case 7:
                for _ in range(20):
                    self.send(Subscribe(self.next_id(), channels, 0, 0))


class World:
    """Everything, from one seed. Settings differ from world to world: what fits into a write, whether the server checks itself."""

    def __init__(self, seed: int, clients: int = 12) -> None:
        self.random = random.Random(seed)
        self.now = START
        config = msgspec.structs.replace(
            CONFIG,
            write_bytes_max=self.random.choice((3_000, 1 << 18)), audit_interval_ms=self.random.choice((0, 100)), trade_flush_ms=self.random.choice((0, 10)),
            loaded_intervals_ms=(50, 200), load_patience_ms=100, messages_burst=400, messages_per_s=1000, errors_max=20,
        )
        self.market = RecordingMarket(config, [key_of("HS256", SECRET)], [], self.now)
        self.market.tick(self.now)
        self.clients = [Client(self, number) for number in range(clients)]
        self.liars = [Liar(self, clients + number) for number in range(clients // 6)]
        self.prices = [50_000, 30_000]
        self.lag = 0

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
        commands = Commands()
        for book in self.market.exchange.books:
            if self.random.random() < (0.01 if book.phase == Phase.TRADING else 0.15):
                phase = self.random.choice((Phase.AUCTION, Phase.HALT)) if book.phase == Phase.TRADING else Phase.TRADING
                commands.set_phase(book.index, phase, self.now)
        self.market._execute(commands, self.now)

    def trouble(self, client: Client) -> None:
        """Something that clients do."""
        kind = self.random.randrange(8)
        if kind == 0:
            client.reading = not client.reading
        elif kind == 1:
            client.vanish()
            client.connect()
        elif kind == 2 and client.views:
            channels = self.random.sample(sorted(client.views), 1)
            client.send(Unsubscribe(client.next_id(), channels))
            self.drop(client, channels)
        elif kind == 3:
            client.send(["nonsense", self.random.random()])
        elif kind == 4:
            client.send(ListInstruments(client.next_id()))
        else:
            public = [f"{kind}:{name}" for kind in ("orderbook", "trades", "ticker") for name in NAMES]
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
        self.market.exchange.check()
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
                if kind == "orders":
                    orders = self.market.exchange.orders(client.session.account)
                    assert list(map(shown, view.open.values())) == list(map(shown, orders))


def simulate(seed: int, steps: int = 300, clients: int = 12) -> World:
    """A whole run; an assertion fails where a promise is broken."""
    world = World(seed, clients)
    for _ in range(steps):
        world.step()
    world.recover()
    return world
