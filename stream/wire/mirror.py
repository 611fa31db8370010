"""A client's copy of each channel, and the five rules that apply to every frame. It knows no bytes, sockets or time.

1. `prev` is None: a snapshot. Forget, take it, and its `epoch` and `seq`.
2. Another `epoch`, or `prev` above our `seq`: a gap. Subscribe again with `resume`.
3. `seq` not above ours: drop it.
4. Otherwise apply it, and take its `seq`.
5. A book's digest would differ from the frame's: leave the book as it is, and subscribe again without `resume`.
"""

from abc import ABC, abstractmethod
from collections import deque
from enum import Enum, auto
from typing import Generic, TypeVar

from msgspec.structs import replace

from engine import IndexedQueues, PriceLevels, Side
from stream.wire.frames import (
    Balance,
    Balances,
    Book,
    BookCleared,
    MarketByOrder,
    OrderAdded,
    OrderChange,
    OrderDeleted,
    OrderExecuted,
    OrderMoved,
    OrderReduced,
    Orders,
    OrderUpdate,
    Ticker,
    Trade,
    Trades,
)
from stream.wire.messages import Frame

F = TypeVar("F", bound=Frame)

SIDES = {"buy": Side.BUY, "sell": Side.SELL}

NOTHING = PriceLevels(tombstones=0)
"""An empty book."""


class Verdict(Enum):
    """What became of a frame."""

    SNAPSHOT = auto()
    APPLIED = auto()
    HEARTBEAT = auto()
    DROPPED = auto()
    GAP = auto()
    MISMATCH = auto()


class Mirror(ABC, Generic[F]):
    """A client's copy of one channel. It is complete up to `seq` in the history `epoch`; both are -1 before the first snapshot.

    `frame` is the last frame that was applied, without events that the copy already had.
    """

    kind: type[F]

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.epoch = -1
        self.seq = -1
        self.frame: F | None = None
        self.counts = dict.fromkeys(Verdict, 0)

    @property
    def resume(self) -> tuple[int, int] | None:
        """Where a returning client resumes this channel: epoch and sequence, None if it has nothing."""
        return None if self.seq < 0 else (self.epoch, self.seq)

    def forget(self) -> None:
        """Ask for a snapshot at the next subscription."""
        self.epoch = self.seq = -1

    def receive(self, frame: F) -> Verdict:
        """Apply the five rules to a frame, and return what became of it. Raises ValueError if the frame is of another kind of channel."""
        if type(frame) is not self.kind:
            raise ValueError(f"{self.channel}: expected a frame of {self.kind.__name__}, got {type(frame).__name__}")
        if frame.prev is not None and frame.prev < self.seq < frame.seq:
            frame = self._trim(frame)
        verdict = self._judge(frame)
        self.counts[verdict] += 1
        if verdict not in (Verdict.DROPPED, Verdict.GAP, Verdict.MISMATCH):
            self.frame = frame
        return verdict

    def _judge(self, frame: F) -> Verdict:
        if frame.prev is None:
            if not self._take(frame, fresh=True):
                return Verdict.MISMATCH
            self.epoch, self.seq = frame.epoch, frame.seq
            return Verdict.SNAPSHOT
        if frame.epoch != self.epoch or frame.prev > self.seq:
            return Verdict.GAP
        tells = self._holds_anything(frame)
        if frame.seq < self.seq or (tells and frame.seq == self.seq):
            return Verdict.DROPPED if tells else Verdict.HEARTBEAT
        if not self._take(frame, fresh=False):
            return Verdict.MISMATCH
        self.seq = frame.seq
        return Verdict.APPLIED if tells else Verdict.HEARTBEAT

    def _trim(self, frame: F) -> F:
        """A frame that begins before `seq` and ends after it, without the events that the copy already has."""
        return frame

    @abstractmethod
    def _take(self, frame: F, fresh: bool) -> bool:
        """Replace everything by a snapshot, or apply a frame. Returns False, and changes nothing, if the result would differ from what the server has."""

    @abstractmethod
    def _holds_anything(self, frame: F) -> bool:
        ...


