"""A venue serves clients, wherever its channels come from. It holds all connections and what they share. Takes the time as an argument.

Behind a `Market` there is an exchange, behind a `Relay` another server. The server, its pages and its metrics need no more than this class.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from heapq import nsmallest
from importlib.metadata import version
from typing import NamedTuple

from engine import Event
from stream.access.auth import Authenticator
from stream.access.keys import Key
from stream.commands.directory import ClosedConnection, ClosedSubject
from stream.commands.results import Reply
from stream.feed.channel import Channels, Point
from stream.feed.delivery import Outbox, Traffic
from stream.feed.hub import Hub, Refused
from stream.feed.self_audit import SelfAudit
from stream.settings.config import Config
from stream.settings.histogram import Histogram
from stream.settings.schedule import Schedule
from stream.venue.admin import Administration
from stream.venue.announcements import Announcement
from stream.venue.instrument_list import InstrumentList
from stream.venue.limits import Limits
from stream.venue.load_shedding import LoadShedding
from stream.venue.requests import RequestHandler
from stream.venue.safeguards import Deadlines
from stream.venue.session import Session
from stream.venue.trader import Trader
from stream.venue.venue_face import Guarded
from stream.wire.administration import AdminRequest, ListConnections, Operation, PhaseChange
from stream.wire.candles import ListCandles
from stream.wire.codec import Codec, Shared
from stream.wire.codes import CloseCode, ErrorCode
from stream.wire.fields import Message
from stream.wire.history import HistoryRequest
from stream.wire.messages import CancelOnDisconnect, ConnectionStatus, DeadMan, InstrumentTerms, Leaving, OrderRequest, Pacing, Stale, Standing
from stream.wire.queue_position import AskQueuePosition, QueuePosition
from stream.wire.times import MILLISECOND

HOUSEKEEPINGS_PER_S = 10

Opened = Callable[[int | None, ErrorCode], None]
"""Called with a subject's account, or None and why there is none."""


class Figure(NamedTuple):
    """A metric of a venue: a counter, or a value that may rise and fall."""

    name: str
    meaning: str
    value: float
    counter: bool = False


