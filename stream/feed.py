"""What each channel says, derived from the engine's events. One question for all of them: *what changed since s?*

`since(prev)` is the frame of everything after `prev`, or None when that past is forgotten and only `snapshot` answers.
A book answers from its change list, the lossless channels from the latest events that they keep.
"""

from abc import ABC, abstractmethod
from collections import deque
from typing import Generic, NamedTuple, TypeVar

from engine import Event, EventKind, Exchange, Instrument, Order, OrderBook, OrderType, Phase, Reason, Side
from stream.book_frames import BookFrames, Window
from stream.channels import BALANCES, BOOK, ORDERS, TICKER, TRADES, ChannelName
from stream.config import Config
from stream.fields import PhaseName, SideName
from stream.frames import Balance, Balances, Orders, OrderUpdate, Ticker, Trade, Trades
from stream.wire import Shared, Written

SIDES: dict[int, SideName] = {Side.BUY: "buy", Side.SELL: "sell"}
PHASES: dict[int, PhaseName] = {Phase.TRADING: "trading", Phase.HALT: "halt", Phase.AUCTION: "auction"}
TYPES: dict[int, str] = {type: type.name.lower() for type in OrderType}
REASONS: dict[int, str] = {reason: reason.name.lower() if reason else "" for reason in Reason}

ORDER_KINDS = frozenset({
    EventKind.ACCEPTED, EventKind.WAITING, EventKind.TRIGGERED, EventKind.DISPLAYED, EventKind.FILLED, EventKind.CANCELLED, EventKind.REDUCED,
    EventKind.REPLACED,
})
TAKER = 2    # Event.flags

Entry = TypeVar("Entry")

MINUTE_NS = 60 * 10**9
WIRE_MAX = (1 << 63) - 1
"""The largest number that a frame can hold. A day's turnover that passes it is told as it."""
DAY_MINUTES = 24 * 60


def mask_of(*kinds: EventKind) -> int:
    """The kinds as `Events.select` takes them."""
    return sum(1 << kind for kind in kinds)


OF_BOOKS = mask_of(EventKind.LEVEL)
OF_MARKET = mask_of(EventKind.TRADE, EventKind.PHASE)
OF_ORDERS = mask_of(*ORDER_KINDS)
OF_ACCOUNTS = mask_of(*ORDER_KINDS, EventKind.BALANCE)


class Point(NamedTuple):
    """Where the history stands: what a frame is stamped with. Times are in ns since 1970."""

    epoch: int
    seq: int
    engine_time: int
    now: int


class Channel(ABC):
    """What one channel says."""

    lossless = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard = False    # whether anybody listens

    @property
    @abstractmethod
    def seq(self) -> int:
        """The sequence of the last change."""

    @abstractmethod
    def snapshot(self, at: Point) -> Shared:
        """All that the channel tells of now."""

    @abstractmethod
    def since(self, prev: int, at: Point, batches: int = 0) -> Shared | None:
        """What happened after `prev`; None if that is forgotten. With nothing to tell, the frame is a heartbeat."""


class BookChannel(Channel):
    """An order book in full depth."""

    def __init__(self, book: OrderBook) -> None:
        super().__init__(str(ChannelName(BOOK, book.instrument.name)))
        self.levels = book.levels
        self.traded = 0    # the sequence of the last trade
        self._frames = BookFrames(book.levels, self.name)

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


class Log(Generic[Entry]):
    """The latest entries of a lossless channel, and below which sequence they are not all there."""

    def __init__(self, kept: int, floor: int) -> None:
        self._entries: deque[tuple[int, Entry]] = deque(maxlen=kept)
        self._floor = floor
        self.seq = floor

    def append(self, seq: int, entry: Entry) -> None:
        """Add what happened at `seq`."""
        if len(self._entries) == self._entries.maxlen:
            self._floor = self._entries[0][0]
        self._entries.append((seq, entry))
        self.seq = seq

    def since(self, prev: int) -> list[Entry] | None:
        """The entries after `prev`, oldest first; None if some are forgotten. O(entries returned)."""
        if prev < self._floor:
            return None
        entries = []
        for seq, entry in reversed(self._entries):
            if seq <= prev:
                break
            entries.append(entry)
        entries.reverse()
        return entries

    def latest(self, count: int) -> list[Entry]:
        """The latest entries, oldest first."""
        return [entry for _, entry in list(self._entries)[-count:]]


