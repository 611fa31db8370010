"""What a session needs of the market behind it."""

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
from stream.venue.load import Load
from stream.venue.safeguards import Deadlines, Guard
from stream.wire.codes import ErrorCode
from stream.wire.fields import Message
from stream.wire.messages import AdminRequest, CancelOnDisconnect, DeadMan, InstrumentTerms, OrderRequest


class Guarded(Protocol):
    """A connection, with what it asked for in case it ends."""

    number: int
    account: int
    guard: Guard


class Market(Protocol):
    """What a session needs of the market behind it."""

    config: Config
    hub: Hub
    authenticator: Authenticator
    name: str
    limits: Limits
    load: Load
    deadlines: Deadlines
    traffic: Traffic
    instrument_list: InstrumentList
    scopes: frozenset[str]
    """What can be asked for here."""
    refusal: ErrorCode
    """What is said to who asks for anything else."""
    wall_time: Callable[[int], int]
    """What the clock on the wall says at a time of ours, in ns since 1970."""
    stale_since: int
    """Until when, in ns since 1970, what is shown is known to be complete, while it may have fallen behind; 0 while it has not."""

    def point(self, now: int) -> Point:
        """Where the history stands."""
        ...

    def instrument_terms(self) -> list[InstrumentTerms]:
        """The terms of every instrument."""
        ...

    def open_account(self, subject: str, now: int, opened: Callable[[int | None, ErrorCode], None]) -> None:
        """Find a subject's account, or open one; then call `opened` with its number, or with None and why there is none."""

    def submit(self, account: int, request: OrderRequest, now: int, done: Callable[[Result | None, Event | None], None]) -> None:
        """Have a command run; then call `done` with what became of it, and its outcome unless it had run before. Refused if it cannot be taken.

        `done` gets nothing if the disk failed before the outcome was known.
        """

    def explain(self, request: OrderRequest, event: Event) -> str:
        """Why the engine refused a command, and what was expected."""
        ...

    def administer(self, who: str, request: AdminRequest, now: int, say: Callable[[Message], None]) -> None:
        """Carry out what an administrator asks, and say the reply."""

    def admit_guard(self, session: Guarded, request: CancelOnDisconnect | DeadMan, time_ms: int) -> None:
        """Refused if a session asks for a longer time than it may, or for what cannot be remembered because the disk is nearly full."""

    def is_open(self, order: int) -> bool:
        """Whether an order is open, or waits for its price."""
        ...

    def guard(self, session: Guarded, now: int) -> None:
        """Do what a session that has ended asked for in that case."""

    def owes(self, session: Outbox) -> None:
        """Note that a session is owed frames that did not fit into one write."""
