"""Connects a venue to picows and the event loop. All decisions are made in `venue` and `session`."""

import asyncio
import logging
import os
import resource
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from picows import WSAutoPingStrategy, WSUpgradeResponse, WSUpgradeResponseWithListener
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from stream.access.addresses import Proxies
from stream.access.trust import Trust
from stream.feed.delivery import Outbox
from stream.server.connection import Connection
from stream.server.door import TOO_OFTEN, Door, Visitor
from stream.server.faults import FaultyLine
from stream.server.faulty_writer import FaultyWriter
from stream.server.http_request import Request
from stream.server.intake import Intake, Turns
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

log = logging.getLogger("deltabook")

FILES_KEPT_FREE = 64
"""Descriptors beside those of the start that are not for connections: for snapshots, links, and those who are being sent away."""


def kept_free(config: Config) -> int:
    """How many descriptors, beside those of the start, only the market and administrators get."""
    return FILES_KEPT_FREE + config.connections_for_admins * (1 if config.admin_port is None else 3)


def share(descriptors: int, config: Config) -> tuple[int, int]:
    """Of so many descriptors, those for connections before their handshake and for those behind it, on each port that clients come to."""
    ports = (not config.only_dialects) + len(config.dialects) + (config.rest_port is not None)
    room = (descriptors - kept_free(config)) // ports
    visitors = max(1, min(config.handshakes_open_max, room // 8))
    return visitors, max(1, min(config.connections_max, room - visitors))


BACKLOG = 1024
HANDSHAKE = (
    b"GET /v1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n"
)

TICK_AFTER_ERROR_NS = 100_000_000


class PeerFaults(Discreet):
    """What picows logs, without the faults of peers, who could fill the log with them."""

    def error(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Note an error of ours."""
        self.log(logging.DEBUG if str(msg).startswith("WS parser error") else logging.ERROR, msg, *args, **kwargs)


PICOWS_LOG = PeerFaults(logging.getLogger("picows"))


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

    _loop: asyncio.AbstractEventLoop | None = None    # until it is started: threads may have news before

    def __init__(self, config: Config, venue: Venue, clock: Clock) -> None:
        self.config = config
        self.clock = clock
        self.venue = venue
        self.now = clock.now
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
        self._turns = Turns()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0    # in ns
        self._housekeeping: asyncio.TimerHandle | None = None
        self._leaving = False
        self.followers: list[Follower] = []
        self._gone = asyncio.Event()
        self.port = 0
        self.admin_port: int | None = None

    async def start(self) -> None:
        """Listen. `port` is then the port in use, 0 if there are only dialects, and `admin_port` that for administrators, None if they have none.

        Raises OSError if a port cannot be used.
        """
        self._loop = asyncio.get_running_loop()
        config = self.config
        options = {socket.SO_REUSEADDR: 1, socket.SO_SNDBUF: config.send_buffer_bytes, socket.SO_RCVBUF: config.receive_buffer_bytes}
        if config.workers:
            options[socket.SO_REUSEPORT] = 1
        apart = config.admin_port is not None
        visitors, connections = self.shares = self._share_descriptors()
        ways = []
        if not config.only_dialects:
            ways.append((config.host, config.port, Entrance(False, not apart, connections, config.connections_for_admins), visitors))
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
        ports = {entrance.for_admins: door.port for door, entrance in self.doors.items()}
        self.port, self.admin_port = ports.get(False, 0), ports.get(True)
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

    def opened(self, connection: Connection) -> Session:
        """A connection is there: its session."""
        session = self.venue.connect(connection.codec, self.clock.now(), connection.address)
        self.connections[session] = connection
        connection.door.connections += 1
        if len(self.connections) > self._room and self._sent_away:
            self._sent_away.pop(next(iter(self._sent_away))).cut_off()
        self.wake()
        return session

    def intake(self, connection: Connection) -> Intake:
        """What takes a connection's frames."""
        most = self.config.anonymous_message_bytes_max
        return Intake(connection.session, connection, self._turns, most, self.clock.now, self.venue.enter, self.wake, self._hand_over_soon)

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
        if self._loop and not self._turns.ticks:
            self._turns.ticks = True
            self._loop.call_soon(self.tick)

    def _hand_over_soon(self) -> None:
        """The same if nothing but requests has come that took the short way: there is nothing to send before they have run."""
        assert self._loop
        self._turns.hands_over = True
        self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        if self._turns.hands_over and not self._turns.ticks:    # a tick would do it
            self._turns.hands_over = False
            if self.venue.hand_over(self.clock.now()):
                self.tick()

    def tick(self) -> None:
        """Take in what connections have sent, let the venue do what is due, and write. Plans the next tick. An error is logged and raised to nobody."""
        self._turns.begin()
        began = self.clock.now()
        due = began + TICK_AFTER_ERROR_NS
        try:
            due = self.venue.tick(began)
            self.write()
            for follower in self.followers:
                due = min(due, follower.tick(began))
        except Exception:
            log.exception("a tick caused an error")
        if self._turns.waiting:
            due = began
        ended = self.clock.now()
        self.venue.ticks.observe(ended - began)
        self._set_alarm(due, ended)

    def _set_alarm(self, due: int, now: int) -> None:
        """Wake at a time. An alarm that comes before it is left as it is, for setting one costs more than a tick that is not needed."""
        if not self._loop or (self._alarm and now < self._alarm_at <= due):
            return
        if self._alarm:
            self._alarm.cancel()
        # uvloop rounds to milliseconds, and turns less than half a one into a spin: wait for whole ones.
        milliseconds = -(-max(0, due - now) // 10**6)
        self._alarm_at = now + milliseconds * 10**6
        self._alarm = self._loop.call_later(milliseconds / 1000, self.wake)

    def write(self) -> None:
        """Write what sessions have to say, to those whose sockets take anything."""
        for session in write_all(self.venue.traffic):
            connection = self.connections.get(session)
            if connection:
                connection.write()

    def _keep_house(self) -> None:
        loop, now = self._loop, self.clock.now()
        assert loop
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