class Venue(ABC):
    """Channels and their clients. If it may have fallen behind, `stale_since` is the time up to which it is complete; otherwise it is 0."""

    deadlines: Deadlines
    scopes: frozenset[str]
    """What can be asked for here."""
    refusal = ErrorCode.INTERNAL
    """The text of the refusal of any other channel."""

    def __init__(self, config: Config, keys: list[Key], feed: Channels, now: int) -> None:
        self.config = config
        self.schedule = Schedule(config.schedule)
        self.name = f"deltabook/{version('deltabook')}"
        self.authenticator = Authenticator(keys, config)
        self.hub = Hub(feed, config)
        self.audit = SelfAudit(self.hub, feed, config.audit_interval_ms)
        self.limits = Limits(config, now)
        self.load_shedding = LoadShedding(config, now)
        self.sessions: set[Session] = set()
        self._unchecked: list[Session] = []
        self.requests = RequestHandler(self)
        self._owed: set[Outbox] = set()    # frames that did not fit into one write
        self.traffic = Traffic()
        self.instrument_list = InstrumentList()
        self.lags = Histogram()
        self.ticks = Histogram()
        self.connections_opened = 0
        self._numbers_from = 0    # of connections: they are those of no other process of the market
        self.stale_since = 0
        self.wall_time: Callable[[int], int] = lambda now: now    # the wall clock at a time of our clock: tokens are valid or not by it

    # What it shows

    @property
    def begun(self) -> bool:
        """Whether there is anything to show yet."""
        return True

    @property
    def low(self) -> bool:
        """Whether the disk is so full that only requests that reduce open orders are written."""
        return False

    @property
    def failure(self) -> str:
        """Why no request can be carried out any more, "" if requests can."""
        return ""

    @abstractmethod
    def point(self, now: int) -> Point:
        """Where the history stands."""

    @abstractmethod
    def instrument_terms(self) -> list[InstrumentTerms]:
        """The terms of every instrument."""

    @abstractmethod
    def terms_of(self, instrument: str) -> InstrumentTerms | None:
        """The terms of an instrument, None if they are not known here. O(1)."""

    @abstractmethod
    def list_candles(self, request: ListCandles, now: int, done: Callable[[Message], None]) -> None:
        """Call `done` with candles of an instrument. Refused if there is no such instrument, or if they cannot be had at the moment."""

    @abstractmethod
    def figures(self) -> Iterable[Figure]:
        """Its own metrics, besides those that all venues have."""

    @abstractmethod
    def tick(self, now: int) -> int:
        """Do and send what is due. Returns when the next tick is due, in ns."""

    def _send(self, now: int) -> int:
        """Send what is due. Returns when the next sending is due, in ns."""
        owed, self._owed = self._owed, set()
        for session in self.sessions & owed:
            if session.writable:
                session.resume_writing(now)    # what did not fit into the last write
        at = self.point(now)
        self.audit.tick(at)
        due = self.hub.flush(at)
        return now if self._owed else due

    # What can be asked of it

    @abstractmethod
    def open_account(self, subject: str, now: int, opened: Opened) -> None:
        """Find a subject's account, or open one; then call `opened` with its number."""

    @abstractmethod
    def submit(self, account: int, request: OrderRequest, now: int, done: Reply) -> None:
        """Have a command run; then call `done` with what became of it. Refused if it cannot be taken."""

    def enter(self, trader: Trader, payload: bytes, now: int) -> bool:
        """Take a request about an order that is still bytes; False if it has to be submitted."""
        return False

    def hand_over(self, now: int) -> bool:
        """Have run what has entered. Returns whether the rest of a tick is due too."""
        return True

    @abstractmethod
    def explain(self, request: OrderRequest, event: Event) -> str:
        """Why the engine refused a command, and what was expected."""

    @abstractmethod
    def is_open(self, order: int) -> bool:
        """Whether an order is open or waits for its trigger."""

    def list_history(self, account: int, request: HistoryRequest, done: Callable[[Message], None]) -> None:
        """Call `done` with a page of what an account has done. Refused if there is no history here."""
        raise Refused(ErrorCode.NO_HISTORY)

    def queue_position(self, account: int, request: AskQueuePosition) -> QueuePosition:
        """The place of an account's order in its queue. Refused if there are no accounts here."""
        raise Refused(self.refusal)

    def admit_guard(self, session: Guarded, request: CancelOnDisconnect | DeadMan, time_ms: int) -> None:
        """Refused if a session asks for a longer time than it may; or if the disk is nearly full, unless it ends what is remembered of an earlier request."""
        if time_ms > self.config.grace_s_max * 1000:
            raise Refused(ErrorCode.TOO_LONG, f"{time_ms} ms: expected at most {self.config.grace_s_max} seconds")
        if isinstance(request, DeadMan):
            takes_back = not request.timeout_ms and self.deadlines.has_dead_man(session.account)
        else:
            takes_back = request.scope == "off" and self.deadlines.has_guard(session.account, session.number)
        if self.low and not takes_back:
            raise Refused(ErrorCode.DISK_NEARLY_FULL)

    @abstractmethod
    def guard(self, session: Guarded, now: int) -> None:
        """Carry out what a session asked for in case that it ends, because it has ended."""

    @abstractmethod
    def operate(self, request: Operation, now: int, done: Reply) -> None:
        """Have a command of an administrator run; then call `done` with what became of it. Refused if it cannot be taken."""

    def administer(self, who: str, request: AdminRequest, now: int, say: Callable[[Message], None]) -> None:
        """Carry out the request of an administrator, and send the reply."""
        Administration(self).answer(who, request, now, say)

    def announce(self, said: Announcement, done: Callable[[bool], None]) -> None:
        """Have every process of the market act on what an administrator says; call `done` when that is certain, with False if nobody knows."""
        done(True)    # first, since the administrator's own connection may be one of those that are closed
        self.act(said)

    def act(self, said: Announcement) -> None:
        """Close the connections to this process that an administrator's words concern."""
        for session in list(self.sessions):
            if said.about in (ClosedSubject(session.subject), ClosedConnection(session.number)):
                session.close(CloseCode.DISCONNECTED, "closed by an administrator")
        self.close_revoked()

    def list_connections(self, request: ListConnections, now: int, listed: Callable[[list[ConnectionStatus], list[str]], None]) -> None:
        """Call `listed` with those who are connected to any process of the market, and the names of the processes that did not say."""
        listed(self.connections(request.after, request.count), [])

    def phase_changes(self, now: int) -> list[PhaseChange]:
        """When the phases of instruments change next, the earliest first."""
        listed = [terms.name for terms in self.instrument_terms() if terms.phase != "delisted"]
        changes = [PhaseChange(name, *change) for name, change in self.schedule.upcoming(listed, now).items()]
        return sorted(changes, key=lambda change: (change.time, change.instrument))

    def connections(self, after: int, count: int) -> list[ConnectionStatus]:
        """Who is connected here, from the first number above `after`. O(all connections)."""
        later = (session for session in self.sessions if session.number > after)
        return [_status(session) for session in nsmallest(count, later, key=lambda session: session.number)]

    # Connections

    def connect(self, codec: Codec, now: int, address: str = "") -> Session:
        """A new connection's session."""
        self.connections_opened += 1
        session = Session(self, codec, self._numbers_from + self.connections_opened, address, now, self.requests.answer)
        self.sessions.add(session)
        return session

    def disconnect(self, session: Session, now: int) -> None:
        """The connection is gone."""
        self.sessions.discard(session)
        session.end(now)

    def owes(self, session: Outbox) -> None:
        """Note that a session still has to send frames that did not fit into one write."""
        self._owed.add(session)

    def _tell(self, message: Message) -> None:
        shared = Shared(message)
        for session in self.sessions:
            session.push(shared)

    def observe_lag(self, lag: int, now: int) -> None:
        """Take in how late the event loop is, in ns; under load, slow down and tell everybody."""
        self.lags.observe(lag)
        if self.load_shedding.observe(lag, now):
            self.hub.pace.floor = self.load_shedding.interval_ms * MILLISECOND
            self._tell(Pacing(self.load_shedding.interval_ms))

    def tell_stale(self, since: int) -> None:
        """What is shown may have fallen behind, and is complete up to `since`; 0: it no longer may."""
        if since != self.stale_since:
            self.stale_since = since
            self._tell(Stale(since))

    def keep_house(self, now: int) -> None:
        """Close what has lasted too long, forget what nobody can resume. Called ten times a second, looks at each session once a second or so."""
        if not self._unchecked:
            self._unchecked = list(self.sessions)
            self.authenticator.revocations.forget(self.wall_time(now) / 10**9)
            self.forget_what_is_over(now)
            self.limits.forget(now)
        left = len(self.sessions) // HOUSEKEEPINGS_PER_S + 1
        while self._unchecked and left:
            session = self._unchecked.pop()
            if session in self.sessions:    # or its connection is gone by now
                session.check_time(now)
                left -= 1

    def forget_what_is_over(self, now: int) -> None:
        """Keep no longer the events of accounts whose clients have not come back in time, nor what else can matter no more."""
        self.hub.forget_accounts(now)

    def leave(self) -> None:
        """Tell everybody that the server is leaving; each is closed as soon as it has what it was owed."""
        self._tell(Leaving(self.config.return_window_ms))
        for session in self.sessions:
            session.leave()

    def close_revoked(self) -> None:
        """Close the connections whose token has been revoked."""
        for session in list(self.sessions):
            session.check_token()


def _status(session: Session) -> ConnectionStatus:
    """How a connection and its subscriptions stand."""
    standings = []
    for name, subscription in session.subscriptions.items():
        terms, last = subscription.in_force, subscription.conflation.channel.seq
        standings.append(Standing(
            channel=str(name), depth=terms.depth, interval_ms=terms.interval_ms, seq=subscription.seq, behind=max(0, last - subscription.seq),
            catch_ups=subscription.catch_ups,
        ))
    return ConnectionStatus(
        connection=session.number, subject=session.subject, address=session.address, opened=session.opened_at, heard=session.heard_at,
        stalled=not session.writable, waiting_bytes=session.out_bytes, messages=session.messages_received, subscriptions=standings,
    )
