"""What one connection and one account may do, in token buckets: looked at for every message."""

cimport cython
from libc.stdint cimport int64_t

from stream.wire.bucket cimport Bucket

from stream.settings.config import Config
from stream.wire.bucket import ANSWER_BYTES_OF_A_MESSAGE


@cython.final
cdef class ConnectionAllowance:
    """How much one connection may send, and how much it may be answered."""

    def __init__(self, config: Config, now: int) -> None:
        self.messages = Bucket(config.messages_per_s, config.messages_burst, now)
        self.controls = Bucket(config.control_frames_per_s, config.control_frames_burst, now)
        self.volume = Bucket(config.bytes_per_s, config.bytes_burst, now)

    cpdef str take(self, int64_t size, int64_t now, bint control):
        """A frame of `size` bytes has come: a part of a message, or a control frame. Returns the limit that it exceeds, "" for none."""
        cdef str over = ""
        if not (self.controls if control else self.messages).take(now):
            over = "control_frames_per_s" if control else "messages_per_s"
        return over if self.volume.take(now, size) else "bytes_per_s"

    def charge_answer(self, size: int) -> None:
        """A message is answered with `size` bytes. If that is more than an ordinary answer, it counts as more messages."""
        self.messages.owe(size // ANSWER_BYTES_OF_A_MESSAGE)


@cython.final
cdef class AccountAllowance:
    """What one account has, over all its connections."""

    def __init__(self, config: Config, now: int) -> None:
        self.connections = 0
        self.orders = Bucket(config.orders_per_s, config.orders_burst, now)
        self.cancels = Bucket(config.cancels_per_s, config.cancels_burst, now)
