"""`deltabook load`: runs many clients, shows live what they see, and writes a report that a CI job can use."""

import argparse
import asyncio
import os
import signal
import time
from pathlib import Path

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live as Screen
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stream.access.auth import mint
from stream.cli.numbers import counted, positive, share, whole
from stream.cli.token import SCOPES
from stream.cli.verify import DEFAULT_URL
from stream.client.client import connect
from stream.client.errors import ClientError
from stream.harness.crew import Crew
from stream.harness.load_page import HEADINGS, html, most_told, notes, rows
from stream.harness.plan import LoadPlan, Role, Thresholds, planned_clients
from stream.harness.report import LoadReport, Moment
from stream.settings.config import Config, KeyConfig, read_config
from stream.system import loop
from stream.wire.channels import BOOK, PUBLIC, TICKER, TRADES

TOKEN_SPARE_S = 3600

OWN_CHANNELS_MAX = 3
"""The channels of a trading client besides the public ones: a ticker, its orders and its balances."""

TABLE_WIDTH = 140
"""The least width of the report's table in columns, however narrow the terminal is."""

CONNECTIONS_PER_S = 200
"""How fast the clients come by default: as fast as a server with default settings allows one address in the long run."""

EXAMPLES = """examples:
  deltabook load                                          100 clients for 20 seconds
  deltabook load --clients 1000 --slow 0.1 --returning 0.1 --html load.html
  deltabook load --clients 200 --trading 0.2 --secret @secret.txt
  deltabook load ws://10.0.0.1:8080/v1 --interval 0 --depth 20 --channels orderbook
  deltabook load --max-p99-ms 50 --max-gaps 0 --json load.json || echo too slow

A share is a number from 0 to 1: with --slow 0.1, every tenth client reads nothing for --stall seconds, again and again. Trading clients
place the smallest order 1 % below the best bid, and cancel it.

exit status: 0 if every threshold was kept, 1 if not, 2 if the server cannot be reached, 130 if it was interrupted (there is a report then, too)
"""


def kinds_of(text: str) -> list[str]:
    """The kinds of public channels that a text lists."""
    kinds = text.split(",")
    if unknown := set(kinds).difference(PUBLIC):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: expected some of {', '.join((BOOK, TRADES, TICKER))}")
    return list(dict.fromkeys(kinds))


def processes() -> int:
    """One process for each core, except one core for the server."""
    return max(1, len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)) - 1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `load`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    add = parser.add_argument
    add("url", nargs="?", default=DEFAULT_URL, help="the server (default: %(default)s)")
    add("--clients", type=counted, default=100, metavar="N", help="how many clients (default: %(default)s)")
    add("--processes", type=counted, default=processes(), metavar="N",
        help="how many processes share the clients (default: one for each spare core, %(default)s here)")
    add("--seconds", type=positive, default=20, metavar="S", help="how long to measure, once all clients are connected (default: %(default)s)")
    add("--ramp", type=positive, metavar="S", help=f"the time over which the clients connect (default: {CONNECTIONS_PER_S} clients per second)")
    add("--instruments", metavar="A,B", help="only these (default: all)")
    add("--channels", type=kinds_of, default=[BOOK], metavar="KINDS", help="some of orderbook,trades,ticker (default: orderbook)")
    add("--depth", type=whole, metavar="N", help="levels per side, 0 for full books (default: the server's default)")
    add("--interval", type=whole, default=100, metavar="MS", help="the shortest time between two frames, 0 for every change (default: %(default)s)")
    roles = parser.add_argument_group("roles (each flag is the share of the clients that do this, from 0 to 1)")
    roles.add_argument("--slow", type=share, default=0, metavar="SHARE", help="read nothing now and then")
    roles.add_argument("--returning", type=share, default=0, metavar="SHARE", help="cut their connection now and then, come back and resume")
    roles.add_argument("--trading", type=share, default=0, metavar="SHARE", help="sign in, and place and cancel orders")
    roles.add_argument("--verify", type=share, default=0.1, metavar="SHARE", help="rebuild books and compare every digest (default: %(default)s)")
    roles.add_argument("--stall", type=positive, default=5, metavar="S", help="how long a slow client reads nothing (default: %(default)s)")
    roles.add_argument("--stay", type=positive, default=5, metavar="S", help="how long a returning client stays, on average (default: %(default)s)")
    roles.add_argument("--orders-per-s", type=positive, default=10, metavar="N",
                       help="how many requests per second a trading client sends (default: %(default)s)")
    tokens = parser.add_argument_group("tokens (without any, trading clients use the development key, as `deltabook token` does)")
    tokens.add_argument("--token", action="append", help="a token for every client; if you give several, the clients take them in turn")
    tokens.add_argument("--secret", help="an HS256 key, or @FILE: each client signs in with a token of its own, for load-0, load-1 ...")
    tokens.add_argument("--config", type=Path, metavar="FILE", help="the server's TOML file, to know its keys, issuer and audience")
    judged = parser.add_argument_group("thresholds (a report that goes beyond one has exit status 1)")
    judged.add_argument("--max-gaps", type=whole, default=0, metavar="N",
                        help="the most gaps: frames that did not fit to the ones before (default: %(default)s)")
    judged.add_argument("--max-wrong", type=whole, default=0, metavar="N", help="the most books with a wrong digest (default: %(default)s)")
    judged.add_argument("--max-lost", type=whole, default=0, metavar="N", help="the most connections that are lost or refused (default: %(default)s)")
    judged.add_argument("--max-refused", type=whole, metavar="N", help="the most requests that the server refuses")
    judged.add_argument("--max-p99-ms", type=positive, metavar="MS", help="the highest latency of steady clients (99th percentile)")
    judged.add_argument("--max-response-p99-ms", type=positive, metavar="MS",
                        help="the longest time to an answer, from when the request was due (99th percentile)")
    judged.add_argument("--min-deliveries", type=positive, metavar="N", help="the fewest frames per second, of all clients together")
    add("--json", metavar="FILE", help="write the report as JSON; with -, print it instead of the table")
    add("--html", type=Path, metavar="FILE", help="write the report as a page with plots, all in one file")


