"""`deltabook watch`: shows a channel of a live server in the terminal."""

import argparse
import json
import os
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live as Screen
from rich.table import Table
from rich.text import Text

from stream.cli.account import TOKEN
from stream.cli.numbers import counted, whole
from stream.cli.rows import row_of, written
from stream.cli.verify import DEFAULT_URL
from stream.client.client import connect
from stream.client.errors import ClientError
from stream.client.live import Live, LiveBalances, LiveBook, LiveByOrder, LiveOrders, LiveTrades
from stream.client.readings import text
from stream.system import loop
from stream.wire.channels import parse
from stream.wire.frames import Gap, OrderUpdate, Ticker, Trade
from stream.wire.messages import InstrumentTerms
from stream.wire.mirror import BalancesMirror, BookMirror, OrdersMirror, TickerMirror, TradesMirror, Verdict
from stream.wire.scale import to_text

BAR = 24
"""Width of the longest depth bar, in characters."""

SPARE_LINES = 5
"""Lines of the terminal that are not levels."""

PIPE_WIDTH = 160
"""The width in columns if there is no terminal, so that nothing is cut off."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `watch`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  deltabook watch orderbook:BTC-USDT\n"
        "  deltabook watch ticker:BTC-USDT --url ws://10.0.0.1:8080/v1 --interval 1000\n"
        "  deltabook watch trades:BTC-USDT --count 10 | tail -5\n"
        "  deltabook watch orderbook:BTC-USDT --depth 1 --json\n"
        "  deltabook watch balances --token $(deltabook token alice)"
    )
    parser.add_argument("channel", help="the channel, such as orderbook:BTC-USDT, trades:BTC-USDT, ticker:BTC-USDT, orders or balances")
    parser.add_argument("--url", default=DEFAULT_URL, help="the server (default: %(default)s)")
    parser.add_argument("--token", default=os.environ.get(TOKEN), help=f"a token; orders and balances need one (default: {TOKEN} of the environment)")
    parser.add_argument("--depth", type=counted, default=15, help="levels per side, as far as they fit into the terminal (default: 15)")
    parser.add_argument("--interval", type=whole, default=100, metavar="MS", help="the shortest time between two frames (default: 100)")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each frame of a book or ticker, each trade, order event or balance")
    parser.add_argument("--count", type=whole, default=0, metavar="N", help="stop after N frames, or lines of trades or of JSON (default: 0, do not stop)")


def ladder(mirror: BookMirror, terms: InstrumentTerms, depth: int) -> Table:
    """A book as a table: asks above, bids below, and the spread between them. Bars show the sizes."""
    bids, asks = mirror.depth(depth)
    most = max([*bids[1::2], *asks[1::2], 1])
    table = Table(box=None, pad_edge=False)
    for heading in ("size", "price", ""):
        table.add_column(heading, justify="left" if heading == "" else "right")

    def rows_of(levels: list[int], colour: str) -> list[tuple[str, Text, Text]]:
        return [
            (to_text(size, terms.lot), Text(to_text(price, terms.tick), style=colour), Text("█" * max(1, size * BAR // most), style=colour))
            for price, size in zip(levels[::2], levels[1::2], strict=True)
        ]

    spread = f"spread {to_text(asks[0] - bids[0], terms.tick)}" if bids and asks else "one side is empty"
    for row in (*reversed(rows_of(asks, "red")), ("", Text(spread, style="dim"), Text()), *rows_of(bids, "green")):
        table.add_row(*row)
    return table


def lines(headings: tuple[str, ...], rows: list[tuple[str, ...]], gap: int = 2) -> Table:
    """A plain table, with `gap` blanks between its columns."""
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
    for heading in headings:
        table.add_column(heading, justify="right", overflow="fold", no_wrap=heading == "order")    # half an id is of no use
    for row in rows:
        table.add_row(*row)
    return table


def trade_row(trade: Trade, terms: InstrumentTerms) -> tuple[str, ...]:
    """The cells of a trade."""
    when = time.strftime("%H:%M:%S", time.gmtime(trade.time / 1e9))
    return when, trade.side, to_text(trade.price, terms.tick), to_text(trade.size, terms.lot)


def ticker_rows(ticker: Ticker, terms: InstrumentTerms) -> list[tuple[str, ...]]:
    """The rows of a ticker: names and values."""
    prices = [(name, to_text(getattr(ticker, name), terms.tick)) for name in ("last", "bid", "ask", "open", "high", "low")]
    volume, value = to_text(ticker.volume, terms.lot), to_text(ticker.value, f"1e-{terms.quote_decimals}")
    auction = [("auction price", to_text(ticker.indicative_price, terms.tick)), ("auction size", to_text(ticker.indicative_size, terms.lot))]
    phase = [("phase", ticker.phase), *(auction if ticker.phase == "auction" else [])]
    return [*prices, ("volume", volume), ("value", value), ("trades", str(ticker.trades)), *phase]


def order_row(update: OrderUpdate, terms: dict[str, InstrumentTerms]) -> tuple[str, ...]:
    """The cells of an own order."""
    of = terms[update.instrument]
    price, remaining, filled = to_text(update.price, of.tick), to_text(update.remaining, of.lot), to_text(update.filled, of.lot)
    stop = to_text(update.stop, of.tick) if update.stop else ""
    return str(update.order), update.instrument, update.side, update.type, price, stop, remaining, filled, update.event


def picture(live: Live[Any], terms: dict[str, InstrumentTerms], depth: int) -> RenderableType:
    """The current state of a channel, ready to print."""
    mirror = live.mirror
    instrument = parse(live.channel).instrument
    match mirror:
        case BookMirror():
            return ladder(mirror, terms[instrument], depth)
        case TradesMirror():
            newest = list(mirror.latest)[: -depth - 1 : -1]
            return lines(("time", "side", "price", "size"), [trade_row(trade, terms[instrument]) for trade in newest])
        case TickerMirror():
            return lines(("", ""), ticker_rows(mirror.frame, terms[instrument]) if mirror.frame else [])
        case OrdersMirror():
            rows = [order_row(update, terms) for update in mirror.open.values()]
            return lines(("order", "instrument", "side", "type", "price", "stop", "rest", "filled", "event"), rows, gap=1)
        case BalancesMirror():
            balances = mirror.assets.values()
            step = {balance.asset: f"1e-{balance.decimals}" for balance in balances}
            rows = [(each.asset, to_text(each.available, step[each.asset]), to_text(each.held, step[each.asset])) for each in balances]
            return lines(("asset", "available", "held"), rows)
    raise ClientError(f"the channel {live.channel} cannot be shown")


def status(live: Live[Any]) -> Text:
    """A line on how current the copy of the channel is, and whether it is verified."""
    mirror = live.mirror
    said = f"{live.channel}  epoch {mirror.epoch}  seq {mirror.seq}"
    if live.in_force and live.in_force.interval_ms:
        said += f"  every {live.in_force.interval_ms} ms"
    if isinstance(live, LiveBook):
        said += f"  {'verified' if live.verified else 'NOT VERIFIED'}  frames {mirror.counts[Verdict.APPLIED]:,}  merged {live.mirror.merges:,}"
    if mirror.frame:
        said += f"  {(time.time_ns() - mirror.frame.server_time) / 1e6:.1f} ms ago"
    return Text(said, style="dim")


def line_of(item: Any, live: Live[Any], depth: int) -> str:
    """What a channel has told, as a line of JSON."""
    if isinstance(live, LiveBook):
        bids, asks = ([[text(level.price), text(level.size)] for level in side] for side in live.levels(depth))
        return json.dumps({"channel": live.channel, "seq": live.seq, "verified": live.verified, "bids": bids, "asks": asks})
    return written([{"channel": live.channel, **row_of(item)}], (), "json").rstrip()


async def write_lines(live: Live[Any], arguments: argparse.Namespace, terms: dict[str, InstrumentTerms]) -> None:
    """Write a line for all that the channel tells, at once: first for what there is, then for what comes."""
    count = 0

    async def items() -> AsyncIterator[Any]:
        known: Iterable[Any] = ()    # of a book or a ticker the iteration begins with what there is
        if isinstance(live, LiveTrades):
            known = live.latest[-arguments.depth :]
        elif isinstance(live, LiveOrders):
            known = live.open.values()
        elif isinstance(live, LiveBalances):
            known = live.assets.values()
        for item in known:
            yield item
        async for item in live:
            if not isinstance(item, Gap):    # what was missed comes with the state, which is not a line
                yield item

    async for item in items():
        said = line_of(item, live, arguments.depth) if arguments.json else "  ".join(trade_row(item.wire, terms[parse(live.channel).instrument]))
        print(said, flush=True)
        count += 1
        if count == arguments.count:
            return


async def watch(arguments: argparse.Namespace, console: Console) -> None:
    """Show a channel until it ends, or until as many frames have come as were asked for."""
    async with connect(arguments.url, arguments.token) as client:
        terms = await client.instruments()
        live = (await client.subscribe([arguments.channel], None, arguments.interval))[0]
        if isinstance(live, LiveByOrder):
            raise ClientError(f"the channel {live.channel} cannot be shown")
        if arguments.json or (isinstance(live, LiveTrades) and not console.is_terminal):
            await write_lines(live, arguments, terms)
            return
        shown = 0
        depth = min(arguments.depth, max(1, (console.height - SPARE_LINES) // 2)) if console.is_terminal else arguments.depth
        with Screen(console=console, auto_refresh=False, screen=console.is_terminal and not arguments.count) as screen:
            while not arguments.count or shown < arguments.count:
                if shown or live.mirror.frame is None:    # show what came with the answer at once, even in a quiet market
                    await live.changed()
                shown += 1
                view = Table.grid()
                view.add_row(status(live))
                view.add_row(picture(live, terms, depth))
                if console.is_terminal:
                    screen.update(view, refresh=True)
                else:
                    console.print(view)


def run(arguments: argparse.Namespace) -> int:
    """Watch a channel. Returns the exit status."""
    try:
        parse(arguments.channel)
    except ValueError as error:
        raise ClientError(str(error)) from error
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, PIPE_WIDTH)
    loop.run(watch(arguments, console))
    return 0
