"""A token bucket, used by the server that grants an allowance and by a client that stays within it."""

cimport cython
from libc.stdint cimport int64_t

ANSWER_BYTES_OF_A_MESSAGE = 4096
"""This many bytes of a long answer cost about as much as an ordinary message."""


@cython.final
cdef class Bucket:
    """A token bucket: `burst` at once, `per_s` in the long run. Times are in ns."""

    def __init__(self, per_s: float, burst: int, now: int) -> None:
        self.per_s = per_s
        self.burst = self.left = burst
        self.at = now

    cdef void refill(self, int64_t now) noexcept:
        self.left = min(self.burst, self.left + <double>(now - self.at) / 1e9 * self.per_s)
        self.at = now

    cpdef bint take(self, int64_t now, double amount=1) noexcept:
        """Take so many; False if there are not as many, and nothing is taken."""
        self.refill(now)
        if self.left < amount:
            return False
        self.left -= amount
        return True

    def owe(self, amount: int) -> None:
        """Take more tokens for something that was granted already, if necessary into debt."""
        self.left -= amount

    def level(self, now: int) -> float:
        """How many tokens may be taken; negative if in debt."""
        self.refill(now)
        return self.left

    def full(self, now: int) -> bool:
        """Whether the bucket is full, as if nothing had ever been taken."""
        self.refill(now)
        return self.left >= self.burst
