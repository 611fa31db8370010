"""A client: books that prove themselves, own orders and balances, and a connection that comes back where it was.

    async with connect("ws://127.0.0.1:8080/v1") as client:
        book = await client.orderbook("BTC-USDT", interval_ms=100)
        async for frame in book:
            print(book.best_bid, book.best_ask, book.seq, book.verified)

A lost connection fails the requests that were under way (nobody knows whether the server saw them) and keeps the
subscriptions: the client returns and resumes each channel from its own `(epoch, seq)`.
"""

import asyncio
import math
import random
from collections.abc import Callable
from types import TracebackType
from typing import Any, cast

from stream.channels import BALANCES, ORDERS, parse
from stream.fields import Message
from stream.frames import Gap
from stream.kept_connection import KeptConnection, Token
from stream.live import KINDS, ClientError, Closed, Listener, Live, LiveBalances, LiveOrders, Lossless, RequestRefused, tell
from stream.messages import Answer, Error, Frame, Leaving, LoggedIn, Login, Pacing, Stale, Subscribe, Subscribed, Unsubscribe, Unsubscribed, Welcome
from stream.mirror import Verdict
from stream.requests import R, Requests

RECOVERY_S = 1.0
"""The shortest time between two recoveries of one channel, so that a server that is always wrong is not flooded."""


