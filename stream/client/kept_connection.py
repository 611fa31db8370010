"""A WebSocket to a server that reconnects. Whenever the connection is lost, or an attempt fails in any way, it tries again after a growing, jittered
delay, until the server tells it not to.

A silent connection is pinged, and counts as lost if no answer comes. A token that the server refuses is not sent again: the connection goes on without
it, for the public channels. If the token is a callable, it is called for a fresh token each time.
"""

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from inspect import isawaitable
from typing import Any, cast

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from stream.client.allowance import Allowance
from stream.client.errors import ClientError, Closed, ConnectionLost, SignInRefused
from stream.client.handshake import FRAME_BYTES_MAX, Handshake, checked, header_of, shown
from stream.wire.codec import MSGPACK
from stream.wire.codes import FINAL_FROM, CloseCode
from stream.wire.fields import Message
from stream.wire.fragments import Assembler, Violation
from stream.wire.framing import BINARY, CLOSE, TEXT
from stream.wire.messages import Answer, Leaving, LoggedIn, Welcome

DELAY_S_FIRST, DELAY_S_MAX = 0.1, 30.0
"""The delay before the first attempt to reconnect, and the longest delay. Each attempt doubles the delay, until a connection lasts longer than the longest
one. A random part of up to half is taken off."""

OPEN_S = 10.0
"""The time limit for connecting, including the server's `welcome`."""

CLOSE_S = 2.0
"""How long to wait for the server when the client closes the connection."""

WRITE_BYTES_MAX = 1 << 22
"""The most bytes of requests that may wait for a server that does not read."""

Token = str | Callable[[], str | Awaitable[str]] | None
"""A token, or a function that returns a fresh one for each connection. It may be a coroutine function."""


class Link(WSListener):
    """One connection. It hands its messages to its KeptConnection."""

    transport: WSTransport

    def __init__(self, keeper: "KeptConnection", token: str | None) -> None:
        self._keeper = keeper
        self.token = token
        self._assembler = Assembler(FRAME_BYTES_MAX)
        self._close_code = 0
        self._said = ""
        self.welcomed = asyncio.Event()    # or gone
        self.gone = asyncio.Event()

    @property
    def loss(self) -> ClientError:
        """The error that says why the connection ended."""
        kind: type[ClientError] = Closed if self._close_code >= FINAL_FROM else ConnectionLost
        if self.token and self._close_code in (CloseCode.TOKEN_EXPIRED, CloseCode.REVOKED):
            kind = SignInRefused
        return kind(f"the connection was lost{self._said}")

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self._ending = asyncio.create_task(self._await_end())

    async def _await_end(self) -> None:
        with suppress(Exception):    # a mistake of the server; asyncio would complain about an exception that nobody retrieves
            await self.transport.wait_disconnected()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        try:
            reserved = frame.rsv1 or frame.rsv2 or frame.rsv3
            whole = self._assembler.take(frame.msg_type.value, frame.fin, reserved, frame.get_payload_as_bytes())
            if whole:
                self._receive(*whole)
        except Violation as violation:
            self._end(violation.code, violation.text)
        except Exception as error:    # of any kind: what a server sends must not end the task that keeps the connection
            self._end(1002, str(error) or type(error).__name__)

    def _receive(self, opcode: int, payload: bytes) -> None:
        if opcode == BINARY:
            self._keeper._receive(self, payload)
        elif opcode == CLOSE:
            self._close_code = int.from_bytes(payload[:2])
            self._said = f": the server said {self._close_code} {payload[2:].decode(errors='replace')}".rstrip()
            self.transport.disconnect()
        elif opcode == TEXT:
            raise Violation(1003, f"a text message came: {MSGPACK.subprotocol} has binary messages only")

    def _end(self, code: int, text: str) -> None:
        self._said = f": the server sent something that cannot be read: {text}"
        self.transport.send_close(cast(WSCloseCode, code))
        self.transport.disconnect(False)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.welcomed.set()
        self.gone.set()
        self._keeper._unlinked(self)


