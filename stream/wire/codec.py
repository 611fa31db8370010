"""Messages as bytes: the two subprotocols, and messages that are encoded once for many connections."""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from stream.wire.fields import Id, Message
from stream.wire.framing import BINARY, TEXT, framed, payload_of
from stream.wire.malformed import explain
from stream.wire.messages import Answer, Request

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises."""


class Malformed(Exception):
    """A message cannot be read; the text says where and what was expected."""


class RequestHead(msgspec.Struct, array_like=True):
    """How every request begins."""

    tag: str
    id: Id


class Codec(NamedTuple):
    """One subprotocol."""

    subprotocol: str
    opcode: int
    encode: Callable[[object], bytes]
    decode_request: Callable[[bytes], Request]
    decode_answer: Callable[[bytes], Answer]
    decode_head: Callable[[bytes], RequestHead]
    decode_elements: Callable[[bytes], list[msgspec.Raw]]
    decode: Callable[..., Any]

    def frame(self, message: Message) -> bytes:
        """A message as a WebSocket frame."""
        return framed(self.opcode, self.encode(message))

    def read_request(self, payload: bytes) -> Request:
        """A client's message. Raises Malformed if it cannot be read."""
        try:
            return self.decode_request(payload)
        except UNREADABLE as error:
            raise Malformed(explain(error, payload, self.decode_elements, self.decode)) from error

    def read_id(self, payload: bytes) -> int:
        """The id of a client's message, 0 if it has none. The rest of the message is not checked."""
        try:
            return self.decode_head(payload).id
        except UNREADABLE:
            return 0


MSGPACK = Codec(
    subprotocol="deltabook.v1.msgpack",
    opcode=BINARY,
    encode=msgspec.msgpack.Encoder().encode,
    decode_request=msgspec.msgpack.Decoder(Request).decode,
    decode_answer=msgspec.msgpack.Decoder(Answer).decode,
    decode_head=msgspec.msgpack.Decoder(RequestHead).decode,
    decode_elements=msgspec.msgpack.Decoder(list[msgspec.Raw]).decode,
    decode=msgspec.msgpack.decode,
)
JSON = Codec(
    subprotocol="deltabook.v1.json",
    opcode=TEXT,
    encode=msgspec.json.Encoder().encode,
    decode_request=msgspec.json.Decoder(Request).decode,
    decode_answer=msgspec.json.Decoder(Answer).decode,
    decode_head=msgspec.json.Decoder(RequestHead).decode,
    decode_elements=msgspec.json.Decoder(list[msgspec.Raw]).decode,
    decode=msgspec.json.decode,
)
CODECS = {codec.subprotocol: codec for codec in (MSGPACK, JSON)}


class Shared:
    """A message for many connections. It is encoded once for each subprotocol that they use."""

    __slots__ = ("_frames", "_message")

    def __init__(self, message: Message) -> None:
        self._message = message
        self._frames: dict[str, bytes] = {}

    @property
    def message(self) -> Message:
        """The message."""
        return self._message

    def frame(self, codec: Codec) -> bytes:
        """The message as a WebSocket frame."""
        frame = self._frames.get(codec.subprotocol)
        if frame is None:
            frame = self._frames[codec.subprotocol] = codec.frame(self.message)
        return frame


class Written(Shared):
    """A message that exists only as a MessagePack frame. For another subprotocol, it is decoded from there."""

    __slots__ = ()

    def __init__(self, frame: bytes) -> None:
        self._frames = {MSGPACK.subprotocol: frame}

    @property
    def message(self) -> Message:
        """The message. It is decoded each time."""
        return MSGPACK.decode_answer(payload_of(self._frames[MSGPACK.subprotocol]))
