"""Faults of the handshake: the client gets an answer that no WebSocket server gives, or no answer. The server never sees the connection."""

from http import HTTPStatus
from itertools import repeat

from stream.fault.framing import HttpHead, accept_of, header, switching
from stream.fault.kinds import End, Fault, Step, Steps, ToClient, Wait
from stream.wire.framing import close_frame

TLS_ALERT = bytes.fromhex("15030100020246")    # fatal, protocol version: what TLS says to what is none
DRIP_S = 0.05


class ClosedAtOnce(Fault):
    """The connection is closed as soon as it is accepted."""

    reaches_server = False

    def begin(self) -> Steps:
        return (End(),)


class ResetAtOnce(Fault):
    """The connection is reset as soon as it is accepted."""

    reaches_server = False

    def begin(self) -> Steps:
        return (End(reset=True),)


class Silent(Fault):
    """The connection is accepted, and no byte is ever sent."""

    reaches_server = False

    def up(self, data: bytes) -> Steps:
        return ()


class ToRequest(Fault):
    """A fault that waits for the client's request."""

    reaches_server = False

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)    # type: ignore[arg-type]
        self._head = HttpHead()

    def up(self, data: bytes) -> Steps:
        found = None if self._head.done else self._head.take(data)
        return self.answer(found[0]) if found else ()

    def answer(self, request: bytes) -> Steps:
        """What the client gets for its request."""
        raise NotImplementedError


class ClosedAfterRequest(ToRequest):
    """The request is read, and the connection is closed."""

    def answer(self, request: bytes) -> Steps:
        return (End(),)


class ResetAfterRequest(ToRequest):
    """The request is read, and the connection is reset."""

    def answer(self, request: bytes) -> Steps:
        return (End(reset=True),)


class HalfStatusLine(ToRequest):
    """The client gets half of the first line of the answer, and the connection is closed."""

    def answer(self, request: bytes) -> Steps:
        return ToClient(b"HTTP/1.1 10"), End()


class HalfHead(ToRequest):
    """The client gets a good answer that is cut off in the middle of its headers."""

    def answer(self, request: bytes) -> Steps:
        head = switching(request, accept_of(request), b"")
        return ToClient(head[: self.chance.randrange(40, len(head) - 2)]), End()


class EndlessHead(ToRequest):
    """The client gets an answer whose headers never end: one header every 50 ms."""

    def answer(self, request: bytes) -> Steps:
        yield ToClient(b"HTTP/1.1 101 Switching Protocols\r\n")
        for _ in repeat(None):
            yield ToClient(b"X-More: yes\r\n")
            yield Wait(DRIP_S)


class Garbage(ToRequest):
    """The client gets n random bytes as an answer, and the connection is closed."""

    unit = "bytes"
    amount = 256

    def answer(self, request: bytes) -> Steps:
        return ToClient(self.chance.randbytes(self.amount)), End()


class GarbageAndSilence(Garbage):
    """The client gets n random bytes as an answer, and then nothing."""

    def answer(self, request: bytes) -> Steps:
        return (ToClient(self.chance.randbytes(self.amount)),)


class TlsBytes(ToRequest):
    """The client gets what a TLS server sends to a client that does not speak TLS."""

    def answer(self, request: bytes) -> Steps:
        return ToClient(TLS_ALERT), End()


class HttpStatus(ToRequest):
    """The client gets an HTTP answer with this status: 503, 502, 429, 403, 404, 302, or 200 with a page."""

    unit = "status"
    amount = 503

    def drawn(self) -> int:
        return self.chance.choice((200, 302, 403, 404, 429, 500, 502, 503))

    def answer(self, request: bytes) -> Steps:
        phrase = HTTPStatus(self.amount).phrase
        body = f"<!doctype html>\n<title>{phrase}</title>\n" if self.amount == HTTPStatus.OK else f"{phrase}\n"
        more = {302: "Location: /elsewhere\r\n", 429: "Retry-After: 1\r\n", 503: "Retry-After: 1\r\n"}.get(self.amount, "")
        head = f"HTTP/1.1 {self.amount} {phrase}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n"
        return ToClient((head + body).encode()), End()


class WrongAccept(ToRequest):
    """The client gets the answer to another request: its `Sec-WebSocket-Accept` is wrong."""

    def answer(self, request: bytes) -> Steps:
        return (ToClient(switching(request, accept_of(b""), offered(request))),)


class WrongSubprotocol(ToRequest):
    """The handshake is good, but it names a subprotocol that the client did not ask for."""

    def answer(self, request: bytes) -> Steps:
        return (ToClient(switching(request, accept_of(request), b"another.v9")),)


class Upgraded(ToRequest):
    """A fault after a good handshake, instead of all messages."""

    def answer(self, request: bytes) -> Steps:
        return ToClient(switching(request, accept_of(request), offered(request))), *self.instead()

    def instead(self) -> tuple[Step, ...]:
        """What comes instead of messages."""
        return ()


class SilentAfterUpgrade(Upgraded):
    """The handshake is good, and then nothing comes."""


class ClosedAfterUpgrade(Upgraded):
    """The handshake is good, and the connection is closed without a close frame."""

    def instead(self) -> tuple[Step, ...]:
        return (End(),)


class ResetAfterUpgrade(Upgraded):
    """The handshake is good, and the connection is reset."""

    def instead(self) -> tuple[Step, ...]:
        return (End(reset=True),)


class RefusedAfterUpgrade(Upgraded):
    """The handshake is good, and a close frame with this code follows."""

    unit = "code"
    amount = 1013

    def instead(self) -> tuple[Step, ...]:
        return ToClient(close_frame(self.amount, "try again later")), End()


def offered(request: bytes) -> bytes:
    """The subprotocol that the client would like best."""
    return header(request, "sec-websocket-protocol").split(b",")[0].strip()
