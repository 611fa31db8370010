"""`deltabook export`: puts a book by orders, out of a journal or from a live server, into a file for the tools of others."""

import argparse
from pathlib import Path

from stream.cli.journal import moment
from stream.cli.numbers import counted, positive
from stream.client.client import connect
from stream.export.channel_source import export_channel
from stream.export.errors import ExportError
from stream.export.exporter import Exporter
from stream.export.journal_source import export_journal
from stream.export.terms import ExportTerms
from stream.export.writers import FORMATS, writer_of
from stream.journal.files import Disk
from stream.journal.format import JournalError
from stream.system import loop

EXAMPLES = """examples:
  deltabook export data/journal BTC-USDT btc.parquet
  deltabook export data/journal BTC-USDT btc.dbn --from 2026-11-23T14:30:00Z --upto 2026-11-23T15:00:00Z
  deltabook export data/journal BTC-USDT btc.csv --levels 5
  deltabook export ws://127.0.0.1:8080/v1 BTC-USDT btc.npz --seconds 60
"""


def first_moment(text: str) -> int:
    """A time as `moment` reads it. A time in ISO 8601 means the beginning of the microsecond that it names."""
    return moment(text) if text.isdecimal() else moment(text) // 1_000 * 1_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `export`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.add_argument("source", metavar="SOURCE", help="a journal's folder, to which a server may be writing, or a live server as ws://HOST:PORT/v1")
    parser.add_argument("instrument", metavar="INSTRUMENT", help="such as BTC-USDT")
    parser.add_argument("output", type=Path, metavar="FILE",
                        help=f"the file; its name says which format it gets, with one of {', '.join(FORMATS)}. For .csv there are two: "
                        "NAME_message_LEVELS.csv and NAME_orderbook_LEVELS.csv")
    parser.add_argument("--from", type=first_moment, default=0, dest="begin", metavar="TIME",
                        help="begin with the book as it was then: ISO 8601 (UTC unless it names another zone) or ns since 1970; only of a journal")
    parser.add_argument("--upto", type=moment, metavar="TIME", help="the last moment")
    parser.add_argument("--seconds", type=positive, metavar="S", help="of a live server: stop after so many seconds (default: at Ctrl-C)")
    parser.add_argument("--levels", type=counted, default=10, metavar="N", help="of .csv: levels per side in the orderbook file (default: %(default)s)")
    parser.add_argument("--token", help="a token, if the server needs one")


def run(arguments: argparse.Namespace) -> int:
    """Run the command. Returns the exit status."""
    path: Path = arguments.output
    live = arguments.source.startswith(("ws://", "wss://"))

    def make(terms: ExportTerms) -> Exporter:
        return Exporter(writer_of(path, terms, arguments.levels))

    async def listen() -> int:
        async with connect(arguments.source, arguments.token) as client:
            return await export_channel(client, arguments.instrument, arguments.upto, arguments.seconds, make)

    if live and arguments.begin:
        raise ExportError("--from: a live server tells only what happens from now on; its journal has the past")
    if not live and arguments.seconds:
        raise ExportError("--seconds: expected a live server as ws://HOST:PORT/v1; --upto ends what comes out of a journal")
    try:
        events = loop.run(listen()) if live else export_journal(Disk(), arguments.source, arguments.instrument, arguments.begin, arguments.upto, make)
    except JournalError as error:
        raise ExportError(str(error)) from error
    except OSError as error:
        raise ExportError(f"{error.filename or path}: {error.strerror}") from error
    print(f"{events:,} events of {arguments.instrument}: {path}")
    return 0