class Client(KeptConnection, Requests, Listener):
    """A connection to a server. Use it with `async with`, or `open` and `close` it."""

    def __init__(self, url: str, token: Token = None, jitter: random.Random | None = None) -> None:
        KeptConnection.__init__(self, url, token, jitter)
        Requests.__init__(self)
        self.live: dict[str, Live[Any]] = {}
        self.welcome: Welcome | None = None
        self.pacing_ms = 0    # under load the server sends books and tickers no more often than this
        self.stale_since = 0    # until when, in ns since 1970, what the server shows is complete, if it may have fallen behind
        self.resumed: dict[tuple[str, str], int] = {}
        self._id = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._online = asyncio.Event()
        self._background: set[asyncio.Task[None]] = set()
        self._callbacks: list[Callable[[ClientError | None], None]] = []
        self._following: set[str] = set()    # channels that are subscribed on this connection and have had no gap
        self._recovered_at: dict[str, float] = {}
        self._closed = False

    async def __aenter__(self) -> "Client":
        await self.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    # The connection

    async def open(self) -> None:
        """Connect. ClientError if that fails."""
        link = await self._connect()
        self._keeper = asyncio.create_task(self._keep(link))

    async def close(self) -> None:
        """Leave, and let every request and iteration end with Closed. Takes CLOSE_S at most."""
        self._fail(Closed("the client is closed"))
        await self._leave()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    async def connected(self) -> None:
        """Wait until there is a connection; at once if there is one. Closed if there will be none."""
        await self._online.wait()
        if self._closed:
            raise Closed("the client is closed")

    def on_connection(self, callback: Callable[[ClientError | None], None]) -> None:
        """Have `callback` called with None whenever there is a connection, and when it is lost with why: Closed if there will be no other one."""
        self._callbacks.append(callback)

    async def _returned(self) -> None:
        await self._resubscribe(list(self.live.values()))

    def _lose(self, error: ClientError) -> None:
        if not self._closed:
            self._online.clear()
        self._following.clear()
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(error)
        tell(self._callbacks, error)

    def _fail(self, error: ClientError) -> None:
        self._closed = True
        self._lose(error)
        self._online.set()
        for live in self.live.values():
            live.fail(error)

    # Messages

    def _hear(self, message: Answer) -> None:
        if isinstance(message, Welcome):
            self.welcome = message
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
            future = self._waiting.pop(message.id, None)
            if isinstance(message, Unsubscribed) and message.id == 0:
                for channel in message.channels:
                    self._drop(channel, Closed(f"the token does not allow {channel}"))
            if isinstance(message, Subscribed):
                for entry in message.channels:
                    key = entry.recovered, entry.reason
                    self.resumed[key] = self.resumed.get(key, 0) + 1
                    if entry.channel in self.live:
                        self.live[entry.channel].in_force = entry
                        self._following.add(entry.channel)
            if future and not future.done():
                if isinstance(message, Error):
                    future.set_exception(RequestRefused(message))
                else:
                    future.set_result(message)

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
                task = asyncio.create_task(self._recover(live))
                self._background.add(task)
                task.add_done_callback(self._background.discard)
        elif verdict is not Verdict.DROPPED:
            if verdict is Verdict.SNAPSHOT and before and before != live.mirror.resume and isinstance(live, Lossless):
                live.heard(Gap(message.channel, message.epoch, before[1], message.seq))    # a returning client is told so by the snapshot alone
            assert live.mirror.frame is not None
            live.heard(live.mirror.frame)

    def _distrust(self, live: Live[Any]) -> None:
        """Either a frame or the copy is wrong."""
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
        """Send a request and return its reply. RequestRefused, ConnectionLost or Closed if there is none."""
        if self._closed:
            raise Closed("the client is closed")
        self._id = id = self._id + 1
        future = self._waiting[id] = asyncio.get_running_loop().create_future()
        try:
            self._send(kind(id, *fields, **named))
            answer = await future
        finally:
            self._waiting.pop(id, None)
        if not isinstance(answer, reply):
            raise ClientError(f"expected {reply.__name__}, got {type(answer).__name__}")
        return answer

    # Channels

    async def subscribe(self, channels: list[str], depth: int | None = None, interval_ms: int | None = None) -> list[Live[Any]]:
        """Listen to channels, all as of one sequence. Returns when the server has answered; the first frames follow.

        A channel that is subscribed already takes on the new depth and interval.
        """
        known = self.live.keys() & set(channels)
        lives = self.prepare(channels, depth, interval_ms)
        try:
            await self.request(Subscribe, Subscribed, channels, depth, interval_ms)
        except ClientError:
            for channel in set(channels) - known:
                self.live.pop(channel, None)
            raise
        for live in lives:
            live.depth, live.interval_ms = depth, interval_ms
        return lives

    def prepare(self, channels: list[str], depth: int | None = None, interval_ms: int | None = None) -> list[Live[Any]]:
        """The channels' copies, still empty, as `subscribe` will fill them."""
        for channel in channels:
            if channel not in self.live:
                live_kind, mirror_kind = KINDS[parse(channel).kind]
                self.live[channel] = live_kind(mirror_kind(channel), depth, interval_ms)
        return [self.live[channel] for channel in channels]

    async def unsubscribe(self, channels: list[str]) -> None:
        """Stop listening. Iterations over the channels end with Closed."""
        for channel in channels:
            self._drop(channel, Closed(f"{channel} was unsubscribed"))
        await self.request(Unsubscribe, Unsubscribed, channels)

    def _drop(self, channel: str, why: ClientError) -> None:
        self._following.discard(channel)
        live = self.live.pop(channel, None)
        if live:
            live.fail(why)

    async def _resubscribe(self, lives: list[Live[Any]]) -> None:
        """Subscribe again, each channel from where it is. One that the server no longer grants ends with its refusal."""
        groups: dict[tuple[int | None, int | None], list[Live[Any]]] = {}
        for live in lives:
            groups.setdefault((live.depth, live.interval_ms), []).append(live)
        for (depth, interval_ms), group in groups.items():
            resume = {live.channel: live.mirror.resume for live in group if live.mirror.resume}
            try:
                await self.request(Subscribe, Subscribed, [live.channel for live in group], depth, interval_ms, resume)
            except RequestRefused as refused:
                if len(group) == 1:
                    self._drop(group[0].channel, refused)
                for live in group if len(group) > 1 else ():
                    await self._resubscribe([live])

    async def orders(self) -> LiveOrders:
        """One's own orders."""
        return cast(LiveOrders, (await self.subscribe([ORDERS]))[0])

    async def balances(self) -> LiveBalances:
        """One's own balances."""
        return cast(LiveBalances, (await self.subscribe([BALANCES]))[0])

    async def login(self, token: str) -> LoggedIn:
        """Sign in on the open connection, or renew its token."""
        answer = await self.request(Login, LoggedIn, token)
        if not callable(self._token):
            self._token = token
        return answer


def connect(url: str, token: Token = None) -> Client:
    """A client for `async with`. `token` goes into the handshake's header; a callable is asked for a fresh one at each connection."""
    return Client(url, token)
