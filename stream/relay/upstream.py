"""A relay's side of the protocol with the server that it relays: what it asks for, and whether it is complete. Takes messages and the time, never a socket.

It follows every channel of every instrument in full, over as many connections as needed; each connection has a share of the channels. If a channel cannot
be followed, after a gap or with a wrong digest, it is requested again; what is here stays as it is meanwhile. As soon as a channel is not followed, or
nothing is heard, the relay does not count as complete.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from msgspec import structs

from stream.client.allowance import Allowance, cost_of
from stream.feed.hub import Refused
from stream.relay.relay_channels import RelayedFeed
from stream.settings.config import Config
from stream.wire.candles import CandlePage, ListCandles
from stream.wire.channels import BY_ORDER, parse
from stream.wire.codes import ErrorCode
from stream.wire.fields import Message
from stream.wire.frames import Book, MarketByOrder, Ticker, Trades
from stream.wire.messages import Answer, Error, Instruments, InstrumentTerms, ListInstruments, Ping, Stale, Subscribe, Subscribed, Unsubscribed
from stream.wire.mirror import Verdict
from stream.wire.times import MILLISECOND, NEVER

log = logging.getLogger("deltabook")

RECOVERY = 1000 * MILLISECOND
"""The shortest time before a channel is asked for again, so that a server that is always wrong is not flooded."""

LIST_AGAIN = 10_000 * MILLISECOND
"""How often the instruments are asked for: there may be new ones, and their terms may have changed."""

PINGS_WITHIN_STALE = 4
"""So often a server that is silent is asked for a sign of life before it counts as gone."""


class Asked(NamedTuple):
    """A request of a client that is passed on."""

    id: int
    done: Callable[[Message], None]


class Upstream:
    """Follows a share of the channels of `feed`: that of the connection with this `number`, from 0. `complete_at` is when it last held all that the other
    server had told, in ns; `wanted`, how many connections it takes for all.
    """

    def __init__(self, config: Config, feed: RelayedFeed, now: int, number: int = 0) -> None:
        self._feed = feed
        self._number = number
        self.wanted = 1
        self._allowance = Allowance(None, now)
        self._costs: dict[int, int] = {}    # of the requests without an answer, by id
        self._interval_ms = config.upstream_interval_ms
        self._patience = config.upstream_stale_ms * MILLISECOND
        self.terms: dict[str, InstrumentTerms] = {}
        self.complete_at = now
        self._say: Callable[[Message], None] | None = None    # while there is a connection
        self._id = 0
        self._under_way = 0                   # the id of the request that waits for its answer
        self._passed_on: dict[int, Asked] = {}    # by our own id
        self._listed = False
        self._list_at = now
        self._share: set[str] = set()        # its channels
        self.to_ask: dict[str, bool] = {}    # channels, and whether to resume
        self.asked: list[str] = []           # those of the request that is under way
        self._answered: set[str] = set()      # those whose next frame will bring them up to date
        self._one_by_one = False              # whether each instrument is asked for alone
        self._by_order = True                 # whether the other server knows of books by order
        self._ask_at = self._heard_at = self._pinged_at = now
        self._asked_at = now - RECOVERY
        self._stale_since = 0    # as the other server says
        self.failure = ""    # why there will be no connection any more
        self.links = self.frames = self.recoveries = 0

    @property
    def follows(self) -> bool:
        """Whether every channel is followed."""
        return self._listed and not self.to_ask and not self.asked and not self._answered

    def stale_since(self, now: int) -> int:
        """Until when what is here is complete, if it may have fallen behind; otherwise 0."""
        return self._stale_since or (self.complete_at if now - self.complete_at >= self._patience else 0)

    def linked(self, say: Callable[[Message], None], now: int, allowance: Allowance | None = None) -> None:
        """There is a connection; `say` is how to use it, and `allowance` what may be said."""
        self.links += 1
        self._allowance = allowance or Allowance(None, now)
        self._costs = {}
        self._say = say
        self._under_way = 0
        self._listed = False
        self._list_at, self._share = now, set()
        self.to_ask, self.asked, self._answered = {}, [], set()
        self._one_by_one, self._by_order = False, True
        self._ask_at = self._heard_at = self._pinged_at = now
        self._stale_since = 0

    def unlinked(self) -> None:
        """The connection is gone."""
        self._say = None
        self._listed = False
        passed_on, self._passed_on = self._passed_on, {}
        for asked in passed_on.values():
            asked.done(Error(asked.id, ErrorCode.NO_UPSTREAM, ErrorCode.NO_UPSTREAM.text))

    def ask(self, request: ListCandles, done: Callable[[Message], None], now: int) -> None:
        """Pass on the request of a client, and call `done` with the answer. Raises Refused if there is no connection, or if there is too much to ask."""
        if not self._say:
            raise Refused(ErrorCode.NO_UPSTREAM)
        if self._allowance.wait(now, self._allowance.messages_burst // 2):
            raise Refused(ErrorCode.TOO_MANY_WAITING)
        self._passed_on[self._id + 1] = Asked(request.id, done)
        self._send(type(request), *structs.astuple(request)[1:])

    def receive(self, message: Answer, now: int) -> None:
        """A message of the other server."""
        self._heard_at = now
        self._allowance.answered(self._costs.pop(getattr(message, "id", 0), 0), now)
        match message:
            case Instruments():
                self._under_way = 0
                self._list(message.instruments)
                self._list_at = now + LIST_AGAIN
            case Subscribed():
                self._answered |= {entry.channel for entry in message.channels if entry.recovered != "none"}
                self._under_way = 0
                self.asked = []
            case CandlePage() | Error() if message.id in self._passed_on:
                asked = self._passed_on.pop(message.id)
                asked.done(structs.replace(message, id=asked.id))
            case Error() if message.id == self._under_way:
                self._refused(message, now)
            case Unsubscribed():
                self.to_ask |= dict.fromkeys(message.channels, True)    # the token does not allow them any more: the answer says so
            case Stale():
                self._stale_since = message.since
            case Book() | MarketByOrder() | Trades() | Ticker():
                self._follow(message, now)
        if self.follows and not self._stale_since:
            self.complete_at = now

    def tick(self, now: int) -> int:
        """Do what is due; when something is again, in ns."""
        if self._say:
            if now >= self._ping_at:
                self._pinged_at = now
                if not self._allowance.wait(now):
                    self._send(Ping)
            self._ask(now)
            self._list_again(now)
        stale_at = self.complete_at + self._patience
        return min(
            stale_at if stale_at > now else NEVER,
            self._ping_at if self._say else NEVER,
            self._ask_at if self._asks else NEVER,
            self._list_at if self._say and self._listed and not self._under_way else NEVER,
        )

    @property
    def _ping_at(self) -> int:
        return max(self._heard_at, self._pinged_at) + self._patience // PINGS_WITHIN_STALE

    @property
    def _asks(self) -> bool:
        """Whether there is something to ask for, and nothing under way."""
        return bool(self._say and not self._under_way and (self.to_ask or not self._listed))

    def _list_again(self, now: int) -> None:
        """Ask which instruments there are by now, if it is time and the allowance leaves room for it."""
        if self._listed and not self._under_way and not self.to_ask and now >= self._list_at:
            self._list_at = now + LIST_AGAIN
            if not self._allowance.wait(now):
                self._under_way = self._send(ListInstruments)

    def _send(self, kind: Callable[..., Message], *fields: object) -> int:
        """Send a request; its id."""
        assert self._say
        self._id += 1
        message = kind(self._id, *fields)
        self._costs[self._id] = cost_of(message)
        self._allowance.sent(self._costs[self._id])
        self._say(message)
        return self._id

    def _list(self, instruments: list[InstrumentTerms]) -> None:
        self.terms = {terms.name: terms for terms in instruments}
        for name in self.terms:
            self._feed.add(name)
        channels = [name for name in self._feed.all if self._by_order or parse(name).kind != BY_ORDER]
        most = self._allowance.subscriptions_max
        self.wanted = max(1, -(-len(channels) // most))
        share = channels[self._number * most : (self._number + 1) * most]
        self.to_ask |= {name: True for name in share if name not in self._share}
        self._share = set(share)
        self._listed = True

    def _ask(self, now: int) -> None:
        """Ask what instruments there are, or for the next channels."""
        if not self._asks or now < self._ask_at:
            return
        wait = self._allowance.wait(now)
        if wait:
            self._ask_at = now + wait
            return
        if not self._listed:
            self._under_way = self._send(ListInstruments)
        else:
            self._asked_at = now
            self.asked = next(self._allowance.parts(self._next_channels(), resumed=True))
            resume = {name: self._feed.all[name].mirror.resume for name in self.asked if self.to_ask.pop(name)}
            self._under_way = self._send(Subscribe, self.asked, 0, self._interval_ms, {name: point for name, point in resume.items() if point})

    def _next_channels(self) -> list[str]:
        """The channels to ask for next: all, or those of one instrument."""
        channels = list(self.to_ask)
        if self._one_by_one:
            instrument = parse(channels[0]).instrument
            channels = [channel for channel in channels if parse(channel).instrument == instrument]
        return channels

    def _refused(self, error: Error, now: int) -> None:
        """Ask again later. One instrument that is there no longer must not keep the others waiting: from then on each is asked for alone.

        A server of an earlier version knows nothing of books by order: they are not asked for again.
        """
        log.warning("the upstream refused a request", extra={"code": error.code, "reason": error.message})
        self.to_ask |= dict.fromkeys(self.asked, True)
        self.asked, self._under_way = [], 0
        if error.code == ErrorCode.TOO_MANY_REQUESTS:
            self._allowance.exhausted(now)
        at_once = False
        if error.code == ErrorCode.UNKNOWN_CHANNEL and self._by_order:
            at_once, self._by_order = True, False
            self.to_ask, self._share = {}, set()
            self._list(list(self.terms.values()))
        elif error.code == ErrorCode.UNKNOWN_INSTRUMENT and not self._one_by_one:
            at_once = self._one_by_one = True
        self._ask_at = now if at_once else now + RECOVERY

    def _follow(self, frame: Book | MarketByOrder | Trades | Ticker, now: int) -> None:
        if frame.channel not in self._feed.all:
            return
        self.frames += 1
        verdict = self._feed.apply(frame)
        if verdict not in (Verdict.GAP, Verdict.MISMATCH):
            self._answered.discard(frame.channel)
        elif frame.channel not in self.to_ask and frame.channel not in self.asked:
            self.recoveries += 1
            found = {"channel": frame.channel, "verdict": verdict.name.lower(), "prev": frame.prev, "seq": frame.seq}
            log.warning("the frames of the upstream do not fit together", extra=found)
            self._answered.discard(frame.channel)
            self.to_ask[frame.channel] = verdict is Verdict.GAP
            self._ask_at = max(now, self._asked_at + RECOVERY)


class Upstreams(Sequence[Upstream]):
    """All connections to the server that is relayed, as many as its channels take."""

    def __init__(self, config: Config, feed: RelayedFeed, now: int) -> None:
        self._config = config
        self._feed = feed
        self._all = [Upstream(config, feed, now)]

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, number: Any) -> Any:
        return self._all[number]

    def tick(self, now: int) -> int:
        """Do what is due on each, and take as many as are wanted; when something is due again, in ns."""
        wanted = self._all[0].wanted
        self._all[wanted:] = [Upstream(self._config, self._feed, now, number) for number in range(len(self._all), wanted)]
        return min(upstream.tick(now) for upstream in self._all)

    @property
    def follows(self) -> bool:
        """Whether every channel is followed."""
        return len(self._all) >= self._all[0].wanted and all(upstream.follows for upstream in self._all)

    def stale_since(self, now: int) -> int:
        """Until when what is here is complete, if it may have fallen behind; otherwise 0."""
        return min((since for upstream in self._all if (since := upstream.stale_since(now))), default=0)

    @property
    def failure(self) -> str:
        """Why there will be no connection any more; "" if there is no reason."""
        return next((upstream.failure for upstream in self._all if upstream.failure), "")

    def total(self, figure: Literal["links", "frames", "recoveries"]) -> int:
        """A count over all connections."""
        return sum(getattr(upstream, figure) for upstream in self._all)

    @property
    def complete_at(self) -> int:
        """When all that the other server had told was here, in ns."""
        return min(upstream.complete_at for upstream in self._all)
