"""A client: verified books, own orders and balances, and a connection that resumes where it was.

    async with connect("ws://127.0.0.1:8080/v1") as client:
        book = await client.orderbook("BTC-USDT", interval_ms=100)
        async for frame in book:
            print(book.best_bid, book.best_ask, book.verified)

When the connection is lost, the requests that were under way fail, since the client cannot know whether the server saw them.
The subscriptions stay: the client reconnects, and resumes each channel from its own `(epoch, seq)`.
"""

import asyncio
import math
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, cast

from stream.client.allowance import Allowance, cost_of
from stream.client.errors import ClientError, Closed, ConnectionLost, RequestRefused
from stream.client.kept_connection import DELAY_S_MAX, KeptConnection, Token
from stream.client.listener import Listener
from stream.client.live import KINDS, Callback, Live, LiveBalances, LiveOrders, Lossless, tell
from stream.client.readings import scale_in_force
from stream.client.requests import R, Requests
from stream.system.clock import running
from stream.wire.channels import BALANCES, ORDERS, parse
from stream.wire.codes import ErrorCode
from stream.wire.fields import Message
from stream.wire.frames import Gap, Orders
from stream.wire.messages import (
    Answer,
    Error,
    Frame,
    Leaving,
    ListInstruments,
    ListSubscriptions,
    LoggedIn,
    Login,
    Pacing,
    Ping,
    Stale,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Welcome,
)
from stream.wire.mirror import Verdict

NEVER_GRANTED = frozenset({
    ErrorCode.MALFORMED, ErrorCode.NOT_SIGNED_IN, ErrorCode.MISSING_SCOPE, ErrorCode.UNKNOWN_CHANNEL, ErrorCode.UNKNOWN_INSTRUMENT,
    ErrorCode.TOO_MANY_SUBSCRIPTIONS, ErrorCode.PUBLIC_ONLY,
})
"""Refusals that will not change if the client asks for the same channel again. After any other refusal it asks again, on another connection."""

HARMLESS = (Subscribe, Unsubscribe, ListInstruments, ListSubscriptions, Ping)
"""Requests that the client sends again, later, if the server says that they came too fast. It does not do so with orders: the market may have moved."""

RETRIES_S = (0.25, 0.5, 1.0, 2.0, 4.0)

RECOVERY_S = 1.0
"""The shortest time between two recoveries of one channel, so that a server that is always wrong is not flooded."""

KEYS_DATED_MAX = 1 << 16    # for how many keys a client remembers when it first sent them


class Waiting(NamedTuple):
    """A request that waits for its answer. It counts as under way even if its caller has given up."""

    answer: asyncio.Future[Any]
    cost: int
    allowance: Allowance
    depth: int | None = None    # of a subscription


