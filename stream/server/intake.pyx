"""The way in of a connection: its frames become whole messages, and these reach its session in their order. Requests about orders take a short way."""

cimport cython
from libc.stdint cimport int64_t, uint64_t

from stream.venue.trader cimport Trader

from collections import deque
from collections.abc import Callable
import logging

from picows import WSFrame, WSMsgType

from stream.wire.fragments import Assembler, Violation
from stream.wire.framing import BINARY, CLOSE

log = logging.getLogger("deltabook")

cdef enum:
    TURN_MESSAGES = 8           # the most of one connection in one turn of the loop: this bounds how long others wait

cdef object WHOLE = WSMsgType(BINARY)


@cython.final
cdef class Turns:
    """The turns of a server's loop, which ticks once in each: how many there were, who has messages for a later one, and what is planned for this one."""

    cdef public uint64_t number
    cdef readonly dict waiting          # Intake -> None, in their order
    cdef public bint ticks              # a tick will come
    cdef public bint hands_over         # or at least, what has gathered will be handed over

    def __init__(self) -> None:
        self.number = 1
        self.waiting = {}
        self.ticks = self.hands_over = False

    def begin(self) -> None:
        """The next turn: those who have waited answer what has come to them."""
        self.ticks = self.hands_over = False    # the tick does that too
        self.number += 1
        waiting, self.waiting = self.waiting, {}
        for intake in waiting:
            (<Intake>intake).take_turn()


@cython.final
cdef class Intake:
    """Of one connection. `peer` answers messages and closes; `now` tells the time; `enter` takes a request that is still bytes, if it can.

    `wake` has the server tick in this turn, `hand_over` hand over what has gathered.
    """

    cdef Trader session
    cdef object peer
    cdef Turns turns
    cdef object now
    cdef object enter
    cdef object wake
    cdef object hand_over
    cdef object assembler
    cdef object inbox           # messages that wait for a later turn, each with its opcode, and with the limit that it went over
    cdef int opcode
    cdef bint partial           # fragments of a message wait for the rest
    cdef uint64_t turn
    cdef int taken              # messages in this turn
    cdef public bint ended      # nothing more is taken

    def __init__(
        self, session: Trader, peer: object, turns: Turns, bytes_max: int, now: Callable[[], int], enter: Callable[[Trader, bytes, int], bool],
        wake: Callable[[], None], hand_over: Callable[[], None],
    ) -> None:
        self.session = session
        self.peer = peer
        self.turns = turns
        self.now = now
        self.enter = enter
        self.wake = wake
        self.hand_over = hand_over
        self.assembler = Assembler(bytes_max)
        self.inbox = deque()
        self.opcode = session.codec.opcode
        self.partial = False
        self.turn = self.taken = 0
        self.ended = False

    cpdef int take(self, object frame: WSFrame) except -1:
        """A frame has come."""
        cdef Trader session = self.session
        cdef object kind = frame.msg_type
        cdef bytes payload
        cdef str over
        cdef int64_t now
        if self.ended or session.closed is not None:
            if kind == CLOSE:
                self.peer.cut_off()
            return 0
        try:
            payload = frame.get_payload_as_bytes()
            now = self.now()
            over = session.charge(len(payload), now, kind is not WHOLE and kind >= CLOSE)
            if (
                session.trades and not over and kind is WHOLE and frame.fin and not self.partial and not self.inbox
                and not (frame.rsv1 or frame.rsv2 or frame.rsv3) and session.has_room() and self.may_take() and session.lasts(now)
                and self.enter(session, payload, now)
            ):
                session.messages_received += 1
                self.taken += 1
                if not (self.turns.ticks or self.turns.hands_over):
                    self.hand_over()
                return 0
            self.take_frame(frame, kind, payload, over)
            self.wake()
        except Violation as violation:
            self.peer.break_off(violation)
        except Exception:
            self.fail()
        return 0

    cdef int fail(self) except -1:
        log.exception("a message caused an error")
        self.peer.close(1011, "internal error")
        return 0

    cdef int take_frame(self, object frame, int kind, bytes payload, str over) except -1:
        """The long way, for a frame of any kind."""
        cdef object session = self.session
        cdef object whole
        self.assembler.bytes_max = session.message_bytes_max
        whole = self.assembler.take(kind, frame.fin, frame.rsv1 or frame.rsv2 or frame.rsv3, payload)
        if kind < CLOSE:
            self.partial = whole is None
        if whole is not None and (whole[0] != self.opcode or session.admit(whole[1])):
            self.inbox.append((*whole, over))
            self.take_turn()
        return 0

    cdef bint may_take(self) noexcept:
        """Whether one more message may be answered in this turn."""
        if self.turn != self.turns.number:
            self.turn, self.taken = self.turns.number, 0
        return self.taken < TURN_MESSAGES

    cdef int take_turn(self) except -1:
        """Answer what has come, but only so much at once, for others wait too."""
        try:
            while self.inbox and self.may_take() and self.session.closed is None:
                self.taken += 1
                opcode, payload, over = self.inbox.popleft()
                self.peer.received(opcode, payload, over)
        except Violation as violation:
            self.peer.break_off(violation)
        except Exception:
            self.fail()
        if self.inbox and not self.ended and self.session.closed is None:
            self.turns.waiting[self] = None
        return 0

    def drop(self) -> None:
        """The connection is gone, and nobody waits for what has come and was not answered."""
        for opcode, *_ in self.inbox:
            if opcode == self.opcode:
                self.session.ended()
        self.inbox.clear()
        self.ended = True
        self.peer = None    # who holds this: without a circle, both are gone at once
