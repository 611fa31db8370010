"""How long a single command takes: the middle, the tail and the worst, through a Python call and through an `execute` of one command.

Every command is timed by itself with `perf_counter_ns`, and nothing is taken off: the same loop around an empty call stands beside it,
and shows what the clock and the machine add. Steady: flow A. Growing: orders into an empty exchange, whose tables double on the way. With the
garbage collector on and off. The pauses of the growing phase that come back in every run at the same command are named, with the
memory that this command asks the C library for (where there is glibc and a compiler).
"""

import argparse
import gc
import json
import sys
import tempfile
from array import array
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns
from typing import NamedTuple, TypeAlias

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import allocations
from benchmarks.engine import check_state, filled_exchange
from benchmarks.flow import COMMAND, FLOWS, GROWING, Recording, Workload, new_exchange, record, workload
from benchmarks.machine import describe
from engine import CommandKind

Samples: TypeAlias = "array[int]"
"""ns of each command."""

QUANTILES = (0.5, 0.99, 0.999, 0.9999)
STEADY, GROWS, EMPTY = "steady", "growing", "(an empty call)"
CALL, EXECUTE = "place, cancel", "execute"


class Case(NamedTuple):
    """What is timed, through which call, and whether the garbage collector is on."""

    phase: str
    call: str
    collector: bool


class Latency(NamedTuple):
    """ns, at `QUANTILES` and at the most, over so many commands."""

    commands: int
    quantiles: list[int]
    max: int


class Pause(NamedTuple):
    """A command that is slow in every run: the orders before it, the least and the most ns, and the bytes that it asked for, None if that is not known."""

    orders: int
    least: int
    most: int
    requested: int | None


def nothing(*_: object) -> None:
    """The empty call."""


def time_calls(place: Callable[..., object], cancel: Callable[..., object], commands: bytes) -> Samples:
    """ns of each command as a Python call."""
    samples, clock, kind_of_cancel = array("q", bytes(len(commands) // COMMAND.size * 8)), perf_counter_ns, int(CommandKind.CANCEL)
    for index, (order, price, size, account, instrument, kind, side) in enumerate(COMMAND.iter_unpack(commands)):
        if kind == kind_of_cancel:
            start = clock()
            cancel(account, order)
            samples[index] = clock() - start
        else:
            start = clock()
            place(account, instrument, side, price, size)
            samples[index] = clock() - start
    return samples


def time_executes(execute: Callable[[memoryview], object], commands: bytes) -> Samples:
    """ns of each command as a buffer of one."""
    samples, clock, view, size = array("q", bytes(len(commands) // COMMAND.size * 8)), perf_counter_ns, memoryview(commands), COMMAND.size
    for index in range(len(samples)):
        command = view[index * size : index * size + size]
        start = clock()
        execute(command)
        samples[index] = clock() - start
    return samples


def run(case: Case, recording: Recording, work: Workload) -> Samples:
    """One case once, on a new exchange; ns of each command."""
    commands = work.prefill if case.phase == GROWS else work.timed
    exchange = new_exchange(recording.flow.instruments) if case.phase == GROWS else filled_exchange(recording, work)
    place: Callable[..., object] = exchange.place
    cancel: Callable[..., object] = exchange.cancel
    execute: Callable[..., object] = exchange.execute
    if case.phase == EMPTY:
        place = cancel = execute = nothing
    gc.collect()
    if case.collector:
        gc.enable()
    samples = time_calls(place, cancel, commands) if case.call == CALL else time_executes(execute, commands)
    gc.disable()
    if case.phase != EMPTY:
        check_state(exchange, work)
    return samples


def latency_of(samples: list[Samples]) -> Latency:
    """The distribution over all runs."""
    ordered = sorted(ns for run in samples for ns in run)
    return Latency(len(ordered), [ordered[int(share * len(ordered))] for share in QUANTILES], ordered[-1])


def pauses_of(samples: list[Samples], count: int) -> list[Pause]:
    """The commands whose fastest run is the slowest, with what they asked for."""
    least = array("q", map(min, *samples))
    worst = sorted(range(len(least)), key=least.__getitem__, reverse=True)[:count]
    with tempfile.TemporaryDirectory() as folder:
        library = allocations.build(Path(folder))
        requested = dict(allocations.growing(library, GROWING)) if library else None
    return [
        Pause(index, least[index], max(run[index] for run in samples), None if requested is None else requested.get(index, 0))
        for index in sorted(worst)
    ]


def measure(operations: int, rounds: int) -> dict[Case, list[Samples]]:
    """ns of each command of each case and run, in interleaved rounds."""
    steady, growing = record(FLOWS["A"], operations), record(GROWING, 0)
    works = {phase: (steady, workload(steady)) for phase in (STEADY, EMPTY)} | {GROWS: (growing, workload(growing))}
    cases = [Case(phase, call, collector) for phase in (STEADY, GROWS, EMPTY) for call in (CALL, EXECUTE) for collector in (False, True)]
    samples: dict[Case, list[Samples]] = {case: [] for case in cases}
    gc.disable()
    turns = [case for _ in range(rounds) for case in cases]
    for case in track(turns, "rounds", console=Console(stderr=True), transient=True):
        samples[case].append(run(case, *works[case.phase]))
    gc.enable()
    return samples


def table_of(latencies: dict[Case, Latency]) -> Table:
    """The distributions for the terminal."""
    table = Table(title="One command, ns")
    for column in ("", "call", "collector"):
        table.add_column(column)
    for column in ("commands", *(f"p{100 * share:g}" for share in QUANTILES), "max"):
        table.add_column(column, justify="right")
    for case, latency in latencies.items():
        numbers = (f"{number:,}" for number in (latency.commands, *latency.quantiles, latency.max))
        table.add_row(case.phase, case.call, "on" if case.collector else "off", *numbers)
    return table


def pauses_table(pauses: list[Pause], runs: int) -> Table:
    """What comes back, for the terminal."""
    table = Table(title=f"The commands of the growing phase that are slowest in the fastest of {runs} runs")
    for column in ("orders before", "least us", "most us", "asks for MiB"):
        table.add_column(column, justify="right")
    for pause in pauses:
        requested = "" if pause.requested is None else f"{pause.requested / 2**20:g}" if pause.requested else "nothing"
        table.add_row(f"{pause.orders:,}", f"{pause.least / 1000:,.1f}", f"{pause.most / 1000:,.1f}", requested)
    return table


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ops", type=int, default=1_000_000, help="timed commands of flow A in a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--pauses", type=int, default=8, help="how many of the slowest commands are named (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    samples = measure(options.ops, options.rounds)
    grown = [run for case, runs in samples.items() if case.phase == GROWS for run in runs]
    pauses = pauses_of(grown, options.pauses)
    latencies = {case: latency_of(runs) for case, runs in samples.items()}
    seeds = {STEADY: FLOWS["A"].seed, GROWS: GROWING.seed}
    if options.json:
        plain = [case._asdict() | latency._asdict() for case, latency in latencies.items()]
        names = {"quantiles": QUANTILES, "seeds": seeds, "rounds": options.rounds}
        json.dump({"machine": describe(), **names, "latencies": plain, "pauses": [pause._asdict() for pause in pauses]}, sys.stdout, indent=2)
        return
    console = Console()
    console = Console(width=max(console.width, 110))
    console.print(describe())
    console.print(f"{options.rounds} rounds; seeds: {', '.join(f'{phase} {seed}' for phase, seed in seeds.items())}")
    console.print(table_of(latencies))
    console.print(pauses_table(pauses, len(grown)))


if __name__ == "__main__":
    main()
