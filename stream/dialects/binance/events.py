"""What streams say, as the venue writes it. Times are in ns until they are written."""

from collections.abc import Callable, Iterator

from stream.dialects.binance.request import encode, stamp
from stream.dialects.binance.symbols import MarketData, Symbol
from stream.dialects.statistics import NO_TRADE, Statistics, average
from stream.dialects.topic import Event, Form
from stream.feed.candles import MINUTE, Candle, end_of, window_of
from stream.wire.frames import Trade

Fields = dict[str, object]
Make = Callable[[bool], object]
"""Makes what is said, with times in microseconds or not."""


def event(stream: str, make: Make) -> Event:
    """An event of a stream. Its form: whether the stream's name is around it, and whether times are in microseconds."""

    def write(form: Form) -> bytes:
        combined, micro = form
        payload = encode(make(micro))
        return b'{"stream":"%b","data":%b}' % (stream.encode(), payload) if combined else payload

    return Event(write)


def end_stamp(end: int, micro: bool) -> int:
    """The last instant before a time, as the venue tells the end of a candle."""
    return stamp(end, micro) - 1


def depth_update(symbol: Symbol, prev: int, seq: int, bids: list[int], asks: list[int], now: int) -> Make:
    """The levels that changed after `prev`."""
    b, a = symbol.levels(bids), symbol.levels(asks)
    return lambda micro: {"e": "depthUpdate", "E": stamp(now, micro), "s": symbol.name, "U": prev + 1, "u": seq, "b": b, "a": a}


def partial_depth(symbol: Symbol, seq: int, bids: list[int], asks: list[int]) -> Make:
    """The best levels."""
    said = {"lastUpdateId": seq, "bids": symbol.levels(bids), "asks": symbol.levels(asks)}
    return lambda micro: said


def trade(symbol: Symbol, each: Trade, now: int) -> Make:
    """A trade."""
    return lambda micro: {
        "e": "trade", "E": stamp(now, micro), "s": symbol.name, "t": each.seq, "p": symbol.price.text(each.price), "q": symbol.size.text(each.size),
        "T": stamp(each.time, micro), "m": each.side == "sell", "M": True,
    }


class Aggregate:
    """Trades of one instant at one price with takers of one side, one after the other. Its id is that of its first trade."""

    __slots__ = ("first", "last", "price", "side", "size", "time")

    def __init__(self, first: Trade) -> None:
        self.first = self.last = first.seq
        self.price, self.side, self.time = first.price, first.side, first.time
        self.size = first.size

    def takes(self, each: Trade) -> bool:
        """Take in the next trade if it belongs to this one; whether it does."""
        if (each.price, each.side, each.time) != (self.price, self.side, self.time):
            return False
        self.size += each.size
        self.last = each.seq
        return True


def aggregated(trades: list[Trade]) -> Iterator[Aggregate]:
    """Trades in order, aggregated."""
    current: Aggregate | None = None
    for each in trades:
        if current is None or not current.takes(each):
            if current:
                yield current
            current = Aggregate(each)
    if current:
        yield current


def aggregate_fields(symbol: Symbol, each: Aggregate, micro: bool) -> Fields:
    """An aggregate as REST and streams both write it."""
    return {
        "a": each.first, "p": symbol.price.text(each.price), "q": symbol.size.text(each.size), "f": each.first, "l": each.last,
        "T": stamp(each.time, micro), "m": each.side == "sell", "M": True,
    }


def aggregate_trade(symbol: Symbol, each: Aggregate, now: int) -> Make:
    """An aggregate."""
    return lambda micro: {"e": "aggTrade", "E": stamp(now, micro), "s": symbol.name, **aggregate_fields(symbol, each, micro)}


def book_ticker(symbol: Symbol, seq: int, bid: tuple[int, int], ask: tuple[int, int]) -> Make:
    """The best bid and ask."""
    price, size = symbol.price.text, symbol.size.text
    said = {"u": seq, "s": symbol.name, "b": price(bid[0]), "B": size(bid[1]), "a": price(ask[0]), "A": size(ask[1])}
    return lambda micro: said


def kline(symbol: Symbol, interval: str, candle: Candle, now: int, closed: bool) -> Make:
    """A candle."""
    price, size, money = symbol.price.text, symbol.size.text, symbol.money.text
    return lambda micro: {
        "e": "kline", "E": stamp(now, micro), "s": symbol.name, "k": {
            "t": stamp(candle.start, micro), "T": end_stamp(end_of(interval, candle.start), micro), "s": symbol.name, "i": interval,
            "f": candle.first if candle.trades else NO_TRADE, "L": candle.last if candle.trades else NO_TRADE,
            "o": price(candle.open), "c": price(candle.close), "h": price(candle.high), "l": price(candle.low),
            "v": size(candle.size), "n": candle.trades, "x": closed, "q": money(candle.value),
            "V": size(candle.bought), "Q": money(candle.bought_value), "B": "0",
        },
    }


def mini_ticker(data: MarketData, symbol: Symbol, length: int, now: int, micro: bool) -> Fields:
    """The short statistics of a stream."""
    found = Statistics(data, symbol, window_of(length, now), now)
    return {
        "e": "24hrMiniTicker", "E": stamp(now, micro), "s": symbol.name, "c": found.close, "o": found.open, "h": found.high, "l": found.low,
        "v": found.size, "q": found.value,
    }


def full_ticker(data: MarketData, symbol: Symbol, length: int, now: int, micro: bool) -> Fields:
    """The 24-hour statistics of a stream."""
    found = Statistics(data, symbol, window_of(length, now), now)
    _, bid, ask = data.best(symbol)
    price, size = symbol.price.text, symbol.size.text
    return {
        "e": "24hrTicker", "E": stamp(now, micro), "s": symbol.name, "p": found.change, "P": found.percent, "w": found.average, "x": found.before,
        "c": found.close, "Q": found.last_size, "b": price(bid[0]), "B": size(bid[1]), "a": price(ask[0]), "A": size(ask[1]),
        "o": found.open, "h": found.high, "l": found.low, "v": found.size, "q": found.value,
        "O": stamp(found.open_time, micro), "C": stamp(found.close_time, micro), "F": found.first, "L": found.last, "n": found.trades,
    }


def window_ticker(data: MarketData, symbol: Symbol, window: str, length: int, now: int, micro: bool) -> Fields:
    """The statistics of another window."""
    found = Statistics(data, symbol, window_of(length, now), now)
    return {
        "e": f"{window}Ticker", "E": stamp(now, micro), "s": symbol.name, "p": found.change, "P": found.percent, "o": found.open, "h": found.high,
        "l": found.low, "c": found.close, "w": found.average, "v": found.size, "q": found.value,
        "O": stamp(found.open_time, micro), "C": stamp(found.close_time, micro), "F": found.first, "L": found.last, "n": found.trades,
    }


AVERAGE_MINUTES = 5


def average_price(data: MarketData, symbol: Symbol, now: int) -> tuple[str, int]:
    """The average price of the last five minutes, or the last price if there was no trade; and when the last trade was."""
    candles = data.candles(symbol)
    found = candles.since(window_of(AVERAGE_MINUTES * MINUTE, now))
    last = data.last_trade(symbol)
    if found:
        return average(symbol, found.value, found.size), last.time if last else found.start
    return symbol.price.text(candles.last.close if candles.last else 0), last.time if last else now
