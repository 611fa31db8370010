"""Candles of one instrument: what its trades came to, in every interval from a second to a month, kept with a bound.

A trade changes only the candle of its second. A candle that is over goes into the intervals that are made of it: seconds into minutes, minutes into hours and
what is shorter, hours into days, days into weeks and months. So a trade costs the same however many intervals there are. All figures are integers.
"""

from bisect import bisect_left, bisect_right
from datetime import UTC, datetime
from typing import NamedTuple, cast

import msgspec

from engine import Event, Side

SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
MONDAY = 4 * DAY
"""1970 began on a Thursday."""
MONTH = 0
"""The length of an interval whose candles are of different lengths."""

WIRE = 1 << 63
ARRAY_32 = b"\xdd"
"""How an array of MessagePack begins whose length has 32 bits."""


class Interval(NamedTuple):
    """An interval: its length in ns or MONTH, the shorter interval that it is made of, and a time at which one of its candles begins."""

    length: int
    made_of: str
    begins: int = 0


INTERVALS = {
    "1s": Interval(SECOND, ""),
    "1m": Interval(MINUTE, "1s"),
    **{f"{n}m": Interval(n * MINUTE, "1m") for n in (3, 5, 15, 30)},
    "1h": Interval(HOUR, "1m"),
    **{f"{n}h": Interval(n * HOUR, "1h") for n in (2, 4, 6, 8, 12)},
    "1d": Interval(DAY, "1h"),
    "3d": Interval(3 * DAY, "1d"),
    "1w": Interval(7 * DAY, "1d", MONDAY),
    "1M": Interval(MONTH, "1d"),
}
PARTS = {name: [other for other, interval in INTERVALS.items() if interval.made_of == name] for name in INTERVALS}
"""The intervals that are made of each."""


