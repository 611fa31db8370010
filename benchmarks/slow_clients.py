"""Whether clients that do not read cost those that do anything: 1,000 connections to the real server, of which half stop reading.

The server carries out as many updates as it can. In each round the healthy clients are alone for half the time, then the slow ones come,
half of which never read and half of which take a few bytes a second, then the healthy ones are alone again; at the end of their time
the slow ones begin to read. Every client rebuilds its book from every frame and compares the digest. Latency runs from the tick that
made a frame to the socket's read. Exits with 1 if a promise is broken. Needs Linux.
"""

import argparse
import json
import select
import sys
import time
from collections.abc import Iterable
from statistics import median, quantiles
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.fanout import process
from benchmarks.fanout_server import name_of
from benchmarks.machine import describe, processor_ns, resident
from benchmarks.receiver import deltabook, end_of_frame, masked, open_socket
from stream.wire.codec import MSGPACK
from stream.wire.frames import Book
from stream.wire.framing import PING, PONG, payload_of
from stream.wire.messages import Subscribe
from stream.wire.mirror import BookMirror, Verdict

CHANNEL = f"orderbook:{name_of(0)}"
CRAWL_BYTES, CRAWL_S = 64, 0.5
SLOW_RECEIVE_BUFFER = 4096
RECOVERY_S = 30.0
SETTLE_S = 2.0

LATENCY_RATIO_MAX = 1.2
MEMORY_MAX = 64 << 10
"""Bytes that the server may grow by for each slow client, beside one unfinished write."""


class Plan(NamedTuple):
    """What to run. `slow` of the `clients` are slow; a round's slow phase takes `seconds`."""

    clients: int
    slow: int
    seconds: float
    updates_per_s: int
    interval_ms: int
    settings: dict[str, int]


class Round(NamedTuple):
    """What one round showed. Latencies in us, memory in bytes; `grown` is for each slow client, `write` the largest frame."""

    p50_alone: float
    p99_alone: float
    p50: float
    p99: float
    grown: float
    write: int
    frames: int
    wrong: int
    late: int
    stuck: int
    lost: int
    recovery_s: float
    server_share: float
    receiver_share: float

    @property
    def broken(self) -> list[str]:
        """The promises that were not kept, but for those of time."""
        found = {
            f"{self.wrong} frames left a gap or a wrong book": self.wrong,
            f"{self.late} healthy clients heard nothing for a second": self.late,
            f"{self.stuck} slow clients were not slow": self.stuck > 0,
            f"the server grew by {self.grown:,.0f} bytes for each slow client": self.grown > MEMORY_MAX + self.write,
            f"{self.lost} slow clients did not come back": self.lost,
        }
        return [promise for promise, is_broken in found.items() if is_broken]


class Watcher:
    """A client that rebuilds its book from every frame."""

    def __init__(self, port: int, subscribe: Subscribe, receive_buffer: int = 0) -> None:
        self.socket, self._rest = open_socket(port, deltabook(subscribe), receive_buffer)
        self.mirror = BookMirror(CHANNEL)
        self.heard_at = 0.0
        self.largest = 0

    @property
    def wrong(self) -> int:
        """Frames that did not fit, or left a book that is not the server's."""
        return self.mirror.counts[Verdict.GAP] + self.mirror.counts[Verdict.MISMATCH]

    def read(self, most: int = 1 << 18) -> bytes:
        """What the socket has."""
        try:
            data = self.socket.recv(most)
        except BlockingIOError:
            return b""
        if not data:
            raise ConnectionError("the server closed a connection")
        return data

    def take(self, data: bytes) -> list[Book]:
        """Rebuild the book; the frames that were whole."""
        data = self._rest + data
        frames, start = [], 0
        while (stop := end_of_frame(data, start)) <= len(data):
            if data[start] & 0xF == PING:
                self.socket.send(masked(payload_of(data[start:stop]), PONG))
            elif isinstance(message := MSGPACK.decode_answer(payload_of(data[start:stop])), Book):
                self.mirror.receive(message)
                frames.append(message)
                self.largest = max(self.largest, stop - start)
            start = stop
        self._rest = data[start:]
        return frames


