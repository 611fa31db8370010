"""`deltabook admin`: the requests that a token with the scope `admin` allows."""

import argparse
import time

from rich.console import Console
from rich.table import Table

from stream.cli import teach
from stream.cli.numbers import counted, whole
from stream.cli.verify import DEFAULT_URL
from stream.client.client import Client, connect
from stream.system import loop
from stream.wire.fields import PhaseName
from stream.wire.messages import Confirmed, Connections, ConnectionStatus, Disconnect, ListConnections, Revoke, SetLimits, SetPhase

PHASES: dict[str, PhaseName] = {"halt": "halt", "auction": "auction", "trade": "trading"}
EXAMPLES = """examples:
  deltabook admin --token $(deltabook token root --scope admin) halt BTC-USDT
  deltabook admin --token $ROOT auction BTC-USDT
  deltabook admin --token $ROOT trade BTC-USDT
  deltabook admin --token $ROOT limits alice --orders 100 --size 50000
  deltabook admin --token $ROOT connections
  deltabook admin --token $ROOT disconnect alice
  deltabook admin --token $ROOT disconnect --connection 17
  deltabook admin --token $ROOT revoke --token-id 4f1c9a
"""

PAGE = 1000
"""How many connections one request asks for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the requests of `admin` and their flags."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.add_argument("--url", default=DEFAULT_URL, help="the server (default: %(default)s)")
    parser.add_argument("--token", required=True, help="a token with the scope admin")
    requests = parser.add_subparsers(dest="request", metavar="REQUEST", required=True)

    def add(name: str, help: str) -> argparse.ArgumentParser:
        request = requests.add_parser(name, help=help, description=help)
        teach(request, EXAMPLES, name)
        return request

    phases = {
        "halt": "halt an instrument", "auction": "collect the orders of an instrument for an auction",
        "trade": "let an instrument trade again; this uncrosses an auction",
    }
    for name, help in phases.items():
        add(name, help).add_argument("instrument")
    limits = add("limits", "limit an account; a limit that is not given is removed")
    limits.add_argument("subject")
    limits.add_argument("--orders", type=whole, default=0, metavar="N", help="the most open orders")
    limits.add_argument("--size", type=whole, default=0, metavar="LOTS", help="the largest size of an order")
    limits.add_argument("--notional", type=whole, default=0, metavar="UNITS",
                        help="the largest notional (price times size) of an order, in units of the quote asset")
    for name, help, other in (("disconnect", "close connections", "connection"), ("revoke", "revoke tokens", "token-id")):
        request = add(name, help)
        request.add_argument("subject", nargs="?", default="", help="all of this subject")
        request.add_argument(f"--{other}", type=counted if other == "connection" else str, default=0 if other == "connection" else "", help="or only this one")
    add("connections", "show who is connected, what each client subscribes to, and how far behind it is")


def rows(status: ConnectionStatus, now: int) -> list[tuple[str, ...]]:
    """The rows of a connection: one for each of its subscriptions."""
    head = (
        str(status.connection), status.subject or "-", status.address, f"{(now - status.opened) / 1e9:,.0f}", f"{max(0, now - status.heard) / 1e9:,.0f}",
        "full" if status.stalled else "", f"{status.waiting_bytes:,}", f"{status.messages:,}",
    )
    lines = [(each.channel, str(each.interval_ms), str(each.seq), f"{each.behind:,}", f"{each.catch_ups:,}") for each in status.subscriptions]
    lines = lines or [("",) * 5]
    return [(*(head if i == 0 else ("",) * len(head)), *line) for i, line in enumerate(lines)]


async def show_connections(client: Client, console: Console) -> None:
    """Print all connections, which are fetched in pages."""
    table = Table(box=None, pad_edge=False)
    for heading in ("connection", "subject", "address", "age s", "silent s", "socket", "waiting", "messages", "channel", "ms", "seq", "behind", "catch-ups"):
        table.add_column(heading, justify="left" if heading in ("subject", "address", "socket", "channel") else "right", no_wrap=True)
    after, now = 0, time.time_ns()
    while page := (await client.request(ListConnections, Connections, after, PAGE)).connections:
        for status in page:
            for row in rows(status, now):
                table.add_row(*row)
        after = page[-1].connection
    console.print(table)


async def ask(arguments: argparse.Namespace, console: Console) -> None:
    """Send the request, and print its outcome."""
    async with connect(arguments.url, arguments.token) as client:
        match arguments.request:
            case "halt" | "auction" | "trade":
                await client.request(SetPhase, Confirmed, arguments.instrument, PHASES[arguments.request])
            case "limits":
                await client.request(
                    SetLimits, Confirmed, subject=arguments.subject, orders_max=arguments.orders, size_max=arguments.size, notional_max=arguments.notional,
                )
            case "disconnect":
                await client.request(Disconnect, Confirmed, arguments.subject, arguments.connection)
            case "revoke":
                await client.request(Revoke, Confirmed, arguments.subject, arguments.token_id)
            case "connections":
                await show_connections(client, console)
                return
        console.print("done")


def run(arguments: argparse.Namespace) -> int:
    """Send the request. Returns the exit status."""
    console = Console(highlight=False)
    console = Console(highlight=False, width=max(console.width, 160))
    loop.run(ask(arguments, console))
    return 0
