"""What an order costs, there and back: the server's processor time by request, and the wait for the answer, beside picows's own echo.

    python -m benchmarks.orders                                     a place and a cancel in turn, at 5,000, 20,000 and 40,000 requests a second, and saturated
    python -m benchmarks.orders --mix cancels --mix json --rates 20000
    python -m benchmarks.orders --beside ../before                  beside the build in another folder, round by round

A real server with its journal, 20 connections that trade and follow their orders, their balances and a ticker; the echo sends back 60 bytes
over as many connections. Each round runs every server once at every rate; a ratio is that of medians. The server has one core, the load
another. A rate of 0 keeps as many requests under way as `--window` says, and measures what the server can do. Linux alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

import jwt
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.machine import cores, describe, processor_ns
from benchmarks.order_load import Line, Outcome, Traffic, run
from stream.wire.codec import JSON, MSGPACK
from stream.wire.messages import Cancel, Place, Reduce, Replace, Request

ROOT = Path(__file__).parents[1]
SECRET = "a key of the benchmark's that is long enough"
ECHO = "echo"
ECHO_BYTES = bytes(60)
CONNECTIONS = 20
MANY = 400
"""Connections, each of an account of its own, of the mix `accounts`."""

NO_LIMIT = 1 << 30
UNLIMITED = "messages_per_s", "messages_burst", "bytes_per_s", "bytes_burst", "orders_per_s", "orders_burst", "cancels_per_s", "cancels_burst"
INSTRUMENT = "BTC-USDT"
SETTINGS = {
    "assets": {"BTC": 8, "USDT": 6}, "deposit": {"BTC": "1000", "USDT": "1000000000"},
    "instruments": [{"name": INSTRUMENT, "base": "BTC", "quote": "USDT", "tick": "0.01", "lot": "0.0001"}],
    "keys": [{"algorithm": "HS256", "key": SECRET}], **dict.fromkeys(UNLIMITED, NO_LIMIT),
}


HEADINGS = "mix", "requests/s", "server", "done/s", "us a request: min / median / max", "to echo", "p50 ms", "p99 ms", "refused", "unanswered", "lost"


class Mix(NamedTuple):
    """A mix of requests: what the request `k` of a connection is, with an id, and client ids from `first` on."""

    meaning: str
    request: Callable[[int, int, int, int], Request]
    connections: int = CONNECTIONS
    text: bool = False


def place(connection: int, first: int, k: int, id: int) -> Request:
    """A place that rests, then its cancel."""
    if k % 2:
        return Cancel(id, client_id=first + k - 1)
    return Place(id, INSTRUMENT, "buy", 5_000_000 + connection + k % 16, 1, post_only=True, client_id=first + k)


def cancels(connection: int, first: int, k: int, id: int) -> Request:
    """A place, and three cancels, of which the first finds it."""
    return Cancel(id, client_id=first + k - k % 4) if k % 4 else place(connection, first, k, id)


def changes(connection: int, first: int, k: int, id: int) -> Request:
    """A place, a new price, a smaller size, a cancel."""
    client_id = first + k - k % 4
    match k % 4:
        case 0:
            return Place(id, INSTRUMENT, "buy", 5_000_000 + connection, 3, client_id=client_id)
        case 1:
            return Replace(id, 0, 5_000_020 + connection, 3, client_id)
        case 2:
            return Reduce(id, 0, 1, client_id)
    return Cancel(id, client_id=client_id)


def trades(connection: int, first: int, k: int, id: int) -> Request:
    """Orders at one price, of which every second one meets the one before."""
    return Place(id, INSTRUMENT, "sell" if connection % 2 else "buy", 5_000_000, 1, client_id=first + k)


MIXES = {
    "place": Mix("a place and its cancel", place),
    "cancels": Mix("a place and three cancels, two of them in vain", cancels),
    "changes": Mix("place, replace, reduce, cancel", changes),
    "trades": Mix("orders that meet", trades),
    "accounts": Mix(f"as `place`, {MANY} connections and accounts", place, MANY),
    "json": Mix("as `place`, in JSON", place, text=True),
}


class Server(NamedTuple):
    """A running server."""

    name: str
    pid: int
    port: int


@contextmanager
def started(name: str, command: list[str], folder: Path, said: Callable[[str], int | None], environment: dict[str, str]) -> Iterator[Server]:
    """Run a server on its core; `said` finds its port in a line that it prints."""
    servers, _ = cores()
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", *command], cwd=folder, stdout=subprocess.PIPE, text=True, env=os.environ | environment,
        preexec_fn=lambda: os.sched_setaffinity(0, servers),
    )
    try:
        assert process.stdout
        port = next((port for line in process.stdout if (port := said(line))), None)
        if port is None:
            raise SystemExit(f"{name}: the server did not start")
        yield Server(name, process.pid, port)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def echo() -> Iterator[Server]:
    """picows's echo."""
    with started(ECHO, ["benchmarks.echo_server"], ROOT, lambda line: int(line), {}) as server:
        yield server


