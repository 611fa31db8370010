"""The batches of a book by orders out of a journal: the very ones that its market sent, with the same public numbers of orders."""

from msgspec.structs import replace as changed

from engine import Exchange
from stream.export.errors import ExportError
from stream.export.exporter import Exporter, Make
from stream.export.order_events import snapshot_of
from stream.export.terms import ExportTerms
from stream.feed.by_order_log import ByOrderLog
from stream.feed.channel import Point
from stream.feed.feed import Feed
from stream.feed.public_channels import FollowedByOrder
from stream.journal.files import Files
from stream.journal.format import Record
from stream.journal.recovery import replay
from stream.journal.snapshots import State
from stream.market.history import feeding
from stream.market.journal_inspection import record_at
from stream.settings.config import Config
from stream.wire.channels import BY_ORDER, ChannelName
from stream.wire.codec import MSGPACK
from stream.wire.frames import MarketByOrder
from stream.wire.framing import payload_of

KEPT = (1 << 32) - 1
"""How many changes the log may hold. It is emptied after each record, so it only ever holds those of one."""


def export_journal(files: Files, folder: str, instrument: str, begin: int, end: int | None, make: Make) -> int:
    """Export what is in a journal from `begin` to `end`, in ns since 1970: the book as it was then, and every batch after that. Returns the number of events.

    It replays the whole journal, beginning with its oldest snapshot. Raises ExportError if the instrument is not there, or what `replay` raises.
    """
    last = None if end is None else record_at(files, folder, end)
    visitor = _Visitor(instrument, record_at(files, folder, begin - 1), last, make)
    try:
        replay(files, folder, last, visitor.visit, from_start=True)
    finally:
        if visitor.exporter:
            visitor.exporter.close()
    if not visitor.exporter:
        raise ExportError(f"{folder}: expected one of the instruments {', '.join(visitor.names) or '(none)'} in this time, got {instrument!r}")
    return visitor.exporter.events


class _Visitor:
    """Follows a replay, and exports from the state after record `first` on."""

    def __init__(self, instrument: str, first: int, last: int | None, make: Make) -> None:
        self.exporter: Exporter | None = None
        self.names: list[str] = []
        self._instrument = instrument
        self._first, self._last = first, last
        self._make = make
        self._feeds: list[Feed] = []
        self._feeding = feeding(changed(Config(), market_by_order_kept=KEPT), self._feeds)
        self._log: ByOrderLog | None = None

    def visit(self, state: State, record: Record | None) -> None:
        """Take in the state after a record."""
        self._feeding(state, record)
        if self._log is None:
            self._begin(state)
        elif self._log.seq > self._log.floor:
            self._tell(self._log)

    def _begin(self, state: State) -> None:
        self.names = [book.instrument.name for book in state.exchange.books]
        channel = self._feeds[0].public.get(str(ChannelName(BY_ORDER, self._instrument)))
        if channel is None or state.seq < self._first or (self._last is not None and state.seq > self._last):
            return
        assert isinstance(channel, FollowedByOrder)
        channel.heard = True
        self._log = channel.log
        self.exporter = self._make(terms_in(state.exchange, self._instrument))
        self.exporter.take(snapshot_of(self._log.queues, state.exchange.seq, state.time), snapshot=True)

    def _tell(self, log: ByOrderLog) -> None:
        frame = log.since(log.floor, Point(epoch=0, seq=log.seq, engine_time=0, now=0))
        assert frame
        assert self.exporter
        told = MSGPACK.decode_answer(payload_of(frame))
        assert isinstance(told, MarketByOrder)
        for batch in told.batches:
            self.exporter.take(batch)
        log.restart(log.queues, log.seq)


def terms_in(exchange: Exchange, instrument: str) -> ExportTerms:
    """The terms of an instrument of an exchange."""
    book = exchange.book(instrument)
    return ExportTerms(book.index + 1, instrument, book.instrument.tick, book.instrument.lot)
