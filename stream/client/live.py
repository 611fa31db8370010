"""Channels to iterate over, in decimals. A book or a ticker gives its latest state; trades, orders and balances give every event."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from stream.client.errors import ClientError, TooSlow
from stream.client.readings import Balance, Balances, Book, Level, Orders, OrderUpdate, Reading, Scales, Ticker, Trade, Trades, levels_of, scale_of
from stream.client.tables import BOOK_COLUMNS, TRADE_COLUMNS, to_pandas, to_polars
from stream.wire.channels import BALANCES, BOOK, BY_ORDER, ORDERS, TICKER, TRADES, parse
from stream.wire.fields import SideName
from stream.wire.frames import Gap, OrderBatch
from stream.wire.messages import Frame, InForce
from stream.wire.mirror import SIDES, BalancesMirror, BookMirror, ByOrderMirror, Mirror, OrdersMirror, TickerMirror, TradesMirror

if TYPE_CHECKING:
    from numpy import int64
    from numpy.typing import NDArray
    from pandas import DataFrame
    from polars import DataFrame as PolarsFrame

ITEMS_MAX = 100_000
"""The most items of a lossless channel that wait for a consumer. If there are more, the consumer gets TooSlow."""

Item = TypeVar("Item")
Told = TypeVar("Told")


class Callback(Generic[Told]):
    """A function or a coroutine function that is called with each item. A coroutine function is awaited before it is called again.

    If it raises, the exception goes to the event loop's exception handler. If more than ITEMS_MAX calls wait, TooSlow goes there once, and it is never
    called again.
    """

    def __init__(self, function: Callable[[Told], object]) -> None:
        if not callable(function):
            raise TypeError(f"a callback: expected a function or a coroutine function of one argument, got {type(function).__name__}")
        self._function = function
        self._waiting: deque[Told] = deque()
        self._task: asyncio.Task[None] | None = None
        self._too_slow = False

    def __call__(self, what: Told) -> None:
        if self._task:
            self._wait(what)
            return
        try:
            result = self._function(what)
        except Exception as error:
            complain(error)
        else:
            if isawaitable(result):
                self._task = asyncio.ensure_future(self._await(result))

    def _wait(self, what: Told) -> None:
        if not self._too_slow and len(self._waiting) == ITEMS_MAX:
            self._too_slow = True
            complain(TooSlow(f"more than {ITEMS_MAX} calls of a callback waited: it will not be called any more"))
        if not self._too_slow:
            self._waiting.append(what)

    async def _await(self, result: Awaitable[object]) -> None:
        try:
            while True:
                try:
                    await result
                except Exception as error:
                    complain(error)
                if not self._waiting:
                    return
                with_next = self._function(self._waiting.popleft())
                result = with_next if isawaitable(with_next) else nothing()
        finally:
            self._task = None


async def nothing() -> None:
    """What to await after a call of a plain function."""


def complain(error: Exception) -> None:
    """Hand the exception of a callback to the event loop's exception handler."""
    asyncio.get_running_loop().call_exception_handler({"message": "a callback of the client failed", "exception": error})


def tell(callbacks: Sequence[Callback[Told]], what: Told) -> None:
    """Call each callback."""
    for callback in tuple(callbacks):
        callback(what)


class Reader(Generic[Item]):
    """The items of a channel that one task has not read yet: only the latest state, or each event."""

    def __init__(self, items: deque[Item]) -> None:
        self.items = items
        self.too_slow = False


