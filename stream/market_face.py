"""What a session needs of the market behind it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from engine import Event
from stream.auth import Authenticator
from stream.config import Config
from stream.delivery import Traffic
from stream.feed import Point
from stream.fields import Message
from stream.hub import Hub
from stream.limits import Limits
from stream.load import Load
from stream.messages import AdminRequest, Cancel, CancelAll, InstrumentTerms, Place, Reduce, Replace
from stream.safeguards import Deadlines

if TYPE_CHECKING:
    from stream.session import Session

OrderRequest = Place | Cancel | Reduce | Replace | CancelAll


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

    def point(self, now: int) -> Point:
        """Where the history stands."""
        ...

    def instrument_terms(self) -> list[InstrumentTerms]:
        """The terms of every instrument."""
        ...

    def open_account(self, subject: str, now: int, opened: Callable[[int | None], None]) -> None:
        """Find a subject's account, or open one; then call `opened` with its number, None if there can be no more."""

    def submit(self, account: int, request: OrderRequest, now: int, done: Callable[[Event, list[Event]], None]) -> None:
        """Put a command into the next group; then call `done` with its outcome and all its events. Refused if the instrument is unknown."""

    def explain(self, request: OrderRequest, event: Event) -> str:
        """Why the engine refused a command, and what was expected."""
        ...

    def waits(self, order: int) -> bool:
        """Whether an order waits for its trigger."""
        ...

    def administer(self, who: str, request: AdminRequest, now: int, say: Callable[[Message], None]) -> None:
        """Carry out what an administrator asks, and say the reply."""

    def guard(self, session: "Session", now: int) -> None:
        """Do what a session that has ended asked for in that case."""

    def owes(self, session: "Session") -> None:
        """Note that a session is owed frames that did not fit into one write."""
