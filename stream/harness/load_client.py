"""One client of a load run. It reconnects and resumes like any client, and counts what it sees instead of storing it."""

import asyncio
import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

from picows import WSTransport

from stream.client.allowance import Allowance, cost_of
from stream.client.errors import ClientError
from stream.client.kept_connection import KeptConnection, Link
from stream.harness.heads import BookHead, BookHeads, TradesHead, TradesHeads, decode_head
from stream.harness.plan import LoadPlan, PlannedClient, Role
from stream.harness.tally import Tally
from stream.wire.channels import BALANCES, BOOK, ORDERS, TICKER, TRADES
from stream.wire.codec import MSGPACK
from stream.wire.frames import Balances, Book, Gap, Orders, Ticker, Trades
from stream.wire.framing import head_size
from stream.wire.messages import Answer, Cancel, Error, Ping, Place, Pong, Request, Subscribe, Subscribed, Welcome
from stream.wire.mirror import BalancesMirror, BookMirror, Mirror, OrdersMirror, TickerMirror, TradesMirror, Verdict

DELAY_S_MAX = 2.0
"""The longest a lost client waits before it returns."""

RECOVERY_S = 1.0
"""The shortest time before a channel is asked for again, so that a server that is always wrong is not flooded."""

RECEIVE_BUFFER, SLOW_RECEIVE_BUFFER = 1 << 16, 1 << 12
"""The receive buffer of a client. It is small: what a late harness has not read should be merged by the server, and not take memory here."""

PINGS_PER_S = 50
TIMER_GRAIN_S = 0.0015
"""A timer that fires this late is on time: the loop counts in milliseconds."""

REQUESTS_WAITING_MAX = 10_000

FRAMES = (BookHead, TradesHead, Ticker, Book, Trades, Orders, Balances)

VERIFIED: dict[str, type[Mirror[Any]]] = {BOOK: BookMirror, TRADES: TradesMirror, TICKER: TickerMirror, ORDERS: OrdersMirror, BALANCES: BalancesMirror}
HEADS = VERIFIED | {BOOK: BookHeads, TRADES: TradesHeads}


class ServerClock:
    """Estimates the server's time: how far its clock is ahead of ours, from the ping that was answered fastest."""

    def __init__(self) -> None:
        self.ahead = 0
        self.accuracy = 10**12

    def observe(self, sent: int, server: int, received: int) -> None:
        """Take in an answer; times are in ns. If the two clocks may agree, they are taken to agree: mostly they are the same clock."""
        accuracy = (received - sent) // 2
        if accuracy < self.accuracy:
            ahead = server - (sent + received) // 2
            self.accuracy, self.ahead = accuracy, ahead if abs(ahead) > accuracy else 0

    def now(self) -> int:
        """The time in ns since 1970."""
        return time.time_ns() + self.ahead


