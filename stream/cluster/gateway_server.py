"""A gateway on a TCP port, once it has the engine's state."""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from stream.access.keys import Key
from stream.cluster.gateway import Gateway
from stream.cluster.link import GatewayEnd, HearNews, Wants
from stream.cluster.messages import Batch, Beat, Request, Snapshot, Status, ToldHistory
from stream.cluster.redis_client import connect, keys_of, without_password
from stream.cluster.redis_gateway import RedisGatewayEnd
from stream.cluster.replica import Replica
from stream.cluster.socket_link import SocketGatewayEnd
from stream.server.server import Server
from stream.settings.config import Config
from stream.system.clock import Clock

log = logging.getLogger("deltabook")

LOOK_AGAIN_S = 0.05
LAST_WORDS_S = 2.0


class RunningEnd(GatewayEnd, Protocol):
    """A gateway's end that reads and sends by itself."""

    status: Callable[[], Status] | None

    def start(self) -> None:
        """Begin."""
        ...

    async def stop(self) -> None:
        """End."""
        ...


class GatewayServer(Server):
    """A gateway on a TCP port. Made by `start_gateway`."""

    def __init__(self, config: Config, keys: Sequence[Key], clock: Clock, replica: Replica, end: RunningEnd) -> None:
        self._end = end
        config = replace(config, node=config.node or f"{socket.gethostname()}-{os.getpid()}")
        self.gateway = Gateway(config, list(keys), replica, secrets.randbits(63), self._send, clock.now())
        super().__init__(config, self.gateway, clock)
        end.status = lambda: self.gateway.status(config.node, clock.now())

    def _send(self, request: Request) -> None:
        self._end.send(request)

    async def end(self) -> None:
        """Send the engine what clients leave behind, such as the cancels that they asked for in this case."""
        self.gateway.say_goodbye()
        deadline = asyncio.get_running_loop().time() + LAST_WORDS_S
        while self.gateway.sequencer.waits and asyncio.get_running_loop().time() < deadline:
            self.wake()
            await asyncio.sleep(LOOK_AGAIN_S)
        await self._end.stop()


async def start_gateway(config: Config, keys: Sequence[Key], make_end: Callable[[HearNews, Wants], RunningEnd]) -> GatewayServer:
    """Start a gateway that listens. This waits for the engine's state, as long as it takes. Raises OSError if the port cannot be used."""
    clock = Clock()
    server: GatewayServer | None = None

    def hear(news: Batch | Beat | Snapshot | ToldHistory) -> None:
        if not isinstance(news, ToldHistory):
            replica.receive(news, clock.now())
        elif server:
            server.gateway.history.take(news)
        if server:
            server.wake()

    end = make_end(hear, lambda term, position: replica.wants(term, position))
    replica = Replica(config, end.ask, clock.now())
    end.start()
    try:
        while not replica.state or replica.stale(clock.now()):
            replica.tick(clock.now())
            await asyncio.sleep(LOOK_AGAIN_S)
        server = GatewayServer(config, keys, clock, replica, end)
        await server.start()
    except BaseException:
        await end.stop()
        raise
    return server


async def start_worker(config: Config, keys: Sequence[Key]) -> GatewayServer:
    """A gateway of the engine on a socket of this machine."""
    return await start_gateway(config, keys, partial(SocketGatewayEnd, Path(config.engine_socket)))


async def start_redis_gateway(config: Config, keys: Sequence[Key]) -> GatewayServer:
    """A gateway of the market in a Redis."""
    redis = connect(config.redis)
    log.info("waiting for the engine", extra={"redis": without_password(config.redis), "cluster": config.cluster})
    return await start_gateway(config, keys, partial(RedisGatewayEnd, redis, keys_of(config.cluster)))
