"""Everything that can break between an engine and its clients, broken at random under orders; in the end all must be there, once, and right.

    python -m tests.faults --faults 100 --seed 1

Two nodes, one of which leads, three gateways and a Redis are real processes; each of ours has a proxy between it and Redis. Traders send
each request with a key, through any gateway, and again until they have its answer; watchers follow the books at every gateway.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import uvloop
from redis.exceptions import RedisError
from rich.console import Console
from rich.progress import Progress

import stream.client
from stream.client import Client
from stream.cluster.overview import look
from stream.cluster.redis_client import connect, keys_of
from stream.journal.files import Disk
from stream.journal.recovery import replay
from stream.live import ClientError, LiveBook
from stream.mirror import Verdict
from tests.kills import Answer, Trader
from tests.proxy import Proxy
from tests.redis_servers import RedisServer, free_port
from tests.setting import CONFIG, NAMES, SECRET

GATEWAYS = 3
TRADERS_OF_A_GATEWAY = 2
WORKERS_OF_A_TRADER = 5
REPLACED = 75
LEADING, STANDING_BY = "leader", "standby"


class Member:
    """One process of ours, with its proxy and its folder."""

    def __init__(self, name: str, role: str, folder: Path, redis_port: int) -> None:
        self.name = name
        self.role = role
        self.port = 0
        self.url = ""
        self.proxy = Proxy(redis_port)
        self.journal = folder / name
        self.ends: list[int] = []
        self.log = folder / f"{name}.log"
        self._keeper: asyncio.Task[None] | None = None
        self._process: Process | None = None
        self._ready = asyncio.Event()

    async def start(self) -> None:
        """Begin to keep it running."""
        await self.proxy.start()
        self._keeper = asyncio.create_task(self._keep())

    async def ready(self) -> None:
        """Wait until it serves; of a node, until it runs."""
        await self._ready.wait()

    def _command(self) -> tuple[list[str], dict[str, str]]:
        settings = {"keys": [{"algorithm": "HS256", "key": SECRET}], "deposit": CONFIG.deposit, "assets": CONFIG.assets, "node": self.name}
        settings |= {"instruments": [msgspec.to_builtins(each, str_keys=True) for each in CONFIG.instruments], "orders_per_s": 100_000, "orders_burst": 100_000}
        settings |= {"handshakes_per_s": 10_000, "sign_ins_per_s": 10_000, "messages_per_s": 100_000, "journal_reserve_bytes": 0, "journal": str(self.journal)}
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in settings.items()}
        environment = os.environ | {f"DELTABOOK_{name.upper()}": text for name, text in texts.items()}
        address = ["--port", str(self.port), "--role", self.role, "--redis", f"redis://127.0.0.1:{self.proxy.port}"]
        return [sys.executable, "-u", "-m", "stream", "serve", *address, "--source", "none"], environment

    async def _keep(self) -> None:
        while True:
            command, environment = self._command()
            with self.log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, stderr=log)
            assert self._process.stdout
            async for line in self._process.stdout:
                if b"ws://" in line and not self.url:
                    self.url = line.decode().split()[1]
                    self.port = int(self.url.rpartition(":")[2].partition("/")[0])
                if b"ws://" in line or b"follows" in line:
                    self._ready.set()
            self.ends.append(await self._process.wait())
            self._ready.clear()
            self.role = "standby" if self.role == "engine" else self.role    # it must not begin another market

    def signal(self, number: int) -> None:
        """Send it a signal."""
        if self._process and self._process.returncode is None:
            self._process.send_signal(number)

    async def stop(self) -> None:
        """End it for good."""
        assert self._keeper
        self._keeper.cancel()
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        if self._process and self._process.returncode is None:
            try:
                await asyncio.wait_for(self._process.wait(), 15)
            except TimeoutError:
                self.signal(signal.SIGKILL)
        await self.proxy.stop()


class Stage:
    """All that runs."""

    def __init__(self, folder: Path, seed: int, rate: float) -> None:
        self.chance = random.Random(seed)
        self.folder = folder
        self.rate = rate
        self.redis = RedisServer(folder / "redis", free_port(), "--appendonly", "yes", "--appendfsync", "everysec")
        self.nodes = [Member("a", "engine", folder, self.redis.port), Member("b", "standby", folder, self.redis.port)]
        self.gateways = [Member(f"gateway{i}", "gateway", folder, self.redis.port) for i in range(GATEWAYS)]
        self.traders: list[Trader] = []
        self.watchers: list[Client] = []
        self.interruptions: list[float] = []
        self.broke_at = 0.0
        self._client = connect(self.redis.url)

    async def start(self) -> None:
        self.redis.start()
        await self.nodes[0].start()
        await self.leader()
        await self.nodes[1].start()
        for member in self.gateways:
            await member.start()
        for i, member in enumerate(self.gateways):
            await member.ready()
            rate = self.rate / GATEWAYS / TRADERS_OF_A_GATEWAY
            self.traders += [Trader(member.url, f"trader{i}.{n}", i * 100 + n, rate) for n in range(TRADERS_OF_A_GATEWAY)]
            self.watchers.append(Client(member.url))
        for client in self.clients:
            await client.open()
        for watcher in self.watchers:
            await watcher.subscribe([f"{kind}:{name}" for name in NAMES for kind in ("orderbook", "trades")], interval_ms=0)

    @property
    def clients(self) -> list[Client]:
        return [*(trader.client for trader in self.traders), *self.watchers]

    async def leader(self) -> str:
        """The node that leads, once there is one and it gives signs of life."""
        while True:
            try:
                found = await look(self._client, keys_of("market"))
                again = await look(self._client, keys_of("market"))
                if again.leader and again.beat.number > found.beat.number and again.leader == found.leader:
                    return again.leader
            except (RedisError, OSError):
                await asyncio.sleep(0.1)

    async def node(self, which: str) -> Member:
        leads = await self.leader()
        self.broke_at = time.monotonic()
        return next(node for node in self.nodes if (node.name == leads) == (which == LEADING))

    async def answered(self) -> None:
        """Wait until every trader has had another answer."""
        before = [len(trader.answers) for trader in self.traders]
        while any(len(trader.answers) == count for trader, count in zip(self.traders, before, strict=True)):
            await asyncio.sleep(0.02)

    async def _order(self, *words: str) -> None:
        """Have Redis do something, once it answers."""
        while True:
            try:
                await self._client.execute_command(*words)
                return
            except (RedisError, OSError):
                await asyncio.sleep(0.05)

    # What can break

    async def kill_redis(self) -> None:
        self.redis.kill()
        await self._pause(0.1, 2)
        self.redis.start()

    async def lose_redis(self) -> None:
        self.redis.kill()
        shutil.rmtree(self.redis.folder / "appendonlydir", ignore_errors=True)
        await self._pause(0.1, 1)
        self.redis.start()

    async def flush(self) -> None:
        await self._order("FLUSHALL")

    async def stop_redis(self) -> None:
        self.redis.signal(signal.SIGSTOP)
        await self._pause(0.1, 4)
        self.redis.signal(signal.SIGCONT)

    async def kill_clients(self) -> None:
        await self._order("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    async def fill_memory(self) -> None:
        await self._order("CONFIG", "SET", "maxmemory", "1mb")
        await self._pause(0.5, 2)
        await self._order("CONFIG", "SET", "maxmemory", "0")

    async def kill_leader(self) -> None:
        (await self.node(LEADING)).signal(signal.SIGKILL)

    async def stop_leader(self) -> None:
        node = await self.node(LEADING)
        node.signal(signal.SIGSTOP)
        await self._pause(0.1, 4)
        node.signal(signal.SIGCONT)

    async def hand_over(self) -> None:
        (await self.node(LEADING)).signal(signal.SIGTERM)

    async def kill_standby(self) -> None:
        (await self.node(STANDING_BY)).signal(signal.SIGKILL)

    async def kill_gateway(self) -> None:
        self.chance.choice(self.gateways).signal(signal.SIGKILL)

    async def stop_gateway(self) -> None:
        member = self.chance.choice(self.gateways)
        member.signal(signal.SIGSTOP)
        await self._pause(0.1, 3)
        member.signal(signal.SIGCONT)

    async def cut(self) -> None:
        member = self.chance.choice([*self.nodes, *self.gateways])
        member.proxy.cut()

    async def silence(self) -> None:
        """Half-open, or one way."""
        proxy = self.chance.choice([*self.nodes, *self.gateways]).proxy
        proxy.up, proxy.down = self.chance.choice([(False, False), (True, False), (False, True)])
        await self._pause(0.2, 4)
        proxy.heal()

    @property
    def faults(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            self.kill_redis, self.lose_redis, self.flush, self.stop_redis, self.kill_clients, self.fill_memory, self.kill_leader, self.stop_leader,
            self.hand_over, self.kill_standby, self.kill_gateway, self.stop_gateway, self.cut, self.silence,
        ]

    async def _pause(self, least: float, most: float) -> None:
        await asyncio.sleep(self.chance.uniform(least, most))

    # How it ends

    async def settle(self) -> None:
        """Let everybody come to the same point."""
        for trader in self.traders:
            trader.stopping = True

    async def stop(self) -> None:
        for client in self.clients:
            await client.close()
        for member in (*self.gateways, *self.nodes[::-1]):
            await member.stop()
        await self._client.aclose()
        self.redis.stop()


async def campaign(stage: Stage, count: int, only: str, console: Console) -> Counter[str]:
    """Run it; how often each fault was."""
    stream.client.DELAY_S_MAX = 0.3    # or the clients would come more and more seldom
    await stage.start()
    trading = [asyncio.create_task(trader.trade()) for trader in stage.traders for _ in range(WORKERS_OF_A_TRADER)]
    done: Counter[str] = Counter()
    with Progress(console=console, transient=True) as progress:
        for _ in progress.track(range(count), description="faults"):
            await stage.answered()
            fault = stage.chance.choice([each for each in stage.faults if not only or each.__name__ == only])
            done[fault.__name__] += 1
            stage.broke_at = time.monotonic()
            with (stage.folder / "faults.log").open("a") as log:
                print(time.strftime("%H:%M:%S", time.gmtime()), fault.__name__, file=log)
            await asyncio.wait_for(fault(), 40)
            try:
                await asyncio.wait_for(stage.answered(), 40)
            except TimeoutError:
                console.print(f"broken: no answers within 40 seconds after {fault.__name__}")
                raise
            stage.interruptions.append(time.monotonic() - stage.broke_at)
    await stage.settle()
    await asyncio.wait_for(asyncio.gather(*trading), 60)
    return done


async def end_of(stage: Stage) -> tuple[str, list[list[int]], Counter[tuple[str, str]], Counter[Verdict]]:
    """Wait until every watcher has everything; who leads, their digests, how they resumed, and what their mirrors found."""
    leader = await stage.leader()
    deadline = time.monotonic() + 20
    while True:
        for watcher in stage.watchers:
            await watcher.connected()
            try:
                await watcher.ping()
            except ClientError:
                continue
        await asyncio.sleep(0.5)
        books = [[live for live in watcher.live.values() if isinstance(live, LiveBook)] for watcher in stage.watchers]
        digests = [[live.mirror.levels.digest for live in each] for each in books]
        stale = any(watcher.stale_since for watcher in stage.watchers)
        if (not stale and all(each == digests[0] for each in digests)) or time.monotonic() > deadline:
            break
    resumed: Counter[tuple[str, str]] = Counter()
    found: Counter[Verdict] = Counter()
    for watcher, live in zip(stage.watchers, books, strict=True):
        resumed.update(watcher.resumed)
        for each in live:
            found.update({verdict: each.mirror.counts[verdict] for verdict in (Verdict.GAP, Verdict.MISMATCH)})
    return leader, digests, resumed, found


def tally(stage: Stage, leader: str, digests: list[list[int]], resumed: Counter[tuple[str, str]], found: Counter[Verdict]) -> tuple[dict[str, int], list[str]]:
    """The figures, and which promises were broken."""
    state = replay(Disk(), str(stage.folder / leader))
    assert state
    exchange, directory, results = state.state.exchange, state.state.directory, state.state.results
    lost = other = 0
    orders: Counter[int] = Counter()
    for trader in stage.traders:
        account = int.from_bytes(directory[f"account:{trader.name}"], "little")
        for key, answer in trader.answers.items():
            result = results.get((account, key))
            told: Answer | None = result and ((400 + result.reason,) if result.reason else (result.seq, result.order, result.remaining))
            lost += told is None
            other += told is not None and told != answer
            if len(answer) == 3 and trader.kinds[key] == "place":
                orders[answer[1]] += 1
    exchange.check()
    unbalanced = sum(
        sum(sum(exchange.balance(account, asset)) for account in range(exchange.accounts)) + exchange.fees(asset) != exchange.supply(asset)
        for asset in range(len(exchange.assets()))
    )
    truth = [book.levels.digest for book in exchange.books]
    figures = {
        "requests answered": sum(len(trader.answers) for trader in stage.traders), "sent again": sum(trader.again for trader in stage.traders),
        "acknowledged and lost": lost, "answered otherwise than carried out": other, "orders told twice": sum(count > 1 for count in orders.values()),
        "assets out of balance": unbalanced, "watchers with other books in the end": sum(each != truth for each in digests),
        "gaps": found[Verdict.GAP], "wrong books, repaired by a snapshot": found[Verdict.MISMATCH],
        **{f"resumed: {recovered}, {reason}": count for (recovered, reason), count in sorted(resumed.items())},
        "nodes replaced": sum(status == REPLACED for node in stage.nodes for status in node.ends),
    }
    return figures, [what for what, count in list(figures.items())[2:9] if count]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=200, help="requests a second; all of them should be below 60,000 (default: %(default)s)")
    parser.add_argument("--only", default="", metavar="NAME", help="only this fault, such as kill_leader")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave logs and journals in a new folder")
    options = parser.parse_args()
    console = Console(highlight=False)

    async def run(folder: Path) -> tuple[Stage, Counter[str], dict[str, int], list[str]]:
        stage = Stage(folder, options.seed, options.rate)
        try:
            done = await campaign(stage, options.faults, options.only, console)
            leader, digests, resumed, found = await end_of(stage)
        finally:
            await stage.stop()
        return stage, done, *tally(stage, leader, digests, resumed, found)

    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = (options.keep or Path(name)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        stage, done, figures, broken = uvloop.run(run(folder))
    console.print(f"{options.faults} faults in {time.monotonic() - began:.0f} s, seed {options.seed}")
    console.print(*(f"  {name:45} {count:>12,}" for name, count in sorted(done.items())), sep="\n")
    for what, count in figures.items():
        console.print(f"  {what:45} {count:>12,}")
    times = sorted(stage.interruptions)
    console.print(f"  from a fault until every trader had an answer: median {statistics.median(times):.2f} s, longest {times[-1]:.2f} s")
    console.print(*([f"broken: {promise}" for promise in broken] or ["every promise was kept"]), sep="\n")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
