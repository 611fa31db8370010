"""One connection's side of the protocol: bytes and the time come in, bytes go out. Never touches a socket.

A session is new until its client may speak (a header's token is being turned into an account), then open, then closed. What
it has to say waits in `out` for the next write; while the socket is full, only replies and own events may.
"""

from collections import deque
from collections.abc import Callable
from typing import Literal, Protocol

from engine import Event, EventKind
from stream.auth import Authenticator, Claims, TokenRefused
from stream.channels import TRADE_SCOPE, ChannelName, parse
from stream.codes import CloseCode, ErrorCode
from stream.config import Config
from stream.feed import ORDER_KINDS, Point
from stream.hub import NOBODY, Hub, Refused, Subscriptions
from stream.messages import (
    AllCancelled,
    Cancel,
    CancelAll,
    Done,
    Error,
    Instruments,
    InstrumentTerms,
    ListInstruments,
    ListSubscriptions,
    LoggedIn,
    Login,
    Message,
    Ping,
    Place,
    Pong,
    Reduce,
    Replace,
    Request,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Welcome,
)
from stream.messages import Subscriptions as SubscriptionList
from stream.wire import Codec, Malformed, Shared

OrderRequest = Place | Cancel | Reduce | Replace | CancelAll


class Market(Protocol):
    """What a session needs of the market behind it."""

    config: Config
    hub: Hub
    authenticator: Authenticator
    name: str
    writes: int
    bytes_written: int

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

    def wrote(self, session: "Session") -> None:
        """Note that a session has something to write."""


def parse_channel(text: str) -> ChannelName:
    """A channel's name that a client sent."""
    try:
        return parse(text)
    except ValueError as error:
        raise Refused(ErrorCode.UNKNOWN_CHANNEL, str(error)) from error


