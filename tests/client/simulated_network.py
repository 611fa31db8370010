"""Real clients of a market in one thread, over a network that a seed makes bad: no socket, no sleep, and a clock that jumps to whatever is due next.

Handshakes fail in every way and at every stage; what is sent comes late, in bunches and in fragments; lines break anywhere; tokens expire and are revoked;
requests are cancelled while they are under way; and the server's limits are so narrow that one message too many would be found out.
"""

import asyncio
import random
import selectors
from contextlib import suppress
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import msgspec
from picows import WSListener

import stream.client.kept_connection
from stream import Client, ClientError, Closed, ConnectionLost, Lots, RequestRefused, Ticks
from stream.access.auth import TokenRefused
from stream.access.claims import Claims
from stream.access.keys import key_of
from stream.client.errors import SignInRefused
from stream.client.kept_connection import KeptConnection
from stream.market.market import Market
from stream.wire.channels import ChannelName
from stream.wire.codec import MSGPACK
from stream.wire.frames import Gap
from stream.wire.framing import BINARY, CLOSE, CONTINUATION, PING, close_frame, frames_in, payload_of
from stream.wire.messages import Place
from tests.setting import CONFIG, NAMES, SECRET, START, token

PUBLIC = [str(ChannelName(kind, name)) for kind in ("orderbook", "trades", "ticker") for name in NAMES]
OWN = ["orders", "balances"]
NARROW = {
    "subscriptions_max": len(PUBLIC) + len(OWN), "message_bytes_max": 260, "anonymous_message_bytes_max": 150, "messages_per_s": 40, "messages_burst": 6,
    "under_way_max": 3, "errors_max": 3, "journal": "none", "clock_skew_s": 0, "heartbeat_ms": 500, "deposit": {"USD": "100000", "BTC": "1000"},
}

TICK_S = 0.02
GRAIN_S = 1e-6
"""Between two arrivals: timers of the same time go off in any order."""

HEALING_S = 200.0
"""Of the simulated time: longer than the longest delays before a return."""

FATES = ("good", "good", "good", "closed", "silent", "no welcome", "closed after upgrade", "unreadable")


class Instant(selectors.SelectSelector):
    """Waits for nothing: the clock goes on to when the next timer is due."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "everybody waits for ever"
        self.now += timeout
        return []


class InstantLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes at once."""

    def __init__(self) -> None:
        self.clock = Instant()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


def frame(opcode: int, payload: bytes, fin: bool = True) -> Any:
    """A frame as the client's listener is handed it."""
    return SimpleNamespace(msg_type=SimpleNamespace(value=opcode), fin=fin, rsv1=0, rsv2=0, rsv3=0, get_payload_as_bytes=lambda: payload)


PERSON: ContextVar["Person"] = ContextVar("PERSON")
"""Whose client is running."""


