"""The slowest single commands: every adversary is given a state of its making and one command, whose time and events are measured.

What an adversary leaves open (how many levels, which mode) is searched: it is drawn anew for every try, and the slowest of all tries is
told, beside the most events that engine/REFERENCE.md allows such a command (*What bounds a command*) and the most that any try caused.
The states are made anew for every measurement, which so includes what a first time costs. Times are of the processor.
"""

import argparse
import json
import sys
from random import Random
from time import process_time_ns
from typing import NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.adversaries import ADVERSARIES, State
from benchmarks.machine import describe
from engine import CommandKind, Exchange, OrderType

KIND = 78
"""Where a record says what kind of command it is."""


class Worst(NamedTuple):
    """The slowest try of one adversary; `most_events` is of any of its tries."""

    adversary: str
    what: str
    ns: int
    events: int
    most_events: int
    bound: int
    drawn: dict[str, int | str]


def bound_of(exchange: Exchange, kind: int) -> int:
    """The most events that a command of a kind may cause as an exchange stands, by the table in engine/REFERENCE.md."""
    terms = exchange.books[0].instrument
    orders = [order for account in range(exchange.accounts) for order in exchange.orders(account)]
    stops = sum(order.type != OrderType.LIMIT for order in orders)
    parts = sum(-(-order.remaining // order.displayed) for order in orders if order.type == OrderType.LIMIT)
    met = min(terms.fills_max, parts + stops)
    most = {
        CommandKind.PLACE: 4 * met + 3 * stops + min(met + stops, len(orders)),
        CommandKind.CANCEL_ALL: 2 * len(orders),
        CommandKind.ADVANCE: 2 * len(orders),
        CommandKind.SET_PHASE: 4 * (parts + stops) + 3 * stops + 2 * len(orders),
    }
    return most.get(CommandKind(kind), 3) + len(exchange.assets()) * min(exchange.accounts, len(orders) + 1) + 3


def measure(adversary: str, size: int, random: Random) -> tuple[int, int, int, dict[str, int | str]]:
    """One try: ns, events, the bound of these, and what was drawn."""
    state = State(random, size)
    ADVERSARIES[adversary](state)
    state.ready()
    bound = bound_of(state.exchange, bytes(state.does)[KIND])
    start = process_time_ns()
    state.exchange.execute(state.does)
    ns = process_time_ns() - start
    state.exchange.check()
    return ns, len(state.exchange.events), bound, state.drawn


def search(adversary: str, size: int, tries: int, random: Random) -> Worst:
    """The slowest of as many tries."""
    found = [measure(adversary, size, random) for _ in range(tries)]
    ns, events, bound, drawn = max(found, key=lambda one: one[0])
    what = " ".join((ADVERSARIES[adversary].__doc__ or "").split())
    return Worst(adversary, what, ns, events, max(one[1] for one in found), bound, drawn)


def table_of(worst: list[Worst], size: int) -> Table:
    """For the terminal, the slowest first."""
    table = Table(title=f"The slowest single commands with {size:,} orders")
    for column in ("", "ms", "events", "most events", "bound", "ns an event"):
        table.add_column(column, justify="right" if column else "left")
    for one in sorted(worst, key=lambda one: -one.ns):
        drawn = ", ".join(f"{name} {value}" for name, value in one.drawn.items())
        table.add_row(
            f"{one.what} ({drawn})" if drawn else one.what, f"{one.ns / 1e6:,.2f}", f"{one.events:,}", f"{one.most_events:,}", f"{one.bound:,}",
            f"{one.ns / one.events:,.0f}",
        )
    return table


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worst", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=300_000, help="of an adversary (default: %(default)s)")
    parser.add_argument("--tries", type=int, default=6, help="of each adversary (default: %(default)s)")
    parser.add_argument("--only", choices=list(ADVERSARIES), action="append", help="these adversaries")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    random = Random(options.seed)
    chosen = track(options.only or list(ADVERSARIES), "adversaries", console=Console(stderr=True), transient=True)
    worst = [search(adversary, options.orders, options.tries, random) for adversary in chosen]
    if options.json:
        json.dump({"machine": describe(), "orders": options.orders, "seed": options.seed, "worst": [one._asdict() for one in worst]}, sys.stdout, indent=2)
        return
    console = Console()
    console = Console(width=max(console.width, 130))
    console.print(describe())
    console.print(f"{options.tries} tries of each, seed {options.seed}")
    console.print(table_of(worst, options.orders))


if __name__ == "__main__":
    main()