class Client(KeptConnection, Requests, Listener):
    """A client of one server, for one event loop. Use it with `async with`, or call `open` and `close`. Its methods raise Closed once it is closed."""

    def __init__(self, url: str, token: Token = None, jitter: random.Random | None = None, delay_s_max: float = DELAY_S_MAX) -> None:
        KeptConnection.__init__(self, url, token, jitter, delay_s_max)
        Requests.__init__(self)
        self.live: dict[str, Live[Any]] = {}
        self.welcome: Welcome | None = None
        self.pacing_ms = 0    # under load the server sends frames of books and tickers no more often than this
        self.stale_since = 0    # if the server may have fallen behind: it is complete up to here, in ns since 1970
        self.resumed: dict[tuple[str, str], int] = {}
        self._id = 0
        self._welcomed_at = 0    # by the clock of this machine, like the next field
        self._first_sent: dict[int, int] = {}    # requests, by their key
        self._waiting: dict[int, Waiting] = {}
        self._online = asyncio.Event()
        self._background: set[asyncio.Task[None]] = set()
        self._callbacks: list[Callback[ClientError | None]] = []
        self._following: set[str] = set()    # channels that are subscribed on this connection and have had no gap
        self._recovered_at: dict[str, float] = {}
        self._closed = False
        self._why: ClientError = Closed("the client is closed")

    async def __aenter__(self) -> "Client":
        await self.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    # The connection

    async def open(self) -> None:
        """Connect. Raises SignInRefused if the server refuses the token, or ClientError if something else fails. If cancelled, it leaves no socket open."""
        if self._keeper or self._closed:
            raise ClientError("the client was opened before: expected a new client; make another one")
        link = await self._connect()
        self._keeper = asyncio.create_task(self._keep(link))

    async def close(self) -> None:
        """Close the connection. Every request and iteration ends with Closed. This takes at most CLOSE_S, 2 seconds."""
        self._left = True
        self._fail(Closed("the client is closed"))
        await self._leave()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    @property
    def closed(self) -> bool:
        """Whether there will be no connection any more: the client was closed, or the server said not to come back."""
        return self._closed

    @property
    def idle(self) -> bool:
        """Whether there is a connection, and neither a request nor a channel is under way."""
        return self._link is not None and not self._waiting and not self._background

    def follows(self, channel: str) -> bool:
        """Whether a channel is subscribed on this connection, and here without a gap."""
        return channel in self._following

    async def connected(self) -> None:
        """Wait until there is a connection. Returns at once if there is one. Raises Closed if there will be none."""
        self._check()
        await self._online.wait()
        self._check()

    def _check(self) -> None:
        """Raise if there will be no connection."""
        if self._closed:
            raise self._why
        if not self._keeper:
            raise ClientError("the client is not open: use `async with connect(...) as client`, or `await client.open()` first")
        if self._keeper.get_loop() is not asyncio.get_running_loop():
            raise ClientError("the client belongs to another event loop: make one in each loop, or use stream.sync, whose client may be shared by threads")

    def on_connection(self, callback: Callable[[ClientError | None], object]) -> None:
        """Call `callback` with None whenever there is a connection, and with an error when it is lost or when an attempt to reconnect fails.

        The error is SignInRefused if the connection is back without the token, and Closed if the client will not reconnect. `callback` may be a
        coroutine function: the client awaits it before it calls it again.
        """
        self._callbacks.append(Callback(callback))

    async def _returned(self) -> None:
        if self.sign_in_refused:
            tell(self._callbacks, self.sign_in_refused)
        await self._resubscribe(list(self.live.values()))

    def _missed(self, error: ClientError) -> None:
        tell(self._callbacks, error)

    def _lose(self, error: ClientError) -> None:
        if not self._closed:
            self._online.clear()
        self._following.clear()
        waiting, self._waiting = self._waiting, {}
        for each in waiting.values():
            if not each.answer.done():
                each.answer.set_exception(error)
        tell(self._callbacks, error)

    def _fail(self, error: ClientError) -> None:
        if self._closed:
            return
        self._closed, self._why = True, error
        self._lose(error)
        self._online.set()
        for live in self.live.values():
            live.fail(error)

    # Messages

    def _hear(self, message: Answer) -> None:
        if isinstance(message, Welcome):
            self.welcome = message
            self._welcomed_at = running()
            self.pacing_ms = self.stale_since = 0
            self._online.set()
            tell(self._callbacks, None)
        elif isinstance(message, Frame | Gap):
            live = self.live.get(message.channel)
            if live:
                self._follow(live, message)
        elif isinstance(message, Pacing):
            self.pacing_ms = message.interval_ms
        elif isinstance(message, Stale):
            self.stale_since = message.since
        elif not isinstance(message, Leaving):
            waiting = self._waiting.pop(message.id, None)
            if isinstance(message, Unsubscribed) and message.id == 0:
                for channel in message.channels:
                    self._drop(channel, Closed(f"the token does not allow {channel}"))
            if isinstance(message, Subscribed):
                for entry in message.channels:
                    key = entry.recovered, entry.reason
                    self.resumed[key] = self.resumed.get(key, 0) + 1
                    self.scales |= scale_in_force(entry)
                    live, depth = self.live.get(entry.channel), waiting.depth if waiting else None
                    if live:
                        live.in_force = entry
                        if live.held_depth != depth:    # until the snapshot is here, there is nothing to resume from
                            live.mirror.forget()
                        live.held_depth = depth
                        self._following.add(entry.channel)
            if waiting:
                waiting.allowance.answered(waiting.cost, self.clock())
                if waiting.answer.done():    # nobody waits for it any more
                    pass
                elif isinstance(message, Error):
                    waiting.answer.set_exception(RequestRefused(message))
                else:
                    waiting.answer.set_result(message)

    def _follow(self, live: Live[Any], message: Any) -> None:
        if isinstance(message, Gap):
            live.mirror.forget()
            live.heard(message)
            return
        before = live.mirror.resume
        verdict = live.mirror.receive(message)
        if verdict in (Verdict.GAP, Verdict.MISMATCH):
            if verdict is Verdict.MISMATCH:
                self._distrust(live)
            if live.channel in self._following:
                self._following.remove(live.channel)
                self._in_background(self._recover(live))
        elif verdict is not Verdict.DROPPED:
            if verdict is Verdict.SNAPSHOT and before and before != live.mirror.resume and isinstance(live, Lossless):
                live.heard(Gap(message.channel, message.epoch, before[1], message.seq))    # for a returning client the snapshot is the only sign of the gap
            assert live.mirror.frame is not None
            if isinstance(message, Orders) and any(each.instrument not in self.scales for each in message.orders):    # one that is new
                self._in_background(self.learn({each.instrument for each in message.orders}))
            live.heard(live.mirror.frame)

    def _distrust(self, live: Live[Any]) -> None:
        """A frame does not fit to the copy: one of the two is wrong."""
        live.mirror.forget()

    async def _recover(self, live: Live[Any]) -> None:
        """Subscribe to a channel again, unless a returning connection has done it already."""
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(max(0, self._recovered_at.get(live.channel, -math.inf) + RECOVERY_S - clock()))
        if live.channel not in self._following and self.live.get(live.channel) is live:
            self._recovered_at[live.channel] = clock()
            try:
                await self._resubscribe([live])
            except ClientError:
                if self._link:
                    self._following.add(live.channel)    # the next gap asks again

    async def request(self, kind: Callable[..., Message], reply: type[R], *fields: Any, **named: Any) -> R:
        """Send a request as soon as the server's limits allow it, and return its reply.

        Raises RequestRefused if the server refuses it, ConnectionLost or Closed if no reply comes. Raises ValueError or TypeError, and sends nothing, if
        a field has a bad value.
        """
        for wait_s in RETRIES_S if kind in HARMLESS else ():
            try:
                return await self._request(kind, reply, *fields, **named)
            except RequestRefused as refused:
                if refused.code != ErrorCode.TOO_MANY_REQUESTS:
                    raise
            self.allowance.exhausted(self.clock())    # long answers that are still under way count too
            await asyncio.sleep(wait_s)
        return await self._request(kind, reply, *fields, **named)

    async def _request(self, kind: Callable[..., Message], reply: type[R], *fields: Any, **named: Any) -> R:
        self._check()
        self._id = id = self._id + 1
        message = kind(id, *fields, **named)
        if getattr(message, "key", 0):
            self._date(message)
        cost = cost_of(message)
        allowance = await self._send_in_turn(message, cost)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[id] = Waiting(answer, cost, allowance, getattr(message, "depth", None))
        told = await answer
        if not isinstance(told, reply):
            raise ClientError(f"expected {reply.__name__}, got {type(told).__name__}")
        return told

    def server_time(self) -> int:
        """The time on the server's clock, in ns since 1970, less the time that its `welcome` took. Raises ConnectionLost before the first connection."""
        if not self.welcome:
            raise ConnectionLost("not connected yet")
        return self.welcome.time + running() - self._welcomed_at

    def _date(self, message: Any) -> None:
        """Set `sent` to when a request with this key was first sent, by the clock of the server that this message goes to."""
        now = running()
        if message.sent:
            self._first_sent[message.key] = now - self.server_time() + message.sent
        first = self._first_sent.setdefault(message.key, now)
        message.sent = max(1, self.server_time() - now + first)
        while len(self._first_sent) > KEYS_DATED_MAX:
            del self._first_sent[next(iter(self._first_sent))]

    # Channels

    async def subscribe(self, channels: list[str], depth: int | None = None, interval_ms: int | None = None) -> list[Live[Any]]:
        """Subscribe to channels, all as of one sequence if they fit into one message. Returns when the server has answered; the first frames come later.

        `depth` is in levels per side, 0 for the full book, and `interval_ms` is the shortest time between two frames; None is the server's default. A channel
        that is already subscribed takes on both. Raises RequestRefused, ConnectionLost or ValueError; then, and if cancelled, nothing new is subscribed.
        """
        self._check()
        lives = self.prepare(channels, depth, interval_ms)
        for live in lives:
            live.holders += 1
        try:
            if len(self.live) > self.allowance.subscriptions_max:
                most = self.allowance.subscriptions_max
                raise ClientError(f"{len(self.live)} channels: expected at most {most} on one connection; open another client for the others")
            for part in self.allowance.parts(channels, resumed=False):
                await self.request(Subscribe, Subscribed, part, depth, interval_ms)
        except BaseException as error:
            self.release(lives)
            if isinstance(error, asyncio.CancelledError):    # the same channels of other callers may have the new terms by now
                for live in lives:
                    self._in_background(self._restore(live))
            raise
        for live in lives:
            live.depth, live.interval_ms = depth, interval_ms
        return lives

    def prepare(self, channels: list[str], depth: int | None = None, interval_ms: int | None = None) -> list[Live[Any]]:
        """The copies of these channels, still empty. `subscribe` will fill them. Raises ValueError if there is no such channel."""
        if isinstance(channels, str) or not channels:
            raise ValueError(f"channels: expected a list of names such as 'orderbook:BTC-USDT', got {channels!r}")
        kinds = {channel: KINDS[parse(channel).kind] for channel in channels}
        for channel, (live_kind, mirror_kind) in kinds.items():
            if channel not in self.live:
                self.live[channel] = live_kind(mirror_kind(channel), depth, interval_ms, self.scales)
        return [self.live[channel] for channel in channels]

    def release(self, lives: list[Live[Any]]) -> None:
        """Give up channels that were requested but not granted. The server may know of the request, so it is told, unless another caller has or wants them."""
        for live in lives:
            live.holders -= 1
            if not live.holders and self.live.get(live.channel) is live:
                self._drop(live.channel, Closed(f"{live.channel} was not subscribed"))
        self.forget([live.channel for live in lives])

    async def _restore(self, live: Live[Any]) -> None:
        """Subscribe to a channel that is still wanted on its own terms again."""
        with suppress(ClientError):    # another connection subscribes on these terms anyway
            await self._resume([live.channel], live.depth, live.interval_ms)

    async def unsubscribe(self, channels: list[str]) -> None:
        """Unsubscribe from channels. Iterations over them end with Closed. The server is told even if this call is cancelled."""
        self._check()
        for channel in channels:
            self._drop(channel, Closed(f"{channel} was unsubscribed"))
        await asyncio.shield(self.forget(channels))

    def forget(self, channels: list[str]) -> asyncio.Task[None]:
        """Tell the server to send no more of those of these channels that no caller wants any more."""
        return self._in_background(self._forget(channels))

    async def _forget(self, channels: list[str]) -> None:
        with suppress(ConnectionLost, Closed):    # the next connection does not have them
            for part in self.allowance.parts(channels, resumed=False):
                unwanted = [channel for channel in part if channel not in self.live]
                if unwanted:    # a later subscription to one of them is sent after this
                    await self.request(Unsubscribe, Unsubscribed, unwanted)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def _drop(self, channel: str, why: ClientError) -> None:
        self._following.discard(channel)
        live = self.live.pop(channel, None)
        if live:
            live.fail(why)

    async def _resubscribe(self, lives: list[Live[Any]]) -> None:
        """Subscribe again, each channel from where it stands. A channel that the server no longer grants ends with the refusal."""
        groups: dict[tuple[int | None, int | None], list[str]] = {}
        for live in lives:
            groups.setdefault((live.depth, live.interval_ms), []).append(live.channel)
        for (depth, interval_ms), group in groups.items():
            for part in self.allowance.parts(group, resumed=True):
                await self._resume(part, depth, interval_ms)

    async def _resume(self, channels: list[str], depth: int | None, interval_ms: int | None) -> None:
        wanted = [channel for channel in channels if channel in self.live]
        resume = {channel: at for channel in wanted if self.live[channel].held_depth == depth and (at := self.live[channel].mirror.resume)}
        if not wanted:
            return
        try:
            await self.request(Subscribe, Subscribed, wanted, depth, interval_ms, resume)
        except RequestRefused as refused:
            if refused.code not in NEVER_GRANTED:
                raise
            if len(wanted) == 1:
                self._drop(wanted[0], self.sign_in_refused or refused if refused.code == ErrorCode.NOT_SIGNED_IN else refused)
            else:
                for half in (wanted[: len(wanted) // 2], wanted[len(wanted) // 2 :]):
                    await self._resume(half, depth, interval_ms)

    async def orders(self) -> LiveOrders:
        """Subscribe to the account's own orders. Needs a token with the scope `account`."""
        await self.learn(self.terms or {""})    # an order may be of any instrument
        return cast(LiveOrders, (await self.subscribe([ORDERS]))[0])

    async def balances(self) -> LiveBalances:
        """Subscribe to the account's own balances. Needs a token with the scope `account`."""
        return cast(LiveBalances, (await self.subscribe([BALANCES]))[0])

    async def login(self, token: str) -> LoggedIn:
        """Sign in on the open connection, or renew its token. Raises RequestRefused if the server refuses the token."""
        answer = await self.request(Login, LoggedIn, token)
        if not callable(self._token):
            self._token = token
        if self._link:
            self._link.token = token
        self.sign_in_refused = None
        return answer


def connect(url: str, token: Token = None, delay_s_max: float = DELAY_S_MAX) -> Client:
    """A client, to use with `async with`.

    `url` is such as `ws://127.0.0.1:8080/v1`. `token` is sent in the header of the handshake. It may be a callable, also an async one, which is called for
    a fresh token at each connection. After a loss the client reconnects within a moment, and then less and less often: it waits at most `delay_s_max`
    seconds between two attempts. Raises ClientError if the URL or the token is malformed.
    """
    return Client(url, token, delay_s_max=delay_s_max)
