"""What is told besides books: trades, tickers, and the instruments."""

from msgspec.json import encode

from stream.dialects.kraken.instruments import assets, pairs
from stream.dialects.kraken.symbols import Symbol, instant, number
from stream.dialects.market_data import MarketData
from stream.dialects.statistics import Statistics
from stream.dialects.topic import Class, Event, EveryTrade, State
from stream.feed.candles import DAY, window_of
from stream.wire.frames import Trade

TRADES_SHOWN = 50
"""How many of the latest trades a snapshot has."""


def message(channel: str, kind: str, data: object) -> Event:
    """A message of a channel."""
    return Event(lambda _: encode({"channel": channel, "type": kind, "data": data}))


class Trades(EveryTrade[Symbol]):
    """`trade`: every trade."""

    def _said(self, trades: list[Trade], now: int) -> list[Event]:
        return [message("trade", "update", self._fields(trades))] if trades else []

    def _fields(self, trades: list[Trade]) -> list[dict[str, object]]:
        symbol = self.symbol
        return [
            {
                "symbol": symbol.name, "side": each.side, "price": number(symbol.price.text(each.price)), "qty": number(symbol.size.text(each.size)),
                "ord_type": "limit", "trade_id": each.seq, "timestamp": instant(each.time),
            }
            for each in trades
        ]

    def snapshot(self, now: int) -> Event:
        """The latest trades that have been told."""
        latest = self.data.trades(self.symbol).latest(TRADES_SHOWN)
        return message("trade", "snapshot", self._fields([each for each in latest if each.seq <= self.position]))


class Ticker(State[Symbol]):
    """`ticker`: the best prices and the statistics of a day, told with each trade, or with each change of the best prices."""

    often = Class.INSTANT

    def __init__(self, data: MarketData[Symbol], name: str, symbol: Symbol, trigger: str) -> None:
        super().__init__(data, name)
        self.symbol = symbol
        self.trigger = trigger

    def now_true(self, now: int) -> object:
        return self.data.trades(self.symbol).seq if self.trigger == "trades" else self.data.best(self.symbol)[1:]

    def told(self, now: int) -> list[Event]:
        return [self._message("update", now)]

    def snapshot(self, now: int) -> Event:
        """The present state."""
        return self._message("snapshot", now)

    def _message(self, kind: str, now: int) -> Event:
        symbol = self.symbol
        _, bid, ask = self.data.best(symbol)
        day = Statistics(self.data, symbol, window_of(DAY, now), now)
        price, size = symbol.price.text, symbol.size.text
        said = {
            "bid": price(bid[0]), "bid_qty": size(bid[1]), "ask": price(ask[0]), "ask_qty": size(ask[1]), "last": day.close, "volume": day.size,
            "vwap": day.average, "low": day.low, "high": day.high, "change": day.change, "change_pct": day.percent,
        }
        told = {"symbol": symbol.name, **{name: number(text) for name, text in said.items()}, "timestamp": instant(now)}
        return message("ticker", kind, [told])


class Instruments(State[Symbol]):
    """`instrument`: all assets and pairs, again whenever terms have changed."""

    often = Class.INSTANT

    def now_true(self, now: int) -> object:
        return [symbol.terms for symbol in self.data.symbols.all]

    def told(self, now: int) -> list[Event]:
        return [self._message("update")]

    def snapshot(self, now: int) -> Event:
        """The present state."""
        return self._message("snapshot")

    def _message(self, kind: str) -> Event:
        symbols = self.data.symbols.all
        return message("instrument", kind, {"assets": assets(symbols), "pairs": pairs(symbols)})


