"""How often the engine asks the C library for memory: in a steady state never, and while it grows once for each table that doubles.

A small library, loaded ahead of the C library, counts the calls of malloc, calloc, realloc and posix_memalign and adds up what they ask for. The
commands run in a process of its own under it. Steady: the second half of twice as many commands of flow A, and of a flow whose orders
all have an expiry. Growing: orders into an empty exchange. Needs glibc and a compiler.
"""

import argparse
import ctypes
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.engine import call_each
from benchmarks.flow import BATCH, COMMAND, FLOWS, GROWING, Flow, Workload, batches, new_exchange, record, workload
from benchmarks.machine import compiler, describe, in_fresh_process
from benchmarks.uniform import Shape, prepare
from engine import Exchange

SHAPE = Shape(orders=10_000, instruments=10, levels=1_000, accounts=1_000)
SEED = 1

_C = r"""
#include <stddef.h>
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
size_t requests, requested;
static void count(size_t size) { requests++; requested += size; }
void *malloc(size_t size) { count(size); return __libc_malloc(size); }
void *calloc(size_t n, size_t size) { count(n * size); return __libc_calloc(n, size); }
void *realloc(void *block, size_t size) { count(size); return __libc_realloc(block, size); }
int posix_memalign(void **block, size_t alignment, size_t size) { count(size); return (*block = __libc_memalign(alignment, size)) ? 0 : 12; }    /* ENOMEM */
"""

class Count(NamedTuple):
    """How often so many commands asked for memory, and for how many bytes in all."""

    commands: int
    requests: int
    size: int


class Request(NamedTuple):
    """A command that asked for memory: how many there were before it, and the bytes it asked for."""

    position: int
    size: int


class Requests:
    """The counters of this process, which runs under the library."""

    def __init__(self) -> None:
        process = ctypes.CDLL(None)
        self._requests, self._size = (ctypes.c_size_t.in_dll(process, name) for name in ("requests", "requested"))

    def so_far(self) -> tuple[int, int]:
        return self._requests.value, self._size.value


def build(into: Path) -> Path | None:
    """The library, or None where it cannot be."""
    command = compiler()
    if command is None or platform.libc_ver()[0] != "glibc":
        return None
    source, library = into / "requests.c", into / "requests.so"
    source.write_text(_C)
    subprocess.run([command, "-x", "c", "-O2", "-fno-builtin", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return library


class Steady(NamedTuple):
    """Commands to count and an exchange that is ready for them."""

    exchange: Exchange
    commands: memoryview


def halfway(exchange: Exchange, work: Workload) -> Steady:
    """A new exchange after the first half of the timed commands, and the second half."""
    timed = memoryview(work.timed)
    half = len(timed) // COMMAND.size // 2 * COMMAND.size
    for batch in (*batches(work.prefill), *batches(timed[:half])):
        exchange.execute(batch)
    return Steady(exchange, timed[half:])


def flow_a(operations: int, named: bool) -> Steady:
    """So many commands of flow A, after as many; with client ids if `named`."""
    flow = FLOWS["A"]
    return halfway(new_exchange(flow.instruments), workload(record(flow, 2 * operations), named))


def uniform_flow(operations: int, shape: Shape, expiring: bool) -> Steady:
    """So many commands of a uniform flow, after as many."""
    return halfway(new_exchange(shape.instruments, shape.accounts), prepare(shape, 2 * operations, SEED, expiring).work)


def _counted(steady: Callable[[], Steady], batched: bool) -> Count:
    exchange, commands = steady()
    groups, counters = batches(commands), Requests()
    requests, size = counters.so_far()
    if batched:
        for group in groups:
            exchange.execute(group)
    else:
        call_each(exchange, commands)
    now = counters.so_far()
    return Count(len(commands) // COMMAND.size, now[0] - requests, now[1] - size)


def _growing(flow: Flow) -> list[Request]:
    commands = batches(workload(record(flow, 0)).prefill, 1)
    exchange, counters = new_exchange(flow.instruments), Requests()
    found = []
    requests, size = counters.so_far()
    for position, command in enumerate(commands):
        exchange.execute(command)
        now = counters.so_far()
        if now[0] != requests:
            found.append(Request(position, now[1] - size))
            requests, size = counters.so_far()
    return found


def counted(library: Path, steady: Callable[[], Steady], batched: bool) -> Count:
    """What the commands that `steady` returns ask for, `BATCH` a call or one Python call each."""
    return in_fresh_process(partial(_counted, steady, batched), LD_PRELOAD=str(library))


def growing(library: Path, flow: Flow) -> list[Request]:
    """The commands that ask for memory among those that fill the flow's books."""
    return in_fresh_process(partial(_growing, flow), LD_PRELOAD=str(library))


def table_of(counts: dict[tuple[str, int], Count]) -> Table:
    """The steady state for the terminal."""
    table = Table(title="Steady state")
    table.add_column("")
    for column in ("commands a call", "commands", "requests for memory", "bytes"):
        table.add_column(column, justify="right")
    for (name, group), count in counts.items():
        table.add_row(name, str(group), f"{count.commands:,}", f"{count.requests:,}", f"{count.size:,}")
    return table


def growth_of(requests: list[Request], flow: Flow) -> Table:
    """The growth for the terminal."""
    table = Table(title=f"Growing: {flow.live:,} orders into an empty exchange", caption=f"{len(requests)} requests; those of 1 MiB and more")
    for column in ("orders before", "MiB"):
        table.add_column(column, justify="right")
    for request in requests:
        if request.size >= 1 << 20:
            table.add_row(f"{request.position:,}", f"{request.size / 2**20:g}")
    return table


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.allocations", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ops", type=int, default=1_000_000, help="counted commands (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    flows = {
        "flow A": partial(flow_a, options.ops, named=False),
        "flow A with client ids": partial(flow_a, options.ops, named=True),
        "uniform, with expiries": partial(uniform_flow, options.ops, SHAPE, expiring=True),
    }
    cases = {(name, group): steady for name, steady in flows.items() for group in (BATCH, 1)}
    with tempfile.TemporaryDirectory() as folder:
        library = build(Path(folder))
        if library is None:
            sys.exit("needs glibc and a C++ compiler (CXX, g++ or clang++)")
        counts = {
            (name, group): counted(library, steady, group > 1)
            for (name, group), steady in track(cases.items(), "steady", console=Console(stderr=True), transient=True)
        }
        requests = growing(library, GROWING)
    seeds = {"flow A": FLOWS["A"].seed, "uniform": SEED, "growing": GROWING.seed}
    if options.json:
        steady = [{"flow": name, "commands a call": group} | count._asdict() for (name, group), count in counts.items()]
        json.dump({"machine": describe(), "seeds": seeds, "steady": steady, "growing": [request._asdict() for request in requests]}, sys.stdout, indent=2)
        return
    console = Console()
    console.print(describe())
    console.print(f"seeds: {', '.join(f'{name} {seed}' for name, seed in seeds.items())}")
    console.print(table_of(counts))
    console.print(growth_of(requests, GROWING))


if __name__ == "__main__":
    main()
