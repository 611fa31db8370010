"""What a market's feed knows, found by symbol: the one place from which streams and answers read."""

from typing import Generic, Protocol, TypeVar

from stream.dialects.emitted_book import EmittedBook
from stream.dialects.symbols import Symbol, Symbols
from stream.feed.candles import Candles
from stream.feed.channel import Channel
from stream.feed.public_channels import BookChannel, TradesChannel
from stream.settings.config import Config, ConfigError
from stream.wire.channels import BOOK, TRADES
from stream.wire.frames import Trade
from stream.wire.messages import InstrumentTerms


class Feed(Protocol):
    """What is read of a market's feed."""

    public: dict[str, Channel]
    candles: list[Candles]


class Market(Protocol):
    """What is read of a market. Its feed may be replaced by one of the same market."""

    @property
    def config(self) -> Config:
        """Its settings."""
        ...

    @property
    def feed(self) -> Feed:
        """What its channels are made of."""
        ...

    def instrument_terms(self) -> list[InstrumentTerms]:
        """The terms of every instrument: the same list again until any of them changes."""
        ...


S = TypeVar("S", bound=Symbol)


class MarketData(Generic[S]):
    """The symbols of a market with their books, trades and candles. `books` are those that are followed because somebody listens."""

    def __init__(self, market: Market, symbol: type[S]) -> None:
        """ConfigError if the market cannot be shown, or its instruments cannot have symbols. `symbol` makes one."""
        if market.config.public_needs_token:
            raise ConfigError("public_needs_token: dialects show order books and trades to everybody; expected false, or no dialects")
        self._market = market
        self._terms = market.instrument_terms()
        self._feed = market.feed
        self._symbol = symbol
        self._symbols = Symbols(self._terms, symbol)
        self._books: dict[int, EmittedBook] = {}
        self._followers: dict[int, int] = {}    # by instrument: how many topics need its book

    def renewed(self) -> bool:
        """Whether what was read before is of another history, so that nobody's books can go on. Notes that it has looked."""
        feed = self._market.feed
        if feed is self._feed:
            return False
        self._feed = feed
        lost = False
        for index, book in self._books.items():
            book.source = self._channel(self.symbols.all[index]).levels
            lost = lost or book.source.seq < book.seq
        if lost:
            self._books = {index: EmittedBook(book.source) for index, book in self._books.items()}
        return lost

    @property
    def symbols(self) -> Symbols[S]:
        """The present symbols. If instruments have come whose symbols would be ambiguous, those before them stay as they are."""
        terms = self._market.instrument_terms()
        if terms is not self._terms:
            self._terms = terms
            try:
                self._symbols = Symbols(terms, self._symbol)
            except ConfigError:
                self._symbols = Symbols(terms[: len(self._symbols.all)], self._symbol)
        return self._symbols

    def _channel(self, symbol: S) -> BookChannel:
        channel = self._market.feed.public[f"{BOOK}:{symbol.terms.name}"]
        assert isinstance(channel, BookChannel)
        return channel

    def best(self, symbol: S) -> tuple[int, tuple[int, int], tuple[int, int]]:
        """The sequence of the book as it is now, and the best bid and ask, each with its size; zeros for none."""
        levels = self._channel(symbol).levels
        return levels.seq, levels.best_bid or (0, 0), levels.best_ask or (0, 0)

    def trades(self, symbol: S) -> TradesChannel:
        """The trades of a symbol."""
        channel = self._market.feed.public[f"{TRADES}:{symbol.terms.name}"]
        assert isinstance(channel, TradesChannel)
        return channel

    def last_trade(self, symbol: S) -> Trade | None:
        """The last trade, None before the first one."""
        latest = self.trades(symbol).latest(1)
        return latest[0] if latest else None

    def candles(self, symbol: S) -> Candles:
        """The candles of a symbol."""
        return self._market.feed.candles[symbol.index]

    # Books as they were last emitted

    def book(self, symbol: S) -> EmittedBook:
        """The book as it was last emitted; if nobody listens, as it is now."""
        book = self._books.get(symbol.index)
        if book is None:
            book = self._books[symbol.index] = EmittedBook(self._channel(symbol).levels)
        elif not self._followers.get(symbol.index):
            book.advance()
        return book

    def follow(self, symbol: S) -> EmittedBook:
        """The book, which is emitted from now on."""
        book = self.book(symbol)
        self._followers[symbol.index] = self._followers.get(symbol.index, 0) + 1
        return book

    def unfollow(self, symbol: S) -> None:
        """One who followed the book does so no longer."""
        self._followers[symbol.index] -= 1
        if not self._followers[symbol.index]:
            del self._followers[symbol.index]

    @property
    def followed(self) -> bool:
        """Whether any book is emitted."""
        return bool(self._followers)

    def emit(self) -> None:
        """Bring the books that somebody follows up to date: what the fast class of streams and a REST depth show from now on. O(changes)."""
        for index in self._followers:
            self._books[index].advance()
