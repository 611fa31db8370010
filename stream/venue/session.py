"""One connection: bytes and the time come in, bytes go out. Never touches a socket, and leaves what a client asks to who answers it.

`session_state` says where it stands. What it has to say waits in `out` for the next write; while the socket is full, only
replies and own events may.
"""

from collections import deque
from collections.abc import Callable

from stream.access.claims import Claims
from stream.feed.hub import NOBODY, Subscriptions
from stream.settings.config import Config
from stream.venue.allowances import ConnectionAllowance
from stream.venue.safeguards import Guard
from stream.venue.session_state import ANONYMOUS, CLOSED, HOLDING, RENEWING, SIGNED_IN, SIGNING_IN, SessionState, Step, after
from stream.venue.trader import Trader
from stream.venue.venue_face import VenueFace
from stream.wire.channels import ADMIN_SCOPE, TRADE_SCOPE, ChannelName
from stream.wire.codec import MSGPACK, Codec, Malformed, Shared
from stream.wire.codes import CloseCode, ErrorCode
from stream.wire.fields import Message
from stream.wire.framing import PING, framed
from stream.wire.messages import Error, Pacing, Request, Stale, Unsubscribed, Welcome

PING_FRAME = framed(PING, b"")

CHECK_NS = 10**8
"""How long after a look at what may have lasted too long a message leads to the next look. A token ends when it says, by the clock as it was set then."""

Answer = Callable[["Session", Request, int], None]
"""Answers what a connection asks, at a time."""


def needs_token(name: ChannelName, config: Config) -> bool:
    """Whether a channel is only for who has signed in."""
    return name.private or config.public_needs_token


