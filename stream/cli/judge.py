"""`deltabook judge`: a referee that checks what a client in any language says about its books."""

import argparse
import asyncio
import os
import stat
import sys
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import msgspec
from rich.console import Console
from rich.table import Table

from stream.cli.numbers import positive
from stream.cli.shares import deal, shows_orders
from stream.cli.verify import DEFAULT_URL
from stream.client.client import connect
from stream.client.errors import ClientError
from stream.client.live import Live
from stream.client.readings import Book
from stream.harness.agreement import Agreement
from stream.harness.judge import Case, Statement
from stream.system import loop
from stream.wire.channels import BOOK, BY_ORDER, ChannelName
from stream.wire.frames import Gap, MarketByOrder

HEALING_S = 60.0
"""How long a client has, after the run, to say something right about every book."""

LINE_BYTES_MAX = 1 << 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `judge`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "A client says what its books are, each as often as it likes. It prints lines of JSON, which are piped in here:\n"
        '  {"channel":"orderbook:BTC-USDT","epoch":1795457627846,"seq":812,"digest":"14894331211221092310"}\n\n'
        "The books must be full books, or books by order (market_by_order:BTC-USDT).\n"
        "The client may connect to another server of the same market, for example to a relay that injects faults.\n\n"
        "examples:\n  deltabook serve --source simulated --port 8080\n"
        "  deltabook serve --upstream ws://127.0.0.1:8080/v1 --port 8081 --faults drop=0.01,reorder=0.01,corrupt=0.01,cut=0.0001,seed=7\n"
        "  python -m stream.examples.statements --url ws://127.0.0.1:8081/v1 | deltabook judge ws://127.0.0.1:8080/v1 --seconds 600\n\n"
        "exit status: 0 if everything that the client said was right, and it said something right about each of its books after the run;\n"
        "1 if not; 2 if it could not be judged"
    )
    parser.add_argument("url", nargs="?", default=DEFAULT_URL, help="a server that does not inject faults (default: %(default)s)")
    parser.add_argument("--seconds", type=positive, default=20, help="how long to listen (default: 20)")
    parser.add_argument("--token", help="a token, if the server needs one")


class Judgement(NamedTuple):
    """The outcome: what the client said about each book, by channel, and the books about which it said something right after the run.

    `disagreements` counts, by instrument, how often the orders of the judge's own server did not add up to its book.
    """

    cases: dict[str, Case]
    healed: set[str]
    disagreements: dict[str, int]

    @property
    def problems(self) -> list[str]:
        """What was wrong, one text for each problem."""
        problems = []
        for channel, case in self.cases.items():
            if case.wrong:
                problems.append(f"{channel}: {case.wrong} statements were wrong; the first ones are {msgspec.json.encode(case.told).decode()}")
            if channel not in self.healed:
                problems.append(f"{channel}: the client said nothing right about it after the run")
        problems += [f"{name}: the server's own orders did not add up to its book, {count} times" for name, count in self.disagreements.items() if count]
        return problems or ([] if self.cases else ["the client said nothing"])


async def judge(url: str, seconds: float, token: str | None, said: asyncio.StreamReader) -> Judgement:
    """Listen to a client and to a server for a while. Raises ClientError if the server cannot be reached, or if what the client says cannot be read."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(connect(url, token))
        names = list(await first.instruments())
        kinds = (BOOK, BY_ORDER) if names and await shows_orders(first, names[0]) else (BOOK,)
        shares = await deal(stack, first, token, names, len(kinds))
        books: dict[str, Live[Any]] = {}
        agreements: dict[str, Agreement] = {}
        cases: dict[str, Case] = {}

        def hear(read: Book | MarketByOrder | Gap) -> None:
            if not isinstance(read, Gap):
                cases[read.channel].hear(read.wire if isinstance(read, Book) else read)

        for client, share in shares:
            for name in share:
                channels = [str(ChannelName(kind, name)) for kind in kinds]
                lives = client.prepare(channels, 0, 0)
                if len(lives) > 1:
                    agreements[name] = Agreement(*lives)    # type: ignore[arg-type]
                for live in lives:
                    books[live.channel], cases[live.channel] = live, Case()
                    live.on(hear)
                await client.subscribe(channels, 0, 0)
        spoken: set[str] = set()

        async def listen() -> None:
            async for line in said:
                statement = read(line)
                if statement.channel not in cases:
                    raise ClientError(f"{statement.channel}: expected one of {', '.join(cases)}")
                spoken.add(statement.channel)
                cases[statement.channel].state(statement)

        listening = asyncio.create_task(listen())
        await asyncio.wait([listening], timeout=seconds)
        ends = {channel: book.seq for channel, book in books.items()}

        def healed() -> set[str]:
            return {channel for channel in spoken if cases[channel].right_at >= ends[channel]}

        clock = asyncio.get_running_loop().time
        until = clock() + HEALING_S
        while healed() != spoken and not listening.done() and clock() < until:
            await asyncio.wait([listening], timeout=0.1)
        if listening.done():
            listening.result()
        listening.cancel()
        return Judgement({channel: cases[channel] for channel in sorted(spoken)}, healed(), {name: each.differed for name, each in agreements.items()})


def read(line: bytes) -> Statement:
    """The statement in a line from a client. Raises ClientError if the line is not a statement."""
    try:
        return msgspec.json.decode(line, type=Statement)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ClientError(f"the client said {line[:200].decode(errors='replace').strip()}: {error}") from error


def table_of(judgement: Judgement) -> Table:
    """The outcome as a table."""
    table = Table("book", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("right", "wrong", "open"):
        table.add_column(heading, justify="right")
    for channel, case in judgement.cases.items():
        table.add_row(channel, f"{case.right:,}", f"{case.wrong:,}", f"{case.open:,}")
    return table


async def judge_input(arguments: argparse.Namespace) -> Judgement:
    """Judge the client whose output is piped in."""
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):    # uvloop dumps core if it is to make a pipe of a file
        raise ClientError("standard input is not a pipe: expected the output of a client, as in `CLIENT | deltabook judge URL`")
    said = asyncio.StreamReader(LINE_BYTES_MAX)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(said), sys.stdin)
    return await judge(arguments.url, arguments.seconds, arguments.token, said)


def run(arguments: argparse.Namespace) -> int:
    """Judge, and print the outcome. Returns the exit status."""
    console = Console(soft_wrap=True, highlight=False)
    judgement = loop.run(judge_input(arguments))
    console.print(table_of(judgement))
    for problem in judgement.problems:
        console.print(problem, style="red", markup=False)
    if not judgement.problems:
        console.print("all that the client said was true")
    return 1 if judgement.problems else 0
