"""The public requests: what each one takes and answers."""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from stream.dialects.binance import events
from stream.dialects.binance.errors import (
    BAD_COMBINATION,
    BAD_INTERVAL,
    BAD_PARAMETER,
    BAD_SYMBOL,
    EITHER_PARAMETER,
    ILLEGAL_CHARACTERS,
    ApiError,
)
from stream.dialects.binance.exchange_info import description, rate_limits
from stream.dialects.binance.request import SYMBOL, Parameters, stamp
from stream.dialects.binance.symbols import PLACES, MarketData, Symbol
from stream.dialects.statistics import Statistics
from stream.feed.candles import DAY, HOUR, INTERVALS, MINUTE, Candle, end_of, start_of, window_of
from stream.settings.config import Config
from stream.wire.frames import Trade
from stream.wire.scale import ratio

MILLISECOND = 10**6
SYMBOLS = r"^\[\"[A-Z0-9-_.]{1,20}\"(,\"[A-Z0-9-_.]{1,20}\"){0,}\]$"
WINDOW = re.compile(r"([0-9]{1,3})([mhd])")
WINDOWS = {"m": (MINUTE, 59), "h": (HOUR, 23), "d": (DAY, 7)}
INTERVAL_LEGAL = "^[0-9]{1,2}[smhdwM]$"
SYMBOLS_MAX = 100


class Asked(NamedTuple):
    """One request: its parameters, the time in ns, and whether times are to be in microseconds."""

    data: MarketData
    parameters: Parameters
    now: int
    micro: bool
    config: Config

    @property
    def symbol(self) -> Symbol:
        """The symbol that must be named."""
        return self._named(self.parameters.mandatory("symbol", SYMBOL))

    @property
    def optional_symbol(self) -> Symbol | None:
        """The symbol, if one is named."""
        name = self.parameters.optional("symbol", SYMBOL)
        return None if name is None else self._named(name)

    def _named(self, name: str) -> Symbol:
        try:
            return self.data.symbols.named[name]
        except KeyError:
            raise ApiError(BAD_SYMBOL) from None

    def symbols(self) -> tuple[list[Symbol], bool]:
        """The symbols that may be named, by `symbol` or `symbols`, otherwise all; and whether it is only one, whose answer is no list."""
        one, several = self.parameters.optional("symbol", SYMBOL), self.parameters.optional("symbols", SYMBOLS)
        if one and several:
            raise ApiError(BAD_COMBINATION)
        if one:
            return [self._named(one)], True
        if not several:
            return self.data.symbols.all, False
        names = msgspec.json.decode(several, type=list[str])
        if len(names) > SYMBOLS_MAX or len(set(names)) < len(names):
            raise ApiError(BAD_PARAMETER, "symbols")
        return [self._named(name) for name in names], False

    def limit(self, default: int, most: int) -> int:
        """How many are wanted; of more than there may be, as many as there may."""
        limit = self.parameters.number("limit")
        if limit == 0:
            raise ApiError(BAD_PARAMETER, "limit")
        return default if limit is None else min(limit, most)

    def time(self, name: str) -> int | None:
        """A time of a parameter, in ns."""
        time = self.parameters.number(name)
        if time is None:
            return None
        scale = 1000 if time >= 10**15 else MILLISECOND    # the venue takes microseconds anywhere, too
        return min(time * scale, (1 << 62))

    def stamp(self, time: int) -> int:
        """A time in ns as it is answered."""
        return stamp(time, self.micro)


def ping(asked: Asked) -> object:
    return {}


def time(asked: Asked) -> object:
    return {"serverTime": asked.stamp(asked.now)}


def exchange_info(asked: Asked) -> object:
    symbols, _ = asked.symbols()
    asked.parameters.optional("permissions")
    shown = asked.parameters.optional("showPermissionSets", "^(true|false)$") != "false"
    status = asked.parameters.optional("symbolStatus", "^(TRADING|HALT|BREAK)$")
    found = [description(symbol, asked.config.self_trade, shown) for symbol in symbols]
    return {
        "timezone": "UTC", "serverTime": asked.stamp(asked.now), "rateLimits": rate_limits(asked.config), "exchangeFilters": [],
        "symbols": [each for each in found if status in (None, each["status"])],
    }


DEPTH_MAX = 5000


def depth(asked: Asked) -> object:
    symbol, limit = asked.symbol, asked.limit(100, DEPTH_MAX)
    asked.parameters.optional("symbolStatus", "^(TRADING|HALT|BREAK)$")
    book = asked.data.book(symbol)
    bids, asks = book.levels.depth(limit)
    return {"lastUpdateId": book.seq, "bids": symbol.levels(bids), "asks": symbol.levels(asks)}