def start_of(name: str, time: int) -> int:
    """When the candle of a time begins. All times are in ns since 1970, UTC."""
    length, _, begins = INTERVALS[name]
    if length != MONTH:
        return time - (time - begins) % length
    date = datetime.fromtimestamp(time // SECOND, UTC)
    return int(datetime(date.year, date.month, 1, tzinfo=UTC).timestamp()) * SECOND


def end_of(name: str, start: int) -> int:
    """When the candle that begins at `start` ends and the next one begins."""
    length = INTERVALS[name].length
    return start + length if length != MONTH else start_of(name, start + 31 * DAY)


def window_of(length: int, now: int) -> int:
    """When the window begins that ends now and has whole minutes, the present one as the last."""
    return (now // MINUTE + 1) * MINUTE - length


def _earlier(name: str, start: int, count: int) -> int:
    """When the candle begins that is so many before the one that begins at `start`."""
    length = INTERVALS[name].length
    if length != MONTH:
        return start - count * length
    for _ in range(count):
        start = start_of(name, start - 1)
    return start


class Candle(msgspec.Struct):
    """The trades of one interval from `start`, in ns. Prices are in ticks, sizes in lots, values in units of the quote asset.

    `bought` and `bought_value` are of the trades whose taker bought. `first` and `last` are the sequences of the first and the last trade.
    """

    start: int
    open: int
    high: int
    low: int
    close: int
    size: int = 0
    value: int = 0
    bought: int = 0
    bought_value: int = 0
    trades: int = 0
    first: int = 0
    last: int = 0

    def merge(self, later: "Candle") -> None:
        """Take in the trades of a later candle."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.size += later.size
        self.value += later.value
        self.bought += later.bought
        self.bought_value += later.bought_value
        self.trades += later.trades
        self.last = later.last

    def starting(self, start: int) -> "Candle":
        """A copy that begins at `start`."""
        return msgspec.structs.replace(self, start=start)

    def flat_at(self, start: int) -> "Candle":
        """The candle of an interval without trades, after this one."""
        return Candle(start, self.close, self.close, self.close, self.close)


class PackedCandle(msgspec.Struct, array_like=True):
    """How a candle is kept: sums that do not fit 63 bits say how many times 2^63 they have more."""

    start_s: int
    open: int
    high: int
    low: int
    close: int
    size: int
    value: int
    bought: int
    bought_value: int
    trades: int
    first: int
    last: int
    beyond: tuple[int, int, int, int]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PackedCandle).decode


def pack(candle: Candle) -> bytes:
    """A candle as it is kept."""
    size, value, bought, bought_value = candle.size, candle.value, candle.bought, candle.bought_value
    return _encode(PackedCandle(
        candle.start // SECOND, candle.open, candle.high, candle.low, candle.close, size % WIRE, value % WIRE, bought % WIRE, bought_value % WIRE,
        candle.trades, candle.first, candle.last, (size // WIRE, value // WIRE, bought // WIRE, bought_value // WIRE),
    ))


def unpack(data: bytes | msgspec.Raw) -> Candle:
    """The candle that is kept as `data`."""
    kept = _decode(data)
    size, value, bought, bought_value = kept.beyond
    return Candle(
        kept.start_s * SECOND, kept.open, kept.high, kept.low, kept.close, kept.size + size * WIRE, kept.value + value * WIRE,
        kept.bought + bought * WIRE, kept.bought_value + bought_value * WIRE, kept.trades, kept.first, kept.last,
    )


class Series:
    """The candles of one interval that had trades: those that are over, packed, and the one after them, to which more may come."""

    __slots__ = ("_kept", "current", "packed", "starts")

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self.starts: list[int] = []
        self.packed: list[bytes] = []
        self.current: Candle | None = None

    def close(self, candle: Candle) -> None:
        """Keep a candle that is over. The oldest ones are dropped many at a time."""
        self.starts.append(candle.start)
        self.packed.append(pack(candle))
        if len(self.starts) > self._kept + self._kept // 4:
            del self.starts[: -self._kept], self.packed[: -self._kept]

    def between(self, begin: int, end: int) -> list[Candle]:
        """Those that are over and begin from `begin` to before `end`. O(log n + candles)."""
        return [unpack(each) for each in self.packed[bisect_left(self.starts, begin) : bisect_left(self.starts, end)]]

    def before(self, time: int) -> Candle | None:
        """The last one that is over and begins before a time."""
        index = bisect_right(self.starts, time - 1)
        return unpack(self.packed[index - 1]) if index else None


def _all(series: Series) -> list[bytes]:
    return [*series.packed, *([pack(series.current)] if series.current else [])]


def _array(packed: list[bytes]) -> msgspec.Raw:
    """An array of MessagePack with these elements: as one piece, which is ten times as fast as one `Raw` for each."""
    return msgspec.Raw(ARRAY_32 + len(packed).to_bytes(4) + b"".join(packed))


class Candles:
    """All candles of an instrument: of each interval, at least the latest `kept` that had trades."""

    def __init__(self, kept: int) -> None:
        self._series = {name: Series(kept) for name in INTERVALS}
        self._seconds = self._series["1s"]

    def add(self, event: Event, time: int) -> None:
        """Take in a TRADE. Its time is not before that of the trade before."""
        candle = self._seconds.current
        price, size, value = event.price, event.size, event.value
        if candle is None or time - candle.start >= SECOND:
            if candle:
                self._close("1s", candle)
            candle = self._seconds.current = Candle(time - time % SECOND, price, price, price, price, first=event.seq)
        elif price > candle.high:
            candle.high = price
        elif price < candle.low:
            candle.low = price
        candle.close = price
        candle.size += size
        candle.value += value
        if event.side == Side.BUY:
            candle.bought += size
            candle.bought_value += value
        candle.trades += 1
        candle.last = event.seq

    def _close(self, name: str, candle: Candle) -> None:
        """A candle is over: keep it, and take it into the longer intervals."""
        self._series[name].close(candle)
        for longer in PARTS[name]:
            series, start = self._series[longer], start_of(longer, candle.start)
            current = series.current
            if current and current.start == start:
                current.merge(candle)
            else:
                if current:
                    self._close(longer, current)
                series.current = candle.starting(start)

    def _latest(self, name: str) -> list[Candle]:
        """The candles that are not kept as over: the present one, after those that are over although no trade has come since that would say so."""
        current = self._series[name].current
        latest = [current.starting(current.start)] if current else []
        shorter = INTERVALS[name].made_of
        for candle in self._latest(shorter) if shorter else ():
            start = start_of(name, candle.start)
            if latest and latest[-1].start == start:
                latest[-1].merge(candle)
            else:
                latest.append(candle.starting(start))
        return latest

    @property
    def last(self) -> Candle | None:
        """The second of the last trade, None before the first one."""
        return self._seconds.current

    def between(self, name: str, begin: int, end: int) -> list[Candle]:
        """The candles with trades that begin from `begin` to before `end`, oldest first. O(log n + candles)."""
        return self._series[name].between(begin, end) + [candle for candle in self._latest(name) if begin <= candle.start < end]

    def since(self, begin: int) -> Candle | None:
        """All trades since a whole minute as one candle, None if there are none. Further back than there are minutes, to the whole hour. O(hours)."""
        hour = start_of("1h", begin + HOUR - 1)
        total: Candle | None = None
        for candle in (*self.between("1m", begin, hour), *self.between("1h", hour, WIRE)):
            if total:
                total.merge(candle)
            else:
                total = candle
        return total

    def series(self, name: str, begin: int | None, end: int, count: int) -> list[Candle]:
        """At most `count` candles that begin from `begin` to `end`, those without trades included: the first ones or, without `begin`, the last ones.

        None is older than the oldest one with trades that is kept. O(log n + candles).
        """
        oldest = self._oldest(name)
        if oldest is None:
            return []
        latest = start_of(name, end)
        first = max(oldest, _earlier(name, latest, count - 1) if begin is None else end_of(name, start_of(name, begin - 1)))
        traded = {candle.start: candle for candle in self.between(name, first, latest + 1)}
        before = self.before(name, first)
        found: list[Candle] = []
        while first <= latest and len(found) < count:
            before = traded.get(first) or (before or traded[oldest]).flat_at(first)
            found.append(before)
            first = end_of(name, first)
        return found

    def _oldest(self, name: str) -> int | None:
        starts = self._series[name].starts
        return starts[0] if starts else next((candle.start for candle in self._latest(name)), None)

    def before(self, name: str, start: int) -> Candle | None:
        """The last candle with trades that begins before `start`."""
        latest = [candle for candle in self._latest(name) if candle.start < start]
        return latest[-1] if latest else self._series[name].before(start)

    def dump(self) -> dict[str, list[msgspec.Raw]]:
        """What `restore` takes, once it is encoded: of each interval, all candles, packed. O(bytes)."""
        return {name: cast(list[msgspec.Raw], _array(_all(series))) for name, series in self._series.items()}

    def restore(self, state: dict[str, list[msgspec.Raw]]) -> None:
        """Go on where other candles were."""
        for name, packed in state.items():
            series = self._series[name]
            candles = [unpack(each) for each in packed]
            series.starts, series.packed = [candle.start for candle in candles[:-1]], [bytes(each) for each in packed[:-1]]
            series.current = candles[-1] if candles else None
