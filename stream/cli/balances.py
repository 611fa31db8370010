"""`deltabook balances`: shows one's own money."""

import argparse

from stream.cli.account import add_connection, ask
from stream.cli.rows import add_format, print_rows, row_of
from stream.client.client import Client

EXAMPLES = """  deltabook balances
  deltabook balances --token $(deltabook token alice) --format json
"""
HEADINGS = ("asset", "available", "held")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `balances`."""
    add_connection(parser, EXAMPLES)
    add_format(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the balances. Returns the exit status."""

    async def show(client: Client) -> None:
        print_rows([row_of(balance, ("decimals",)) for balance in (await client.balances()).assets.values()], HEADINGS, arguments.format)

    return ask(arguments, show)
