"""What the commands for one's own orders and money have in common: the server, the token, and how a refusal ends them."""

import argparse
import os
import sys
from collections.abc import Awaitable, Callable

from stream.cli.verify import DEFAULT_URL
from stream.client.client import Client, connect
from stream.client.errors import ClientError, RequestRefused
from stream.system import loop

TOKEN = "DELTABOOK_TOKEN"


def add_connection(parser: argparse.ArgumentParser, examples: str) -> None:
    """Add the flags that say where the server is, and who asks."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"examples:\n{examples}\nThe exit status is 1 if the server refuses; the number is that of the error."
    parser.add_argument("--url", default=DEFAULT_URL, help="the server (default: %(default)s)")
    parser.add_argument("--token", default=os.environ.get(TOKEN), help=f"a token, such as `deltabook token alice` prints (default: {TOKEN} of the environment)")


def ask(arguments: argparse.Namespace, work: Callable[[Client], Awaitable[None]]) -> int:
    """Do something with a client that is signed in. Returns the exit status: 1 if the server has refused."""
    if not arguments.token:
        raise ClientError(f"expected a token, by --token or as {TOKEN} in the environment: `deltabook token alice` prints one for your own server")

    async def connected() -> None:
        async with connect(arguments.url, arguments.token) as client:
            await work(client)

    try:
        loop.run(connected())
    except RequestRefused as refused:
        print(f"deltabook {arguments.command}: {refused}", file=sys.stderr)
        return 1
    except ValueError as error:
        raise ClientError(str(error)) from error
    return 0