class LogChannel(Channel, Generic[Entry]):
    """A channel that tells every one of its entries, in order."""

    lossless = True

    def __init__(self, name: str, kept: int, floor: int) -> None:
        super().__init__(name)
        self._log = Log[Entry](kept, floor)

    @property
    def seq(self) -> int:
        return self._log.seq


class TradesChannel(LogChannel[Trade]):
    """Every trade of an instrument."""

    def __init__(self, instrument: Instrument, config: Config, floor: int) -> None:
        super().__init__(str(ChannelName(TRADES, instrument.name)), config.trades_kept, floor)
        self._shown = config.trades_in_snapshot

    def add(self, event: Event, time: int) -> None:
        """Take in a TRADE."""
        self._log.append(event.seq, Trade(event.seq, time, event.price, event.size, SIDES[event.side]))

    def snapshot(self, at: Point) -> Shared:
        return Shared(Trades(self.name, at.epoch, None, at.seq, self._log.latest(self._shown), at.now))

    def since(self, prev: int, at: Point, batches: int = 0) -> Shared | None:
        trades = self._log.since(prev)
        return None if trades is None else Shared(Trades(self.name, at.epoch, prev, at.seq, trades, at.now))


class Minute:
    """The trades of one minute."""

    __slots__ = ("count", "high", "low", "number", "open", "value", "volume")

    def __init__(self, number: int, price: int) -> None:
        self.number = number
        self.open = self.high = self.low = price
        self.volume = self.value = self.count = 0


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
            self._minutes.append(Minute(number, event.price))
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
        return Shared(Ticker(
            self.name, at.epoch, None, at.seq, self._last, self._last_size, bid, bid_size, ask, ask_size,
            first, high, low, min(self._volume, WIRE_MAX), min(self._value, WIRE_MAX), self._count, at.now,
            PHASES[self._book.phase], *self._book.indicative(),
        ))

    def since(self, prev: int, at: Point, batches: int = 0) -> Shared:
        return self.snapshot(at)


def describe(update: OrderUpdate, order: Order) -> None:
    """Say of an open order what no event tells."""
    update.type = TYPES[order.type]    # type: ignore[assignment]
    update.stop, update.displayed, update.expires, update.linked = order.stop, order.displayed, order.expires, order.linked


class OrdersChannel(LogChannel[OrderUpdate]):
    """Every event of one account's orders."""

    def __init__(self, account: int, exchange: Exchange, books: list[OrderBook], config: Config) -> None:
        super().__init__(ORDERS, config.account_events_kept, exchange.seq)
        self._account = account
        self._exchange = exchange
        self._books = books
        self._limits = {order.order: order.price for order in exchange.orders(account)}

    def add(self, event: Event, time: int) -> None:
        """Take in an event of one of the account's orders."""
        kind = EventKind(event.kind)
        if kind in (EventKind.ACCEPTED, EventKind.REPLACED):
            self._limits[event.order] = event.price
        limit = self._limits.get(event.order, event.price)
        if event.remaining == 0:
            self._limits.pop(event.order, None)
        update = OrderUpdate(
            event.seq, time, kind.name.lower(), event.order, event.other, self._books[event.instrument].instrument.name,    # type: ignore[arg-type]
            SIDES[event.side], limit, event.remaining, event.filled, event.value, reason=REASONS[event.reason],    # type: ignore[arg-type]
        )
        order = self._exchange.order(event.order)
        if order:
            describe(update, order)
        if kind is EventKind.FILLED:
            update.fill_price, update.fill_size, update.fee = event.price, event.size, event.fee
            update.liquidity = "taker" if event.flags & TAKER else "maker"
        elif kind in (EventKind.WAITING, EventKind.TRIGGERED):
            update.stop = event.price
        self._log.append(event.seq, update)

    def snapshot(self, at: Point) -> Shared:
        orders = []
        for order in self._exchange.orders(self._account):
            orders.append(OrderUpdate(
                at.seq, at.engine_time, "open", order.order, order.client_id, self._books[order.instrument].instrument.name,
                SIDES[order.side], order.price, order.remaining, order.filled, order.value,
            ))
            describe(orders[-1], order)
        return Shared(Orders(self.name, at.epoch, None, at.seq, orders, at.now))

    def since(self, prev: int, at: Point, batches: int = 0) -> Shared | None:
        orders = self._log.since(prev)
        return None if orders is None else Shared(Orders(self.name, at.epoch, prev, at.seq, orders, at.now))


