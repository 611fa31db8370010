"""The frames of RFC 6455 (5.2): the only place that writes or reads a frame's head. Never looks into a payload.

`book_frames` writes the same heads in C, straight in front of a payload; its tests compare them with these.
"""

from collections.abc import Iterator

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

FIN = 0x80
"""In the first byte: no fragment of the same message follows."""

MASKED = 0x80
"""In the second byte: a client's frame, whose payload has a mask of four bytes in front of it."""

REASON_BYTES_MAX = 123


def head_size(size: int) -> int:
    """How many bytes the head of a frame without a mask has in front of a payload of so many."""
    return 2 if size < 126 else 4 if size < 1 << 16 else 10


def head_of(first: int, size: int, masked: int = 0) -> bytes:
    """A head, up to the mask. `first` is FIN, the reserved bits and the opcode."""
    if size < 126:
        return bytes((first, masked | size))
    if size < 1 << 16:
        return bytes((first, masked | 126)) + size.to_bytes(2)
    return bytes((first, masked | 127)) + size.to_bytes(8)


def framed(opcode: int, payload: bytes) -> bytes:
    """A complete frame as a server writes it."""
    return head_of(FIN | opcode, len(payload)) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """A server's close frame; the reason is cut to what fits."""
    return framed(CLOSE, code.to_bytes(2) + reason.encode()[:REASON_BYTES_MAX])


def extent(data: bytes, at: int = 0) -> tuple[int, int] | None:
    """Where the payload of the frame at `at` begins, behind its mask, and where it ends, beyond the data perhaps. None while the head is not whole."""
    start = at + 2
    if len(data) < start:
        return None
    size = data[at + 1] & 0x7F
    if size >= 126:
        wide = 2 if size == 126 else 8
        if len(data) < start + wide:
            return None
        size = int.from_bytes(data[start : start + wide])
        start += wide
    if data[at + 1] & MASKED:
        start += 4
    return start, start + size


def frames_in(data: bytes) -> Iterator[bytes]:
    """The frames that lie one behind the other, up to the first that is not whole."""
    at = 0
    while (found := extent(data, at)) and found[1] <= len(data):
        yield data[at : found[1]]
        at = found[1]


def payload_of(frame: bytes) -> bytes:
    """The payload of a complete frame, still masked if it is a client's."""
    found = extent(frame)
    return frame[found[0] :] if found else b""
