"""A protocol over HTTP on a TCP port of its own, by aiohttp, on the loop of the server beside it. All that is said is the protocol's.

The server's tick drives it: what a group of commands has changed is told in the same turn of the loop.
"""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Generic, Protocol, TypeVar, cast

from aiohttp import WSMsgType, web
from aiohttp.web_protocol import RequestHandler

from stream.access.addresses import Proxies
from stream.server.door import Door, Visitor
from stream.server.http_message import Answer, Reply, Request
from stream.server.http_request import Request as HeadOfRequest
from stream.server.http_request import read_head
from stream.server.pages import Page
from stream.server.places import Places
from stream.server.reception import LATER
from stream.server.reception import Answer as Said
from stream.server.server import BACKLOG, Server
from stream.settings.config import ConfigError
from stream.wire.framing import PING, PONG, close_frame

OPCODES = {WSMsgType.PING: PING, WSMsgType.PONG: PONG}


class Peer(Protocol):
    """A WebSocket connection, as the protocol sees it."""

    closed: bool

    def receive(self, payload: bytes | str, now: int) -> None:
        """A message has come."""

    def control(self, opcode: int, payload: bytes, now: int) -> None:
        """A ping or a pong has come."""


P = TypeVar("P", bound=Peer)


class Spoken(Protocol[P]):
    """What is said on the port. `full`, `too_many`, `too_often`, `bad_body` and `bad_handshake` are said by the port itself, in its words."""

    methods: tuple[str, ...]
    full: Answer
    too_many: Answer
    too_often: Answer
    bad_body: Answer
    bad_handshake: Answer

    def request(self, request: Request, now: int, reply: Reply) -> None:
        """Answer a request, now or later."""

    def open(self, path: str, query: str, socket: "TransportSocket", now: int, address: str) -> P | Answer:
        """A new WebSocket connection; an answer if there can be none."""
        ...

    def disconnect(self, connection: P) -> None:
        """A connection is gone."""

    def tick(self, now: int) -> int:
        """Tell what is due. Returns when the next tick is due, in ns."""
        ...

    def keep_house(self, now: int) -> None:
        """Ask for signs of life."""

    def leave(self, now: int) -> None:
        """The server is leaving."""


def at_the_door(answer: Answer) -> Said:
    """A refusal before aiohttp is there."""
    return Said(Page(HTTPStatus(answer.status), "application/json", answer.body), LATER)


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


class HttpPort(Generic[P]):
    """One protocol on a port of its own, whose door is like the server's: no stranger has more of it, and it takes no descriptor that the market needs."""

    def __init__(self, server: Server, spoken: Spoken[P], setting: str) -> None:
        """`setting` is the one that has the port."""
        self._server = server
        self._config = server.config
        self.spoken = spoken
        self._setting = setting
        self._now = server.clock.now
        self._wake = server.wake
        self._http = web.Server(self._handle)
        self._leaving = False
        visitors, self._connections_max = server.shares
        held: Places[Visitor] = Places(visitors, self._config.handshakes_open_per_address_max)
        limits, self._proxies = server.venue.limits, Proxies(self._config.trusted_proxies)
        self.door = Door(held, limits, self._proxies, self._config.handshake_timeout_s, self._now, self._enter, partial(read_head, methods=spoken.methods))

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
            raise ConfigError(f"{self._setting}: port {port}: {error.strerror}") from error
        self._server.followers.append(self)

    def _enter(self, door: Door, visitor: Visitor, request: HeadOfRequest, behind: bytes) -> None:
        """Hand a visitor over to aiohttp, if it may have another connection. Proxies have as many as there are: theirs are of many clients in turn."""
        now = self._now()
        place, proxy = door.limits.address(visitor.peer, now), door.is_proxy(visitor.peer)
        if door.speaks_for_others(visitor, request) and not door.limits.arrive(door.limits.address(door.client_of(visitor, request), now), now):
            visitor.answer(at_the_door(self.spoken.too_often), request.method)
            return
        if self._leaving or door.connections >= self._connections_max:
            door.limits.hit["connections_max"] += not self._leaving
            visitor.answer(at_the_door(self.spoken.full), request.method)
            return
        if not proxy and place.connections >= door.limits.connections_per_address_max:
            door.limits.hit["connections_per_address_max"] += 1
            visitor.answer(at_the_door(self.spoken.too_many), request.method)
            return
        door.connections += 1
        place.connections += not proxy

        def gone() -> None:
            door.connections -= 1
            place.connections -= not proxy

        visitor.become_http(Guest(self._http, self._config.handshake_timeout_s, gone))

    def tick(self, now: int) -> int:
        """Tell what is due. Returns when the next tick is due, in ns."""
        return self.spoken.tick(now)

    def keep_house(self, now: int) -> None:
        """Ask for signs of life."""
        self.spoken.keep_house(now)

    async def stop(self) -> None:
        """Close every connection, and listen no more."""
        self._leaving = True
        self.door.close()
        self.spoken.leave(self._now())
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
        body = ""
        try:
            if request.body_exists:
                async with asyncio.timeout(self._config.handshake_timeout_s):
                    body = (await request.read()).decode()
        except (UnicodeDecodeError, web.HTTPRequestEntityTooLarge):
            return self.spoken.bad_body
        asked = Request(
            request.method, request.rel_url.raw_path, request.rel_url.raw_query_string, body, {name.lower(): value for name, value in request.headers.items()},
            self._address(request),
        )

        def reply(answer: Answer) -> None:
            if not answered.done():
                answered.set_result(answer)

        self.spoken.request(asked, self._now(), reply)
        self._wake()
        return await answered

    async def _serve_websocket(self, request: web.BaseRequest) -> web.StreamResponse:
        websocket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=self._config.message_bytes_max)
        if not websocket.can_prepare(request):
            return response(self.spoken.bad_handshake)
        address, limits = self._address(request), self._server.venue.limits
        place = limits.address(address, self._now()) if self.door.is_proxy(request.remote or "") else None    # otherwise the door has counted it
        if place and place.connections >= limits.connections_per_address_max:
            limits.hit["connections_per_address_max"] += 1
            return response(self.spoken.too_many)
        socket = TransportSocket(cast(asyncio.Transport, request.transport), self._config.close_timeout_s)
        connection = self.spoken.open(request.rel_url.raw_path, request.rel_url.raw_query_string, socket, self._now(), address)
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
            self.spoken.disconnect(connection)
        return websocket

    async def _listen(self, websocket: web.WebSocketResponse, connection: P) -> None:
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
    return web.Response(status=answer.status, body=answer.body, content_type=answer.type, charset="utf-8", headers=answer.headers)
