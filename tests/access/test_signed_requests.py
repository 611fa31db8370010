"""A signed request is good within its window, to the microsecond, and once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.access import signed_requests
from stream.access.api_keys import Cause, RequestRefused
from stream.access.signed_requests import AHEAD_US_MAX, WINDOW_US_MAX, Replays, microseconds, require_window

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


def taken(replays: Replays, key: str, timestamp: int, signature: bytes) -> Cause | None:
    try:
        replays.take(key, timestamp, signature)
    except RequestRefused as refusal:
        return refusal.cause
    return None


def test_a_request_is_taken_once_by_each_key() -> None:
    replays = Replays()
    assert taken(replays, "a", NOW, b"1") is None
    assert taken(replays, "a", NOW, b"1") is Cause.REPLAY
    assert taken(replays, "a", NOW, b"2") is None    # another one of the same moment
    assert taken(replays, "b", NOW, b"1") is None
    assert len(replays) == 3


def test_nothing_is_taken_that_was_signed_before_the_memory_began() -> None:
    replays = Replays(since=NOW)
    assert taken(replays, "a", NOW, b"1") is Cause.LATE
    assert taken(replays, "a", NOW + 1, b"1") is None


def test_a_key_is_forgotten_when_its_requests_are_out_of_every_window() -> None:
    replays = Replays()
    replays.take("old", NOW, b"1")
    replays.take("new", NOW + 1, b"1")
    assert taken(Replays(NOW), "refused", NOW, b"1") is Cause.LATE
    replays.forget(NOW + WINDOW_US_MAX)
    assert len(replays) == 2
    replays.forget(NOW + WINDOW_US_MAX + 1)
    assert len(replays) == 1
    assert cause(NOW, WINDOW_US_MAX, NOW + WINDOW_US_MAX + 1) is Cause.LATE


def test_a_key_that_only_had_requests_refused_is_forgotten() -> None:
    replays = Replays(NOW)
    assert taken(replays, "a", NOW, b"1") is Cause.LATE
    replays.forget(NOW)
    assert taken(replays, "a", NOW, b"1") is Cause.LATE


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 5)), max_size=60))
def test_nothing_is_taken_twice_however_little_is_remembered(requests: list[tuple[int, int]]) -> None:
    """The twin remembers everything. A signature has one timestamp, as it is over the timestamp too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signed_requests, "SIGNATURES_MAX", 4)
        replays, seen = Replays(), set[tuple[int, int]]()
        for request in requests:
            outcome = taken(replays, "a", request[0], bytes(request))
            if request in seen:
                assert outcome in (Cause.REPLAY, Cause.LATE)
            elif outcome is None:
                seen.add(request)
            else:
                assert outcome is Cause.LATE
                assert len(seen) > 4
            assert len(replays) <= 4
        newest = (31, 0)
        assert taken(replays, "a", newest[0], bytes(newest)) is None    # in order, every new one is taken
