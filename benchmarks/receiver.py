"""Many WebSocket clients in one process, as cheap as Python makes them: raw sockets in one epoll, no decoding of what they get."""

import select
import socket
import time
from typing import NamedTuple

from stream.fields import Message
from stream.messages import Subscribe
from stream.wire import BINARY, MSGPACK

_HANDSHAKE = (
    "GET /v1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {MSGPACK.subprotocol}\r\n\r\n"
).encode()


class Received(NamedTuple):
    """What all clients together got. `size` in bytes; `latencies`: ns from the time in a frame to its receipt, one a frame."""

    seconds: float
    processor_share: float
    frames: int
    size: int
    latencies: list[int]
    first_client: list[bytes]


def masked(message: Message) -> bytes:
    """A message of less than 126 bytes as a client's frame, with a key of zeros."""
    payload = MSGPACK.encode(message)
    return bytes((0x80 | BINARY, 0x80 | len(payload))) + bytes(4) + payload


def open_socket(port: int, receive_buffer: int = 0, headers: str = "") -> tuple[socket.socket, bytes]:
    """A connection that has shaken hands, and what came behind the handshake. `receive_buffer` in bytes, the kernel's choice for 0."""
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.connect(("127.0.0.1", port))
    connection.sendall(_HANDSHAKE[:-2] + headers.encode() + b"\r\n")
    answer = b""
    while b"\r\n\r\n" not in answer:
        received = connection.recv(65536)
        if not received:
            raise ConnectionError("the server closed the connection instead of shaking hands")
        answer += received
    if not answer.startswith(b"HTTP/1.1 101"):
        raise ConnectionError(answer.partition(b"\r\n")[0].decode())
    return connection, answer.partition(b"\r\n\r\n")[2]


class Clients:
    """Connections to one server on this machine."""

    def __init__(self, port: int, count: int, subscribe: Subscribe | None) -> None:
        opened = [open_socket(port) if subscribe else (socket.create_connection(("127.0.0.1", port)), b"") for _ in range(count)]
        self._sockets = [connection for connection, _ in opened]
        self._rest = {connection.fileno(): rest for connection, rest in opened}
        self._by_number = {connection.fileno(): connection for connection in self._sockets}
        self._epoll = select.epoll(count)
        for connection in self._sockets:
            if subscribe:
                connection.sendall(masked(subscribe))
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
                    frames += 1
                    latencies.append(now + clock - int.from_bytes(data[stop - 8 : stop]))
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
    if len(data) < start + 2:
        return len(data) + 1
    length = data[start + 1]
    if length < 126:
        return start + 2 + length
    width = 2 if length == 126 else 8
    if len(data) < start + 2 + width:
        return len(data) + 1
    return start + 2 + width + int.from_bytes(data[start + 2 : start + 2 + width])
