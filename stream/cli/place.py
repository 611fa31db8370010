"""`deltabook place`: places an order."""

import argparse
from typing import get_args

from stream.cli.account import add_connection, ask
from stream.cli.numbers import whole
from stream.cli.rows import add_format, print_rows, row_of
from stream.client.client import Client
from stream.wire.fields import OrderTypeName, TimeInForceName

EXAMPLES = """  deltabook place BTC-USDT buy 0.001 60000.00
  deltabook place BTC-USDT sell 0.001 --type market
  deltabook place BTC-USDT buy 0.001 60000.00 --time-in-force ioc --client-id 7
  deltabook place BTC-USDT sell 0.001 --type stop --stop 55000.00 --format json
"""
HEADINGS = ("order", "client_id", "status", "filled", "remaining", "value")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `place`."""
    add_connection(parser, EXAMPLES)
    parser.add_argument("instrument")
    parser.add_argument("side", choices=("buy", "sell"))
    parser.add_argument("size", help="in decimals, such as 0.001")
    parser.add_argument("price", nargs="?", help="in decimals; a market order needs none")
    parser.add_argument("--type", choices=get_args(get_args(OrderTypeName)[0]), default="limit", help="the order's type (default: %(default)s)")
    parser.add_argument("--time-in-force", choices=get_args(get_args(TimeInForceName)[0]), default="gtc", help="how long it lasts (default: %(default)s)")
    parser.add_argument("--post-only", action="store_true", help="refuse the order if it would take")
    parser.add_argument("--stop", metavar="PRICE", help="the trigger of a stop; of a trailing stop, its distance")
    parser.add_argument("--client-id", type=whole, default=0, metavar="N", help="your own number for the order")
    parser.add_argument("--key", type=whole, default=0, metavar="N", help="your own number for the request: it is carried out once, however often you send it")
    add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """Place the order, and print what it is then. Returns the exit status."""

    async def place(client: Client) -> None:
        done = await client.place(
            arguments.instrument, arguments.side, arguments.price, arguments.size, arguments.type, arguments.time_in_force, arguments.post_only,
            arguments.client_id, stop=arguments.stop, key=arguments.key,
        )
        print_rows([row_of(done)], HEADINGS, arguments.format)

    return ask(arguments, place)
