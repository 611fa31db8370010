"""Everything that can break between an engine and its clients, broken at random under orders; in the end all must be there, once, and right.

    python -m tests.cluster.faults --faults 100 --seed 1

Two nodes, one of which leads, three gateways and a Redis are real processes; each of ours has a proxy between it and Redis, and a clock of its
own. Traders send each request with a key, through any gateway, and again until they have its answer; others guard their orders at any gateway and
drop, or come and go and guard none; watchers follow the books at every gateway. The market is large from the start, so its state comes in parts.
"""

import argparse
import asyncio
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from redis.exceptions import RedisError
from rich.console import Console
from rich.progress import Progress

from engine import Side
from stream.client.client import Client
from stream.client.errors import ClientError
from stream.client.live import LiveBook
from stream.cluster.overview import look
from stream.cluster.redis_client import connect, keys_of
from stream.commands.directory import AccountOf, EndedConnection, GuardedConnection, Present
from stream.journal.files import Disk
from stream.journal.recovery import replay
from stream.wire.mirror import Verdict
from tests.cluster.fault_accounts import OLD_S, Guarded, Revoked, Steady, make_crowd
from tests.cluster.members import ORDERS_MAX, Member
from tests.kills import Answer, Trader
from tests.redis_servers import RedisServer, free_port
from tests.setting import CONFIG, NAMES
from tests.waiting import until
from tests.wall_clock import COMPILER

GATEWAYS = 3
TRADERS_OF_A_GATEWAY = 2
WORKERS_OF_A_TRADER = 5
GUARDED = 4
CLOCK_BACK_S, CLOCK_AHEAD_S = 60, 1800
"""How far a clock may be off: tokens are older than the one, and live longer than the other."""

REPLACED = 75
SETTLE_S = 20
GOODBYE_S = 2
"""Time for what a gateway says of the last connections to reach the engine."""

LEADING, STANDING_BY = "leader", "standby"


class Stage:
    """All that runs."""

    def __init__(self, folder: Path, seed: int, rate: float, orders: int) -> None:
        self.orders = orders
        self.chance = random.Random(seed)
        self.folder = folder
        self.rate = rate
        self.redis = RedisServer(folder / "redis", free_port(), "--appendonly", "yes", "--appendfsync", "everysec")
        self.nodes = [Member("a", "engine", folder, self.redis.port), Member("b", "standby", folder, self.redis.port)]
        self.gateways = [Member(f"gateway{i}", "gateway", folder, self.redis.port) for i in range(GATEWAYS)]
        self.traders: list[Trader] = []
        self.watchers: list[Client] = []
        self.guarded: list[Guarded] = []
        self.steady = Steady([])
        self.revoked = Revoked([], self.chance)
        self.let_in = 0
        self.interruptions: list[float] = []
        self.broke_at = 0.0
        self._client = connect(self.redis.url)

    async def start(self) -> None:
        self.redis.start()
        await asyncio.to_thread(make_crowd, self.nodes[0].journal, self.orders, ORDERS_MAX)
        await self.nodes[0].start()
        await self.leader()
        await self.nodes[1].start()
        for member in self.gateways:
            await member.start()
        for i, member in enumerate(self.gateways):
            await member.ready()
            rate = self.rate / GATEWAYS / TRADERS_OF_A_GATEWAY
            self.traders += [Trader(member.url, f"trader{i}.{n}", i * 100 + n, rate, OLD_S) for n in range(TRADERS_OF_A_GATEWAY)]
            self.watchers.append(Client(member.url))
        for client in self.clients:
            client.delay_s_max = 0.3    # or they would come more and more seldom
            await self._opened(client)
        for watcher in self.watchers:
            await watcher.subscribe([f"{kind}:{name}" for name in NAMES for kind in ("orderbook", "trades")], interval_ms=0)
        urls = [member.url for member in self.gateways]
        self.guarded = [Guarded(urls, number, self.chance.randrange(1 << 30), self.sizes) for number in range(GUARDED)]
        self.steady, self.revoked = Steady(urls), Revoked(urls, self.chance)
        await self.steady.place()

    async def _opened(self, client: Client) -> None:
        """Open a client, once its gateway takes it."""
        while True:
            try:
                await client.open()
                return
            except ClientError:
                await asyncio.sleep(0.1)

    def sizes(self, name: str, price: int) -> list[int]:
        """What each watcher sees of an instrument's bids at a price."""
        books = [watcher.live[f"orderbook:{name}"] for watcher in self.watchers]
        return [book.mirror.levels.size_at(Side.BUY, price) for book in books if isinstance(book, LiveBook)]

    @property
    def clients(self) -> list[Client]:
        return [*(trader.client for trader in self.traders), *self.watchers]

    async def leader(self) -> str:
        """The node that leads, once there is one and it gives signs of life."""
        before = None
        while True:
            try:
                found = await look(self._client, keys_of("market"))
                if before and found.leader and found.leader == before.leader and found.beat.number > before.beat.number:
                    return found.leader
                before = found
            except (RedisError, OSError):
                before = None
            await asyncio.sleep(0.05)

    async def node(self, which: str) -> Member:
        leads = await self.leader()
        self.broke_at = time.monotonic()
        return next(node for node in self.nodes if (node.name == leads) == (which == LEADING))

    async def answered(self) -> None:
        """Wait until every trader has had another answer."""
        before = [len(trader.answers) for trader in self.traders]
        await until(lambda: all(len(trader.answers) != count for trader, count in zip(self.traders, before, strict=True)))

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

    async def step_clock(self) -> None:
        """Have somebody's clock be wrong for a while, over a restart or not."""
        member = self.chance.choice([*self.nodes, *self.gateways])
        member.clock.set(self.chance.randrange(-CLOCK_BACK_S * 10**9, CLOCK_AHEAD_S * 10**9))
        await self._pause(0.1, 1)
        if self.chance.random() < 0.5:
            member.signal(signal.SIGKILL)
        await self._pause(0.1, 3)
        member.clock.set(0)

    async def revoke(self) -> None:
        """Nothing breaks, but in what follows."""
        await self.revoked.revoke()

    @property
    def faults(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            self.kill_redis, self.lose_redis, self.flush, self.stop_redis, self.kill_clients, self.fill_memory, self.kill_leader, self.stop_leader,
            self.hand_over, self.kill_standby, self.kill_gateway, self.stop_gateway, self.cut, self.silence,
            self.revoke, *[self.step_clock] * bool(COMPILER),
        ]

    async def _pause(self, least: float, most: float) -> None:
        await asyncio.sleep(self.chance.uniform(least, most))

    # How it ends

    async def settle(self) -> None:
        """Let everybody come to the same point."""
        for each in (*self.traders, *self.guarded, self.steady):
            each.stopping = True

    async def close_clients(self) -> None:
        """Have nobody be connected, and the engine know it."""
        for client in self.clients:
            await client.close()
        await asyncio.sleep(CONFIG.gateway_timeout_ms / 1000 + GOODBYE_S)

    async def stop(self) -> None:
        for member in (*self.gateways, *self.nodes[::-1]):
            await member.stop()
        await self._client.aclose()
        self.redis.stop()


