"""How long until a command is on disk, how many fit, and how long it takes to come back: the journal beside a bare loop of syncs.

The market is the barest one: commands come in from another process through a pipe, those that came while a group was being synced are
the next group, and a group is applied and acknowledged when it is on disk. A latency is from when a command was sent until then.
"""

import argparse
import asyncio
import os
import random
import shutil
import tempfile
from functools import partial
from multiprocessing import Process
from pathlib import Path
from struct import Struct
from time import monotonic_ns, perf_counter, sleep
from typing import NamedTuple

import uvloop
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.flow import new_exchange
from benchmarks.machine import describe, in_fresh_process, resident
from engine import Commands, Exchange
from stream.journal.files import Disk
from stream.journal.format import Kind
from stream.journal.recovery import open_journal, replay
from stream.journal.writer import Journal, Limits, Log

RATES = (1_000, 20_000, 100_000)
COMMAND_BYTES = 88
SENT = Struct("<qI")
DISK = Disk()


class Latency(NamedTuple):
    """Microseconds."""

    p50: float
    p99: float
    most: float


def quantiles(latencies: list[int]) -> Latency:
    ordered = sorted(latencies)
    return Latency(*(ordered[min(int(share * len(ordered)), len(ordered) - 1)] / 1e3 for share in (0.5, 0.99, 1)))


def some_commands(count: int) -> bytes:
    """Limit orders around a price, of which most are filled soon."""
    chance, commands = random.Random(1), Commands()
    for i in range(count):
        commands.place(i % 1_000, 0, i & 1, 100_000 + chance.randrange(-20, 21), chance.randrange(1, 100))
    return bytes(commands)


def new_log(folder: Path, exchange: Exchange, limits: Limits | None = None) -> Log:
    log = open_journal(DISK, str(folder), limits or Limits(), 1).log
    log.commit([(Kind.GENESIS, exchange.snapshot(), 0)])
    log.prepare()
    return log


# Syncs alone


def bare_syncs(folder: Path, seconds: float, size: int = 4096) -> Latency:
    """A write of a page into a file that has its zeros, and a sync, again and again."""
    file = DISK.open(str(folder / "bare"))
    pages = (16 << 20) // size
    for page in range(pages):
        DISK.write(file, bytes(size), page * size)
    DISK.sync(file)
    data, latencies, end = os.urandom(size), [], perf_counter() + seconds
    while perf_counter() < end:
        start = monotonic_ns()
        DISK.write(file, data, len(latencies) % pages * size)
        DISK.sync(file)
        latencies.append(monotonic_ns() - start)
    DISK.close(file)
    return quantiles(latencies)


# Acknowledgements at a rate


