"""Channels that one iterates over: the latest state of a book or ticker, every event of trades, orders and balances."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from stream.client.errors import ClientError, TooSlow
from stream.client.tables import BOOK_COLUMNS, TRADE_COLUMNS, book_rows, to_pandas, to_polars, trade_rows
from stream.wire.channels import BALANCES, BOOK, ORDERS, TICKER, TRADES, ChannelName
from stream.wire.frames import Balance, Book, Gap, OrderUpdate, Ticker, Trade
from stream.wire.messages import Frame, InForce
from stream.wire.mirror import BalancesMirror, BookMirror, Mirror, OrdersMirror, TickerMirror, TradesMirror

if TYPE_CHECKING:
    from numpy import int64
    from numpy.typing import NDArray
    from pandas import DataFrame
    from polars import DataFrame as PolarsFrame

    from stream.wire.messages import InstrumentTerms

ITEMS_MAX = 100_000
"""Items of a lossless channel that wait for a consumer, before it is told that it is too slow."""

Item = TypeVar("Item")
Told = TypeVar("Told")


class Callback(Generic[Told]):
    """A function, or a coroutine function, that is called with what comes: the latter's calls one behind the other, each awaited before the next begins.

    What it raises goes to the event loop's exception handler, and so does TooSlow, once, when more than ITEMS_MAX calls wait; from then on it is not called.
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
            complain(TooSlow(f"more than {ITEMS_MAX} calls of a callback waited: it is not called any more"))
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
    """What there is to await of a call that returned."""


def complain(error: Exception) -> None:
    """Hand what a callback raised to the event loop."""
    asyncio.get_running_loop().call_exception_handler({"message": "a callback of the client failed", "exception": error})


def tell(callbacks: Sequence[Callback[Told]], what: Told) -> None:
    """Call each."""
    for callback in tuple(callbacks):
        callback(what)


class Reader(Generic[Item]):
    """What one task has not read yet of a channel: of a state the latest, of events each."""

    def __init__(self, items: deque[Item]) -> None:
        self.items = items
        self.too_slow = False


class Live(ABC, Generic[Item]):
    """One subscribed channel: iterate over it, or look at its mirror at any time.

    Each task that iterates gets everything from when it began, the first one from the subscription on; one that ends leaves the rest to the next that begins.
    """

    kept: ClassVar[int | None] = None    # how many items wait for a reader; None: all

    def __init__(self, mirror: Mirror[Any], depth: int | None, interval_ms: int | None) -> None:
        self.mirror = mirror
        self.depth = depth
        self.interval_ms = interval_ms
        self.in_force: InForce | None = None
        self.held_depth: int | None = depth    # that was asked for when the copy was begun: on another one it is no point to resume from
        self.holders = 0    # subscriptions that were granted, or are asked for
        self._callbacks: list[Callback[Frame | Gap]] = []
        self._readers: dict[Any, Reader[Item]] = {None: Reader(deque(maxlen=self.kept))}    # of None: nobody's yet
        self._stirred = asyncio.Event()
        self._watchers: list[Callable[[], None]] = []
        self._failure: ClientError | None = None

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self.mirror.channel

    @property
    def seq(self) -> int:
        """How far the copy has come."""
        return self.mirror.seq

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    def __anext__(self) -> Coroutine[Any, Any, Item]:
        return self._next(self._reader())    # the task that iterates is this one, though another one may be made to wait

    async def _next(self, reader: Reader[Item]) -> Item:
        while not reader.items:
            if reader.too_slow:
                raise TooSlow(f"more than {ITEMS_MAX} items of {self.channel} waited")
            self._check()
            await self._stirred.wait()
        return reader.items.popleft()

    def _reader(self, task: Any = None) -> Reader[Item]:
        """The current task's, or another reader's that can be `done()`; if it has none, what one that has ended left, or a new one."""
        task = task or asyncio.current_task()
        if task not in self._readers:
            ended = [other for other in self._readers if other is None or other.done()]
            left = [self._readers.pop(other) for other in ended]
            self._readers[task] = left[-1] if left else self._new_reader()
        return self._readers[task]

    @abstractmethod
    def _new_reader(self) -> Reader[Item]:
        ...

    async def changed(self) -> None:
        """Wait for the next frame, whatever it holds."""
        self._check()
        await self._stirred.wait()
        self._check()

    def _check(self) -> None:
        if self._failure:
            raise self._failure

    def on(self, callback: Callable[[Frame | Gap], object]) -> Callable[[], None]:
        """Have `callback` called with every message of the channel, once the mirror has taken it in; returns what ends that.

        A coroutine function is awaited before it is called again. What it raises goes to the event loop's exception handler, and the channel goes on.
        """
        added = Callback(callback)
        self._callbacks.append(added)
        return partial(self._callbacks.remove, added)

    def heard(self, message: Frame | Gap) -> None:
        """A message has come, and the mirror has taken it in."""
        self._collect(message)
        tell(self._callbacks, message)
        self._wake()

    @abstractmethod
    def _collect(self, message: Frame | Gap) -> None:
        ...

    def _wake(self) -> None:
        self._stirred.set()
        self._stirred.clear()    # whoever waits for it now goes on all the same
        for watcher in self._watchers:
            watcher()

    def fail(self, failure: ClientError) -> None:
        """Let iterations end with an error, once they have had what came before."""
        self._failure = failure
        self._wake()


