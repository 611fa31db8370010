"""Whether honest clients are served while others attack: a real server, real sockets, a mix of attacks out of a seed.

Honest clients place and cancel orders and follow every book, first alone and then under the attacks of `benchmarks.attackers`, which come over
IPv4, over IPv6 at the administrators' port, and through a proxy. Every honest request must be answered, their p99 stay within 10 ms or 3
times of the quiet phase's, every book be right, everybody get in who has a good token, the first request's key be remembered, the server's memory stay within
twice, and nothing be logged as an error. The server has a core of its own; the attackers have the honest clients' one, at a lower priority.
Exits with 1 if a promise is broken. Needs Linux.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

import jwt
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.attacked import Attacked, serving
from benchmarks.attackers import ATTACKS, INSTRUMENTS
from benchmarks.machine import describe, processor_ns, resident
from stream.client.client import Client
from stream.client.counts import Lots, Ticks
from stream.client.errors import ClientError
from stream.client.live import LiveBook
from stream.wire.mirror import Verdict

SECRET = "a key of the benchmark's that is long enough"
ORDER_PAUSE_S = 0.02
NEWCOMER_PAUSE_S = 0.1
LATENCY_RATIO_MAX = 3
LATENCY_US_MAX = 10_000
MEMORY_RATIO_MAX = 2


class Phase(NamedTuple):
    """What the honest clients saw for a while. Latencies in us, memory in bytes, `server_share` of one core."""

    requests: int
    unanswered: int
    p50: float
    p99: float
    worst: float
    newcomers: int
    refused: int
    newcomer_p99: float
    frames: int
    wrong: int
    memory: int
    server_share: float


def token(subject: str, secret: str = SECRET, expires_s: int = 3600, scope: str = "market account trade") -> str:
    """A token that may trade."""
    now = int(time.time())
    claims = {"sub": subject, "iss": "deltabook", "aud": "deltabook", "iat": now - 100, "exp": now + expires_s, "scope": scope}
    return jwt.encode(claims, secret, algorithm="HS256")


class Honest:
    """A client that trades and follows every book."""

    def __init__(self, port: int, number: int) -> None:
        self.client = Client(f"ws://127.0.0.1:{port}/v1", token(f"honest-{number}"))
        self.latencies: list[int] = []
        self.unanswered = 0
        self.books: list[LiveBook] = []
        self._number = number
        self._first = 0

    async def trade(self) -> None:
        """Place and cancel for ever, away from the market."""
        id = 0
        while True:
            book = self.books[id % len(self.books)]
            instrument = book.channel.partition(":")[2]
            bid = book.mirror.best_bid
            id += 1
            try:
                began = time.monotonic_ns()
                order = (await self.client.place(instrument, "buy", Ticks((bid[0] if bid else 1000) * 9 // 10), Lots(10 + self._number))).order
                placed = time.monotonic_ns()
                await self.client.cancel(order)
                self.latencies += [placed - began, time.monotonic_ns() - placed]
            except ClientError as error:
                self.unanswered += 1
                print(f"honest client {self._number}: {type(error).__name__}: {error}", file=sys.stderr)
                await self.client.connected()
            await asyncio.sleep(ORDER_PAUSE_S)

    async def place_first(self) -> None:
        """Place an order, with a key, that stays."""
        self._first = (await self.client.place(INSTRUMENTS[0], "buy", Ticks(1), Lots(1), key=1)).order

    async def first_is_forgotten(self) -> bool:
        """Whether the first request is carried out anew if it is sent again."""
        try:
            return (await self.client.place(INSTRUMENTS[0], "buy", Ticks(1), Lots(1), key=1)).order != self._first
        except ClientError:
            return True

    def counted(self, *verdicts: Verdict) -> int:
        """How many frames of books had one of these verdicts."""
        return sum(book.mirror.counts[verdict] for book in self.books for verdict in verdicts)


class Newcomers:
    """Those who come anew, one after the other, with a good token, and now and then an administrator. All from the honest clients' address."""

    def __init__(self, port: int) -> None:
        self.latencies: list[int] = []
        self.refused = 0
        self._url = f"ws://127.0.0.1:{port}/v1"

    async def come(self) -> None:
        """Sign in and leave, for ever."""
        number = 0
        while True:
            number += 1
            newcomer = Client(self._url, token("root", scope="admin") if number % 5 == 0 else token(f"newcomer-{number % 50}"))
            began = time.monotonic_ns()
            try:
                await newcomer.open()
                await newcomer.ping()
                self.latencies.append(time.monotonic_ns() - began)
                await newcomer.close()
            except ClientError as error:
                self.refused += 1
                print(f"newcomer {number}: {error}", file=sys.stderr)
            await asyncio.sleep(NEWCOMER_PAUSE_S)


def p99(latencies: list[int]) -> float:
    """Of latencies in ns, in us."""
    return quantiles(latencies, n=100)[98] / 1000


