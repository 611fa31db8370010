"""The channels that anybody may hear: a book's levels, its orders, its trades, and its ticker."""

from collections import deque
from collections.abc import Callable

import msgspec

from engine import Event, OrderBook, OrderQueues, PriceLevels
from stream.feed.book_frames import BookFrames, Window
from stream.feed.books_by_order import BooksByOrder
from stream.feed.by_order_log import ByOrderLog
from stream.feed.channel import PHASES, Channel, LosslessChannel, Point
from stream.settings.config import Config
from stream.wire.channels import BOOK, BY_ORDER, TICKER, TRADES, ChannelName
from stream.wire.codec import Shared, Written
from stream.wire.frames import Ticker, Trade, Trades

MINUTE_NS = 60 * 10**9
WIRE = 1 << 63
"""What a total is split by: a part on the wire is below this."""
DAY_MINUTES = 24 * 60


class BookChannel(Channel):
    """An order book in full depth."""

    def __init__(self, instrument: str, levels: PriceLevels) -> None:
        super().__init__(str(ChannelName(BOOK, instrument)))
        self.levels = levels
        self.traded = 0    # the sequence of the last trade
        self._frames = BookFrames(levels, self.name)

    @property
    def batches(self) -> int:
        """How many of the engine's batches have changed the book."""
        return self.levels.changes

    @property
    def seq(self) -> int:
        return self.levels.seq

    def snapshot(self, at: Point) -> Shared:
        return Written(self._frames.snapshot(at))

    def since(self, prev: int, at: Point, batches: int = 0) -> Shared | None:
        frame = self._frames.since(prev, at, batches)
        return None if frame is None else Written(frame)

    def window(self, window: Window, at: Point) -> Shared:
        """A snapshot of the best levels."""
        return Written(self._frames.window(window, at))

    def window_since(self, before: Window, window: Window, prev: int, at: Point, batches: int) -> Shared:
        """How the best levels differ from those at `prev`."""
        return Written(self._frames.window_since(before, window, prev, at, batches))

    def is_longer(self, prev: int) -> bool:
        """Whether the frame since `prev` has more levels than a snapshot."""
        return self.levels.count_since(prev) > len(self.levels)


class ByOrderChannel(Channel):
    """An order book order by order. Every change is told."""

    lossless = True
    log: ByOrderLog

    def __init__(self, instrument: str) -> None:
        super().__init__(str(ChannelName(BY_ORDER, instrument)))

    @property
    def seq(self) -> int:
        return self.log.seq

    def queue(self, side: int, price: int) -> list[tuple[int, int]]:
        """The orders at a price by priority, from as near to the engine as can be: public number and shown size of each. O(these orders)."""
        return self.log.queues.queue(side, price)

    def snapshot(self, at: Point) -> Shared:
        return Written(self.log.snapshot(at))

    def since(self, prev: int, at: Point, batches: int = 0) -> Shared | None:
        frame = self.log.since(prev, at)
        return None if frame is None else Written(frame)


class FollowedByOrder(ByOrderChannel):
    """The same, out of the engine's events. The book is followed from when it is first asked for, until nobody has listened for a while."""

    def __init__(self, book: OrderBook, books: BooksByOrder, config: Config, seq: Callable[[], int]) -> None:
        """`seq` tells the engine's sequence."""
        super().__init__(book.instrument.name)
        self._book = book
        self._books = books
        self._config = config
        self._engine_seq = seq
        self._log: ByOrderLog | None = None
        self._unheard_since = 0    # in ns; 0: somebody listens, or the book has not changed since

    @property
    def log(self) -> ByOrderLog:    # type: ignore[override]
        """The changes. O(orders in the book), if it is not followed yet."""
        if self._log is None:
            self._log = ByOrderLog(self.name, OrderQueues(), self._config.market_by_order_kept, self._engine_seq())
            self._books.follow(self._book.index, self._log)
        return self._log

    def read(self) -> ByOrderLog:
        """The changes, for one who reads them without listening: the book is followed as if somebody had. O(orders in it), if it is not followed yet."""
        self._unheard_since = 0
        return self.log

    def queue(self, side: int, price: int) -> list[tuple[int, int]]:
        return [(self._books.orders.number(order.order), order.displayed) for order in self._book.queue(side, price)]

    def place(self, order: int) -> tuple[int, int, int] | None:
        """The public number of an open order, and how many orders and lots are ahead of it; None if it is in no queue that is shown.

        O(log n) of the orders at its price, on average. O(orders in the book), if it is not followed yet; and it is followed as if somebody had listened.
        """
        self.read()
        return self._books.place(self._book.index, order)

    def changed(self, time: int) -> None:
        """The book has changed. If nobody has listened for long, stop following it."""
        if self.heard or self._config.market_by_order_always:
            self._unheard_since = 0
        elif not self._unheard_since:
            self._unheard_since = time
        elif time - self._unheard_since > self._config.market_by_order_resume_s * 10**9:
            self.forget()

    def forget(self) -> None:
        """Stop following the book."""
        if self._log is not None:
            self._log = None
            self._books.forget(self._book.index)


