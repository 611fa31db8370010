"""The command line: one module a command, loaded when it is asked for."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "serve": "serve a market: page, WebSocket, metrics",
    "watch": "show a channel of a live server in the terminal",
    "verify": "rebuild the books of a live server and report what is wrong",
    "load": "load a server with many clients, and report what they saw",
    "replay": "feed a recording into an engine and check it against the recording's own truth",
    "journal": "say what is in a journal and whether it is whole; print, replay, repair it",
    "admin": "halt, limit, disconnect, revoke; see who is connected and how far behind",
    "token": "print a development token for one's own server",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status: 0, 1 if it found something wrong, 2 if it could not run, 130 if it was interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="deltabook", description="A matching engine and order-book delta streamer.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    asked = next((word for word in argv if not word.startswith("-")), None)
    for name, help in COMMANDS.items():
        command = commands.add_parser(name, help=help, description=help)
        if name == asked:
            import_module(f"stream.cli.{name}").add_arguments(command)
    arguments = parser.parse_args(argv)

    from stream.config import ConfigError
    from stream.live import ClientError

    try:
        status: int = import_module(f"stream.cli.{arguments.command}").run(arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0
    except (ConfigError, ClientError) as error:
        print(f"deltabook {arguments.command}: {error}", file=sys.stderr)
        return 2
    return status
