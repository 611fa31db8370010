"""A signed request is good within its window, to the microsecond."""

from stream.access.api_keys import Cause, RequestRefused
from stream.access.signed_requests import AHEAD_US_MAX, microseconds, require_window

NOW = 1_700_000_000_000_000


def cause(timestamp: int, window: int = 5_000_000, now: int = NOW) -> Cause | None:
    try:
        require_window(timestamp, window, now)
    except RequestRefused as refusal:
        return refusal.cause
    return None


def test_the_window_has_two_edges() -> None:
    assert cause(NOW) is None
    assert cause(NOW - 5_000_000) is None
    assert cause(NOW - 5_000_001) is Cause.LATE
    assert cause(NOW + AHEAD_US_MAX - 1) is None
    assert cause(NOW + AHEAD_US_MAX) is Cause.AHEAD
    assert cause(NOW, 0) is None
    assert cause(NOW - 1, 0) is Cause.LATE
    assert cause(0) is Cause.LATE
    assert cause(-1) is Cause.LATE
    assert cause(1 << 200) is Cause.AHEAD


def test_a_timestamp_is_in_ms_or_us() -> None:
    assert microseconds(1_700_000_000_000) == 1_700_000_000_000_000
    assert microseconds(1_700_000_000_000_123) == 1_700_000_000_000_123
    assert microseconds(10**14 - 1) == (10**14 - 1) * 1000
    assert microseconds(10**14) == 10**14
    assert microseconds(0) == 0