class TradesChannel(LosslessChannel[Trade]):
    """Every trade of an instrument."""

    def __init__(self, instrument: str, config: Config, floor: int) -> None:
        super().__init__(str(ChannelName(TRADES, instrument)), config.trades_kept, floor)
        self._shown = config.trades_in_snapshot

    def add(self, trade: Trade) -> None:
        """Take in a trade."""
        self._tail.append(trade.seq, trade)

    def after(self, prev: int) -> list[Trade] | None:
        """The trades after a sequence, oldest first; None if some are forgotten. O(trades returned)."""
        return self._tail.since(prev)

    def latest(self, count: int) -> list[Trade]:
        """The latest trades that are kept, oldest first."""
        return self._tail.latest(count)

    def snapshot(self, at: Point) -> Shared:
        return Shared(Trades(channel=self.name, epoch=at.epoch, prev=None, seq=at.seq, trades=self._tail.latest(self._shown), server_time=at.now))

    def since(self, prev: int, at: Point, batches: int = 0) -> Shared | None:
        trades = self._tail.since(prev)
        return None if trades is None else Shared(Trades(channel=self.name, epoch=at.epoch, prev=prev, seq=at.seq, trades=trades, server_time=at.now))


class Minute:
    """The trades of one minute."""

    __slots__ = ("count", "high", "low", "number", "open", "value", "volume")

    def __init__(self, number: int, open: int, high: int, low: int, volume: int = 0, value: int = 0, count: int = 0) -> None:
        self.number = number
        self.open = open
        self.high = high
        self.low = low
        self.volume = volume
        self.value = value
        self.count = count


class TickerState(msgspec.Struct, array_like=True):
    """The state of a ticker: the last trade, the sequence of what it told last, and the minutes' figures in the order of `Minute`; of those that
    do not fit 63 bits, how many times 2^63 the volume and the value of each minute have more.
    """

    last: int
    last_size: int
    seq: int
    minutes: list[tuple[int, int, int, int, int, int, int]]
    beyond: list[tuple[int, int]] = []


class TickerChannel(Channel):
    """Last trade, best prices, the figures of the last 24 hours, to the minute, and the phase with what an auction would come to."""

    def __init__(self, book: OrderBook) -> None:
        super().__init__(str(ChannelName(TICKER, book.instrument.name)))
        self._book = book
        self._levels = book.levels
        self._minutes: deque[Minute] = deque()
        self._last = self._last_size = 0
        self._volume = self._value = self._count = 0
        self._seq = 0

    @property
    def seq(self) -> int:
        return max(self._seq, self._levels.seq)

    def touch(self, seq: int) -> None:
        """Note that the phase changed at `seq`, or the orders of a book that does not trade."""
        self._seq = seq

    def add(self, event: Event, time: int) -> None:
        """Take in a TRADE."""
        number = time // MINUTE_NS
        if not self._minutes or self._minutes[-1].number < number:
            self._expire(time)
            self._minutes.append(Minute(number, event.price, event.price, event.price))
        minute = self._minutes[-1]
        minute.high = max(minute.high, event.price)
        minute.low = min(minute.low, event.price)
        minute.volume += event.size
        minute.value += event.value
        minute.count += 1
        self._volume += event.size
        self._value += event.value
        self._count += 1
        self._last, self._last_size = event.price, event.size
        self._seq = event.seq

    def dump(self) -> TickerState:
        """What `restore` takes."""
        minutes = [(each.number, each.open, each.high, each.low, each.volume % WIRE, each.value % WIRE, each.count) for each in self._minutes]
        beyond = [(each.volume // WIRE, each.value // WIRE) for each in self._minutes]
        return TickerState(self._last, self._last_size, self._seq, minutes, beyond if any(map(any, beyond)) else [])

    def restore(self, state: TickerState) -> None:
        """Go on where another ticker was."""
        self._last, self._last_size, self._seq = state.last, state.last_size, state.seq
        self._minutes = deque(Minute(*figures) for figures in state.minutes)
        for minute, (volume, value) in zip(self._minutes, state.beyond, strict=bool(state.beyond)):
            minute.volume += volume * WIRE
            minute.value += value * WIRE
        self._volume = sum(minute.volume for minute in self._minutes)
        self._value = sum(minute.value for minute in self._minutes)
        self._count = sum(minute.count for minute in self._minutes)

    def _expire(self, now: int) -> None:
        while self._minutes and self._minutes[0].number <= now // MINUTE_NS - DAY_MINUTES:
            minute = self._minutes.popleft()
            self._volume -= minute.volume
            self._value -= minute.value
            self._count -= minute.count

    def snapshot(self, at: Point) -> Shared:
        self._expire(at.now)
        bid, bid_size = self._levels.best_bid or (0, 0)
        ask, ask_size = self._levels.best_ask or (0, 0)
        first = self._minutes[0].open if self._minutes else 0
        high = max((minute.high for minute in self._minutes), default=0)
        low = min((minute.low for minute in self._minutes), default=0)
        price, size = self._book.indicative()
        return Shared(Ticker(
            channel=self.name, epoch=at.epoch, prev=None, seq=at.seq, last=self._last, last_size=self._last_size,
            bid=bid, bid_size=bid_size, ask=ask, ask_size=ask_size, open=first, high=high, low=low,
            volume=self._volume % WIRE, value=self._value % WIRE, trades=self._count, server_time=at.now,
            phase=PHASES[self._book.phase], indicative_price=price, indicative_size=size,
            volume_beyond=self._volume // WIRE, value_beyond=self._value // WIRE,
        ))

    def since(self, prev: int, at: Point, batches: int = 0) -> Shared:
        return self.snapshot(at)
