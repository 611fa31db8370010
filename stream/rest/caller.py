"""Who asks over HTTP: an address and a token, and the session of the venue that speaks for them.

HTTP has no connection that lasts, but limits and tokens are those of one. So requests of one address with one token share a session, which is kept for a while.
"""

from collections import deque
from typing import Any, NamedTuple

from stream.access.claims import Claims
from stream.rest.endpoints import Then
from stream.venue.session import Session
from stream.venue.venue import Venue
from stream.wire.codec import MSGPACK
from stream.wire.fields import Message
from stream.wire.framing import BINARY, frames_in, payload_of
from stream.wire.messages import Error, Subscribe, Subscribed, Unsubscribe


class Look(NamedTuple):
    """A look at a channel: one that is subscribed until its state has come."""

    id: int
    channel: str
    depth: int
    then: Then


class Caller:
    """One address with one token. `then` of each request is called once: with its answer, or with why none comes."""

    def __init__(self, venue: Venue, claims: Claims | None, address: str, now: int) -> None:
        self.used_at = now
        self._asked: dict[int, Then] = {}
        self._looks: deque[Look] = deque()
        self._last_id = 0
        self.session: Session = venue.connect(MSGPACK, now, address)
        self.session.begin(now, claims)

    @property
    def waits(self) -> bool:
        """Whether an answer is still to come."""
        return bool(self._asked)

    def ask(self, kind: type[Message], fields: dict[str, Any], then: Then, now: int) -> None:
        """Send a request."""
        self._last_id += 1
        self._asked[self._last_id] = then
        self._send(kind(**{"id": self._last_id} | fields), now)
        self.read(now)

    def look(self, channel: str, depth: int, then: Then, now: int) -> None:
        """Ask for the state of a channel as it is now."""
        self._last_id += 1
        self._asked[self._last_id] = then
        self._looks.append(Look(self._last_id, channel, depth, then))
        if len(self._looks) == 1:
            self._begin_look(now)
        self.read(now)

    def _begin_look(self, now: int) -> None:
        look = self._looks[0]
        self._send(Subscribe(look.id, [look.channel], look.depth, 0), now)

    def _send(self, message: Message, now: int) -> None:
        payload = MSGPACK.encode(message)
        session = self.session
        self.used_at = session.heard_at = session.opened_at = now    # else it would end as one that says nothing
        over = session.charge(len(payload), now)
        if session.admit(payload):
            session.ended()
            session.receive(payload, now, over)

    def read(self, now: int) -> None:
        """Take in what the session was told."""
        while self.session.out:
            for frame in frames_in(self.session.take_out()):
                if frame[0] & 0x0F == BINARY:
                    self._take(MSGPACK.decode_answer(payload_of(frame)), now)
        if self.session.closed:
            code, reason = self.session.closed
            asked, self._asked = self._asked, {}
            for then in asked.values():
                then(Error(0, code, reason or code.text))

    def _take(self, message: Any, now: int) -> None:
        channel = getattr(message, "channel", "")
        id = getattr(message, "id", 0)
        if self._looks and ((channel == self._looks[0].channel and message.prev is None) or (id == self._looks[0].id and isinstance(message, Error))):
            look = self._looks.popleft()
            if channel:
                self.session.receive(MSGPACK.encode(Unsubscribe(look.id, [channel])), now, "")
            self._answer(look.id, message)
            if self._looks:
                self._begin_look(now)
        elif id in self._asked and not isinstance(message, Subscribed):
            self._answer(id, message)

    def _answer(self, id: int, message: Any) -> None:
        then = self._asked.pop(id, None)
        if then:
            then(message)