async def campaign(stage: Stage, count: int, only: str, patience_s: float, console: Console) -> Counter[str]:
    """Run it; how often each fault was."""
    await stage.start()
    trading = [asyncio.create_task(trader.trade()) for trader in stage.traders for _ in range(WORKERS_OF_A_TRADER)]
    trading += [asyncio.create_task(each.trade()) for each in (*stage.guarded, stage.steady)]
    done: Counter[str] = Counter()
    with Progress(console=console, transient=True) as progress:
        for _ in progress.track(range(count), description="faults"):
            await stage.answered()
            fault = stage.chance.choice([each for each in stage.faults if not only or each.__name__ == only])
            done[fault.__name__] += 1
            stage.broke_at = time.monotonic()
            with (stage.folder / "faults.log").open("a") as log:
                print(time.strftime("%H:%M:%S", time.gmtime()), fault.__name__, file=log)
            await asyncio.wait_for(fault(), patience_s)
            try:
                await asyncio.wait_for(stage.answered(), patience_s)
            except TimeoutError:
                console.print(f"broken: no answers within {patience_s:.0f} seconds after {fault.__name__}")
                raise
            stage.interruptions.append(time.monotonic() - stage.broke_at)
    await stage.settle()
    await asyncio.wait_for(asyncio.gather(*trading), 2 * patience_s)
    return done


async def end_of(stage: Stage) -> tuple[str, list[list[int]], Counter[tuple[str, str]], Counter[Verdict]]:
    """Wait until every watcher has everything; who leads, their digests, how they resumed, and what their mirrors found."""
    leader = await stage.leader()
    deadline = time.monotonic() + SETTLE_S
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
    stage.let_in = await stage.revoked.let_in()
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
        account = directory[AccountOf(trader.name)]
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
        "guarded orders that outlived their connection": sum(len(each.outlived) for each in stage.guarded),
        "orders cancelled though nobody guarded them": sum(exchange.order(order) is None for order in stage.steady.orders),
        "remembered of connections that are gone": sum(isinstance(key, GuardedConnection | EndedConnection | Present) for key in directory),
        "sign-ins of those who are revoked": stage.let_in,
        "gaps": found[Verdict.GAP], "wrong books, repaired by a snapshot": found[Verdict.MISMATCH],
        **{f"resumed: {recovered}, {reason}": count for (recovered, reason), count in sorted(resumed.items())},
        "lives of guarded orders": sum(each.rounds for each in stage.guarded), "subjects revoked": len(stage.revoked.names),
        "nodes replaced": sum(status == REPLACED for node in stage.nodes for status in node.ends),
    }
    return figures, [what for what, count in list(figures.items())[2:13] if count]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=200, help="requests a second; all of them should be below 60,000 (default: %(default)s)")
    parser.add_argument("--orders", type=int, default=1_100_000, help="open orders at the start; default: %(default)s, 67 MiB of state")
    parser.add_argument("--patience", type=float, default=40, metavar="S", help="time for all to be well after a fault, in seconds (default: %(default)s)")
    parser.add_argument("--only", default="", metavar="NAME", help="only this fault, such as kill_leader")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave logs and journals in a new folder")
    options = parser.parse_args()
    console = Console(highlight=False)

    async def run(folder: Path) -> tuple[Stage, Counter[str], dict[str, int], list[str]]:
        stage = Stage(folder, options.seed, options.rate, options.orders)
        try:
            done = await campaign(stage, options.faults, options.only, options.patience, console)
            leader, digests, resumed, found = await end_of(stage)
            await stage.close_clients()
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
    console.print(*[f"  outlived: {what}" for each in stage.guarded for what in each.outlived], sep="\n")
    console.print(*([f"broken: {promise}" for promise in broken] or ["every promise was kept"]), sep="\n")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
