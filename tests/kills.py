"""`kill -9` of a real server at random moments, under orders over real sockets; in the end the journal is the judge.

    python -m tests.kills --kills 100 --seed 1

Traders send every request with a key, and again with the same one until they have its answer. Watchers follow the books through every
crash. Afterwards the journal is replayed from its beginning: every answer must be in it, each request once, and no unit of money made or lost.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from rich.console import Console
from rich.progress import Progress

from stream.client.client import Client
from stream.client.counts import Lots, Ticks
from stream.client.errors import ClientError, RequestRefused
from stream.commands.directory import AccountOf
from stream.commands.results import result_of
from stream.journal.files import Disk
from stream.journal.format import Kind, Record, decode_keyed
from stream.journal.recovery import replay
from stream.journal.snapshots import State
from stream.wire.codes import ErrorCode
from stream.wire.mirror import Verdict
from tests.setting import CONFIG, NAMES, SECRET, token

TRADERS = 5
WORKERS = 20
"""Requests that a trader has under way at most."""
WATCHERS = 10
TRIES_MAX = 1000

PASSING = {ErrorCode.TOO_MANY_REQUESTS, ErrorCode.OUTCOME_UNKNOWN, ErrorCode.NOT_SIGNED_IN, ErrorCode.NO_ENGINE, ErrorCode.TOO_LATE}
"""Refusals of now: to be sent again."""

Answer = tuple[int, ...]
"""What a client was told: a sequence and an order, or the number of an error."""


class ServerProcess:
    """The server's process, and its folder."""

    def __init__(self, folder: Path, **changes: object) -> None:
        self.journal = str(folder / "journal")
        self.port = 0
        self.log = folder / "log"
        self._process: Process
        settings: dict[str, Any] = {"keys": [{"algorithm": "HS256", "key": SECRET}], "deposit": CONFIG.deposit, "assets": CONFIG.assets}
        settings |= {"instruments": [msgspec.to_builtins(each, str_keys=True) for each in CONFIG.instruments], "journal": self.journal}
        settings |= {"orders_per_s": 100_000, "orders_burst": 100_000, "handshakes_per_s": 10_000, "messages_per_s": 100_000, "journal_reserve_bytes": 0}
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in (settings | changes).items()}
        self.environment = os.environ | {f"DELTABOOK_{name.upper()}": text for name, text in texts.items()}

    async def start(self) -> str:
        """Start, on the port of the last time; where it is reached."""
        command = [sys.executable, "-u", "-m", "stream", "serve", "--port", str(self.port), "--source", "none"]
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*command, env=self.environment, stdout=PIPE, stderr=log)
        assert self._process.stdout
        async for line in self._process.stdout:
            if b"ws://" in line:
                url = line.decode().split()[1]
                self.port = int(url.rpartition(":")[2].partition("/")[0])
                return url
        raise RuntimeError("the server did not start")

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    async def end(self, number: int) -> int:
        """End it with a signal; its exit status."""
        self._process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        """Wait until it has ended; its exit status."""
        return await self._process.wait()


class Trader:
    """One account's orders, a note of every answer, and how often a request had to be sent again."""

    def __init__(self, url: str, name: str, seed: int, rate: float, old_s: int = 0) -> None:
        self.name = name
        self.client = Client(url, token(name, time.time_ns() - old_s * 10**9))
        self.answers: dict[int, Answer] = {}
        self.kinds: dict[int, str] = {}
        self.again = 0
        self.stopping = False
        self._random = random.Random(seed)
        self._pause = WORKERS / rate
        self._key = 0
        self._open: list[int] = []

    async def trade(self) -> None:
        """Until it is told to stop."""
        while not self.stopping:
            began = time.monotonic()
            self._key += 1
            key = self._key
            request = self._draw(key)
            self.kinds[key] = request[0]
            self.answers[key] = await self._insist(key, request)
            await asyncio.sleep(max(0.0, self._pause - (time.monotonic() - began)))

    def _draw(self, key: int) -> tuple[str, tuple[object, ...]]:
        chance = self._random
        if self._open and chance.random() < 0.45:
            order = self._open.pop(chance.randrange(len(self._open)))
            return ("cancel", (order,)) if chance.random() < 0.7 else ("reduce", (order, Lots(1)))
        return "place", (chance.choice(NAMES), chance.choice(("buy", "sell")), Ticks(1000 + chance.randrange(-400, 401)), Lots(chance.randrange(1, 50)))

    async def _insist(self, key: int, request: tuple[str, tuple[object, ...]]) -> Answer:
        """Send a request until it is answered."""
        kind, fields = request
        for _ in range(TRIES_MAX):
            try:
                done = await getattr(self.client, kind)(*fields, key=key)
            except RequestRefused as refused:
                if refused.code not in PASSING:
                    return (refused.code,)
                self.again += 1
                await asyncio.sleep(0.01)
            except ClientError:
                self.again += 1
                await self.client.connected()
            else:
                if done.remaining_lots:
                    self._open.append(done.order)
                return done.seq, done.order, done.remaining_lots
        raise RuntimeError(f"no answer to {kind} {fields}")


