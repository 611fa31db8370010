"""The dialect: one market behind Kraken's spot protocol. Requests, messages and the time come in, bytes go out; it never touches a socket or a loop."""

from itertools import count

from stream.dialects.connection import GOING_AWAY, Socket
from stream.dialects.kraken.connection import Connection
from stream.dialects.kraken.market_data import KrakenData
from stream.dialects.kraken.rest import PUBLIC, TOKENS, TOO_MANY, UNKNOWN_METHOD, Asked, RestError, Tokens, refused, said
from stream.dialects.kraken.streams import CHANNELS, Stream, Told
from stream.dialects.publisher import Publisher
from stream.dialects.weights import Weights
from stream.market.exchange_venue import ExchangeVenue
from stream.server.http_message import Answer, Reply, Request

WEBSOCKET = "/v2"


class Kraken:
    """One market, its connections, and what each address has used of its weight."""

    methods: tuple[str, ...] = ("GET", "POST")
    full = refused("EService:Unavailable", 503)
    too_many = refused("EGeneral:Too many requests: the server's setting `connections_per_address_max`", 429)
    too_often = refused("EGeneral:Too many requests: the server's setting `arrivals_per_s`", 429)
    bad_body = refused("EAPI:Bad request", 400)
    bad_handshake = refused("EAPI:Bad request", 400)

    def __init__(self, market: ExchangeVenue, now: int) -> None:
        """ConfigError if the market cannot be shown in this way."""
        self._config = market.config
        self.data = KrakenData(market)
        self._publisher = Publisher(self.data, self._topic, now)
        self._tokens = Tokens(market.authenticator, lambda now: market.wall_time(now))
        self._weights = Weights(market.config.dialect_weight_per_minute)
        self._numbers = count(1)
        self.connections: set[Connection] = set()

    def _topic(self, stream: Stream) -> Told:
        return CHANNELS[stream.channel].make(self.data, stream)

    # Requests

    def request(self, request: Request, now: int, reply: Reply) -> None:
        """Answer a request over HTTP."""
        _, retry_after = self._weights.take(request.address, 1, now)
        reply(refused(TOO_MANY, headers={"Retry-After": str(retry_after)}) if retry_after else self._answer(request, now))

    def _answer(self, request: Request, now: int) -> Answer:
        endpoint = request.method, request.path
        try:
            if endpoint == TOKENS:
                return said(self._tokens.give(request, now))
            if endpoint in PUBLIC:
                return said(PUBLIC[endpoint](Asked(self.data, request, now)))
        except RestError as error:
            return refused(str(error))
        return refused(UNKNOWN_METHOD)

    # WebSocket

    def open(self, path: str, query: str, socket: Socket, now: int, address: str) -> Connection | Answer:
        """A new connection; an answer if there is no such path."""
        if path.rstrip("/") != WEBSOCKET:
            return refused(UNKNOWN_METHOD, 404)
        connection = Connection(self._publisher, socket, self._config, self.data, self._tokens.redeem, now)
        connection.greet(next(self._numbers))
        self.connections.add(connection)
        return connection

    def disconnect(self, connection: Connection) -> None:
        """A connection is gone."""
        connection.end()
        self.connections.discard(connection)

    # Time

    def tick(self, now: int) -> int:
        """Tell what is due, and write. Returns when the next tick is due, in ns."""
        if self.data.renewed():
            self._close("The market has another history")
        due = self._publisher.publish(now)
        self.write()
        return due

    def write(self) -> None:
        """Write what connections have to say."""
        self._publisher.write()

    def keep_house(self, now: int) -> None:
        """Ask for signs of life. Called about once a second."""
        for connection in list(self.connections):
            connection.check_time(now)
        self.write()

    def leave(self, now: int) -> None:
        """The server is leaving: close every connection."""
        self._close("The server is leaving")

    def _close(self, reason: str) -> None:
        for connection in list(self.connections):
            connection.close(GOING_AWAY, reason)
