"""Sends requests to a server on a schedule, or as fast as it answers, over plain sockets, and times the answers. For `benchmarks.orders`.

All frames are made beforehand, and an answer is looked at no further than its id, so that one core of Python is enough for 100,000 requests a second.
"""

import base64
import json
import select
import socket
import time
from array import array
from collections.abc import Callable
from typing import NamedTuple

from stream.wire.codec import JSON, MSGPACK, Codec
from stream.wire.framing import BINARY, FIN, MASKED, TEXT, head_of
from stream.wire.messages import Request, Subscribe

FIRST_ID = 1 << 20
"""So that every id of a run has as many bytes."""

MASK = bytes(4)
READ = 1 << 17
DRAIN_S = 5.0
SPIN_S = 0.002
"""A wait that is shorter than this is spent looking: timers count in milliseconds."""


class Traffic(NamedTuple):
    """What one connection says after its handshake: with a token, or to the echo."""

    token: str
    codec: Codec | None
    subscribe: list[str]
    request: Callable[[int, int], Request | bytes]
    """The connection's k-th request, under an id."""


class Outcome(NamedTuple):
    """What came of a run. Waits in ns, from when each request was due, of those that were answered; `processor` is the server's time by request."""

    sent: int
    answered: int
    refused: int
    lost: int
    seconds: float
    waits: "array[int]"
    processor_ns: float


def masked_frame(opcode: int, payload: bytes) -> bytes:
    """A client's frame. The mask is of zeros, which the server undoes like any other."""
    return head_of(FIN | opcode, len(payload), MASKED) + MASK + payload


class Line:
    """One connection with its schedule."""

    def __init__(self, port: int, number: int, traffic: Traffic) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._codec = traffic.codec
        self._inbox = b""
        self._begin(traffic)
        self.socket.setblocking(False)
        self._traffic = traffic
        self._opcode = BINARY if traffic.codec is not JSON else TEXT
        self._frames: list[bytes] = []
        self.number = number
        self.sent = self.answered = self.refused = 0
        self.due: list[int] = []    # when each request was due, by its number
        self._rest = b""
        self.lost = False

    def _begin(self, traffic: Traffic) -> None:
        """Shake hands, and subscribe."""
        name = f"Sec-WebSocket-Protocol: {traffic.codec.subprotocol}\r\nAuthorization: Bearer {traffic.token}\r\n" if traffic.codec else ""
        key = base64.b64encode(bytes(16)).decode()
        head = f"GET /v1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        self.socket.sendall(f"{head}{name}\r\n".encode())
        self._read_until(b"\r\n\r\n")
        self._inbox = self._inbox.partition(b"\r\n\r\n")[2]
        if traffic.codec and traffic.subscribe:
            request = traffic.codec.encode(Subscribe(1, traffic.subscribe, interval_ms=1000))
            self.socket.sendall(masked_frame(traffic.codec.opcode, request))
            self._read_until(b"subscribed")

    def _read_until(self, word: bytes) -> None:
        while word not in self._inbox:
            data = self.socket.recv(READ)
            if not data:
                raise ConnectionError(f"the server said {self._inbox!r}")
            self._inbox += data

    def prepare(self, count: int) -> None:
        """Make the frames of so many requests."""
        for k in range(count):
            request = self._traffic.request(k, FIRST_ID + k)
            payload = request if isinstance(request, bytes) else self._codec.encode(request) if self._codec else b""
            self._frames.append(masked_frame(self._opcode, payload))

    @property
    def left(self) -> int:
        """Requests that have not been sent."""
        return len(self._frames) - self.sent

    def send(self, due: list[int]) -> None:
        """Send the next requests, one for each time at which one was due, in one write."""
        self.due += due
        self._rest += b"".join(self._frames[self.sent : self.sent + len(due)])
        self.sent += len(due)
        self.flush()

    def flush(self) -> None:
        """Send what the socket did not take before."""
        if self._rest and not self.lost:
            try:
                self._rest = self._rest[self.socket.send(self._rest) :]
            except BlockingIOError:
                pass
            except OSError:
                self.lost = True

    def receive(self, waits: "array[int]") -> int:
        """Read what has come; how many answers there were."""
        try:
            data = self.socket.recv(READ)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        if not data:
            self.lost = True
            return 0
        now = time.monotonic_ns()
        data, at, before = self._inbox + data, 0, self.answered
        length, due, codec = len(data), self.due, self._codec
        while length - at >= 2:
            size = data[at + 1]
            start = at + 2
            if size == 126:
                size = int.from_bytes(data[start : start + 2])
                start += 2
            elif size == 127:
                size = int.from_bytes(data[start : start + 8])
                start += 8
            end = start + size
            if end > length:
                break
            if codec is None:
                waits.append(now - due[self.answered])
                self.answered += 1
            elif codec is MSGPACK:
                if data[start + 1 : start + 6] == b"\xa4done":
                    waits.append(now - due[int.from_bytes(data[start + 7 : start + 11]) - FIRST_ID])
                    self.answered += 1
                elif data[start + 1 : start + 7] == b"\xa5error":
                    waits.append(now - due[int.from_bytes(data[start + 8 : start + 12]) - FIRST_ID])
                    self.answered += 1
                    self.refused += 1
            elif data[start : start + 7] in (b'["done"', b'["error'):
                id = json.loads(data[start:end])[1]
                waits.append(now - due[id - FIRST_ID])
                self.answered += 1
                self.refused += data[start + 2 : start + 3] == b"e"
            at = end
        self._inbox = data[at:]
        return self.answered - before


def run(lines: list[Line], seconds: float, processor: Callable[[], int], rate: float = 0, window: int = 0) -> Outcome:
    """Send `rate` requests a second over all lines together for so long, each when it is due; or keep `window` of each line under way."""
    poll = select.epoll()
    by_file = {line.socket.fileno(): line for line in lines}
    for file in by_file:
        poll.register(file, select.EPOLLIN)
    waits = array("q")
    period = int(len(lines) * 10**9 / rate) if rate else 0
    began = time.monotonic_ns() + 10**7
    ends = began + int(seconds * 10**9)
    next_due = [began + line.number * period // len(lines) for line in lines]
    processor_began, answered, counted = processor(), 0, 0
    processor_ended = 0
    while True:
        now = time.monotonic_ns()
        if now >= ends and not processor_ended:
            processor_ended, counted = processor(), answered
        if now >= ends and (answered >= sum(line.sent for line in lines) or now >= ends + int(DRAIN_S * 10**9) or all(line.lost for line in lines)):
            break
        if now < ends:
            for index, line in enumerate(lines):
                if rate and next_due[index] <= now:
                    due = list(range(next_due[index], now + 1, period))[: line.left]
                    next_due[index] += period * max(1, len(due))
                    line.send(due)
                elif window and now >= began and line.sent - line.answered <= window // 2:
                    line.send([now] * min(line.left, window - line.sent + line.answered))
        for line in lines:
            line.flush()
        rest_s = (min(next_due) - time.monotonic_ns()) / 10**9 if rate and now < ends else 0.0 if now < ends else 0.01
        for file, event in poll.poll(max(0.0, rest_s - SPIN_S) if rate else 0.001):
            line = by_file[file]
            if line.lost or event & select.EPOLLHUP:
                line.lost = True
                poll.unregister(file)
            else:
                answered += line.receive(waits)
    poll.close()
    sent = sum(line.sent for line in lines)
    refused, lost = sum(line.refused for line in lines), sum(line.lost for line in lines)
    return Outcome(sent, answered, refused, lost, seconds, waits, (processor_ended - processor_began) / max(1, counted))