class Session:
    """One connection."""

    def __init__(self, market: Market, codec: Codec, now: int) -> None:
        self._market = market
        self._codec = codec
        self._claims: Claims | None = None
        self._account = NOBODY
        self._waiting = False    # for an account
        self._held: deque[Request] = deque()
        self._answering_held = False
        self._errors = 0
        self._allowance = float(market.config.messages_burst)
        self._allowance_at = now
        self.subscriptions: Subscriptions = {}
        self.out: list[bytes] = []
        self.out_bytes = 0
        self.writable = True
        self.closed: tuple[CloseCode, str] | None = None
        self.messages_received = 0

    # What the server tells the session

    def begin(self, now: int, claims: Claims | None) -> None:
        """The handshake is done; `claims` if its header had a token."""
        at = self._market.point(now)
        subject = claims.subject if claims else None
        self._say(Welcome(self._market.name, at.epoch, at.seq, now, self._market.config.heartbeat_ms, subject))
        if claims:
            self._sign_in(claims, now, lambda: None)

    def receive(self, payload: bytes, now: int) -> None:
        """One whole message of the client."""
        self.tick(now)
        if self.closed:
            return
        self.messages_received += 1
        id = 0
        try:
            request = self._codec.read_request(payload)
            id = request.id
            self._spend(now, 1 + len(request.channels) if isinstance(request, Subscribe | Unsubscribe) else 1)
        except Malformed as error:
            self._refuse(id, ErrorCode.MALFORMED, str(error))
            self._count_error()
        except Refused as refused:
            self._refuse(id, refused.code, refused.text)
            self._count_error()
        else:
            if self._waiting:
                self._hold(request)
            else:
                self._answer(request, now)

    def charge(self, now: int) -> bool:
        """A frame that ends no message: a fragment, a ping or a pong. It costs as much as a message; whether the allowance had it."""
        try:
            self._spend(now)
        except Refused:
            self._count_error()
            return False
        return True

    def ping(self, pong: bytes, now: int) -> None:
        """A ping frame, answered within the allowance."""
        if self.charge(now):
            self._write(pong)

    def resume_writing(self, now: int) -> None:
        """The socket takes more again: bring every channel up to now."""
        self.writable = True
        if not self.closed:
            self._market.hub.drained(self.subscriptions, self._market.point(now))
        self._market.wrote(self)

    def tick(self, now: int) -> None:
        """Time has passed."""
        if self._claims and self._claims.expires * 10**9 <= now:
            self.close(CloseCode.TOKEN_EXPIRED, "the token has expired")

    def end(self, now: int) -> None:
        """The connection is gone."""
        self.closed = self.closed or (CloseCode.SHUTTING_DOWN, "")
        self._market.hub.unsubscribe(self.subscriptions, list(self.subscriptions), self._market.point(now))

    # What the session says

    def push(self, message: Shared) -> None:
        """Send a message with the next write."""
        self._write(message.frame(self._codec))

    def _write(self, frame: bytes) -> None:
        if self.closed:
            return
        if not self.out:
            self._market.wrote(self)
        self.out.append(frame)
        self.out_bytes += len(frame)
        if not self.writable and self.out_bytes > self._market.config.pending_bytes_max:
            self.close(CloseCode.SLOW_CONSUMER, f"more than {self._market.config.pending_bytes_max} bytes wait to be read")

    def take_out(self) -> bytes:
        """All that there is to write, once."""
        out, self.out, self.out_bytes = b"".join(self.out), [], 0
        self._market.writes += 1
        self._market.bytes_written += len(out)
        return out

    def close(self, code: CloseCode, reason: str) -> None:
        """Say no more, and have the connection closed."""
        if not self.closed:
            self.closed = code, reason
            self._market.wrote(self)

    def _say(self, message: Message) -> None:
        self.push(Shared(message))

    def _refuse(self, id: int, code: ErrorCode, text: str, order: int = 0) -> None:
        self._say(Error(id, code, text, order))

    def _count_error(self) -> None:
        self._errors += 1
        if self._errors > self._market.config.errors_max:
            self.close(CloseCode.ABUSE, f"more than {self._market.config.errors_max} messages that cannot be read or come too fast")

    def _spend(self, now: int, cost: int = 1) -> None:
        """Take so much off the allowance, a token bucket, which may leave a debt; refused if it is empty."""
        config = self._market.config
        earned = (now - self._allowance_at) / 10**9 * config.messages_per_s
        self._allowance = min(float(config.messages_burst), self._allowance + earned)
        self._allowance_at = now
        if self._allowance < 1:
            raise Refused(ErrorCode.TOO_MANY_REQUESTS, f"expected at most {config.messages_per_s} messages a second")
        self._allowance -= cost

    def _hold(self, request: Request) -> None:
        """Keep a message until the account is known, so that messages are answered in order."""
        self._held.append(request)
        if len(self._held) > self._market.config.messages_burst:
            self.close(CloseCode.ABUSE, "too many messages before the answer to the token")

    # What the client asks

    def _answer(self, request: Request, now: int) -> None:
        try:
            match request:
                case Login():
                    self._login(request, now)
                case Subscribe():
                    self._subscribe(request, now)
                case Unsubscribe():
                    names = [parse_channel(name) for name in request.channels]
                    ended = self._market.hub.unsubscribe(self.subscriptions, names, self._market.point(now))
                    self._say(Unsubscribed(request.id, [str(name) for name in ended]))
                case ListSubscriptions():
                    self._say(SubscriptionList(request.id, [subscription.in_force for subscription in self.subscriptions.values()]))
                case ListInstruments():
                    self._say(Instruments(request.id, self._market.instrument_terms()))
                case Ping():
                    self._say(Pong(request.id, now))
                case Place() | Cancel() | Reduce() | Replace() | CancelAll():
                    self._require(TRADE_SCOPE)
                    self._market.submit(self._account, request, now, lambda outcome, events: self._done(request, outcome, events))
        except Refused as refused:
            self._refuse(request.id, refused.code, refused.text)

    def _login(self, request: Login, now: int) -> None:
        try:
            claims = self._market.authenticator.verify(request.token, now / 10**9)
        except TokenRefused as error:
            self._count_error()
            raise Refused(ErrorCode.BAD_TOKEN, str(error)) from error
        if self._claims and self._claims.subject != claims.subject:
            raise Refused(ErrorCode.ANOTHER_SUBJECT)
        self._sign_in(claims, now, lambda: self._say(LoggedIn(request.id, claims.subject, sorted(claims.scopes), claims.expires)), request.id)

    def _sign_in(self, claims: Claims, now: int, welcome: Callable[[], None], id: int = 0) -> None:
        def opened(account: int | None) -> None:
            self._waiting = False
            if account is None:
                self._refuse(id, ErrorCode.TOO_MANY_ACCOUNTS, ErrorCode.TOO_MANY_ACCOUNTS.text)
            else:
                self._claims = claims
                self._account = account
                welcome()
                self._end_what_is_not_allowed(now)
            self._answer_held(now)

        self._waiting = True
        self._market.open_account(claims.subject, now, opened)

    def _needs_token(self, name: ChannelName) -> bool:
        return name.private or self._market.config.public_needs_token

    def _end_what_is_not_allowed(self, now: int) -> None:
        """End the subscriptions that a renewed token has no scope for, and say so."""
        assert self._claims
        lost = [name for name in self.subscriptions if self._needs_token(name) and name.scope not in self._claims.scopes]
        if lost:
            self._market.hub.unsubscribe(self.subscriptions, lost, self._market.point(now))
            self._say(Unsubscribed(0, [str(name) for name in lost]))

    def _answer_held(self, now: int) -> None:
        """Answer what waited for the account, in order; an answer that leads here again leaves the rest to this loop."""
        if not self._answering_held:
            self._answering_held = True
            while self._held and not self._waiting and not self.closed:
                self._answer(self._held.popleft(), now)
            self._answering_held = False

    def _require(self, scope: str) -> None:
        if not self._claims:
            raise Refused(ErrorCode.NOT_SIGNED_IN, f"sign in with a token that has the scope {scope!r}")
        if scope not in self._claims.scopes:
            raise Refused(ErrorCode.MISSING_SCOPE, f"the token does not have the scope {scope!r}")

    def _subscribe(self, request: Subscribe, now: int) -> None:
        names = [parse_channel(name) for name in request.channels]
        for name in names:
            if self._needs_token(name):
                self._require(name.scope)
        at = self._market.point(now)
        in_force, frames = self._market.hub.subscribe(self, self.subscriptions, names, self._account, request, at)
        self._say(Subscribed(request.id, at.epoch, at.seq, in_force))
        for frame in frames:
            self._say(frame)

    def _done(self, request: OrderRequest, outcome: Event, events: list[Event]) -> None:
        """Answer a command by its outcome and by all the events that it caused, some of other orders and accounts."""
        seq = events[-1].seq
        if outcome.kind == EventKind.REJECTED:
            self._refuse(request.id, ErrorCode(400 + outcome.reason), self._market.explain(request, outcome), outcome.order)
        elif isinstance(request, CancelAll):
            count = next(event.size for event in events if event.kind == EventKind.ALL_CANCELLED)
            self._say(AllCancelled(request.id, seq, count))
        else:
            last = [event for event in events if event.order == outcome.order and event.kind in ORDER_KINDS][-1]
            self._say(Done(request.id, seq, last.order, last.other, self._status(last), last.remaining, last.filled, last.value))

    def _status(self, last: Event) -> Literal["open", "waiting", "filled", "cancelled"]:
        """What a command made of an order, by the order's last event in it."""
        if not last.remaining:
            return "cancelled" if last.kind == EventKind.CANCELLED else "filled"
        return "waiting" if last.kind == EventKind.WAITING or self._market.waits(last.order) else "open"
