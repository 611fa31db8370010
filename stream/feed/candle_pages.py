"""Pages of candles as the wire has them."""

from stream.feed.candles import WIRE, Candle, Candles
from stream.feed.channel import Point
from stream.wire import candles as wire


def page_of(request: wire.ListCandles, candles: Candles, at: Point, now: int) -> wire.CandlePage:
    """What is answered to a request about an instrument with these candles. `now` is by the clock of its trades. O(log n + candles asked for)."""
    end = min(request.until - 1, now) if request.until else now
    found = candles.series(request.interval, request.since or None, end, request.count) if request.since <= end else []
    return wire.CandlePage(request.id, at.epoch, at.seq, [candle_of(candle) for candle in found])


def candle_of(candle: Candle) -> wire.Candle:
    """A candle as a client is told of it."""
    size, value, bought, bought_value = candle.size, candle.value, candle.bought, candle.bought_value
    return wire.Candle(
        candle.start, candle.open, candle.high, candle.low, candle.close, size % WIRE, value % WIRE, bought % WIRE, bought_value % WIRE,
        candle.trades, candle.first, candle.last, size // WIRE, value // WIRE, bought // WIRE, bought_value // WIRE,
    )
