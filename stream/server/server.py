"""Connects a venue to picows and the event loop. All decisions are made in `venue` and `session`."""

import asyncio
import logging
import os
import resource
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from picows import WSAutoPingStrategy, WSFrame, WSListener, WSTransport, WSUpgradeResponse, WSUpgradeResponseWithListener
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from stream.access.addresses import Proxies
from stream.access.claims import Claims
from stream.access.trust import Trust
from stream.feed.delivery import Outbox
from stream.server.door import TOO_OFTEN, Door, Visitor
from stream.server.faults import FaultyLine
from stream.server.faulty_writer import FaultyWriter
from stream.server.http_request import Request
from stream.server.places import Places
from stream.server.reception import Answer, Entrance, Reception
from stream.server.socket_writer import SocketWriter, write_all
from stream.settings.config import Config, ConfigError
from stream.system.clock import Clock
from stream.system.logs import Discreet
from stream.venue.limits import Limits
from stream.venue.session import Session
from stream.venue.venue import HOUSEKEEPINGS_PER_S, Venue
from stream.wire.codec import Codec
from stream.wire.codes import CloseCode
from stream.wire.fragments import TOO_BIG, Assembler, Violation, close_code
from stream.wire.framing import CLOSE, PING, PONG, close_frame, framed

log = logging.getLogger("deltabook")

FILES_KEPT_FREE = 64
"""Descriptors beside those of the start that are not for connections: for snapshots, links, and those who are being sent away."""


def kept_free(config: Config) -> int:
    """How many descriptors, beside those of the start, only the market and administrators get."""
    return FILES_KEPT_FREE + config.connections_for_admins * (1 if config.admin_port is None else 3)