class Live(ABC, Generic[Item]):
    """One subscribed channel. Iterate over it, or look at it at any time. Its `mirror` counts in ticks, lots and units, as the wire does.

    Each task that iterates gets everything from when it began to iterate; the first one gets everything since the subscription. If a task ends, the next one
    that begins gets what it left. Iterating raises Closed, RequestRefused or another ClientError when the channel ends.
    """

    kept: ClassVar[int | None] = None    # how many items wait for a reader; None: all
    reading: ClassVar[type[Reading]]

    def __init__(self, mirror: Mirror[Any], depth: int | None, interval_ms: int | None, scales: Scales) -> None:
        self.mirror = mirror
        self.scales = scales
        self.instrument = parse(mirror.channel).instrument
        self.depth = depth
        self.interval_ms = interval_ms
        self.in_force: InForce | None = None
        self.held_depth: int | None = depth    # the depth requested when the copy began; the copy cannot resume at another depth
        self.holders = 0    # subscriptions that were granted or requested
        self._callbacks: list[Callback[Any]] = []
        self.readers: dict[Any, Reader[Item]] = {None: Reader(deque(maxlen=self.kept))}    # None: no task has begun yet
        self._stirred = asyncio.Event()
        self.watchers: list[Callable[[], None]] = []
        self._failure: ClientError | None = None

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self.mirror.channel

    @property
    def seq(self) -> int:
        """The sequence up to which the copy is complete; -1 if it has nothing yet."""
        return self.mirror.seq

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    def __anext__(self) -> Coroutine[Any, Any, Item]:
        return self._next(self._reader())    # the reader is that of this task, even if another task awaits the result

    async def _next(self, reader: Reader[Item]) -> Item:
        while not reader.items:
            if reader.too_slow:
                raise TooSlow(f"more than {ITEMS_MAX} items of {self.channel} waited: read faster, or use the mirror")
            self._check()
            await self._stirred.wait()
        return reader.items.popleft()

    def _reader(self, task: Any = None) -> Reader[Item]:
        """The reader of the current task, or of `task`, which needs a method `done()`. A new task takes over what an ended one left, or gets a new reader."""
        task = task or asyncio.current_task()
        if task not in self.readers:
            ended = [other for other in self.readers if other is None or other.done()]
            left = [self.readers.pop(other) for other in ended]
            self.readers[task] = left[-1] if left else self._new_reader()
        return self.readers[task]

    @abstractmethod
    def _new_reader(self) -> Reader[Item]:
        ...

    async def changed(self) -> None:
        """Wait for the next frame, whatever it holds. Raises the channel's error if the channel ends."""
        self._check()
        await self._stirred.wait()
        self._check()

    def _check(self) -> None:
        if self._failure:
            raise self._failure

    def on(self, callback: Callable[[Any], object]) -> Callable[[], None]:
        """Call `callback` with every frame of the channel, and every Gap, after the mirror has applied it. Returns a function that ends this.

        A coroutine function is awaited before it is called again. An exception goes to the event loop's exception handler, and the channel goes on.
        """
        added = Callback(callback)
        self._callbacks.append(added)
        return partial(self._callbacks.remove, added)

    def heard(self, message: Frame | Gap) -> None:
        """A message has come, and the mirror has applied it."""
        read = message if isinstance(message, Gap) else self._read(message)
        self._collect(read)
        tell(self._callbacks, read)
        self._wake()

    def _read(self, frame: Frame) -> Any:
        return self.reading(frame, self.scales, self.instrument)

    @abstractmethod
    def _collect(self, read: Any) -> None:
        ...

    def _wake(self) -> None:
        self._stirred.set()
        self._stirred.clear()    # everything that waits for it now goes on nevertheless
        for watcher in self.watchers:
            watcher()

    def fail(self, failure: ClientError) -> None:
        """End iterations with an error, after they have read what came before."""
        self._failure = failure
        self._wake()


class Conflated(Live[Item]):
    """A channel of states. An iteration gets the latest state; a slow consumer skips the states in between."""

    kept = 1

    def _new_reader(self) -> Reader[Item]:
        return Reader(deque([self._read(self.mirror.frame)] if self.mirror.frame else (), maxlen=1))

    def _collect(self, read: Any) -> None:
        for reader in self.readers.values():
            reader.items.append(read)


class Lossless(Live[Item]):
    """A channel of events. An iteration gets every event in order, and a Gap where the server no longer has some.

    Events wait until they are read. If more than ITEMS_MAX wait, the iteration ends with TooSlow; callbacks and the mirror go on.
    """

    def _new_reader(self) -> Reader[Item]:
        return Reader(deque())

    def _collect(self, read: Any) -> None:
        items: Iterable[Any] = [read] if isinstance(read, Gap) else self._items_of(read) if read.prev is not None else ()
        for reader in self.readers.values():
            if not reader.too_slow:
                reader.items.extend(items)
                if len(reader.items) > ITEMS_MAX:
                    reader.items.clear()
                    reader.too_slow = True

    @abstractmethod
    def _items_of(self, frame: Any) -> Iterable[Item]:
        ...


