"""When a signed request is good: within its window. Times are in us since 1970, as integers."""

from stream.access.api_keys import Cause, RequestRefused

AHEAD_US_MAX = 1_000_000
"""How far the clock of whoever signs may be ahead."""

WINDOW_US_MAX = 60_000_000
"""The longest window that a request may ask for."""

MICROSECONDS_FROM = 10**14
"""A timestamp of at least this is in us, one below it in ms: the one is a time in 1973, the other in the year 5138."""


def microseconds(timestamp: int) -> int:
    """A timestamp that a client sends in ms or in us, in us."""
    return timestamp if timestamp >= MICROSECONDS_FROM else timestamp * 1000


def require_window(timestamp: int, window: int, now: int) -> None:
    """Raises RequestRefused unless `timestamp` is less than a second in the future, and at most `window` in the past."""
    if timestamp >= now + AHEAD_US_MAX:
        raise RequestRefused(Cause.AHEAD, f"the timestamp is {timestamp - now} us ahead of the server's time: expected less than {AHEAD_US_MAX}")
    if now - timestamp > window:
        raise RequestRefused(Cause.LATE, f"the timestamp is {now - timestamp} us old: expected at most the window of {window}")