async def plan_of(arguments: argparse.Namespace, token: str | None) -> LoadPlan:
    """The plan that the flags ask for, with the server's instruments. Raises ClientError if there can be no such plan."""
    if arguments.slow + arguments.returning + arguments.trading > 1:
        raise ClientError("--slow, --returning and --trading: expected a sum of at most 1")
    async with connect(arguments.url, token) as client:
        terms = await client.instruments()
        limits = client.allowance
    names = arguments.instruments.split(",") if arguments.instruments else list(terms)
    if unknown := set(names).difference(terms):
        raise ClientError(f"the server has no instrument {', '.join(sorted(unknown))}; expected some of {', '.join(terms)}")
    if not names:
        raise ClientError("the server has no instruments")
    channels = len(names) * len(arguments.channels) + OWN_CHANNELS_MAX
    if channels > limits.subscriptions_max:
        raise ClientError(f"{channels} channels for each client: expected at most {limits.subscriptions_max}; choose fewer with --instruments or --channels")
    if arguments.trading and arguments.orders_per_s > limits.messages_per_s:
        most = f"{limits.messages_per_s}, the messages per second that the server takes from one connection"
        raise ClientError(f"--orders-per-s {arguments.orders_per_s:g}: expected at most {most}")
    ramp_s = arguments.ramp or max(1.0, arguments.clients / CONNECTIONS_PER_S)
    return LoadPlan(
        url=arguments.url, clients=arguments.clients, processes=min(arguments.processes, arguments.clients), seconds=arguments.seconds,
        ramp_s=ramp_s, instruments={name: terms[name].size_min for name in names}, kinds=arguments.channels, depth=arguments.depth,
        interval_ms=arguments.interval, slow=arguments.slow, returning=arguments.returning, trading=arguments.trading, verified=arguments.verify,
        stall_s=arguments.stall, stay_s=arguments.stay, orders_per_s=arguments.orders_per_s,
    )


def secret_of(text: str) -> str:
    """The secret: `text`, or for @FILE the content of that file. Raises ClientError if the file cannot be read."""
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text().strip()
    except OSError as error:
        raise ClientError(f"--secret {text}: {error.strerror}") from error


def signed(config: Config, number: int, seconds: float) -> str:
    """A token for one client, which lives long enough for a run of so many `seconds`."""
    return mint(config, f"load-{number}", SCOPES, int(seconds) + TOKEN_SPARE_S, int(time.time()))


def tokens_of(arguments: argparse.Namespace, plan: LoadPlan) -> dict[int, str]:
    """A token for each client that signs in, by its number."""
    if arguments.token:
        return {number: arguments.token[number % len(arguments.token)] for number in range(plan.clients)}
    numbers = range(plan.clients) if arguments.secret else [place.number for place in planned_clients(plan) if place.role is Role.TRADING]
    config = config_of(arguments) if numbers else Config()
    return {number: signed(config, number, plan.seconds + plan.ramp_s) for number in numbers}