class Session(Trader):
    """One connection. `answer` is given what its client asks, one request after the other."""

    def __init__(self, venue: VenueFace, codec: Codec, number: int, address: str, now: int, answer: Answer) -> None:
        config = venue.config
        bytes_max = min(config.write_bytes_max, config.pending_bytes_max)
        super().__init__(
            venue.traffic, codec, bytes_max, NOBODY, Guard(), ConnectionAllowance(config, now), now, config.under_way_max, config.unanswered_max,
        )
        self._venue = venue
        self.number = number
        self.address = address
        self._answer = answer
        self.state: SessionState = ANONYMOUS
        self.place = venue.limits.address(address, now)
        self.claims: Claims | None = None
        self.first_subject = ""    # the connection keeps it, even after a logout
        self._held: deque[Request] = deque()
        self._errors = 0
        self._write_bytes_max = config.write_bytes_max
        self._pending_bytes_max = config.pending_bytes_max
        self._idle_timeout = config.idle_timeout_s * 10**9
        self._sign_in_timeout = config.sign_in_timeout_s * 10**9
        # These are no states of the connection, for each can be true in any state, and changes nothing about what may happen next:
        self._leaving = False           # the server will close it as soon as its client has read what it is owed
        self._answering_held = False    # a loop further up the stack answers what was held
        self._stalled_at = self.opened_at = now
        self.subscriptions: Subscriptions = {}

    @property
    def subject(self) -> str:
        """Who has signed in; "" for nobody."""
        return self.claims.subject if self.claims else ""

    @property
    def message_bytes_max(self) -> int:
        """How long a message may be. The limit is lower before signing in, except for messages that wait for the account."""
        config = self._venue.config
        return config.message_bytes_max if self.state is SIGNING_IN or self.first_subject else min(config.message_bytes_max, config.anonymous_message_bytes_max)

    # What the server tells the session

    def begin(self, now: int, claims: Claims | None) -> None:
        """The handshake is done; `claims` if its header had a token."""
        config, limits = self._venue.config, self._venue.limits
        over = limits.open(self.place, now)
        if over and not (claims and ADMIN_SCOPE in claims.scopes):    # administrators get in, whoever else is at their address
            self.close(CloseCode.TOO_MANY_CONNECTIONS, over)
            return
        at = self._venue.point(now)
        told = limits.told(config.message_bytes_max if claims else self.message_bytes_max)
        self.say(Welcome(
            server=self._venue.name, epoch=at.epoch, seq=at.seq, time=now, heartbeat_ms=config.heartbeat_ms, subject=claims and claims.subject,
            **told,
        ))
        if self._venue.load_shedding.interval_ms:
            self.say(Pacing(self._venue.load_shedding.interval_ms))
        if self._venue.stale_since:
            self.say(Stale(self._venue.stale_since))
        if claims:
            self.sign_in(claims, now, lambda: None)

    def went_over(self, over: str) -> None:
        """A frame went over a limit of this connection."""
        self._venue.limits.hit[over] += 1
        self.count_error()

    def admit(self, payload: bytes) -> bool:
        """Whether a whole message may wait for its turn, as one more that is under way until `ended` is called; if not, it is refused at once."""
        if self.has_room():
            self.began()
            return True
        limit = "under_way_max" if self.under_way >= self.under_way_max else "unanswered_max"
        self._venue.limits.hit[limit] += 1
        whose = "this connection" if limit == "under_way_max" else "all connections"
        self.refuse(self.codec.read_id(payload), ErrorCode.TOO_MANY_WAITING, f"expected at most {getattr(self, limit)} requests of {whose} under way")
        return False

    def receive(self, payload: bytes, now: int, over: str) -> None:
        """One whole message of the client, whose last frame went over a limit or, with "", did not."""
        if not self.lasts(now):
            return
        self.messages_received += 1
        if over:
            allowed = f"{getattr(self._venue.config, over)} {over.removesuffix('_per_s')} a second"
            self.refuse(self.codec.read_id(payload), ErrorCode.TOO_MANY_REQUESTS, f"expected at most {allowed}")
            return
        if self.trades and self._venue.enter(self, payload, now):
            return
        try:
            request = self.codec.read_request(payload)
        except Malformed as error:
            self.refuse(self.codec.read_id(payload), ErrorCode.MALFORMED, str(error))    # or who sent it would wait for ever
            self.count_error()
        else:
            state = self.state
            if state is SIGNING_IN or state is RENEWING:    # half the time that `in HOLDING` takes, for each message
                self._hold(request)
            else:
                self._answer(self, request, now)

    def ping(self, pong: bytes, over: str) -> None:
        """A ping frame, answered within the allowance."""
        if not over:
            self.put(pong)

    def pause_writing(self, now: int) -> None:
        """The kernel has not taken all bytes. Nothing more is written until it takes the rest."""
        self.writable = self.takes_frames = False
        self._stalled_at = now

    def resume_writing(self, now: int) -> None:
        """The socket takes bytes again: bring every channel up to date."""
        if not self.writable:    # its client has read, a sign of life
            self.heard_at = now
        self.writable = self.takes_frames = True
        if not self.closed:
            self._venue.hub.drained(self.subscriptions, self._venue.point(now))
            if self._leaving:
                self.leave()
        self.ask_to_write()

    def check_token(self) -> None:
        """Close if the token has been revoked."""
        if self.claims and self._venue.authenticator.revocations.refuse(self.claims):
            self.close(CloseCode.REVOKED, "the token has been revoked")

    def check_time(self, now: int) -> None:
        """Time has passed: close what has lasted too long. Each limit counts once, however long the goodbye takes."""
        left = self.claims.expires * 10**9 - self._venue.wall_time(now) if self.claims else CHECK_NS
        self.check_at = now + min(left, CHECK_NS)
        if self.state is CLOSED:
            return
        if left <= 0:
            self.close(CloseCode.TOKEN_EXPIRED, "the token has expired")
        elif not self.writable:    # nothing could be heard: a ping would wait behind what is not read
            if now - self._stalled_at > self._venue.config.stall_timeout_s * 10**9:
                self._venue.limits.hit["stall_timeout_s"] += 1
                self.close(CloseCode.SLOW_CONSUMER, f"a write has waited for more than {self._venue.config.stall_timeout_s} seconds")
        elif not self.claims and not self.subscriptions and now - self.opened_at > self._sign_in_timeout:
            self._venue.limits.hit["sign_in_timeout_s"] += 1
            self.close(CloseCode.IDLE, f"expected a token or a subscription within {self._venue.config.sign_in_timeout_s} seconds")
        elif now - self.heard_at > self._idle_timeout:
            self._venue.limits.hit["idle_timeout_s"] += 1
            self.close(CloseCode.IDLE, f"nothing came for more than {self._venue.config.idle_timeout_s} seconds")
        elif not self.pinged and now - self.heard_at > self._idle_timeout // 2:
            self.pinged = True
            self.put(PING_FRAME)

    def leave(self) -> None:
        """Close as soon as the client has got everything that waits for it."""
        self._leaving = True
        if self.takes_frames:
            self.close(CloseCode.SHUTTING_DOWN, "the server is leaving")

    def end(self, now: int) -> None:
        """The connection is gone."""
        self._take(Step.END)
        self.closed = self.closed or (CloseCode.SHUTTING_DOWN, "")
        self._venue.hub.unsubscribe(self.subscriptions, list(self.subscriptions), self._venue.point(now))
        self.place.connections -= 1
        if self.account != NOBODY:
            self._venue.limits.account(self.account, now).connections -= 1
            if self.claims:
                self._venue.deadlines.sign_out(self.account)
            self._venue.guard(self, now)

    # What the session says

    def overflow(self) -> None:
        """More bytes wait than fit into one write, or than a client that does not read may leave waiting."""
        if self.out_bytes > self._write_bytes_max and self.takes_frames:
            self.takes_frames = False
            self._venue.owes(self)
        if self.out_bytes > self._pending_bytes_max and not self.writable:
            self._venue.limits.hit["pending_bytes_max"] += 1
            self.close(CloseCode.SLOW_CONSUMER, f"more than {self._pending_bytes_max} bytes wait to be read")

    def close(self, code: CloseCode, reason: str) -> None:
        """Say no more, and have the connection closed. The first reason is the one that counts."""
        if not self.closed:
            self._take(Step.CLOSE)
            self.closed = code, reason
            self.ask_to_write()

    def say(self, message: Message) -> None:
        """Say a message to this client alone."""
        self.push(Shared(message))

    def say_at_length(self, message: Message) -> None:
        """Say one that may be long, which is charged by its length."""
        self.put_at_length(self.codec.frame(message))

    def put_at_length(self, frame: bytes) -> None:
        """The same for a message that is a frame already."""
        self.allowance.charge_answer(len(frame))
        self.put(frame)

    def refuse(self, id: int, code: ErrorCode, text: str, order: int = 0) -> None:
        """Answer a request by an error."""
        self.say(Error(id, code, text, order))

    def count_error(self, weight: int = 1) -> None:
        """Count what no good client does; after too much of it, close."""
        self._errors += weight
        if self._errors > self._venue.config.errors_max and not self.closed:
            self._venue.limits.hit["errors_max"] += 1
            self.close(CloseCode.ABUSE, f"more than {self._venue.config.errors_max} messages that cannot be read or come too fast")

    # Who its client is

    def sign_in(self, claims: Claims, now: int, welcome: Callable[[], None], id: int = 0) -> None:
        """A token is good: find its account, then say `welcome`. `id` is the request's that it came with, 0 for the handshake's."""
        def opened(account: int | None, code: ErrorCode) -> None:
            if self.closed:    # while the account was looked for
                return
            if account is None:
                self._take(Step.NO_ACCOUNT)
                self.refuse(id, code, code.text)
                if not id:    # the token came with the handshake, so the client would never try again
                    self.close(CloseCode.NO_ACCOUNT, code.text)
            elif self._may_connect(account, now):
                self._take(Step.ACCOUNT)
                if not self.claims:
                    self._venue.deadlines.sign_in(account)
                self.claims = claims
                self.check_at = now
                self.first_subject = claims.subject
                self.check_token()    # it may have been revoked while the account was opened
                welcome()
                self._end_what_is_not_allowed(now)
            self._answer_held(now)
            self._let_trade()

        self._take(Step.SIGN_IN)
        self._venue.open_account(claims.subject, now, opened)

    def sign_out(self, now: int) -> None:
        """The client logs out: forget who it is, what it asked for in case it ends, and what it may no longer follow."""
        self._take(Step.SIGN_OUT)
        self.guard = Guard()
        self._venue.deadlines.forget_guard(self.account, self.number)
        if self.claims:
            self._venue.deadlines.sign_out(self.account)
        self.claims = None
        self._end_what_is_not_allowed(now)

    def _take(self, step: Step) -> None:
        self.state = after(self.state, step)
        self.trades = False

    def _let_trade(self) -> None:
        """Let requests about orders go the short way, if they may come at all."""
        scopes = self.claims.scopes if self.claims else ()
        self.trades = self.state is SIGNED_IN and TRADE_SCOPE in scopes and TRADE_SCOPE in self._venue.scopes and self.codec is MSGPACK

    def _hold(self, request: Request) -> None:
        """Keep a message until the account is known, so that messages are answered in order."""
        self._held.append(request)
        if len(self._held) > self._venue.config.messages_burst:
            self.close(CloseCode.ABUSE, "too many messages before the answer to the token")

    def _may_connect(self, account: int, now: int) -> bool:
        """Count this connection as one of the account's; if it is one too many, close it."""
        if self.account == NOBODY:
            self.account = account
            held = self.quota = self._venue.limits.account(account, now)
            held.connections += 1
            if held.connections > self._venue.config.connections_per_account_max:
                self._venue.limits.hit["connections_per_account_max"] += 1
                self.close(CloseCode.TOO_MANY_CONNECTIONS, f"expected at most {self._venue.config.connections_per_account_max} connections of one account")
        return not self.closed

    def _end_what_is_not_allowed(self, now: int) -> None:
        """End the subscriptions that a renewed token has no scope for, and say so."""
        scopes = self.claims.scopes if self.claims else ()
        lost = [name for name in self.subscriptions if needs_token(name, self._venue.config) and name.scope not in scopes]
        if lost:
            self._venue.hub.unsubscribe(self.subscriptions, lost, self._venue.point(now))
            self.say(Unsubscribed(0, [str(name) for name in lost]))

    def _answer_held(self, now: int) -> None:
        """Answer the messages that waited for the account, in order. If an answer leads here again, this loop does the rest."""
        if not self._answering_held:
            self._answering_held = True
            while self._held and self.state not in HOLDING and not self.closed:
                self._answer(self, self._held.popleft(), now)
            self._answering_held = False
