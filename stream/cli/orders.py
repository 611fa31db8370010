"""`deltabook orders`: shows one's own orders."""

import argparse

from stream.cli.account import add_connection, ask
from stream.cli.numbers import counted
from stream.cli.rows import add_format, print_rows, row_of
from stream.client.client import Client

EXAMPLES = """  deltabook orders
  deltabook orders --format csv > open.csv
  deltabook orders --past 20
"""
OPEN = ("order", "client_id", "instrument", "side", "type", "price", "stop", "remaining", "filled")
PAST = ("order", "client_id", "instrument", "side", "type", "price", "size", "filled", "value", "status", "reason", "time")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `orders`."""
    add_connection(parser, EXAMPLES)
    parser.add_argument("--past", type=counted, metavar="N", help="the last N orders, those that are done too, where the server keeps a history")
    add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the orders. Returns the exit status."""

    async def show(client: Client) -> None:
        if arguments.past:
            page = await client.order_history(latest=True, count=arguments.past)
            print_rows([row_of(order) for order in page.orders], PAST, arguments.format)
        else:
            print_rows([row_of(order, EVENT) for order in (await client.orders()).open.values()], OPEN, arguments.format)

    return ask(arguments, show)


EVENT = ("event", "fill_price", "fill_size", "fee", "liquidity", "reason")
"""What is said of an event, and not of an order."""
