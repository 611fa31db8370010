"""The face of a venue: picows and the event loop. All that is decided is decided in `venue` and `session`."""

import asyncio
import logging
import resource
import socket
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from picows import WSFrame, WSListener, WSTransport, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener, ws_create_server

from stream.auth import TokenRefused
from stream.claims import Claims
from stream.codes import CloseCode
from stream.config import Config
from stream.delivery import Outbox
from stream.faults import FaultyLine
from stream.faulty_writer import FaultyWriter
from stream.fragments import TOO_BIG, Assembler, Violation, close_code
from stream.pages import SECURITY_HEADERS, Page, page, text
from stream.session import Session
from stream.socket_writer import SocketWriter, write_all
from stream.trust import Trust
from stream.venue import HOUSEKEEPINGS_PER_S, Venue
from stream.wire import CLOSE, CODECS, MSGPACK, PING, PONG, Codec, close_frame, framed

log = logging.getLogger("deltabook")

ENDPOINT = "/v1"
FILES_KEPT_FREE = 64
"""Descriptors that are not for connections."""

TICK_AFTER_ERROR_NS = 100_000_000

TURN_MESSAGES = 8
"""Messages of one connection in a turn of the loop: what others may have to wait for."""

ABUSE_TIMEOUT_S = 0.2
"""Time for the close frame to reach a client that is closed for abuse, and is no longer listened to."""