class Conflated(Live[Item]):
    """A channel of states: an iteration gets the latest, and a slow consumer none of those between."""

    kept = 1

    def _new_reader(self) -> Reader[Item]:
        return Reader(deque(filter(None, [self.mirror.frame]), maxlen=1))

    def _collect(self, message: Frame | Gap) -> None:
        for reader in self._readers.values():
            reader.items.append(message)    # type: ignore[arg-type]


class Lossless(Live[Item]):
    """A channel of events: an iteration gets every one in order, and a Gap where the server no longer had some.

    They wait for it, and it ends if too many do; callbacks and the mirror go on.
    """

    def _new_reader(self) -> Reader[Item]:
        return Reader(deque())

    def _collect(self, message: Frame | Gap) -> None:
        items = [message] if isinstance(message, Gap) else self._items_of(message) if message.prev is not None else ()
        for reader in self._readers.values():
            if not reader.too_slow:
                reader.items.extend(items)    # type: ignore[arg-type]
                if len(reader.items) > ITEMS_MAX:
                    reader.items.clear()
                    reader.too_slow = True

    @abstractmethod
    def _items_of(self, frame: Any) -> Iterable[Item]:
        ...


class LiveBook(Conflated[Book]):
    """An order book."""

    mirror: BookMirror

    @property
    def best_bid(self) -> tuple[int, int] | None:
        """Price in ticks and size in lots of the highest bid."""
        return self.mirror.best_bid

    @property
    def best_ask(self) -> tuple[int, int] | None:
        """Price in ticks and size in lots of the lowest ask."""
        return self.mirror.best_ask

    @property
    def verified(self) -> bool:
        """Whether the book's digest was the server's at `seq`."""
        return self.mirror.verified

    def levels(self, n: int = 0) -> tuple[list[int], list[int]]:
        """The best `n` bids and asks (all for 0), best first: price, size, price, size."""
        return self.mirror.depth(n)

    def arrays(self, n: int = 0) -> tuple["NDArray[int64]", "NDArray[int64]"]:
        """The best `n` bids and asks (all for 0) as NumPy arrays of 64-bit integers, best first: a row a level, of its price and its size."""
        from numpy import array, int64

        bids, asks = (array(side, int64).reshape(-1, 2) for side in self.levels(n))
        return bids, asks

    def pandas(self, n: int = 0, terms: "InstrumentTerms | None" = None) -> "DataFrame":
        """The best `n` bids and asks (all for 0) as a pandas.DataFrame of `side`, `price`, `size`, best first: in ticks and lots, or in decimals of `terms`."""
        return to_pandas(book_rows(*self.levels(n)), BOOK_COLUMNS, terms)

    def polars(self, n: int = 0, terms: "InstrumentTerms | None" = None) -> "PolarsFrame":
        """The same as a polars.DataFrame."""
        return to_polars(book_rows(*self.levels(n)), BOOK_COLUMNS, terms)


