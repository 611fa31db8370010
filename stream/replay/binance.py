"""Binance's spot streams (depth, trades, best bid and ask), checked against the recording's own best bid and ask.

The recorded depth becomes the orders of a *maker* account, one a level, and the recorded trades those of a *taker* where the book
stands as it did then. Each `depthUpdate` brings the maker's orders back to the recorded sizes, whatever traded in between: the
recorded taker, or anyone else, whose own orders are left alone. Format: developers.binance.com, "How to manage a local order book
correctly".
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import msgspec

from engine import Commands, EventKind, Exchange, Instrument, OrderBook, Side, TimeInForce
from stream.replay import Check, Progress, ReplayReport, Stage, read, scaled, silent

PRICE_DECIMALS, SIZE_DECIMALS = 2, 6
BTC_USDT = Instrument("BTC-USDT", "BTC", "USDT", tick=Decimal("0.01"), lot=Decimal("0.000001"), taker_fee=100)
DECIMALS = {"BTC": 8, "USDT": 8}

Levels = tuple[dict[int, int], dict[int, int]]
"""Bids and asks: sizes in lots by prices in ticks."""


@dataclass(frozen=True, slots=True)
class Depth:
    """Absolute sizes of levels, 0 for none, as of an update id: all levels of a snapshot, else the changed ones."""

    update: int
    levels: Levels
    snapshot: bool = False


@dataclass(frozen=True, slots=True)
class RecordedTrade:
    """A trade, by the side of its aggressor."""

    side: Side
    price: int
    size: int


@dataclass(frozen=True, slots=True)
class Best:
    """Price and size of the best bid and the best ask as of an update id."""

    update: int
    bid: tuple[int, int]
    ask: tuple[int, int]


RecordedEntry = Depth | RecordedTrade | Best

_Texts = list[tuple[str, str]]


class _Line(msgspec.Struct, rename="camel"):
    """A line of the recording: a message of a stream, or else the REST snapshot."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    last_update_id: int = 0
    bids: _Texts = []
    asks: _Texts = []


class _DepthUpdate(msgspec.Struct):
    first: int = msgspec.field(name="U")
    last: int = msgspec.field(name="u")
    bids: _Texts = msgspec.field(name="b")
    asks: _Texts = msgspec.field(name="a")


class _Trade(msgspec.Struct):
    price: str = msgspec.field(name="p")
    size: str = msgspec.field(name="q")
    buyer_is_maker: bool = msgspec.field(name="m")


class _BookTicker(msgspec.Struct):
    update: int = msgspec.field(name="u")
    bid: str = msgspec.field(name="b")
    bid_size: str = msgspec.field(name="B")
    ask: str = msgspec.field(name="a")
    ask_size: str = msgspec.field(name="A")


def entries(lines: Iterable[bytes]) -> Iterator[tuple[int, RecordedEntry]]:
    """What a recording holds from its snapshot on, each with its time in ns since 1970. A line is the time, a space and JSON.

    Updates that arrived before the snapshot come after it if it does not hold them. Raises ValueError if a line cannot be read, or an update is missing.
    """
    update = 0
    early: list[_DepthUpdate] = []
    for number, line in enumerate(lines, 1):
        stamp, _, text = line.partition(b" ")
        try:
            time, message = int(stamp), msgspec.json.decode(text, type=_Line)
        except (ValueError, msgspec.MsgspecError) as error:
            raise ValueError(f"line {number}: expected a time in ns, a space, and JSON: {error}") from error
        match message.stream.split("@")[1:2]:
            case ["depth"]:
                early.append(msgspec.json.decode(message.data, type=_DepthUpdate))
            case ["trade"] if update:
                trade = msgspec.json.decode(message.data, type=_Trade)
                yield time, RecordedTrade(Side.SELL if trade.buyer_is_maker else Side.BUY, *_level(trade.price, trade.size))
            case ["bookTicker"] if update:
                best = msgspec.json.decode(message.data, type=_BookTicker)
                yield time, Best(best.update, _level(best.bid, best.bid_size), _level(best.ask, best.ask_size))
            case [] if message.last_update_id and not update:
                update = message.last_update_id
                yield time, Depth(update, _levels(message.bids, message.asks), snapshot=True)
        while update and early:
            depth = early.pop(0)
            if depth.last <= update:
                continue
            if depth.first > update + 1:
                raise ValueError(f"the recording has a gap: updates {update + 1} to {depth.first - 1} are missing")
            update = depth.last
            yield time, Depth(update, _levels(depth.bids, depth.asks))


def _level(price: str, size: str) -> tuple[int, int]:
    return scaled(price, PRICE_DECIMALS), scaled(size, SIZE_DECIMALS)


def _levels(bids: _Texts, asks: _Texts) -> Levels:
    return dict(_level(*bid) for bid in bids), dict(_level(*ask) for ask in asks)


