"""The names of streams, and the topics that they stand for."""

import re
from collections.abc import Callable

from stream.dialects.binance.symbols import MarketData, Symbol
from stream.dialects.binance.topics import (
    AggregateTrades,
    ArrayOf,
    AveragePrice,
    BookTicker,
    Depth,
    Klines,
    PartialDepth,
    Ticker,
    Trades,
)
from stream.dialects.topic import Topic
from stream.feed.candles import DAY, HOUR, INTERVALS

NAME = re.compile(r"([a-z0-9]+)@([A-Za-z]+)(_?[0-9]+[A-Za-z]*)?(?:@(1000ms|100ms))?", re.ASCII)
"""A symbol's stream: the symbol, what, of what, how often."""

WINDOWS = {"_1h": HOUR, "_4h": 4 * HOUR, "_1d": DAY}
PARTIAL = {"5": 5, "10": 10, "20": 20}
KLINES = {f"_{interval}": interval for interval in INTERVALS}

ARRAYS: dict[str, Callable[[MarketData, str], Topic[Symbol]]] = {
    "!ticker@arr": lambda data, name: ArrayOf(data, name, Ticker, "full", DAY),
    "!miniTicker@arr": lambda data, name: ArrayOf(data, name, Ticker, "mini", DAY),
    **{f"!ticker{window}@arr": lambda data, name, window=window, length=length: ArrayOf(data, name, Ticker, window[1:], length)    # type: ignore[misc]
       for window, length in WINDOWS.items()},
    "!bookTicker": lambda data, name: ArrayOf(data, name, BookTicker),
}


def topic_of(data: MarketData, name: str) -> Topic[Symbol] | None:
    """The topic of a stream, None if there is no stream of that name."""
    if name in ARRAYS:
        return ARRAYS[name](data, name)
    found = NAME.fullmatch(name)
    symbol = data.symbols.named.get(found[1].upper()) if found else None
    return _of_symbol(data, name, symbol, found[2], found[3] or "", found[4] or "") if found and symbol else None


def _of_symbol(data: MarketData, name: str, symbol: Symbol, what: str, of: str, often: str) -> Topic[Symbol] | None:
    match what:
        case "depth" if not of:
            return Depth(data, name, symbol, fast=often == "100ms")
        case "depth" if of in PARTIAL:
            return PartialDepth(data, name, symbol, PARTIAL[of], fast=often == "100ms")
    if often:
        return None
    match what:
        case "trade" if not of:
            return Trades(data, name, symbol)
        case "aggTrade" if not of:
            return AggregateTrades(data, name, symbol)
        case "bookTicker" if not of:
            return BookTicker(data, name, symbol)
        case "avgPrice" if not of:
            return AveragePrice(data, name, symbol)
        case "ticker" if not of:
            return Ticker(data, name, symbol, "full", DAY)
        case "miniTicker" if not of:
            return Ticker(data, name, symbol, "mini", DAY)
        case "ticker" if of in WINDOWS:
            return Ticker(data, name, symbol, of[1:], WINDOWS[of])
        case "kline" if of in KLINES:
            return Klines(data, name, symbol, KLINES[of])
    return None