class KeptConnection(ABC):
    """A connection to a server that reconnects by itself."""

    _decode: Callable[[bytes], Any] = staticmethod(MSGPACK.decode_answer)
    clock: Callable[[], int] = staticmethod(time.monotonic_ns)    # the loop's time is that of its current turn, and may lag

    def __init__(self, url: str, token: Token, jitter: random.Random | None = None, delay_s_max: float = DELAY_S_MAX) -> None:
        self.url = checked(url)
        if not callable(token) and token is not None:
            header_of(token)    # raise at once if it cannot be a token
        self.connections = 0
        self.sign_in_refused: SignInRefused | None = None    # why the connection goes on without the token
        self.allowance = Allowance(None, 0)
        self._token = token
        self._refused = ""    # the token that the server did not take
        self._random = jitter or random.Random()
        self.delay_s_max = delay_s_max
        self._link: Link | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._left = False
        self._turn = asyncio.Lock()
        self.return_s = 0.0    # the window within which a server that shuts down asked its clients to return

    @abstractmethod
    def _hear(self, message: Answer) -> None:
        """A message from the server has come."""

    @abstractmethod
    def _lose(self, error: ClientError) -> None:
        """The connection was lost."""

    @abstractmethod
    def _fail(self, error: ClientError) -> None:
        """There will be no further connection."""

    @abstractmethod
    async def _returned(self) -> None:
        """There is a connection again. May raise ClientError, to try another one."""

    def _missed(self, error: ClientError) -> None:    # noqa: B027 - most subclasses need not know
        """An attempt to reconnect has failed. There will be others."""

    async def _leave(self) -> None:
        """Close the connection for good. Takes at most CLOSE_S."""
        self._left = True
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

    async def _fresh_token(self) -> str | None:
        try:
            token = self._token() if callable(self._token) else self._token
            return await token if isawaitable(token) else token
        except Exception as error:
            raise ClientError(f"the callable gave no token: {error or type(error).__name__}") from error

    async def _connect(self) -> Link:
        """Make one attempt. Raises ClientError if it fails in any way. If cancelled, it leaves no socket open."""
        token = await self._fresh_token()
        link = Link(self, token if token and token != self._refused else None)
        handshake, headers = Handshake(self.url), header_of(link.token) if link.token is not None else {}
        try:
            async with asyncio.timeout(OPEN_S):
                await handshake.shake_hands(link, headers)
                self.connections += 1
                handshake.stage = "a welcome"
                await link.welcomed.wait()
            if link.gone.is_set():
                raise link.loss
        except BaseException as error:
            handshake.abort()
            if isinstance(error, TimeoutError):
                raise ClientError(f"{shown(self.url)}: waited {OPEN_S:g} seconds for {handshake.stage}: is it a deltabook server?") from None
            if isinstance(error, SignInRefused):
                self._refuse(link, error)
            raise
        if link.token:
            self._refused, self.sign_in_refused = "", None
        return link

    def _refuse(self, link: Link, why: SignInRefused) -> None:
        """The server has refused the token of a connection."""
        self._refused, self.sign_in_refused = link.token or "", why

    async def _keep(self, link: Link | None = None) -> None:
        """Reconnect whenever the connection is lost, until the server says not to. If anything else ends this, everything that waits fails with the reason."""
        failure: ClientError = Closed("the task that keeps the connection was cancelled")
        try:
            failure = await self._keep_on(link)
        except Exception as error:
            failure = Closed(f"the client has failed: {type(error).__name__}: {error}")
            asyncio.get_running_loop().call_exception_handler({"message": "what keeps a connection has failed", "exception": error})
        finally:
            if not self._left:
                self._fail(failure)

    async def _keep_on(self, link: Link | None) -> Closed:
        clock = asyncio.get_running_loop().time
        delay, began = DELAY_S_FIRST, clock()
        failure: ClientError = ConnectionLost("not connected yet")
        if link:
            failure = await self._outlive(link)
        while not isinstance(failure, Closed):
            if clock() - began > self.delay_s_max:
                delay = DELAY_S_FIRST
            await asyncio.sleep(max(delay * (1 - self._random.random() / 2), self._random.random() * self.return_s))
            delay, self.return_s = min(delay * 2, self.delay_s_max), 0.0
            began = clock()
            try:
                link = await self._connect()
                await self._returned()
                failure = await self._outlive(link)
            except ClientError as error:
                failure = error
                if self._link:
                    self.cut()
                else:
                    self._missed(failure)
        return failure

    async def _outlive(self, link: Link) -> ClientError:
        """Wait until a connection ends. Returns why it ended."""
        await link.gone.wait()
        if isinstance(link.loss, SignInRefused):
            self._refuse(link, link.loss)
        return link.loss

    def cut(self) -> None:
        """Drop the connection without a word, as networks do, if there is one. What keeps it then comes back."""
        if self._link:
            self._link.transport.disconnect(False)

    def _linked(self, link: Link) -> None:
        self._link = link

    def _unlinked(self, link: Link) -> None:
        if self._link is link:
            self._link = None
            self._lose(link.loss)

    def _receive(self, link: Link, payload: bytes) -> None:
        message = self._decode(payload)
        if isinstance(message, Welcome):
            self.allowance = Allowance(message, self.clock())
            self._linked(link)
        elif self._link is not link:
            if not link.welcomed.is_set():
                raise Violation(1002, f"{type(message).__name__} came before a welcome")
            return    # this connection is being closed
        elif isinstance(message, Leaving):
            self.return_s = message.return_ms / 1000
        elif isinstance(message, LoggedIn):
            self.allowance.signed_in(message)
        if getattr(message, "prev", None) is None:    # an answer, or a snapshot that belongs to one
            self.allowance.heard(len(payload), self.clock())
        self._hear(message)
        if isinstance(message, Welcome):
            link.welcomed.set()

    async def _send_in_turn(self, message: Message, cost: int) -> Allowance:
        """Send a message in its turn, as soon as the server's limits allow it. Returns the allowance to update when its answer has come."""
        async with self._turn:
            while self._link and (wait := self.allowance.wait(self.clock())):    # noqa: ASYNC110 - it waits for time to pass
                await asyncio.sleep(min(wait / 10**9, 0.05))    # an answer in the meantime makes the wait shorter
            self._send(message)
            self.allowance.sent(cost)
            return self.allowance

    def _send(self, message: Message) -> None:
        """Send a message. Raises ConnectionLost if there is no connection, ClientError if the server does not read."""
        if not self._link:
            raise ConnectionLost("not connected at the moment")
        if self._link.transport.underlying_transport.get_write_buffer_size() > WRITE_BYTES_MAX:
            raise ClientError(f"the server does not read: more than {WRITE_BYTES_MAX:,} bytes of requests wait for it")
        self._link.transport.send(WSMsgType.BINARY, MSGPACK.encode(message))
