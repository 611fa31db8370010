"""A book's frame: out of the change list, through msgspec into bytes, and back into a client's book."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.test_levels import changed, filled
from engine import PriceLevels
from stream.feed.book_frames import BookFrames
from stream.wire.codec import JSON, MSGPACK, Codec
from stream.wire.frames import Book
from stream.wire.mirror import BookMirror, Verdict

LEVELS = pytest.mark.parametrize("count", [5, 20, 100], ids="{} levels".format)
CODECS = pytest.mark.parametrize("codec", [MSGPACK, JSON], ids=["msgpack", "json"])
CHANNEL = "orderbook:BTC-USDT"
DEPTH = 10_000
FRAMES = 1_000
EPOCH, TIME = 1_700_000_000_000, 1_700_000_000_000_000_000


def frame_of(levels: PriceLevels, prev: int) -> Book:
    """The frame of what changed after `prev`."""
    changes = levels.changes_since(prev)
    assert changes
    return Book(CHANNEL, EPOCH, prev, levels.seq, *changes, levels.digest, 1, TIME, TIME)


@CODECS
@LEVELS
def test_encode(benchmark: BenchmarkFixture, codec: Codec, count: int) -> None:
    """The message is there already."""
    levels = filled(DEPTH)
    frame = frame_of(levels, changed(levels, count))
    benchmark.extra_info["bytes"] = len(benchmark(codec.encode, frame))


@LEVELS
def test_changes_to_bytes(benchmark: BenchmarkFixture, count: int) -> None:
    """What a flush does once for all clients, by the compiled encoder: the changes as a WebSocket frame."""
    levels = filled(DEPTH)
    before = changed(levels, count)
    benchmark(BookFrames(levels, CHANNEL).since, before, (EPOCH, levels.seq, TIME, TIME), 1)


@LEVELS
def test_changes_to_bytes_by_msgspec(benchmark: BenchmarkFixture, count: int) -> None:
    """The same by way of Python: the changes, the message, its bytes, the WebSocket frame."""
    levels = filled(DEPTH)
    before = changed(levels, count)
    benchmark(lambda: MSGPACK.frame(frame_of(levels, before)))


@CODECS
@LEVELS
def test_decode(benchmark: BenchmarkFixture, codec: Codec, count: int) -> None:
    levels = filled(DEPTH)
    benchmark(codec.decode_answer, codec.encode(frame_of(levels, changed(levels, count))))


@LEVELS
def test_mirror_1000_frames(benchmark: BenchmarkFixture, count: int) -> None:
    """What a client does: read each frame, apply it to its book, compare the digest."""
    levels = filled(DEPTH)
    snapshot = Book(CHANNEL, EPOCH, None, levels.seq, *levels.depth(), levels.digest, 0, TIME, TIME)
    payloads = [MSGPACK.encode(frame_of(levels, changed(levels, count))) for _ in range(FRAMES)]

    def prepared() -> tuple[tuple[BookMirror], dict[str, object]]:
        mirror = BookMirror(CHANNEL)
        mirror.receive(snapshot)
        return (mirror,), {}

    def run(mirror: BookMirror) -> None:
        for payload in payloads:
            frame = MSGPACK.decode_answer(payload)
            assert isinstance(frame, Book)
            mirror.receive(frame)
        assert mirror.counts[Verdict.APPLIED] == FRAMES

    benchmark.pedantic(run, setup=prepared, rounds=20)    # type: ignore[no-untyped-call]
