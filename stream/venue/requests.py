"""What clients ask, and what they are answered: each request is looked at, charged, and carried out or refused. Keeps nothing of its own."""

from engine import Event
from stream.access.auth import TokenRefused
from stream.commands.results import Result
from stream.feed.hub import Refused, channel_of
from stream.venue.safeguards import Guard
from stream.venue.session import Session, needs_token
from stream.venue.session_state import ENDED
from stream.venue.venue_face import VenueFace
from stream.wire.candles import ListCandles
from stream.wire.channels import ACCOUNT_SCOPE, ADMIN_SCOPE, MARKET_SCOPE, TRADE_SCOPE
from stream.wire.codes import ErrorCode
from stream.wire.history import ListOrders, ListTrades
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
)
from stream.wire.messages import Subscriptions as SubscriptionList
from stream.wire.queue_position import AskQueuePosition
from stream.wire.times import MILLISECOND, NEVER

REFUSED_TOKEN_WEIGHT = 5
"""As so many errors counts a token that is refused, which costs as much to look at as many messages."""


class RequestHandler:
    """Answers the requests of all connections of a venue."""

    def __init__(self, venue: VenueFace) -> None:
        self._venue = venue

    def answer(self, session: Session, request: Request, now: int) -> None:
        """Answer one."""
        try:
            match request:
                case Login():
                    self._login(session, request, now)
                case Subscribe():
                    session.allowance.messages.owe(len(request.channels))
                    self._subscribe(session, request, now)
                case Unsubscribe():
                    session.allowance.messages.owe(len(request.channels))
                    names = [channel_of(name) for name in request.channels]
                    ended = self._venue.hub.unsubscribe(session.subscriptions, names, self._venue.point(now))
                    session.say(Unsubscribed(request.id, [str(name) for name in ended]))
                case ListSubscriptions():
                    session.say_at_length(SubscriptionList(request.id, [subscription.in_force for subscription in session.subscriptions.values()]))
                case ListInstruments():
                    session.put_at_length(self._venue.instrument_list.answer(request.id, self._venue.instrument_terms(), session.codec))
                case ListCandles():
                    if self._venue.config.public_needs_token:
                        self._require(session, MARKET_SCOPE)
                    self._venue.list_candles(request, now, session.say_at_length)
                case Ping():
                    session.say(Pong(request.id, now))
                case CancelOnDisconnect() | DeadMan():
                    self._require(session, TRADE_SCOPE)
                    self._guard_orders(session, request, now)
                case Logout():
                    session.sign_out(now)
                    session.say(Confirmed(request.id))
                case Place() | Cancel() | Reduce() | Replace() | CancelAll():
                    self._require(session, TRADE_SCOPE)
                    self._charge_account(session, request, now)
                    self._submit(session, request, now)
                case ListOrders() | ListTrades():
                    self._require(session, ACCOUNT_SCOPE)
                    self._venue.list_history(session.account, request, session.say_at_length)
                case AskQueuePosition():
                    self._require(session, ACCOUNT_SCOPE)
                    session.say(self._venue.queue_position(session.account, request))
                case _:
                    self._require(session, ADMIN_SCOPE)
                    self._venue.administer(session.subject, request, now, session.say_at_length)
        except Refused as refused:
            if refused.limit:
                self._venue.limits.hit[refused.limit] += 1
            session.refuse(request.id, refused.code, refused.text)

    def _guard_orders(self, session: Session, request: CancelOnDisconnect | DeadMan, now: int) -> None:
        time_ms = request.grace_ms if isinstance(request, CancelOnDisconnect) else request.timeout_ms
        self._venue.admit_guard(session, request, time_ms)

        def kept(on_disk: bool) -> None:
            session.say(Confirmed(request.id) if on_disk else Error(request.id, ErrorCode.OUTCOME_UNKNOWN, ErrorCode.OUTCOME_UNKNOWN.text))

        if isinstance(request, CancelOnDisconnect):
            session.guard = Guard(request.scope, time_ms * MILLISECOND)
            self._venue.deadlines.keep_guard(session.account, session.number, session.guard, kept)
        else:
            self._venue.deadlines.set_dead_man(session.account, now + time_ms * MILLISECOND if time_ms else NEVER, kept)

    def _charge_account(self, session: Session, request: OrderRequest, now: int) -> None:
        """Take a request off the allowance that all connections of the account share. The allowance for cancels is larger."""
        account = self._venue.limits.account(session.account, now)
        cancels = isinstance(request, Cancel | CancelAll)
        if not (account.cancels if cancels else account.orders).take(now):
            limit = "cancels_per_s" if cancels else "orders_per_s"
            allowed = getattr(self._venue.config, limit)
            raise Refused(ErrorCode.TOO_MANY_REQUESTS, f"expected at most {allowed} such requests per second from one account", limit)

    def _login(self, session: Session, request: Login, now: int) -> None:
        if not session.place.sign_ins.take(now):
            session.count_error()
            allowed = self._venue.config.sign_ins_per_s
            raise Refused(ErrorCode.TOO_MANY_SIGN_INS, f"expected at most {allowed} tokens per second from one address", "sign_ins_per_s")
        try:
            claims = self._venue.authenticator.verify(request.token, self._venue.wall_time(now) / 10**9)
        except TokenRefused as error:
            session.place.suspect = session.place.suspect or not error.retry
            session.count_error(REFUSED_TOKEN_WEIGHT)
            raise Refused(ErrorCode.BAD_TOKEN, str(error)) from error
        if session.first_subject not in ("", claims.subject):
            raise Refused(ErrorCode.ANOTHER_SUBJECT)
        scopes, told = sorted(claims.scopes), self._venue.limits.told(self._venue.config.message_bytes_max)
        session.sign_in(claims, now, lambda: session.say(LoggedIn(request.id, claims.subject, scopes, claims.expires, **told)), request.id)

    def _require(self, session: Session, scope: str) -> None:
        if scope not in self._venue.scopes:
            raise Refused(self._venue.refusal)
        if not session.claims:
            raise Refused(ErrorCode.NOT_SIGNED_IN, f"this needs a token: sign in with one that has the scope {scope!r}")
        if scope not in session.claims.scopes:
            raise Refused(ErrorCode.MISSING_SCOPE, f"the token does not have the scope {scope!r}")

    def _subscribe(self, session: Session, request: Subscribe, now: int) -> None:
        names = [channel_of(name) for name in dict.fromkeys(request.channels)]
        for name in names:
            if needs_token(name, self._venue.config):
                self._require(session, name.scope)
        allowed = self._venue.config.subscriptions_max
        if len(session.subscriptions.keys() | set(names)) > allowed:
            raise Refused(ErrorCode.TOO_MANY_SUBSCRIPTIONS, f"expected at most {allowed} subscriptions", "subscriptions_max")
        at = self._venue.point(now)
        at, in_force, frames = self._venue.hub.subscribe(session, session.subscriptions, names, session.account, request, at)
        for name, entry in zip(names, in_force, strict=True):
            if terms := self._venue.terms_of(name.instrument):
                entry.tick, entry.lot, entry.quote_decimals = terms.tick, terms.lot, terms.quote_decimals
        session.say(Subscribed(request.id, at.epoch, at.seq, in_force))
        for subscription, frame, seq in frames:
            if session.takes_frames:
                session.allowance.charge_answer(len(frame.frame(session.codec)))
                subscription.push([frame], seq)
            else:
                subscription.in_step = False

    def _submit(self, session: Session, request: OrderRequest, now: int) -> None:
        guard = session.guard
        guarded = isinstance(request, Place) and guard.scope == "connection"

        def done(result: Result | None, outcome: Event | None) -> None:
            session.ended()
            self.done(session, request, result, outcome)
            if guarded:
                guard.under_way -= 1
                if result is None:
                    guard.unsure = True
                elif result.remaining:
                    guard.add(result.order, self._venue.is_open)
                if session.state is ENDED:    # it was under way when the connection was lost
                    self._venue.guard(session, now)

        session.began()
        try:
            self._venue.submit(session.account, request, now, done)
        except Refused:
            session.ended()
            raise
        guard.under_way += guarded    # 0 if it has been answered already

    def done(self, session: Session, request: OrderRequest, result: Result | None, outcome: Event | None) -> None:
        """Answer a request by what became of it. Without an outcome that was an earlier one of its key."""
        if result is None:
            session.refuse(request.id, ErrorCode.OUTCOME_UNKNOWN, ErrorCode.OUTCOME_UNKNOWN.text)
        elif result.reason:
            code = ErrorCode(400 + result.reason)
            session.refuse(request.id, code, self._venue.explain(request, outcome) if outcome else code.text, result.order)
        elif isinstance(request, CancelAll):
            session.say(AllCancelled(request.id, result.seq, result.count))
        else:
            session.say(Done(
                id=request.id, seq=result.seq, order=result.order, client_id=result.client_id, status=result.status, remaining=result.remaining,
                filled=result.filled, value=result.value,
            ))