def depth_weight(parameters: Parameters) -> int:
    limit = _number(parameters, "limit") or 100
    return 5 if limit <= 100 else 25 if limit <= 500 else 50 if limit <= 1000 else 250


def _number(parameters: Parameters, name: str) -> int:
    try:
        return parameters.number(name) or 0
    except ApiError:
        return 0


def _trade(symbol: Symbol, each: Trade, asked: Asked) -> dict[str, object]:
    value, one = symbol.price.fraction(each.price)
    size, size_one = symbol.size.fraction(each.size)
    return {
        "id": each.seq, "price": symbol.price.text(each.price), "qty": symbol.size.text(each.size), "quoteQty": ratio(value * size, one * size_one, PLACES),
        "time": asked.stamp(each.time), "isBuyerMaker": each.side == "sell", "isBestMatch": True,
    }


TRADES_MAX = 1000


def trades(asked: Asked) -> object:
    symbol = asked.symbol
    return [_trade(symbol, each, asked) for each in asked.data.trades(symbol).latest(asked.limit(500, TRADES_MAX))]


def historical_trades(asked: Asked) -> object:
    symbol, limit, first = asked.symbol, asked.limit(500, TRADES_MAX), asked.parameters.number("fromId")
    kept = asked.data.trades(symbol).latest(TRADES_MAX_KEPT)
    found = kept[-limit:] if first is None else [each for each in kept if each.seq >= first][:limit]
    return [_trade(symbol, each, asked) for each in found]


TRADES_MAX_KEPT = 1 << 40
"""All that are kept."""


