"""The command line. Each command is one module, which is loaded only when the command is used."""

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version

COMMANDS = {
    "serve": "serve a market: a page, a WebSocket and metrics",
    "init": "write the settings of a market of your own into a file",
    "watch": "show a channel of a live server in the terminal",
    "place": "place an order",
    "cancel": "cancel an order, or all of them",
    "orders": "show your own orders",
    "balances": "show what you own",
    "fills": "show the fills of your own orders",
    "verify": "rebuild the books of a live server and report what is wrong",
    "judge": "listen to a client in any language, and report whether its books are right",
    "fault": "run a proxy that breaks, slows and garbles connections, to test clients in any language",
    "load": "put the load of many clients on a server, and report what they saw",
    "replay": "feed a recording into an engine, and check the result against the recording",
    "journal": "show what is in a journal and whether it is whole; print, replay or repair it",
    "export": "put a book order by order into a file for the tools of others: DBN, Parquet, LOBSTER, hftbacktest",
    "admin": "phases, limits, money, fees and orders of a market; disconnect clients, revoke tokens; see who is connected and how far behind",
    "cluster": "show who leads a market that Redis joins, and how far each process is",
    "handover": "let a standby lead such a market, before you restart its leader",
    "doctor": "check whether this machine can run a server, and say what to do if it cannot",
    "key": "make, list and revoke API keys, which sign each request",
    "token": "print a development token for your own server",
    "completion": "print a script that lets a shell complete commands and flags",
}

EXAMPLES = """examples:
  deltabook serve --source recorded --source simulated     a live market on http://localhost:8080/
  deltabook watch orderbook:BTC-USDT                       its ladder in the terminal
  deltabook place BTC-USDT buy 0.001 60000.00              an order of your own; DELTABOOK_TOKEN says who you are
  deltabook verify --seconds 60                            check whether every book is right
  deltabook load --clients 1000 --html load.html           a thousand clients, and a report with plots
  deltabook doctor                                         check whether this machine can run a server

`deltabook COMMAND --help` has more examples. NO_COLOR=1 turns colours off. DELTABOOK_TRACEBACK=1 shows where an unexpected error came from.
"""

TRACEBACK = "DELTABOOK_TRACEBACK"


def teach(parser: argparse.ArgumentParser, examples: str, word: str) -> None:
    """End the help of a subcommand with those lines of the examples that contain its word."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n".join(["examples:", *(line for line in examples.splitlines() if word in line.split())])


def parser_of(commands: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of the command line, with the flags of these commands."""
    parser = argparse.ArgumentParser(
        prog="deltabook", description="A matching engine and order-book delta streamer.", epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"deltabook {version('deltabook')}")
    added = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, help in COMMANDS.items():
        command = added.add_parser(name, help=help, description=help)
        if name in commands:
            import_module(f"stream.cli.{name}").add_arguments(command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0, 1 if the command found something wrong, 2 if it could not run, 130 if it was interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    asked = next((word for word in argv if not word.startswith("-")), "")
    parser = parser_of([asked])
    if asked and asked not in COMMANDS and (close := get_close_matches(asked, COMMANDS, 1)):
        parser.error(f"there is no command {asked!r}: did you mean {close[0]}?")
    arguments = parser.parse_args(argv)

    from stream.client.errors import ClientError
    from stream.settings.config import ConfigError

    try:
        status: int = import_module(f"stream.cli.{arguments.command}").run(arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())    # otherwise Python would complain at its end that the reader is gone
        return 0
    except SystemExit as left:
        if isinstance(left.__context__, BrokenPipeError):    # rich has done the same, but with a status that says failure
            return 0
        raise
    except (ConfigError, ClientError) as error:
        return complain(arguments.command, error)
    except Exception as error:
        if os.environ.get(TRACEBACK):
            raise
        return complain(arguments.command, f"unexpected {type(error).__name__}: {error}; {TRACEBACK}=1 shows where it came from")
    return status


def complain(command: str, what: object) -> int:
    """Print on one line what went wrong and, if that is known, what to do about it. Returns the exit status."""
    from rich.console import Console
    from rich.text import Text

    line = Text.assemble((f"deltabook {command}: ", "bold red"), f"{what}{advice(what)}")
    Console(stderr=True, soft_wrap=True, highlight=False).print(line)
    return 2


def advice(error: object) -> str:
    """What to do about an error, judged by its causes; "" if that is not known."""
    for cause in causes(error):
        if isinstance(cause, ConnectionRefusedError):
            return "; no server listens there: `deltabook serve` starts one, and `deltabook doctor` says what prevents that"
        if isinstance(cause, socket.gaierror):
            return "; is the name of the host right?"
        if isinstance(cause, asyncio.TimeoutError | TimeoutError):
            return "; is there a firewall in between, or is the server overloaded?"
        if isinstance(cause, PermissionError):
            return "; give this user access to it, or choose another place"
    return ""


def causes(error: object) -> Iterator[object]:
    """An error, then the errors that caused it."""
    while error is not None:
        yield error
        error = getattr(error, "__cause__", None)
