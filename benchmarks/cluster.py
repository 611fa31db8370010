"""One market in one process and in many: what the link adds to the delay, what each process costs, and how much more is delivered.

    python -m benchmarks.cluster --clients 300 --rate 5000 --seconds 60

`deltabook load` listens, in as many processes as there are gateways, and a tenth of its clients trade, `rate` requests a second in all, beside the
simulated source. Delays are those of an observer: one client that trades a little, in a process with nothing else to do. Everything is on this machine:
with few cores, more gateways share what there is. Needs Linux, and redis-server.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import NamedTuple

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe, processor_ns, resident
from tests.redis_servers import RedisServer, free_port

TRADING = 0.1    # of the clients
OBSERVED = 20    # requests a second of the observer
SECRET = "a secret that is long enough to be one"
SETTLE_S = 3.0


class Layout(NamedTuple):
    """How many gateways, and whether they are workers of one command; none: one process does it all."""

    name: str
    gateways: int = 0
    workers: bool = False


LAYOUTS = [
    Layout("one process"), Layout("1 gateway", 1), Layout("2 gateways", 2), Layout("3 gateways", 3), Layout("4 gateways", 4),
    Layout("1 worker", 1, workers=True), Layout("2 workers", 2, workers=True),
]


class Figures(NamedTuple):
    """Of one layout: delays in ms from the engine's run of a command to a client's receipt, seconds of processor a second of the run, by process."""

    deliveries_per_s: float
    requests_per_s: float
    age_p50: float
    age_p99: float
    response_p50: float
    response_p99: float
    processor: dict[str, float]
    resident_mib: dict[str, float]
    gaps: int
    wrong: int
    updates_per_s: float


class Processes:
    """The servers of a layout."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.layout = layout
        self.running: dict[str, int] = {}    # process ids by name
        self.urls: list[str] = []
        self._folder = folder
        self._redis = RedisServer(folder / "redis", free_port())
        self._started: list[Process] = []
        key = json.dumps([{"algorithm": "HS256", "key": SECRET}])
        deposit = json.dumps(dict.fromkeys(("USDT", "ETH", "SOL", "XRP"), "1000000"))
        settings = {"KEYS": key, "DEPOSIT": deposit, "JOURNAL_RESERVE_BYTES": "0"}
        self._environment = os.environ | {f"DELTABOOK_{name}": value for name, value in settings.items()}

    async def start(self) -> None:
        source = ["--source", "simulated", "--journal", str(self._folder / "journal")]
        if self.layout.workers or not self.layout.gateways:
            workers = ["--workers", str(self.layout.gateways)] if self.layout.workers else []
            self.urls = [await self._serve("engine", *source, *workers)] * max(1, self.layout.gateways)
            await asyncio.sleep(SETTLE_S)
            pid = self.running["engine"]
            self.running |= {f"gateway {number}": child for number, child in enumerate(children_of(pid))}
            return
        self._redis.start()
        assert self._redis.process
        self.running["redis"] = self._redis.process.pid
        link = ["--redis", self._redis.url]
        await self._serve("engine", *source, *link, "--role", "engine", until="leads")
        for number in range(self.layout.gateways):
            self.urls.append(await self._serve(f"gateway {number}", *link, "--role", "gateway"))

    async def _serve(self, name: str, *flags: str, until: str = "WebSocket") -> str:
        command = [sys.executable, "-u", "-m", "stream", "serve", "--port", "0", *flags]
        process = await asyncio.create_subprocess_exec(*command, env=self._environment, stdout=PIPE, stderr=DEVNULL)
        self._started.append(process)
        self.running[name] = process.pid
        assert process.stdout
        async for line in process.stdout:
            if until.encode() in line:
                return line.decode().split()[-1]
        raise RuntimeError(f"{name} did not start")

    async def stop(self) -> None:
        for process in reversed(self._started):
            process.terminate()
            await process.wait()
        self._redis.stop()


