"""One WebSocket connection: messages and the time come in, frames go out. Never touches a socket."""

import re
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from stream.dialects.binance.events import Event
from stream.dialects.binance.request import encode
from stream.dialects.binance.topics import Topic
from stream.dialects.binance.trader import Trader, UserStream
from stream.settings.config import Config
from stream.venue.allowances import ConnectionAllowance
from stream.wire.framing import PING, PONG, TEXT, framed

STREAMS_MAX = 1024
PING_INTERVAL = 20 * 10**9
PONG_TIMEOUT = 60 * 10**9
POLICY, GOING_AWAY = 1008, 1001

METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")

UNKNOWN_PROPERTY, BAD_VALUE, BAD_REQUEST, BAD_JSON = 0, 1, 2, 3


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

    def subscribe(self, connection: "Connection", name: str, now: int) -> bool:
        """Listen to a stream; whether there is one of that name."""
        ...

    def unsubscribe(self, connection: "Connection", name: str) -> None:
        """Listen no longer."""
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


class Refused(Exception):
    """A message that is answered with an error: its number and its text."""


class Connection:
    """A client of the streams. `combined`: each event has its stream's name around it. `micro`: times are in microseconds.

    While its socket is full it is not `ready`: it gets answers, but no events. `behind` are the topics that then have to tell it what it missed.
    """

    def __init__(self, streams: Streams, socket: Socket, config: Config, combined: bool, micro: bool, write: Callable[["Connection"], None], now: int) -> None:
        self._streams = streams
        self._socket = socket
        self._write = write
        self._allowance = ConnectionAllowance(config, now)
        self.combined = combined
        self.micro = micro
        self.ready = True
        self.behind: set[Topic] = set()
        self.names: dict[str, None] = {}
        self.closed = False
        self.user_streams: dict[UserStream, Trader] = {}
        self._out: list[bytes] = []
        self._unread = 0    # bytes that were written since the socket last took all
        self._unread_max = config.pending_bytes_max
        self._heard_at = self._pinged_at = now
        self._stall_timeout = config.stall_timeout_s * 10**9
        self._stalled_at = 0

    # What comes in

    def subscribe(self, names: list[str], now: int) -> str | None:
        """Listen to streams. If one does not exist, nothing changes, and its name is returned; else None."""
        new: list[str] = []
        for name in names:
            if name in self.names:
                continue
            if not self._streams.subscribe(self, name, now):
                for each in new:
                    self._leave(each)
                return name
            self.names[name] = None
            new.append(name)
        return None

    def _leave(self, name: str) -> None:
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

    def _take_in(self, payload: bytes | str, now: int) -> None:
        """Answer a message that it may send."""
        id: object = None
        try:
            message = self._decode(payload)
            id = message.get("id")
            self.say({"result": self._answer(message, now), "id": id})
        except Refused as refused:
            code, text = refused.args
            self.say({"error": {"code": code, "msg": text}, "id": id if isinstance(id, int | str) else None})

    def _decode(self, payload: bytes | str) -> dict[str, Any]:
        try:
            message = msgspec.json.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Refused(BAD_JSON, "Invalid JSON: expected value at line 1 column 1") from None
        if not isinstance(message, dict):
            raise Refused(BAD_REQUEST, "Invalid request: expected an object")
        id = message.get("id")
        known = id is None or (isinstance(id, int) and not isinstance(id, bool)) or (isinstance(id, str) and re.fullmatch(r"[\w-]{1,36}", id, re.ASCII))
        if not known:
            message["id"] = None
            raise Refused(BAD_REQUEST, "Invalid request: request ID must be an integer, a string of up to 36 characters, or null")
        return message

    def _answer(self, message: dict[str, Any], now: int) -> object:
        method, parameters = message.get("method"), message.get("params", [])
        if method is None:
            raise Refused(BAD_REQUEST, "Invalid request: missing field `method`")
        if method not in METHODS:
            expected = ", ".join(f"`{each}`" for each in METHODS)
            raise Refused(BAD_REQUEST, f"Invalid request: unknown variant `{str(method)[:40]}`, expected one of {expected}")
        if not isinstance(parameters, list):
            raise Refused(BAD_REQUEST, "Invalid request: expected a list of parameters")
        match method:
            case "SUBSCRIBE":
                self._subscribe(_names(parameters), now)
            case "UNSUBSCRIBE":
                for name in _names(parameters):
                    if name in self.names:
                        self._leave(name)
            case "LIST_SUBSCRIPTIONS":
                return list(self.names)
            case "SET_PROPERTY":
                self._set(parameters)
            case _:
                if parameters != ["combined"]:
                    raise Refused(UNKNOWN_PROPERTY, "Unknown property")
                return self.combined
        return None

    def _subscribe(self, names: list[str], now: int) -> None:
        if len(self.names.keys() | set(names)) > STREAMS_MAX:
            raise Refused(BAD_REQUEST, f"Invalid request: expected at most {STREAMS_MAX} streams on one connection")
        unknown = self.subscribe(names, now)
        if unknown is not None:
            raise Refused(BAD_REQUEST, f"Invalid request: there is no stream {unknown[:60]!r}")

    def _set(self, parameters: list[Any]) -> None:
        if len(parameters) != 2 or parameters[0] != "combined":
            raise Refused(UNKNOWN_PROPERTY, "Unknown property")
        if not isinstance(parameters[1], bool):
            raise Refused(BAD_VALUE, "Invalid value type: expected Boolean")
        self.combined = parameters[1]

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
        for stream, trader in self.user_streams.items():
            trader.listeners.pop(stream, None)
        self.user_streams.clear()
        self.behind.clear()
        self._out.clear()
        self._streams.forget(self)

    def listen(self, stream: UserStream, trader: Trader) -> None:
        """Let a user data stream of this connection follow a trader."""
        self.user_streams[stream] = trader
        trader.listeners[stream] = None

    def end_stream(self, stream: UserStream) -> None:
        """One of them ends."""
        trader = self.user_streams.pop(stream, None)
        if trader:
            trader.listeners.pop(stream, None)

    # What goes out

    def send(self, events: list[Event]) -> None:
        """Send events with the next write."""
        for event in events:
            self._put(event.frame(self.combined, self.micro))

    def say(self, message: object) -> None:
        """Answer a message."""
        self._put(framed(TEXT, encode(message)))

    def _put(self, frame: bytes) -> None:
        if not self.closed:
            if not self._out:
                self._write(self)
            self._out.append(frame)

    def fall_behind(self, topic: Topic) -> None:
        """Note that it has to be told by a topic what it missed."""
        self.behind.add(topic)
        self._streams.stall(self)

    def lose(self) -> None:
        """It has missed trades that nobody remembers."""
        self.close(POLICY, "Too slow: trades were missed")

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


def _names(parameters: list[Any]) -> list[str]:
    names = [name for name in parameters if isinstance(name, str)]
    if len(names) < len(parameters):
        raise Refused(BAD_REQUEST, "Invalid request: the name of a stream must be a string")
    return names
