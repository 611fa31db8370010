"""A token bucket, used by the server that grants an allowance and by a client that stays within it."""

ANSWER_BYTES_OF_A_MESSAGE = 4096
"""This many bytes of a long answer cost about as much as an ordinary message."""


class Bucket:
    """A token bucket: `burst` at once, `per_s` in the long run."""

    __slots__ = ("_at", "_burst", "_level", "_per_s")

    def __init__(self, per_s: float, burst: int, now: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._level = float(burst)
        self._at = now

    def take(self, now: int, amount: int = 1) -> bool:
        """Take so many; False if there are not as many, and nothing is taken."""
        self._refill(now)
        if self._level < amount:
            return False
        self._level -= amount
        return True

    def owe(self, amount: int) -> None:
        """Take more tokens for something that was granted already, if necessary into debt."""
        self._level -= amount

    def _refill(self, now: int) -> None:
        self._level = min(float(self._burst), self._level + (now - self._at) / 10**9 * self._per_s)
        self._at = now

    def level(self, now: int) -> float:
        """How many tokens may be taken; negative if in debt."""
        self._refill(now)
        return self._level

    def full(self, now: int) -> bool:
        """Whether the bucket is full, as if nothing had ever been taken."""
        self._refill(now)
        return self._level >= self._burst
