"""Derives the channels from the engine's events. Each channel answers one question: *what changed since s?*

`since(prev)` is the frame of everything after `prev`. It is None if that past is forgotten; then only `snapshot` helps.
A book answers from its change list, the lossless channels from the latest events that they keep.
"""

from collections.abc import Callable

import msgspec

from engine import EventKind, Exchange, OrderBook, Phase
from stream.commands.results import OF_ORDERS
from stream.feed.books_by_order import BooksByOrder
from stream.feed.candles import Candles
from stream.feed.channel import SIDES, Channel
from stream.feed.own_channels import BalancesChannel, OrdersChannel
from stream.feed.own_logs import OwnLogs
from stream.feed.public_channels import BookChannel, FollowedByOrder, TickerChannel, TickerState, TradesChannel
from stream.feed.public_orders import PublicOrders
from stream.settings.config import Config
from stream.wire.channels import ORDERS
from stream.wire.frames import Balance, OrderUpdate, Trade


def mask_of(*kinds: EventKind) -> int:
    """The kinds as `Events.select` takes them."""
    return sum(1 << kind for kind in kinds)


OF_BOOKS = mask_of(EventKind.LEVEL)
OF_MARKET = mask_of(EventKind.TRADE, EventKind.PHASE, EventKind.FEES_SET, EventKind.BAND_SET)

class FeedState(msgspec.Struct, array_like=True):
    """What a feed knows and the exchange does not: by instrument, and by account that has a listener or may have one again."""

    books: dict[str, tuple[tuple[int, list[tuple[int, Trade]]], TickerState]]
    accounts: dict[int, tuple[tuple[int, list[tuple[int, OrderUpdate]]], tuple[int, list[tuple[int, Balance]]]]]
    candles: dict[str, dict[str, list[msgspec.Raw]]] = {}
    parts: dict[int, int] = {}


_decode_state = msgspec.msgpack.Decoder(FeedState).decode


