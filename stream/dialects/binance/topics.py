"""What one stream says and to whom. Each event is made once for all listeners that are in step.

A listener whose socket is full gets nothing. Its topic remembers only how far it was brought, and says what it missed when it can take it: the changes of a
book merged into one, every trade that is still kept, and of everything else the present state.
"""

from abc import ABC, abstractmethod
from enum import IntEnum
from typing import Protocol

from stream.dialects.binance import events
from stream.dialects.binance.events import Event
from stream.dialects.binance.market_data import MarketData
from stream.dialects.binance.request import stamp
from stream.dialects.binance.symbols import Symbol
from stream.feed.candles import start_of
from stream.wire.frames import Trade

LATE_CANDLES_MAX = 60
"""The most candles that are told as over at once, if a server was busy for so long."""


class Class(IntEnum):
    """How often a topic says something, if there is something to say."""

    INSTANT = 0    # at each tick
    FAST = 1       # every 100 ms
    SLOW = 2       # every second


class Listener(Protocol):
    """Who listens. It is `ready` while its socket takes what is sent."""

    ready: bool

    def send(self, events: list[Event]) -> None:
        """Send events with the next write."""
        ...

    def fall_behind(self, topic: "Topic") -> None:
        """Note that it has to be told by a topic what it missed."""
        ...

    def lose(self) -> None:
        """It has missed what is forgotten, and what cannot be told by a state."""
        ...


class Topic(ABC):
    """One stream. `position` is how far it has told, and `listeners` are those who listen, each with how far it was brought."""

    often = Class.SLOW

    def __init__(self, data: MarketData, name: str) -> None:
        self.data = data
        self.name = name
        self.position = 0
        self.listeners: dict[Listener, int] = {}

    @abstractmethod
    def begin(self, now: int) -> None:
        """Somebody listens from now on: what has happened before is not told."""

    def end(self) -> None:    # noqa: B027
        """Nobody listens any more."""

    @abstractmethod
    def news(self, now: int) -> list[Event]:
        """What has happened since it told last. Moves `position` if there is anything."""

    @abstractmethod
    def missed(self, position: int, now: int) -> list[Event] | None:
        """What brings a listener from a position to the present one; None if that is forgotten."""

    def event(self, make: events.Make) -> Event:
        """An event of this stream."""
        return Event(self.name, make)

    def publish(self, now: int) -> None:
        """Tell all listeners what has happened."""
        before = self.position
        said = self.news(now)
        if not said:
            return
        missed: dict[int, list[Event] | None] = {before: said}
        for listener, position in list(self.listeners.items()):
            if not listener.ready:
                listener.fall_behind(self)
                continue
            if position not in missed:
                missed[position] = self.missed(position, now)
            self._tell(listener, missed[position])

    def catch_up(self, listener: Listener, now: int) -> None:
        """Tell one listener what it missed, now or with what is published next."""
        position = self.listeners.get(listener, self.position)
        if position != self.position and self.settled:
            self._tell(listener, self.missed(position, now))

    def _tell(self, listener: Listener, said: list[Event] | None) -> None:
        if said is None:
            listener.lose()
        else:
            listener.send(said)
            self.listeners[listener] = self.position

    @property
    def settled(self) -> bool:
        """Whether `missed` leads to just what was published last, and not further."""
        return True


class Depth(Topic):
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
        return [self.event(events.depth_update(self.symbol, position, self.position, *changes, now))] if changes else []


class PartialDepth(Depth):
    """The best levels of a book."""

    def __init__(self, data: MarketData, name: str, symbol: Symbol, depth: int, fast: bool) -> None:
        super().__init__(data, name, symbol, fast)
        self.depth = depth

    def missed(self, position: int, now: int) -> list[Event]:
        return [self.event(events.partial_depth(self.symbol, self.position, *self.book.levels.depth(self.depth)))]


class Trades(Topic):
    """Every trade. Its position is the sequence of the last one."""

    often = Class.INSTANT

    def __init__(self, data: MarketData, name: str, symbol: Symbol) -> None:
        super().__init__(data, name)
        self.symbol = symbol

    def begin(self, now: int) -> None:
        self.position = self.data.trades(self.symbol).seq

    def news(self, now: int) -> list[Event]:
        seq = self.data.trades(self.symbol).seq
        if seq <= self.position:
            return []
        said = self.missed(self.position, now)
        if said is None:    # more at once than are kept
            for listener in list(self.listeners):
                listener.lose()
        self.position = seq
        return said or []

    def missed(self, position: int, now: int) -> list[Event] | None:
        trades = self.data.trades(self.symbol).after(position)
        return None if trades is None else self._said(trades, now)

    def _said(self, trades: list[Trade], now: int) -> list[Event]:
        return [self.event(events.trade(self.symbol, each, now)) for each in trades]


class AggregateTrades(Trades):
    """Every trade, aggregated."""

    def _said(self, trades: list[Trade], now: int) -> list[Event]:
        return [self.event(events.aggregate_trade(self.symbol, each, now)) for each in events.aggregated(trades)]


class State(Topic):
    """A topic whose last event is all that there is to know. Its position counts its events."""

    def begin(self, now: int) -> None:
        self.position = 1
        self.last = self.now_true(now)

    @abstractmethod
    def now_true(self, now: int) -> object:
        """What is compared to find out whether anything has happened."""

    @abstractmethod
    def told(self, now: int) -> list[Event]:
        """The state."""

    def news(self, now: int) -> list[Event]:
        true = self.now_true(now)
        if true == self.last:
            return []
        self.last = true
        self.position += 1
        return self.told(now)

    def missed(self, position: int, now: int) -> list[Event]:
        return self.told(now)


class OfSymbol(State):
    """The state of one symbol."""

    def __init__(self, data: MarketData, name: str, symbol: Symbol) -> None:
        super().__init__(data, name)
        self.symbol = symbol

    @abstractmethod
    def make(self, now: int) -> events.Make:
        """What it says."""

    def told(self, now: int) -> list[Event]:
        return [self.event(self.make(now))]


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


class ArrayOf(State):
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
            return [self.event(part.make(now)) for part in parts]
        makes = [part.make(now) for part in parts]
        return [self.event(lambda micro: [make(micro) for make in makes])] if makes else []


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
            over = [self.event(events.kline(self.symbol, self.interval, candle, now, closed=True)) for candle in candles]
            self._start = start
            self.position += bool(over)
        return over + super().news(now)

    def told(self, now: int) -> list[Event]:
        return super().told(now) if self.data.candles(self.symbol).last else []