@contextmanager
def market(name: str, folder: Path) -> Iterator[Server]:
    """The build in a folder, with a journal of its own."""

    def port_in(line: str) -> int | None:
        words = line.split()
        return int(words[1].rpartition(":")[2].partition("/")[0]) if words[:1] == ["WebSocket"] else None

    with tempfile.TemporaryDirectory(prefix="orders-") as journal:
        environment = {f"DELTABOOK_{key.upper()}": json.dumps(value) for key, value in SETTINGS.items()}
        with started(name, ["stream", "serve", "--port", "0", "--source", "none", "--journal", journal], folder, port_in, environment) as server:
            yield server


def token(subject: str) -> str:
    """A token that may trade."""
    now = int(time.time())
    claims = {"sub": subject, "iss": "deltabook", "aud": "deltabook", "iat": now - 100, "exp": now + 36_000, "scope": "market account trade"}
    return jwt.encode(claims, SECRET, algorithm="HS256")


def lines_to(server: Server, mix: Mix, count: int) -> list[Line]:
    """The mix's connections, each with so many requests ready."""
    first = time.time_ns() // 10**6 << 12    # client ids that no run had before
    lines = []
    for number in range(mix.connections):
        if server.name == ECHO:
            traffic = Traffic("", None, [], lambda k, number: ECHO_BYTES)
        else:
            channels = ["orders", "balances", f"ticker:{INSTRUMENT}"]
            request = partial(mix.request, number, first)
            traffic = Traffic(token(f"trader-{number}"), JSON if mix.text else MSGPACK, channels, request)
        lines.append(Line(server.port, number, traffic))
        lines[-1].prepare(count)
    return lines


def measure(server: Server, mix: Mix, rate: float, seconds: float, window: int) -> Outcome:
    """One run."""
    count = int((rate or 150_000) * seconds / mix.connections * 1.1) + 1
    lines = lines_to(server, mix, count)
    try:
        return run(lines, seconds, lambda: processor_ns(server.pid), rate, 0 if rate else max(1, window // mix.connections))
    finally:
        for line in lines:
            line.socket.close()
        time.sleep(0.2)    # for their ends to be dealt with


def quantile(waits: list[int], share: float) -> float:
    """In ms."""
    return quantiles(waits, n=1000)[int(share * 1000) - 1] / 10**6 if len(waits) > 1 else float("nan")


def show(mix: str, rate: float, outcomes: dict[str, list[Outcome]], table: Table) -> None:
    """Rows for the servers at one rate."""
    yard = median(each.processor_ns for each in outcomes[ECHO])
    for name, runs in outcomes.items():
        costs = sorted(each.processor_ns / 1000 for each in runs)
        waits = [[wait for each in runs for wait in each.waits]]
        done = sum(each.answered - each.refused for each in runs) / sum(each.seconds for each in runs)
        table.add_row(
            mix, f"{rate:,.0f}" if rate else "saturated", name, f"{done:,.0f}", f"{costs[0]:.1f} / {median(costs):.1f} / {costs[-1]:.1f}",
            f"{median(costs) * 1000 / yard:.2f}", f"{quantile(waits[0], 0.5):.2f}", f"{quantile(waits[0], 0.99):.2f}",
            f"{sum(each.refused for each in runs):,}", f"{sum(each.sent - each.answered for each in runs):,}", f"{sum(each.lost for each in runs)}",
        )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.orders", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mix", action="append", choices=MIXES, help=f"{'; '.join(f'{name}: {mix.meaning}' for name, mix in MIXES.items())} (default: place)")
    parser.add_argument("--rates", default="5000,20000,40000,0", help="requests a second, 0 for saturated (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2, help="length of each run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: %(default)s)")
    parser.add_argument("--window", type=int, default=1000, help="requests under way when saturated (default: %(default)s)")
    parser.add_argument("--beside", type=Path, action="append", default=[], metavar="FOLDER", help="another build to measure beside this one")
    options = parser.parse_args()
    rates = [float(rate) for rate in options.rates.split(",")]
    _, clients = cores()
    table = Table(box=None, pad_edge=False, title=describe(), title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in ("mix", "server") else "right", no_wrap=True)
    for name in options.mix or ["place"]:
        with ExitStack() as stack:
            servers = [stack.enter_context(echo()), stack.enter_context(market("now", ROOT))]
            servers += [stack.enter_context(market(folder.name, folder.resolve())) for folder in options.beside]
            os.sched_setaffinity(0, clients)
            outcomes: dict[float, dict[str, list[Outcome]]] = {rate: {server.name: [] for server in servers} for rate in rates}
            for number in track(range(options.rounds), f"measuring {name}", console=Console(stderr=True), transient=True):
                for rate in rates:
                    for server in servers if number % 2 else reversed(servers):
                        found = measure(server, MIXES[name], rate, options.seconds, options.window)
                        outcomes[rate][server.name].append(found)
        for rate, found_at in outcomes.items():
            show(name, rate, found_at, table)
    Console(highlight=False, width=160).print(table)


if __name__ == "__main__":
    main()