def send(pipe: int, rate: int, seconds: float) -> None:
    """So many commands a second, as they become due, with the time at which they were."""
    start, sent = monotonic_ns(), 0
    while sent < rate * seconds:
        sleep(20e-6)
        now = monotonic_ns()
        due = int((now - start) * rate // 10**9) - sent
        if due:
            os.write(pipe, SENT.pack(now, due))
            sent += due
    os.close(pipe)


async def acknowledge(exchange: Exchange, commands: bytes, log: Log | None, rate: int, seconds: float) -> Latency:
    """Until every command that another process sends is acknowledged."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    latencies: list[int] = []
    waiting: list[tuple[int, int]] = []
    group: list[tuple[int, int]] = []
    payload = b""
    taken = 0
    ended = False

    def answer() -> None:
        exchange.execute(payload)
        now = monotonic_ns()
        for sent, count in group:
            latencies.extend([now - sent] * count)
        group.clear()

    def flush() -> None:
        nonlocal group, waiting, payload, taken
        group, waiting = waiting, []
        count = sum(count for _, count in group)
        taken = taken if COMMAND_BYTES * (taken + count) <= len(commands) else 0
        payload = commands[COMMAND_BYTES * taken : COMMAND_BYTES * (taken + count)]
        taken += count
        if journal:
            journal.append(Kind.COMMANDS, payload, 0)
        else:
            answer()

    def durable() -> None:
        if journal.idle and group:
            answer()
            if waiting:
                flush()
            elif ended:
                over.set()

    def receive() -> None:
        nonlocal ended
        data = os.read(source, 1 << 16 // SENT.size * SENT.size)
        waiting.extend(SENT.iter_unpack(data))
        if not data:
            ended = True
            loop.remove_reader(source)
        if waiting and not group:
            flush()
        if ended and not group:
            over.set()

    journal = Journal(log, partial(loop.call_soon_threadsafe, durable)) if log else None
    source, pipe = os.pipe()
    sender = Process(target=send, args=(pipe, rate, seconds))
    sender.start()
    os.close(pipe)
    loop.add_reader(source, receive)
    await over.wait()
    sender.join()
    os.close(source)
    if journal:
        journal.close()
    return quantiles(latencies)


# Flat out, and back


def flat_out(folder: Path, commands: bytes, total: int, each: int) -> float:
    """Commands a second, in records of `each`, while the next segment's zeros are written too."""
    log = new_log(folder, new_exchange(1))
    journal = Journal(log, lambda: None)
    start = perf_counter()
    for first in range(0, total, each):
        at = COMMAND_BYTES * (first % (len(commands) // COMMAND_BYTES))
        journal.append(Kind.COMMANDS, commands[at : at + COMMAND_BYTES * each], 0)
        while journal.appended - journal.durable > 64:
            sleep(50e-6)
    journal.close()
    return total / (perf_counter() - start)


def fill(folder: Path, commands: bytes, total: int, each: int) -> int:
    """A journal of so many commands, `each` to a record; the bytes that it takes."""
    log = new_log(folder, new_exchange(1))
    for first in track(range(0, total, 10_000), "writing", transient=True):
        group = []
        for place in range(first, first + 10_000, each):
            at = COMMAND_BYTES * (place % (len(commands) // COMMAND_BYTES))
            group.append((Kind.COMMANDS, commands[at : at + COMMAND_BYTES * each], 0))
        for part in range(0, len(group), 4_000):
            log.commit(group[part : part + 4_000])
    log.close()
    return sum(path.stat().st_size for path in folder.glob("*.journal"))


def come_back(folder: Path) -> tuple[float, int]:
    """Seconds that a replay from the first record takes, and the bytes of memory that it needs at most."""
    before, _ = resident()
    start = perf_counter()
    found = replay(DISK, str(folder), from_start=True)
    assert found
    return perf_counter() - start, resident()[1] - before


def measure(folder: Path, seconds: float, rounds: int, millions: int) -> None:
    """Everything, as tables."""
    console = Console(highlight=False, width=140)
    console.print(describe())
    commands = some_commands(200_000)
    rows: dict[str, list[Latency]] = {}
    for number in track(range(rounds), "acknowledging", transient=True):
        rows.setdefault("bare write and sync of 4 KiB", []).append(bare_syncs(folder, seconds))
        for rate in RATES:
            for name in ("off", "on"):
                log = new_log(folder / f"{number} {rate}", new_exchange(1)) if name == "on" else None
                took = uvloop.run(acknowledge(new_exchange(1), commands, log, rate, seconds))
                rows.setdefault(f"{rate:,} commands/s, journal {name}", []).append(took)
                shutil.rmtree(folder / f"{number} {rate}", ignore_errors=True)
    table = Table("microseconds to acknowledge, median of the rounds", "p50", "p99", "max")
    for name, latencies in rows.items():
        table.add_row(name, *(f"{sorted(values)[rounds // 2]:,.0f}" for values in zip(*latencies, strict=True)))
    console.print(table)

    table = Table("flat out", "commands a second")
    for each in (100, 1_000, 10_000):
        rate = max(flat_out(folder / f"flat {each} {number}", commands, 4_000_000, each) for number in range(2))
        for number in range(2):
            shutil.rmtree(folder / f"flat {each} {number}")
        table.add_row(f"records of {each:,} commands", f"{rate:,.0f}")
    console.print(table)

    table = Table("coming back", "commands", "bytes a command", "seconds a million", "memory, MiB")
    for each, total in ((1, 1_000_000), (5, 1_000_000), (100, 1_000_000), (100, 1_000_000 * millions)):
        size = fill(folder / "long", commands, total, each)
        took, memory = in_fresh_process(partial(come_back, folder / "long"))
        table.add_row(f"records of {each}", f"{total:,}", f"{size / total:.0f}", f"{took / total * 1e6:.2f}", f"{memory / 2**20:.0f}")
        shutil.rmtree(folder / "long")
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where to write; it decides which disk is measured")
    parser.add_argument("--seconds", type=float, default=3, help="for each latency")
    parser.add_argument("--rounds", type=int, default=3, help="of the latencies, interleaved")
    parser.add_argument("--millions", type=int, default=10, help="commands of the long journal")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        measure(Path(folder), arguments.seconds, arguments.rounds, arguments.millions)


if __name__ == "__main__":
    main()