class LiveBook(Conflated[Book]):
    """An order book. Iterating gives the latest frame."""

    mirror: BookMirror
    reading = Book

    @property
    def best_bid(self) -> Level | None:
        """The highest bid: its `price` and `size`, `price_ticks` and `size_lots`. None if there are no bids."""
        return self._level(self.mirror.best_bid)

    @property
    def best_ask(self) -> Level | None:
        """The lowest ask, None if there are no asks."""
        return self._level(self.mirror.best_ask)

    def _level(self, level: tuple[int, int] | None) -> Level | None:
        return levels_of(list(level), self.scales, self.instrument)[0] if level else None

    @property
    def verified(self) -> bool:
        """Whether the digest of the book was the same as the server's at `seq`."""
        return self.mirror.verified

    @property
    def digest(self) -> int:
        """The digest of all its levels."""
        return self.mirror.levels.digest

    def levels(self, n: int = 0) -> tuple[list[Level], list[Level]]:
        """The best `n` bids and asks (0: all), best first."""
        bids, asks = self.mirror.depth(n)
        return levels_of(bids, self.scales, self.instrument), levels_of(asks, self.scales, self.instrument)

    def ticks_and_lots(self, n: int = 0) -> tuple["NDArray[int64]", "NDArray[int64]"]:
        """The best `n` bids and asks (0: all), best first, as NumPy arrays of 64-bit integers. Each row is a level: price in ticks, size in lots."""
        from numpy import array, int64

        bids, asks = (array(side, int64).reshape(-1, 2) for side in self.mirror.depth(n))
        return bids, asks

    def _rows(self, n: int) -> list[tuple[Any, ...]]:
        return [(name, *level) for name, side in zip(("bid", "ask"), self.levels(n), strict=True) for level in side]

    def pandas(self, n: int = 0) -> "DataFrame":
        """The best `n` bids and asks (0: all), best first, as a pandas.DataFrame of `side`, `price`, `size`, `price_ticks` and `size_lots`."""
        return to_pandas(self._rows(n), BOOK_COLUMNS)

    def polars(self, n: int = 0) -> "PolarsFrame":
        """The same as a polars.DataFrame."""
        return to_polars(self._rows(n), BOOK_COLUMNS, scale_of(self.scales, self.instrument))


class LiveByOrder(Lossless[OrderBatch | Gap]):
    """An order book order by order, in ticks and lots. Iterating gives every batch of changes; a Gap means that a snapshot has replaced the book."""

    mirror: ByOrderMirror

    @property
    def verified(self) -> bool:
        """Whether the digest of the orders, with their priority, was the same as the server's at `seq`."""
        return self.mirror.verified

    @property
    def digest(self) -> int:
        """The digest of all its orders, with their priority."""
        return self.mirror.queues.digest

    def levels(self, n: int = 0) -> tuple[list[Level], list[Level]]:
        """The best `n` bids and asks (0: all) that the orders add up to, best first."""
        bids, asks = self.mirror.queues.depth(n)
        return levels_of(bids, self.scales, self.instrument), levels_of(asks, self.scales, self.instrument)

    def queue(self, side: SideName, price: int) -> list[tuple[int, int]]:
        """The orders at a price by priority: public number and size in lots of each."""
        return self.mirror.queues.queue(SIDES[side], price)

    def place(self, order: int) -> tuple[int, int]:
        """How many orders, and how many lots, are ahead of the order with this public number. Raises ValueError if it is not in the book."""
        return self.mirror.queues.place(order)

    def arrays(self) -> tuple["NDArray[int64]", "NDArray[int64]"]:
        """All bids and asks as NumPy arrays of 64-bit integers, the best price first and by priority at each price. O(orders).

        Each row is an order: public number, price, size.
        """
        from numpy import frombuffer, int64

        bids, asks = (frombuffer(self.mirror.queues.rows(side), int64).reshape(-1, 3) for side in SIDES.values())
        return bids, asks

    def _read(self, frame: Frame) -> Any:
        return frame

    def _items_of(self, frame: Any) -> Iterable[OrderBatch]:
        return frame.batches    # type: ignore[no-any-return]


