"""A relay on a TCP port, and its connection to the server that it relays."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from stream.access.keys import Key
from stream.client.errors import ClientError
from stream.client.handshake import shown
from stream.client.kept_connection import KeptConnection, Link
from stream.relay.relay import Relay
from stream.relay.upstream import Upstream
from stream.server.server import Server
from stream.settings.config import Config
from stream.system.clock import Clock
from stream.system.tasks import once
from stream.wire.fields import Message
from stream.wire.messages import Answer, Welcome

log = logging.getLogger("deltabook")

DELAY_S_MAX = 5.0
"""The longest time between two attempts to connect."""


class RelayLink(KeptConnection):
    """Carries messages between an `Upstream` and the server at the configured address; `heard` is called after each."""

    def __init__(self, config: Config, upstream: Upstream, clock: Callable[[], int], heard: Callable[[], None]) -> None:
        super().__init__(config.upstream, self._read_token if config.upstream_token_file else None, delay_s_max=DELAY_S_MAX)
        self._token_file = Path(config.upstream_token_file)
        self._upstream = upstream
        self.clock = clock
        self._heard = heard

    def open(self) -> None:
        """Connect, and come back, until `close`."""
        self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Leave."""
        await self._leave()

    async def _connect(self) -> Link:
        try:
            return await super()._connect()
        except ClientError as error:
            log.warning("the upstream cannot be reached", extra={"url": shown(self.url), "reason": str(error)})
            raise

    def _read_token(self) -> str:
        return self._token_file.read_text().strip()

    def _hear(self, message: Answer) -> None:
        if isinstance(message, Welcome):
            log.info("connected to the upstream", extra={"url": shown(self.url), "server": message.server})
            self._upstream.linked(self._say, self.clock(), self.allowance)
        else:
            self._upstream.receive(message, self.clock())
        self._heard()

    def _say(self, message: Message) -> None:
        with suppress(ClientError):    # the connection is gone, or will be
            self._send(message)

    async def _returned(self) -> None:
        """What there is to do begins with the welcome."""

    def _lose(self, error: ClientError) -> None:
        log.warning("the connection to the upstream was lost", extra={"url": shown(self.url), "reason": str(error)})
        self._upstream.unlinked()
        self._heard()

    def _fail(self, error: ClientError) -> None:
        self._upstream.failure = f"the upstream wants no more connections: {error}"
        log.error("the upstream told this relay not to connect again", extra={"url": shown(self.url), "reason": str(error)})


class RelayServer(Server):
    """A relay on a TCP port."""

    def __init__(self, config: Config, keys: Sequence[Key] = ()) -> None:
        clock = Clock()
        self.relay = Relay(config, list(keys), clock.now())
        super().__init__(config, self.relay, clock)
        self.links: dict[Upstream, RelayLink] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def keep(self) -> None:
        """Have a connection for each that is wanted, and no other one."""
        for upstream in self.relay.upstreams:
            if upstream not in self.links:
                self.links[upstream] = RelayLink(self.config, upstream, self.clock.now, self.wake)
                self.links[upstream].open()
        for upstream in self.links.keys() - set(self.relay.upstreams):
            task = once("the end of a link", self.links.pop(upstream).close())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def end(self) -> None:
        await asyncio.gather(*(link.close() for link in self.links.values()), *self._ending)