def config_of(arguments: argparse.Namespace) -> Config:
    """The configuration that tokens are minted with."""
    config = read_config(arguments.config, os.environ)
    keys = (KeyConfig("HS256", secret_of(arguments.secret)),) if arguments.secret else config.keys
    return msgspec.structs.replace(config, keys=keys)


def picture(plan: LoadPlan, moment: Moment) -> RenderableType:
    """The live view of the run."""
    done = ProgressBar(plan.ramp_s + plan.seconds, min(moment.seconds, plan.ramp_s + plan.seconds), width=40)
    line = Table.grid(padding=(0, 2))
    line.add_row("measuring" if moment.measured else "coming", done, f"{moment.seconds:.0f} of {plan.ramp_s + plan.seconds:.0f} s")
    clients = f"{moment.connected:,} connected  {moment.deliveries:,.0f} frames/s  {moment.bytes / 1e6:,.2f} MB/s  "
    times = f"p50 {shown(moment.p50)} ms  p99 {shown(moment.p99)} ms  "
    server = f"server {moment.server_share:.0%}  " if moment.server_share is not None else ""
    wrong = Text(f"{moment.wrong:,} wrong", style="red" if moment.wrong else "green")
    return Group(line, Text(clients).append_text(wrong), Text(f"{times}{server}harness {moment.share:.0%}"), Text(moment.problem, style="yellow"))


def shown(ms: float | None) -> str:
    """A time in ms as text, "-" if there is none."""
    return "-" if ms is None else f"{ms:.1f}"


async def harass(arguments: argparse.Namespace, console: Console) -> tuple[LoadReport, bool]:
    """Do the run. Returns its report, and whether it was interrupted."""
    for file in filter(None, (arguments.html, arguments.json)):
        if not Path(file).parent.is_dir():    # it would be too late to say so after the run
            raise ClientError(f"{file}: there is no folder {Path(file).parent}")
    first = arguments.token[0] if arguments.token else signed(config_of(arguments), 0, TOKEN_SPARE_S) if arguments.secret else None
    plan = await plan_of(arguments, first)
    thresholds = Thresholds(
        gaps=arguments.max_gaps, wrong=arguments.max_wrong, lost=arguments.max_lost, refused=arguments.max_refused, p99_ms=arguments.max_p99_ms,
        response_p99_ms=arguments.max_response_p99_ms, deliveries_per_s=arguments.min_deliveries,
    )
    interrupted = asyncio.Event()
    with Screen(console=console, transient=True, auto_refresh=False) as screen:

        def see(moment: Moment) -> None:
            if console.is_terminal:
                screen.update(picture(plan, moment), refresh=True)

        crew = Crew(plan, tokens_of(arguments, plan), see)

        def interrupt() -> None:
            interrupted.set()
            crew.end()

        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupt)
        return await crew.run(thresholds), interrupted.is_set()


def show(report: LoadReport, console: Console) -> None:
    """Print the report in the terminal."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading != HEADINGS[0] else "left", no_wrap=True)
    for row in rows(report):
        table.add_row(*row)
    Console(file=console.file, highlight=False, width=max(console.width, TABLE_WIDTH)).print(table)
    for note in notes(report):
        console.print(note, style="dim", soft_wrap=not console.is_terminal)
    for words, times in most_told(report)[:5]:
        console.print(f"{times:,} times: {words}", style="yellow", markup=False)
    for limit in report.limits:
        console.print(limit, style="yellow")
    for problem in report.problems:
        console.print(problem, style="red")
    if not report.problems:
        console.print("every threshold was kept", style="green")


def run(arguments: argparse.Namespace) -> int:
    """Put load on a server, and report. Returns the exit status."""
    report, interrupted = loop.run(harass(arguments, Console(stderr=True)))
    encoded = msgspec.json.format(msgspec.json.encode(report)).decode()
    try:
        if arguments.html:
            arguments.html.write_text(html(report))
        if arguments.json and arguments.json != "-":
            Path(arguments.json).write_text(encoded + "\n")
    except OSError as error:
        raise ClientError(f"{error.filename}: {error.strerror}") from error
    if arguments.json == "-":
        print(encoded)
    else:
        show(report, Console(highlight=False))
    return 130 if interrupted else 1 if report.problems else 0
