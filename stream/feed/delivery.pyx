"""What each connection sends with its next write. This is the compiled path of a delivery, from a frame to the system call."""

cimport cython
from libc.stdint cimport int64_t, uintptr_t

from collections.abc import Iterable

NOWHERE = -1
"""The sequence of a listener that has nothing yet."""

cdef enum:
    RECENT = 16


@cython.final
cdef class Traffic:
    """All connections of a market: which of them have something to send or are closed, what they have written, and how many of their requests are under way."""

    def __init__(self) -> None:
        self.waiting = {}
        self.recent = [None] * RECENT
        self.writes = 0
        self.bytes_written = 0
        self.unanswered = 0

    def take_waiting(self) -> dict:
        """The connections that have something to send, in the order in which it came."""
        waiting, self.waiting = self.waiting, {}
        return waiting

    cdef bytes joined(self, list frames):
        """Join frames to one piece of bytes. Outboxes with the same frames mostly share one piece; only the latest pieces are kept."""
        cdef uintptr_t mixed = 0
        cdef Py_ssize_t i
        cdef list known
        for i in range(len(frames)):
            mixed = mixed * 31 + <uintptr_t><void*>frames[i]
        mixed = (mixed ^ (mixed >> 7)) // 16 % RECENT
        entry = self.recent[mixed]
        if entry is not None:
            known = entry[0]
            if len(known) == len(frames):
                for i in range(len(frames)):
                    if known[i] is not frames[i]:
                        break
                else:
                    return entry[1]
        piece = b"".join(frames)
        self.recent[mixed] = (frames, piece)
        return piece

    def forget(self) -> None:
        """Keep no bytes."""
        self.recent = [None] * RECENT


cdef class Outbox:
    """What one connection says. While its socket takes no more it is not `writable`, and only replies wait in it.

    `closed` is why nothing more is said; `writer` is who writes, for whom it may mean something.
    """

    def __init__(self, traffic: Traffic, codec: object, bytes_max: int) -> None:
        self.traffic = traffic
        self.codec = codec
        self.bytes_max = bytes_max
        self.said = None
        self.out_bytes = 0
        self.writable = self.takes_frames = True
        self.closed = self.writer = None

    @property
    def out(self) -> list[bytes]:
        """The frames of the next write."""
        return [] if self.said is None else list(self.said) if isinstance(self.said, list) else [self.said]

    def ask_to_write(self) -> None:
        """Have the writer look here."""
        self.traffic.waiting[self] = None

    def overflow(self) -> None:
        """More than `bytes_max` bytes wait."""
        raise NotImplementedError

    def push(self, message: object) -> None:
        """Send a Shared message with the next write."""
        self.put(message.frame(self.codec))

    cpdef int put(self, bytes frame) except -1:
        """Send a frame with the next write."""
        if self.closed is not None:
            return 0
        if self.said is None:
            self.traffic.waiting[self] = None
            self.said = frame
        elif isinstance(self.said, list):
            (<list>self.said).append(frame)
        else:
            self.said = [self.said, frame]
        self.out_bytes += len(frame)
        if self.out_bytes > self.bytes_max:
            self.overflow()
        return 0

    cpdef bytes take_out(self):
        """Everything that there is to write. It is handed out only once."""
        cdef bytes piece = b"" if self.said is None else self.traffic.joined(self.said) if isinstance(self.said, list) else self.said
        self.said = None
        self.out_bytes = 0
        self.traffic.writes += 1
        self.traffic.bytes_written += len(piece)
        return piece


@cython.final
cdef class Subscription:
    """One listener on one conflation. `seq` is how far the listener has been brought, NOWHERE before its first frame; `in_step` is
    whether what the conflation has to say next is just what the listener does not know; `catch_ups` counts the frames of its own."""

    def __init__(self, listener: Outbox, conflation: object) -> None:
        self.listener = listener
        self.conflation = conflation
        self.seq = NOWHERE
        self.in_step = False
        self.catch_ups = 0

    @property
    def behind(self) -> bool:
        """Whether something happened that the listener was not sent."""
        return self.conflation.channel.seq > self.seq

    def push(self, messages: list[object], seq: int) -> None:
        """Send messages that bring the listener to `seq`."""
        for message in messages:
            self.listener.push(message)
        self.seq = seq


def deliver(subscriptions: Iterable[Subscription], messages: list[object], int64_t seq) -> list[Subscription]:
    """Send messages that bring all listeners in step to `seq`. Returns those that are not in step, or whose socket is full."""
    cdef Subscription subscription
    cdef Outbox listener
    cdef bytes frame
    cdef list frames = []
    cdef list others = []
    codec = None
    for subscription in subscriptions:
        listener = subscription.listener
        if not subscription.in_step or not listener.takes_frames:
            others.append(subscription)
            continue
        if listener.codec is not codec:
            codec = listener.codec
            frames = [message.frame(codec) for message in messages]
        for frame in frames:
            listener.put(frame)
        subscription.seq = seq
    return others
