"""The messages about candles: what the trades of an instrument came to, interval by interval."""

from typing import Annotated, Literal

from msgspec import Meta

from stream.wire.fields import Epoch, Id, InstrumentName, Lots, Message, MessagePart, Money, Nanoseconds, PageSize, ReplyId, Seq, Ticks

IntervalName = Annotated[
    Literal["1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"],
    Meta(description="The interval of each candle: seconds, minutes, hours, days, weeks from Monday, or months (`M`), in UTC."),
]
Beyond = Annotated[int, Meta(ge=0, description="How many times 2^63 to add to the figure of this name. It is almost always 0.")]


class ListCandles(Message, tag="candles"):
    """Ask for the candles of an instrument, oldest first. An interval without trades has a candle, too, at the price of the last trade before.

    The server keeps a bounded number of candles of each interval, those of before a restart too. It has none from before the oldest one that it keeps.
    """

    id: Id
    instrument: InstrumentName
    interval: IntervalName
    since: Annotated[Nanoseconds, Meta(description="The first of the candles that begin at this time or later. 0: the last ones before `until`.")] = 0
    until: Annotated[Nanoseconds, Meta(description="Only candles that begin before this time. 0: up to the present one.")] = 0
    count: PageSize = 100


class Candle(MessagePart):
    """The trades of one interval. The present candle still grows."""

    start: Annotated[Nanoseconds, Meta(description="When the interval begins.")]
    open: Ticks
    high: Ticks
    low: Ticks
    close: Ticks
    size: Lots
    value: Annotated[Money, Meta(description="The sum of price times size, in units of the quote asset.")]
    bought: Annotated[Lots, Meta(description="The part of `size` that takers bought.")]
    bought_value: Annotated[Money, Meta(description="The part of `value` that takers bought.")]
    trades: Annotated[int, Meta(ge=0, description="The number of trades.")]
    first: Annotated[Seq, Meta(description="The sequence of the first trade; 0 for none.")]
    last: Annotated[Seq, Meta(description="The sequence of the last trade; 0 for none.")]
    size_beyond: Beyond = 0
    value_beyond: Beyond = 0
    bought_beyond: Beyond = 0
    bought_value_beyond: Beyond = 0


class CandlePage(Message, tag="candle_page"):
    """The answer to `candles`. To go on from it, take in the trades of the channel `trades` that are above `seq`."""

    id: ReplyId
    epoch: Epoch
    seq: Annotated[Seq, Meta(description="The candles hold every trade up to this sequence, and none above it.")]
    candles: list[Candle]
