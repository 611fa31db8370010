"""A listening socket, and the connections that it has accepted but that have not sent their request yet. Each connection is counted when it is accepted.

picows gets a connection only after its handshake was read and found good. This module handles everything before that, and every other request.
A visitor has one deadline for the whole request and one for reading the whole answer. It never takes more memory than a head and a chunk.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Protocol, cast

from stream.access.addresses import Proxies, block_of, parse
from stream.server.http_request import HEAD_BYTES_MAX, BadRequest, Request, head_end, read_request
from stream.server.pages import text
from stream.server.places import Places
from stream.server.reception import LATER, Answer
from stream.system.tasks import once
from stream.venue.limits import Limits

log = logging.getLogger("deltabook")

OPENING_MAX = 16
"""How many connections may be accepted but not yet handed to the event loop. For a moment there may be this many more than there are places."""

CHUNK = 4096
IGNORED_BYTES_MAX = 4 * HEAD_BYTES_MAX
"""How many bytes may follow a request that is already answered."""

SCARCE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
PAUSE_S = 0.2
"""The pause after an accept failed because a resource was used up, which others have to free first."""


TOO_OFTEN = Answer(text(HTTPStatus.TOO_MANY_REQUESTS, "too many connections and requests from this address; come back later\n"), LATER)


class UpgradedProtocol(Protocol):
    """The protocol of a connection after its handshake: that of picows."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is made, with this transport."""
        ...

    def get_buffer(self, size_hint: int) -> memoryview:
        """Where to put what came."""
        ...

    def buffer_updated(self, nbytes: int) -> None:
        """`nbytes` bytes have been put there."""
        ...


