"""The dialect: one market behind Binance's spot protocol. Requests, messages and the time come in, bytes go out; it never touches a socket or a loop."""

import logging
from typing import NamedTuple
from urllib.parse import parse_qs

from stream.dialects.binance.connection import GOING_AWAY, Connection, Socket
from stream.dialects.binance.endpoints import PUBLIC
from stream.dialects.binance.errors import BAD_PARAMETER, TOO_MUCH_WEIGHT, UNKNOWN, UNSUPPORTED, ApiError
from stream.dialects.binance.market_data import Market, MarketData
from stream.dialects.binance.market_requests import Asked
from stream.dialects.binance.publisher import Publisher
from stream.dialects.binance.request import Answer, Parameters, Reply, Request, refused, said
from stream.dialects.weights import Weights
from stream.settings.config import ConfigError

log = logging.getLogger("deltabook")

USED_WEIGHT = ("X-MBX-USED-WEIGHT", "X-MBX-USED-WEIGHT-1M")


class Opening(NamedTuple):
    """What the address of a WebSocket asks for."""

    names: list[str]
    combined: bool
    micro: bool


class Binance:
    """One market, its connections, and what each address has used of its weight."""

    def __init__(self, market: Market, now: int) -> None:
        """ConfigError if the market cannot be shown in this way."""
        if market.config.public_needs_token:
            raise ConfigError("public_needs_token: this dialect shows order books and trades to everybody; expected false, or no dialects")
        self._config = market.config
        self.data = MarketData(market)
        self._publisher = Publisher(self.data, now)
        self._weights = Weights(market.config.dialect_weight_per_minute)
        self.connections: set[Connection] = set()
        self._to_write: set[Connection] = set()

    # REST

    def request(self, request: Request, now: int, reply: Reply) -> None:
        """Answer a request, now or later."""
        used, retry_after = 0, 0
        endpoint = PUBLIC.get((request.method, request.path))
        try:
            if endpoint is None:
                raise ApiError(UNSUPPORTED)
            parameters = Parameters(request.query, request.body)
            used, retry_after = self._weights.take(request.address, endpoint.weight(parameters), now)
            if retry_after:
                raise ApiError(TOO_MUCH_WEIGHT, self._weights.weight_max)
            asked = Asked(self.data, parameters, now, _micro(request.headers.get("x-mbx-time-unit", "")), self._weights.weight_max)
            found = endpoint.answer(asked)
            parameters.finish()
            answer = said(200, found)
        except ApiError as error:
            answer = refused(error)
        except Exception:
            log.exception("a request caused an error", extra={"path": request.path})
            answer = refused(ApiError(UNKNOWN))
        headers = dict.fromkeys(USED_WEIGHT, str(used))
        if retry_after:
            headers["Retry-After"] = str(retry_after)
        reply(answer._replace(headers=answer.headers | headers))

    # WebSocket

    def opening(self, path: str, query: str) -> Opening | Answer:
        """What the path of a WebSocket asks for; an answer if there is no such path."""
        micro = _micro((parse_qs(query).get("timeUnit") or [""])[0])
        parts = [part for part in path.split("/") if part]
        match parts:
            case ["stream", *rest] if rest in ([], ["ws"]) or (len(rest) <= 2 and rest[-1].isdecimal()):
                streams = (parse_qs(query).get("streams") or [""])[0]
                return Opening([name for name in streams.split("/") if name], True, micro)
            case ["ws"]:
                return Opening([], False, micro)
            case ["ws", *names]:
                return Opening([name for name in names if not name.isdecimal()], False, micro)
        return refused(ApiError(UNSUPPORTED))

    def connect(self, opening: Opening, socket: Socket, now: int) -> Connection | Answer:
        """A new connection; an answer if it asks for a stream that does not exist."""
        connection = Connection(self._publisher, socket, self._config, opening.combined, opening.micro, self._wants_to_write, now)
        if connection.subscribe(opening.names, now) is not None:
            connection.end()
            return refused(ApiError(BAD_PARAMETER, "streams"))
        self.connections.add(connection)
        return connection

    def disconnect(self, connection: Connection) -> None:
        """A connection is gone."""
        connection.end()
        self.connections.discard(connection)
        self._to_write.discard(connection)

    def _wants_to_write(self, connection: Connection) -> None:
        self._to_write.add(connection)

    # Time

    def tick(self, now: int) -> int:
        """Tell what is due, and write. Returns when the next tick is due, in ns."""
        if self.data.renewed():
            for connection in list(self.connections):
                connection.close(GOING_AWAY, "The market has another history")
        due = self._publisher.publish(now)
        self.write()
        return due

    def write(self) -> None:
        """Write what connections have to say."""
        waiting, self._to_write = self._to_write, set()
        for connection in waiting:
            connection.write()

    def keep_house(self, now: int) -> None:
        """Ask for signs of life. Called about once a second."""
        for connection in list(self.connections):
            connection.check_time(now)
        self.write()

    def leave(self) -> None:
        """The server is leaving: close every connection."""
        for connection in list(self.connections):
            connection.close(GOING_AWAY, "The server is leaving")


def _micro(text: str) -> bool:
    return text.upper() == "MICROSECOND"