class RecordedFlow:
    """Makes the orders of two accounts out of a recording: a book that stands as recorded, and its takers."""

    def __init__(self, exchange: Exchange, book: OrderBook, maker: int, taker: int) -> None:
        self.recorded: Levels = ({}, {})
        self._exchange = exchange
        self._book = book
        self._maker = maker
        self._taker = taker
        self._seen = book.levels.seq
        self._grown: dict[tuple[int, int], None] = {}

    def follow(self, depth: Depth, commands: Commands, time: int = 0) -> None:
        """Append what brings the maker's orders to the recorded book. O(levels changed since the last time, by anyone).

        What shrinks goes first, so that the maker never meets itself on its way from one book to the next.
        """
        stale = self._changed() | self._grown
        for side, levels in enumerate(depth.levels):
            recorded = self.recorded[side]
            stale.update(((side, price), None) for price in levels)
            if depth.snapshot:
                stale.update(((side, price), None) for price in recorded)
                recorded.clear()
            for price, size in levels.items():
                if size:
                    recorded[price] = size
                else:
                    recorded.pop(price, None)
        growing: list[tuple[int, int, int, int]] = []
        for side, price in stale:
            own = next((order for order in self._book.queue(side, price) if order.account == self._maker), None)
            have, wanted = own.remaining if own else 0, self.recorded[side].get(price, 0)
            if own and wanted < have:
                commands.reduce(self._maker, own.order, have - wanted, time=time)
            elif wanted > have:
                growing.append((own.order if own else 0, side, price, wanted))
        # What meets another's order on its way in may be filled whole, and then its own level never changed.
        self._grown = {(side, price): None for _, side, price, _ in growing}
        for order, side, price, size in growing:
            if order:
                commands.replace(self._maker, order, price, size, time=time)
            else:
                commands.place(self._maker, self._book.index, side, price, size, time=time)

    def take(self, trade: RecordedTrade, commands: Commands, time: int = 0) -> None:
        """Append the trade's aggressor if the best price is the trade's, or a better one that only someone else has."""
        best = self._book.levels.best_bid if trade.side == Side.SELL else self._book.levels.best_ask
        if best is None:
            return
        price, _ = best
        better = price > trade.price if trade.side == Side.SELL else price < trade.price
        if price == trade.price or (better and price not in self.recorded[1 - trade.side]):
            commands.place(self._taker, self._book.index, trade.side, price, trade.size, time_in_force=TimeInForce.IOC, time=time)

    def _changed(self) -> dict[tuple[int, int], None]:
        """The levels, by side and price, that changed since the last call; all where the maker has orders if that is forgotten."""
        changes = self._book.levels.changes_since(self._seen)
        self._seen = self._book.levels.seq
        if changes is not None:
            return {(side, price): None for side, flat in enumerate(changes) for price in flat[::2]}
        orders = [order for order in self._exchange.orders(self._maker) if order.instrument == self._book.index]
        levels = {(order.side, order.price): None for order in orders}
        return levels | {(side, price): None for side, recorded in enumerate(self.recorded) for price in recorded}


def replay(path: Path, progress: Progress = silent) -> ReplayReport:
    """Run a recording of the streams of one symbol. The engine's book has to be the recorded one after every `depthUpdate`,
    and its best bid and ask those of the `bookTicker` with the same update id. ValueError if the recording has a gap.
    """
    lines = read(path).splitlines()
    stage = Stage(BTC_USDT, DECIMALS, accounts=2)
    flow = RecordedFlow(stage.exchange, stage.book, maker=0, taker=1)
    commands = Commands()
    bests: dict[int, Best] = {}
    books = equal_books = compared = equal_bests = trades = 0

    def counted() -> Iterator[bytes]:
        for index, line in enumerate(lines):
            if not index % 256:
                progress(index, len(lines))
            yield line

    for _, entry in entries(counted()):
        match entry:
            case Best():
                bests[entry.update] = entry
            case RecordedTrade():
                flow.take(entry, commands)
                stage.run(commands)
                trades += len(stage.exchange.events.select(1 << EventKind.TRADE))
            case Depth():
                flow.follow(entry, commands)
                stage.run(commands)
                books += 1
                equal_books += levels_of(stage.book) == flow.recorded
                best = bests.get(entry.update)
                bests.clear()
                if best:
                    compared += 1
                    equal_bests += (stage.book.levels.best_bid, stage.book.levels.best_ask) == (best.bid, best.ask)
    checks = Check("books after each update", books, equal_books, books), Check("best bids and asks", compared, equal_bests, compared)
    return stage.report("binance", trades, checks)


def levels_of(book: OrderBook) -> Levels:
    """All levels of a book: the bids and the asks, sizes in lots by prices in ticks. O(levels)."""
    bids, asks = book.levels.depth()
    return dict(zip(bids[::2], bids[1::2], strict=True)), dict(zip(asks[::2], asks[1::2], strict=True))
