"""The requests of administrators. Each one leaves a line in the audit log (logger `deltabook.audit`)."""

import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from engine import Event
from stream.access.auth import Authenticator
from stream.commands.directory import ClosedConnection, ClosedSubject, RevokedSubject, RevokedToken
from stream.commands.results import Reply, Result
from stream.feed.hub import Refused
from stream.venue.announcements import Announcement
from stream.wire.administration import (
    AdminRequest,
    Delist,
    Disconnect,
    ListConnections,
    ListSchedule,
    MassCancel,
    Operation,
    PhaseChange,
    PhaseChanges,
    Revoke,
    SetFees,
)
from stream.wire.codes import ErrorCode
from stream.wire.fields import Message
from stream.wire.messages import AllCancelled, Confirmed, Connections, ConnectionStatus, Error

log = logging.getLogger("deltabook.audit")

Say = Callable[[Message], None]


class Administered(Protocol):
    """What the requests of administrators need from a venue."""

    authenticator: Authenticator
    wall_time: Callable[[int], int]

    def operate(self, request: Operation, now: int, done: Reply) -> None:
        """Have a command run, then call `done` with its result."""

    def announce(self, said: Announcement, done: Callable[[bool], None]) -> None:
        """Have every process of the market act on it. Call `done` when that is certain, with False if it cannot be known."""

    def list_connections(self, request: ListConnections, now: int, listed: Callable[[list[ConnectionStatus], list[str]], None]) -> None:
        """Call `listed` with the connections, and with the names of the processes that did not answer."""

    def phase_changes(self, now: int) -> list[PhaseChange]:
        """When the phases of instruments change next."""
        ...


class Administration:
    """Carries out the requests of those whose token has the scope `admin`."""

    def __init__(self, venue: Administered) -> None:
        self._venue = venue

    def answer(self, who: str, request: AdminRequest, now: int, say: Say) -> None:
        """Carry out a request, and send the one reply, now or when the engine has run the command. Raises Refused if the request cannot be carried out."""

        def audited(reply: Message) -> None:
            arguments = {name: value for name, value in msgspec.structs.asdict(request).items() if name != "id"}
            outcome = reply.message if isinstance(reply, Error) else "done"
            log.info("an administrator's request", extra={"subject": who, "request": request.__struct_config__.tag, "arguments": arguments, "outcome": outcome})
            say(reply)

        try:
            match request:
                case Disconnect():
                    if bool(request.subject) == bool(request.connection):
                        raise Refused(ErrorCode.MALFORMED, "expected either a subject or a connection")
                    closed = ClosedSubject(request.subject) if request.subject else ClosedConnection(request.connection)
                    self._announce(request.id, Announcement(closed, now), audited)
                case Revoke():
                    if bool(request.subject) == bool(request.token_id):
                        raise Refused(ErrorCode.MALFORMED, "expected either a subject or the id of a token")
                    revoked = RevokedSubject(request.subject) if request.subject else RevokedToken(request.token_id)
                    self._announce(request.id, Announcement(revoked, self._venue.wall_time(now)), audited)
                case ListConnections():
                    self._venue.list_connections(request, now, lambda found, unheard: audited(Connections(request.id, found, unheard)))
                case ListSchedule():
                    audited(PhaseChanges(request.id, self._venue.phase_changes(now)))
                case _:
                    self._operate(request, now, audited)
        except Refused as refused:
            audited(Error(request.id, refused.code, refused.text))

    def _operate(self, request: Operation, now: int, say: Say) -> None:
        """Have the engine run a command, and answer by its outcome."""

        def done(result: Result | None, _: Event | None) -> None:
            if result is None:
                say(Error(request.id, ErrorCode.OUTCOME_UNKNOWN, ErrorCode.OUTCOME_UNKNOWN.text))
            elif result.reason:
                code = ErrorCode(400 + result.reason)
                say(Error(request.id, code, self._expected(request, code) or code.text))
            elif isinstance(request, MassCancel):
                say(AllCancelled(request.id, result.seq, result.count))
            else:
                say(Confirmed(request.id))

        self._venue.operate(request, now, done)

    def _expected(self, request: Operation, code: ErrorCode) -> str:
        """What was expected of a request that the engine has refused, "" if the text of its code says it."""
        match request, code:
            case SetFees(), ErrorCode.AMOUNT_OUT_OF_RANGE:
                return (
                    f"maker {request.maker}, taker {request.taker}: expected at most the instrument's hold_fee, "
                    "and no maker's rebate, of any tier, above what any tier's taker pays"
                )
            case Delist(), ErrorCode.NOT_LISTED:
                return f"{request.instrument} still has open orders, which are being cancelled: expected none"
            case Delist(), ErrorCode.WRONG_PHASE:
                return f"{request.instrument} is listed: expected an instrument that is delisted"
        return ""

    def _announce(self, id: int, said: Announcement, say: Say) -> None:
        """Have every process act on it. In this process a revoked token is invalid from now on, whatever happens elsewhere."""
        revocation = said.revocation()
        if revocation:
            self._venue.authenticator.revocations.revoke(revocation)
        code = ErrorCode.OUTCOME_UNKNOWN
        self._venue.announce(said, lambda certain: say(Confirmed(id) if certain else Error(id, code, code.text)))
