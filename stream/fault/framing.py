"""The part of HTTP and WebSocket framing (RFC 6455) that is needed to inject faults in the right place. Bytes come in pieces; heads and frames leave whole."""

import base64
import hashlib
from collections.abc import Iterator
from typing import NamedTuple

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
HEAD_END = b"\r\n\r\n"


class HttpHead:
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
        return self.first & 0x80 > 0 and self.first & 0xF in (1, 2)

    @property
    def wire(self) -> bytes:
        """Its bytes."""
        size, masked = len(self.payload), 0x80 if self.mask else 0
        if size < 126:
            head = bytes((self.first, masked | size))
        elif size < 1 << 16:
            head = bytes((self.first, masked | 126)) + size.to_bytes(2)
        else:
            head = bytes((self.first, masked | 127)) + size.to_bytes(8)
        return head + self.mask + self.payload

    def parts(self, count: int) -> Iterator["Frame"]:
        """The same message in so many fragments at most. The mask fits each, since each but the last has a multiple of four bytes."""
        size = max(4, -(-len(self.payload) // (count * 4)) * 4)
        pieces = [self.payload[at : at + size] for at in range(0, len(self.payload), size)] or [b""]
        for number, piece in enumerate(pieces):
            opcode = 0 if number else self.first & 0x7F
            yield Frame(opcode | (0x80 if number == len(pieces) - 1 else 0), self.mask, piece)


class Frames:
    """A connection's frames in one direction."""

    def __init__(self) -> None:
        self._data = b""

    def take(self, data: bytes) -> Iterator[Frame]:
        """Take in bytes; the frames that are whole now."""
        self._data += data
        at = 0
        while True:
            found = self._frame(at)
            if not found:
                break
            frame, at = found
            yield frame
        self._data = self._data[at:]

    def _frame(self, at: int) -> tuple[Frame, int] | None:
        data = self._data
        if len(data) < at + 2:
            return None
        first, second, body = data[at], data[at + 1], at + 2
        size = second & 0x7F
        if size >= 126:
            wide = 2 if size == 126 else 8
            size = int.from_bytes(data[body : body + wide]) if len(data) >= body + wide else 1 << 63
            body += wide
        masked = 4 if second & 0x80 else 0
        end = body + masked + size
        return (Frame(first, data[body : body + masked], data[body + masked : end]), end) if len(data) >= end else None


def close_frame(code: int, reason: bytes = b"") -> bytes:
    """A server's close frame."""
    return Frame(0x88, b"", code.to_bytes(2) + reason).wire