def aggregate_trades(asked: Asked) -> object:
    symbol, limit = asked.symbol, asked.limit(500, TRADES_MAX)
    first, begin, end = asked.parameters.number("fromId"), asked.time("startTime"), asked.time("endTime")
    if begin is not None and end is not None and begin > end:
        raise ApiError(BAD_COMBINATION)
    if first is not None and (begin is not None or end is not None):
        raise ApiError(BAD_COMBINATION)
    found = list(events.aggregated(asked.data.trades(symbol).latest(TRADES_MAX_KEPT)))
    if first is None and begin is None and end is None:
        found = found[-limit:]
    elif first is not None:
        found = [each for each in found if each.first >= first][:limit]
    else:
        found = [each for each in found if (begin or 0) <= each.time // MILLISECOND * MILLISECOND <= (asked.now if end is None else end)]
        found = found[:limit] if begin is not None else found[-limit:]
    return [events.aggregate_fields(symbol, each, asked.micro) for each in found]


def klines(asked: Asked) -> object:
    symbol = asked.symbol
    interval = asked.parameters.mandatory("interval")
    if interval not in INTERVALS:
        raise ApiError(BAD_INTERVAL)
    begin, end, limit = asked.time("startTime"), asked.time("endTime"), asked.limit(500, TRADES_MAX)
    if asked.parameters.optional("timeZone") not in (None, "0", "0:00", "00:00", "+00:00"):
        raise ApiError(BAD_PARAMETER, "timeZone")
    last = asked.now if end is None else min(end, asked.now)
    if begin is not None and begin > last:
        return []
    return [_kline(symbol, interval, candle, asked) for candle in asked.data.candles(symbol).series(interval, begin, last, limit)]


def _kline(symbol: Symbol, interval: str, candle: Candle, asked: Asked) -> list[object]:
    price, size, money = symbol.price.text, symbol.size.text, symbol.money.text
    return [
        asked.stamp(candle.start), price(candle.open), price(candle.high), price(candle.low), price(candle.close), size(candle.size),
        events.end_stamp(end_of(interval, candle.start), asked.micro), money(candle.value), candle.trades, size(candle.bought), money(candle.bought_value), "0",
    ]


def average_price(asked: Asked) -> object:
    price, time = events.average_price(asked.data, asked.symbol, asked.now)
    return {"mins": events.AVERAGE_MINUTES, "price": price, "closeTime": asked.stamp(time)}


def _statistics(asked: Asked, symbol: Symbol, begin: int, kind: str, day: bool) -> dict[str, object]:
    """Statistics in the form `FULL` or `MINI`; those of a day have the best prices too."""
    found = Statistics(asked.data, symbol, begin, asked.now)
    times: dict[str, object] = {
        "openTime": asked.stamp(found.open_time), "closeTime": asked.stamp(found.close_time),
        "firstId": found.first, "lastId": found.last, "count": found.trades,
    }
    if kind == "MINI":
        return {
            "symbol": symbol.name, "openPrice": found.open, "highPrice": found.high, "lowPrice": found.low, "lastPrice": found.close,
            "volume": found.size, "quoteVolume": found.value, **times,
        }
    told: dict[str, object] = {
        "symbol": symbol.name, "priceChange": found.change, "priceChangePercent": found.percent, "weightedAvgPrice": found.average,
    }
    if day:
        _, bid, ask = asked.data.best(symbol)
        price, size = symbol.price.text, symbol.size.text
        told |= {
            "prevClosePrice": found.before, "lastPrice": found.close, "lastQty": found.last_size, "bidPrice": price(bid[0]), "bidQty": size(bid[1]),
            "askPrice": price(ask[0]), "askQty": size(ask[1]),
        }
    told |= {"openPrice": found.open, "highPrice": found.high, "lowPrice": found.low} | ({} if day else {"lastPrice": found.close})
    return told | {"volume": found.size, "quoteVolume": found.value} | times


def _kind(asked: Asked) -> str:
    kind = asked.parameters.optional("type")
    if kind not in (None, "FULL", "MINI"):
        raise ApiError(BAD_PARAMETER, "type")
    return kind or "FULL"


def _each(asked: Asked, answer: Callable[[Symbol], object]) -> object:
    symbols, one = asked.symbols()
    asked.parameters.optional("symbolStatus", "^(TRADING|HALT|BREAK)$")
    found = [answer(symbol) for symbol in symbols]
    return found[0] if one else found


def ticker_24hr(asked: Asked) -> object:
    kind = _kind(asked)
    return _each(asked, lambda symbol: _statistics(asked, symbol, window_of(DAY, asked.now), kind, day=True))


def _named(asked: Asked) -> None:
    """At least one symbol has to be named."""
    if asked.parameters.optional("symbol") is None and asked.parameters.optional("symbols") is None:
        raise ApiError(EITHER_PARAMETER, "symbol", "symbols")


def trading_day(asked: Asked) -> object:
    _named(asked)
    kind = _kind(asked)
    if asked.parameters.optional("timeZone") not in (None, "0", "0:00", "00:00", "+00:00"):
        raise ApiError(BAD_PARAMETER, "timeZone")
    midnight = start_of("1d", asked.now)
    return _each(asked, lambda symbol: _statistics(asked, symbol, midnight, kind, day=False))


def rolling_window(asked: Asked) -> object:
    _named(asked)
    kind, text = _kind(asked), asked.parameters.optional("windowSize") or "1d"
    found = WINDOW.fullmatch(text)
    if not found:
        raise ApiError(ILLEGAL_CHARACTERS, "windowSize", "^[0-9]{1,3}[mhd]$")
    unit, most = WINDOWS[found[2]]
    if not 1 <= int(found[1]) <= most:
        raise ApiError(BAD_PARAMETER, "windowSize")
    begin = window_of(int(found[1]) * unit, asked.now)
    return _each(asked, lambda symbol: _statistics(asked, symbol, begin, kind, day=False))


def ticker_price(asked: Asked) -> object:
    def answer(symbol: Symbol) -> object:
        last = asked.data.candles(symbol).last
        return {"symbol": symbol.name, "price": symbol.price.text(last.close if last else 0)}

    return _each(asked, answer)


def book_ticker(asked: Asked) -> object:
    def answer(symbol: Symbol) -> object:
        _, bid, ask = asked.data.best(symbol)
        price, size = symbol.price.text, symbol.size.text
        return {"symbol": symbol.name, "bidPrice": price(bid[0]), "bidQty": size(bid[1]), "askPrice": price(ask[0]), "askQty": size(ask[1])}

    return _each(asked, answer)


def by_symbols(one: int, steps: Iterable[tuple[int, int]], all: int) -> Callable[[Parameters], int]:
    """A weight that grows with the number of symbols that are named: `steps` are of several, `all` of all of them."""

    def weight(parameters: Parameters) -> int:
        try:
            if parameters.optional("symbol"):
                return one
            several = parameters.optional("symbols")
        except ApiError:
            return one
        named = several.count(",") + 1 if several else SYMBOLS_MAX + 1
        return next((weight for most, weight in steps if named <= most), all)

    return weight


def per_symbol(each: int, most: int) -> Callable[[Parameters], int]:
    """A weight for each symbol that is named."""

    def weight(parameters: Parameters) -> int:
        try:
            several = parameters.optional("symbols")
        except ApiError:
            return each
        return min(most, each * (several.count(",") + 1 if several else 1))

    return weight


def always(weight: int) -> Callable[[Parameters], int]:
    """The same weight whatever is asked."""
    return lambda parameters: weight
