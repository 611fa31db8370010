"""`deltabook fills`: shows the fills of one's own orders."""

import argparse

from stream.cli.account import add_connection, ask
from stream.cli.numbers import counted
from stream.cli.rows import add_format, print_rows, row_of
from stream.client.client import Client

EXAMPLES = """  deltabook fills
  deltabook fills --instrument BTC-USDT --count 1000 --format csv > fills.csv
"""
HEADINGS = ("seq", "time", "order", "instrument", "side", "price", "size", "value", "fee", "liquidity")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `fills`."""
    add_connection(parser, EXAMPLES)
    parser.add_argument("--instrument", help="only in this one")
    parser.add_argument("--count", type=counted, default=100, metavar="N", help="the last N fills, at most 1000 (default: %(default)s)")
    add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the fills, oldest first. Returns the exit status."""

    async def show(client: Client) -> None:
        page = await client.trade_history(arguments.instrument, latest=True, count=arguments.count)
        print_rows([row_of(fill) for fill in page.trades], HEADINGS, arguments.format)

    return ask(arguments, show)
