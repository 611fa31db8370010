"""One WebSocket connection of the streams: requests to subscribe, and properties. Never touches a socket."""

import re
from typing import Any

import msgspec

from stream.dialects import connection
from stream.dialects.binance.trader import Trader, UserStream
from stream.dialects.connection import Socket, Streams
from stream.dialects.topic import Form
from stream.settings.config import Config

STREAMS_MAX = 1024

METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")

UNKNOWN_PROPERTY, BAD_VALUE, BAD_REQUEST, BAD_JSON = 0, 1, 2, 3


class Refused(Exception):
    """A message that is answered with an error: its number and its text."""


class Connection(connection.Connection):
    """A client of the streams. `combined`: each event has its stream's name around it. `micro`: times are in microseconds."""

    def __init__(self, streams: Streams, socket: Socket, config: Config, combined: bool, micro: bool, now: int) -> None:
        super().__init__(streams, socket, config, now)
        self.combined = combined
        self.micro = micro
        self.user_streams: dict[UserStream, Trader] = {}

    @property
    def form(self) -> Form:
        return self.combined, self.micro

    def end(self) -> None:
        super().end()
        for stream, trader in self.user_streams.items():
            trader.listeners.pop(stream, None)
        self.user_streams.clear()

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

    def _take_in(self, payload: bytes | str, now: int) -> None:
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

    def listen(self, stream: UserStream, trader: Trader) -> None:
        """Let a user data stream of this connection follow a trader."""
        self.user_streams[stream] = trader
        trader.listeners[stream] = None

    def end_stream(self, stream: UserStream) -> None:
        """One of them ends."""
        trader = self.user_streams.pop(stream, None)
        if trader:
            trader.listeners.pop(stream, None)


def _names(parameters: list[Any]) -> list[str]:
    names = [name for name in parameters if isinstance(name, str)]
    if len(names) < len(parameters):
        raise Refused(BAD_REQUEST, "Invalid request: the name of a stream must be a string")
    return names