class PeerFaults(logging.LoggerAdapter[logging.Logger]):
    """What picows logs, without the faults of peers, who could fill the log with them."""

    def error(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Note an error of ours."""
        self.log(logging.DEBUG if str(msg).startswith("WS parser error") else logging.ERROR, msg, *args, **kwargs)


class Clock:
    """Nanoseconds since 1970 that never go back."""

    def __init__(self, floor: int = 0) -> None:
        """Never before `floor`, though the system's clock may have been put back."""
        self._offset = max(time.time_ns(), floor) - time.monotonic_ns()

    def now(self) -> int:
        """The time."""
        return self._offset + time.monotonic_ns()


class Connection(WSListener):
    """One WebSocket. Hands whole messages to its session and writes what the session has to say."""

    def __init__(self, server: "Server", codec: Codec, claims: Claims | None, forwarded_for: str) -> None:
        self._server = server
        self._codec = codec
        self._claims = claims
        self._forwarded_for = forwarded_for
        self._assembler = Assembler(server.config.anonymous_message_bytes_max)
        self._transport: WSTransport | None = None
        self._writer: SocketWriter | FaultyWriter
        self._closing = False
        self._inbox: deque[tuple[int, bytes, str]] = deque()    # messages that wait for a later turn, each with the limit that it went over
        self._turn = 0
        self._taken = 0    # messages in this turn
        self.session: Session

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self._transport = transport
        self._writer = self._server.writer(transport.underlying_transport, self._codec)
        self.session = self._server.opened(self, self._address())
        self.session.writer = self._writer
        transport.underlying_transport.set_write_buffer_limits(high=0)    # pauses at once if the handshake's answer has not left yet
        self.session.begin(self._server.clock.now(), self._claims)

    def _address(self) -> str:
        """Where the client is: the peer, or what a trusted proxy says of its own peer."""
        assert self._transport
        peer = self._transport.underlying_transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        if address in self._server.config.trusted_proxies and self._forwarded_for:
            return self._forwarded_for
        return address

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame has come. After the session is closed nothing is looked at any more."""
        if self._closing or self.session.closed:
            if frame.msg_type.value == CLOSE:
                transport.disconnect(False)
            return
        try:
            payload = frame.get_payload_as_bytes()
            over = self.session.charge(len(payload), self._server.clock.now(), frame.msg_type.value >= CLOSE)
            reserved = frame.rsv1 or frame.rsv2 or frame.rsv3
            self._assembler.bytes_max = self.session.message_bytes_max
            whole = self._assembler.take(frame.msg_type.value, frame.fin, reserved, payload)
            if whole:
                self._inbox.append((*whole, over))
                self.take_turn()
            self._server.wake()
        except Violation as violation:
            if violation.code == TOO_BIG:
                self._server.venue.limits.hit["message_bytes_max"] += 1
            self._close(violation.code, violation.text)

    def take_turn(self) -> None:
        """Answer what has come, but only so much at once, for others wait too."""
        if self._turn != self._server.turn:
            self._turn, self._taken = self._server.turn, 0
        try:
            while self._inbox and self._taken < TURN_MESSAGES and not self.session.closed:
                self._taken += 1
                self._received(*self._inbox.popleft())
        except Violation as violation:
            self._close(violation.code, violation.text)
        except Exception:
            log.exception("a message caused an error")
            self._close(1011, "internal error")
        if self._inbox and not self._closing and not self.session.closed:
            self._server.waiting[self] = None

    def _received(self, opcode: int, payload: bytes, over: str) -> None:
        if opcode == self._codec.opcode:
            self.session.receive(payload, self._server.clock.now(), over)
            if self.session.out_bytes > self._server.config.pending_bytes_max:
                self.write()    # so that the kernel can refuse, and what is answered from here on counts as waiting
        elif opcode == PING:
            self.session.ping(framed(PONG, payload), over)
        elif opcode == CLOSE:
            self._close(close_code(payload), "")
            if self._transport:
                self._transport.disconnect()
        elif opcode != PONG:
            raise Violation(1003, f"{self._codec.subprotocol} has no messages with opcode {opcode}")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is gone."""
        self.session.writer = None
        self._writer.detach()
        self._server.closed(self)

    def pause_writing(self) -> None:
        """The kernel refused some bytes: they are the last ones until it takes them."""
        self._writer.pause()
        self.session.pause_writing(self._server.clock.now())

    def resume_writing(self) -> None:
        """The kernel took them."""
        self.session.resume_writing(self._server.clock.now())
        self._server.wake()

    def write(self) -> None:
        """One write for all that the session has to say."""
        if self._transport is None or self._closing:
            return
        self._write_out()
        if self.session.closed:
            self._close(*self.session.closed)

    def _write_out(self) -> None:
        if self.session.writable and self.session.out:
            self._writer.write(self.session.take_out())

    def _close(self, code: int, reason: str) -> None:
        """Say what is left to say, and goodbye; who does not answer in time is cut off."""
        if self._transport and not self._closing:
            self._write_out()
            self._closing = True
            self.session.writer = None
            self._writer.write(close_frame(code, reason))
            timeout_s: float = self._server.config.close_timeout_s
            if code == CloseCode.ABUSE:
                self._transport.underlying_transport.pause_reading()    # or a flood would be read until the end
                timeout_s = min(timeout_s, ABUSE_TIMEOUT_S)
            asyncio.get_running_loop().call_later(timeout_s, self._transport.disconnect, False)


class Server:
    """A venue on a TCP port."""

    def __init__(self, config: Config, venue: Venue, clock: Clock) -> None:
        self.config = config
        self.clock = clock
        self.venue = venue
        self._trust = Trust(venue.authenticator, config)
        self._connections: dict[Outbox, Connection] = {}
        self._connections_max = min(config.connections_max, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - FILES_KEPT_FREE)
        self._faulty_lines = 0
        self._awake = False
        self.turn = 1
        self.waiting: dict[Connection, None] = {}    # those with messages for a later turn, in their order
        self._alarm: asyncio.TimerHandle | None = None
        self._housekeeping: asyncio.TimerHandle | None = None
        self._leaving = False
        self._gone = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen. `port` is then the one that was taken. OSError if it cannot be had."""
        family = socket.AF_INET6 if ":" in self.config.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.config.workers:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.config.send_buffer_bytes)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.config.receive_buffer_bytes)
        try:
            listener.bind((self.config.host, self.config.port))
        except OSError:
            listener.close()
            await self.end()
            raise
        self.port = listener.getsockname()[1]
        # uvloop's own listener backs off when descriptors run out, the one that picows prefers spins.
        self._listener = await ws_create_server(
            self._route,
            sock=listener,
            backlog=1024,
            use_aiofastnet=False,
            enable_auto_pong=False,
            max_frame_size=self.config.message_bytes_max,
            read_buffer_init_size=4096,
            websocket_handshake_timeout=self.config.handshake_timeout_s,
            logger_name=PeerFaults(logging.getLogger("picows")),
        )
        self._keep_house()
        self.wake()

    async def stop(self) -> None:
        """Take no more connections, tell every client, give each what it is owed, and leave. Returns when all are gone."""
        self._leaving = True
        if self._listener:
            self._listener.close()
        self.tick()
        self.venue.leave()
        self._write()
        await self._emptied(self.config.drain_timeout_s)
        for connection in self._connections.values():
            connection.session.close(CloseCode.SHUTTING_DOWN, "the server is leaving")
        self._write()
        await self._emptied(self.config.close_timeout_s + 1)
        await self.end()
        for timer in (self._alarm, self._housekeeping, self._trust):
            if timer:
                timer.cancel()

    async def end(self) -> None:
        """Nobody is connected any more, and nobody will be: end what is behind the venue."""

    def keep(self) -> None:
        """Keep what is behind the venue in order. Called as often as the house is kept."""

    async def _emptied(self, seconds: float) -> None:
        """Wait until all connections are gone, at most so long."""
        if self._connections:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), seconds)

    # Connections

    def _route(self, request: WSUpgradeRequest) -> "Connection | WSUpgradeResponseWithListener":
        """Answer a request: a WebSocket, or a page."""
        try:
            path = request.path.decode()
            if path.partition("?")[0] != ENDPOINT:
                return answer(page(path, self.venue, self._leaving, request.headers.get("If-None-Match", "")))
            return self._upgrade(request)
        except Exception:
            log.exception("a request caused an error")
            return answer(text(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error\n"))

    def _upgrade(self, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        limits = self.venue.limits
        if self._leaving or not self.venue.begun:
            return answer(text(HTTPStatus.SERVICE_UNAVAILABLE, "not at the moment; come back later\n"))
        if len(self._connections) >= self._connections_max:
            limits.hit["connections_max"] += 1
            return answer(text(HTTPStatus.SERVICE_UNAVAILABLE, "no more connections; come back later\n"))
        if not self._may_connect(request.headers.get("Origin", ""), request.headers.get("Host", "")):
            limits.hit["origins"] += 1
            return answer(text(HTTPStatus.FORBIDDEN, "pages of this origin may not connect; see the setting `origins`\n"))
        if "upgrade" in request.headers.get("Connection", "").lower():
            request.headers["Connection"] = "Upgrade"    # picows does not read a list of options, which Firefox sends
        offered = [name.strip() for value in request.headers.getall("Sec-WebSocket-Protocol", []) for name in value.split(",")]
        codec = next((CODECS[name] for name in offered if name in CODECS), MSGPACK)
        claims = None
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme:
            if not limits.header_sign_ins.take(self.clock.now()):
                limits.hit["header_sign_ins_per_s"] += 1
                return answer(text(HTTPStatus.SERVICE_UNAVAILABLE, "too many tokens at once; come back later\n"))
            try:
                if scheme.lower() != "bearer":
                    raise TokenRefused("Authorization: expected Bearer and a token")
                claims = self.venue.authenticator.verify(token.strip(), self.clock.now() / 10**9)
            except TokenRefused as error:
                later = {"Retry-After": str(self.config.jwks_retry_s)} if error.retry else {}
                return answer(text(HTTPStatus.UNAUTHORIZED, f"{error}\n"), later)
        headers = {"Sec-WebSocket-Protocol": codec.subprotocol} if codec.subprotocol in offered else None
        forwarded_for = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        return WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(headers), Connection(self, codec, claims, forwarded_for))

    def _may_connect(self, origin: str, host: str) -> bool:
        """Whether a page of an origin may connect; only browsers send one, and they do not lie about it."""
        return not origin or origin.partition("://")[2] == host or origin in self.config.origins or "*" in self.config.origins

    def opened(self, connection: Connection, address: str) -> Session:
        """A connection is there: its session."""
        session = self.venue.connect(connection._codec, self.clock.now(), address)
        self._connections[session] = connection
        self.wake()
        return session

    def writer(self, transport: asyncio.Transport, codec: Codec) -> SocketWriter | FaultyWriter:
        """What writes to a new connection."""
        if not self.config.faults:
            return SocketWriter(transport)
        self._faulty_lines += 1
        return FaultyWriter(transport, FaultyLine(self.config.faults, self._faulty_lines, codec))

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        if self._connections.pop(connection.session, None):
            self.venue.disconnect(connection.session, self.clock.now())
            self.wake()
        if self._leaving and not self._connections:
            self._gone.set()

    # Time

    def wake(self) -> None:
        """Tick once all that has arrived in this turn of the loop is taken in."""
        if not self._awake:
            self._awake = True
            asyncio.get_running_loop().call_soon(self.tick)

    def tick(self) -> None:
        self._awake = False
        self.turn += 1
        waiting, self.waiting = self.waiting, {}
        for connection in waiting:
            connection.take_turn()
        began = self.clock.now()
        due = began + TICK_AFTER_ERROR_NS
        try:
            due = self.venue.tick(began)
        except Exception:
            log.exception("a tick caused an error")
        self._write()
        if self.waiting:
            due = began
        self.venue.ticks.observe(self.clock.now() - began)
        if self._alarm:
            self._alarm.cancel()
        # uvloop rounds to milliseconds, and turns less than half a one into a spin: wait for whole ones.
        milliseconds = -(-max(0, due - self.clock.now()) // 10**6)
        self._alarm = asyncio.get_running_loop().call_later(milliseconds / 1000, self.wake)

    def _write(self) -> None:
        for session in write_all(self.venue.traffic):
            connection = self._connections.get(session)
            if connection:
                connection.write()

    def _keep_house(self) -> None:
        loop = asyncio.get_running_loop()
        now = self.clock.now()
        if self._housekeeping:
            self.venue.observe_lag(int((loop.time() - self._housekeeping.when()) * 10**9), now)
        self._trust.keep(now, self.venue.close_revoked)
        self.venue.keep_house(now)
        self.keep()
        self.wake()
        self._housekeeping = loop.call_later(1 / HOUSEKEEPINGS_PER_S, self._keep_house)


def answer(found: Page, headers: Mapping[str, str] | None = None) -> WSUpgradeResponseWithListener:
    """A page as picows sends it."""
    headers = SECURITY_HEADERS | {"Content-Type": found.type} | ({"ETag": found.tag} if found.tag else {}) | dict(headers or {})
    response = WSUpgradeResponse.create_ok_response(found.body, headers)
    response.status = found.status    # picows has no way to make a 304
    return WSUpgradeResponseWithListener(response, None)