class Watched(NamedTuple):
    """What the healthy clients got in a phase: ns from a frame's making to its receipt, one a frame."""

    latencies: list[int]
    frames: int
    late: int


class Crowd:
    """All clients, in one epoll."""

    def __init__(self, plan: Plan, port: int, clock: int) -> None:
        self._plan = plan
        self._port = port
        self._clock = clock
        self._epoll = select.epoll()
        self._by_number: dict[int, Watcher] = {}
        self.healthy = self.open(plan.clients - plan.slow, 0)
        self.listen(self.healthy)

    def open(self, count: int, receive_buffer: int) -> list[Watcher]:
        """New clients, which do not read yet."""
        subscribe = Subscribe(1, [CHANNEL], depth=0, interval_ms=self._plan.interval_ms)
        watchers = []
        for _ in range(count):
            watchers.append(Watcher(self._port, subscribe, receive_buffer))
            watchers[-1].socket.setblocking(False)
        return watchers

    def listen(self, watchers: Iterable[Watcher]) -> None:
        """Read what these get from now on."""
        for watcher in watchers:
            self._by_number[watcher.socket.fileno()] = watcher
            self._epoll.register(watcher.socket.fileno(), select.EPOLLIN)

    def leave(self, watchers: Iterable[Watcher]) -> None:
        """Hang up."""
        for watcher in watchers:
            if self._by_number.pop(watcher.socket.fileno(), None):
                self._epoll.unregister(watcher.socket.fileno())
            watcher.socket.close()

    def watch(self, seconds: float, crawling: Iterable[Watcher] = ()) -> Watched:
        """Let time pass; what the healthy clients get. All that is there is read before any of it is decoded."""
        latencies: list[int] = []
        frames = 0
        end = time.monotonic() + seconds
        crawl_at = 0.0
        while (now := time.monotonic()) < end:
            if now >= crawl_at:
                crawl_at = now + CRAWL_S
                for watcher in crawling:
                    watcher.take(watcher.read(CRAWL_BYTES))
            arrived = []
            for number, _ in self._epoll.poll(min(end, crawl_at) - now):
                watcher = self._by_number[number]
                arrived.append((watcher, watcher.read(), time.monotonic_ns()))
            for watcher, data, at in arrived:
                taken = watcher.take(data)
                frames += len(taken)
                latencies += [at + self._clock - frame.server_time for frame in taken]
                if taken:
                    watcher.heard_at = at / 10**9
        late = sum(watcher.heard_at < end - 1 for watcher in self.healthy) if seconds > 1 else 0
        return Watched(latencies, frames, late)


def percentiles(latencies: list[int]) -> tuple[float, float]:
    """The median and the 99th percentile, in us."""
    cuts = quantiles(latencies, n=100)
    return cuts[49] / 1000, cuts[98] / 1000


def stalled(watchers: list[Watcher], port: int) -> int:
    """How many of the clients have bytes that the server's kernel holds for them and cannot pass on, as /proc/net/tcp shows."""
    mine = {f"{watcher.socket.getsockname()[1]:04X}" for watcher in watchers}
    full = 0
    with open("/proc/net/tcp") as table:
        for line in table:
            _, local, remote, _, queues, *_ = line.split()
            full += local.endswith(f":{port:04X}") and remote[-4:] in mine and int(queues.partition(":")[0], 16) > 0
    return full


def recover(crowd: Crowd, slow: list[Watcher]) -> tuple[int, float]:
    """Let the slow clients read; how many then have the server's book as of a later time than now, and after how long all have."""
    began = time.monotonic()
    since = time.monotonic_ns() + crowd._clock
    crowd.listen(slow)
    back: list[Watcher] = []
    while len(back) < len(slow) and time.monotonic() < began + RECOVERY_S:
        crowd.watch(0.1)
        back = [watcher for watcher in slow if watcher.mirror.verified and watcher.mirror.frame and watcher.mirror.frame.server_time > since]
    return len(back), time.monotonic() - began


