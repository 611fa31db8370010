"""What an operation of the engine costs, beside a C++ reference and order books of PyPI.

Every contestant runs the same recording from the start in each round, in turn, so that a busy machine is unfair to all alike.
Ours do everything that they do in production: every check, events, the change list, the digest, balances and fees.
"""

import argparse
import gc
import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import reference
from benchmarks.flow import ACCOUNTS, BATCH, CANCEL, COMMAND, FLOWS, Outcome, Recording, Workload, batches, new_exchange, read, record, workload
from benchmarks.machine import describe
from benchmarks.peers import Nothing, Peer, installed
from engine import CommandKind, Exchange

REFERENCE = "C++ reference"

Contestant = Callable[[], float]


def filled_exchange(recording: Recording, work: Workload) -> Exchange:
    """An exchange at the point where the timed operations begin."""
    exchange = new_exchange(recording.flow.instruments)
    for batch in batches(work.prefill):
        exchange.execute(batch)
    gc.collect()
    return exchange


def call_each(exchange: Exchange, commands: bytes | memoryview) -> None:
    """The commands, one Python call each."""
    place, cancel, kind_of_cancel = exchange.place, exchange.cancel, int(CommandKind.CANCEL)
    for order, price, size, account, instrument, kind, side in COMMAND.iter_unpack(commands):
        if kind == kind_of_cancel:
            cancel(account, order)
        else:
            place(account, instrument, side, price, size)


def run_batched(recording: Recording, work: Workload) -> float:
    """Ours, 64 commands a call; ns an operation."""
    exchange, groups = filled_exchange(recording, work), batches(work.timed)
    execute = exchange.execute
    start = perf_counter_ns()
    for batch in groups:
        execute(batch)
    elapsed = perf_counter_ns() - start
    check_state(exchange, work)
    return elapsed / recording.operations


def run_single(recording: Recording, work: Workload) -> float:
    """Ours, one call a command; ns an operation."""
    exchange = filled_exchange(recording, work)
    start = perf_counter_ns()
    call_each(exchange, work.timed)
    elapsed = perf_counter_ns() - start
    check_state(exchange, work)
    return elapsed / recording.operations


def run_loop(recording: Recording, work: Workload) -> float:
    """The loop of `run_single` without its calls; ns an operation."""
    kind_of_cancel = int(CommandKind.CANCEL)
    gc.collect()
    start = perf_counter_ns()
    for order, price, size, account, instrument, kind, side in COMMAND.iter_unpack(work.timed):  # noqa: B007
        if kind == kind_of_cancel:
            pass
    return (perf_counter_ns() - start) / recording.operations


def run_peer(make: Callable[[int], Peer], recording: Recording) -> float:
    """Another engine, one call an operation; ns an operation."""
    peer = make(recording.flow.instruments)
    place, cancel = peer.place, peer.cancel
    start = 0
    for position, (id, price, size, kind, side, instrument, _) in enumerate(read(recording)):
        if position == recording.flow.live:
            gc.collect()
            start = perf_counter_ns()
        if kind == CANCEL:
            cancel(id, instrument)
        else:
            place(id, instrument, side, price, size)
    elapsed = perf_counter_ns() - start
    if peer.live() not in (None, recording.outcome.live):
        raise RuntimeError(f"{peer.live()} orders are left: expected {recording.outcome.live}")
    return elapsed / recording.operations


def check_state(exchange: Exchange, work: Workload) -> None:
    """However the commands were grouped, the state is the same."""
    if exchange.state_hash() != work.state:
        raise RuntimeError("the exchange ended in another state than when the commands were recorded")


def contestants(recording: Recording, work: Workload, program: Path | None) -> dict[str, Contestant]:
    """Everything that can run here, by name."""
    runs: dict[str, Contestant] = {}
    if program:
        runs[REFERENCE] = partial(reference.run, program, recording)
    runs[f"deltabook, {BATCH} commands a call"] = partial(run_batched, recording, work)
    runs["deltabook, one command a call"] = partial(run_single, recording, work)
    runs["(the bare Python loop of that)"] = partial(run_loop, recording, work)
    peers = installed()
    for name, make in peers.items():
        runs[name] = partial(run_peer, make, recording)
    if peers:
        runs["(the bare Python loop of those)"] = partial(run_peer, Nothing, recording)
    return runs


class Timing(NamedTuple):
    """ns an operation over all rounds; `ratio` is the median of what each round's is to the reference's."""

    median: float
    min: float
    max: float
    ratio: float | None


class Result(NamedTuple):
    """One flow's figures."""

    flow: str
    operations: int
    rounds: int
    instruments: int
    accounts: int
    events_per_operation: float
    outcome: Outcome
    ns: dict[str, Timing]


def timings(samples: dict[str, list[float]]) -> dict[str, Timing]:
    """What the rounds come to."""
    base = samples.get(REFERENCE)
    return {
        name: Timing(median(ns), min(ns), max(ns), median(map(float.__truediv__, ns, base)) if base else None)
        for name, ns in samples.items()
    }


def measure(name: str, operations: int, rounds: int, program: Path | None) -> Result:
    """All contestants on one flow, in interleaved rounds."""
    recording = record(FLOWS[name], operations)
    work = workload(recording)
    runs = contestants(recording, work, program)
    samples: dict[str, list[float]] = {contestant: [] for contestant in runs}
    gc.disable()
    for _ in track(range(rounds), f"flow {name}", console=Console(stderr=True), transient=True):
        for contestant, run in runs.items():
            samples[contestant].append(run())
    gc.enable()
    return Result(
        name, operations, rounds, recording.flow.instruments, ACCOUNTS, work.events / operations, recording.outcome, timings(samples)
    )


def table_of(result: Result) -> Table:
    """One flow's figures for the terminal."""
    mix = ", ".join(f"{100 * getattr(result.outcome, kind) / result.operations:.0f} % {kind}" for kind in ("rests", "cancels", "takes"))
    table = Table(
        title=f"Flow {result.flow}: {result.instruments} books, {result.outcome.live:,} live orders, {result.accounts:,} accounts",
        caption=f"{result.operations:,} operations ({mix}), {result.events_per_operation:.2f} events an operation",
    )
    table.add_column("ns an operation")
    for column in ("median", "min", "max", "x reference"):
        table.add_column(column, justify="right")
    for contestant, timing in result.ns.items():
        ratio = "" if timing.ratio is None else f"{timing.ratio:.2f}"
        table.add_row(contestant, f"{timing.median:,.1f}", f"{timing.min:,.1f}", f"{timing.max:,.1f}", ratio)
    return table


def plain(result: Result) -> dict[str, object]:
    """One flow's figures for JSON."""
    ns = {contestant: timing._asdict() for contestant, timing in result.ns.items()}
    return result._asdict() | {"outcome": result.outcome._asdict(), "ns": ns}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flows", default="A,B,C", help="A: one book, 10,000 live orders; B: 300,000; C: 200 books (default: all)")
    parser.add_argument("--ops", type=int, default=1_000_000, help="timed operations (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--limit", type=Path, default=Path(__file__).parents[2] / "shared" / "limit", help="folder of the C++ reference (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        program = reference.build(options.limit, Path(folder))
        results = [measure(name, options.ops, options.rounds, program) for name in options.flows.split(",")]
    if options.json:
        json.dump({"machine": describe(), "flows": [plain(result) for result in results]}, sys.stdout, indent=2)
        return
    console = Console()
    console = Console(width=max(console.width, 100))
    console.print(describe())
    for result in results:
        console.print(table_of(result))


if __name__ == "__main__":
    main()
