"""Nodes and gateways of one market over a real Redis, all in the test's event loop."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from stream.access.keys import key_of
from stream.client.client import Client
from stream.client.counts import Lots, Ticks
from stream.client.errors import ClientError
from stream.cluster.engine_server import EngineServer, Node
from stream.cluster.gateway_server import GatewayServer, start_redis_gateway
from stream.settings.config import Config
from stream.wire.messages import Done
from tests.setting import CONFIG, SECRET, token
from tests.waiting import until

KEYS = [key_of("HS256", SECRET)]
QUICK = {"port": 0, "close_timeout_s": 1, "lease_ms": 400, "link_stale_ms": 1000, "drain_timeout_s": 1, "return_window_ms": 50}


class RunningNode:
    """A node that follows, and leads if it may."""

    def __init__(self, config: Config) -> None:
        self.stopped = asyncio.Event()
        self.node = Node(config, KEYS, list, self.stopped)
        self.server: EngineServer | None = None
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        self.server = await self.node.follow()
        if self.server:
            await self.stopped.wait()
            await self.node.stop()

    @property
    def leads(self) -> bool:
        return self.server is not None and not self.stopped.is_set()

    async def stop(self) -> None:
        """Have it leave, as a signal would."""
        self.stopped.set()
        await asyncio.wait_for(self.task, 10)


class RedisMarket:
    """A market in a folder, over the Redis at a URL."""

    def __init__(self, folder: Path, url: str, **changes: Any) -> None:
        self.folder = folder
        self.config = msgspec.structs.replace(CONFIG, redis=url, **(QUICK | changes))
        self.nodes: list[RunningNode] = []
        self.gateways: list[GatewayServer] = []
        self.clients: list[Client] = []

    async def node(self, name: str, role: str = "engine") -> RunningNode:
        """Another node; its journal is in a folder of its name."""
        config = msgspec.structs.replace(self.config, journal=str(self.folder / name), node=name, role=role)
        self.nodes.append(RunningNode(config))
        return self.nodes[-1]

    async def leader(self) -> RunningNode:
        """The node that leads, once there is one."""
        await until(lambda: any(node.leads for node in self.nodes))
        return next(node for node in self.nodes if node.leads)

    async def gateway(self) -> GatewayServer:
        """Another gateway, once it has the engine's state."""
        config = msgspec.structs.replace(self.config, role="gateway")
        self.gateways.append(await asyncio.wait_for(start_redis_gateway(config, KEYS), 10))
        return self.gateways[-1]

    async def client(self, server: GatewayServer, subject: str = "") -> Client:
        """A client of a gateway."""
        self.clients.append(Client(f"ws://127.0.0.1:{server.port}/v1", token(subject, time.time_ns()) if subject else None))
        await self.clients[-1].open()
        if subject:
            await self.clients[-1].orders()    # answered when the account is there
        return self.clients[-1]

    async def close(self) -> None:
        """Clients first, then gateways, then nodes; each of them, whatever the others do."""
        async with AsyncExitStack() as stack:
            for stop in (*(node.stop for node in self.nodes), *(server.stop for server in self.gateways), *(client.close for client in self.clients)):
                stack.push_async_callback(stop)


@asynccontextmanager
async def market(folder: Path, url: str, gateways: int = 2, **changes: Any) -> AsyncIterator[RedisMarket]:
    """An engine and its gateways."""
    there = RedisMarket(folder, url, **changes)
    try:
        await there.node("a")
        for _ in range(gateways):
            await there.gateway()
        yield there
    finally:
        await there.close()


async def placed(client: Client, price: int) -> Done:
    """An offer of 5 lots, sent until it is answered."""
    while True:
        with suppress(ClientError):
            return await client.place("BTC-USD", "sell", Ticks(price), Lots(5), key=price)
        await asyncio.sleep(0.01)
