"""A relay: the venue with another server behind it, whose public channels it serves under the same `(epoch, seq)`.

So a client may resume on either, and a relay may have a relay behind it.
"""

from collections.abc import Callable, Iterable
from typing import NoReturn

from msgspec.structs import replace

from engine import Event
from stream.access.keys import Key
from stream.commands.results import Reply
from stream.feed.channel import Point
from stream.feed.hub import Refused
from stream.relay.relay_channels import RelayedFeed
from stream.relay.upstream import Upstream, Upstreams
from stream.settings.config import Config
from stream.venue.safeguards import Deadlines, NoStore
from stream.venue.venue import Figure, Opened, Venue
from stream.venue.venue_face import Guarded
from stream.wire.administration import Operation
from stream.wire.candles import ListCandles
from stream.wire.channels import ADMIN_SCOPE, MARKET_SCOPE
from stream.wire.codes import ErrorCode
from stream.wire.fields import Message
from stream.wire.messages import InstrumentTerms, OrderRequest


class Relay(Venue):
    """The public channels of another server, and their clients. Each of `upstreams` must be told about its connection and every message."""

    scopes = frozenset({MARKET_SCOPE, ADMIN_SCOPE})
    refusal = ErrorCode.PUBLIC_ONLY

    def __init__(self, config: Config, keys: list[Key], now: int) -> None:
        self.feed = RelayedFeed(config)
        super().__init__(config, keys, self.feed, now)
        self.deadlines = Deadlines(NoStore({}))
        self.upstreams = Upstreams(config, self.feed, now)
        self.stale_since = now
        self._begun = False
        self._accounts: dict[str, int] = {}    # a number for each subject, whose connections are counted

    @property
    def upstream(self) -> Upstream:
        """The first connection, which knows of all instruments."""
        return self.upstreams[0]    # type: ignore[no-any-return]

    @property
    def begun(self) -> bool:
        """Whether every channel has been there once."""
        return self._begun

    @property
    def failure(self) -> str:
        return self.upstreams.failure

    def point(self, now: int) -> Point:
        """Where the latest frame came to. Each channel has a point of its own."""
        return Point(self.feed.epoch, self.feed.seq, 0, now)

    def instrument_terms(self) -> list[InstrumentTerms]:
        """The other server's terms of every instrument whose channels are here."""
        phases = ((terms, self.feed.phase_of(name)) for name, terms in self.upstream.terms.items())
        return [terms if terms.phase == phase else replace(terms, phase=phase) for terms, phase in phases if phase]

    def terms_of(self, instrument: str) -> InstrumentTerms | None:
        """The other server's terms of an instrument, None if they are not here."""
        return self.upstream.terms.get(instrument)

    def tick(self, now: int) -> int:
        """Ask for what is missing, tell clients whether anything is, and send what is due. Returns when the next tick is due, in ns."""
        due = self.upstreams.tick(now)
        self._begun = self._begun or self.upstreams.follows
        self.tell_stale(self.upstreams.stale_since(now) if self._begun else self.stale_since)
        return min(due, self._send(now))

    def list_candles(self, request: ListCandles, now: int, done: Callable[[Message], None]) -> None:
        """Ask the other server, which has kept them since before this relay began. Raises Refused if it cannot be asked now."""
        self.upstream.ask(request, done, now)

    def figures(self) -> Iterable[Figure]:
        """What the relay tells of the other server."""
        yield Figure("deltabook_upstream_connections", "Connections to the upstream so far", self.upstreams.total("links"), counter=True)
        yield Figure("deltabook_upstream_frames", "Frames of the upstream", self.upstreams.total("frames"), counter=True)
        yield Figure("deltabook_upstream_recoveries", "Channels asked for again after gaps or wrong digests", self.upstreams.total("recoveries"), counter=True)
        yield Figure("deltabook_upstream_complete_time_seconds", "When all that the upstream had told was here", self.upstreams.complete_at / 10**9)

    # What it cannot do

    def open_account(self, subject: str, now: int, opened: Opened) -> None:
        """A number by which a subject's connections are counted."""
        if subject not in self._accounts and len(self._accounts) >= self.config.accounts_max:
            opened(None, ErrorCode.TOO_MANY_ACCOUNTS)
        else:
            opened(self._accounts.setdefault(subject, len(self._accounts)), ErrorCode.INTERNAL)

    def submit(self, account: int, request: OrderRequest, now: int, done: Reply) -> NoReturn:
        """Refused."""
        raise Refused(self.refusal)

    def operate(self, request: Operation, now: int, done: Reply) -> NoReturn:
        """Refused."""
        raise Refused(self.refusal)

    def explain(self, request: OrderRequest, event: Event) -> str:
        """There is nothing to explain."""
        return self.refusal.text

    def is_open(self, order: int) -> bool:
        """There are no orders."""
        return False

    def guard(self, session: Guarded, now: int) -> None:
        """There is nothing to cancel."""

