"""One WebSocket: picows tells it what has happened, it hands frames to its intake, and it writes what its session has to say."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from picows import WSFrame, WSListener, WSTransport

from stream.access.claims import Claims
from stream.server.door import Door
from stream.server.faulty_writer import FaultyWriter
from stream.server.intake import Intake
from stream.server.socket_writer import SocketWriter
from stream.venue.session import Session
from stream.venue.venue import Venue
from stream.wire.codec import Codec
from stream.wire.codes import CloseCode
from stream.wire.fragments import TOO_BIG, Violation, close_code
from stream.wire.framing import CLOSE, PING, PONG, close_frame, framed

ABUSE_TIMEOUT_S = 0.2
"""Time for the close frame to reach a client that is closed for abuse, and is no longer listened to."""


class Host(Protocol):
    """What a connection needs of its server."""

    venue: Venue
    now: Callable[[], int]

    def opened(self, connection: "Connection") -> Session:
        """The connection is there: its session."""
        ...

    def intake(self, connection: "Connection") -> Intake:
        """What takes its frames."""
        ...

    def writer(self, transport: asyncio.Transport, codec: Codec) -> SocketWriter | FaultyWriter:
        """What writes to it."""
        ...

    def wake(self) -> None:
        """Tick soon."""
        ...

    def sends_away(self, connection: "Connection") -> None:
        """The connection is being closed."""
        ...

    def closed(self, connection: "Connection") -> None:
        """The connection is gone."""
        ...


class Connection(WSListener):
    """One WebSocket."""

    intake: Intake
    session: Session

    def __init__(self, server: Host, codec: Codec, claims: Claims | None, address: str, door: Door) -> None:
        self._server = server
        self.door = door
        self.codec = codec
        self._claims = claims
        self.address = address
        self._transport: WSTransport | None = None
        self._writer: SocketWriter | FaultyWriter
        self.closing = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self._transport = transport
        self._writer = self._server.writer(transport.underlying_transport, self.codec)
        self.session = self._server.opened(self)
        self.session.writer = self._writer
        self.intake = self._server.intake(self)
        transport.underlying_transport.set_write_buffer_limits(high=0)    # pauses at once if the handshake's answer has not left yet
        self.session.begin(self._server.now(), self._claims)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame has come."""
        self.intake.take(frame)

    def received(self, opcode: int, payload: bytes, over: str) -> None:
        """A whole message has come, or a control frame, that did not take the short way; `over` is the limit that it went over."""
        if opcode == self.codec.opcode:
            self.session.ended()    # what it leads to counts by itself
            self.session.receive(payload, self._server.now(), over)
            if self.session.out_bytes > self._server.venue.config.pending_bytes_max:
                self.write()    # so that the kernel can refuse, and what is answered from here on counts as waiting
        elif opcode == PING:
            self.session.ping(framed(PONG, payload), over)
        elif opcode == CLOSE:
            self.close(close_code(payload), "")
            if self._transport:
                self._transport.disconnect()
        elif opcode != PONG:
            raise Violation(1003, f"a message with opcode {opcode} came: {self.codec.subprotocol} has no such messages")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is gone."""
        self.session.writer = None
        self.intake.drop()
        self._writer.detach()
        self._server.closed(self)

    def pause_writing(self) -> None:
        """The kernel has not taken all bytes. Nothing more is written until it takes the rest."""
        self._writer.pause()
        self.session.pause_writing(self._server.now())

    def resume_writing(self) -> None:
        """The kernel took them."""
        self.session.resume_writing(self._server.now())
        self._server.wake()

    def write(self) -> None:
        """One write for all that the session has to say."""
        if self._transport is None or self.closing:
            return
        self._write_out()
        if self.session.closed:
            self.close(*self.session.closed)

    def _write_out(self) -> None:
        if self.session.writable and self.session.out:
            self._writer.write(self.session.take_out())

    def break_off(self, violation: Violation) -> None:
        """Close because the peer broke the protocol."""
        if violation.code == TOO_BIG:
            self._server.venue.limits.hit["message_bytes_max"] += 1
        self.close(violation.code, violation.text)

    def close(self, code: int, reason: str) -> None:
        """Send what is left and a close frame. If the client does not answer in time, cut the connection."""
        if self._transport and not self.closing:
            self._write_out()
            self.closing = self.intake.ended = True
            self._server.sends_away(self)
            self.session.writer = None
            self._writer.write(close_frame(code, reason))
            timeout_s: float = self._server.venue.config.close_timeout_s
            if code == CloseCode.ABUSE:
                self._transport.underlying_transport.pause_reading()    # or a flood would be read until the end
                timeout_s = min(timeout_s, ABUSE_TIMEOUT_S)
            asyncio.get_running_loop().call_later(timeout_s, self.cut_off)

    def cut_off(self) -> None:
        """Do not wait for the answer to the close frame."""
        if self._transport:
            self._transport.disconnect(False)
