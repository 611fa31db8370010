"""One connection's side of the protocol: bytes and the time come in, bytes go out. Never touches a socket.

A session is new until its client may speak (a header's token is being turned into an account), then open, then closed. What
it has to say waits in `out` for the next write; while the socket is full, only replies and own events may.
"""

from collections import deque
from collections.abc import Callable

from engine import Event
from stream.access.auth import TokenRefused
from stream.access.claims import Claims
from stream.commands.results import Result
from stream.feed.delivery import Outbox
from stream.feed.hub import NOBODY, Refused, Subscriptions, channel_of
from stream.venue.limits import Allowance
from stream.venue.market_face import Market
from stream.venue.safeguards import Guard
from stream.wire.channels import ADMIN_SCOPE, TRADE_SCOPE, ChannelName
from stream.wire.codec import Codec, Malformed, Shared
from stream.wire.codes import CloseCode, ErrorCode
from stream.wire.fields import Message
from stream.wire.framing import PING, framed
from stream.wire.messages import (
    AllCancelled,
    Cancel,
    CancelAll,
    CancelOnDisconnect,
    Confirmed,
    DeadMan,
    Done,
    Error,
    ListInstruments,
    ListSubscriptions,
    LoggedIn,
    Login,
    Logout,
    OrderRequest,
    Pacing,
    Ping,
    Place,
    Pong,
    Reduce,
    Replace,
    Request,
    Stale,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Welcome,
)
from stream.wire.messages import Subscriptions as SubscriptionList
from stream.wire.times import MILLISECOND, NEVER

PING_FRAME = framed(PING, b"")

REFUSED_TOKEN_WEIGHT = 5
"""As so many errors counts a token that is refused, which costs as much to look at as many messages."""


