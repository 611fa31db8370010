"""One WebSocket connection: requests to subscribe, and what is told at once. Never touches a socket."""

from collections.abc import Callable
from typing import Any

import msgspec

from stream.access.api_keys import RequestRefused
from stream.dialects import connection
from stream.dialects.connection import Socket, Streams
from stream.dialects.kraken.market_data import KrakenData
from stream.dialects.kraken.streams import CHANNELS, Channel, Stream, Told
from stream.dialects.kraken.symbols import instant
from stream.dialects.topic import Event
from stream.settings.config import Config

STREAMS_MAX = 1024
SHOWN = 40
"""How many characters of what was sent an error shows."""

TRADING = frozenset({
    "add_order", "amend_order", "edit_order", "cancel_order", "cancel_all", "cancel_all_orders_after", "batch_add", "batch_cancel",
})


class Refused(Exception):
    """A request, or what it says of one symbol, is refused: why, in words."""


class Connection(connection.Connection):
    """A client. It listens to at most one stream of a channel and a symbol."""

    def __init__(self, streams: Streams, socket: Socket, config: Config, data: KrakenData, redeem: Callable[[str, int], object], now: int) -> None:
        """`redeem` raises RequestRefused if a token is not a good one."""
        super().__init__(streams, socket, config, now)
        self._data = data
        self._redeem = redeem
        self._quiet = True    # since the last heartbeat was due
        self._of: dict[tuple[str, str], Stream] = {}

    def _take_in(self, payload: bytes | str, now: int) -> None:
        head: dict[str, object] = {}
        try:
            message = _decode(payload)
            method = message.get("method")
            if isinstance(method, str):
                head["method"] = method[:SHOWN]
            number = message.get("req_id")
            if number is not None:
                if not isinstance(number, int) or isinstance(number, bool):
                    raise Refused("req_id: expected an integer")
                head["req_id"] = number
            self._carry_out(method, message, head, now)
        except Refused as refused:
            self._answer(head, now, error=str(refused))

    def _answer(self, head: dict[str, object], now: int, error: str = "", **named: object) -> None:
        time = instant(now)
        said = {"success": False, "error": error} if error else {"success": True}
        self.say(head | named | said | {"time_in": time, "time_out": time})

    def _carry_out(self, method: object, message: dict[str, Any], head: dict[str, object], now: int) -> None:
        match method:
            case "ping":
                self._answer(head | {"method": "pong"}, now)
            case "subscribe" | "unsubscribe":
                parameters = message.get("params")
                if not isinstance(parameters, dict):
                    raise Refused("params: expected an object")
                self._each(method == "subscribe", parameters, head, now)
            case str() if method in TRADING:
                raise Refused(f"{method}: nothing is traded here; expected ping, subscribe or unsubscribe")
            case _:
                raise Refused(f"method {str(method)[:SHOWN]!r}: expected ping, subscribe or unsubscribe")

    def _each(self, subscribe: bool, parameters: dict[str, Any], head: dict[str, object], now: int) -> None:
        """Subscribe or unsubscribe symbol by symbol: each is answered."""
        name = parameters.get("channel")
        channel = CHANNELS.get(name) if isinstance(name, str) else None
        if channel is None:
            raise Refused(f"channel {str(name)[:SHOWN]!r}: expected one of {', '.join(CHANNELS)}")
        assert isinstance(name, str)
        chosen = _chosen(channel, parameters)
        snapshot = parameters.get("snapshot", True)
        if not isinstance(snapshot, bool):
            raise Refused("snapshot: expected true or false")
        if channel.needs_token:
            self._require_token(parameters.get("token"), now)
        for symbol in _symbols(parameters) if channel.of_symbol else [""]:
            try:
                if symbol and symbol not in self._data.symbols.named:
                    raise Refused(f"Currency pair not supported {symbol[:SHOWN]}")
                stream = Stream(name, symbol, **chosen)
                if subscribe:
                    self._subscribe(stream, snapshot, head, now)
                else:
                    self._unsubscribe(stream, head, now)
            except Refused as refused:
                self._answer(head, now, error=str(refused), **{"symbol": symbol[:SHOWN]} if symbol else {})

    def _require_token(self, token: object, now: int) -> None:
        try:
            if not isinstance(token, str):
                raise Refused("token: expected that of GetWebSocketsToken")
            self._redeem(token, now)
        except RequestRefused:
            raise Refused("Token(s) not found") from None

    def _subscribe(self, stream: Stream, snapshot: bool, head: dict[str, object], now: int) -> None:
        key = stream.channel, stream.symbol
        if key in self._of:
            raise Refused("Already subscribed")
        if len(self.names) >= STREAMS_MAX:
            raise Refused(f"Too many subscriptions: expected at most {STREAMS_MAX} on one connection")
        topic = self._streams.subscribe(self, stream, now)
        self.names[stream] = None
        self._of[key] = stream
        self._answer(head, now, result=stream.result() | {"snapshot": snapshot})
        if snapshot and isinstance(topic, Told):
            self.send([topic.snapshot(now)])

    def _unsubscribe(self, stream: Stream, head: dict[str, object], now: int) -> None:
        found = self._of.pop((stream.channel, stream.symbol), None)
        if found is None:
            raise Refused("Subscription Not Found")
        self._leave(found)
        self._answer(head, now, result=found.result())

    def greet(self, number: int) -> None:
        """Tell that the server is there."""
        self.say({"channel": "status", "type": "update", "data": [{"system": "online", "api_version": "v2", "connection_id": number, "version": "2.0.0"}]})

    def send(self, events: list[Event]) -> None:
        super().send(events)
        self._quiet = False

    def check_time(self, now: int) -> None:
        super().check_time(now)
        if self.names and self._quiet and self._socket.ready():
            self.say({"channel": "heartbeat"})
        self._quiet = True


def _decode(payload: bytes | str) -> dict[str, Any]:
    try:
        message = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise Refused("Malformed request: expected a JSON object")
    return message


def _symbols(parameters: dict[str, Any]) -> list[str]:
    """The symbols, each once. One that stands alone is taken too: python-kraken-sdk sends it so when it subscribes to `level3` again."""
    symbols = parameters.get("symbol")
    if isinstance(symbols, str):
        symbols = [symbols]
    if not isinstance(symbols, list) or not symbols or not all(isinstance(each, str) for each in symbols):
        raise Refused("symbol: expected a list of pairs such as BTC/USD")
    return list(dict.fromkeys(symbols))


def _chosen(channel: Channel, parameters: dict[str, Any]) -> dict[str, Any]:
    """What a subscription chooses."""
    found = {name: parameters.get(name, values[0]) for name, values in channel.choices.items()}
    for name, value in found.items():
        if isinstance(value, bool | float) or value not in channel.choices[name]:
            raise Refused(f"{name} {str(value)[:SHOWN]!r}: expected one of {', '.join(map(str, channel.choices[name]))}")
    return found
