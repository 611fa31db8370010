"""A market without a socket, for tests that speak the protocol line by line."""

from collections.abc import Sequence
from typing import Any

import msgspec

from stream.access.claims import Claims
from stream.access.keys import key_of
from stream.market.history import History
from stream.market.market import Market
from stream.market.sequencer import JournalFace
from stream.sources import Source
from stream.venue.session import Session
from stream.wire.codec import MSGPACK, Codec
from stream.wire.messages import Login
from tests.setting import CONFIG, SECRET, START, messages_in, token

MILLISECOND = 10**6
BOOK, TRADES, TICKER = "orderbook:BTC-USD", "trades:BTC-USD", "ticker:BTC-USD"


class Desk:
    """One connection to a market, with everything that it was told."""

    def __init__(self, market: "QuietMarket", codec: Codec = MSGPACK, address: str = "", claims: Claims | None = None) -> None:
        self.market = market
        self.codec = codec
        self.session: Session = market.connect(codec, market.now, address)
        self.session.begin(market.now, claims)
        self.id = 0
        self.heard: list[Any] = []
        self.hear()

    def hear(self) -> list[Any]:
        """What came since the last call."""
        data = self.session.take_out()
        heard = [msgspec.convert(message, type(message)) for message in messages_in(data, self.codec)]
        self.heard += heard
        return heard

    def send(self, payload: bytes) -> None:
        """Send a message, as one frame."""
        over = self.session.charge(len(payload), self.market.now)
        if self.session.admit(payload):
            self.session.ended()
            self.session.receive(payload, self.market.now, over)

    def put(self, kind: type[Any], *fields: Any, **named: Any) -> None:
        """Send a request, and others behind it, before the market ticks."""
        self.id += 1
        self.send(self.codec.encode(kind(self.id, *fields, **named)))

    def ask(self, kind: type[Any], *fields: Any, **named: Any) -> list[Any]:
        """Send a request, let the market tick, and return what came."""
        self.put(kind, *fields, **named)
        self.market.tick(self.market.now)
        return self.hear()

    def sign_in(self, subject: str, scope: str = "market account trade") -> "Desk":
        """Sign in with a good token."""
        self.ask(Login, token(subject, self.market.now, scope))
        return self


class QuietMarket(Market):
    """A market whose time stands still until a test moves it."""

    def __init__(
        self, history: History | None = None, journal: JournalFace | None = None, now: int = START, sources: Sequence[Source] = (), **changes: Any,
    ) -> None:
        self.now = now
        super().__init__(msgspec.structs.replace(CONFIG, **changes), [key_of("HS256", SECRET)], sources, now, history, journal)

    def command(self, command: str, *fields: Any, **named: Any) -> None:
        """Run a command that no client may send, by the name of its method."""
        getattr(self.sequencer.ahead, command)(*fields, **named, time=self.now)
        self.sequencer.advance(self.now)

    def pass_time(self, milliseconds: float) -> None:
        """Let time pass, tick by tick as the server would."""
        end = self.now + int(milliseconds * MILLISECOND)
        while True:
            due = self.tick(self.now)
            if due > end:
                break
            self.now = max(self.now + 1, due)
        self.now = end
        self.tick(self.now)
