"""Assembles messages from WebSocket frames (RFC 6455, 5.4 to 8.1). Checks order, size limits, reserved bits and UTF-8."""

from codecs import getincrementaldecoder

from stream.wire.framing import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT

TOO_BIG = 1009

FRAGMENTS_MAX = 4096
"""The most fragments of one message. Empty fragments count too, since they cost nothing to send."""


class Violation(Exception):
    """The peer broke the WebSocket protocol. It has the close code for this, and a text that says how."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


class Assembler:
    """Assembles the fragments of one connection."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self._opcode = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._text = getincrementaldecoder("utf-8")()

    def take(self, opcode: int, fin: bool, reserved: bool, payload: bytes) -> tuple[int, bytes] | None:
        """Take in a frame. Returns the opcode and payload of a message that is now whole, or of a control frame."""
        if reserved:
            raise Violation(1002, "reserved bits are set")
        if opcode in (CLOSE, PING, PONG):
            if not fin or len(payload) > 125:
                raise Violation(1002, "a control frame is fragmented or too long")
            return opcode, payload
        if opcode not in (CONTINUATION, TEXT, BINARY):
            raise Violation(1002, f"opcode {opcode} is reserved")
        if (opcode == CONTINUATION) != bool(self._opcode):
            raise Violation(1002, "a fragment is out of order")
        self._size += len(payload)
        if self._size > self.bytes_max or len(self._parts) == FRAGMENTS_MAX:
            raise Violation(TOO_BIG, f"expected messages of at most {self.bytes_max} bytes and {FRAGMENTS_MAX} fragments")
        self._opcode = self._opcode or opcode
        if self._opcode == TEXT:
            try:
                self._text.decode(payload, fin)
            except UnicodeDecodeError as error:
                raise Violation(1007, "a text message is not UTF-8") from error
        self._parts.append(payload)
        if not fin:
            return None
        message = self._opcode, b"".join(self._parts)
        self._opcode, self._parts, self._size = 0, [], 0
        return message


def close_code(payload: bytes) -> int:
    """The code in the payload of a close frame, 1000 if it has none. Raises Violation if the code is not allowed there."""
    if not payload:
        return 1000
    code = int.from_bytes(payload[:2])
    if len(payload) < 2 or not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise Violation(1002, "the close code is not allowed")
    try:
        payload[2:].decode()
    except UnicodeDecodeError as error:
        raise Violation(1007, "the close reason is not UTF-8") from error
    return code