class BalancesChannel(LogChannel[Balance]):
    """Every change of one account's balances."""

    def __init__(self, account: int, exchange: Exchange, config: Config) -> None:
        super().__init__(BALANCES, config.account_events_kept, exchange.seq)
        self._account = account
        self._exchange = exchange
        self._assets = list(exchange.assets().items())

    def add(self, event: Event) -> None:
        """Take in a BALANCE of the account."""
        self._log.append(event.seq, Balance(*self._assets[event.instrument], event.size, event.remaining))

    def snapshot(self, at: Point) -> Shared:
        balances = [
            Balance(*asset, *amounts)
            for asset, amounts in zip(self._assets, self._exchange.balances(self._account), strict=True)
            if any(amounts)
        ]
        return Shared(Balances(self.name, at.epoch, None, at.seq, balances, at.now))

    def since(self, prev: int, at: Point, batches: int = 0) -> Shared | None:
        balances = self._log.since(prev)
        return None if balances is None else Shared(Balances(self.name, at.epoch, prev, at.seq, balances, at.now))


class Feed:
    """All channels of one exchange. `apply` takes in the events of each of its calls.

    `changed` gathers the channels that they concern, of those that anybody listens to.
    """

    def __init__(self, exchange: Exchange, config: Config) -> None:
        self._exchange = exchange
        self._config = config
        self._books = exchange.books
        self._book_channels = [BookChannel(book) for book in self._books]
        self._trades = [TradesChannel(book.instrument, config, exchange.seq) for book in self._books]
        self._tickers = [TickerChannel(book) for book in self._books]
        self._accounts: dict[int, tuple[OrdersChannel, BalancesChannel]] = {}
        self._listening = bytearray()
        self._not_trading = {book.index for book in self._books if book.phase != Phase.TRADING}
        self.public: dict[str, Channel] = {}
        for channels in (self._book_channels, self._trades, self._tickers):
            self.public |= {channel.name: channel for channel in channels}
        self.changed: set[Channel] = set()

    def account_channel(self, kind: str, account: int) -> Channel:
        """An account's own channel. Its events are kept from the first call on."""
        if account not in self._accounts:
            self._accounts[account] = (
                OrdersChannel(account, self._exchange, self._books, self._config),
                BalancesChannel(account, self._exchange, self._config),
            )
            self._listening.extend(bytes(max(0, account + 1 - len(self._listening))))
            self._listening[account] = 1
        orders, balances = self._accounts[account]
        return orders if kind == ORDERS else balances

    def forget_account(self, account: int) -> None:
        """Keep an account's events no longer."""
        if self._accounts.pop(account, None):
            self._listening[account] = 0

    def _touch(self, channel: Channel) -> None:
        if channel.heard:
            self.changed.add(channel)

    def apply(self, time: int) -> None:
        """Take in the events of the exchange's latest call.

        Costs Python only for trades, for each book that changed, for accounts that somebody listens to, and for orders while a book does not trade.
        """
        events = self._exchange.events
        for instrument in events.instruments(OF_BOOKS):
            self._touch(self._book_channels[instrument])
            self._touch(self._tickers[instrument])
        for event in events.select(OF_MARKET):
            ticker = self._tickers[event.instrument]
            self._touch(ticker)
            if event.kind == EventKind.TRADE:
                self._trades[event.instrument].add(event, time)
                self._touch(self._trades[event.instrument])
                self._book_channels[event.instrument].traded = event.seq
                ticker.add(event, time)
            else:
                ticker.touch(event.seq)
                self._not_trading.discard(event.instrument)
                if event.other != Phase.TRADING:
                    self._not_trading.add(event.instrument)
        if self._not_trading:
            for event in events.select(OF_ORDERS):
                if event.instrument in self._not_trading:
                    self._tickers[event.instrument].touch(event.seq)
                    self._touch(self._tickers[event.instrument])
        if self._accounts:
            for event in events.select(OF_ACCOUNTS, self._listening):
                orders, balances = self._accounts[event.account]
                if event.kind == EventKind.BALANCE:
                    balances.add(event)
                    self._touch(balances)
                else:
                    orders.add(event, time)
                    self._touch(orders)
