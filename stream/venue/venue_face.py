"""What a session needs from the venue that it belongs to."""

from collections.abc import Callable
from typing import Protocol

from engine import Event
from stream.access.auth import Authenticator
from stream.commands.results import Result
from stream.feed.channel import Point
from stream.feed.delivery import Outbox, Traffic
from stream.feed.hub import Hub
from stream.settings.config import Config
from stream.venue.instrument_list import InstrumentList
from stream.venue.limits import Limits
from stream.venue.load_shedding import LoadShedding
from stream.venue.safeguards import Deadlines, Guard
from stream.venue.trader import Trader
from stream.wire.administration import AdminRequest
from stream.wire.candles import ListCandles
from stream.wire.codes import ErrorCode
from stream.wire.fields import Message
from stream.wire.history import HistoryRequest
from stream.wire.messages import CancelOnDisconnect, DeadMan, InstrumentTerms, OrderRequest
from stream.wire.queue_position import AskQueuePosition, QueuePosition


class Guarded(Protocol):
    """A connection, and what is to happen when it ends."""

    number: int
    account: int
    guard: Guard


class VenueFace(Protocol):
    """A venue, as its sessions see it."""

    config: Config
    hub: Hub
    authenticator: Authenticator
    name: str
    limits: Limits
    load_shedding: LoadShedding
    deadlines: Deadlines
    traffic: Traffic
    instrument_list: InstrumentList
    scopes: frozenset[str]
    """What can be asked for here."""
    refusal: ErrorCode
    """The text of the refusal of any other channel."""
    wall_time: Callable[[int], int]
    """The time on the wall clock at a time of the venue's clock, in ns since 1970."""
    stale_since: int
    """If the venue may have fallen behind: the time up to which it is known to be complete, in ns since 1970. Otherwise 0."""

    def point(self, now: int) -> Point:
        """Where the history stands."""
        ...

    def instrument_terms(self) -> list[InstrumentTerms]:
        """The terms of every instrument."""
        ...

    def terms_of(self, instrument: str) -> InstrumentTerms | None:
        """The terms of an instrument, None if they are not known here. O(1)."""
        ...

    def list_candles(self, request: ListCandles, now: int, done: Callable[[Message], None]) -> None:
        """Call `done` with candles of an instrument. Raises Refused if there is no such instrument, or if they cannot be had at the moment."""

    def open_account(self, subject: str, now: int, opened: Callable[[int | None, ErrorCode], None]) -> None:
        """Find a subject's account, or open one. Then call `opened` with its number, or with None and the reason why there is none."""

    def submit(self, account: int, request: OrderRequest, now: int, done: Callable[[Result | None, Event | None], None]) -> None:
        """Have a command run. Then call `done` with its result, and with its outcome unless it had run before. Raises Refused if it cannot be taken.

        `done` gets nothing if the disk failed before the outcome was known.
        """

    def enter(self, trader: Trader, payload: bytes, now: int) -> bool:
        """Take a request about an order that is still bytes; False if it has to be submitted."""
        ...

    def explain(self, request: OrderRequest, event: Event) -> str:
        """Why the engine refused a command, and what was expected."""
        ...

    def list_history(self, account: int, request: HistoryRequest, done: Callable[[Message], None]) -> None:
        """Call `done` with a page of what an account has done. Raises Refused if there is no history here."""

    def queue_position(self, account: int, request: AskQueuePosition) -> QueuePosition:
        """The place of an account's order in its queue. Raises Refused if the account has no such open order, or it is in no queue that is shown."""
        ...

    def administer(self, who: str, request: AdminRequest, now: int, say: Callable[[Message], None]) -> None:
        """Carry out the request of an administrator, and send the reply."""

    def admit_guard(self, session: Guarded, request: CancelOnDisconnect | DeadMan, time_ms: int) -> None:
        """Raises Refused if a session asks for a longer time than is allowed, or for something that cannot be stored because the disk is nearly full."""

    def is_open(self, order: int) -> bool:
        """Whether an order is open or waits for its trigger."""
        ...

    def guard(self, session: Guarded, now: int) -> None:
        """Carry out what a session asked for in case that it ends, because it has ended."""

    def owes(self, session: Outbox) -> None:
        """Note that a session still has to send frames that did not fit into one write."""