class Feed:
    """All channels of one exchange. `apply` takes in the events of each of its calls.

    `kept` is called when it begins to keep an account's events, or ends to. `changed` gathers the channels that they concern, of those that anybody listens to.
    A client of one that is `replicated` may have been ahead of us at another server.
    """

    def __init__(self, exchange: Exchange, config: Config, replicated: bool = False) -> None:
        self._exchange = exchange
        self._replicated = replicated
        self._config = config
        self._books: list[OrderBook] = []
        self._book_channels: list[BookChannel] = []
        self._by_order = BooksByOrder(exchange)
        self._by_order_channels: list[FollowedByOrder] = []
        self._trades: list[TradesChannel] = []
        self._tickers: list[TickerChannel] = []
        self.candles: list[Candles] = []
        self._accounts: dict[int, tuple[OrdersChannel, BalancesChannel]] = {}
        self._own = OwnLogs(exchange)
        self._names: list[bytes] = []    # of the instruments, in MessagePack
        self._not_trading: set[int] = set()
        self.terms_changes = 0    # how often the terms of any instrument have changed
        self.public: dict[str, Channel] = {}
        self.changed: set[Channel] = set()
        self.kept: Callable[[int, bool], None] = lambda account, kept: None
        self.add_books()

    def add_books(self) -> None:
        """Take in the books that have been added to the exchange."""
        self.terms_changes += 1
        for book in self._exchange.books[len(self._books) :]:
            name = book.instrument.name
            by_order = FollowedByOrder(book, self._by_order, self._config, lambda: self._exchange.seq)
            channels = BookChannel(name, book.levels), TradesChannel(name, self._config, self._exchange.seq), TickerChannel(book), by_order
            for channel in channels:
                channel.relayed = self._replicated
            self._books.append(book)
            self._names.append(msgspec.msgpack.encode(name))
            self._book_channels.append(channels[0])
            self._trades.append(channels[1])
            self._tickers.append(channels[2])
            self._by_order_channels.append(by_order)
            self.candles.append(Candles(self._config.candles_kept))
            self.public |= {channel.name: channel for channel in channels}
            if book.phase != Phase.TRADING:
                self._not_trading.add(book.index)
        self._follow_always()

    def _follow_always(self) -> None:
        """Follow every book by order, if that is wanted."""
        if self._config.market_by_order_always:
            for channel in self._by_order_channels:
                channel.log    # noqa: B018

    @property
    def public_orders(self) -> PublicOrders:
        """The public numbers of orders."""
        return self._by_order.orders

    @property
    def by_order_failures(self) -> int:
        """How many books by order were wrong, and began again."""
        return self._by_order.failures

    def queue_position(self, instrument: int, order: int) -> tuple[int, int, int] | None:
        """The public number of an open order, and how many orders and lots are ahead of it; None if it is in no queue that is shown. O(log n) on average."""
        return self._by_order_channels[instrument].place(order)

    def dump(self) -> bytes:
        """What its channels know that the exchange does not, for another process to `restore`."""
        return msgspec.msgpack.encode(FeedState(
            {
                book.instrument.name: (trades.dump(), ticker.dump())
                for book, trades, ticker in zip(self._books, self._trades, self._tickers, strict=True)
            },
            {account: tuple((each.log.floor, each.log.entries()) for each in channels) for account, channels in self._accounts.items()},    # type: ignore[misc]
            {book.instrument.name: candles.dump() for book, candles in zip(self._books, self.candles, strict=True)},
            self._by_order.orders.parts,
        ))

    def restore(self, state: bytes) -> None:
        """Take over what another feed has dumped, at the same point of the history."""
        found = _decode_state(state)
        for book, trades, ticker in zip(self._books, self._trades, self._tickers, strict=True):
            if book.instrument.name in found.books:
                of_trades, of_ticker = found.books[book.instrument.name]
                trades.restore(*of_trades)
                ticker.restore(of_ticker)
        for book, candles in zip(self._books, self.candles, strict=True):
            candles.restore(found.candles.get(book.instrument.name, {}))
        for channel in self._by_order_channels:
            channel.forget()
        self._by_order.orders.restore(found.parts)
        self._follow_always()
        for account, (of_orders, of_balances) in found.accounts.items():
            orders, balances = self.keep_account(account)
            orders.log.restore(*of_orders)
            balances.log.restore(*of_balances)

    @property
    def accounts(self) -> list[int]:
        """Those whose events are kept."""
        return list(self._accounts)

    def keep_account(self, account: int) -> tuple[OrdersChannel, BalancesChannel]:
        """Keep an account's events from now on; its channels."""
        if account not in self._accounts:
            orders = OrdersChannel(account, self._exchange, self._books, self._names, self._config)
            balances = BalancesChannel(account, self._exchange, self._config)
            orders.relayed = balances.relayed = self._replicated
            self._accounts[account] = orders, balances
            self._own.keep(account, (orders, orders.log), (balances, balances.log))
            self.kept(account, True)
        return self._accounts[account]

    def account_channel(self, kind: str, account: int) -> Channel:
        """An account's own channel. Its events are kept from the first call on."""
        orders, balances = self.keep_account(account)
        return orders if kind == ORDERS else balances

    def forget_account(self, account: int) -> None:
        """Stop keeping an account's events."""
        if self._accounts.pop(account, None):
            self._own.forget(account)
            self.kept(account, False)

    def _touch(self, channel: Channel) -> None:
        if channel.heard:
            self.changed.add(channel)

    def apply(self, time: int) -> None:
        """Take in the events of the exchange's latest call.

        Costs Python only for trades, for each book that changed, for own channels that did, and for orders while a book does not trade.
        """
        events = self._exchange.events
        for instrument in events.instruments(OF_BOOKS):
            self._touch(self._book_channels[instrument])
            self._touch(self._tickers[instrument])
        for event in events.select(OF_MARKET):
            ticker = self._tickers[event.instrument]
            self._touch(ticker)
            if event.kind == EventKind.TRADE:
                self._trades[event.instrument].add(Trade(event.seq, time, event.price, event.size, SIDES[event.side]))
                self._touch(self._trades[event.instrument])
                self._book_channels[event.instrument].traded = event.seq
                ticker.add(event, time)
                self.candles[event.instrument].add(event, time)
            else:
                self.terms_changes += 1
            if event.kind == EventKind.PHASE:
                ticker.touch(event.seq)
                self._not_trading.discard(event.instrument)
                if event.phase != Phase.TRADING:
                    self._not_trading.add(event.instrument)
        if self._not_trading:
            for event in events.select(OF_ORDERS):
                if event.instrument in self._not_trading:
                    self._tickers[event.instrument].touch(event.seq)
                    self._touch(self._tickers[event.instrument])
        for index in self._by_order.apply(time):
            self._by_order_channels[index].changed(time)
            self._touch(self._by_order_channels[index])
        if self._accounts:
            for channel in self._own.apply(time):
                self._touch(channel)
