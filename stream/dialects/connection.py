"""One WebSocket connection: what goes out to it while it reads, and what it must be told when it reads again. Never touches a socket."""

from abc import ABC, abstractmethod
from typing import Any, Protocol

import msgspec

from stream.dialects.topic import Event, Form, Topic
from stream.settings.config import Config
from stream.venue.allowances import ConnectionAllowance
from stream.wire.framing import PING, PONG, TEXT, framed

PING_INTERVAL = 20 * 10**9
PONG_TIMEOUT = 60 * 10**9
POLICY, GOING_AWAY = 1008, 1001


class Socket(Protocol):
    """What a connection writes to."""

    def ready(self) -> bool:
        """Whether everything that was written has gone to the kernel."""
        ...

    def write(self, data: bytes) -> None:
        """Write frames."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Say goodbye, and cut the connection if nobody answers."""
        ...


class Streams(Protocol):
    """What a connection subscribes to."""

    def subscribe(self, connection: "Connection", name: Any, now: int) -> Topic[Any] | None:
        """Listen to a stream; None if there is none of that name."""
        ...

    def unsubscribe(self, connection: "Connection", name: Any) -> None:
        """Listen no longer."""
        ...

    def to_write(self, connection: "Connection") -> None:
        """Have a connection write what it has to say at the end of the turn."""
        ...

    def forget(self, connection: "Connection") -> None:
        """The connection is gone."""
        ...

    def wrote(self, connection: "Connection") -> None:
        """Look at a connection before it is told more."""
        ...

    def stall(self, connection: "Connection") -> None:
        """Look at a connection until it has caught up."""
        ...


class Connection(ABC):
    """A client of the streams, which listens to those of `names`.

    While its socket is full it is not `ready`: it gets answers, but no events. `behind` are the topics that then have to tell it what it missed.
    """

    def __init__(self, streams: Streams, socket: Socket, config: Config, now: int) -> None:
        self._streams = streams
        self._socket = socket
        self._allowance = ConnectionAllowance(config, now)
        self.ready = True
        self.behind: set[Topic[Any]] = set()
        self.names: dict[Any, None] = {}
        self.closed = False
        self._out: list[bytes] = []
        self._unread = 0    # bytes that were written since the socket last took all
        self._unread_max = config.pending_bytes_max
        self._heard_at = self._pinged_at = now
        self._stall_timeout = config.stall_timeout_s * 10**9
        self._stalled_at = 0

    @property
    def form(self) -> Form:
        """How it wants to be told things."""
        return ()

    # What comes in

    def _leave(self, name: Any) -> None:
        del self.names[name]
        self._streams.unsubscribe(self, name)

    def receive(self, payload: bytes | str, now: int) -> None:
        """A message of the client."""
        if self.closed:
            return
        self._heard_at = now
        if self._allowance.take(len(payload), now, control=False):
            self.close(POLICY, "Too many requests")
            return
        self._take_in(payload, now)

    @abstractmethod
    def _take_in(self, payload: bytes | str, now: int) -> None:
        """Answer a message that it may send."""

    def control(self, opcode: int, payload: bytes, now: int) -> None:
        """A ping or a pong of the client."""
        self._heard_at = now
        if self._allowance.take(len(payload), now, control=True):
            self.close(POLICY, "Too many pings")
        elif opcode == PING:
            self._put(framed(PONG, payload))

    def end(self) -> None:
        """The connection is gone."""
        self.closed = True
        for name in list(self.names):
            self._leave(name)
        self.behind.clear()
        self._out.clear()
        self._streams.forget(self)

    # What goes out

    def send(self, events: list[Event]) -> None:
        """Send events with the next write."""
        form = self.form
        for event in events:
            self._put(event.frame(form))

    def say(self, message: object) -> None:
        """Answer a message."""
        self._put(framed(TEXT, msgspec.json.encode(message)))

    def _put(self, frame: bytes) -> None:
        if not self.closed:
            if not self._out:
                self._streams.to_write(self)
            self._out.append(frame)

    def fall_behind(self, topic: Topic[Any]) -> None:
        """Note that it has to be told by a topic what it missed."""
        self.behind.add(topic)
        self._streams.stall(self)

    def lose(self) -> None:
        """It has missed what nobody remembers."""
        self.close(POLICY, "Too slow: events were missed")

    def look(self, now: int) -> None:
        """Find out whether the socket takes more; if so, have told what was missed. Close if it has not for too long."""
        self.ready = self._socket.ready()
        if self.ready:
            self._stalled_at = self._unread = 0
            behind, self.behind = self.behind, set()
            for topic in behind:
                topic.catch_up(self, now)
        elif not self._stalled_at:
            self._stalled_at = now
        elif now - self._stalled_at > self._stall_timeout:
            self.close(POLICY, "Too slow: nothing was read")

    def write(self) -> None:
        """One write for all that there is to say. Until the socket is looked at again, nobody knows whether it takes more."""
        if self._out and not self.closed:
            data = b"".join(self._out)
            self._socket.write(data)
            self._out.clear()
            self.ready = False
            self._streams.wrote(self)
            self._unread += len(data)
            if self._unread > self._unread_max and not self._socket.ready():    # answers and own events, which cannot be merged
                self.end()
                self._socket.close(POLICY, "Too slow: too much waits to be read")

    def check_time(self, now: int) -> None:
        """Ask for a sign of life, or close if there was none for too long."""
        if self.closed:
            return
        if now - self._heard_at > PONG_TIMEOUT:
            self.close(POLICY, "Pong timeout")
        elif now - self._pinged_at >= PING_INTERVAL:
            self._pinged_at = now
            self._put(framed(PING, str(now // 10**6).encode()))

    def close(self, code: int, reason: str) -> None:
        """Say no more, and have the connection closed."""
        if not self.closed:
            self.write()
            self.end()
            self._socket.close(code, reason)