def measure(plan: Plan) -> Round:
    """One round."""
    with process([sys.executable, "-m", "benchmarks.fanout_server", str(plan.updates_per_s), "1", json.dumps(plan.settings)]) as (pid, line):
        told = json.loads(line)
        crowd = Crowd(plan, told["port"], told["clock"])
        settle = min(SETTLE_S, plan.seconds)    # nobody reads while clients come and go
        crowd.watch(settle)
        alone = crowd.watch(plan.seconds / 2)
        before = resident(pid)[0]
        slow = crowd.open(plan.slow, SLOW_RECEIVE_BUFFER)
        crowd.watch(settle)
        used, worked, began = processor_ns(pid), time.process_time_ns(), time.monotonic_ns()
        crowded = crowd.watch(plan.seconds, slow[::2])
        elapsed = time.monotonic_ns() - began
        shares = (processor_ns(pid) - used) / elapsed, (time.process_time_ns() - worked) / elapsed
        grown = (resident(pid)[0] - before) / max(1, plan.slow)
        full = stalled(slow, told["port"])
        back, recovery_s = recover(crowd, slow)
        wrong = sum(watcher.wrong for watcher in (*crowd.healthy, *slow))
        write = max(watcher.largest for watcher in (*crowd.healthy, *slow))
        crowd.leave(slow)
        crowd.watch(settle)
        again = crowd.watch(plan.seconds / 2)
        crowd.leave(crowd.healthy)
    return Round(
        *percentiles(alone.latencies + again.latencies), *percentiles(crowded.latencies), grown, write, alone.frames + crowded.frames + again.frames,
        wrong, alone.late + crowded.late + again.late, plan.slow - full, plan.slow - back, recovery_s, *shares,
    )


def table_of(plan: Plan, rounds: list[Round]) -> Table:
    """The figures for the terminal."""
    table = Table(title=f"{plan.clients:,} clients, of which {plan.slow:,} do not read for {plan.seconds:g} s")
    rows = {
        "p50, us: alone / with slow clients": lambda r: f"{r.p50_alone:,.0f} / {r.p50:,.0f}",
        "p99, us: alone / with slow clients": lambda r: f"{r.p99_alone:,.0f} / {r.p99:,.0f}",
        "p99, with slow clients : alone": lambda r: f"{r.p99 / r.p99_alone:.2f}",
        "frames rebuilt by healthy clients": lambda r: f"{r.frames:,}",
        "gaps and wrong books": lambda r: f"{r.wrong}",
        "healthy clients that heard nothing for a second": lambda r: f"{r.late}",
        "memory a slow client, KiB": lambda r: f"{r.grown / 1024:.1f}",
        "largest write, KiB": lambda r: f"{r.write / 1024:.1f}",
        "slow clients that came back with the right book": lambda r: f"{plan.slow - r.lost:,}, in {r.recovery_s:.1f} s",
        "processor: server / clients": lambda r: f"{r.server_share:.0%} / {r.receiver_share:.0%}",
    }
    table.add_column("")
    for number in range(1, len(rounds) + 1):
        table.add_column(f"round {number}", justify="right")
    for name, shown in rows.items():
        table.add_row(name, *map(shown, rounds))
    return table


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slow_clients", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000, help="default: %(default)s")
    parser.add_argument("--slow", type=int, default=500, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=60, help="how long the slow clients are slow in each round (default: %(default)s)")
    parser.add_argument("--updates", type=int, default=1_000_000, help="updates a second, if the server can (default: %(default)s)")
    parser.add_argument("--interval", type=int, default=100, help="of the book, in ms (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    plan = Plan(options.clients, options.slow, options.seconds, options.updates, options.interval, {})
    rounds = [measure(plan) for _ in range(options.rounds)]
    ratio = median(each.p99 / each.p99_alone for each in rounds)
    broken = [promise for each in rounds for promise in each.broken]
    if ratio > LATENCY_RATIO_MAX:
        broken.append(f"p99 is {ratio:.2f} times that without slow clients")
    if options.json:
        figures = {"plan": plan._asdict(), "rounds": [each._asdict() for each in rounds], "ratio": ratio, "broken": broken}
        json.dump({"machine": describe()} | figures, sys.stdout, indent=2)
    else:
        console = Console()
        console.print(describe())
        console.print(table_of(plan, rounds))
        console.print(*(broken or ["every promise was kept"]), sep="\n")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
