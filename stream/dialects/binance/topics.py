"""What each stream says."""

from abc import abstractmethod

from stream.dialects.binance import events
from stream.dialects.binance.events import event
from stream.dialects.binance.request import stamp
from stream.dialects.binance.symbols import MarketData, Symbol
from stream.dialects.topic import Class, Event, EveryTrade, State, Topic
from stream.feed.candles import start_of
from stream.wire.frames import Trade

LATE_CANDLES_MAX = 60
"""The most candles that are told as over at once, if a server was busy for so long."""


class Depth(Topic[Symbol]):
    """The changes of a book. Its position is the sequence of the book."""

    def __init__(self, data: MarketData, name: str, symbol: Symbol, fast: bool) -> None:
        super().__init__(data, name)
        self.symbol = symbol
        self.often = Class.FAST if fast else Class.SLOW

    def begin(self, now: int) -> None:
        self.book = self.data.follow(self.symbol)
        self.position = self.book.seq

    def end(self) -> None:
        self.data.unfollow(self.symbol)

    @property
    def settled(self) -> bool:
        return self.book.seq == self.position

    def news(self, now: int) -> list[Event]:
        prev, self.position = self.position, self.book.seq
        return self.missed(prev, now) if self.position > prev else []

    def missed(self, position: int, now: int) -> list[Event]:
        """One event. If the changes are forgotten there is none, and the next one does not go on where the listener is: it asks for the book again."""
        changes = self.book.since(position)
        return [event(self.name, events.depth_update(self.symbol, position, self.position, *changes, now))] if changes else []


class PartialDepth(Depth):
    """The best levels of a book."""

    def __init__(self, data: MarketData, name: str, symbol: Symbol, depth: int, fast: bool) -> None:
        super().__init__(data, name, symbol, fast)
        self.depth = depth

    def missed(self, position: int, now: int) -> list[Event]:
        return [event(self.name, events.partial_depth(self.symbol, self.position, *self.book.levels.depth(self.depth)))]


class Trades(EveryTrade[Symbol]):
    """Every trade."""

    def _said(self, trades: list[Trade], now: int) -> list[Event]:
        return [event(self.name, events.trade(self.symbol, each, now)) for each in trades]


class AggregateTrades(Trades):
    """Every trade, aggregated."""

    def _said(self, trades: list[Trade], now: int) -> list[Event]:
        return [event(self.name, events.aggregate_trade(self.symbol, each, now)) for each in events.aggregated(trades)]


class OfSymbol(State[Symbol]):
    """The state of one symbol."""

    def __init__(self, data: MarketData, name: str, symbol: Symbol) -> None:
        super().__init__(data, name)
        self.symbol = symbol

    @abstractmethod
    def make(self, now: int) -> events.Make:
        """What it says."""

    def told(self, now: int) -> list[Event]:
        return [event(self.name, self.make(now))]


class BookTicker(OfSymbol):
    """The best bid and ask."""

    often = Class.INSTANT

    def now_true(self, now: int) -> object:
        return self.data.best(self.symbol)[1:]

    def make(self, now: int) -> events.Make:
        return events.book_ticker(self.symbol, *self.data.best(self.symbol))


class AveragePrice(OfSymbol):
    """The average price of the last minutes."""

    def now_true(self, now: int) -> object:
        return events.average_price(self.data, self.symbol, now)

    def make(self, now: int) -> events.Make:
        price, time = events.average_price(self.data, self.symbol, now)
        minutes = f"{events.AVERAGE_MINUTES}m"
        return lambda micro: {"e": "avgPrice", "E": stamp(now, micro), "s": self.symbol.name, "i": minutes, "w": price, "T": stamp(time, micro)}


class Ticker(OfSymbol):
    """The statistics of a window: `full` and `mini` are of a day, anything else is the window's name."""

    def __init__(self, data: MarketData, name: str, symbol: Symbol, kind: str, length: int) -> None:
        super().__init__(data, name, symbol)
        self.kind = kind
        self.length = length

    def now_true(self, now: int) -> object:
        best = () if self.kind == "mini" else self.data.best(self.symbol)[1:]
        return self.data.trades(self.symbol).seq, best, now // (60 * 10**9)    # trades leave the window by the minute

    def make(self, now: int) -> events.Make:
        data, symbol, length = self.data, self.symbol, self.length
        if self.kind == "full":
            return lambda micro: events.full_ticker(data, symbol, length, now, micro)
        if self.kind == "mini":
            return lambda micro: events.mini_ticker(data, symbol, length, now, micro)
        return lambda micro: events.window_ticker(data, symbol, self.kind, length, now, micro)


class ArrayOf(State[Symbol]):
    """A state of all symbols: an array of the tickers that have changed, or an event for each best bid and ask that has."""

    def __init__(self, data: MarketData, name: str, kind: type[Ticker] | type[BookTicker], *of: object) -> None:
        super().__init__(data, name)
        self._kind = kind
        self._of = of
        self._parts: dict[str, OfSymbol] = {}
        self.often = kind.often

    def _current(self, now: int) -> list[OfSymbol]:
        for symbol in self.data.symbols.all:
            if symbol.name not in self._parts:
                part = self._parts[symbol.name] = self._kind(self.data, self.name, symbol, *self._of)    # type: ignore[arg-type]
                part.begin(now)
        return list(self._parts.values())

    def now_true(self, now: int) -> object:
        return [part.now_true(now) for part in self._current(now)]

    def told(self, now: int) -> list[Event]:
        return self._say(self._current(now), now)

    def news(self, now: int) -> list[Event]:
        changed = [part for part in self._current(now) if part.news(now)]
        self.position += bool(changed)
        return self._say(changed, now)

    def _say(self, parts: list[OfSymbol], now: int) -> list[Event]:
        if self._kind is BookTicker:
            return [event(self.name, part.make(now)) for part in parts]
        makes = [part.make(now) for part in parts]
        return [event(self.name, lambda micro: [make(micro) for make in makes])] if makes else []


class Klines(OfSymbol):
    """The present candle of an interval, and the last word on each one that is over."""

    def __init__(self, data: MarketData, name: str, symbol: Symbol, interval: str) -> None:
        super().__init__(data, name, symbol)
        self.interval = interval

    def begin(self, now: int) -> None:
        super().begin(now)
        self._start = start_of(self.interval, now)

    def now_true(self, now: int) -> object:
        return self.data.trades(self.symbol).seq

    def make(self, now: int) -> events.Make:
        candle = self.data.candles(self.symbol).series(self.interval, None, now, 1)[-1]
        return events.kline(self.symbol, self.interval, candle, now, closed=False)

    def news(self, now: int) -> list[Event]:
        start = start_of(self.interval, now)
        over: list[Event] = []
        if start > self._start:
            candles = self.data.candles(self.symbol).series(self.interval, self._start, start - 1, LATE_CANDLES_MAX)
            over = [event(self.name, events.kline(self.symbol, self.interval, candle, now, closed=True)) for candle in candles]
            self._start = start
            self.position += bool(over)
        return over + super().news(now)

    def told(self, now: int) -> list[Event]:
        return super().told(now) if self.data.candles(self.symbol).last else []