class Session(Outbox):
    """One connection."""

    def __init__(self, market: Market, codec: Codec, number: int, address: str, now: int) -> None:
        config = market.config
        super().__init__(market.traffic, codec, min(config.write_bytes_max, config.pending_bytes_max))
        self._market = market
        self._codec = codec
        self.number = number
        self.address = address
        self._place = market.limits.address(address, now)
        self._claims: Claims | None = None
        self.account = NOBODY
        self._waiting = False    # for an account
        self._held: deque[Request] = deque()
        self._answering_held = False
        self._errors = 0
        self._allowance = Allowance(config, now)
        self._write_bytes_max = config.write_bytes_max
        self._pending_bytes_max = config.pending_bytes_max
        self._pinged = False
        self._leaving = self._ended = self._signed_in = False
        self._first_subject = ""    # the connection keeps it, even after a logout
        self.guard = Guard()
        self._stalled_at = now
        self.opened_at = self.heard_at = now
        self.subscriptions: Subscriptions = {}
        self.messages_received = 0

    @property
    def subject(self) -> str:
        """Who has signed in; "" for nobody."""
        return self._claims.subject if self._claims else ""

    @property
    def message_bytes_max(self) -> int:
        """How long a message may be: before signing in there is little to say, but what waits for the account may be as long."""
        config = self._market.config
        return config.message_bytes_max if self._waiting or self._first_subject else min(config.message_bytes_max, config.anonymous_message_bytes_max)

    # What the server tells the session

    def begin(self, now: int, claims: Claims | None) -> None:
        """The handshake is done; `claims` if its header had a token."""
        config, limits = self._market.config, self._market.limits
        over = limits.open(self._place, now)
        if over and not (claims and ADMIN_SCOPE in claims.scopes):    # administrators get in, whoever else is at their address
            self.close(CloseCode.TOO_MANY_CONNECTIONS, over)
            return
        at = self._market.point(now)
        self._waiting = bool(claims)
        self._say(Welcome(self._market.name, at.epoch, at.seq, now, config.heartbeat_ms, claims and claims.subject, **limits.told(self.message_bytes_max)))
        if self._market.load.interval_ms:
            self._say(Pacing(self._market.load.interval_ms))
        if self._market.stale_since:
            self._say(Stale(self._market.stale_since))
        if claims:
            self._sign_in(claims, now, lambda: None)

    def charge(self, size: int, now: int, control: bool = False) -> str:
        """A frame of so many bytes has come, of a message or a control frame: take it off the allowances. The limit that it goes over, "" for none."""
        self.heard_at = now
        self._pinged = False
        over = self._allowance.take(size, now, control)
        if over:
            self._market.limits.hit[over] += 1
            self._count_error()
        return over

    def receive(self, payload: bytes, now: int, over: str) -> None:
        """One whole message of the client, whose last frame went over a limit or, with "", did not."""
        self.check_time(now)
        if self.closed:
            return
        self.messages_received += 1
        if over:
            allowed = f"{getattr(self._market.config, over)} {over.removesuffix('_per_s')} a second"
            self._refuse(self._codec.read_id(payload), ErrorCode.TOO_MANY_REQUESTS, f"expected at most {allowed}")
            return
        try:
            request = self._codec.read_request(payload)
        except Malformed as error:
            self._refuse(self._codec.read_id(payload), ErrorCode.MALFORMED, str(error))    # or who sent it would wait for ever
            self._count_error()
        else:
            if self._waiting:
                self._hold(request)
            else:
                self._answer(request, now)

    def ping(self, pong: bytes, over: str) -> None:
        """A ping frame, answered within the allowance."""
        if not over:
            self.put(pong)

    def pause_writing(self, now: int) -> None:
        """The kernel refused some bytes: they are the last ones until it takes them."""
        self.writable = self.takes_frames = False
        self._stalled_at = now

    def resume_writing(self, now: int) -> None:
        """The socket takes more again: bring every channel up to now."""
        if not self.writable:    # its client has read, a sign of life
            self.heard_at = now
        self.writable = self.takes_frames = True
        if not self.closed:
            self._market.hub.drained(self.subscriptions, self._market.point(now))
            if self._leaving:
                self.leave()
        self.ask_to_write()

    def check_token(self) -> None:
        """Close if the token has been revoked."""
        if self._claims and self._market.authenticator.revocations.refuse(self._claims):
            self.close(CloseCode.REVOKED, "the token has been revoked")

    def check_time(self, now: int) -> None:
        """Time has passed: close what has lasted too long. Each limit counts once, however long the goodbye takes."""
        if self.closed:
            return
        config = self._market.config
        if self._claims and self._claims.expires * 10**9 <= self._market.wall_time(now):
            self.close(CloseCode.TOKEN_EXPIRED, "the token has expired")
        elif not self.writable:    # nothing could be heard: a ping would wait behind what is not read
            if now - self._stalled_at > config.stall_timeout_s * 10**9:
                self._market.limits.hit["stall_timeout_s"] += 1
                self.close(CloseCode.SLOW_CONSUMER, f"a write has waited for more than {config.stall_timeout_s} seconds")
        elif not self._claims and not self.subscriptions and now - self.opened_at > config.sign_in_timeout_s * 10**9:
            self._market.limits.hit["sign_in_timeout_s"] += 1
            self.close(CloseCode.IDLE, f"expected a token or a subscription within {config.sign_in_timeout_s} seconds")
        elif now - self.heard_at > config.idle_timeout_s * 10**9:
            self._market.limits.hit["idle_timeout_s"] += 1
            self.close(CloseCode.IDLE, f"nothing came for more than {config.idle_timeout_s} seconds")
        elif not self._pinged and now - self.heard_at > config.idle_timeout_s * 10**9 // 2:
            self._pinged = True
            self.put(PING_FRAME)

    def leave(self) -> None:
        """Close as soon as the client has what it was owed."""
        self._leaving = True
        if self.takes_frames:
            self.close(CloseCode.SHUTTING_DOWN, "the server is leaving")

    def end(self, now: int) -> None:
        """The connection is gone."""
        self._ended = True
        self.closed = self.closed or (CloseCode.SHUTTING_DOWN, "")
        self._market.hub.unsubscribe(self.subscriptions, list(self.subscriptions), self._market.point(now))
        self._place.connections -= 1
        if self.account != NOBODY:
            self._market.limits.account(self.account, now).connections -= 1
            self._sign_out()
            self._market.guard(self, now)

    # What the session says

    def overflow(self) -> None:
        """More waits than a write or a client that does not read may hold."""
        if self.out_bytes > self._write_bytes_max and self.takes_frames:
            self.takes_frames = False
            self._market.owes(self)
        if self.out_bytes > self._pending_bytes_max and not self.writable:
            self._market.limits.hit["pending_bytes_max"] += 1
            self.close(CloseCode.SLOW_CONSUMER, f"more than {self._pending_bytes_max} bytes wait to be read")

    def close(self, code: CloseCode, reason: str) -> None:
        """Say no more, and have the connection closed."""
        if not self.closed:
            self.closed = code, reason
            self.ask_to_write()

    def _say(self, message: Message) -> None:
        self.push(Shared(message))

    def _say_at_length(self, message: Message) -> None:
        self._put_at_length(self._codec.frame(message))

    def _put_at_length(self, frame: bytes) -> None:
        self._allowance.charge_answer(len(frame))
        self.put(frame)

    def _refuse(self, id: int, code: ErrorCode, text: str, order: int = 0) -> None:
        self._say(Error(id, code, text, order))

    def _count_error(self, weight: int = 1) -> None:
        self._errors += weight
        if self._errors > self._market.config.errors_max and not self.closed:
            self._market.limits.hit["errors_max"] += 1
            self.close(CloseCode.ABUSE, f"more than {self._market.config.errors_max} messages that cannot be read or come too fast")

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
                    self._allowance.messages.owe(len(request.channels))
                    self._subscribe(request, now)
                case Unsubscribe():
                    self._allowance.messages.owe(len(request.channels))
                    names = [channel_of(name) for name in request.channels]
                    ended = self._market.hub.unsubscribe(self.subscriptions, names, self._market.point(now))
                    self._say(Unsubscribed(request.id, [str(name) for name in ended]))
                case ListSubscriptions():
                    self._say_at_length(SubscriptionList(request.id, [subscription.in_force for subscription in self.subscriptions.values()]))
                case ListInstruments():
                    self._put_at_length(self._market.instrument_list.answer(request.id, self._market.instrument_terms(), self._codec))
                case Ping():
                    self._say(Pong(request.id, now))
                case CancelOnDisconnect() | DeadMan():
                    self._require(TRADE_SCOPE)
                    self._guard_orders(request, now)
                case Logout():
                    self._logout(now)
                    self._say(Confirmed(request.id))
                case Place() | Cancel() | Reduce() | Replace() | CancelAll():
                    self._require(TRADE_SCOPE)
                    self._charge_account(request, now)
                    self._submit(request, now)
                case _:
                    self._require(ADMIN_SCOPE)
                    self._market.administer(self.subject, request, now, self._say_at_length)
        except Refused as refused:
            if refused.limit:
                self._market.limits.hit[refused.limit] += 1
            self._refuse(request.id, refused.code, refused.text)

    def _guard_orders(self, request: CancelOnDisconnect | DeadMan, now: int) -> None:
        time_ms = request.grace_ms if isinstance(request, CancelOnDisconnect) else request.timeout_ms
        self._market.admit_guard(self, request, time_ms)

        def kept(on_disk: bool) -> None:
            self._say(Confirmed(request.id) if on_disk else Error(request.id, ErrorCode.OUTCOME_UNKNOWN, ErrorCode.OUTCOME_UNKNOWN.text))

        if isinstance(request, CancelOnDisconnect):
            self.guard = Guard(request.scope, time_ms * MILLISECOND)
            self._market.deadlines.keep_guard(self.account, self.number, self.guard, kept)
        else:
            self._market.deadlines.set_dead_man(self.account, now + time_ms * MILLISECOND if time_ms else NEVER, kept)

    def _logout(self, now: int) -> None:
        self.guard = Guard()
        self._market.deadlines.forget_guard(self.account, self.number)
        self._claims = None
        self._sign_out()
        self._end_what_is_not_allowed(now)

    def _sign_out(self) -> None:
        if self._signed_in:
            self._signed_in = False
            self._market.deadlines.sign_out(self.account)

    def _charge_account(self, request: OrderRequest, now: int) -> None:
        """Take a request off the account's allowance, over all its connections. There is more of it for what cancels."""
        account = self._market.limits.account(self.account, now)
        cancels = isinstance(request, Cancel | CancelAll)
        if not (account.cancels if cancels else account.orders).take(now):
            limit = "cancels_per_s" if cancels else "orders_per_s"
            raise Refused(ErrorCode.TOO_MANY_REQUESTS, f"expected at most {getattr(self._market.config, limit)} such requests a second from one account", limit)

    def _login(self, request: Login, now: int) -> None:
        if not self._place.sign_ins.take(now):
            self._count_error()
            allowed = self._market.config.sign_ins_per_s
            raise Refused(ErrorCode.TOO_MANY_SIGN_INS, f"expected at most {allowed} tokens a second from one address", "sign_ins_per_s")
        try:
            claims = self._market.authenticator.verify(request.token, self._market.wall_time(now) / 10**9)
        except TokenRefused as error:
            self._place.suspect = self._place.suspect or not error.retry
            self._count_error(REFUSED_TOKEN_WEIGHT)
            raise Refused(ErrorCode.BAD_TOKEN, str(error)) from error
        if self._first_subject not in ("", claims.subject):
            raise Refused(ErrorCode.ANOTHER_SUBJECT)
        scopes, told = sorted(claims.scopes), self._market.limits.told(self._market.config.message_bytes_max)
        self._sign_in(claims, now, lambda: self._say(LoggedIn(request.id, claims.subject, scopes, claims.expires, **told)), request.id)

    def _sign_in(self, claims: Claims, now: int, welcome: Callable[[], None], id: int = 0) -> None:
        def opened(account: int | None, code: ErrorCode) -> None:
            self._waiting = False
            if account is None:
                self._refuse(id, code, code.text)
                if not id:    # the token came with the handshake, so the client would never try again
                    self.close(CloseCode.NO_ACCOUNT, code.text)
            elif self._may_connect(account, now):
                self._claims = claims
                self._first_subject = claims.subject
                if not self._signed_in:
                    self._signed_in = True
                    self._market.deadlines.sign_in(account)
                self.check_token()    # it may have been revoked while the account was opened
                welcome()
                self._end_what_is_not_allowed(now)
            self._answer_held(now)

        self._waiting = True
        self._market.open_account(claims.subject, now, opened)

    def _may_connect(self, account: int, now: int) -> bool:
        """Count this connection as one of the account's; if it is one too many, close it."""
        if self.account == NOBODY and not self.closed:
            self.account = account
            held = self._market.limits.account(account, now)
            held.connections += 1
            if held.connections > self._market.config.connections_per_account_max:
                self._market.limits.hit["connections_per_account_max"] += 1
                self.close(CloseCode.TOO_MANY_CONNECTIONS, f"expected at most {self._market.config.connections_per_account_max} connections of one account")
        return not self.closed

    def _needs_token(self, name: ChannelName) -> bool:
        return name.private or self._market.config.public_needs_token

    def _end_what_is_not_allowed(self, now: int) -> None:
        """End the subscriptions that a renewed token has no scope for, and say so."""
        scopes = self._claims.scopes if self._claims else ()
        lost = [name for name in self.subscriptions if self._needs_token(name) and name.scope not in scopes]
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
        if scope not in self._market.scopes:
            raise Refused(self._market.refusal)
        if not self._claims:
            raise Refused(ErrorCode.NOT_SIGNED_IN, f"sign in with a token that has the scope {scope!r}")
        if scope not in self._claims.scopes:
            raise Refused(ErrorCode.MISSING_SCOPE, f"the token does not have the scope {scope!r}")

    def _subscribe(self, request: Subscribe, now: int) -> None:
        names = [channel_of(name) for name in dict.fromkeys(request.channels)]
        for name in names:
            if self._needs_token(name):
                self._require(name.scope)
        allowed = self._market.config.subscriptions_max
        if len(self.subscriptions.keys() | set(names)) > allowed:
            raise Refused(ErrorCode.TOO_MANY_SUBSCRIPTIONS, f"expected at most {allowed} subscriptions", "subscriptions_max")
        at = self._market.point(now)
        at, in_force, frames = self._market.hub.subscribe(self, self.subscriptions, names, self.account, request, at)
        self._say(Subscribed(request.id, at.epoch, at.seq, in_force))
        for subscription, frame, seq in frames:
            if self.takes_frames:
                self._allowance.charge_answer(len(frame.frame(self._codec)))
                subscription.push([frame], seq)
            else:
                subscription.in_step = False

    def _submit(self, request: OrderRequest, now: int) -> None:
        guard = self.guard
        guarded = isinstance(request, Place) and guard.scope == "connection"
        def done(result: Result | None, outcome: Event | None) -> None:
            self._done(request, result, outcome)
            if guarded:
                guard.under_way -= 1
                if result is None:
                    guard.unsure = True
                elif result.remaining:
                    guard.add(result.order, self._market.is_open)
                if self._ended:    # it was under way when the connection was lost
                    self._market.guard(self, now)
        self._market.submit(self.account, request, now, done)
        guard.under_way += guarded    # 0 if it has been answered already

    def _done(self, request: OrderRequest, result: Result | None, outcome: Event | None) -> None:
        """Answer a request by what became of it. Without an outcome that was an earlier one of its key."""
        if result is None:
            self._refuse(request.id, ErrorCode.OUTCOME_UNKNOWN, ErrorCode.OUTCOME_UNKNOWN.text)
        elif result.reason:
            code = ErrorCode(400 + result.reason)
            self._refuse(request.id, code, self._market.explain(request, outcome) if outcome else code.text, result.order)
        elif isinstance(request, CancelAll):
            self._say(AllCancelled(request.id, result.seq, result.count))
        else:
            self._say(Done(request.id, result.seq, result.order, result.client_id, result.status, result.remaining, result.filled, result.value))
