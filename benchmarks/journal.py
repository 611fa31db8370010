"""How long until a command is on disk, how many fit, and how long it takes to come back: the journal beside a bare loop of syncs.

Commands come from another process through a pipe and go through the sequencer that a server uses: those that came while a group was being
synced are the next group, and a group is run and its commands acknowledged, one by one, when it is on disk. A latency is from when a
command was sent until then. Coming back is what a server does at its start: the state, and what its channels tell.
"""

import argparse
import asyncio
import os
import random
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import cycle
from multiprocessing import Process
from pathlib import Path
from struct import Struct
from time import monotonic_ns, perf_counter, sleep, time_ns
from typing import NamedTuple

import uvloop
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.flow import new_exchange
from benchmarks.machine import describe, in_fresh_process, resident
from engine import Commands, Event, OrderType, Rejected, TimeInForce
from stream.commands.results import Result, Results
from stream.feed.feed import Feed
from stream.journal import snapshots
from stream.journal.files import Disk
from stream.journal.format import Buffer, Kind
from stream.journal.recovery import open_journal, replay
from stream.journal.writer import Journal, JournalOptions, JournalWriter
from stream.market.history import feeding, with_channels
from stream.market.sequencer import Sequencer
from stream.settings.config import Config

RATES = (1_000, 20_000, 100_000)
COMMAND_BYTES = 88
GROUP = 10_000
MIDDLE, OPEN_ORDERS = 100_000, 10_000
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