async def watch(honest: list[Honest], newcomers: Newcomers, pid: int, seconds: float) -> Phase:
    """Let time pass; what the honest clients saw."""
    for each in honest:
        each.latencies.clear()
        each.unanswered = 0
    newcomers.latencies.clear()
    newcomers.refused = 0
    wrong = sum(each.counted(Verdict.GAP, Verdict.MISMATCH) for each in honest)
    frames = sum(each.counted(Verdict.APPLIED) for each in honest)
    used, began, memory = processor_ns(pid), time.monotonic_ns(), 0
    while time.monotonic_ns() < began + seconds * 10**9:
        await asyncio.sleep(0.2)
        memory = max(memory, resident(pid)[0])
    latencies = sorted(latency for each in honest for latency in each.latencies)
    return Phase(
        len(latencies), sum(each.unanswered for each in honest), latencies[len(latencies) // 2] / 1000, p99(latencies), latencies[-1] / 1000,
        len(newcomers.latencies), newcomers.refused, p99(newcomers.latencies), sum(each.counted(Verdict.APPLIED) for each in honest) - frames,
        sum(each.counted(Verdict.GAP, Verdict.MISMATCH) for each in honest) - wrong, memory, (processor_ns(pid) - used) / (time.monotonic_ns() - began),
    )


async def attacked(options: argparse.Namespace, server: Attacked) -> tuple[Phase, Phase, dict[str, int], int]:
    """The quiet phase, the phase under attack, what the attackers did, and how many honest clients' first requests were forgotten."""
    honest = [Honest(server.port, number) for number in range(options.honest)]
    for each in honest:
        await each.client.open()
        each.books = [await each.client.orderbook(name) for name in INSTRUMENTS]
        await each.place_first()
    newcomers = Newcomers(server.port)
    busy = [asyncio.create_task(each.trade()) for each in honest] + [asyncio.create_task(newcomers.come())]
    await asyncio.sleep(1)
    quiet = await watch(honest, newcomers, server.pid, options.quiet)
    stolen = {"good": token("mallory"), "expired": token("mallory", expires_s=-50), "forged": token("mallory", "another key that is just as long as it")}
    attackers = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.attackers", json.dumps(server.ways), str(options.seconds), str(options.seed), str(options.connects), options.attacks,
        json.dumps(stolen),
        stdout=asyncio.subprocess.PIPE,
    )
    under_attack = await watch(honest, newcomers, server.pid, options.seconds)
    said, _ = await attackers.communicate()
    for task in busy:
        task.cancel()
    failures = [outcome for outcome in await asyncio.gather(*busy, return_exceptions=True) if isinstance(outcome, Exception)]
    forgotten = [await each.first_is_forgotten() for each in honest]
    for each in honest:
        await each.client.close()
    if failures:
        raise ExceptionGroup("honest clients", failures)
    return quiet, under_attack, json.loads(said), sum(forgotten)


def broken_promises(quiet: Phase, attack: Phase, forgotten: int, errors: list[str]) -> list[str]:
    """Which promises were not kept."""
    found = {
        f"{attack.unanswered} requests of honest clients were not answered": attack.unanswered,
        f"{attack.refused} honest clients and administrators did not get in": attack.refused,
        f"{forgotten} requests were forgotten, and carried out again": forgotten,
        f"p99 is {attack.p99 / quiet.p99:.1f} times that of the quiet phase": attack.p99 > max(LATENCY_RATIO_MAX * quiet.p99, LATENCY_US_MAX),
        f"the server's memory is {attack.memory / quiet.memory:.1f} times that of the quiet phase": attack.memory > MEMORY_RATIO_MAX * quiet.memory,
        f"{attack.wrong} frames left a gap or a wrong book": attack.wrong,
        f"the server logged {len(errors)} errors: {errors[:3]}": errors,
    }
    return [promise for promise, is_broken in found.items() if is_broken]


def table_of(quiet: Phase, attack: Phase) -> Table:
    """The figures for the terminal."""
    table = Table(title="Honest clients")
    for column in ("", "quiet", "under attack", "ratio"):
        table.add_column(column, justify="right" if column else "left")
    units = {"memory": 1 << 20, "server_share": 0.01}
    names = {
        "p50": "p50, us", "p99": "p99, us", "worst": "worst, us", "memory": "server's memory, MiB", "server_share": "server's processor, %",
        "wrong": "gaps and wrong books", "newcomers": "came anew", "refused": "did not get in", "newcomer_p99": "until they were in, p99, us",
    }
    for field in Phase._fields:
        before, after = (getattr(phase, field) / units.get(field, 1) for phase in (quiet, attack))
        table.add_row(names.get(field, field), f"{before:,.0f}", f"{after:,.0f}", f"{after / before:.2f}" if before else "")
    return table


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attack", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300, help="length of the attack (default: %(default)s)")
    parser.add_argument("--quiet", type=float, default=20, help="length of the quiet phase before it (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--honest", type=int, default=8, help="honest clients (default: %(default)s)")
    parser.add_argument("--connects", type=int, default=10_000, help="connections that come and go during the attack (default: %(default)s)")
    parser.add_argument("--attacks", default=",".join(kind.__name__ for kind in ATTACKS), help="default: %(default)s")
    parser.add_argument("--rate", type=int, default=50, help="commands a second of each simulated market (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        with serving(Path(folder), SECRET, options.rate) as server:
            quiet, attack, attacks, forgotten = uvloop.run(attacked(options, server))
        log = Path(folder, "log").read_text().splitlines()
    errors = [line for line in log if " ERROR " in line or " CRITICAL " in line or line.startswith("Traceback")]
    broken = broken_promises(quiet, attack, forgotten, errors)
    if options.json:
        figures = {"quiet": quiet._asdict(), "attack": attack._asdict(), "attacks": attacks, "log": len(log), "broken": broken}
        json.dump({"machine": describe()} | figures, sys.stdout, indent=2)
    else:
        console = Console()
        console.print(describe())
        console.print(table_of(quiet, attack))
        console.print(", ".join(f"{count:,} {name}" for name, count in attacks.items()), f"; {len(log):,} lines in the server's log", highlight=False)
        console.print(*(broken or ["every promise was kept"]), sep="\n")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