class LiveTicker(Conflated[Ticker]):
    """An instrument's ticker."""

    mirror: TickerMirror


class LiveTrades(Lossless[Trade | Gap]):
    """An instrument's trades."""

    mirror: TradesMirror

    def pandas(self, terms: "InstrumentTerms | None" = None) -> "DataFrame":
        """The latest trades as a pandas.DataFrame of `seq`, `time`, `price`, `size`, `side`, oldest first: in ns, ticks and lots, or in decimals of `terms`."""
        return to_pandas(trade_rows(self.mirror.latest), TRADE_COLUMNS, terms)

    def polars(self, terms: "InstrumentTerms | None" = None) -> "PolarsFrame":
        """The same as a polars.DataFrame."""
        return to_polars(trade_rows(self.mirror.latest), TRADE_COLUMNS, terms)

    def _items_of(self, frame: Any) -> Iterable[Trade]:
        return frame.trades    # type: ignore[no-any-return]


class LiveOrders(Lossless[OrderUpdate | Gap]):
    """One's own orders."""

    mirror: OrdersMirror

    def _items_of(self, frame: Any) -> Iterable[OrderUpdate]:
        return frame.orders    # type: ignore[no-any-return]


class LiveBalances(Lossless[Balance | Gap]):
    """One's own balances."""

    mirror: BalancesMirror

    def _items_of(self, frame: Any) -> Iterable[Balance]:
        return frame.balances    # type: ignore[no-any-return]


KINDS: dict[str, tuple[type[Live[Any]], type[Mirror[Any]]]] = {
    BOOK: (LiveBook, BookMirror),
    TRADES: (LiveTrades, TradesMirror),
    TICKER: (LiveTicker, TickerMirror),
    ORDERS: (LiveOrders, OrdersMirror),
    BALANCES: (LiveBalances, BalancesMirror),
}

L = TypeVar("L", bound=Live[Any])


async def changes(*lives: L) -> AsyncIterator[L]:
    """Each of several channels whenever it has changed, or several times, since it was last told here; it raises when one of them ends."""
    changed: dict[L, None] = {}
    woken = asyncio.Event()

    def note(live: L) -> None:
        changed[live] = None
        woken.set()

    watchers = [(live, partial(note, live)) for live in lives]
    for live, watcher in watchers:
        live._watchers.append(watcher)
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
            live._watchers.remove(watcher)


class Listener(ABC):
    """Who can listen to the channels of a market."""

    @abstractmethod
    async def subscribe(self, channels: list[str], depth: int | None = None, interval_ms: int | None = None) -> list[Live[Any]]:
        """Listen to channels. A channel that is subscribed already takes on the new depth and interval."""

    async def orderbooks(self, instruments: Iterable[str], depth: int | None = None, interval_ms: int | None = None) -> list[LiveBook]:
        """Order books, all as of one sequence: in full (depth 0, the default), or their best levels."""
        channels = [str(ChannelName(BOOK, instrument)) for instrument in instruments]
        return cast(list[LiveBook], await self.subscribe(channels, depth, interval_ms))

    async def orderbook(self, instrument: str, depth: int | None = None, interval_ms: int | None = None) -> LiveBook:
        """An order book: in full (depth 0, the default), or its best levels."""
        return (await self.orderbooks([instrument], depth, interval_ms))[0]

    async def trades(self, instrument: str) -> LiveTrades:
        """An instrument's trades."""
        return cast(LiveTrades, (await self.subscribe([str(ChannelName(TRADES, instrument))]))[0])

    async def ticker(self, instrument: str, interval_ms: int | None = None) -> LiveTicker:
        """An instrument's ticker."""
        return cast(LiveTicker, (await self.subscribe([str(ChannelName(TICKER, instrument))], None, interval_ms))[0])
