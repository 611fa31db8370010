"""What it costs to tell N clients of a book's changes, by level or by order: the real server, a bare loop of `send`, and other WebSocket servers.

Each server is a process of its own on one core, its clients are one on another where there are two, over loopback. The cost is all of
the server's processor time; of ours that is the engine, the feed, the encoding and the writes. Each round measures all of them, one
after the other: the bare loop and the others with as many connections, bytes and writes a second as ours had. The others only send
the payload, and take part in the paced loads where they are installed (`make peers`). Latency runs from the tick that made a frame
to the client that has read it. Needs Linux.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple
from urllib.request import urlopen

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import bare_send, fanout_peers
from benchmarks.fanout_server import name_of
from benchmarks.machine import cores, describe, processor_ns, resident
from benchmarks.receiver import Clients, Dialect, Received, deltabook
from stream.wire import channels
from stream.wire.codec import MSGPACK
from stream.wire.frames import Book, MarketByOrder
from stream.wire.framing import payload_of
from stream.wire.messages import Subscribe
from stream.wire.mirror import BookMirror, ByOrderMirror, Verdict

WARM_UP_S = 1.0
BUSY = 0.9
"""A receiver that works more than this share of the time may be what limits the figures."""

OURS, BARE = "deltabook", "bare send"
BY_ORDER = "by order"

COLUMNS = (
    "load", "clients", "books", "server", "writes/s", "bytes", "updates\na write", "us a\nwrite", "min-max", "to\nbare", "us an\nupdate", "server\nCPU",
    "p50\nus", "p99\nus", "p99.9\nus", "KiB a\nclient", "receiver\nCPU",
)
MEANINGS = {
    "paced": "every update at once",
    "by order": "the same, of the channel that has every order",
    "conflated": "at most one write in 10 ms",
    "flat out": "more updates than can be served one by one",
}


class Load(NamedTuple):
    """One case."""

    name: str
    clients: int
    books: int
    updates_per_s: int
    interval_ms: int


class Figures(NamedTuple):
    """One measurement of one server. Times in us; `to_bare` is what a write costs to what one of the bare loop did in the same round."""

    writes_per_s: float
    bytes_per_write: float
    updates_per_write: float
    us_per_write: float
    us_per_update: float
    to_bare: float
    processor_share: float
    latency_p50: float
    latency_p99: float
    latency_p999: float
    kib_per_client: float
    receiver_share: float


def loads(clients: list[int], books: list[int], rates: list[int]) -> list[Load]:
    """All cases: `rates` are the writes a second of the paced ones; several books are told to 100 clients."""
    cases = []
    for count in clients:
        cases += dict.fromkeys(Load(name, count, 1, min(1_000, rate // count), 0) for name in ("paced", BY_ORDER) for rate in rates)
        cases.append(Load("conflated", count, 1, 2_000, 10))
        cases.append(Load("flat out", count, 1, 1_000_000, 0))
    for count in books:
        if count > 1:
            cases += [Load("paced", 100, count, 500, 0), Load("conflated", 100, count, 10_000, 10), Load("flat out", 100, count, 1_000_000, 0)]
    return cases


@contextmanager
def process(command: list[str], environment: Mapping[str, str] | None = None) -> Iterator[tuple[int, str]]:
    """A server; its process and its first line."""
    servers, clients = cores()
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, servers)    # which the child and all its threads inherit
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment or None)
    os.sched_setaffinity(0, clients)
    assert child.stdout is not None
    try:
        yield child.pid, child.stdout.readline()
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        os.sched_setaffinity(0, mine)


class Run(NamedTuple):
    """What clients got in the warm-up and after it, and what the server used meanwhile. `writes`: what it counted itself, or one a frame."""

    warm_up: Received
    received: Received
    used_us: float
    writes: int
    kib_per_client: float

    def figures(self, updates_per_write: float, bare: "Run | None") -> Figures:
        """The figures."""
        received, us = self.received, self.used_us / self.writes
        cuts = quantiles(received.latencies, n=1000)
        return Figures(
            self.writes / received.seconds, received.size / self.writes, updates_per_write, us, us / updates_per_write,
            us / (bare or self).used_us * (bare or self).writes, self.used_us / 10**6 / received.seconds, cuts[499] / 1000, cuts[989] / 1000, cuts[998] / 1000,
            self.kib_per_client, received.processor_share,
        )


def run(pid: int, port: int, count: int, dialect: Dialect | None, seconds: float, clock: int = 0, counts_writes: bool = False) -> Run:
    """Connect to a server, and see what it does for so many clients."""
    small, _ = resident(pid)
    clients = Clients(port, count, dialect)
    warm_up = clients.receive(WARM_UP_S, clock)
    writes = writes_of(port) if counts_writes else 0
    before = processor_ns(pid)
    received = clients.receive(seconds, clock)
    used = (processor_ns(pid) - before) / 1000
    large, _ = resident(pid)
    writes = writes_of(port) - writes if counts_writes else received.frames
    clients.close()
    return Run(warm_up, received, used, writes, (large - small) / 1024 / count)


def writes_of(port: int) -> int:
    """How many writes our server has counted."""
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        metrics = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if not line.startswith("#"))
    return int(float(metrics["deltabook_writes_total"]))


def books(received: Received) -> list[Book | MarketByOrder]:
    """The first client's frames of books."""
    return [message for message in map(MSGPACK.decode_answer, map(payload_of, received.first_client)) if isinstance(message, Book | MarketByOrder)]


