"""A dialect on a TCP port: HTTP and WebSocket of one port, by aiohttp, on the loop of the server beside it. All that is said is the dialect's.

The server's tick drives it: what a group of commands has changed is told in the same turn of the loop.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import cast

from aiohttp import WSMsgType, web
from aiohttp.web_protocol import RequestHandler

from stream.access.addresses import Proxies
from stream.dialects.binance.connection import Connection
from stream.dialects.binance.dialect import Binance
from stream.dialects.binance.errors import BAD_BODY, BAD_HANDSHAKE, DISCONNECTED, TOO_MANY_ARRIVALS, TOO_MANY_CONNECTIONS, ApiError
from stream.dialects.binance.request import Answer, Request, refused
from stream.market.exchange_venue import ExchangeVenue
from stream.server.door import Door, Visitor
from stream.server.http_request import Request as HeadOfRequest
from stream.server.http_request import read_head
from stream.server.pages import Page
from stream.server.places import Places
from stream.server.reception import LATER
from stream.server.reception import Answer as Said
from stream.server.server import BACKLOG, Server
from stream.settings.config import ConfigError
from stream.wire.framing import PING, PONG, close_frame

log = logging.getLogger("deltabook")

METHODS = "GET", "POST", "PUT", "DELETE"
OPCODES = {WSMsgType.PING: PING, WSMsgType.PONG: PONG}


def at_the_door(error: ApiError) -> Said:
    """A refusal before aiohttp is there."""
    answer = refused(error)
    return Said(Page(HTTPStatus(answer.status), "application/json", answer.body), LATER)


FULL, TOO_MANY = at_the_door(ApiError(DISCONNECTED)), at_the_door(ApiError(TOO_MANY_CONNECTIONS))
TOO_OFTEN = at_the_door(ApiError(TOO_MANY_ARRIVALS))


class TransportSocket:
    """Writes to a connection's transport: whole frames only, so that they go between those of aiohttp."""

    def __init__(self, transport: asyncio.Transport, close_timeout_s: float) -> None:
        self._transport = transport
        self._close_timeout_s = close_timeout_s

    def ready(self) -> bool:
        """Whether everything that was written has gone to the kernel."""
        return not self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Write frames."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self, code: int, reason: str) -> None:
        """Say goodbye, and cut the connection if nobody answers."""
        self.write(close_frame(code, reason))
        asyncio.get_running_loop().call_later(self._close_timeout_s, self._transport.abort)