class Visitor(asyncio.BufferedProtocol):
    """One connection until its handshake is done or its page is read."""

    def __init__(self, door: "Door", peer: str, block: str) -> None:
        self._door = door
        self.peer = peer
        self.block = block
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._buffer = bytearray(CHUNK)
        self.received = bytearray()
        self._answered = self._gone = False
        self._ignored = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast(asyncio.Transport, transport)    # uvloop's class does not inherit from it
        if self._gone:
            self._transport.abort()
        else:
            self._wait()

    def _wait(self) -> None:
        """Start the time limit for what is to come."""
        if self._deadline:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(self._door.timeout_s, self._too_late)

    def _too_late(self) -> None:
        self._door.limits.hit["handshake_timeout_s"] += 1
        self.go()

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where to put what came."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """A part of the request has come, or bytes after it."""
        if self._answered:
            self._ignored += nbytes
            if self._ignored > IGNORED_BYTES_MAX:
                self.go()
            return
        self.received += memoryview(self._buffer)[:nbytes]
        try:
            end = head_end(self.received)
            if end:
                head, behind = bytes(self.received[:end]), bytes(self.received[end:])
                self._door.enter(self, self._door.read(head), behind)
        except BadRequest as bad:
            self.answer(Answer(text(bad.status, f"{bad}\n")), "GET")
        except Exception:
            log.exception("a request caused an error")
            self.answer(Answer(text(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error\n")), "GET")

    def answer(self, answer: Answer, method: str) -> None:
        """Send an answer, and wait until the client has read it and closes the connection. So no part of it is lost, whatever else the client sent."""
        assert self._transport
        self._answered = True
        self.received.clear()
        for part in answer.encode(method, self._door.now()):
            self._transport.write(part)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._wait()

    def become_http(self, protocol: asyncio.Protocol) -> None:
        """Hand the connection over to an HTTP server, which reads the request once more."""
        assert self._transport
        self._leave()
        self._transport.pause_reading()    # uvloop reads in another way for a protocol that brings no buffer
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        self._transport.resume_reading()
        protocol.data_received(bytes(self.received))

    def become(self, protocol: UpgradedProtocol, data: bytes) -> None:
        """Hand the connection over to another protocol, with the bytes that it has not seen."""
        assert self._transport
        self._leave()
        self._transport.set_protocol(protocol)    # type: ignore[arg-type]
        protocol.connection_made(self._transport)
        while data and not self._transport.is_closing():
            buffer = protocol.get_buffer(len(data))
            size = min(len(buffer), len(data))
            buffer[:size] = data[:size]
            protocol.buffer_updated(size)
            data = data[size:]

    def go(self) -> None:
        """Cut the connection."""
        self._leave()
        if self._transport:
            self._transport.abort()

    def _leave(self) -> None:
        self._gone = True
        self._door.places.leave(self, self.block)
        if self._deadline:
            self._deadline.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._leave()


class Door:
    """Listens for connections. `enter` is called with a visitor, its request, and the bytes after it."""

    def __init__(
        self, places: Places[Visitor], limits: Limits, proxies: Proxies, timeout_s: float, now: Callable[[], int],
        enter: Callable[["Door", Visitor, Request, bytes], None], read: Callable[[bytes], Request] = read_request,
    ) -> None:
        """`read` reads the head of a request, or raises BadRequest."""
        self.places = places
        self.limits = limits
        self.timeout_s = timeout_s
        self.now = now
        self.read = read
        self.connections = 0    # whose handshake is done
        self.port = 0
        self._proxies = proxies
        self._enter = enter
        self._listener: socket.socket | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._opening: set[asyncio.Task[None]] = set()

    def listen(self, host: str, port: int, backlog: int, options: dict[int, int]) -> None:
        """Start to listen, with options of the socket. `port` is then the port in use. Raises OSError if the port cannot be used."""
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setblocking(False)
            for option, value in options.items():
                listener.setsockopt(socket.SOL_SOCKET, option, value)
            listener.bind((host, port))
            listener.listen(backlog)
        except OSError:
            listener.close()
            raise
        self._listener, self.port = listener, listener.getsockname()[1]
        asyncio.get_running_loop().add_reader(listener, self._accept)

    def close(self) -> None:
        """Accept no more connections, and close those that have not sent their request."""
        if self._resting:
            self._resting.cancel()
        if self._listener:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        for visitor in self.places.all():
            visitor.go()

    def enter(self, visitor: Visitor, request: Request, behind: bytes) -> None:
        """A visitor has sent its request."""
        self._enter(self, visitor, request, behind)

    def client_of(self, visitor: Visitor, request: Request) -> str:
        """The address that a request is from."""
        return self._proxies.client_of(visitor.peer, request.all("x-forwarded-for"), request.all("forwarded"))

    def speaks_for_others(self, visitor: Visitor, request: Request) -> bool:
        """Whether a request comes through a proxy, and is not one of the proxy itself, such as its health check."""
        return self.is_proxy(visitor.peer) and bool(request.all("x-forwarded-for") or request.all("forwarded"))

    def is_proxy(self, peer: str) -> bool:
        """Whether a peer speaks for others."""
        address = parse(peer)
        return address is not None and self._proxies.trusts(address)

    def _accept(self) -> None:
        assert self._listener
        for _ in range(OPENING_MAX - len(self._opening)):
            try:
                connection, peer = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in SCARCE:
                    log.exception("a connection could not be accepted")
                self._rest()
                return
            connection.setblocking(False)
            self._admit(connection, str(peer[0]))

    def _rest(self) -> None:
        """Accept nothing for a moment."""
        assert self._listener
        loop = asyncio.get_running_loop()
        self.limits.hit["open files"] += 1
        loop.remove_reader(self._listener)
        self._resting = loop.call_later(PAUSE_S, loop.add_reader, self._listener, self._accept)

    def _admit(self, connection: socket.socket, peer: str) -> None:
        block, proxy, now = block_of(peer), self.is_proxy(peer), self.now()
        if not proxy and not self.limits.arrive(self.limits.address(peer, now), now):
            self._turn_away(connection)
            return
        visitor = Visitor(self, peer, block)
        leaver = self.places.take(visitor, block, proxy)
        if leaver:
            self.limits.hit["handshakes_open_max" if self.places.taken > self.places.most else "handshakes_open_per_address_max"] += 1
            leaver.go()
        task = once("the opening of a connection", self._open(visitor, connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, visitor: Visitor, connection: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: visitor, connection)
        except Exception as error:
            connection.close()
            visitor.go()
            if not isinstance(error, OSError):    # it is gone already
                raise

    def _turn_away(self, connection: socket.socket) -> None:
        """Tell a client that it comes too often, as far as this can be written at once."""
        with suppress(OSError):
            connection.send(b"".join(TOO_OFTEN.encode("GET", self.now())))
            connection.recv(HEAD_BYTES_MAX)    # unread bytes would turn the end into a reset, which may overtake the answer
        connection.close()
