"""`deltabook verify`: a client that trusts nothing and checks a live server."""

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from stream.cli.numbers import positive, whole
from stream.cli.shares import deal, shows_orders
from stream.client.client import Client, connect
from stream.client.errors import ClientError
from stream.client.live import LiveBook, LiveByOrder, LiveTicker, LiveTrades
from stream.client.readings import Book, Trades
from stream.harness.agreement import Agreement
from stream.system import loop
from stream.wire.channels import BOOK, BY_ORDER, TICKER, TRADES, ChannelName
from stream.wire.frames import Gap, MarketByOrder
from stream.wire.mirror import Verdict

DEFAULT_URL = "ws://127.0.0.1:8080/v1"
HEARTBEATS_MISSED_MAX = 2.5
"""A channel that is silent for this many of the promised heartbeats is stale."""

KINDS = (BOOK, TRADES, TICKER, BY_ORDER)
"""The channels of an instrument. The last one is left out if the server does not have it."""

LATENCIES_MAX = 1_000_000

HEALING_S = 60.0
"""How long every book has to become right again, after a run against a server that injects faults."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `verify`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  deltabook verify\n"
        "  deltabook verify ws://10.0.0.1:8080/v1 --instruments BTC-USDT,ETH-USDT --depth 20 --interval 100\n"
        "  deltabook verify --seconds 60 --json | jq .problems\n"
        "  deltabook verify ws://127.0.0.1:8081/v1 --seconds 600 --faulty\n\n"
        "exit status: 0 if every book was right all the time (with --faulty: in the end), 1 if anything was wrong, 2 if the server cannot be reached"
    )
    parser.add_argument("url", nargs="?", default=DEFAULT_URL, help="the server (default: %(default)s)")
    parser.add_argument("--seconds", type=positive, default=20, help="how long to watch, in seconds (default: 20)")
    parser.add_argument("--instruments", metavar="A,B", help="only these (default: all)")
    parser.add_argument("--depth", type=whole, default=0, help="levels per side, 0 for full books (default: 0)")
    parser.add_argument("--interval", type=whole, default=0, metavar="MS", help="the shortest time between two frames, 0 for every change (default: 0)")
    parser.add_argument("--faulty", action="store_true",
                        help="the server injects faults (serve --faults): count them, and require only that every book is right in the end")
    parser.add_argument("--token", help="a token, if the server needs one")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


class Watch:
    """What was seen of one instrument, and what was wrong with it."""

    def __init__(self, heartbeat_s: float, book: LiveBook, trades: LiveTrades, ticker: LiveTicker, orders: LiveByOrder | None = None) -> None:
        self.book = book
        self.trades = trades
        self.ticker = ticker
        self.orders = orders
        self.sums = Agreement(book, orders) if orders else None
        self.gap_markers = 0
        self.orders_crossed = 0
        self.ticker_mismatches = 0
        self.ticker_compared = 0
        self.latencies_ms: list[float] = []
        self.silence_s = 0.0
        self._silence_s_max = heartbeat_s * HEARTBEATS_MISSED_MAX
        self._heard_at = dict.fromkeys((book, orders) if orders else (book,), time.monotonic())
        book.on(self._heard_book)
        trades.on(self._heard_events)
        ticker.on(lambda _: self._compare_ticker())
        if orders:
            orders.on(self._heard_orders)

    def _heard_events(self, message: Trades | MarketByOrder | Gap) -> None:
        self.gap_markers += isinstance(message, Gap)

    def _heard_orders(self, message: MarketByOrder | Gap) -> None:
        assert self.orders
        self._heard(self.orders)
        self._heard_events(message)
        self.orders_crossed += self.orders.mirror.queues.crossed

    def _heard(self, live: LiveBook | LiveByOrder) -> None:
        self.look()
        self._heard_at[live] = time.monotonic()

    def _heard_book(self, frame: Book | Gap) -> None:
        self._heard(self.book)
        if len(self.latencies_ms) < LATENCIES_MAX and isinstance(frame, Book) and (frame.wire.bids or frame.wire.asks):
            self.latencies_ms.append((time.time_ns() - frame.server_time) / 1e6)
        self._compare_ticker()

    def _compare_ticker(self) -> None:
        """Compare the best prices of the ticker with those of the book, if both are at the same sequence."""
        ticker, mirror = self.ticker.mirror.frame, self.book.mirror
        if ticker and ticker.seq == mirror.seq:
            self.ticker_compared += 1
            bid, ask = mirror.best_bid or (0, 0), mirror.best_ask or (0, 0)
            self.ticker_mismatches += (ticker.bid, ticker.bid_size, ticker.ask, ticker.ask_size) != (*bid, *ask)

    def look(self) -> None:
        """Note how long the book has been silent, by levels or by orders."""
        self.silence_s = max(self.silence_s, time.monotonic() - min(self._heard_at.values()))

    @property
    def stale(self) -> bool:
        """Whether the book was silent for longer than the heartbeat allows."""
        return self.silence_s > self._silence_s_max

    def row(self) -> dict[str, Any]:
        """The figures of this instrument, by name."""
        mirror = self.book.mirror
        counts = mirror.counts
        trades = self.trades.mirror
        orders = self.orders.mirror if self.orders else None
        proven = (mirror, orders) if orders else (mirror,)
        return {
            "frames": counts[Verdict.APPLIED] + counts[Verdict.SNAPSHOT],
            "updates": mirror.changes,
            "merged": mirror.merges,
            "heartbeats": counts[Verdict.HEARTBEAT],
            "snapshots": min(each.counts[Verdict.SNAPSHOT] for each in proven),
            "trades": trades.count,
            "by_order": orders is not None,
            "order_changes": orders.changes if orders else 0,
            "gaps": sum(each.counts[Verdict.GAP] for each in (*proven, trades)) + self.gap_markers,
            "crossed": mirror.crossed + self.orders_crossed,
            "mismatches": sum(each.counts[Verdict.MISMATCH] for each in proven),
            "sum_mismatches": self.sums.differed if self.sums else 0,
            "sums_compared": self.sums.compared if self.sums else 0,
            "ticker_mismatches": self.ticker_mismatches,
            "ticker_compared": self.ticker_compared,
            "silence_s": round(self.silence_s, 3),
            "stale": self.stale,
            "latency_ms": percentiles(self.latencies_ms),
        }


def percentiles(values: list[float]) -> dict[str, float]:
    """Median, 99th percentile and maximum."""
    ordered = sorted(values)
    if not ordered:
        return {"p50": 0.0, "p99": 0.0, "max": 0.0}
    return {"p50": round(ordered[len(ordered) // 2], 3), "p99": round(ordered[len(ordered) * 99 // 100], 3), "max": round(ordered[-1], 3)}


class Verification(NamedTuple):
    """The outcome of a run."""

    seconds: float
    connections: int
    told_stale: bool
    instruments: dict[str, dict[str, Any]]
    not_healed: list[str] | None = None    # with faults: the instruments whose books did not become right again; without: None

    @property
    def faulty(self) -> bool:
        """Whether the server was expected to inject faults."""
        return self.not_healed is not None

    @property
    def by_order(self) -> str:
        """What to say of the books by order."""
        if not all(row["by_order"] for row in self.instruments.values()):
            return " (the server does not show them order by order)"
        compared = sum(row["sums_compared"] for row in self.instruments.values())
        return f", by levels and by orders, which agreed {compared:,} times"

    @property
    def problems(self) -> list[str]:
        """What was wrong, one text for each problem."""
        problems = []
        for name, row in self.instruments.items():
            wrong = ("crossed", "sum_mismatches", "ticker_mismatches", *(() if self.faulty else ("gaps", "mismatches")))
            problems += [f"{name}: {row[kind]} {kind}" for kind in wrong if row[kind]]
            if not row["snapshots"]:
                problems.append(f"{name}: nothing was received")
            if row["stale"] and not self.faulty:
                problems.append(f"{name}: the book was silent for {row['silence_s']} seconds")
        problems += [f"{name}: the book was not right again after {HEALING_S:g} seconds" for name in self.not_healed or ()]
        if self.told_stale:
            problems.append("the server said that it may have fallen behind")
        if not self.instruments:
            problems.append("the server has no instruments")
        return problems


async def verify(
    url: str, seconds: float, only: list[str], depth: int, interval_ms: int, token: str | None, tick: Callable[[], None], faulty: bool = False,
) -> Verification:
    """Watch a server for a while. Raises ClientError if it cannot be reached."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(connect(url, token))
        names = list(await first.instruments())
        unknown = set(only).difference(names)
        if unknown:
            raise ClientError(f"the server has no instrument {', '.join(sorted(unknown))}; expected some of {', '.join(names)}")
        names = only or names
        kinds = KINDS if names and await shows_orders(first, names[0]) else KINDS[:-1]
        shares = await deal(stack, first, token, names, len(kinds))
        watches: dict[str, Watch] = {}
        for client, share in shares:
            watches |= await watch_all(client, share, kinds, depth, interval_ms)
        told_stale = False
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(0.1, left))
            for watch in watches.values():
                watch.look()
            told_stale |= any(client.stale_since for client, _ in shares)
            tick()
        not_healed = await heal(watches) if faulty and watches else None
        connections = sum(client.connections for client, _ in shares)
        return Verification(seconds, connections, told_stale, {name: watch.row() for name, watch in watches.items()}, not_healed)


