"""`deltabook fault`: a proxy that treats connections of clients as networks, load balancers and servers do on bad days."""

import argparse
import asyncio
import signal
from contextlib import suppress

from rich.console import Console

from stream.cli.numbers import positive, share, whole
from stream.cli.verify import DEFAULT_URL
from stream.client.errors import ClientError
from stream.fault import FaultError, FaultProxy, Plan, kinds, scripted, seeded
from stream.system import loop


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `fault`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = {name + (f"[:{kind.unit}]" if kind.unit else ""): kind.__doc__ for name, kind in kinds().items()}
    parser.epilog = "\n".join((
        "kinds of faults. Some take an amount; if you do not give an n, it is drawn at random:",
        *(f"  {name:<24} {does}" for name, does in names.items()), "",
        "examples:",
        "  deltabook fault --script 'closed-at-once*3 half-status-line http-status:503*2 cut:5'",
        "  deltabook fault --seed 7 --share 0.5",
        "  deltabook fault --to wss://example.com/v1 --seed 1 --only fragments,pieces:1,delay:200",
        "  deltabook fault --seed 7 & deltabook verify ws://127.0.0.1:8081/v1 --seconds 60 --faulty",
    ))
    parser.add_argument("--listen", type=whole, default=8081, metavar="PORT", help="the port on this machine that clients connect to (default: %(default)s)")
    parser.add_argument("--to", default=DEFAULT_URL, metavar="URL", help="the server that the proxy connects to (default: %(default)s)")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--script", metavar="KINDS",
                      help="the faults of the connections, in order: kinds, each with an optional :amount or *count; later connections have none")
    what.add_argument("--seed", type=whole, metavar="N", help="give each connection a random fault, drawn from this seed")
    parser.add_argument("--repeat", action="store_true", help="start the script again at its end")
    parser.add_argument("--only", metavar="A,B", help="with --seed: only these kinds")
    parser.add_argument("--share", type=share, default=1.0, help="with --seed: the share of the connections that have a fault, from 0 to 1 (default: all)")
    parser.add_argument("--seconds", type=positive, help="end after this many seconds (default: when interrupted or terminated)")


def plan_of(arguments: argparse.Namespace) -> Plan:
    """The plan that the flags ask for. Raises FaultError if there can be no such plan."""
    if arguments.script is not None:
        return scripted(arguments.script, arguments.repeat)
    return seeded(arguments.seed, (arguments.only or "").replace(",", " ").split(), arguments.share)


async def serve(arguments: argparse.Namespace, console: Console) -> None:
    """Run the proxy until its time is over or it is told to end."""
    def told(number: int, fault: str) -> None:
        console.print(f"{number} {fault}")

    ended = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, ended.set)
    async with FaultProxy(arguments.to, plan_of(arguments), arguments.listen, told) as proxy:
        console.print(f"{proxy.url} leads to {arguments.to}; every connection and its fault follow")
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), arguments.seconds)


def run(arguments: argparse.Namespace) -> int:
    """Run the proxy. Returns the exit status."""
    try:
        loop.run(serve(arguments, Console(soft_wrap=True, highlight=False)))
    except (FaultError, OSError) as error:
        raise ClientError(str(error)) from error
    return 0
