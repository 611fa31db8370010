"""Whether an operation of the engine costs more when there is more of something: orders, instruments, price levels, accounts.

One dimension grows, the others are held, and the mix of operations is the same everywhere; there is no locality, so nothing is kinder
to the caches than its size. Commands run 64 a call, with every check, events, change list, digest, balances and fees. Beside each
point stands the size of the structs in use, and what a bare memory access costs that waits for the one before it, at random in as
much memory. A plot of it all goes to a file.
"""

import argparse
import gc
import json
import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter_ns
from typing import NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import chase
from benchmarks.engine import check_state
from benchmarks.flow import BATCH, batches, new_exchange
from benchmarks.machine import describe
from benchmarks.memory import size_of
from benchmarks.plot import Line, Panel, svg
from benchmarks.uniform import Prepared, Shape, prepare

BASE = Shape(orders=100_000, instruments=1, levels=1_000, accounts=1_000)


class Series(NamedTuple):
    """One dimension of `shapes` grows."""

    dimension: str
    what: str
    held: str
    shapes: list[Shape]


SERIES = [
    Series("orders", "live orders", "one book, 1,000 levels, 1,000 accounts", [BASE._replace(orders=10**n) for n in (3, 4, 5, 6)]),
    Series(
        "instruments", "instruments", "100,000 orders and 10,000 levels in all, 1,000 accounts",
        [BASE._replace(levels=10_000, instruments=10**n) for n in (0, 1, 2, 3)],
    ),
    Series("levels", "price levels", "one book, 100,000 orders, 1,000 accounts", [BASE._replace(levels=10**n) for n in (1, 2, 3, 4, 5)]),
    Series("accounts", "accounts", "one book, 100,000 orders, 1,000 levels", [BASE._replace(accounts=10**n) for n in (0, 1, 2, 3, 4, 5)]),
]


class Point(NamedTuple):
    """One shape's figures, in ns an operation: the median of all rounds, and the quartiles.

    `orders` and `levels` are how many there really are, `state` the bytes of them and of the accounts, `access` ns of a bare
    access in so many bytes, None without a compiler.
    """

    shape: Shape
    median: float
    lower: float
    upper: float
    orders: int
    levels: int
    events_per_operation: float
    state: int
    access: float | None


def state_of(shape: Shape, prepared: Prepared) -> int:
    """Bytes of the structs in use. Price levels side by side share the nodes of their tree."""
    order, level, account = size_of("Order"), size_of("Level") + size_of("Node") / 64, size_of("Account") + 2 * size_of("Balance") + 2
    return int(prepared.orders * order + prepared.levels * level + shape.accounts * account)


def run(shape: Shape, prepared: Prepared) -> float:
    """The timed operations once, on a new exchange; ns each."""
    exchange, work = new_exchange(shape.instruments, shape.accounts), prepared.work
    for batch in batches(work.prefill):
        exchange.execute(batch)
    groups, execute = batches(work.timed), exchange.execute
    gc.collect()
    start = perf_counter_ns()
    for batch in groups:
        execute(batch)
    elapsed = perf_counter_ns() - start
    check_state(exchange, work)
    return elapsed / sum(prepared.mix)


def measure(operations: int, rounds: int, seed: int, program: Path | None) -> dict[Shape, Point]:
    """Every shape, in interleaved rounds."""
    console = Console(stderr=True)
    shapes = {shape: None for series in SERIES for shape in series.shapes}
    prepared = {shape: prepare(shape, operations, seed) for shape in track(shapes, "operations", console=console, transient=True)}
    sizes = {shape: state_of(shape, prepared[shape]) for shape in shapes}
    samples: dict[Shape, list[float]] = {shape: [] for shape in shapes}
    accesses: dict[Shape, list[float]] = {shape: [] for shape in shapes}
    gc.disable()
    for _ in track(range(rounds), "rounds", console=console, transient=True):
        for shape in shapes:
            samples[shape].append(run(shape, prepared[shape]))
            if program:
                accesses[shape].append(chase.run(program, sizes[shape], seed))
    gc.enable()
    quartiles = {shape: quantiles(ns, method="inclusive") for shape, ns in samples.items()}
    return {
        shape: Point(
            shape, middle, lower, upper, prepared[shape].orders, prepared[shape].levels, prepared[shape].work.events / operations,
            sizes[shape], median(accesses[shape]) if program else None,
        )
        for shape, (lower, middle, upper) in quartiles.items()
    }


def table_of(series: Series, points: dict[Shape, Point]) -> Table:
    """One dimension for the terminal."""
    first = points[series.shapes[0]]
    table = Table(title=f"More {series.what}: {series.held}")
    numbers = ("ns an\noperation", "lower\nquartile", "upper\nquartile", "x the\nfirst", "orders", "levels")
    for column in (series.what, *numbers, "state\nMiB", "bare\naccess ns", "growth in\naccesses"):
        table.add_column(column, justify="right")
    for shape in series.shapes:
        point = points[shape]
        access, growth = ("", "") if point.access is None else (f"{point.access:.1f}", f"{(point.median - first.median) / point.access:.1f}")
        table.add_row(
            f"{getattr(shape, series.dimension):,}", f"{point.median:.1f}", f"{point.lower:.1f}", f"{point.upper:.1f}", f"{point.median / first.median:.2f}",
            f"{point.orders:,}", f"{point.levels:,}", f"{point.state / 2**20:.2f}", access, growth,
        )
    return table


def plot_of(points: dict[Shape, Point], caption: str) -> str:
    """All dimensions as an SVG file."""
    panels = []
    for series in SERIES:
        along = [(float(getattr(shape, series.dimension)), points[shape]) for shape in series.shapes]
        lines = [Line("an engine operation", [(x, point.median, point.lower, point.upper) for x, point in along])]
        accesses = [(x, point.access, point.access, point.access) for x, point in along if point.access is not None]
        if accesses:
            lines.append(Line("one bare memory access in as much memory", accesses))
        panels.append(Panel(series.what, series.held, lines))
    return svg(panels, "ns", caption)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ops", type=int, default=200_000, help="timed operations of a point and round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--plot", type=Path, default=Path(__file__).with_suffix(".svg"), help="where the plot goes (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        points = measure(options.ops, options.rounds, options.seed, chase.build(Path(folder)))
    options.plot.write_text(plot_of(points, f"medians of {options.rounds} rounds, bars around half of them; {describe()}"))
    if options.json:
        series = {
            one.dimension: [points[shape]._asdict() | {"shape": shape._asdict()} for shape in one.shapes]
            for one in SERIES
        }
        json.dump({"machine": describe(), "operations": options.ops, "rounds": options.rounds, "seed": options.seed, "series": series}, sys.stdout, indent=2)
        return
    console = Console()
    console = Console(width=max(console.width, 110))
    console.print(describe())
    console.print(f"{options.ops:,} operations of a point and round, {BATCH} a call, {options.rounds} rounds, seed {options.seed}")
    for one in SERIES:
        console.print(table_of(one, points))
    console.print(f"plot: {options.plot}")


if __name__ == "__main__":
    main()
