"""A WebSocket to a server that is kept: whenever it is lost it comes back, after a growing, jittered delay, until the server says not to.

A connection that says nothing is pinged, and lost if it does not answer. Redirects are not followed: they would carry the token away.
"""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress

import msgspec
from picows import WSCloseCode, WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from stream.codes import FINAL_FROM
from stream.fields import Message
from stream.live import ClientError, Closed, ConnectionLost
from stream.messages import Answer, Leaving, Welcome
from stream.wire import MSGPACK

DELAY_S_FIRST, DELAY_S_MAX = 0.1, 30.0
"""Before the first return, and the most before any; each return doubles it until a connection outlasts the most, and a random part is taken off."""

WELCOME_S = 10.0
"""Time for a server to say who it is."""

CLOSE_S = 2.0
"""Time for a server to take a goodbye."""

WRITE_BYTES_MAX = 1 << 22
"""Bytes of requests that wait for a server that does not read."""

Token = str | Callable[[], str] | None
"""A token, or what returns a fresh one for each connection."""


class Link(WSListener):
    """One connection: hands its messages to whoever keeps it."""

    transport: WSTransport

    def __init__(self, keeper: "KeptConnection") -> None:
        self._keeper = keeper
        self._close_code = 0
        self._said = ""
        self.welcomed = asyncio.Event()    # or gone
        self.gone = asyncio.Event()

    @property
    def loss(self) -> ClientError:
        """Why there is no connection any more."""
        kind = Closed if self._close_code >= FINAL_FROM else ConnectionLost
        return kind(f"the connection was lost{self._said}")

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self._keeper._linked(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.BINARY and frame.fin:
            try:
                self._keeper._receive(self, frame.get_payload_as_bytes())
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, OverflowError) as error:
                self._said = f": the server sent what cannot be read: {error}"
                transport.send_close(WSCloseCode.PROTOCOL_ERROR)
                transport.disconnect(False)
        elif frame.msg_type is WSMsgType.CLOSE:
            self._close_code = int.from_bytes(frame.get_payload_as_bytes()[:2])
            self._said = f": the server said {self._close_code} {frame.get_close_reason() or ''}".rstrip()
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.welcomed.set()
        self.gone.set()
        self._keeper._unlinked(self)


class KeptConnection(ABC):
    """A connection to a server that comes back."""

    _decode: Callable[[bytes], Answer] = staticmethod(MSGPACK.decode_answer)

    def __init__(self, url: str, token: Token, jitter: random.Random | None = None, delay_s_max: float = DELAY_S_MAX) -> None:
        self.url = url
        self.connections = 0
        self._token = token
        self._random = jitter or random.Random()
        self._delay_s_max = delay_s_max
        self._link: Link | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._return_s = 0.0    # the window over which a server that leaves asked its clients to return

    @abstractmethod
    def _hear(self, message: Answer) -> None:
        """A message of the server."""

    @abstractmethod
    def _lose(self, error: ClientError) -> None:
        """The connection is gone."""

    @abstractmethod
    def _fail(self, error: ClientError) -> None:
        """There will be no connection any more."""

    @abstractmethod
    async def _returned(self) -> None:
        """There is a connection again. ClientError to try another one."""

    async def _leave(self) -> None:
        """Say goodbye, and do not come back. Takes CLOSE_S at most."""
        link, self._link = self._link, None
        if link:
            link.transport.send_close(WSCloseCode.OK)
            link.transport.disconnect()
            with suppress(TimeoutError):
                await asyncio.wait_for(link.gone.wait(), CLOSE_S)
            link.transport.disconnect(False)
        if self._keeper:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    async def _connect(self) -> Link:
        try:
            token = self._token() if callable(self._token) else self._token
        except Exception as error:
            raise ClientError(f"there is no token: {error}") from error
        headers = {"Sec-WebSocket-Protocol": MSGPACK.subprotocol}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        link = Link(self)
        try:
            await ws_connect(lambda: link, self.url, extra_headers=headers, max_frame_size=1 << 28, max_redirects=0, enable_auto_ping=True)
        except WSError as error:
            said = (getattr(error, "raw_body", None) or b"").decode(errors="replace").strip()
            if "\n" in said:    # a page
                said = f"what answers there is no WebSocket: is the path right, such as /v1? ({error})"
            raise ClientError(f"{self.url}: {said or error}") from error
        except (OSError, ValueError) as error:
            raise ClientError(f"{self.url}: {error}") from error
        self.connections += 1
        try:
            async with asyncio.timeout(WELCOME_S):
                await link.welcomed.wait()
        except TimeoutError:
            link.transport.disconnect(False)
            raise ClientError(f"{self.url}: no welcome within {WELCOME_S:g} seconds: is it a deltabook server?") from None
        if link.gone.is_set():
            raise link.loss
        return link

    async def _keep(self, link: Link | None = None) -> None:
        """Whenever there is no connection, come back, until the server says not to."""
        clock = asyncio.get_running_loop().time
        delay, began = DELAY_S_FIRST, clock()
        failure: ClientError = ConnectionLost("not connected yet")
        if link:
            await link.gone.wait()
            failure = link.loss
        while not isinstance(failure, Closed):
            if clock() - began > self._delay_s_max:
                delay = DELAY_S_FIRST
            await asyncio.sleep(max(delay * (1 - self._random.random() / 2), self._random.random() * self._return_s))
            delay, self._return_s = min(delay * 2, self._delay_s_max), 0.0
            began = clock()
            try:
                link = await self._connect()
                await self._returned()
                await link.gone.wait()
                failure = link.loss
            except ClientError as error:
                failure = error
                if self._link:
                    self._link.transport.disconnect(False)
        self._fail(failure)

    def _linked(self, link: Link) -> None:
        self._link = link

    def _unlinked(self, link: Link) -> None:
        if self._link is link:
            self._link = None
            self._lose(link.loss)

    def _receive(self, link: Link, payload: bytes) -> None:
        message = self._decode(payload)
        if isinstance(message, Leaving):
            self._return_s = message.return_ms / 1000
        self._hear(message)
        if isinstance(message, Welcome):
            link.welcomed.set()

    def _send(self, message: Message) -> None:
        """Send a message. ConnectionLost if there is no connection, ClientError if the server does not read."""
        if not self._link:
            raise ConnectionLost("not connected at the moment")
        if self._link.transport.underlying_transport.get_write_buffer_size() > WRITE_BYTES_MAX:
            raise ClientError("the server does not read")
        self._link.transport.send(WSMsgType.BINARY, MSGPACK.encode(message))
