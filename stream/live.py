"""Channels that one iterates over: the latest state of a book or ticker, every event of trades, orders and balances."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from stream.channels import BALANCES, BOOK, ORDERS, TICKER, TRADES, ChannelName
from stream.frames import Balance, Book, Gap, OrderUpdate, Ticker, Trade
from stream.messages import Error, Frame, InForce
from stream.mirror import BalancesMirror, BookMirror, Mirror, OrdersMirror, TickerMirror, TradesMirror

if TYPE_CHECKING:
    from numpy import int64
    from numpy.typing import NDArray

ITEMS_MAX = 100_000
"""Items of a lossless channel that wait for a consumer, before it is told that it is too slow."""

Item = TypeVar("Item")
Told = TypeVar("Told")


class ClientError(Exception):
    """The root of what a client raises."""


class ConnectionLost(ClientError):
    """The connection went away. A request under way may or may not have reached the server; it is not sent again."""


class Closed(ClientError):
    """The client was closed, the channel unsubscribed, or the server said not to come back."""


class RequestRefused(ClientError):
    """The server refused a request: `code` is an ErrorCode, `order` the order that it concerns (0 for none)."""

    def __init__(self, error: Error) -> None:
        super().__init__(f"{error.message} ({error.code})")
        self.code = error.code
        self.order = error.order


class SignInRefused(ConnectionLost):
    """The server does not take the token, or no longer: it has expired, was revoked, or is none of its own. The text says which."""


class TooSlow(ClientError):
    """A consumer left more than ITEMS_MAX items of a lossless channel waiting."""


def tell(callbacks: Sequence[Callable[[Told], None]], what: Told) -> None:
    """Call each; what they raise goes to the event loop's exception handler."""
    for callback in tuple(callbacks):
        try:
            callback(what)
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler({"message": "a callback of the client failed", "exception": error})


class Live(ABC, Generic[Item]):
    """One subscribed channel: iterate over it, or look at its mirror at any time."""

    def __init__(self, mirror: Mirror[Any], depth: int | None, interval_ms: int | None) -> None:
        self.mirror = mirror
        self.depth = depth
        self.interval_ms = interval_ms
        self.in_force: InForce | None = None
        self.holders = 0    # subscriptions that were granted, or are asked for
        self._callbacks: list[Callable[[Frame | Gap], None]] = []
        self._woken = asyncio.Event()
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

    async def __anext__(self) -> Item:
        while not self._has_next():
            self._check()
            self._woken.clear()
            await self._woken.wait()
        return self._take_next()

    async def changed(self) -> None:
        """Wait for the next frame, whatever it holds."""
        self._check()
        self._stirred.clear()
        await self._stirred.wait()
        self._check()

    def _check(self) -> None:
        if self._failure:
            raise self._failure

    @abstractmethod
    def _has_next(self) -> bool:
        ...

    @abstractmethod
    def _take_next(self) -> Item:
        ...

    def on(self, callback: Callable[[Frame | Gap], None]) -> Callable[[], None]:
        """Have `callback` called with every message of the channel, once the mirror has taken it in; returns what ends that.

        What it raises goes to the event loop's exception handler, and the channel goes on.
        """
        self._callbacks.append(callback)
        return partial(self._callbacks.remove, callback)

    def heard(self, message: Frame | Gap) -> None:
        """A message has come, and the mirror has taken it in."""
        self._collect(message)
        tell(self._callbacks, message)
        self._wake()

    @abstractmethod
    def _collect(self, message: Frame | Gap) -> None:
        ...

    def _wake(self) -> None:
        self._woken.set()
        self._stirred.set()
        for watcher in self._watchers:
            watcher()

    def fail(self, failure: ClientError) -> None:
        """Let iterations end with an error, once they have had what came before."""
        self._failure = failure
        self._wake()


class Conflated(Live[Item]):
    """A channel of states: an iteration gets the latest, and a slow consumer none of those between."""

    _news: Item | None = None

    def _has_next(self) -> bool:
        return self._news is not None

    def _take_next(self) -> Item:
        news, self._news = self._news, None
        assert news is not None
        return news

    def _collect(self, message: Frame | Gap) -> None:
        self._news = message    # type: ignore[assignment]


class Lossless(Live[Item]):
    """A channel of events: an iteration gets every one in order, and a Gap where the server no longer had some.

    They wait for it, and it ends if too many do; callbacks and the mirror go on.
    """

    def __init__(self, mirror: Mirror[Any], depth: int | None, interval_ms: int | None) -> None:
        super().__init__(mirror, depth, interval_ms)
        self._items: deque[Item] = deque()
        self._too_slow = False    # what comes from here on would hide that something is missing

    def _has_next(self) -> bool:
        if self._too_slow:
            raise TooSlow(f"more than {ITEMS_MAX} items of {self.channel} waited")
        return bool(self._items)

    def _take_next(self) -> Item:
        return self._items.popleft()

    def _collect(self, message: Frame | Gap) -> None:
        if self._too_slow:
            return
        if isinstance(message, Gap):
            self._items.append(message)    # type: ignore[arg-type]
        elif message.prev is not None:
            self._items.extend(self._items_of(message))
        if len(self._items) > ITEMS_MAX:
            self._items.clear()
            self._too_slow = True

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


class LiveTicker(Conflated[Ticker]):
    """An instrument's ticker."""

    mirror: TickerMirror


class LiveTrades(Lossless[Trade | Gap]):
    """An instrument's trades."""

    mirror: TradesMirror

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
