"""Gateways that leave one after the other, under orders: what their clients see of it, and what becomes of orders that are guarded."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from stream.client.client import Client
from stream.client.counts import Lots, Ticks
from stream.client.errors import ClientError
from stream.client.live import LiveBook
from stream.commands.directory import GracePeriod, GuardedConnection
from stream.wire.fields import Message
from stream.wire.messages import Leaving
from tests.cluster.redis_cluster import market
from tests.proxy import Proxy
from tests.redis_servers import RedisServer, needs_redis
from tests.setting import token
from tests.sockets import run
from tests.waiting import until

pytestmark = needs_redis

RETURN_MS = 1000
HANDSHAKE_S = 5
"""What a busy machine may take to let a client in."""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis").start()
    yield server
    server.stop()


class Balancer(Proxy):
    """One address for several servers: each connection goes to the next one that takes it."""

    def __init__(self) -> None:
        super().__init__(0)
        self.targets: list[int] = []

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.targets.append(self.targets.pop(0))
        self.target = self.targets[-1]
        await super()._accept(reader, writer)


@asynccontextmanager
async def balanced() -> AsyncIterator[Balancer]:
    balancer = Balancer()
    await balancer.start()
    try:
        yield balancer
    finally:
        await balancer.stop()


class Watcher(Client):
    """A client that notes when it was told to leave, and how long it then was away."""

    def __init__(self, port: int, subject: str) -> None:
        super().__init__(f"ws://127.0.0.1:{port}/v1", token(subject, time.time_ns()))
        self.told_at = 0.0
        self.window_s = 0.0
        self.away_s: list[float] = []
        self.on_connection(self._note)

    def _hear(self, message: Message) -> None:
        if isinstance(message, Leaving):
            self.told_at, self.window_s = time.monotonic(), message.return_ms / 1000
        super()._hear(message)

    def _note(self, lost: ClientError | None) -> None:
        if not lost and self.told_at:
            self.away_s.append(time.monotonic() - self.told_at)
            self.told_at = 0.0


class Trader:
    """Places orders one after the other, each until it has its answer."""

    def __init__(self, client: Watcher) -> None:
        self.client = client
        self.answers: list[int] = []
        self._task = asyncio.create_task(self._trade())

    async def _trade(self) -> None:
        while not self.client.closed:
            key = len(self.answers) + 1
            with suppress(ClientError):
                await asyncio.sleep(0)
                await self.client.connected()
                done = await self.client.place("BTC-USD", "sell" if key % 2 else "buy", Ticks(100), Lots(1), key=key)
                self.answers.append(done.order)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def test_a_rolling_restart_of_all_gateways_costs_patches(tmp_path: Path, redis: RedisServer) -> None:
    @run
    async def scene() -> None:
        async with balanced() as balancer, market(tmp_path, redis.url, gateways=3, return_window_ms=RETURN_MS, account_events_kept=100_000) as there:
            balancer.targets = [server.port for server in there.gateways]
            clients = [Watcher(balancer.port, f"client{number % 3}") for number in range(9)]
            there.clients += clients
            books: list[LiveBook] = []
            for client in clients:
                await client.open()
                await client.orders()
                books.append(await client.orderbook("BTC-USD", interval_ms=0))
            traders = [Trader(client) for client in clients[:3]]
            await until(lambda: all(len(trader.answers) > 10 for trader in traders))    # all gateways keep the accounts' events
            for leaving in list(there.gateways):
                answered = [len(trader.answers) for trader in traders]
                away = [len(client.away_s) + bool(client.told_at) for client in clients]
                balancer.targets.remove(leaving.port)
                there.gateways.remove(leaving)
                connected = len(leaving.venue.sessions)
                await leaving.stop()
                balancer.targets.append((await there.gateway()).port)
                await until(lambda before=away, expected=connected: sum(len(client.away_s) for client in clients) == sum(before) + expected)
                await until(lambda before=answered: all(len(trader.answers) > count for trader, count in zip(traders, before, strict=True)))
            for trader in traders:
                await trader.stop()
            engine = (await there.leader()).server.engine
            levels = engine.exchange.book("BTC-USD").levels
            await until(lambda: all(book.verified and book.mirror.levels.digest == levels.digest for book in books))
            away_s = [seconds for client in clients for seconds in client.away_s]
            assert len(away_s) >= len(clients)
            assert max(away_s) <= RETURN_MS / 1000 + HANDSHAKE_S
            assert all(client.window_s in (0, RETURN_MS / 1000) for client in clients)
            assert [client.resumed for client in clients if any(key[0] == "snapshot" and key[1] != "new" for key in client.resumed)] == []
            assert all(client.resumed["snapshot", "new"] == 2 for client in clients)
            for trader in traders:
                assert len(set(trader.answers)) == len(trader.answers)
            asked = sum(len(trader.answers) for trader in traders)
            assert asked <= len(engine.sequencer.results) <= asked + len(traders)
    scene()


def test_a_gateway_that_leaves_cancels_what_is_guarded_before_it_is_gone(tmp_path: Path, redis: RedisServer) -> None:
    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url, gateways=1) as there:
            alice, bob = [await there.client(there.gateways[0], subject) for subject in ("alice", "bob")]
            await alice.cancel_on_disconnect("connection")
            await bob.cancel_on_disconnect("session", 60_000)
            for client in (alice, bob):
                await client.place("BTC-USD", "sell", Ticks(100), Lots(5))
            redis.signal(signal.SIGSTOP)    # it does not answer at once
            asyncio.get_running_loop().call_later(0.3, redis.signal, signal.SIGCONT)
            await there.gateways.pop().stop()
            engine = (await there.leader()).server.engine
            assert engine.exchange.order_count == 1
            assert [type(key) for key in engine.sequencer.directory if isinstance(key, GuardedConnection | GracePeriod)] == [GracePeriod]
    scene()
