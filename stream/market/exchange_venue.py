"""A venue that shows an exchange, wherever the exchange's commands come from: its books, and each account's orders and balances. It runs no command."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence

from engine import Event
from stream.access.keys import Key
from stream.account_history.recorder import Question
from stream.commands.directory import AccountOf, Directory, Entry
from stream.feed.candle_pages import page_of
from stream.feed.channel import PHASES, SIDES, Point
from stream.feed.feed import Feed
from stream.feed.hub import Refused
from stream.journal.format import Buffer
from stream.market.history import History
from stream.settings.config import Config
from stream.venue.refusals import explain
from stream.venue.venue import Figure, Venue
from stream.wire.candles import ListCandles
from stream.wire.codes import ErrorCode
from stream.wire.fields import Message
from stream.wire.messages import InstrumentTerms, OrderRequest
from stream.wire.queue_position import AskQueuePosition, QueuePosition


class ExchangeVenue(Venue):
    """The clients of an exchange. It begins with `history`. `now` is in ns since 1970."""

    def __init__(self, config: Config, keys: list[Key], history: History, now: int) -> None:
        super().__init__(config, keys, history.feed, now)
        self.exchange = history.exchange
        self.feed = history.feed
        self.hub.expect(self.feed.accounts, now)
        self._epoch = history.epoch
        self._engine_time = history.time
        self._terms: list[InstrumentTerms] = []
        self._terms_by_name: dict[str, InstrumentTerms] = {}
        self._terms_at: tuple[Feed, int] | None = None

    @property
    @abstractmethod
    def directory(self) -> Directory:
        """What is remembered beside the exchange's state."""

    def account_of(self, subject: str) -> int:
        """A subject's account. Refused if there is none."""
        account = self.directory.get(AccountOf(subject))
        if not isinstance(account, int):
            raise Refused(ErrorCode.UNKNOWN_SUBJECT)
        return account

    def index_of(self, instrument: str) -> int:
        """The index of an instrument. Raises Refused if there is no instrument of that name."""
        try:
            return self.exchange.book(instrument).index
        except KeyError:
            raise Refused(ErrorCode.UNKNOWN_INSTRUMENT, f"instrument {instrument!r}: there is no instrument of that name") from None

    def explain(self, request: OrderRequest, event: Event) -> str:
        """Why the engine refused a command, and what was expected."""
        return explain(self.exchange, request, event)

    def instrument_terms(self) -> list[InstrumentTerms]:
        """The terms of every instrument: the same list again until any of them changes."""
        at = self.feed, self.feed.terms_changes
        if self._terms_at != at:
            decimals = self.exchange.assets()
            self._terms_at = at
            self._terms = [
                InstrumentTerms(
                    name=each.name, base=each.base, quote=each.quote, tick=format(each.tick, "f"), lot=format(each.lot, "f"),
                    base_decimals=decimals[each.base], quote_decimals=decimals[each.quote],
                    price_max=each.price_max, size_min=each.size_min, size_max=each.size_max, maker_fee=maker_fee, taker_fee=taker_fee,
                    notional_max=each.notional_max, orders_max=each.orders_max, band=book.band,
                    hold_fee=each.hold_fee or max(each.maker_fee, each.taker_fee), day_end=each.day_end, phase=PHASES[book.phase],
                    parts_max=each.parts_max, stops_max=each.stops_max, fills_max=each.fills_max, market_notional=bool(each.market_notional),
                )
                for book in self.exchange.books for each, (maker_fee, taker_fee) in [(book.instrument, book.rates())]
            ]
            self._terms_by_name = {terms.name: terms for terms in self._terms}
        return self._terms

    def terms_of(self, instrument: str) -> InstrumentTerms | None:
        """The terms of an instrument, None if there is none of that name."""
        self.instrument_terms()
        return self._terms_by_name.get(instrument)

    @abstractmethod
    def engine_time(self, time: int) -> int:
        """The time on the clock of the engine that ran the commands, at a time of our clock."""

    def list_candles(self, request: ListCandles, now: int, done: Callable[[Message], None]) -> None:
        """Call `done` with candles of an instrument, as of now. Raises Refused if there is no such instrument. O(log n + candles)."""
        candles = self.feed.candles[self.index_of(request.instrument)]
        done(page_of(request, candles, self.point(now), max(self._engine_time, self.engine_time(now))))

    def queue_position(self, account: int, request: AskQueuePosition) -> QueuePosition:
        """The place of an account's order in its queue. Refused if it has no such open order, or it is in no queue that is shown. O(log n) on average."""
        order = self.exchange.order(request.order)
        if order is None or order.account != account:
            raise Refused(ErrorCode.UNKNOWN_ORDER, f"order {request.order}: the account has no such open order")
        found = self.feed.queue_position(order.instrument, order.order)
        if not found:
            raise Refused(ErrorCode.NOT_QUEUED)
        number, orders_ahead, size_ahead = found
        return QueuePosition(
            id=request.id, seq=self.exchange.seq, order=order.order, number=number, instrument=self.exchange.books[order.instrument].instrument.name,
            side=SIDES[order.side], price=order.price, size=order.displayed, orders_ahead=orders_ahead, size_ahead=size_ahead,
        )

    def is_open(self, order: int) -> bool:
        """Whether an order is open or waits for its trigger."""
        return self.exchange.order(order) is not None

    def point(self, now: int) -> Point:
        """Where the history stands."""
        return Point(self._epoch, self.exchange.seq, self._engine_time, now)

    def figures(self) -> Iterable[Figure]:
        """What the exchange tells of itself."""
        yield Figure("deltabook_sequence", "The engine's sequence", self.exchange.seq)
        yield Figure("deltabook_open_orders", "Open orders", self.exchange.order_count)

    def read_history(self, question: Question) -> None:
        """Have a page of what an account has done read. Raises Refused if there is no history here."""
        raise Refused(ErrorCode.NO_HISTORY)

    def _applied(self, time: int, commands: Buffer, entries: Sequence[Entry]) -> None:
        """A group of commands has run, and what was remembered with it is in the directory."""
        self._engine_time = time
        self.feed.apply(time)
