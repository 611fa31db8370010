"""Channels that one iterates over: the latest state of a book or ticker, every event of trades, orders and balances."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Generic, TypeVar

from stream.channels import BALANCES, BOOK, ORDERS, TICKER, TRADES
from stream.frames import Balance, Book, Gap, OrderUpdate, Ticker, Trade
from stream.messages import Error, Frame, InForce
from stream.mirror import BalancesMirror, BookMirror, Mirror, OrdersMirror, TickerMirror, TradesMirror

ITEMS_MAX = 100_000
"""Items of a lossless channel that wait for a consumer, before it is told that it is too slow."""

Item = TypeVar("Item")


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


class TooSlow(ClientError):
    """A consumer left more than ITEMS_MAX items of a lossless channel waiting."""


class Live(ABC, Generic[Item]):
    """One subscribed channel: iterate over it, or look at its mirror at any time."""

    def __init__(self, mirror: Mirror[Any], depth: int | None, interval_ms: int | None) -> None:
        self.mirror = mirror
        self.depth = depth
        self.interval_ms = interval_ms
        self.in_force: InForce | None = None
        self.recovering = False
        self._callbacks: list[Callable[[Frame | Gap], None]] = []
        self._woken = asyncio.Event()
        self._stirred = asyncio.Event()
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
            if self._failure:
                raise self._failure
            self._woken.clear()
            await self._woken.wait()
        return self._take_next()

    async def changed(self) -> None:
        """Wait for the next frame, whatever it holds."""
        if self._failure:
            raise self._failure
        self._stirred.clear()
        await self._stirred.wait()
        if self._failure:
            raise self._failure

    @abstractmethod
    def _has_next(self) -> bool:
        ...

    @abstractmethod
    def _take_next(self) -> Item:
        ...

    def on(self, callback: Callable[[Frame | Gap], None]) -> None:
        """Have `callback` called with every message of the channel, once the mirror has taken it in."""
        self._callbacks.append(callback)

    def heard(self, message: Frame | Gap) -> None:
        """A message has come, and the mirror has taken it in."""
        self._collect(message)
        for callback in self._callbacks:
            callback(message)
        self._wake()

    @abstractmethod
    def _collect(self, message: Frame | Gap) -> None:
        ...

    def _wake(self) -> None:
        self._woken.set()
        self._stirred.set()

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
    """A channel of events: an iteration gets every one in order, and a Gap where the server no longer had some."""

    def __init__(self, mirror: Mirror[Any], depth: int | None, interval_ms: int | None) -> None:
        super().__init__(mirror, depth, interval_ms)
        self._items: deque[Item] = deque()

    def _has_next(self) -> bool:
        return bool(self._items)

    def _take_next(self) -> Item:
        return self._items.popleft()

    def _collect(self, message: Frame | Gap) -> None:
        if self._failure:
            return    # what comes now would hide that something is missing
        if isinstance(message, Gap):
            self._items.append(message)    # type: ignore[arg-type]
        elif message.prev is not None:
            self._items.extend(self._items_of(message))
        if len(self._items) > ITEMS_MAX:
            self._items.clear()
            self.fail(TooSlow(f"more than {ITEMS_MAX} items of {self.channel} waited"))

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
