"""When a signed request is good: within its window, and once. Times are in us since 1970, as integers."""

from heapq import heappush, heappushpop

from stream.access.api_keys import Cause, RequestRefused

AHEAD_US_MAX = 1_000_000
"""How far the clock of whoever signs may be ahead."""

WINDOW_US_MAX = 60_000_000
"""The longest window that a request may ask for."""

MICROSECONDS_FROM = 10**14
"""A timestamp of at least this is in us, one below it in ms: the one is a time in 1973, the other in the year 5138."""

SIGNATURES_MAX = 4096
"""How many signatures of one key are remembered."""


def microseconds(timestamp: int) -> int:
    """A timestamp that a client sends in ms or in us, in us."""
    return timestamp if timestamp >= MICROSECONDS_FROM else timestamp * 1000


def require_window(timestamp: int, window: int, now: int) -> None:
    """Raises RequestRefused unless `timestamp` is less than a second in the future, and at most `window` in the past."""
    if timestamp >= now + AHEAD_US_MAX:
        raise RequestRefused(Cause.AHEAD, f"the timestamp is {timestamp - now} us ahead of the server's time: expected less than {AHEAD_US_MAX}")
    if now - timestamp > window:
        raise RequestRefused(Cause.LATE, f"the timestamp is {now - timestamp} us old: expected at most the window of {window}")


class Replays:
    """Takes each signed request of a key once. Memory: SIGNATURES_MAX signatures for each key that is in use, a megabyte at most.

    When there are more, those with the lowest timestamps are forgotten, and what is as old as they are is refused from then on: so nothing is ever taken
    twice. For the same reason no request is taken that was signed before `since`, when this memory began. Each process has a memory of its own.
    """

    def __init__(self, since: int = 0) -> None:
        self._since = since
        self._kept: dict[str, _Kept] = {}

    def __len__(self) -> int:
        return sum(len(kept.signatures) for kept in self._kept.values())

    def take(self, key: str, timestamp: int, signature: bytes) -> None:
        """Take a request whose signature and window are good. Raises RequestRefused if it was taken before, or if that is not known any more. O(log kept)."""
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = _Kept(self._since)
        if signature in kept.signatures:
            raise RequestRefused(Cause.REPLAY, "this request was taken before: expected a new timestamp")
        if timestamp <= kept.floor:
            raise RequestRefused(Cause.LATE, "the timestamp is older than what is remembered of this key's requests")
        kept.signatures.add(signature)
        if len(kept.order) < SIGNATURES_MAX:
            heappush(kept.order, (timestamp, signature))
        else:
            kept.floor, forgotten = heappushpop(kept.order, (timestamp, signature))
            kept.signatures.discard(forgotten)

    def forget(self, now: int) -> None:
        """Forget the keys whose latest request is out of every window. O(kept), so seldom."""
        ended = now - WINDOW_US_MAX
        for key in [key for key, kept in self._kept.items() if max(kept.order, default=(0, b""))[0] < ended]:
            del self._kept[key]


class _Kept:
    """What is remembered of one key: its signatures, the same with their timestamps as a heap, and the highest timestamp that was forgotten."""

    def __init__(self, floor: int) -> None:
        self.signatures: set[bytes] = set()
        self.order: list[tuple[int, bytes]] = []
        self.floor = floor