class Judge:
    """What the journal says became of every request with a key."""

    def __init__(self) -> None:
        self.answers: dict[tuple[int, int], list[Answer]] = {}

    def visit(self, state: State, record: Record | None) -> None:
        if record and record.kind == Kind.KEYED_COMMANDS:
            for place, account, key in decode_keyed(record.payload)[0]:
                result = result_of(state.exchange, place)
                answer = (400 + result.reason,) if result.reason else (result.seq, result.order, result.remaining)
                self.answers.setdefault((account, key), []).append(answer)


async def campaign(folder: Path, kills: int, seed: int, rate: float, console: Console) -> tuple[list[Trader], list[Client]]:
    """Run it; the traders and the watchers as they were in the end."""
    chance = random.Random(seed)
    server = ServerProcess(folder)
    url = await server.start()
    traders = [Trader(url, f"trader{i}", seed + i, rate / TRADERS) for i in range(TRADERS)]
    watchers = [Client(url) for _ in range(WATCHERS)]
    for client in (*(trader.client for trader in traders), *watchers):
        client.delay_s_max = 0.2    # or they would come more and more seldom to a server that dies every second
        await client.open()
    for i, watcher in enumerate(watchers):
        await watcher.subscribe([f"orderbook:{NAMES[i % 2]}", f"trades:{NAMES[i % 2]}"], interval_ms=0)
    trading = [asyncio.create_task(trader.trade()) for trader in traders for _ in range(WORKERS)]
    with Progress(console=console, transient=True) as progress:
        for _ in progress.track(range(kills), description="kills"):
            await asyncio.sleep(0.3 + chance.random())
            assert await server.end(signal.SIGKILL) == -signal.SIGKILL
            await server.start()
            await asyncio.gather(*(trader.client.connected() for trader in traders))
    for trader in traders:
        trader.stopping = True
    await asyncio.gather(*trading)
    await asyncio.gather(*(watcher.connected() for watcher in watchers))
    for watcher in watchers:
        await watcher.ping()
    for client in (*(trader.client for trader in traders), *watchers):
        await client.close()
    status = await server.end(signal.SIGTERM)
    assert status == 0, f"the server's exit status is {status}"
    return traders, watchers


def tally(folder: Path, traders: list[Trader], watchers: list[Client]) -> tuple[dict[str, int], list[str]]:
    """The figures, and which promises were broken."""
    judge = Judge()
    found = replay(Disk(), str(folder / "journal"), None, judge.visit, from_start=True)
    assert found
    exchange, directory = found.state.exchange, found.state.directory
    lost = doubled = other = 0
    for i, trader in enumerate(traders):
        account = directory[AccountOf(f"trader{i}")]
        for key, answer in trader.answers.items():
            entries = judge.answers.get((account, key), [])
            lost += not entries
            doubled += len(entries) > 1
            other += bool(entries) and entries[0] != answer
    exchange.check()
    assets = range(len(exchange.assets()))
    unbalanced = sum(
        sum(sum(exchange.balance(account, asset)) for account in range(exchange.accounts)) + exchange.fees(asset) != exchange.supply(asset) for asset in assets
    )
    books = [live.mirror for watcher in watchers for live in watcher.live.values() if live.channel.startswith("orderbook:")]
    wrong = sum(mirror.counts[Verdict.GAP] + mirror.counts[Verdict.MISMATCH] for mirror in books)
    digests = {f"orderbook:{book.instrument.name}": book.levels.digest for book in exchange.books}
    behind = sum(mirror.levels.digest != digests[mirror.channel] for mirror in books)
    resumed: Counter[tuple[str, str]] = Counter()
    for watcher in watchers:
        resumed.update(watcher.resumed)
    del resumed["snapshot", "new"]    # the first time
    patched = sum(count for (recovered, _), count in resumed.items() if recovered != "snapshot")
    figures = {
        "requests answered": sum(len(trader.answers) for trader in traders), "sent again": sum(trader.again for trader in traders),
        "acknowledged and lost": lost, "carried out twice": doubled, "answered otherwise than carried out": other, "assets out of balance": unbalanced,
        "gaps and wrong books": wrong, "books not the engine's in the end": behind, "channels resumed by a patch, or as they were": patched,
        **{f"... by a snapshot, {reason}": count for (recovered, reason), count in resumed.items() if recovered == "snapshot"},
        "records in the journal": found.state.seq, "events": exchange.seq,
    }
    return figures, [what for what, count in list(figures.items())[2:8] if count]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=5000, help="requests a second (default: %(default)s)")
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory(dir=".") as name:
        began = time.monotonic()
        traders, watchers = uvloop.run(campaign(Path(name).resolve(), options.kills, options.seed, options.rate, console))
        seconds = time.monotonic() - began
        figures, broken = tally(Path(name), traders, watchers)
    console.print(f"{options.kills} kills in {seconds:.0f} s, seed {options.seed}")
    for what, count in figures.items():
        console.print(f"  {what:45} {count:>12,}")
    console.print(*([f"broken: {promise}" for promise in broken] or ["every promise was kept"]), sep="\n")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
