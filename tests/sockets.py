"""A WebSocket client made of a bare socket, which can do what a well-behaved one never would."""

import asyncio
import os
import socket
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar

import msgspec
import uvloop

from stream.access.keys import key_of
from stream.client.kept_connection import KeptConnection
from stream.relay.relay_server import RelayServer
from stream.server.market_server import MarketServer
from stream.server.server import Server
from stream.settings.config import Config
from stream.wire.codec import MSGPACK
from stream.wire.framing import BINARY, CLOSE, FIN, MASKED, extent, head_of
from tests.setting import CONFIG, SECRET
from tests.waiting import until

PATIENCE_S = 60
"""What hangs is ended after this; nothing that works takes as long, however busy the machine."""


def run(test: Callable[[], Coroutine[Any, Any, None]], patience_s: float = PATIENCE_S) -> Callable[[], None]:
    """Run a coroutine test on the loop that the server is made for."""

    def sync() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always", ResourceWarning)    # as an error it would keep uvloop's loop from ever closing
            uvloop.run(asyncio.wait_for(test(), patience_s))

    sync.__name__ = test.__name__
    return sync


@asynccontextmanager
async def serving(config: Config = CONFIG, sources: Any = (), **changes: Any) -> AsyncIterator[MarketServer]:
    """A server on a free port."""
    settings = {"port": 0, "close_timeout_s": 1} | changes
    server = MarketServer(msgspec.structs.replace(config, **settings), [key_of("HS256", SECRET)], sources)
    await server.start()
    try:
        yield server
    finally:
        while RawClient.opened:
            RawClient.opened.pop().close()
        await asyncio.sleep(0)
        await server.stop()


@asynccontextmanager
async def relaying(upstream: Server, /, **changes: Any) -> AsyncIterator[RelayServer]:
    """A relay of a server on a free port, once it has all that there is."""
    settings = {"port": 0, "close_timeout_s": 1, "upstream": f"ws://127.0.0.1:{upstream.port}/v1"} | changes
    server = RelayServer(msgspec.structs.replace(CONFIG, **settings), [key_of("HS256", SECRET)])
    await server.start()
    try:
        await until(lambda: server.relay.begun)
        yield server
    finally:
        await server.stop()


def masked(opcode: int, payload: bytes, fin: bool = True, reserved: int = 0) -> bytes:
    """A client's frame."""
    mask = os.urandom(4)
    head = head_of((FIN if fin else 0) | reserved << 4 | opcode, len(payload), MASKED)
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


class RawClient:
    """A connection whose every byte is ours. Those that a test leaves open are closed with its server."""

    opened: ClassVar[list["RawClient"]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.opened.append(self)

    @classmethod
    async def open(
        cls, port: int, headers: str = "", connection: str = "Upgrade", receive_buffer: int = 1 << 18, behind: bytes = b"",
    ) -> tuple["RawClient", str]:
        """Connect and shake hands, with something right behind; the answer's head."""
        connected = socket.socket()
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connected.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connected, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=connected, limit=1 << 12)
        writer.write(
            f"GET /v1 HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n".encode() + behind
        )
        client = cls(reader, writer)
        return client, (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode()

    def send(self, message: Any) -> None:
        """Send a protocol message."""
        self.writer.write(masked(BINARY, msgspec.msgpack.encode(message)))

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: its opcode and payload."""
        head = await asyncio.wait_for(self.reader.readexactly(2), 10)
        while not (found := extent(head)):
            head += await self.reader.readexactly(1)
        start, end = found
        return head[0] & 0xF, await self.reader.readexactly(end - start)

    async def message(self) -> Any:
        """The next protocol message."""
        opcode, payload = await self.frame()
        assert opcode == BINARY, (opcode, payload)
        return MSGPACK.decode_answer(payload)

    async def close_code(self) -> int:
        """The code of the close frame that ends the connection; messages before it are passed over."""
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2])

    async def ended(self) -> None:
        """Wait until the server has cut the connection."""
        with suppress(ConnectionResetError):    # what a server sends that has not read all of a flood
            while await asyncio.wait_for(self.reader.read(1 << 16), 10):
                pass

    def close(self) -> None:
        """Cut the connection."""
        self.writer.close()


def cut(client: KeptConnection) -> None:
    """Lose a client's connection without a word, as networks do. It knows at once."""
    client.cut()


def cut_all(server: Server, subject: str | None = None) -> None:
    """Cut every connection to a server without a word, or those of one subject; "" stands for nobody in particular."""
    for connection in list(server.connections.values()):
        if subject in (None, connection.session.subject):
            connection.cut_off()


async def get(port: int, path: str, headers: str = "") -> tuple[str, bytes]:
    """A plain HTTP request: the head and the body of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode(), body
