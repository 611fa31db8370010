"""python-kraken-sdk, as it is on PyPI, with nothing set but URLs and a key: its books are the engine's, and it goes on after a crash of the server."""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from importlib.util import find_spec
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from stream.access import key_files
from stream.access.api_keys import secret_of
from stream.client.client import Client
from stream.client.counts import Lots, Ticks
from stream.dialects.face import start_dialects
from stream.server.market_server import MarketServer
from stream.settings.config import Config
from stream.sources.simulated import SimulatedSource
from stream.wire.scale import to_text
from tests.dialects.installed import ROOT
from tests.dialects.kraken_market import SHOWN
from tests.dialects.test_trading_clients import free_port
from tests.dialects.traders import MASTER, make_key
from tests.kills import ServerProcess
from tests.setting import CONFIG, token
from tests.sockets import run, serving

SECONDS = float(os.environ.get("DELTABOOK_SECONDS", "4"))
MESSAGES_MIN = 20

Book = list[Any]

pytestmark = pytest.mark.skipif(find_spec("kraken") is None, reason="python-kraken-sdk is not installed: `make dialects` installs it")


class Past:
    """The engine's best prices at each tick of the server at which they could be told: with their sizes, and with the sizes of their orders."""

    def __init__(self, server: MarketServer, instrument: str) -> None:
        self.told: dict[str, list[Book]] = {"book": [], "level3": []}
        self._book = server.market.exchange.book(instrument)
        self._seq = -1

    def tick(self, now: int) -> int:
        book, tick, lot = self._book, self._book.instrument.tick, self._book.instrument.lot
        if book.levels.seq != self._seq:
            self._seq = book.levels.seq
            sides = [list(zip(levels[::2], levels[1::2], strict=True)) for levels in book.levels.depth(SHOWN)]
            self.told["book"].append([[[to_text(price, tick), to_text(size, lot)] for price, size in levels] for levels in sides])
            self.told["level3"].append([
                [[to_text(price, tick), [to_text(order.displayed, lot) for order in book.queue(side, price)]] for price, _ in levels]
                for side, levels in enumerate(sides)
            ])
        return 1 << 62

    def keep_house(self, now: int) -> None:
        pass

    async def stop(self) -> None:
        pass


async def client(pair: str, port: int, key: str, secret: str, seconds: float, folder: Path) -> Process:
    """The SDK in a process of its own."""
    with (folder / "client").open("wb") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.dialects.client_kraken", pair, f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}", key, secret, str(seconds),
            cwd=ROOT, env=os.environ | {"NO_PROXY": "*"}, stdout=PIPE, stderr=log,
        )


def test_its_books_are_the_engines_after_each_message(tmp_path: Path) -> None:
    run(lambda: follow(tmp_path), SECONDS + 60)()


async def follow(folder: Path) -> None:
    async with serving(CONFIG, [SimulatedSource(1, 200)]) as server:
        past = Past(server, "ETH-USDT")
        server.followers.append(past)
        [face] = start_dialects({"kraken": 0}, server)
        key = make_key("alice", time.time_ns())
        server.market.authenticator.api_keys.take({key.id: key}, MASTER)
        process = await client("ETH/USDT", face.port, key.id, secret_of(key, MASTER), SECONDS, folder)
        out, _ = await process.communicate()
    assert process.returncode == 0, (folder / "client").read_text()
    for channel, books in past.told.items():
        told = [rest for kind, *rest in map(json.loads, out.splitlines()) if kind in (channel, "error")]
        assert len(told) >= MESSAGES_MIN, (folder / "client").read_text()
        at = 0
        for book in told:
            at = books.index(book, at)    # in order: each is what the engine had, later than the one before


def test_it_goes_on_after_a_crash_of_the_server(tmp_path: Path) -> None:
    run(lambda: crash(tmp_path), 120)()


async def crash(folder: Path) -> None:
    port, files = free_port(), {"api_keys": str(folder / "keys.jsonl"), "api_keys_master": str(folder / "master")}
    server, config = ServerProcess(folder, dialects={"kraken": port}, **files), Config(**files)    # type: ignore[arg-type]
    key, master = make_key("alice", time.time_ns()), key_files.make_master(config)
    key_files.add(config, key)
    process: Process | None = None

    async def place(url: str, price: int) -> None:
        async with Client(url, token("alice", time.time_ns())) as trader:
            await trader.place("ETH-USD", "buy", Ticks(price), Lots(5))

    async def told(best: str) -> None:
        """Wait until both books have had this best bid, with no error in between."""
        waiting = {"book", "level3"}
        while waiting:
            assert process
            assert process.stdout
            line = await process.stdout.readline()
            assert line, (folder / "client").read_text()
            kind, *sides = json.loads(line)
            assert kind != "error", sides
            if sides[0] and sides[0][0][0] == best:
                waiting.discard(kind)

    try:
        await place(await server.start(), 100)
        process = await client("ETH/USD", port, key.id, secret_of(key, master), 60, folder)
        await told("1.00")
        await server.end(SIGKILL)
        url = await server.start()
        await told("1.00")
        await place(url, 101)
        await told("1.01")
    finally:
        if process and process.returncode is None:
            process.kill()
            await process.wait()
        await server.end(SIGKILL)
