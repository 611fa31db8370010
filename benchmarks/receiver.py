"""Many WebSocket clients in one process, as cheap as Python makes them: raw sockets in one epoll, no decoding of what they get."""

import select
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

from stream.wire.codec import MSGPACK
from stream.wire.fields import Message
from stream.wire.framing import BINARY, FIN, MASKED, TEXT, extent, head_of


class Dialect(NamedTuple):
    """How the clients of a server speak. `stamp` is the time in a frame, the one that ends at an index; None if it is not one to count."""

    path: str
    subprotocol: str
    first: list[bytes]
    stamp: Callable[[bytes, int, int], int | None]


class Received(NamedTuple):
    """What all clients together got. `size` in bytes; `latencies`: ns from the time in a frame to its receipt, one a frame."""

    seconds: float
    processor_share: float
    frames: int
    size: int
    latencies: list[int]
    first_client: list[bytes]


def masked(payload: bytes, opcode: int = BINARY) -> bytes:
    """A payload as a client's frame, with a key of zeros."""
    return head_of(FIN | opcode, len(payload), MASKED) + bytes(4) + payload


def _last_number(data: bytes, start: int, stop: int) -> int:
    return int.from_bytes(data[stop - 8 : stop])


def _last_digits(data: bytes, start: int, stop: int) -> int | None:
    return int(data[stop - 18 : stop - 2], 16) if data.find(b'42["', start, stop) >= 0 else None


PLAIN = Dialect("/", "", [], _last_number)
SOCKET_IO = Dialect("/socket.io/?EIO=4&transport=websocket", "", [masked(b"40", TEXT)], _last_digits)


def deltabook(*requests: Message) -> Dialect:
    """How ours speak, who begin with these requests."""
    return Dialect("/v1", MSGPACK.subprotocol, [masked(MSGPACK.encode(request)) for request in requests], _last_number)


def open_socket(port: int, dialect: Dialect, receive_buffer: int = 0) -> tuple[socket.socket, bytes]:
    """A connection that has shaken hands and said what comes first, and what came behind it. `receive_buffer` in bytes, the kernel's choice for 0."""
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.connect(("127.0.0.1", port))
    subprotocol = f"Sec-WebSocket-Protocol: {dialect.subprotocol}\r\n" if dialect.subprotocol else ""
    connection.sendall(
        f"GET {dialect.path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{subprotocol}\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        received = connection.recv(65536)
        if not received:
            raise ConnectionError("the server closed the connection instead of shaking hands")
        answer += received
    if not answer.startswith(b"HTTP/1.1 101"):
        raise ConnectionError(answer.partition(b"\r\n")[0].decode())
    connection.sendall(b"".join(dialect.first))
    return connection, answer.partition(b"\r\n\r\n")[2]


class Clients:
    """Connections to one server on this machine; without a dialect there is no handshake."""

    def __init__(self, port: int, count: int, dialect: Dialect | None) -> None:
        opened = [open_socket(port, dialect) if dialect else (socket.create_connection(("127.0.0.1", port)), b"") for _ in range(count)]
        self._stamp = dialect.stamp if dialect else _last_number
        self._sockets = [connection for connection, _ in opened]
        self._rest = {connection.fileno(): rest for connection, rest in opened}
        self._by_number = {connection.fileno(): connection for connection in self._sockets}
        self._epoll = select.epoll(count)
        for connection in self._sockets:
            connection.setblocking(False)
            self._epoll.register(connection.fileno(), select.EPOLLIN)

    def receive(self, seconds: float, clock: int) -> Received:
        """Take what comes for so long. `clock` is what the sender's clock shows more than the monotonic one, in ns."""
        latencies: list[int] = []
        first_number, first_client = self._sockets[0].fileno(), []
        frames = size = 0
        began, worked = time.monotonic_ns(), time.process_time_ns()
        end = began + int(seconds * 10**9)
        now = began
        while now < end:
            for number, _ in self._epoll.poll((end - now) / 10**9):
                data = self._by_number[number].recv(1 << 18)
                now = time.monotonic_ns()
                if not data:
                    raise ConnectionError("the server closed a connection")
                size += len(data)
                data = self._rest[number] + data
                start = 0
                while (stop := end_of_frame(data, start)) <= len(data):
                    stamp = self._stamp(data, start, stop)
                    if stamp is not None:
                        frames += 1
                        latencies.append(now + clock - stamp)
                        if number == first_number:
                            first_client.append(data[start:stop])
                    start = stop
                self._rest[number] = data[start:]
            now = time.monotonic_ns()
        elapsed = now - began
        return Received(elapsed / 10**9, (time.process_time_ns() - worked) / elapsed, frames, size, latencies, first_client)

    def close(self) -> None:
        """Hang up."""
        self._epoll.close()
        for connection in self._sockets:
            connection.close()


def end_of_frame(data: bytes, start: int) -> int:
    """Where the server's frame that begins at `start` ends; beyond the data if that is not known yet."""
    found = extent(data, start)
    return found[1] if found else len(data) + 1
