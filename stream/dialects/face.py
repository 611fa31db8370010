"""A dialect on a TCP port: HTTP and WebSocket of one port, by aiohttp, on the loop of the server beside it. All that is said is the dialect's.

The server's tick drives it: what a group of commands has changed is told in the same turn of the loop.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from typing import cast

from aiohttp import WSMsgType, web

from stream.access.addresses import Proxies
from stream.dialects.binance.connection import Connection
from stream.dialects.binance.dialect import Binance
from stream.dialects.binance.request import Answer, Request
from stream.market.exchange_venue import ExchangeVenue
from stream.server.server import BACKLOG, Server
from stream.settings.config import Config, ConfigError
from stream.wire.framing import PING, PONG, close_frame

log = logging.getLogger("deltabook")

OPCODES = {WSMsgType.PING: PING, WSMsgType.PONG: PONG}


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


class Face:
    """One dialect on a port of its own."""

    def __init__(self, config: Config, dialect: Binance, clock: Callable[[], int], wake: Callable[[], None]) -> None:
        self._config = config
        self._dialect = dialect
        self._now = clock
        self._wake = wake
        self._proxies = Proxies(config.trusted_proxies)
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=config.close_timeout_s)
        self.port = 0

    async def start(self, port: int) -> None:
        """Listen. ConfigError if the port cannot be had."""
        config = self._config
        listener = socket.socket(socket.AF_INET6 if ":" in config.host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, config.send_buffer_bytes)
        if config.engine_socket:    # one of several workers
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            listener.bind((config.host, port))
        except OSError as error:
            listener.close()
            raise ConfigError(f"dialects: port {port}: {error.strerror}") from error
        await self._runner.setup()
        await web.SockSite(self._runner, listener, backlog=BACKLOG).start()
        self.port = listener.getsockname()[1]

    def tick(self, now: int) -> int:
        """Tell what is due. Returns when the next tick is due, in ns."""
        return self._dialect.tick(now)

    def keep_house(self, now: int) -> None:
        """Ask for signs of life."""
        self._dialect.keep_house(now)

    async def stop(self) -> None:
        """Close every connection, and listen no more."""
        self._dialect.leave()
        await self._runner.cleanup()

    def _address(self, request: web.BaseRequest) -> str:
        headers = request.headers
        return self._proxies.client_of(request.remote or "", headers.getall("X-Forwarded-For", []), headers.getall("Forwarded", []))

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._serve_websocket(request)
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        try:
            body = (await request.read()).decode()
        except UnicodeDecodeError:
            return web.Response(status=400)
        asked = Request(
            request.method, request.rel_url.raw_path, request.rel_url.raw_query_string, body, {name.lower(): value for name, value in request.headers.items()},
            self._address(request),
        )

        def reply(answer: Answer) -> None:
            if not answered.done():
                answered.set_result(answer)

        self._dialect.request(asked, self._now(), reply)
        return response(await answered)

    async def _serve_websocket(self, request: web.BaseRequest) -> web.StreamResponse:
        opening = self._dialect.opening(request.rel_url.raw_path, request.rel_url.raw_query_string)
        if isinstance(opening, Answer):
            return response(opening)
        websocket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=self._config.message_bytes_max)
        if not websocket.can_prepare(request):
            return web.Response(status=400)
        transport = cast(asyncio.Transport, request.transport)
        connection = self._dialect.connect(opening, TransportSocket(transport, self._config.close_timeout_s), self._now())
        if isinstance(connection, Answer):
            return response(connection)
        try:
            await websocket.prepare(request)
            self._wake()
            await self._listen(websocket, connection)
        finally:
            self._dialect.disconnect(connection)
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


async def start_dialects(dialects: Mapping[str, int], server: Server) -> list[Face]:
    """Serve a server's market in these dialects, each on its port. ConfigError if one is unknown, or if the market cannot be shown in it."""
    market = server.venue
    faces = []
    for name, port in dialects.items():
        if name not in DIALECTS:
            raise ConfigError(f"dialects: {name!r}: expected one of {', '.join(DIALECTS)}")
        if not isinstance(market, ExchangeVenue):
            raise ConfigError("dialects: a relay has no market of its own; expected the server of a market, or of a journal that is played")
        face = Face(server.config, DIALECTS[name](market, server.clock.now()), server.clock.now, server.wake)
        await face.start(port)
        server.followers.append(face)
        faces.append(face)
    return faces