def share(descriptors: int, config: Config) -> tuple[int, int]:
    """Of so many descriptors, those for connections before their handshake and for those behind it, on each port that clients come to."""
    room = (descriptors - kept_free(config)) // (1 + len(config.dialects))
    visitors = max(1, min(config.handshakes_open_max, room // 8))
    return visitors, max(1, min(config.connections_max, room - visitors))


BACKLOG = 1024
HANDSHAKE = (
    b"GET /v1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n"
)

TICK_AFTER_ERROR_NS = 100_000_000

TURN_MESSAGES = 8
"""The most messages of one connection in one turn of the loop. This bounds how long others wait."""

ABUSE_TIMEOUT_S = 0.2
"""Time for the close frame to reach a client that is closed for abuse, and is no longer listened to."""


class PeerFaults(Discreet):
    """What picows logs, without the faults of peers, who could fill the log with them."""

    def error(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Note an error of ours."""
        self.log(logging.DEBUG if str(msg).startswith("WS parser error") else logging.ERROR, msg, *args, **kwargs)


PICOWS_LOG = PeerFaults(logging.getLogger("picows"))


class Connection(WSListener):
    """One WebSocket. Hands whole messages to its session and writes what the session has to say."""

    def __init__(self, server: "Server", codec: Codec, claims: Claims | None, address: str, door: Door) -> None:
        self._server = server
        self.door = door
        self._codec = codec
        self._claims = claims
        self._address = address
        self._assembler = Assembler(server.config.anonymous_message_bytes_max)
        self._transport: WSTransport | None = None
        self._writer: SocketWriter | FaultyWriter
        self.closing = False
        self._inbox: deque[tuple[int, bytes, str]] = deque()    # messages that wait for a later turn, each with the limit that it went over
        self._turn = 0
        self._taken = 0    # messages in this turn
        self.session: Session

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self._transport = transport
        self._writer = self._server.writer(transport.underlying_transport, self._codec)
        self.session = self._server.opened(self, self._address)
        self.session.writer = self._writer
        transport.underlying_transport.set_write_buffer_limits(high=0)    # pauses at once if the handshake's answer has not left yet
        self.session.begin(self._server.clock.now(), self._claims)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame has come. After the session is closed nothing is looked at any more."""
        if self.closing or self.session.closed:
            if frame.msg_type.value == CLOSE:
                transport.disconnect(False)
            return
        try:
            payload = frame.get_payload_as_bytes()
            over = self.session.charge(len(payload), self._server.clock.now(), frame.msg_type.value >= CLOSE)
            reserved = frame.rsv1 or frame.rsv2 or frame.rsv3
            self._assembler.bytes_max = self.session.message_bytes_max
            whole = self._assembler.take(frame.msg_type.value, frame.fin, reserved, payload)
            if whole and (whole[0] != self._codec.opcode or self.session.admit(whole[1])):
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
        if self._inbox and not self.closing and not self.session.closed:
            self._server.waiting[self] = None

    def _received(self, opcode: int, payload: bytes, over: str) -> None:
        if opcode == self._codec.opcode:
            self.session.ended()    # what it leads to counts by itself
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
            raise Violation(1003, f"a message with opcode {opcode} came: {self._codec.subprotocol} has no such messages")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is gone."""
        self.session.writer = None
        for opcode, *_ in self._inbox:
            if opcode == self._codec.opcode:
                self.session.ended()
        self._inbox.clear()
        self._writer.detach()
        self._server.closed(self)

    def pause_writing(self) -> None:
        """The kernel has not taken all bytes. Nothing more is written until it takes the rest."""
        self._writer.pause()
        self.session.pause_writing(self._server.clock.now())

    def resume_writing(self) -> None:
        """The kernel took them."""
        self.session.resume_writing(self._server.clock.now())
        self._server.wake()

    def write(self) -> None:
        """One write for all that the session has to say."""
        if self._transport is None or self.closing:
            return
        self._write_out()
        if self.session.closed:
            self._close(*self.session.closed)

    def _write_out(self) -> None:
        if self.session.writable and self.session.out:
            self._writer.write(self.session.take_out())

    def _close(self, code: int, reason: str) -> None:
        """Send what is left and a close frame. If the client does not answer in time, cut the connection."""
        if self._transport and not self.closing:
            self._write_out()
            self.closing = True
            self._server.sends_away(self)
            self.session.writer = None
            self._writer.write(close_frame(code, reason))
            timeout_s: float = self._server.config.close_timeout_s
            if code == CloseCode.ABUSE:
                self._transport.underlying_transport.pause_reading()    # or a flood would be read until the end
                timeout_s = min(timeout_s, ABUSE_TIMEOUT_S)
            asyncio.get_running_loop().call_later(timeout_s, self.cut_off)

    def cut_off(self) -> None:
        """Do not wait for the answer to the close frame."""
        if self._transport:
            self._transport.disconnect(False)


class Follower(Protocol):
    """What shows the same venue in another way, in the server's time."""

    def tick(self, now: int) -> int:
        """The venue has ticked. Returns when the next tick is due, in ns."""
        ...

    def keep_house(self, now: int) -> None:
        """Close what has lasted too long."""

    async def stop(self) -> None:
        """The server is leaving: close what is connected."""


class Server:
    """A venue on a TCP port."""

    def __init__(self, config: Config, venue: Venue, clock: Clock) -> None:
        self.config = config
        self.clock = clock
        self.venue = venue
        venue.wall_time = clock.wall_time
        self.trust = Trust(venue.authenticator, config)
        self.connections: dict[Outbox, Connection] = {}    # by their sessions
        self._proxies = Proxies(config.trusted_proxies)
        self._reception = Reception(venue, [config.host, socket.gethostname()])
        self._sent_away: dict[Outbox, Connection] = {}    # those that are being closed, the first one first
        self.shares = 0, 0    # the connections of one port: before their handshake and behind it
        self._room = 0    # connections that there may be, whatever is said to them
        self.doors: dict[Door, Entrance] = {}
        self._limits_of_admins = Limits(config, clock.now())    # on their own port, so that nobody can use up theirs elsewhere
        self._limits_of_admins.hit = venue.limits.hit
        self._faulty_lines = 0
        self._awake = False
        self.turn = 1
        self.waiting: dict[Connection, None] = {}    # those with messages for a later turn, in their order
        self._alarm: asyncio.TimerHandle | None = None
        self._housekeeping: asyncio.TimerHandle | None = None
        self._leaving = False
        self.followers: list[Follower] = []
        self._gone = asyncio.Event()
        self.port = 0
        self.admin_port: int | None = None

    async def start(self) -> None:
        """Listen. `port` is then the port in use, `admin_port` that for administrators, None if they have none. Raises OSError if a port cannot be used."""
        config = self.config
        options = {socket.SO_REUSEADDR: 1, socket.SO_SNDBUF: config.send_buffer_bytes, socket.SO_RCVBUF: config.receive_buffer_bytes}
        if config.workers:
            options[socket.SO_REUSEPORT] = 1
        apart = config.admin_port is not None
        visitors, connections = self.shares = self._share_descriptors()
        ways = [(config.host, config.port, Entrance(False, not apart, connections, config.connections_for_admins), visitors)]
        if config.admin_port is not None:
            ways.append((config.admin_host, config.admin_port, Entrance(True, True, config.connections_for_admins), config.connections_for_admins))
        for host, port, entrance, places in ways:
            held: Places[Visitor] = Places(places, config.handshakes_open_per_address_max)
            limits = self._limits_of_admins if entrance.for_admins else self.venue.limits
            door = Door(held, limits, self._proxies, config.handshake_timeout_s, self.clock.now, self._enter)
            try:
                door.listen(host, port, BACKLOG, options)
            except OSError as error:
                for other in self.doors:
                    other.close()
                await self.end()
                if entrance.for_admins:
                    raise ConfigError(f"admin_port {port}: {error.strerror}") from error
                raise
            self.doors[door] = entrance
            self._room += entrance.connections_max + entrance.connections_for_admins
        self.port, *others = (door.port for door in self.doors)
        self.admin_port = others[0] if others else None
        self._keep_house()
        self.wake()

    def _share_descriptors(self) -> tuple[int, int]:
        """How many may be between accepting and handshake, and how many behind it."""
        most = self.config.connections_max
        visitors, connections = share(resource.getrlimit(resource.RLIMIT_NOFILE)[0] - len(os.listdir("/dev/fd")), self.config)
        if connections < most:
            log.warning("open files (ulimit -n) allow fewer connections than connections_max", extra={"connections": connections, "expected": most})
            self.venue.limits.connections_per_address_max = -(-self.config.connections_per_address_max * connections // most)
        return visitors, connections

    async def stop(self) -> None:
        """Take no more connections, tell every client, give each what it is owed, and leave. Returns when all are gone."""
        self._leaving = True
        for door in self.doors:
            door.close()
        self.tick()
        for follower in self.followers:
            await follower.stop()
        self.venue.leave()
        self.write()
        await self._emptied(self.config.drain_timeout_s)
        for connection in self.connections.values():
            connection.session.close(CloseCode.SHUTTING_DOWN, "the server is leaving")
        self.write()
        await self._emptied(self.config.close_timeout_s + 1)
        await self.end()
        for timer in (self._alarm, self._housekeeping, self.trust):
            if timer:
                timer.cancel()

    def reload(self) -> None:
        """Read the keys and the revocations again."""
        self.trust.reload()

    async def end(self) -> None:
        """Nobody is connected any more, and nobody will be: end what is behind the venue."""

    def keep(self) -> None:
        """Keep what is behind the venue in order. Called as often as the house is kept."""

    async def _emptied(self, seconds: float) -> None:
        """Wait until all connections are gone, at most so long."""
        if self.connections:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), seconds)

    # Connections

    def _enter(self, door: Door, visitor: Visitor, request: Request, behind: bytes) -> None:
        """Answer a request: a page, a refusal, or a WebSocket, which is picows's from here on."""
        now, entrance = self.clock.now(), self.doors[door]
        address = door.client_of(visitor, request)
        place = door.limits.address(address, now)
        if door.speaks_for_others(visitor, request) and not door.limits.arrive(place, now):
            visitor.answer(TOO_OFTEN, request.method)
            return
        found = self._reception.receive(request, place, entrance, door.connections, self._leaving, now)
        if isinstance(found, Answer):
            visitor.answer(found, request.method)
            return
        connection = Connection(self, found.codec, found.claims, address, door)
        response = WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(found.headers), connection)
        visitor.become(self._websocket(response), HANDSHAKE % found.key.encode() + behind)

    def _websocket(self, response: WSUpgradeResponseWithListener) -> WSProtocol:
        """picows's side of a connection, as `ws_create_server` makes it; every handshake that it reads is the one that we write."""
        return WSProtocol(
            host_port=None, ws_path=None, is_client_side=False, ws_listener_factory=lambda request: response, logger=PICOWS_LOG, disconnect_on_exception=True,
            websocket_handshake_timeout=None, enable_auto_ping=False, auto_ping_idle_timeout=1, auto_ping_reply_timeout=1,
            auto_ping_strategy=WSAutoPingStrategy.PING_WHEN_IDLE, enable_auto_pong=False, max_frame_size=self.config.message_bytes_max, extra_headers=None,
            read_buffer_init_size=4096,
        )

    def opened(self, connection: Connection, address: str) -> Session:
        """A connection is there: its session."""
        session = self.venue.connect(connection._codec, self.clock.now(), address)
        self.connections[session] = connection
        connection.door.connections += 1
        if len(self.connections) > self._room and self._sent_away:
            self._sent_away.pop(next(iter(self._sent_away))).cut_off()
        self.wake()
        return session

    def sends_away(self, connection: Connection) -> None:
        """A connection is being closed: somebody else may have its place, and its descriptor too, if there is no other."""
        connection.door.connections -= 1
        self._sent_away[connection.session] = connection

    def writer(self, transport: asyncio.Transport, codec: Codec) -> SocketWriter | FaultyWriter:
        """What writes to a new connection: the socket's writer, or one that makes the configured faults."""
        if not self.config.faults:
            return SocketWriter(transport)
        self._faulty_lines += 1
        return FaultyWriter(transport, FaultyLine(self.config.faults, self._faulty_lines, codec))

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        if self.connections.pop(connection.session, None):
            self._sent_away.pop(connection.session, None)
            connection.door.connections -= not connection.closing
            self.venue.disconnect(connection.session, self.clock.now())
            self.wake()
        if self._leaving and not self.connections:
            self._gone.set()

    # Time

    def wake(self) -> None:
        """Tick once all that has arrived in this turn of the loop is taken in."""
        if not self._awake:
            self._awake = True
            asyncio.get_running_loop().call_soon(self.tick)

    def tick(self) -> None:
        """Take in what connections have sent, let the venue do what is due, and write. Plans the next tick. An error is logged and raised to nobody."""
        self._awake = False
        self.turn += 1
        waiting, self.waiting = self.waiting, {}
        for connection in waiting:
            connection.take_turn()
        began = self.clock.now()
        due = began + TICK_AFTER_ERROR_NS
        try:
            due = self.venue.tick(began)
            self.write()
            due = min([due, *(follower.tick(began) for follower in self.followers)])
        except Exception:
            log.exception("a tick caused an error")
        if self.waiting:
            due = began
        self.venue.ticks.observe(self.clock.now() - began)
        if self._alarm:
            self._alarm.cancel()
        # uvloop rounds to milliseconds, and turns less than half a one into a spin: wait for whole ones.
        milliseconds = -(-max(0, due - self.clock.now()) // 10**6)
        self._alarm = asyncio.get_running_loop().call_later(milliseconds / 1000, self.wake)

    def write(self) -> None:
        """Write what sessions have to say, to those whose sockets take anything."""
        for session in write_all(self.venue.traffic):
            connection = self.connections.get(session)
            if connection:
                connection.write()

    def _keep_house(self) -> None:
        loop = asyncio.get_running_loop()
        now = self.clock.now()
        if self._housekeeping:
            self.venue.observe_lag(int((loop.time() - self._housekeeping.when()) * 10**9), now)
        self._housekeeping = loop.call_later(1 / HOUSEKEEPINGS_PER_S, self._keep_house)
        trust, limits = partial(self.trust.keep, now, self.venue.close_revoked), partial(self._limits_of_admins.forget, now)
        followers = [partial(follower.keep_house, now) for follower in self.followers]
        keepers: list[Callable[[], None]] = [trust, partial(self.venue.keep_house, now), limits, self.keep, *followers]
        for keep in keepers:
            try:
                keep()
            except Exception:
                log.exception("housekeeping caused an error")
        self.wake()
