"""One feed out of several connections, to different servers of one market. It takes the first copy of each frame, and needs only one connection.

    async with RedundantFeed(["ws://10.0.0.1:8080/v1", "ws://10.0.0.2:8080/v1"]) as feed:
        book = await feed.orderbook("BTC-USDT")

This works because `(epoch, seq)` is the same on a market and on all of its relays. There is one copy of each channel: it judges what every connection
brings, and a connection that was lost resumes from it. Of two epochs the higher is the later one. The servers must have the same configuration.
"""

import asyncio
import random
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from stream.client.client import Client
from stream.client.errors import ClientError, Closed
from stream.client.kept_connection import Token
from stream.client.listener import Listener
from stream.client.live import Live, Lossless
from stream.client.readings import Scale
from stream.wire.channels import parse
from stream.wire.frames import Gap
from stream.wire.messages import Frame
from stream.wire.mirror import Mirror


class Line(Client):
    """One of the connections. `first` counts the frames that this connection was the first to bring."""

    def __init__(self, feed: "RedundantFeed", url: str, token: Token, jitter: random.Random | None) -> None:
        super().__init__(url, token, jitter)
        self._feed = feed
        self.live = feed.live
        self.scales = feed.scales
        self.first = 0
        self.over: ClientError | None = None
        self.refused: dict[str, ClientError] = {}

    @property
    def online(self) -> bool:
        """Whether there is a connection at the moment."""
        return self._link is not None and self._online.is_set()

    async def begin(self) -> None:
        """Connect. Raises ClientError if that fails, but goes on trying nevertheless."""
        try:
            link = await self._connect()
        except ClientError:
            self._keeper = asyncio.create_task(self._keep())
            raise
        self._keeper = asyncio.create_task(self._keep(link))

    def _follow(self, live: Live[Any], message: Any) -> None:
        if self._is_news(live, message):
            before = live.mirror.resume
            super()._follow(live, message)
            self.first += live.mirror.resume != before

    def _is_news(self, live: Live[Any], message: Frame | Gap) -> bool:
        """Whether to apply the five rules to a message. If not, another connection has brought, or will bring, what it holds."""
        mirror: Mirror[Any] = live.mirror
        if message.epoch != mirror.epoch:
            return message.epoch > mirror.epoch    # another server may not know yet that a history has ended
        if isinstance(message, Gap) or message.prev is None:
            return message.seq > mirror.seq and not (isinstance(live, Lossless) and self._is_backed(live.channel))
        if live.in_force and live.in_force.depth and message.prev < mirror.seq:
            return False    # the change of a window since `prev` is not its change since our `seq`
        return message.seq >= mirror.seq

    def _is_backed(self, channel: str) -> bool:
        """Whether another connection has all of a channel."""
        return any(line.follows(channel) for line in self._feed.lines if line is not self)

    def _distrust(self, live: Live[Any]) -> None:
        if not self._is_backed(live.channel):
            super()._distrust(live)

    def _drop(self, channel: str, why: ClientError) -> None:
        self._following.discard(channel)
        self.refused[channel] = why
        if all(line.over or (channel in line.refused and not line.follows(channel)) for line in self._feed.lines):
            super()._drop(channel, why)

    def _fail(self, error: ClientError) -> None:
        if not self.over:
            self.over = self._why = error
            self._closed = True
            self._lose(error)
            self._online.set()
            if all(line.over for line in self._feed.lines):
                for live in self.live.values():
                    live.fail(error)


class RedundantFeed(Listener):
    """The public channels of a market, over several connections. Use it with `async with`, or call `open` and `close`."""

    def __init__(self, urls: Sequence[str], token: Token = None, jitter: random.Random | None = None) -> None:
        self.live: dict[str, Live[Any]] = {}
        self.scales: dict[str, Scale] = {}
        self.lines = [Line(self, url, token, jitter) for url in urls]

    async def __aenter__(self) -> "RedundantFeed":
        await self.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect to all servers. Raises ClientError if none can be reached. Otherwise it goes on trying those that cannot."""
        failures = await asyncio.gather(*(line.begin() for line in self.lines), return_exceptions=True)
        try:
            raise_if_all_failed(failures)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close all connections. Every iteration ends with Closed."""
        await asyncio.gather(*(line.close() for line in self.lines))

    @property
    def stale_since(self) -> int:
        """0; or, if all servers say that they may have fallen behind, the time up to which the feed is complete, in ns since 1970."""
        since = [line.stale_since for line in self.lines if line.online]
        return max(since) if all(since) and since else 0

    async def subscribe(self, channels: list[str], depth: int | None = None, interval_ms: int | None = None) -> list[Live[Any]]:
        """Subscribe to public channels on all connections. Raises RequestRefused or ConnectionLost if no server grants them, ValueError for own channels."""
        private = [channel for channel in channels if parse(channel).private]
        if private:
            raise ValueError(f"{', '.join(private)}: expected public channels; use a Client of the market itself for own channels")
        lives = self.lines[0].prepare(channels, depth, interval_ms)
        for live in lives:
            live.holders += 1
        asked = [line.subscribe(channels, depth, interval_ms) for line in self.lines if line.online]
        try:
            raise_if_all_failed(await asyncio.gather(*asked, return_exceptions=True))
        except BaseException:
            for live in lives:
                live.holders -= 1
                if not live.holders:
                    self.live.pop(live.channel, None)
            for line in self.lines:
                line.forget(channels)
            raise
        return lives

    async def unsubscribe(self, channels: list[str]) -> None:
        """Unsubscribe from channels on all connections. Iterations over them end with Closed."""
        for channel in channels:
            live = self.live.pop(channel, None)
            if live:
                live.fail(Closed(f"{channel} was unsubscribed"))
        asked = [line.forget(channels) for line in self.lines]
        await asyncio.shield(asyncio.gather(*asked, return_exceptions=True))


def raise_if_all_failed(outcomes: Sequence[Any]) -> None:
    """Raise the first failure if all failed. Raise at once any exception that is not a ClientError."""
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, ClientError):
            raise outcome
    if not outcomes:
        raise ClientError("none of the servers is connected at the moment")
    if all(isinstance(outcome, ClientError) for outcome in outcomes):
        raise outcomes[0]
