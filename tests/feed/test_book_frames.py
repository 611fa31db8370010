"""The compiled encoder of book frames writes, byte for byte, what msgspec makes of the struct."""

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import PriceLevels
from engine.levels import digest_of
from stream.feed.book_frames import BookFrames, Window
from stream.feed.channel import Point
from stream.wire.codec import JSON, MSGPACK, Written
from stream.wire.frames import Book

CHANNEL = "orderbook:BTC-USDT"
EDGES = sorted({edge + by for bits in (0, 4, 5, 7, 8, 15, 16, 31, 32, 47, 48, 62) for edge in (1 << bits,) for by in (-1, 0, 1)} | {(1 << 63) - 1})
"""Around where an integer takes another byte."""

NUMBERS = st.one_of(st.sampled_from(EDGES), st.integers(0, (1 << 63) - 1))
PRICES = st.one_of(st.sampled_from([edge for edge in EDGES if edge < 1 << 48]), st.integers(0, (1 << 48) - 1))
SIZES = st.one_of(st.sampled_from([edge for edge in EDGES if edge < 1 << 62]), st.integers(0, (1 << 62) - 1))
SIDE = st.dictionaries(PRICES, SIZES, max_size=20)
POINTS = st.builds(Point, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
CHANNELS = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=80)


def flat(side: Iterable[tuple[int, int]]) -> list[int]:
    return [number for level in side for number in level]


def book_of(bids: dict[int, int], asks: dict[int, int], seq: int = 1) -> PriceLevels:
    levels = PriceLevels()
    levels.apply(flat(bids.items()), flat(asks.items()), seq)
    return levels


def framed(channel: str, prev: int | None, at: Point, sides: tuple[list[int], list[int]], digest: int, batches: int = 0) -> bytes:
    """The same by msgspec."""
    return MSGPACK.frame(Book(channel, at.epoch, prev, at.seq, *sides, digest, batches, at.engine_time, at.now))


@given(SIDE, SIDE, POINTS, CHANNELS)
def test_a_snapshot_is_what_msgspec_writes(bids: dict[int, int], asks: dict[int, int], at: Point, channel: str) -> None:
    levels = book_of(bids, asks)
    assert BookFrames(levels, channel).snapshot(at) == framed(channel, None, at, levels.depth(), levels.digest)


@given(st.lists(st.tuples(SIDE, SIDE), max_size=5), st.integers(0, 5), POINTS, NUMBERS)
def test_changes_are_what_msgspec_writes(steps: list[tuple[dict[int, int], dict[int, int]]], prev: int, at: Point, batches: int) -> None:
    levels = PriceLevels()
    for seq, (bids, asks) in enumerate(steps, 1):
        levels.apply(flat(bids.items()), flat(asks.items()), seq)
    changes = levels.changes_since(prev)
    assert changes is not None
    assert BookFrames(levels, CHANNEL).since(prev, at, batches) == framed(CHANNEL, prev, at, changes, levels.digest, batches)
    assert levels.count_since(prev) == (len(changes[0]) + len(changes[1])) // 2


@given(SIDE, SIDE, SIDE, SIDE, st.integers(0, 30), POINTS, NUMBERS)
def test_a_window_and_its_changes_are_what_msgspec_writes(
    old_bids: dict[int, int], old_asks: dict[int, int], bids: dict[int, int], asks: dict[int, int], depth: int, at: Point, batches: int
) -> None:
    old, new = book_of(old_bids, old_asks), book_of(bids, asks)
    before, window = Window(old, depth), Window(new, depth)
    frames = BookFrames(new, CHANNEL)
    shown = [[side[: 2 * depth] for side in levels.depth()] for levels in (old, new)]
    digest = digest_of(*shown[1])
    assert window.digest == digest
    assert frames.window(window, at) == framed(CHANNEL, None, at, (shown[1][0], shown[1][1]), digest)
    assert window.equals(before) == (shown[0] == shown[1])
    sides = []
    for side in range(2):
        then, now = (dict(zip(levels[side][::2], levels[side][1::2], strict=True)) for levels in shown)
        changed = [(price, now.get(price, 0)) for price in then.keys() | now.keys() if then.get(price) != now.get(price)]
        sides.append(flat(sorted(changed, reverse=side == 0)))
    assert frames.window_since(before, window, 7, at, batches) == framed(CHANNEL, 7, at, (sides[0], sides[1]), digest, batches)


@pytest.mark.parametrize("number", EDGES)
def test_every_width_of_every_number(number: int) -> None:
    levels = book_of({min(number, (1 << 48) - 1): min(max(number, 1), 1 << 62)}, {5: 1})
    at = Point(number, number, number, number)
    frames = BookFrames(levels, CHANNEL)
    assert frames.snapshot(at) == framed(CHANNEL, None, at, levels.depth(), levels.digest)
    assert frames.since(number, at, number) == framed(CHANNEL, number, at, levels.changes_since(number) or ([], []), levels.digest, number)


@pytest.mark.parametrize("count", [0, 7, 8, 9, 15, 16, 100, 32_767, 32_768, 40_000])
@pytest.mark.parametrize("side", [0, 1])
def test_every_length_of_a_side(count: int, side: int) -> None:
    """Through every head of an array and of a WebSocket frame, and a buffer that grows."""
    random = Random(count)
    prices = {random.randrange(1 << 40): random.randrange(1, 1 << 40) for _ in range(count)}
    levels = book_of(*((prices, {}) if side == 0 else ({}, prices)))
    at = Point(1, 2, 3, 4)
    frames = BookFrames(levels, CHANNEL)
    assert frames.snapshot(at) == framed(CHANNEL, None, at, levels.depth(), levels.digest)
    assert frames.since(0, at, 1) == framed(CHANNEL, 0, at, levels.changes_since(0) or ([], []), levels.digest, 1)


@pytest.mark.parametrize("length", [*range(60, 80), *range(120, 130)])
def test_every_length_of_a_payload_around_the_headers_edges(length: int) -> None:
    levels, at = PriceLevels(), Point(1, 2, 3, 4)
    channel = "c" * length
    assert BookFrames(levels, channel).snapshot(at) == framed(channel, None, at, ([], []), 0)


def test_a_forgotten_past_has_no_frame() -> None:
    levels = PriceLevels(tombstones=1)
    for seq, price in enumerate((100, 101, 102), 1):
        levels.set(0, price, 1, 2 * seq - 1)
        levels.set(0, price, 0, 2 * seq)
    frames, at = BookFrames(levels, CHANNEL), Point(1, 6, 3, 4)
    assert frames.since(levels.floor - 1, at, 0) is None
    assert frames.since(levels.floor, at, 0) is not None


def test_a_frame_stays_as_it_was_when_the_book_goes_on() -> None:
    levels, at = book_of({100: 1}, {101: 2}), Point(1, 2, 3, 4)
    frame = Written(BookFrames(levels, CHANNEL).snapshot(at))
    expected = Book(CHANNEL, 1, None, 2, [100, 1], [101, 2], levels.digest, 0, 3, 4)
    levels.set(0, 100, 5, 2)
    assert (frame.message, frame.frame(MSGPACK), frame.frame(JSON)) == (expected, MSGPACK.frame(expected), JSON.frame(expected))


def test_what_is_no_number_of_the_wire_is_refused() -> None:
    frames = BookFrames(PriceLevels(), CHANNEL)
    with pytest.raises(OverflowError):
        frames.snapshot(Point(-1, 0, 0, 0))
    with pytest.raises(OverflowError):
        frames.since(-1, Point(1, 2, 3, 4), 0)
    with pytest.raises(OverflowError):
        Window(PriceLevels(), -1)