class LiveTicker(Conflated[Ticker]):
    """The ticker of an instrument. Iterating gives the latest frame."""

    mirror: TickerMirror
    reading = Ticker

    @property
    def latest(self) -> Ticker | None:
        """The latest frame, None if there is none yet."""
        return self._read(self.mirror.frame) if self.mirror.frame else None


class LiveTrades(Lossless[Trade | Gap]):
    """The trades of an instrument. Iterating gives every trade."""

    mirror: TradesMirror
    reading = Trades

    @property
    def latest(self) -> list[Trade]:
        """The latest trades, up to 1000, oldest first."""
        return [Trade(each, self.scales, self.instrument) for each in self.mirror.latest]

    def _rows(self) -> list[tuple[Any, ...]]:
        return [tuple(getattr(trade, column) for column in TRADE_COLUMNS) for trade in self.latest]

    def pandas(self) -> "DataFrame":
        """The latest trades, oldest first, as a pandas.DataFrame of `seq`, `time`, `price`, `size`, `side`, `price_ticks` and `size_lots`."""
        return to_pandas(self._rows(), TRADE_COLUMNS)

    def polars(self) -> "PolarsFrame":
        """The same as a polars.DataFrame."""
        return to_polars(self._rows(), TRADE_COLUMNS, scale_of(self.scales, self.instrument))

    def _items_of(self, frame: Any) -> Iterable[Trade]:
        return frame.trades    # type: ignore[no-any-return]


class LiveOrders(Lossless[OrderUpdate | Gap]):
    """The account's own orders. Iterating gives every event."""

    mirror: OrdersMirror
    reading = Orders

    @property
    def open(self) -> dict[int, OrderUpdate]:
        """The open orders, by id."""
        return {order: OrderUpdate(each, self.scales, each.instrument) for order, each in self.mirror.open.items()}

    def _items_of(self, frame: Any) -> Iterable[OrderUpdate]:
        return frame.orders    # type: ignore[no-any-return]


class LiveBalances(Lossless[Balance | Gap]):
    """The account's own balances. Iterating gives every change."""

    mirror: BalancesMirror
    reading = Balances

    @property
    def assets(self) -> dict[str, Balance]:
        """The balances, by asset."""
        return {asset: Balance(each, self.scales, asset) for asset, each in self.mirror.assets.items()}

    def _items_of(self, frame: Any) -> Iterable[Balance]:
        return frame.balances    # type: ignore[no-any-return]


KINDS: dict[str, tuple[type[Live[Any]], type[Mirror[Any]]]] = {
    BOOK: (LiveBook, BookMirror),
    BY_ORDER: (LiveByOrder, ByOrderMirror),
    TRADES: (LiveTrades, TradesMirror),
    TICKER: (LiveTicker, TickerMirror),
    ORDERS: (LiveOrders, OrdersMirror),
    BALANCES: (LiveBalances, BalancesMirror),
}

L = TypeVar("L", bound=Live[Any])


async def changes(*lives: L) -> AsyncIterator[L]:
    """Iterate over several channels: gives each one that has changed, once or several times, since it was last given. Raises when one of them ends."""
    changed: dict[L, None] = {}
    woken = asyncio.Event()

    def note(live: L) -> None:
        changed[live] = None
        woken.set()

    watchers = [(live, partial(note, live)) for live in lives]
    for live, watcher in watchers:
        live.watchers.append(watcher)
    try:
        while True:
            while changed:
                live = next(iter(changed))
                del changed[live]
                live._check()
                yield live
            woken.clear()
            await woken.wait()
    finally:
        for live, watcher in watchers:
            live.watchers.remove(watcher)