async def heal(watches: dict[str, Watch]) -> list[str]:
    """Wait until every book has applied one more frame of each kind, which proves that it is right. Returns the names of those that did not in time."""
    waits = {asyncio.create_task(live.changed()): name for name, watch in watches.items() for live in (watch.book, watch.orders) if live}
    healed, late = await asyncio.wait(waits, timeout=HEALING_S)
    for wait in late:
        wait.cancel()
    ill = {name for wait, name in waits.items() if wait not in healed or wait.exception()}
    return [name for name in watches if name in ill]


async def watch_all(client: Client, names: Sequence[str], kinds: Sequence[str], depth: int, interval_ms: int) -> dict[str, Watch]:
    """Subscribe to these channels of these instruments."""
    assert client.welcome
    watches = {}
    for name in names:
        channels = [str(ChannelName(kind, name)) for kind in kinds]
        lives: list[Any] = client.prepare(channels, depth, interval_ms)
        watches[name] = Watch(client.welcome.heartbeat_ms / 1000, *lives)
        await client.subscribe(channels, depth, interval_ms)
    return watches


def table_of(outcome: Verification) -> Table:
    """The outcome as a table."""
    columns = {
        "frames": "frames", "updates": "updates", "beats": "heartbeats", "snaps": "snapshots", "trades": "trades", "orders": "order_changes",
        "gaps": "gaps", "crossed": "crossed", "wrong": "mismatches",
    }
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("instrument", no_wrap=True)
    for heading in (*columns, "p50 ms", "p99 ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, row in outcome.instruments.items():
        latency = row["latency_ms"]
        table.add_row(name, *(f"{row[column]:,}" for column in columns.values()), f"{latency['p50']:.2f}", f"{latency['p99']:.2f}")
    return table


def run(arguments: argparse.Namespace) -> int:
    """Verify a server, and print the outcome. Returns the exit status."""
    console = Console(soft_wrap=True, highlight=False)
    only = arguments.instruments.split(",") if arguments.instruments else []
    with Progress(console=console, transient=True, disable=arguments.json or not console.is_terminal) as progress:
        task = progress.add_task("verifying", total=arguments.seconds * 10)
        terms = arguments.depth, arguments.interval, arguments.token
        outcome = loop.run(verify(arguments.url, arguments.seconds, only, *terms, lambda: progress.advance(task), arguments.faulty))
    if arguments.json:
        print(json.dumps({"url": arguments.url, **outcome._asdict(), "problems": outcome.problems}, indent=2))
    else:
        console.print(table_of(outcome))
        for problem in outcome.problems:
            console.print(f"[red]{problem}[/red]")
        if not outcome.problems:
            when = "after {} seconds of faults" if outcome.faulty else "for {} seconds"
            console.print(f"{when.format(f'{outcome.seconds:g}')} every book was the server's book{outcome.by_order}; connections: {outcome.connections}")
    return 1 if outcome.problems else 0