def children_of(pid: int) -> list[int]:
    """The processes that a process has started. Linux alone."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def load(url: str, clients: int, trading: float, rate: float, options: argparse.Namespace) -> dict[str, object]:
    """What `deltabook load` reports of clients of which a share trades, `rate` requests a second together."""
    flags = [
        "--clients", clients, "--processes", 1, "--seconds", options.seconds, "--interval", options.interval, "--verify", 0.1,
        "--trading", trading, "--orders-per-s", rate / clients / trading, "--secret", SECRET,
    ]
    command = [sys.executable, "-m", "stream", "load", url, *map(str, flags), "--json", "-"]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=DEVNULL)
    assert process.stdout
    out = await process.stdout.read()
    await process.wait()
    return json.loads(out)


def measure(layout: Layout, options: argparse.Namespace) -> Figures:
    """Run one layout."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        return uvloop.run(measure_in(Path(folder).resolve(), layout, options))


async def measure_in(folder: Path, layout: Layout, options: argparse.Namespace) -> Figures:
    """The same in a folder."""
    servers = Processes(folder, layout)
    try:
        await servers.start()
        each = options.clients // len(servers.urls)
        loads = [asyncio.create_task(load(url, each, TRADING, options.rate / len(servers.urls), options)) for url in servers.urls]
        observer = asyncio.create_task(load(servers.urls[0], 1, 1, OBSERVED, options))
        await asyncio.sleep(each / 200 + SETTLE_S)    # the clients come at 200 a second
        before, began = {name: processor_ns(pid) for name, pid in servers.running.items()}, time.monotonic()
        await asyncio.sleep(options.seconds / 2)
        spent = time.monotonic() - began
        processor = {name: (processor_ns(pid) - before[name]) / 1e9 / spent for name, pid in servers.running.items()}
        memory = {name: resident(pid)[0] / (1 << 20) for name, pid in servers.running.items()}
        reports = await asyncio.gather(*loads)
        observed = await observer
    finally:
        await servers.stop()
    return figures_of(reports, observed, processor, memory)


def figures_of(
    reports: list[dict[str, object]], observed: dict[str, object], processor: dict[str, float], memory: dict[str, float],
) -> Figures:
    """One row of several load reports and the observer's."""
    roles = [role for report in reports for role in report["roles"].values()]    # type: ignore[attr-defined]
    trader = observed["roles"]["trading"]    # type: ignore[index]

    def total(count: str) -> int:
        return sum(role["counts"][count] for role in roles)

    seconds = sum(report["seconds"] for report in reports) / len(reports)    # type: ignore[misc]
    return Figures(
        total("deliveries") / seconds, total("requests") / seconds, trader["age"]["p50"], trader["age"]["p99"], trader["response"]["p50"],
        trader["response"]["p99"], processor, memory, total("gaps"), total("wrong"), total("updates") / seconds,
    )


def table(rows: dict[str, Figures]) -> Table:
    """All layouts."""
    shown = Table(box=None, pad_edge=False)
    for heading in ("layout", "frames/s", "requests/s", "age p50 ms", "p99", "response p50 ms", "p99", "engine", "gateways", "redis", "gaps", "wrong"):
        shown.add_column(heading, justify="left" if heading == "layout" else "right")
    for name, row in rows.items():
        gateways = [cost for process, cost in row.processor.items() if process.startswith("gateway")]
        shown.add_row(
            name, f"{row.deliveries_per_s:,.0f}", f"{row.requests_per_s:,.0f}", f"{row.age_p50:.2f}", f"{row.age_p99:.2f}",
            f"{row.response_p50:.2f}", f"{row.response_p99:.2f}",
            f"{row.processor['engine']:.0%}", " ".join(f"{cost:.0%}" for cost in gateways), f"{row.processor.get('redis', 0):.0%}",
            str(row.gaps), str(row.wrong),
        )
    return shown


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=300, help="default: %(default)s")
    parser.add_argument("--rate", type=int, default=5000, help="requests a second of the clients (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="of each layout (default: %(default)s)")
    parser.add_argument("--interval", type=int, default=100, metavar="MS", help="of the clients' books (default: %(default)s)")
    parser.add_argument("--only", action="append", metavar="LAYOUT", choices=[layout.name for layout in LAYOUTS], help="only these")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    console = Console(highlight=False)
    console.print(describe())
    console.print(f"{options.rate:,} requests a second, {options.clients} clients, interval {options.interval} ms, {options.seconds:g} s a layout")
    rows = {}
    for layout in LAYOUTS:
        if not options.only or layout.name in options.only:
            rows[layout.name] = measure(layout, options)
    console.print(table(rows))
    if options.json:
        options.json.write_text(json.dumps({name: row._asdict() for name, row in rows.items()}, indent=1))
    return int(any(row.gaps or row.wrong for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
