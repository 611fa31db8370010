"""What the trades of a window came to, and their average, as text."""

from typing import TypeVar

from stream.dialects.market_data import MarketData
from stream.dialects.symbols import Symbol
from stream.feed.candles import Candle
from stream.wire.scale import ratio

PLACES = 8
"""The decimals of an average."""

NO_TRADE = -1
"""The id of a trade where there is none."""

S = TypeVar("S", bound=Symbol)


class Statistics:
    """What the trades of a symbol since a time came to, as text."""

    def __init__(self, data: MarketData[S], symbol: S, begin: int, now: int) -> None:
        """Those from a whole minute on."""
        self.open_time = begin
        self.close_time = now
        self._fill(data, symbol)

    def _fill(self, data: MarketData[S], symbol: S) -> None:
        candles, price = data.candles(symbol), symbol.price.text
        total, last = candles.since(self.open_time), data.last_trade(symbol)
        latest = candles.last.close if candles.last else 0
        found = total or Candle(0, latest, latest, latest, latest, first=NO_TRADE, last=NO_TRADE)
        before = candles.before("1m", self.open_time)
        self.change, self.percent = price(found.close - found.open), ratio((found.close - found.open) * 100, found.open or 1, 3)
        self.average = average(symbol, found.value, found.size)
        self.open, self.high, self.low, self.close = map(price, (found.open, found.high, found.low, found.close))
        self.last_size, self.size, self.value = symbol.size.text(last.size if last else 0), symbol.size.text(found.size), symbol.money.text(found.value)
        self.before = price(before.close if before else found.open)
        self.first, self.last, self.trades = found.first, found.last, found.trades


def average(symbol: Symbol, value: int, size: int) -> str:
    """What was paid for one of the base asset on average, rounded."""
    value, value_one = symbol.money.fraction(value)
    size, size_one = symbol.size.fraction(size)
    return ratio(value * size_one, value_one * size, PLACES) if size else symbol.price.text(0)