class BookMirror(Mirror[Book]):
    """An order book. It is always a book that the server had at some time. `verified` says whether this is true after the last frame, too."""

    kind = Book

    def __init__(self, channel: str) -> None:
        super().__init__(channel)
        self.levels = PriceLevels(tombstones=0)
        self.verified = False
        self.merges = 0
        self.changes = 0
        self.crossed = 0

    @property
    def best_bid(self) -> tuple[int, int] | None:
        """Price in ticks and size in lots of the highest bid."""
        return self.levels.best_bid

    @property
    def best_ask(self) -> tuple[int, int] | None:
        """Price in ticks and size in lots of the lowest ask."""
        return self.levels.best_ask

    def depth(self, n: int = 0) -> tuple[list[int], list[int]]:
        """The best `n` bids and asks (all for 0), best first: price, size, price, size."""
        return self.levels.depth(n)

    def _take(self, frame: Book, fresh: bool) -> bool:
        before = NOTHING if fresh else self.levels
        self.verified = before.digest_after(frame.bids, frame.asks) == frame.digest
        if self.verified:
            if fresh:
                self._replace(frame)
            elif frame.bids or frame.asks:
                self._apply(frame)
            self.merges += frame.batches > 1
            self.changes += (len(frame.bids) + len(frame.asks)) // 2
            self.crossed += self.levels.crossed
        return self.verified

    def _apply(self, frame: Book) -> None:
        self.levels.apply(frame.bids, frame.asks, frame.seq)

    def _replace(self, frame: Book) -> None:
        self.levels.reset(frame.seq)
        if frame.bids or frame.asks:
            self._apply(frame)

    def _holds_anything(self, frame: Book) -> bool:
        return bool(frame.bids or frame.asks)


class ByOrderMirror(Mirror[MarketByOrder]):
    """The orders of a book in their queues, always as the server had them at some time. `verified` says whether this is true after the last frame, too."""

    kind = MarketByOrder

    def __init__(self, channel: str) -> None:
        super().__init__(channel)
        self.queues = IndexedQueues()
        self.verified = False
        self.changes = 0

    def _trim(self, frame: MarketByOrder) -> MarketByOrder:
        return replace(frame, prev=self.seq, batches=[batch for batch in frame.batches if batch.seq > self.seq])

    def _take(self, frame: MarketByOrder, fresh: bool) -> bool:
        queues = IndexedQueues() if fresh else self.queues
        queues.begin()
        try:
            for batch in frame.batches:
                for change in batch.changes:
                    self._apply(queues, change)
            self.verified = queues.digest == frame.digest
        except ValueError:
            self.verified = False
        if self.verified:
            queues.keep()
            self.queues = queues
            self.changes += sum(len(batch.changes) for batch in frame.batches)
        else:
            queues.roll_back()
        return self.verified

    def _apply(self, queues: IndexedQueues, change: OrderChange) -> None:
        match change:
            case OrderAdded():
                queues.add(change.order, SIDES[change.side], change.price, change.size)
            case OrderExecuted() | OrderReduced():
                queues.take(change.order, change.size)
            case OrderDeleted():
                queues.delete(change.order)
            case OrderMoved():
                queues.move(change.order, change.price, change.size)
            case BookCleared():
                queues.clear()

    def _holds_anything(self, frame: MarketByOrder) -> bool:
        return bool(frame.batches)


class TradesMirror(Mirror[Trades]):
    """The trades of an instrument; `latest` holds the last `kept`, oldest first."""

    kind = Trades

    def __init__(self, channel: str, kept: int = 1000) -> None:
        super().__init__(channel)
        self.latest: deque[Trade] = deque(maxlen=kept)
        self.count = 0    # since the first snapshot

    def _trim(self, frame: Trades) -> Trades:
        return replace(frame, prev=self.seq, trades=[trade for trade in frame.trades if trade.seq > self.seq])

    def _take(self, frame: Trades, fresh: bool) -> bool:
        if fresh:
            self.latest.clear()
        else:
            self.count += len(frame.trades)
        self.latest.extend(frame.trades)
        return True

    def _holds_anything(self, frame: Trades) -> bool:
        return bool(frame.trades)


class TickerMirror(Mirror[Ticker]):
    """The latest ticker, in `frame`."""

    kind = Ticker

    def _take(self, frame: Ticker, fresh: bool) -> bool:
        return True

    def _holds_anything(self, frame: Ticker) -> bool:
        return True


class OrdersMirror(Mirror[Orders]):
    """The account's own open orders by id, in `open`."""

    kind = Orders

    def __init__(self, channel: str) -> None:
        super().__init__(channel)
        self.open: dict[int, OrderUpdate] = {}

    def _trim(self, frame: Orders) -> Orders:
        return replace(frame, prev=self.seq, orders=[update for update in frame.orders if update.seq > self.seq])

    def _take(self, frame: Orders, fresh: bool) -> bool:
        if fresh:
            self.open.clear()
        for update in frame.orders:
            if update.remaining:
                self.open[update.order] = update
            else:
                self.open.pop(update.order, None)
        return True

    def _holds_anything(self, frame: Orders) -> bool:
        return bool(frame.orders)


class BalancesMirror(Mirror[Balances]):
    """The account's own balances by asset, in `assets`."""

    kind = Balances

    def __init__(self, channel: str) -> None:
        super().__init__(channel)
        self.assets: dict[str, Balance] = {}

    def _take(self, frame: Balances, fresh: bool) -> bool:
        if fresh:
            self.assets.clear()
        self.assets |= {balance.asset: balance for balance in frame.balances}
        return True

    def _holds_anything(self, frame: Balances) -> bool:
        return bool(frame.balances)
