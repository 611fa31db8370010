"""One feed out of several connections, to different servers of one market: of each frame the first that comes is taken, and one connection is enough.

    async with RedundantFeed(["ws://10.0.0.1:8080/v1", "ws://10.0.0.2:8080/v1"]) as feed:
        book = await feed.orderbook("BTC-USDT")

This works because `(epoch, seq)` is the same on a market and on all of its relays: whatever a connection brings is judged by the one copy that there is
of a channel, and a connection that was away resumes from there. Of two epochs the higher is the later one. The servers are configured alike.
"""

import asyncio
import random
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from stream.client.client import Client
from stream.client.errors import ClientError, Closed
from stream.client.kept_connection import Token
from stream.client.live import Listener, Live, Lossless
from stream.wire.channels import parse
from stream.wire.frames import Gap
from stream.wire.messages import Frame
from stream.wire.mirror import Mirror


class Line(Client):
    """One of the connections. `first` counts the frames that it was the first to bring."""

    def __init__(self, feed: "RedundantFeed", url: str, token: Token, jitter: random.Random | None) -> None:
        super().__init__(url, token, jitter)
        self._feed = feed
        self.live = feed.live
        self.first = 0
        self.over: ClientError | None = None
        self.refused: dict[str, ClientError] = {}

    @property
    def online(self) -> bool:
        """Whether there is a connection at the moment."""
        return self._link is not None and self._online.is_set()

    async def begin(self) -> None:
        """Connect. ClientError if that fails; it is tried again and again all the same."""
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
        """Whether the five rules are to judge a message, or another line has brought what it tells, or will."""
        mirror: Mirror[Any] = live.mirror
        if message.epoch != mirror.epoch:
            return message.epoch > mirror.epoch    # a server may not know yet that a history is over
        if isinstance(message, Gap) or message.prev is None:
            return message.seq > mirror.seq and not (isinstance(live, Lossless) and self._is_backed(live.channel))
        if live.in_force and live.in_force.depth and message.prev < mirror.seq:
            return False    # how a window changed from there is not how it changed from here
        return message.seq >= mirror.seq

    def _is_backed(self, channel: str) -> bool:
        """Whether another line has all of a channel."""
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
    """The public channels of a market over several connections. Use it with `async with`, or `open` and `close` it."""

    def __init__(self, urls: Sequence[str], token: Token = None, jitter: random.Random | None = None) -> None:
        self.live: dict[str, Live[Any]] = {}
        self.lines = [Line(self, url, token, jitter) for url in urls]

    async def __aenter__(self) -> "RedundantFeed":
        await self.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect to all. ClientError if none can be reached; those that cannot be are tried again and again."""
        failures = await asyncio.gather(*(line.begin() for line in self.lines), return_exceptions=True)
        try:
            raise_if_all_failed(failures)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Leave all, and let every iteration end with Closed."""
        await asyncio.gather(*(line.close() for line in self.lines))

    @property
    def stale_since(self) -> int:
        """Until when what the feed shows is complete, in ns since 1970, if all servers say that they may have fallen behind; otherwise 0."""
        since = [line.stale_since for line in self.lines if line.online]
        return max(since) if all(since) and since else 0

    async def subscribe(self, channels: list[str], depth: int | None = None, interval_ms: int | None = None) -> list[Live[Any]]:
        """Listen to public channels, on all connections. RequestRefused or ConnectionLost if none of the servers has answered."""
        private = [channel for channel in channels if parse(channel).private]
        if private:
            raise ValueError(f"{', '.join(private)}: expected public channels; one's own come from a Client of the market itself")
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
        """Stop listening. Iterations over the channels end with Closed."""
        for channel in channels:
            live = self.live.pop(channel, None)
            if live:
                live.fail(Closed(f"{channel} was unsubscribed"))
        asked = [line.forget(channels) for line in self.lines]
        await asyncio.shield(asyncio.gather(*asked, return_exceptions=True))


def raise_if_all_failed(outcomes: Sequence[Any]) -> None:
    """Raise the first failure if nothing else came out, and what is no failure of a connection at once."""
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, ClientError):
            raise outcome
    if not outcomes:
        raise ClientError("none of the servers is connected at the moment")
    if all(isinstance(outcome, ClientError) for outcome in outcomes):
        raise outcomes[0]