def batches(frame: Book | MarketByOrder) -> int:
    """How many batches of the engine a frame tells of."""
    return frame.batches if isinstance(frame, Book) else len(frame.batches)


def check(frames: list[Book | MarketByOrder]) -> None:
    """Every frame fits the one before it, and the server agrees with the books that they make."""
    mirrors: dict[str, Any] = {frame.channel: (BookMirror if isinstance(frame, Book) else ByOrderMirror)(frame.channel) for frame in frames}
    for frame in frames:
        mirror = mirrors[frame.channel]
        verdict = mirror.receive(frame)
        if verdict in (Verdict.GAP, Verdict.MISMATCH):
            raise RuntimeError(f"the first client at {mirror.seq} of {frame.channel}: {verdict.name} by a frame from {frame.prev} to {frame.seq}")


def measure(load: Load, seconds: float, bare: list[str], peers: list[fanout_peers.Peer]) -> dict[str, Figures]:
    """One measurement of one case, by server."""
    kind = channels.BY_ORDER if load.name == BY_ORDER else channels.BOOK
    subscribe = Subscribe(1, [f"{kind}:{name_of(i)}" for i in range(load.books)], depth=0, interval_ms=load.interval_ms)
    with process([sys.executable, "-m", "benchmarks.fanout_server", str(load.updates_per_s), str(load.books)]) as (pid, line):
        told = json.loads(line)
        ours = run(pid, told["port"], load.clients, deltabook(subscribe), seconds, told["clock"], counts_writes=True)
    frames = books(ours.received)
    check(books(ours.warm_up) + frames)
    updates_per_write = sum(map(batches, frames)) * load.clients / ours.writes
    size = round(ours.received.size / ours.writes)
    period = str(round(ours.received.seconds * 10**9 * load.clients / ours.writes))
    with process([*bare, str(load.clients), str(size), period]) as (pid, line):
        yardstick = run(pid, int(line), load.clients, None, seconds)
    results = {OURS: ours.figures(updates_per_write, yardstick), BARE: yardstick.figures(1, None)}
    payload = size - (2 if size < 128 else 4)
    for peer in peers if load.name == "paced" and load.books == 1 else ():
        with process([*peer.command, str(payload), period], peer.environment) as (pid, line):
            results[peer.name] = run(pid, int(line), load.clients, peer.dialect, seconds).figures(1, yardstick)
    return results


def middle(figures: list[Figures]) -> Figures:
    """The medians."""
    return Figures(*map(median, zip(*figures, strict=True)))


def table_of(results: dict[Load, dict[str, list[Figures]]]) -> Table:
    """The figures for the terminal."""
    meanings = "; ".join(f"{name}: {meaning}" for name, meaning in MEANINGS.items())
    table = Table(title="Book updates to N clients", caption=f"{meanings}; !: the clients may be the limit")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in ("load", "server") else "right", no_wrap=True)
    for load, servers in results.items():
        for name, rounds in servers.items():
            m = middle(rounds)
            writes = [figures.us_per_write for figures in rounds]
            table.add_row(
                load.name, f"{load.clients:,}", f"{load.books}", name, f"{m.writes_per_s:,.0f}", f"{m.bytes_per_write:,.0f}", f"{m.updates_per_write:.1f}",
                f"{m.us_per_write:.2f}", f"{min(writes):.2f}-{max(writes):.2f}", f"{m.to_bare:.2f}", f"{m.us_per_update:.3f}", f"{m.processor_share:.0%}",
                f"{m.latency_p50:,.0f}", f"{m.latency_p99:,.0f}", f"{m.latency_p999:,.0f}", f"{m.kib_per_client:,.1f}" if load.clients >= 100 else "",
                f"{m.receiver_share:.0%}" + ("!" if m.receiver_share > BUSY else ""), end_section=name == list(servers)[-1],
            )
    return table


def numbers(text: str) -> list[int]:
    """A list of numbers as one writes it."""
    return [int(number) for number in text.split(",")]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fanout", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=numbers, default="1,10,100,1000", help="default: %(default)s")
    parser.add_argument("--books", type=numbers, default="1,10,100", help="books that 100 clients listen to (default: %(default)s)")
    parser.add_argument("--rates", type=numbers, default="50000,100000", help="writes a second, paced, at most 1,000 a client (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=4, help="length of one measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    cases = loads(options.clients, options.books, options.rates)
    results: dict[Load, dict[str, list[Figures]]] = {load: {} for load in cases}
    peers = fanout_peers.installed()
    with tempfile.TemporaryDirectory() as folder:
        bare = bare_send.build(Path(folder))
        for load in track(cases * options.rounds, "measuring", console=Console(stderr=True), transient=True):
            for name, figures in measure(load, options.seconds, bare, peers).items():
                results[load].setdefault(name, []).append(figures)
            time.sleep(0.2)
    if options.json:
        measured = [
            load._asdict() | {"servers": {name: [figures._asdict() for figures in rounds] for name, rounds in servers.items()}}
            for load, servers in results.items()
        ]
        json.dump({"machine": describe(), "loads": measured}, sys.stdout, indent=2)
        return
    console = Console()
    console = Console(width=max(console.width, 180))
    console.print(describe())
    console.print(table_of(results))


if __name__ == "__main__":
    main()