class Guest(RequestHandler):
    """aiohttp's side of a connection, from its first request on. `gone` is called when it has ended."""

    __slots__ = ("_gone",)

    def __init__(self, server: web.Server, timeout_s: float, gone: Callable[[], None]) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), keepalive_timeout=timeout_s, lingering_time=0, access_log=None)    # type: ignore[arg-type]
        self._gone = gone

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is gone."""
        super().connection_lost(exc)
        self._gone()


class Face:
    """One dialect on a port of its own, whose door is like the server's: no stranger has more of it, and it takes no descriptor that the market needs."""

    def __init__(self, server: Server, dialect: Binance) -> None:
        self._server = server
        self._config = server.config
        self.dialect = dialect
        self._now = server.clock.now
        self._wake = server.wake
        self._http = web.Server(self._handle)
        self._leaving = False
        visitors, self._connections_max = server.shares
        held: Places[Visitor] = Places(visitors, self._config.handshakes_open_per_address_max)
        limits, self._proxies = server.venue.limits, Proxies(self._config.trusted_proxies)
        self.door = Door(held, limits, self._proxies, self._config.handshake_timeout_s, self._now, self._enter, partial(read_head, methods=METHODS))

    @property
    def port(self) -> int:
        """The port in use."""
        return self.door.port

    def start(self, port: int) -> None:
        """Listen. ConfigError if the port cannot be had."""
        config = self._config
        options = {socket.SO_REUSEADDR: 1, socket.SO_SNDBUF: config.send_buffer_bytes, socket.SO_RCVBUF: config.receive_buffer_bytes}
        if config.engine_socket:    # one of several workers
            options[socket.SO_REUSEPORT] = 1
        try:
            self.door.listen(config.host, port, BACKLOG, options)
        except OSError as error:
            raise ConfigError(f"dialects: port {port}: {error.strerror}") from error

    def _enter(self, door: Door, visitor: Visitor, request: HeadOfRequest, behind: bytes) -> None:
        """Hand a visitor over to aiohttp, if it may have another connection. Proxies have as many as there are: theirs are of many clients in turn."""
        now = self._now()
        place, proxy = door.limits.address(visitor.peer, now), door.is_proxy(visitor.peer)
        if door.speaks_for_others(visitor, request) and not door.limits.arrive(door.limits.address(door.client_of(visitor, request), now), now):
            visitor.answer(TOO_OFTEN, request.method)
            return
        if self._leaving or door.connections >= self._connections_max:
            door.limits.hit["connections_max"] += not self._leaving
            visitor.answer(FULL, request.method)
            return
        if not proxy and place.connections >= door.limits.connections_per_address_max:
            door.limits.hit["connections_per_address_max"] += 1
            visitor.answer(TOO_MANY, request.method)
            return
        door.connections += 1
        place.connections += not proxy

        def gone() -> None:
            door.connections -= 1
            place.connections -= not proxy

        visitor.become_http(Guest(self._http, self._config.handshake_timeout_s, gone))

    def tick(self, now: int) -> int:
        """Tell what is due. Returns when the next tick is due, in ns."""
        return self.dialect.tick(now)

    def keep_house(self, now: int) -> None:
        """Ask for signs of life."""
        self.dialect.keep_house(now)

    async def stop(self) -> None:
        """Close every connection, and listen no more."""
        self._leaving = True
        self.door.close()
        self.dialect.leave(self._now())
        self._http.pre_shutdown()
        await self._http.shutdown(self._config.close_timeout_s)

    def _address(self, request: web.BaseRequest) -> str:
        headers = request.headers
        return self._proxies.client_of(request.remote or "", headers.getall("X-Forwarded-For", []), headers.getall("Forwarded", []))

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._serve_websocket(request)
        try:
            answer = response(await self._answer(request))
            async with asyncio.timeout(self._config.handshake_timeout_s):
                await answer.prepare(request)
                await answer.write_eof()
        except TimeoutError:    # the rest of the request does not come, or the answer is not read
            self._server.venue.limits.hit["handshake_timeout_s"] += 1
            if request.transport:
                request.transport.abort()
            return web.Response(status=408)
        return answer

    async def _answer(self, request: web.BaseRequest) -> Answer:
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._config.handshake_timeout_s):
                body = (await request.read()).decode()
        except (UnicodeDecodeError, web.HTTPRequestEntityTooLarge):
            return refused(ApiError(BAD_BODY))
        asked = Request(
            request.method, request.rel_url.raw_path, request.rel_url.raw_query_string, body, {name.lower(): value for name, value in request.headers.items()},
            self._address(request),
        )

        def reply(answer: Answer) -> None:
            if not answered.done():
                answered.set_result(answer)

        self.dialect.request(asked, self._now(), reply)
        self._wake()
        return await answered

    async def _serve_websocket(self, request: web.BaseRequest) -> web.StreamResponse:
        opening = self.dialect.opening(request.rel_url.raw_path, request.rel_url.raw_query_string)
        if isinstance(opening, Answer):
            return response(opening)
        websocket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=self._config.message_bytes_max)
        if not websocket.can_prepare(request):
            return response(refused(ApiError(BAD_HANDSHAKE)))
        address, limits = self._address(request), self._server.venue.limits
        place = limits.address(address, self._now()) if self.door.is_proxy(request.remote or "") else None    # otherwise the door has counted it
        if place and place.connections >= limits.connections_per_address_max:
            limits.hit["connections_per_address_max"] += 1
            return response(refused(ApiError(TOO_MANY_CONNECTIONS)))
        transport = cast(asyncio.Transport, request.transport)
        connection = self.dialect.connect(opening, TransportSocket(transport, self._config.close_timeout_s), self._now(), address)
        if isinstance(connection, Answer):
            return response(connection)
        if place:
            place.connections += 1
        try:
            await websocket.prepare(request)
            self._wake()
            await self._listen(websocket, connection)
        finally:
            if place:
                place.connections -= 1
            self.dialect.disconnect(connection)
        return websocket

    async def _listen(self, websocket: web.WebSocketResponse, connection: Connection) -> None:
        async for message in websocket:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                connection.receive(message.data, self._now())
            elif message.type in OPCODES:
                connection.control(OPCODES[message.type], bytes(message.data), self._now())
            self._wake()
            if connection.closed:
                break


def response(answer: Answer) -> web.Response:
    """An answer as aiohttp sends it."""
    return web.Response(status=answer.status, body=answer.body, content_type="application/json", charset="utf-8", headers=answer.headers)


DIALECTS = {"binance": Binance}


def start_dialects(dialects: Mapping[str, int], server: Server) -> list[Face]:
    """Serve a server's market in these dialects, each on its port. ConfigError if one is unknown, or if the market cannot be shown in it."""
    market = server.venue
    faces = []
    for name, port in dialects.items():
        if name not in DIALECTS:
            raise ConfigError(f"dialects: {name!r}: expected one of {', '.join(DIALECTS)}")
        if not isinstance(market, ExchangeVenue):
            raise ConfigError("dialects: a relay has no market of its own; expected the server of a market, or of a journal that is played")
        face = Face(server, DIALECTS[name](market, server.clock.now()))
        face.start(port)
        server.followers.append(face)
        faces.append(face)
    return faces
