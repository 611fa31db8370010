"""`deltabook cancel`: cancels an order, or all of them."""

import argparse

from stream.cli.account import add_connection, ask
from stream.cli.numbers import counted
from stream.cli.rows import add_format, print_rows, row_of
from stream.client.client import Client

EXAMPLES = """  deltabook cancel 16777217
  deltabook cancel --client-id 7
  deltabook cancel --all
  deltabook cancel --all --instrument BTC-USDT --side buy
"""
HEADINGS = ("order", "client_id", "status", "filled", "remaining", "value")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `cancel`."""
    add_connection(parser, EXAMPLES)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("order", nargs="?", type=counted, help="the exchange's id of the order")
    which.add_argument("--client-id", type=counted, metavar="N", help="your own number for the order")
    which.add_argument("--all", action="store_true", help="all orders")
    parser.add_argument("--instrument", help="with --all: only in this one")
    parser.add_argument("--side", choices=("buy", "sell"), help="with --all: only on this side")
    add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """Cancel, and print what has become of it. Returns the exit status."""

    async def cancel(client: Client) -> None:
        if arguments.all:
            print_rows([{"cancelled": await client.cancel_all(arguments.instrument, arguments.side)}], ("cancelled",), arguments.format)
            return
        open = (await client.orders()).open.values()
        named = next((order for order in open if arguments.order == order.order or arguments.client_id == order.client_id), None)
        done = await client.cancel(arguments.order or 0, arguments.client_id or 0, instrument=named.instrument if named else "")
        print_rows([row_of(done)], HEADINGS, arguments.format)

    return ask(arguments, cancel)
