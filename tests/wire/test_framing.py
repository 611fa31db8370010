"""Frames of RFC 6455, written and read again: at the lengths where heads change, with and without a mask, whole and cut off."""

import pytest

from stream.wire.framing import BINARY, CLOSE, FIN, MASKED, TEXT, close_frame, extent, framed, frames_in, head_of, head_size, payload_of

SIZES = (0, 1, 125, 126, 127, (1 << 16) - 1, 1 << 16, 70_000)


def test_the_examples_of_the_rfc() -> None:
    assert framed(TEXT, b"Hello") == bytes.fromhex("810548656c6c6f")
    assert head_of(FIN | TEXT, 5, MASKED) == bytes.fromhex("8185")
    assert head_of(FIN | BINARY, 256) == bytes.fromhex("827e0100")
    assert head_of(FIN | BINARY, 65536) == bytes.fromhex("827f0000000000010000")


@pytest.mark.parametrize("mask", [b"", b"mask"], ids=["server", "client"])
@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_is_read_again(size: int, mask: bytes) -> None:
    head = head_of(FIN | BINARY, size, MASKED if mask else 0)
    assert len(head) == head_size(size)
    frame = head + mask + b"x" * size
    assert extent(b"before" + frame, 6) == (6 + len(head + mask), 6 + len(frame))
    assert payload_of(frame) == b"x" * size
    assert list(frames_in(frame * 2 + frame[:-1])) == [frame, frame]
    assert all(extent(head[:end]) is None for end in range(len(head)))


def test_a_close_frame_is_a_control_frame_whatever_its_reason() -> None:
    frame = close_frame(1001, "gone " * 100)
    assert (frame[0], len(payload_of(frame)), payload_of(frame)[:6]) == (FIN | CLOSE, 125, b"\x03\xe9gone")
