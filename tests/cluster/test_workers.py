"""Several processes on one port and one engine behind them: what clients see, and what becomes of them when a worker dies."""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import msgspec
import pytest

from stream.access.keys import key_of
from stream.client.client import Client
from stream.client.counts import Lots, Ticks
from stream.cluster.messages import Beat, News
from stream.cluster.socket_link import SocketEngineEnd, SocketGatewayEnd
from stream.cluster.workers import Workers
from stream.settings.config import KeyConfig, as_environment
from tests.setting import CONFIG, SECRET, token
from tests.sockets import get, run
from tests.waiting import until


class Running(NamedTuple):
    """The command, the port of its workers, that of the engine's pages, and those of others that it names."""

    process: asyncio.subprocess.Process
    port: int
    engine_port: int
    others: dict[str, int]

    def workers(self) -> list[int]:
        """The workers' process ids."""
        return [int(word) for word in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]


@asynccontextmanager
async def serving(folder: Path, **changes: Any) -> AsyncIterator[Running]:
    settings = {"port": 0, "workers": 2, "journal": str(folder / "journal"), "history": str(folder / "history"), "keys": (KeyConfig("HS256", SECRET),)}
    config = msgspec.structs.replace(CONFIG, **settings | {"drain_timeout_s": 1, "return_window_ms": 50} | changes)
    process = await asyncio.create_subprocess_exec(sys.executable, "-u", "-m", "stream", "serve", env=os.environ | as_environment(config), stdout=PIPE)
    ports: dict[str, int] = {}
    assert process.stdout
    line = ""
    while "/metrics" not in line:
        line = (await process.stdout.readline()).decode()
        assert line
        if "127.0.0.1:" in line:
            ports[line.split()[0]] = int(line.rpartition("127.0.0.1:")[2].partition("/")[0])
    *_, engine_port = ports.values()
    try:
        yield Running(process, ports["WebSocket"], engine_port, ports)
    finally:
        process.terminate()
        assert await process.wait() == 0


async def client_of(port: int, subject: str) -> Client:
    """A client of one of the workers, once any listens."""
    while True:
        client = Client(f"ws://127.0.0.1:{port}/v1", token(subject, time.time_ns()))
        try:
            await client.open()
            await client.orders()
            return client
        except Exception:
            await client.close()
            await asyncio.sleep(0.05)


def workers_of(folder: Path, port: int = 0) -> Workers:
    config = msgspec.structs.replace(CONFIG, port=port, workers=2, journal=str(folder), keys=(KeyConfig("HS256", SECRET),), drain_timeout_s=1)
    return Workers(config, [key_of("HS256", SECRET)], [])


def test_workers_that_are_still_being_started_leave_too(tmp_path: Path) -> None:
    @run
    async def scene() -> None:
        workers = workers_of(tmp_path)
        await workers.start()
        await asyncio.sleep(0)    # the processes are on their way
        await asyncio.wait_for(workers.stop(), 10)
    scene()


def test_two_markets_do_not_share_a_port(tmp_path: Path) -> None:
    @run
    async def scene() -> None:
        async with serving(tmp_path / "one") as there:
            await (await client_of(there.port, "alice")).close()    # somebody listens
            other = workers_of(tmp_path / "two", there.port)
            with pytest.raises(OSError, match="in use"):
                await other.start()
            await other.stop()
    scene()


def test_a_worker_goes_on_after_an_answer_that_failed(tmp_path: Path) -> None:
    heard = []

    def hear(news: News) -> None:
        heard.append(news)
        if len(heard) == 2:
            raise ExceptionGroup("answers to commands", [ValueError("of one client")])

    class Leading:
        gone: ClassVar[set[int]] = set()

        def beat(self) -> Beat:
            return Beat(1, 1, len(heard), 0)

    @run
    async def scene() -> None:
        engine, worker = SocketEngineEnd(tmp_path / "engine"), SocketGatewayEnd(tmp_path / "engine", hear, lambda term, position: True)
        await engine.start(Leading())
        worker.start()
        await until(lambda: len(heard) > 3)
        await worker.stop()
        await engine.stop()
    scene()


def test_workers_have_the_engines_history_and_its_candles(tmp_path: Path) -> None:
    @run
    async def scene() -> None:
        async with serving(tmp_path) as there:
            clients = [await client_of(there.port, subject) for subject in ("alice", "bob", "alice", "alice")]
            placed = await clients[0].place("BTC-USD", "sell", Ticks(100), Lots(5), client_id=7)
            await clients[1].place("BTC-USD", "buy", Ticks(100), Lots(2))
            for client in clients[2:]:
                [order] = (await client.order_history()).orders
                assert (order.order, order.client_id) == (placed.order, 7)
            [fill] = (await clients[1].trade_history()).trades
            assert (fill.size, fill.liquidity) == (Decimal("0.0002"), "taker")
            [candle] = (await clients[1].candles("BTC-USD", "1M")).candles
            assert (candle.size, candle.close) == (Decimal("0.0002"), Decimal("1.00"))
            for client in clients:
                await client.close()
    scene()


def test_clients_of_different_workers_trade_and_go_on_when_one_dies(tmp_path: Path) -> None:
    @run
    async def scene() -> None:
        async with serving(tmp_path) as there:
            clients = [await client_of(there.port, f"trader{number}") for number in range(6)]
            books = [await client.orderbook("BTC-USD", interval_ms=0) for client in clients]
            for number, client in enumerate(clients):
                await client.place("BTC-USD", "sell", Ticks(100 + number), Lots(5))
            everything = [value for number in range(6) for value in (100 + number, 5)]
            await until(lambda: all(book.mirror.depth()[1] == everything for book in books))
            workers = there.workers()
            assert len(workers) == 2
            os.kill(workers[0], signal.SIGKILL)
            await until(lambda: len(there.workers()) == 2 and workers[0] not in there.workers())
            for client in clients:
                await client.connected()
                await client.place("BTC-USD", "buy", Ticks(99), Lots(1), key=7)
            await until(lambda: all(book.mirror.depth()[0] == [99, 6] and book.verified for book in books))
            assert all(reason in ("new", "patch", "current", "ahead") for client in clients for _, reason in client.resumed)
            head, body = await get(there.engine_port, "/metrics")
            assert " 200 " in head
            assert b"deltabook_link_gateways" in body
            for client in clients:
                await client.close()
    scene()
