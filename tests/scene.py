"""A conformance vector in the making: a market, somebody who trades in it, and a client of one channel, each of whose frames is at hand."""

from collections.abc import Callable
from typing import Any, NamedTuple
from unittest.mock import patch

from stream.wire.codec import JSON, MSGPACK
from stream.wire.fields import Message
from stream.wire.frames import Balances, Book, Gap, MarketByOrder, Orders, Ticker, Trades
from stream.wire.messages import InForce, Place, Subscribe, Subscribed
from tests.setting import START
from tests.worlds import Desk, QuietMarket

State = dict[str, Any]
NAME = "BTC-USD"


class Scene:
    """What a client is told step by step, and what it must make of it: its state is the market's own, as it was at the frame's sequence."""

    def __init__(self, name: str, channel: str, depth: int = 0, interval_ms: int = 0, now: int = START, **settings: Any) -> None:
        self.name = name
        self.shows = ""
        self.channel = channel
        self._depth = depth
        self.interval_ms = interval_ms
        self._steps: list[dict[str, Any]] = []
        self._resume: tuple[int, int] | None = None
        self._state: State = {}
        self._truths: dict[tuple[int, int], State] = {}
        self._trades: dict[int, list[Any]] = {}    # by sequence, since the last snapshot
        self._in_force: InForce
        self._returned: dict[str, Any] | None = None
        self._settings: dict[str, Any] = {"self_trade": "allow", "depths": (1, 2)} | settings
        self.open_market(now)

    # The market

    def open_market(self, now: int) -> None:
        """Begin a history, whose epoch is the time."""
        with patch("stream.market.history.secrets.randbits", return_value=7):    # so that public numbers of orders are the same each time
            self.market = QuietMarket(now=now, **self._settings)
        self._trader = Desk(self.market).sign_in("alice")
        self.client = self.connect()

    def connect(self) -> Desk:
        """A connection of the client's, not subscribed yet."""
        return Desk(self.market).sign_in("alice")

    def trade(self, kind: type[Any], *fields: Any, **named: Any) -> Any:
        """Have a request carried out; its answer."""
        return self._trader.ask(kind, *fields, **named)[0]

    def place(self, side: str, price: int, size: int, instrument: str = NAME, **named: Any) -> int:
        """Place an order; its id."""
        order: int = self.trade(Place, instrument, side, price, size, **named).order
        return order

    # The client

    def subscribe(self, desk: Desk | None = None, resume: tuple[int, int] | None = None) -> list[Any]:
        """Listen to the channel; the frames that come at once."""
        self.client = desk or self.client
        resumptions = {self.channel: resume} if resume else {}
        subscribed, *frames = self.client.ask(Subscribe, [self.channel], self._depth, self.interval_ms, resumptions)
        assert isinstance(subscribed, Subscribed)
        [self._in_force] = subscribed.channels
        assert (self._in_force.depth, self._in_force.interval_ms) == (self._depth, self.interval_ms)
        return self.note(frames)

    def come_back(self) -> list[Any]:
        """Lose the connection, and resume on another one; the frames that come at once."""
        self.market.disconnect(self.client.session, self.market.now)
        frames = self.subscribe(self.connect(), self._resume)
        self._returned = {"resume": self._resume, "recovered": self._in_force.recovered, "reason": self._in_force.reason}
        return frames

    def ask_again(self) -> list[Any]:
        """Subscribe again on the open connection, from where the client is; the frames that come at once."""
        return self.subscribe(resume=self._resume)

    def stop_reading(self) -> None:
        """The client's socket is full."""
        self.client.session.pause_writing(self.market.now)

    def read_again(self) -> list[Any]:
        """The socket takes more; the frames that come then."""
        self.client.session.resume_writing(self.market.now)
        return self.frames()

    def frames(self, milliseconds: float = 0) -> list[Any]:
        """What has come to the client, after some time."""
        if milliseconds:
            self.market.pass_time(milliseconds)
        return self.note(self.client.hear())

    def frame(self, milliseconds: float = 0) -> Any:
        """The one frame that has come."""
        (frame,) = self.frames(milliseconds)
        return frame

    def note(self, messages: list[Any]) -> list[Any]:
        """Keep what the market is now, for the frames of now."""
        frames = [message for message in messages if hasattr(message, "channel")]
        for frame in frames:
            if not isinstance(frame, Gap):
                self._truths[frame.epoch, frame.seq] = self.truth(frame)
        return frames

    def truth(self, frame: Any) -> State:
        """What a client has who has taken this frame just now."""
        exchange = self.market.exchange
        match frame:
            case Book():
                bids, asks = exchange.book(NAME).levels.depth(self._depth)
                return {"bids": bids, "asks": asks, "digest": str(frame.digest)}
            case MarketByOrder():
                queues = self.market.feed.public[frame.channel].log.queues    # type: ignore[attr-defined]
                depth = zip(("buy", "sell"), queues.depth(), strict=True)
                rows = [[side, price, *order] for at, (side, flat) in enumerate(depth) for price in flat[::2] for order in queues.queue(at, price)]
                return {"orders": rows, "digest": str(frame.digest), "levels_digest": str(queues.levels_digest)}
            case Trades():
                if frame.prev is None:
                    self._trades = {}
                self._trades |= {each.seq: [each.seq, each.price, each.size, each.side] for each in frame.trades}
                return {"trades": list(self._trades.values())}
            case Ticker():
                names = ("last", "last_size", "bid", "bid_size", "ask", "ask_size", "open", "high", "low", "volume", "trades")
                figures = {name: getattr(frame, name) for name in names}
                return {**figures, "value": str(frame.value), "phase": frame.phase}
            case Orders():
                sides = ("buy", "sell")
                return {"open": [[each.order, each.client_id, sides[each.side], each.price, each.remaining, each.filled] for each in exchange.orders(0)]}
            case Balances():
                amounts = zip(exchange.assets().items(), exchange.balances(0), strict=True)
                return {"balances": [[*asset, *map(str, money)] for asset, money in amounts if any(money)]}
        raise TypeError(frame)

    # The vector

    def give(self, frame: Any, verdict: str, note: str = "") -> None:
        """Hand a message to the client, who must come to this verdict. A frame that was not heard, but made up, may not be taken."""
        if verdict in ("snapshot", "applied", "heartbeat") and (frame.prev is None or not self._resume or frame.seq >= self._resume[1]):
            self._resume = frame.epoch, frame.seq
            self._state = self._truths[self._resume]
        elif verdict in ("mismatch", "lost"):
            self._resume = None
        step: dict[str, Any] = {"note": note} if note else {}
        if self._returned:
            step["returned"], self._returned = self._returned, None
        self._steps.append(step | told(frame) | {"verdict": verdict, "resume": self._resume, "state": self._state})

    def vector(self) -> dict[str, Any]:
        """The vector as it is stored."""
        assert self._steps
        assert not self._returned
        names = {"name": self.name, "shows": self.shows, "channel": self.channel}
        return names | {"depth": self._depth, "interval_ms": self.interval_ms, "steps": self._steps}


def told(message: Message) -> dict[str, str]:
    """A message in both subprotocols."""
    return {"msgpack": MSGPACK.encode(message).hex(), "json": JSON.encode(message).decode()}


class Play(NamedTuple):
    """What happens in a scene, what its market and its subscription are like, and the file that its vector goes into."""

    file: str
    act: Callable[[Scene], None]
    fields: tuple[Any, ...]
    settings: dict[str, Any]

    def vector(self) -> dict[str, Any]:
        """Have the server play it."""
        scene = Scene(self.act.__name__.replace("_", " "), *self.fields, **self.settings)
        scene.shows = self.act.__doc__ or ""
        self.act(scene)
        return scene.vector()


def scene(file: str, *fields: Any, **settings: Any) -> Callable[[Callable[[Scene], None]], Play]:
    """Make a play of a function, whose docstring says what it shows."""
    return lambda act: Play(file, act, fields, settings)
