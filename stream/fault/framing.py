"""As much of HTTP and of WebSocket frames as it takes to do harm at the right place: bytes come in any pieces, heads and frames come out whole."""

import base64
import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from stream.wire.framing import BINARY, CONTINUATION, FIN, MASKED, TEXT, frames_in, head_of, payload_of

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
HEAD_END = b"\r\n\r\n"


class Head:
    """A request's or an answer's, until its empty line."""

    def __init__(self) -> None:
        self._data = b""
        self.done = False

    def take(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Take in bytes. Once the head is whole: the head, and what came behind it."""
        self._data += data
        head, end, rest = self._data.partition(HEAD_END)
        self.done = bool(end)
        return (head + end, rest) if end else None


def header(head: bytes, name: str) -> bytes:
    """The value of a header, b"" if it is not there."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name.encode():
            return value.strip()
    return b""


def accept_of(request: bytes) -> bytes:
    """What a server answers to the key of a WebSocket handshake."""
    return base64.b64encode(hashlib.sha1(header(request, "sec-websocket-key") + GUID).digest())


def switching(request: bytes, accept: bytes, subprotocol: bytes) -> bytes:
    """A server's answer that makes a WebSocket of the connection."""
    chosen = b"Sec-WebSocket-Protocol: %s\r\n" % subprotocol if subprotocol else b""
    return b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n" % (accept, chosen)


class Frame(NamedTuple):
    """One frame as it is on the wire. `mask` is b"" for a server's, and `payload` is still masked."""

    first: int
    mask: bytes
    payload: bytes

    @property
    def is_whole_message(self) -> bool:
        """Whether it is text or binary, and not a part of it."""
        return self.first & FIN > 0 and self.first & 0xF in (TEXT, BINARY)

    @property
    def wire(self) -> bytes:
        """Its bytes."""
        return head_of(self.first, len(self.payload), MASKED if self.mask else 0) + self.mask + self.payload

    def parts(self, count: int) -> Iterator["Frame"]:
        """The same message in so many fragments at most. The mask fits each, since each but the last has a multiple of four bytes."""
        size = max(4, -(-len(self.payload) // (count * 4)) * 4)
        pieces = [self.payload[at : at + size] for at in range(0, len(self.payload), size)] or [b""]
        for number, piece in enumerate(pieces):
            opcode = CONTINUATION if number else self.first & ~FIN
            yield Frame(opcode | (FIN if number == len(pieces) - 1 else 0), self.mask, piece)


def frame_of(wire: bytes) -> Frame:
    """A frame out of its bytes."""
    payload = payload_of(wire)
    start = len(wire) - len(payload)
    return Frame(wire[0], wire[start - 4 : start] if wire[1] & MASKED else b"", payload)


class Frames:
    """A connection's frames in one direction."""

    def __init__(self) -> None:
        self._data = b""

    def take(self, data: bytes) -> Iterator[Frame]:
        """Take in bytes; the frames that are whole now."""
        self._data += data
        whole = 0
        for frame in frames_in(self._data):
            whole += len(frame)
            yield frame_of(frame)
        self._data = self._data[whole:]
