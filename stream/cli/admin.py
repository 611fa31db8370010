"""`deltabook admin`: the requests that a token with the scope `admin` allows."""

import argparse
import time

from msgspec.structs import fields
from rich.console import Console
from rich.table import Table

from stream.cli import teach
from stream.cli.numbers import counted, whole
from stream.cli.verify import DEFAULT_URL
from stream.client.client import Client, connect
from stream.system import loop
from stream.system.clock import said
from stream.wire.administration import (
    Delist,
    Deposit,
    Disconnect,
    Freeze,
    ListConnections,
    ListInstrument,
    ListSchedule,
    MassCancel,
    PayFees,
    PhaseChanges,
    Revoke,
    SetBand,
    SetFees,
    SetLimits,
    SetPhase,
    SetReference,
    SetTier,
    Withdraw,
)
from stream.wire.fields import ListedPhaseName
from stream.wire.messages import AllCancelled, Confirmed, Connections, ConnectionStatus, Instruments, ListInstruments
from stream.wire.scale import from_text

TRANSFERS = {"deposit": Deposit, "withdraw": Withdraw, "pay-fees": PayFees}
PHASES: dict[str, ListedPhaseName] = {"halt": "halt", "auction": "auction", "trade": "trading"}
TERMS = [field.name for field in fields(ListInstrument) if field.name not in ("id", "instrument", "base", "quote", "tick", "lot", "market_notional")]
EXAMPLES = """examples:
  deltabook admin --token $(deltabook token root --scope admin) halt BTC-USDT
  deltabook admin --token $ROOT auction BTC-USDT
  deltabook admin --token $ROOT trade BTC-USDT
  deltabook admin --token $ROOT list SOL-USDT SOL USDT --tick 0.01 --lot 0.001 --base-decimals 9 --taker-fee 500
  deltabook admin --token $ROOT schedule
  deltabook admin --token $ROOT delist BTC-USDT
  deltabook admin --token $ROOT relist BTC-USDT
  deltabook admin --token $ROOT band BTC-USDT 50000
  deltabook admin --token $ROOT reference BTC-USDT 60000.50
  deltabook admin --token $ROOT limits alice --orders 100 --size 50000
  deltabook admin --token $ROOT cancel --subject alice
  deltabook admin --token $ROOT cancel --instrument BTC-USDT
  deltabook admin --token $ROOT cancel --everybody
  deltabook admin --token $ROOT freeze alice --cancel
  deltabook admin --token $ROOT unfreeze alice
  deltabook admin --token $ROOT deposit alice 1000.50 USDT --key 17
  deltabook admin --token $ROOT withdraw alice 1000.50 USDT --key 18
  deltabook admin --token $ROOT pay-fees treasury 12 USDT --key 19
  deltabook admin --token $ROOT fees BTC-USDT --tier 1 --maker -20 --taker 80
  deltabook admin --token $ROOT tier alice 1
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
        "delist": "cancel the orders of an instrument, and take no more", "relist": "list a delisted instrument again; it is halted then",
    }
    for name, help in phases.items():
        add(name, help).add_argument("instrument")
    new = add("list", "list a new instrument, with its assets if they are new; terms that are not given are as in the configuration")
    for name, help in (("instrument", "such as SOL-USDT"), ("base", "the asset that is bought and sold"), ("quote", "the asset that prices are in")):
        new.add_argument(name, help=help)
    new.add_argument("--tick", required=True, help="the smallest step between prices, such as 0.01")
    new.add_argument("--lot", required=True, help="the smallest step between sizes, such as 0.001")
    for name in TERMS:
        new.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N")
    band = add("band", "set how far from the reference price orders may be")
    band.add_argument("instrument")
    band.add_argument("band", type=whole, metavar="PPM", help="parts per million of the reference price; 0: no limit")
    reference = add("reference", "set the reference price, around which the band lies")
    reference.add_argument("instrument")
    reference.add_argument("price", help="such as 60000.50; 0: the price of the last trade")
    limits = add("limits", "limit an account; a limit that is not given is removed")
    limits.add_argument("subject")
    limits.add_argument("--orders", type=whole, default=0, metavar="N", help="the most open orders")
    limits.add_argument("--size", type=whole, default=0, metavar="LOTS", help="the largest size of an order")
    limits.add_argument("--notional", type=whole, default=0, metavar="UNITS",
                        help="the largest notional (price times size) of an order, in units of the quote asset")
    cancel = add("cancel", "cancel the open orders of an account, of an instrument or of everybody").add_mutually_exclusive_group(required=True)
    cancel.add_argument("--subject", default="", help="whose orders")
    cancel.add_argument("--instrument", help="orders in this instrument")
    cancel.add_argument("--everybody", action="store_true", help="all orders")
    freeze = add("freeze", "let an account place no orders and withdraw nothing; it can cancel")
    freeze.add_argument("subject")
    freeze.add_argument("--cancel", action="store_true", help="cancel its open orders too")
    add("unfreeze", "end that").add_argument("subject")
    transfers = {
        "deposit": "add to what an account has", "withdraw": "take from what an account has available", "pay-fees": "pay collected fees to an account",
    }
    for name, help in transfers.items():
        request = add(name, help)
        request.add_argument("subject")
        request.add_argument("amount", help="such as 1000.50")
        request.add_argument("asset")
        request.add_argument("--key", type=whole, default=0, metavar="N", help="a number of your own: the same transfer again, with it, is done once")
    fees = add("fees", "set the fees of a tier, in parts per million of the notional")
    fees.add_argument("instrument")
    fees.add_argument("--tier", type=whole, default=0, metavar="N", help="0 to 7 (default: %(default)s, of accounts without one)")
    fees.add_argument("--maker", type=int, required=True, metavar="PPM", help="what a maker pays; below 0 a rebate")
    fees.add_argument("--taker", type=whole, required=True, metavar="PPM", help="what a taker pays")
    tier = add("tier", "set the tier of an account")
    tier.add_argument("subject")
    tier.add_argument("tier", type=whole, help="0 to 7")
    for name, help, other in (("disconnect", "close connections", "connection"), ("revoke", "revoke tokens", "token-id")):
        request = add(name, help)
        request.add_argument("subject", nargs="?", default="", help="all of this subject")
        request.add_argument(f"--{other}", type=counted if other == "connection" else str, default=0 if other == "connection" else "", help="or only this one")
    add("schedule", "show when the phases of instruments change next")
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


async def units_of(client: Client, amount: str, asset: str) -> int:
    """An amount in units of an asset. Raises ValueError if there is no such asset, or if the amount has more decimals than it."""
    decimals: dict[str, int] = {}
    for terms in (await client.request(ListInstruments, Instruments)).instruments:
        decimals |= {terms.base: terms.base_decimals, terms.quote: terms.quote_decimals}
    if asset not in decimals:
        raise ValueError(f"asset {asset!r}: expected one of {', '.join(decimals)}")
    return from_text(amount, f"1e-{decimals[asset]}")


async def ticks_of(client: Client, price: str, instrument: str) -> int:
    """A price in ticks of an instrument. Raises ValueError if there is no such instrument, or if the price is between two ticks."""
    ticks = {terms.name: terms.tick for terms in (await client.request(ListInstruments, Instruments)).instruments}
    if instrument not in ticks:
        raise ValueError(f"instrument {instrument!r}: expected one of {', '.join(ticks)}")
    return from_text(price, ticks[instrument])


async def ask(arguments: argparse.Namespace, console: Console) -> None:
    """Send the request, and print its outcome."""
    async with connect(arguments.url, arguments.token) as client:
        match arguments.request:
            case "halt" | "auction" | "trade":
                await client.request(SetPhase, Confirmed, arguments.instrument, PHASES[arguments.request])
            case "list":
                terms = {name: value for name in TERMS if (value := getattr(arguments, name)) is not None}
                await client.request(
                    ListInstrument, Confirmed, arguments.instrument, arguments.base, arguments.quote, arguments.tick, arguments.lot, **terms,
                )
            case "delist" | "relist":
                await client.request(Delist, Confirmed, arguments.instrument, arguments.request == "delist")
            case "band":
                await client.request(SetBand, Confirmed, arguments.instrument, arguments.band)
            case "reference":
                await client.request(SetReference, Confirmed, arguments.instrument, await ticks_of(client, arguments.price, arguments.instrument))
            case "limits":
                await client.request(
                    SetLimits, Confirmed, subject=arguments.subject, orders_max=arguments.orders, size_max=arguments.size, notional_max=arguments.notional,
                )
            case "cancel":
                cancelled = await client.request(MassCancel, AllCancelled, arguments.subject, arguments.instrument)
                console.print(f"{cancelled.count:,} orders cancelled")
                return
            case "freeze" | "unfreeze":
                await client.request(Freeze, Confirmed, arguments.subject, arguments.request == "freeze", arguments.request == "freeze" and arguments.cancel)
            case "deposit" | "withdraw" | "pay-fees":
                amount = await units_of(client, arguments.amount, arguments.asset)
                await client.request(TRANSFERS[arguments.request], Confirmed, arguments.subject, arguments.asset, amount, arguments.key)
            case "fees":
                await client.request(SetFees, Confirmed, arguments.instrument, arguments.tier, arguments.maker, arguments.taker)
            case "tier":
                await client.request(SetTier, Confirmed, arguments.subject, arguments.tier)
            case "disconnect":
                await client.request(Disconnect, Confirmed, arguments.subject, arguments.connection)
            case "revoke":
                await client.request(Revoke, Confirmed, arguments.subject, arguments.token_id)
            case "schedule":
                changes = (await client.request(ListSchedule, PhaseChanges)).changes
                for change in changes:
                    console.print(f"{said(change.time)}  {change.instrument}  {change.phase}")
                if not changes:
                    console.print("nothing is scheduled")
                return
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
