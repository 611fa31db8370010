"""What an order, a price level and an account take: by how much a process grows when a million orders, 100,000 levels, a million accounts come.

Each is measured in a process of its own, whose resident set is read before and after the commands that make them, beside the structs
that they are made of, as the engine's sources declare them. A table that is full doubles, so there is room for up to twice what is
in it; the peak shows whether it takes more while it does so. Needs Linux.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

import engine
from benchmarks.flow import batches, new_exchange
from benchmarks.machine import describe, in_fresh_process, resident
from engine import Commands, Exchange

_WIDTHS = {f"{sign}int{bits}_t": bits // 8 for sign in ("", "u") for bits in (8, 16, 32, 64)}
_STRUCT = re.compile(r"^cdef struct (\w+):.*\n((?:[ \t]+\S.*\n|\s*\n)+)", re.MULTILINE)
_FIELD = re.compile(r"^[ \t]+(\w+)(\*?) \w+(?:\[(\w+)\])?", re.MULTILINE)


def size_of(struct: str) -> int:
    """Bytes of a struct that the engine's sources declare, laid out as a C compiler does on a machine of 64 bits."""
    declared: dict[str, str] = {}
    for path in Path(engine.__file__).parent.glob("*.pxd"):
        declared.update(_STRUCT.findall(path.read_text()))

    def layout(name: str) -> tuple[int, int]:
        if name in _WIDTHS:
            return _WIDTHS[name], _WIDTHS[name]
        end, widest = 0, 1
        for kind, pointer, count in _FIELD.findall(declared[name]):
            size, alignment = (8, 8) if pointer else layout(kind)
            end = -(-end // alignment) * alignment + size * int(count or 1)
            widest = max(widest, alignment)
        return -(-end // widest) * widest, widest

    return layout(struct)[0]


class Growth(NamedTuple):
    """Bytes by which the process grew, at the end and at the most, for so many things; `structs`: what each of them is made of, in bytes."""

    number: int
    grown: int
    peak: int
    structs: Mapping[str, float]


def _grown(exchange: Exchange, commands: Commands) -> tuple[int, int]:
    """By how much the process grows, now and at its peak, while it executes commands."""
    groups = batches(memoryview(commands))
    before, _ = resident()
    if refused := sum(map(exchange.execute, groups)):
        raise RuntimeError(f"{refused} commands were refused")
    now, most = resident()
    return now - before, most - before


def _orders(count: int, client_ids: bool = False, icebergs: bool = False) -> Growth:
    """Orders at prices where there are orders already."""
    exchange, commands, levels = new_exchange(1, 1), Commands(), 1_000
    for index in range(count):
        commands.place(0, 0, 0, 1 + index % levels, 2, client_id=(index + 1) * client_ids, display=int(icebergs))
    for index in range(levels):
        exchange.place(0, 0, 0, 1 + index, 1)
    structs = ["Order", *["ClientId"] * client_ids, *["Special"] * icebergs]
    return Growth(count, *_grown(exchange, commands), {name: size_of(name) for name in structs})


def _levels(count: int, step: int) -> Growth:
    """Price levels so many ticks apart, with one order each, in the slots of orders that are gone."""
    exchange, commands = new_exchange(1, 1), Commands()
    for index in range(count):
        commands.place(0, 0, 0, 1 + index * step, 1)
    for _ in range(count):
        exchange.place(0, 0, 0, 1, 1)
    exchange.cancel_all(0)
    return Growth(count, *_grown(exchange, commands), {"Level": size_of("Level"), "Node": size_of("Node") * min(step, 64) / 64})


def _accounts(count: int) -> Growth:
    """Accounts, with a balance in each of two assets."""
    exchange, commands = new_exchange(1, 0), Commands()
    for _ in range(count):
        commands.open_account()
    return Growth(count, *_grown(exchange, commands), {"Account": size_of("Account"), "2 Balance": 2 * size_of("Balance"), "2 marks": 2})


KINDS: dict[str, Callable[[], Growth]] = {
    "order": partial(_orders, 1_000_000),
    "order with a client id": partial(_orders, 1_000_000, client_ids=True),
    "iceberg": partial(_orders, 1_000_000, icebergs=True),
    "price level, side by side": partial(_levels, 100_000, step=1),
    "price level, 100 ticks apart": partial(_levels, 100_000, step=100),
    "account, two assets": partial(_accounts, 1_000_000),
}


def measure() -> dict[str, Growth]:
    """Everything, each in a fresh process."""
    return {kind: in_fresh_process(run) for kind, run in track(KINDS.items(), "memory", console=Console(stderr=True), transient=True)}


def table_of(growths: dict[str, Growth]) -> Table:
    """The figures for the terminal."""
    table = Table(title="Memory", caption="bytes each: what the resident set grew by, over how many there are")
    table.add_column("")
    for column in ("how many", "grown by", "at the peak"):
        table.add_column(column, justify="right")
    table.add_column("structs")
    for kind, growth in growths.items():
        structs = " + ".join(f"{size:g} ({name})" for name, size in growth.structs.items())
        table.add_row(kind, f"{growth.number:,}", f"{growth.grown / growth.number:.1f}", f"{growth.peak / growth.number:.1f}", structs)
    return table


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    growths = measure()
    if options.json:
        json.dump({"machine": describe(), "memory": {kind: growth._asdict() for kind, growth in growths.items()}}, sys.stdout, indent=2)
        return
    console = Console()
    console.print(describe())
    console.print(table_of(growths))


if __name__ == "__main__":
    main()