class Line:
    """One connection, and the transport that its client sees. What is sent arrives in order, late, until the line breaks."""

    def __init__(self, world: "World", listener: WSListener, claims: Claims | None, fate: str) -> None:
        self._world = world
        self._listener = listener
        self._mute = fate in ("no welcome", "closed after upgrade")
        self._unreadable = fate == "unreadable"
        self._up_at = self._down_at = world.loop.time()
        self._frames_left = world.random.choice((1, 5, 50, 10**9)) if world.bad else 10**9
        self.ended = False
        self.person = PERSON.get()
        self.underlying_transport = self
        self.session = world.market.connect(MSGPACK, world.now)
        world.lines[self] = None
        self.session.begin(world.now, claims)

    def get_write_buffer_size(self) -> int:
        return 0

    def send(self, _: Any, payload: bytes) -> None:
        self._up_at = max(self._up_at + GRAIN_S, self._world.loop.time() + self._world.delay())
        self._world.loop.call_at(self._up_at, self._arrive, payload)

    def _arrive(self, payload: bytes) -> None:
        if not self.ended and not self.session.closed:
            now = self._world.now
            over = self.session.charge(len(payload), now)
            if self.session.admit(payload):
                self.session.ended()
                self.session.receive(payload, now, over)

    def send_close(self, *_: Any) -> None:
        """The end comes with `disconnect`."""

    def disconnect(self, graceful: bool = True) -> None:
        self._world.loop.call_soon(self.end)

    def write(self) -> None:
        """What the server writes after a tick."""
        data = self.session.take_out() if self.session.out else b""
        if self.session.closed:
            data += close_frame(*self.session.closed)
        if self._unreadable and data:
            self._deliver(frame(BINARY, b"\xc1"))
        elif not self._mute:
            for each in frames_in(data):
                self._write(each[0] & 0xF, payload_of(each))
        if self.session.closed:
            self._world.loop.call_at(self._down_at + GRAIN_S, self.end)

    def _write(self, opcode: int, payload: bytes) -> None:
        self._frames_left -= 1
        if not self._frames_left:
            self._world.loop.call_at(self._down_at + GRAIN_S, self.end)
        if opcode == BINARY and self._world.random.random() < 0.2:
            size = max(1, len(payload) // self._world.random.randrange(1, 5))
            pieces = [payload[at : at + size] for at in range(0, len(payload), size)] + [b""]
            for number, piece in enumerate(pieces):
                self._deliver(frame(CONTINUATION if number else BINARY, piece, number == len(pieces) - 1))
                self._deliver(frame(PING, b""))
        elif opcode in (BINARY, CLOSE):
            self._deliver(frame(opcode, payload))

    def _deliver(self, each: Any) -> None:
        self._down_at = max(self._down_at + GRAIN_S, self._world.loop.time() + self._world.delay())
        self._world.loop.call_at(self._down_at, self._hear, each)

    def _hear(self, each: Any) -> None:
        if not self.ended:
            self._listener.on_ws_frame(self, each)    # type: ignore[arg-type]

    def end(self) -> None:
        if not self.ended:
            self.ended = True
            del self._world.lines[self]
            self._world.market.disconnect(self.session, self._world.now)
            self._listener.on_ws_disconnected(self)    # type: ignore[arg-type]


class Dial:
    """In the place of a handshake."""

    def __init__(self, world: "World", url: str) -> None:
        self._world = world
        self._line: Line | None = None
        self.stage = "an answer"

    async def shake_hands(self, listener: WSListener, headers: dict[str, str]) -> None:
        world = self._world
        fate = world.random.choice(FATES) if world.bad else "good"
        world.fates[fate] = world.fates.get(fate, 0) + 1
        await asyncio.sleep(world.delay())
        if fate == "closed":
            raise ClientError("closed")
        if fate == "silent":
            await asyncio.Event().wait()
        claims = None
        if headers:
            try:
                claims = world.market.authenticator.verify(headers["Authorization"].removeprefix("Bearer "), world.now / 10**9)
            except TokenRefused as error:
                raise SignInRefused(str(error)) from None
        self._line = Line(world, listener, claims, fate)
        listener.on_ws_connected(self._line)    # type: ignore[arg-type]
        if fate == "closed after upgrade":
            world.loop.call_later(world.delay(), self._line.end)

    def abort(self) -> None:
        if self._line:
            self._world.loop.call_soon(self._line.end)


class Person:
    """Who uses a client: asks, gives up, unsubscribes, trades, and reads in two tasks."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.name = f"user{number}"
        self.kind = ("nobody", "a text", "sync", "async")[number % 4]
        lives_s = world.random.choice((3, 10_000))
        text = world.token(self.name, lives_s)
        self.ends = self.kind == "a text" and lives_s == 3

        async def later() -> str:
            await asyncio.sleep(world.delay())
            return fresh()

        def fresh() -> str:
            if world.bad and world.random.random() < 0.2:
                raise OSError("no token at the moment")
            return world.token(self.name, world.random.choice((2, 10_000)))

        self.client = Client("ws://sim/v1", {"nobody": None, "a text": text, "sync": fresh, "async": later}[self.kind], random.Random(number))
        self.client.on_connection(self._told)
        self.told: list[Any] = []
        self.leaves = False
        self.read: dict[tuple[str, int], list[int]] = {}
        self.tasks: dict[asyncio.Task[None], None] = {}

    def _told(self, why: ClientError | None) -> None:
        assert not isinstance(why, Closed) or self.leaves, f"{self.name} was closed: {why}"
        self.told.append(why)

    async def open(self) -> None:
        while True:
            try:
                opening = asyncio.create_task(self.client.open())
                if self.world.random.random() < 0.3:
                    await asyncio.sleep(self.world.delay())
                    opening.cancel()
                await opening
            except (ClientError, asyncio.CancelledError):
                assert not opening.done() or opening.cancelled() or opening.exception()
            if not (opening.cancelled() or opening.exception()):
                return

    async def live(self) -> None:
        """Do something now and then."""
        PERSON.set(self)
        await self.open()
        while self.world.bad:
            await asyncio.sleep(self.world.random.random() * 0.3)
            doing = self.world.random.choice((self._subscribe, self._subscribe, self._unsubscribe, self._trade, self._trade))
            task = asyncio.create_task(self._with_patience(doing()))
            self.tasks[task] = None
            task.add_done_callback(self.tasks.pop)
        await asyncio.gather(*self.tasks)

    async def _with_patience(self, doing: Any) -> None:
        with suppress(ConnectionLost, RequestRefused, TimeoutError):
            await asyncio.wait_for(doing, self.world.random.choice((0.001, 0.02, 0.2, 100, 100, 100)))

    async def _subscribe(self) -> None:
        channels = self.world.random.sample(PUBLIC + OWN * (self.kind != "nobody"), self.world.random.randrange(1, 5))
        for live in await self.client.subscribe(channels, self.world.random.choice((None, 0, 5)), 0):
            if live.channel.startswith("trades") and (live.channel, 0) not in self.read:
                for number in (0, 1):
                    reading = asyncio.create_task(self._read(live, self.read.setdefault((live.channel, number), [])))
                    self.world.reading.append(reading)

    async def _read(self, live: Any, seqs: list[int]) -> None:
        with suppress(ClientError):
            async for item in live:
                seqs.append(-item.seq if isinstance(item, Gap) else item.seq)    # noqa: PERF401 - it is looked at meanwhile
        self.read.pop((live.channel, 0), None)
        self.read.pop((live.channel, 1), None)

    async def _unsubscribe(self) -> None:
        if self.client.live:
            await self.client.unsubscribe([self.world.random.choice(list(self.client.live))])

    async def _trade(self) -> None:
        if self.kind != "nobody":
            random = self.world.random
            side, price = random.choice((("buy", random.randrange(60, 101)), ("sell", random.randrange(100, 140))))
            await self.client.place(random.choice(NAMES), side, Ticks(price), Lots(1), self_trade="allow")    # type: ignore[arg-type]


class World:
    """A market, its clients and their network, from one seed."""

    def __init__(self, seed: int, people: int = 4) -> None:
        self.random = random.Random(seed)
        self.loop = InstantLoop()
        self.market = Market(msgspec.structs.replace(CONFIG, **NARROW), [key_of("HS256", SECRET)], [], START)
        self.lines: dict[Line, None] = {}    # in their order, so that a seed is one world
        self.reading: list[asyncio.Task[None]] = []
        self.fates: dict[str, int] = {}
        self.bad = True
        self._slow_until = 0.0
        self._people = people
        self.people: list[Person] = []

    @property
    def now(self) -> int:
        return START + int(self.loop.time() * 10**9)

    def delay(self) -> float:
        """Of what is sent now; now and then everything is held back, and comes in a bunch."""
        if self.bad and self.random.random() < 0.005:
            self._slow_until = self.loop.time() + self.random.random() * 2
        return max(self._slow_until - self.loop.time(), self.random.random() * 0.02)

    def token(self, subject: str, lives_s: int) -> str:
        return token(subject, self.now, "account trade", exp=self.now // 10**9 + lives_s)

    async def _serve(self) -> None:
        claims = self.market.authenticator.verify(self.token("mover", 10_000), self.now / 10**9)
        mover = self.market.connect(MSGPACK, self.now)
        mover.begin(self.now, claims)
        while True:
            await asyncio.sleep(TICK_S)
            for _ in range(self.random.choice((0, 0, 1, 3)) if self.bad else 0):
                side, price = self.random.choice((("buy", self.random.randrange(60, 102)), ("sell", self.random.randrange(99, 140))))
                mover.receive(MSGPACK.encode(Place(1, self.random.choice(NAMES), side, price, self.random.randrange(1, 9))), self.now, "")    # type: ignore[arg-type]
            mover.take_out()
            self.market.keep_house(self.now)
            self.market.tick(self.now)
            for line in tuple(self.lines):
                if self.bad and self.random.random() < 0.003:
                    line.end()
                else:
                    line.write()

    async def _run(self, seconds: float) -> None:
        self.people = [Person(self, number) for number in range(self._people)]
        serving = asyncio.create_task(self._serve())
        living = [asyncio.create_task(person.live()) for person in self.people]
        await asyncio.sleep(seconds)
        self.bad = False
        await asyncio.wait_for(asyncio.gather(*living), HEALING_S)
        until = self.loop.time() + HEALING_S
        while (trouble := self.trouble()) and self.loop.time() < until:
            assert not serving.done(), serving.exception()
            await asyncio.sleep(0.1)
        assert not trouble, trouble
        self._check()
        for person in self.people:
            person.leaves = True
            await person.client.close()
        await asyncio.sleep(3)
        assert not self.lines, "a connection stays"
        await asyncio.wait_for(asyncio.gather(*self.reading), 1)
        serving.cancel()

    def trouble(self) -> str:
        """What is not as it should be yet."""
        sessions = {line.person: line.session for line in self.lines}
        if len(self.lines) != len(self.people) or len(sessions) != len(self.people):
            return f"{len(self.lines)} connections of {len(self.people)} clients"
        for person in self.people:
            client = person.client
            assert not client.closed, "nobody keeps the connection"
            if not client.idle:
                return f"{person.name} is busy"
            there = {str(name) for name in sessions[person].subscriptions}
            followed = {channel for channel in there | client.live.keys() if client.follows(channel)}
            if there != client.live.keys() or there != followed:
                return f"{person.name} has {sorted(client.live)}, follows {sorted(followed)}, and the server sends {sorted(there)}"
            behind = [channel for channel, live in client.live.items() if channel.startswith("orderbook") and live.seq < self.market.exchange.seq]
            if behind:
                return f"{person.name} is behind with {behind}"
            wrong = [channel for channel, live in client.live.items() if channel.startswith("orderbook") and not self._is_right(live)]
            if wrong:    # a snapshot on other terms may be under way
                return f"{person.name} has another book in {wrong}"
            if "orders" in client.live and set(client.live["orders"].mirror.open) != self._orders_of(sessions[person]):    # so may theirs
                return f"{person.name} has other orders"
        return ""

    def _orders_of(self, session: Any) -> set[int]:
        """The open orders of who is signed in at a connection."""
        return {order.order for order in self.market.exchange.orders(session.account)}

    def _is_right(self, live: Any) -> bool:
        """Whether a copy of a book is the market's, to the depth in force."""
        return bool(live.mirror.depth() == self.market.exchange.book(live.channel.partition(":")[2]).levels.depth(live.in_force.depth))

    def _check(self) -> None:
        """Everybody has what the market has, nobody was refused for asking too much, and who has no token any more knows why."""
        too_much = self.market.limits.hit.keys() - {"idle_timeout_s", "sign_in_timeout_s"}    # nobody pings here
        assert not too_much, self.market.limits.hit
        for person in self.people:
            client = person.client
            for channel, live in client.live.items():
                if channel == "orders":
                    (session,) = [line.session for line in self.lines if line.person is person]
                    assert set(live.mirror.open) == self._orders_of(session)
            if person.ends:
                assert not set(client.live) & set(OWN)
                assert isinstance(client.sign_in_refused, SignInRefused)
            elif person.kind != "nobody":
                assert client.sign_in_refused is None or not set(client.live) & set(OWN)
            for channel in {channel for channel, _ in person.read}:
                one, other = sorted((person.read[channel, number] for number in (0, 1)), key=len)
                assert other[len(other) - len(one) :] == one, "two readers were told differently"
                trades = [seq for seq in other if seq >= 0]
                assert trades == sorted(set(trades)), "a trade came twice, or out of order"

    def run(self, seconds: float) -> None:
        clock = patch.object(KeptConnection, "clock", lambda _: int(self.loop.time() * 10**9))
        with clock, patch.object(stream.client.kept_connection, "Handshake", lambda url: Dial(self, url)):
            try:
                self.loop.run_until_complete(self._run(seconds))
            finally:
                self.loop.close()


def simulate(seed: int, seconds: float = 8.0) -> World:
    """A whole run; an assertion fails where a promise is broken."""
    world = World(seed)
    world.run(seconds)
    return world