def mix(total: int) -> Iterator[bytes]:
    """Commands as venues have them, in groups of GROUP: half of them rest, two in five cancel, one in ten takes; 10,000 orders are open."""
    exchange, chance, live = new_exchange(1), random.Random(1), list[tuple[int, int]]()
    for _ in range(total // GROUP):
        commands = Commands()
        for _ in range(GROUP):
            draw, account, side, size = chance.random(), chance.randrange(1_000), chance.randrange(2), chance.randrange(1, 100)
            away = (2 * side - 1) * int(chance.expovariate(0.05))
            if draw < 0.1 and live:
                order = account, 0, side, MIDDLE - away, size, OrderType.LIMIT, TimeInForce.IOC
                commands.place(*order)
                exchange.place(*order)
            elif draw < 0.55 and len(live) > OPEN_ORDERS:
                place = chance.randrange(len(live))
                cancelled, live[place] = live[place], live[-1]
                live.pop()
                commands.cancel(*cancelled)
                with suppress(Rejected):    # it has been filled
                    exchange.cancel(*cancelled)
            else:
                rest = account, 0, side, MIDDLE + away + 2 * side - 1, size
                commands.place(*rest)
                live.append((account, exchange.place(*rest)))
        yield bytes(commands)


def new_writer(folder: Path) -> JournalWriter:
    """A journal that begins with an exchange of one instrument, and has its next segment ready."""
    writer = open_journal(DISK, str(folder), JournalOptions(), 1).writer
    writer.commit([(Kind.GENESIS, new_exchange(1).snapshot(), 0)])
    writer.prepare()
    return writer


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


def new_sequencer(writer: JournalWriter | None, report: Callable[[], None]) -> tuple[Sequencer, Journal | None]:
    """What carries commands to an exchange of one instrument, as in a server; with a journal, or without."""
    journal = Journal(writer, report) if writer else None
    return Sequencer(new_exchange(1), {}, Results(), lambda now, commands: None, journal), journal


async def acknowledge(commands: bytes, writer: JournalWriter | None, rate: int, seconds: float) -> Latency:
    """Until every command that another process sends is acknowledged."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    latencies: list[int] = []
    records = (commands[at : at + COMMAND_BYTES] for at in cycle(range(0, len(commands), COMMAND_BYTES)))
    ended = False

    def reply(sent: int, result: Result | None, outcome: Event | None) -> None:
        latencies.append(monotonic_ns() - sent)

    def receive() -> None:
        nonlocal ended
        data = os.read(source, (1 << 16) // SENT.size * SENT.size)
        for sent, count in SENT.iter_unpack(data):
            for _ in range(count):
                sequencer.commands.extend(next(records))
                sequencer.expect(partial(reply, sent))
        if not data:
            ended = True
            loop.remove_reader(source)
        advance()

    def advance() -> None:
        sequencer.advance(time_ns())
        if ended and not sequencer.waits:
            over.set()

    sequencer, journal = new_sequencer(writer, lambda: loop.call_soon_threadsafe(advance))
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
    if len(latencies) < rate * seconds:
        raise RuntimeError(f"{len(latencies)} of {rate * seconds:.0f} commands were acknowledged")
    return quantiles(latencies)


# Flat out, and back


def flat_out(folder: Path, commands: bytes, each: int) -> float:
    """Commands a second that are journaled and then run, in groups of `each`, while the next segment's zeros are written too."""
    durable = threading.Event()
    sequencer, journal = new_sequencer(new_writer(folder), durable.set)
    assert journal
    step = COMMAND_BYTES * each
    start = perf_counter()
    for at in range(0, len(commands), step):
        sequencer.commands.extend(commands[at : at + step])
        sequencer.advance(0)
        while len(sequencer.commands):    # behind the group that is being synced
            durable.wait()
            durable.clear()
            sequencer.advance(0)
    journal.close()
    sequencer.advance(0)
    took = perf_counter() - start
    if sequencer.executed * COMMAND_BYTES != len(commands):
        raise RuntimeError(f"{sequencer.executed} commands were run")
    return sequencer.executed / took


def fill(folder: Path, groups: Iterable[bytes], each: int) -> None:
    """A journal of groups of commands, `each` to a record."""
    writer = new_writer(folder)
    for commands in groups:
        step = COMMAND_BYTES * each
        records: list[tuple[Kind, Buffer, int]] = [(Kind.COMMANDS, commands[at : at + step], 0) for at in range(0, len(commands), step)]
        for part in range(0, len(records), writer.options.group_records):
            writer.commit(records[part : part + writer.options.group_records])
    writer.close()


class Return(NamedTuple):
    """How long it took to come back, how many bytes of records were read, how many bytes of memory that took at most, and what it came to."""

    seconds: float
    read: int
    memory: int
    open_orders: int


def come_back(folder: Path, leave_snapshot: bool) -> Return:
    """From what is in a folder to the state and its channels, as a server begins."""
    feeds: list[Feed] = []
    before, _ = resident()
    start = perf_counter()
    found = replay(DISK, str(folder), None, feeding(Config(), feeds))
    took = perf_counter() - start
    assert found
    memory = resident()[1] - before
    if leave_snapshot:
        found.state.directory = with_channels(feeds[0], found.state.directory)
        snapshots.write(DISK, str(folder), found.state)
    return Return(took, found.reader.read, memory, found.state.exchange.order_count)


def measure(folder: Path, seconds: float, rounds: int, millions: int) -> None:
    """Everything, as tables."""
    console = Console(highlight=False, width=140)
    console.print(describe())
    groups = list(track(mix(1_000_000), "a million commands", total=100, transient=True))
    commands = b"".join(groups)
    rows: dict[str, list[Latency]] = {}
    for number in track(range(rounds), "acknowledging", transient=True):
        rows.setdefault("bare write and sync of 4 KiB", []).append(bare_syncs(folder, seconds))
        for rate in RATES:
            for name in ("off", "on"):
                writer = new_writer(folder / f"{number} {rate}") if name == "on" else None
                took = uvloop.run(acknowledge(commands, writer, rate, seconds))
                rows.setdefault(f"{rate:,} commands/s, journal {name}", []).append(took)
                shutil.rmtree(folder / f"{number} {rate}", ignore_errors=True)
    table = Table("microseconds to acknowledge, median of the rounds (fastest to slowest)", "p50", "p99", "max")
    for name, latencies in rows.items():
        figures = [sorted(values) for values in zip(*latencies, strict=True)]
        table.add_row(name, *(f"{values[rounds // 2]:,.0f} ({values[0]:,.0f}-{values[-1]:,.0f})" for values in figures))
    console.print(table)

    table = Table("flat out, journaled and run", "commands a second, median (slowest to fastest)")
    for each in (100, 1_000, 10_000):
        rates = []
        for number in track(range(rounds), "flat out", transient=True):
            rates.append(flat_out(folder / f"flat {number}", commands, each))
            shutil.rmtree(folder / f"flat {number}")
        rates.sort()
        table.add_row(f"groups of {each:,}", f"{rates[rounds // 2]:,.0f} ({rates[0]:,.0f}-{rates[-1]:,.0f})")
    console.print(table)

    columns = "bytes a command", "seconds", "seconds a million", "memory, MiB", "open orders", "from a snapshot, seconds", "its MiB"
    table = Table("coming back", "commands", *columns)
    for each, total in ((1, 1_000_000), (5, 1_000_000), (100, 1_000_000), (5, 1_000_000 * millions)):
        fill(folder / "long", track(mix(total), "writing", total=total // GROUP, transient=True) if total > 1_000_000 else groups, each)
        back = in_fresh_process(partial(come_back, folder / "long", True))
        again = in_fresh_process(partial(come_back, folder / "long", False))
        [snapshot] = (folder / "long").glob(f"*{snapshots.SUFFIX}")
        table.add_row(
            f"records of {each}", f"{total:,}", f"{back.read / total:.0f}", f"{back.seconds:.2f}", f"{back.seconds / total * 1e6:.2f}",
            f"{back.memory / 2**20:.0f}", f"{back.open_orders:,}", f"{again.seconds:.2f}", f"{snapshot.stat().st_size / 2**20:.1f}",
        )
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
