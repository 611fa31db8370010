"""What it costs the real server to tell N clients of a book's changes, beside a bare loop of `send` to as many connections.

The server, its clients, and the bare loop are processes of their own on this machine, over loopback. The server's cost is all of its
processor time: the engine, the feed, the encoding and the writes. Each round measures both, one after the other, at the same
number of connections, bytes and writes a second. Latency runs from the tick that made a frame to the client that has read it.
Needs Linux.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import bare_send
from benchmarks.fanout_server import INSTRUMENT
from benchmarks.machine import describe, processor_ns
from benchmarks.receiver import Clients, Received
from stream.frames import Book
from stream.messages import Subscribe
from stream.mirror import BookMirror, Verdict
from stream.wire import MSGPACK, payload_of

CHANNEL = f"orderbook:{INSTRUMENT.name}"
WARM_UP_S = 1.0
BUSY = 0.9
"""A receiver that works more than this share of the time may be what limits the figures."""

COLUMNS = (
    "load", "clients", "writes/s", "bytes", "updates\na write", "us a\nwrite", "min-max", "bare\nsend", "ratio", "us an\nupdate", "server\nCPU",
    "p50\nus", "p99\nus", "bare\np50", "bare\np99", "receiver\nCPU",
)
MEANINGS = {
    "paced": "every update at once",
    "conflated": "at most one write in 10 ms",
    "flat out": "more updates than can be served one by one",
}


class Load(NamedTuple):
    """One case. A `paced` one has about 50,000 writes a second in all."""

    name: str
    clients: int
    updates_per_s: int
    interval_ms: int


class Figures(NamedTuple):
    """One measurement of the server, and of the bare loop at its side (names with `bare`). Times in us."""

    writes_per_s: float
    bytes_per_write: float
    updates_per_write: float
    us_per_write: float
    us_per_update: float
    processor_share: float
    latency_p50: float
    latency_p99: float
    bare_us_per_write: float
    bare_latency_p50: float
    bare_latency_p99: float
    ratio: float
    receiver_share: float


def loads(clients: list[int]) -> list[Load]:
    """All cases."""
    cases = []
    for count in clients:
        cases.append(Load("paced", count, min(1_000, 50_000 // count), 0))
        cases.append(Load("conflated", count, 2_000, 10))
        cases.append(Load("flat out", count, 1_000_000, 0))
    return cases


@contextmanager
def process(command: list[str]) -> Iterator[tuple[int, str]]:
    """A child process; its id and its first line."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        yield child.pid, child.stdout.readline()
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def observe(pid: int, clients: Clients, seconds: float, clock: int) -> tuple[Received, Received, float]:
    """What the clients of a process get while it warms up and after that, and the processor time that it uses after that, in us."""
    warm_up = clients.receive(WARM_UP_S, clock)
    before = processor_ns(pid)
    received = clients.receive(seconds, clock)
    return warm_up, received, (processor_ns(pid) - before) / 1000


def percentiles(received: Received) -> tuple[float, float]:
    """The median and the 99th percentile of the latency, in us."""
    cuts = quantiles(received.latencies, n=100)
    return cuts[49] / 1000, cuts[98] / 1000


def books(received: Received) -> list[Book]:
    """The first client's frames of the book."""
    return [message for message in map(MSGPACK.decode_answer, map(payload_of, received.first_client)) if isinstance(message, Book)]


def check(frames: list[Book]) -> None:
    """Every frame fits the one before it, and the server agrees with the book that they make."""
    mirror = BookMirror(CHANNEL)
    for frame in frames:
        verdict = mirror.receive(frame)
        if verdict in (Verdict.GAP, Verdict.MISMATCH):
            raise RuntimeError(f"the first client at {mirror.seq}: {verdict.name} by a frame from {frame.prev} to {frame.seq}")


def measure(load: Load, seconds: float, bare: list[str]) -> Figures:
    """One measurement of one case."""
    subscribe = Subscribe(1, [CHANNEL], depth=0, interval_ms=load.interval_ms)
    with process([sys.executable, "-m", "benchmarks.fanout_server", str(load.updates_per_s)]) as (pid, line):
        told = json.loads(line)
        clients = Clients(told["port"], load.clients, subscribe)
        warm_up, received, used = observe(pid, clients, seconds, told["clock"])
        clients.close()
    frames = books(received)
    check(books(warm_up) + frames)
    updates_per_write = sum(frame.batches for frame in frames) / len(frames)
    size = round(received.size / received.frames)
    period = round(received.seconds * 10**9 * load.clients / received.frames)
    with process([*bare, str(load.clients), str(size), str(period)]) as (pid, line):
        clients = Clients(int(line), load.clients, None)
        _, bare_received, bare_used = observe(pid, clients, seconds, 0)
        clients.close()
    us, bare_us = used / received.frames, bare_used / bare_received.frames
    return Figures(
        received.frames / received.seconds, size, updates_per_write, us, us / updates_per_write, used / 10**6 / received.seconds,
        *percentiles(received), bare_us, *percentiles(bare_received), us / bare_us, max(received.processor_share, bare_received.processor_share),
    )


def middle(figures: list[Figures]) -> Figures:
    """The medians."""
    return Figures(*map(median, zip(*figures, strict=True)))


def table_of(results: dict[Load, list[Figures]]) -> Table:
    """The figures for the terminal."""
    meanings = "; ".join(f"{name}: {meaning}" for name, meaning in MEANINGS.items())
    table = Table(title="Book updates to N clients", caption=f"{meanings}; !: the clients may be the limit")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "load" else "right")
    for load, rounds in results.items():
        m = middle(rounds)
        writes = [figures.us_per_write for figures in rounds]
        table.add_row(
            load.name, f"{load.clients:,}", f"{m.writes_per_s:,.0f}", f"{m.bytes_per_write:,.0f}", f"{m.updates_per_write:.1f}",
            f"{m.us_per_write:.2f}", f"{min(writes):.2f}-{max(writes):.2f}", f"{m.bare_us_per_write:.2f}", f"{m.ratio:.2f}", f"{m.us_per_update:.3f}",
            f"{m.processor_share:.0%}", f"{m.latency_p50:,.0f}", f"{m.latency_p99:,.0f}", f"{m.bare_latency_p50:,.0f}", f"{m.bare_latency_p99:,.0f}",
            f"{m.receiver_share:.0%}" + ("!" if m.receiver_share > BUSY else ""),
        )
    return table


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fanout", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", default="1,10,100,1000", help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=4, help="length of one measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    cases = loads([int(count) for count in options.clients.split(",")])
    results: dict[Load, list[Figures]] = {load: [] for load in cases}
    with tempfile.TemporaryDirectory() as folder:
        bare = bare_send.build(Path(folder))
        for load in track(cases * options.rounds, "measuring", console=Console(stderr=True), transient=True):
            results[load].append(measure(load, options.seconds, bare))
            time.sleep(0.2)
    if options.json:
        rounds = [load._asdict() | {"rounds": [figures._asdict() for figures in measured]} for load, measured in results.items()]
        json.dump({"machine": describe(), "loads": rounds}, sys.stdout, indent=2)
        return
    console = Console()
    console = Console(width=max(console.width, 144))
    console.print(describe())
    console.print(table_of(results))


if __name__ == "__main__":
    main()