class LoadClient(KeptConnection):
    """A client with its role. `say` is called with a text about each problem; it may be called often."""

    def __init__(self, plan: LoadPlan, place: PlannedClient, tally: Tally, clock: ServerClock, token: str | None, say: Callable[[str], None]) -> None:
        super().__init__(plan.url, token, random.Random(), DELAY_S_MAX)
        self.place = place
        self._plan = plan
        self._tally = tally
        self._clock = clock
        self._say = say
        self._decode = MSGPACK.decode_answer if place.verifies else decode_head
        self._instrument = list(plan.instruments)[place.number % len(plan.instruments)]    # to trade in
        kinds = VERIFIED if place.verifies else HEADS
        names = [f"{kind}:{name}" for name in plan.instruments for kind in plan.kinds]
        if place.role is Role.PROBE:
            names = [f"{TICKER}:{self._instrument}"]    # a server closes who asks for nothing
        if place.role is Role.TRADING:
            names = list(dict.fromkeys([*names, f"{TICKER}:{self._instrument}", ORDERS, BALANCES]))
        self._mirrors = {name: kinds[name.partition(":")[0]](name) for name in names}
        self._recovering: set[str] = set()
        self._asking: set[asyncio.Task[None]] = set()
        self._under_way: dict[int, tuple[int, Allowance]] = {}    # what requests without an answer count as, by id
        self._waiting: dict[int, tuple[int, int]] = {}    # requests on a schedule, by id: when each was due, and when it was sent
        self._ids = count(1)
        self._listening = asyncio.Event()
        self._leaves = False
        self._cut = False

    # The connection

    @property
    def idle(self) -> bool:
        """Whether every channel is here, and every request is answered."""
        return not self._under_way and all(mirror.seq >= 0 for mirror in self._mirrors.values())

    async def live(self) -> None:
        """Connect, and do what the role says, until cancelled."""
        self._tally.counts.clients += 1
        doing = {Role.SLOW: self._stall, Role.RETURNING: self._return, Role.TRADING: self._trade, Role.PROBE: self._probe}.get(self.place.role)
        tasks = [asyncio.create_task(task) for task in (self._keep(), *([doing()] if doing else []))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def leave(self) -> None:
        """Say goodbye."""
        self._leaves = True
        self._tally.counts.unanswered += len(self._waiting)
        await self._leave()

    async def _connect(self) -> Link:
        try:
            return await super()._connect()
        except ClientError as error:
            self._tally.counts.lost += 1
            self._say(str(error))
            raise

    def _linked(self, link: Link) -> None:
        super()._linked(link)
        size = SLOW_RECEIVE_BUFFER if self.place.role is Role.SLOW else RECEIVE_BUFFER
        link.transport.underlying_transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    async def _returned(self) -> None:
        self._recovering.clear()
        await self._ask(list(self._mirrors))

    def _lose(self, error: ClientError) -> None:
        counts = self._tally.counts
        counts.connected -= 1
        counts.unanswered += len(self._waiting)
        self._waiting.clear()
        self._under_way.clear()
        self._listening.clear()
        if not self._cut and not self._leaves:
            counts.lost += 1
            self._say(str(error))
        self._cut = False

    def _fail(self, error: ClientError) -> None:
        self._say(str(error))

    async def _ask(self, channels: list[str]) -> None:
        """Subscribe, from where the client is, as fast as the server takes it."""
        for part in self.allowance.parts(channels, resumed=True):
            resume = {name: at for name in part if (at := self._mirrors[name].resume)}
            await self._request(Subscribe(next(self._ids), part, self._plan.depth, self._plan.interval_ms, resume))

    async def _request(self, message: Request) -> None:
        self._under_way[message.id] = cost_of(message), await self._send_in_turn(message, cost_of(message))

    # What comes

    def _receive(self, link: Link, payload: bytes) -> None:
        size = len(payload)
        self._tally.counts.bytes += head_size(size) + size
        super()._receive(link, payload)

    def _hear(self, message: Answer) -> None:
        counts = self._tally.counts
        if isinstance(message, FRAMES):
            self._follow(message)
            return
        cost, allowance = self._under_way.pop(getattr(message, "id", 0), (0, self.allowance))
        allowance.answered(cost, self.clock())
        if isinstance(message, Gap):
            counts.told_gaps += 1
        elif isinstance(message, Welcome):
            counts.connected += 1
        elif isinstance(message, Subscribed):
            self._subscribed(message)
        elif message_id := getattr(message, "id", 0):
            self._answered(message_id, message)

    def _subscribed(self, message: Subscribed) -> None:
        counts = self._tally.counts
        self._listening.set()
        for entry in message.channels:
            self._recovering.discard(entry.channel)
            if entry.reason != "new":
                counts.current += entry.recovered == "none"
                counts.patched += entry.recovered == "merged"
                counts.snapshotted += entry.recovered == "snapshot"

    def _follow(self, frame: Any) -> None:
        mirror, counts = self._mirrors.get(frame.channel), self._tally.counts
        if mirror is None:
            return
        verdict = mirror.receive(frame)
        counts.deliveries += 1
        is_book = isinstance(frame, BookHead | Book)
        counts.digests += isinstance(frame, Book)
        if verdict is Verdict.APPLIED:
            now = self._clock.now()
            self._tally.delivery.note(now - frame.server_time)
            if is_book:
                self._tally.age.note(now - frame.engine_time)
                counts.merged += frame.batches > 1
            counts.updates += size_of(frame)
        elif verdict is Verdict.SNAPSHOT:
            counts.snapshots += not isinstance(frame, Ticker)
            counts.updates += isinstance(frame, Ticker)
            if isinstance(frame, Ticker):
                self._tally.delivery.note(self._clock.now() - frame.server_time)
        elif verdict is Verdict.HEARTBEAT:
            counts.heartbeats += 1
        elif verdict is not Verdict.DROPPED and frame.channel not in self._recovering:
            self._wrong(mirror, verdict)

    def _wrong(self, mirror: Mirror[Any], verdict: Verdict) -> None:
        """Count a gap or a wrong book, and ask for the channel again."""
        counts = self._tally.counts
        self._say(f"{mirror.channel}: {'a gap' if verdict is Verdict.GAP else 'a wrong book'}")
        counts.gaps += verdict is Verdict.GAP
        if verdict is Verdict.MISMATCH:
            counts.wrong += 1
            mirror.forget()
        self._recovering.add(mirror.channel)
        asyncio.get_running_loop().call_later(RECOVERY_S, self._recover, mirror.channel)

    def _recover(self, channel: str) -> None:
        if self._link and channel in self._recovering:
            task = asyncio.create_task(self._ask_again(channel))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _ask_again(self, channel: str) -> None:
        with suppress(ClientError):    # another connection asks for all
            await self._ask([channel])

    # What the roles do

    @property
    def _transport(self) -> WSTransport | None:
        return self._link.transport if self._link else None

    async def _stall(self) -> None:
        """Read nothing for a while, then read for as long."""
        while True:
            await asyncio.sleep(self._plan.stall_s * (0.5 + self._random.random()))
            if self._transport:
                self._transport.underlying_transport.pause_reading()
            await asyncio.sleep(self._plan.stall_s)
            if self._transport:
                self._transport.underlying_transport.resume_reading()

    async def _return(self) -> None:
        """Cut the connection now and then; coming back is `_keep`'s."""
        while True:
            await self._listening.wait()
            await asyncio.sleep(self._plan.stay_s * (0.5 + self._random.random()))
            if self._transport:
                self._cut = True
                self._tally.counts.returns += 1
                self._listening.clear()
                self._transport.disconnect(False)

    async def _probe(self) -> None:
        await self._on_schedule(PINGS_PER_S, lambda: Ping(next(self._ids)))

    async def _trade(self) -> None:
        """Place the smallest order that there may be, where it does not trade, and cancel it."""
        name = self._instrument
        client_ids = count(self._random.getrandbits(51))
        placed = 0

        def next_request() -> Request:
            nonlocal placed
            if placed:
                request: Request = Cancel(next(self._ids), client_id=placed)
                placed = 0
                return request
            placed = next(client_ids)
            ticker = self._mirrors[f"{TICKER}:{name}"].frame
            bid = ticker.bid if ticker else 0
            return Place(next(self._ids), name, "buy", max(1, bid - bid // 100), self._plan.instruments[name], post_only=True, client_id=placed)

        await self._on_schedule(self._plan.orders_per_s, next_request)

    async def _on_schedule(self, per_s: float, make: Callable[[], Request]) -> None:
        """Send requests at their scheduled times, even if earlier ones are not answered: a long wait shows in the response times of all that were due."""
        due = time.monotonic() + self._random.random() / per_s
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            now = time.monotonic()
            if self._link and len(self._waiting) < REQUESTS_WAITING_MAX:
                request = make()
                self._waiting[request.id] = int((now if now - due < TIMER_GRAIN_S else due) * 10**9), time.time_ns()
                self._tally.counts.requests += 1
                try:
                    await self._request(request)
                except ClientError as error:
                    self._say(str(error))
            due += 1 / per_s

    def _answered(self, id: int, message: Any) -> None:
        due, sent = self._waiting.pop(id, (0, 0))
        if due:
            self._tally.response.note(time.monotonic_ns() - due)
            if isinstance(message, Pong):
                self._clock.observe(sent, message.time, time.time_ns())
        if isinstance(message, Error):
            self._tally.counts.refused += 1
            self._say(f"refused: {message.message}")


def size_of(frame: Any) -> int:
    """How many updates a frame holds."""
    match frame:
        case BookHead() | Book():
            return frame.batches
        case TradesHead() | Trades():
            return len(frame.trades)
        case Orders():
            return len(frame.orders)
        case Balances():
            return len(frame.balances)
    return 1
