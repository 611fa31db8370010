"""The dialect: one market behind Binance's spot protocol. Requests, messages and the time come in, bytes go out; it never touches a socket or a loop."""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from stream.access.claims import Claims
from stream.dialects.binance.api_connection import ApiConnection
from stream.dialects.binance.connection import Connection
from stream.dialects.binance.endpoints import LISTEN_KEYS, PUBLIC, SIGNED
from stream.dialects.binance.errors import (
    BAD_BODY,
    BAD_HANDSHAKE,
    BAD_LISTEN_KEY,
    BAD_PARAMETER,
    DISCONNECTED,
    OVERLOADED,
    TOO_MANY_ARRIVALS,
    TOO_MANY_CONNECTIONS,
    TOO_MUCH_WEIGHT,
    UNKNOWN,
    UNSUPPORTED,
    ApiError,
)
from stream.dialects.binance.identity import Identify, Identities
from stream.dialects.binance.listen_keys import PATTERN, ListenKeys
from stream.dialects.binance.market_requests import Asked
from stream.dialects.binance.new_order import SELF_TRADE_NAMES, OrderReader
from stream.dialects.binance.refusals import refusal
from stream.dialects.binance.request import Parameters, Told, refused, said, stamp
from stream.dialects.binance.signed_requests import Act, Call
from stream.dialects.binance.streams import topic_of
from stream.dialects.binance.symbols import MarketData, Symbol
from stream.dialects.binance.trader import CommandPath, Trader
from stream.dialects.binance.user_streams import Keyed
from stream.dialects.connection import GOING_AWAY, Socket
from stream.dialects.order_counts import OrderCounts
from stream.dialects.publisher import Publisher
from stream.dialects.weights import Weights
from stream.market.exchange_venue import ExchangeVenue
from stream.server.http_message import Answer, Reply, Request

log = logging.getLogger("deltabook")

USED_WEIGHT = ("X-MBX-USED-WEIGHT", "X-MBX-USED-WEIGHT-1M")


TRADER_KEPT = 3600 * 10**9
"""How long what is known of an API key's orders is kept after its last request."""


class Opening(NamedTuple):
    """What the address of a WebSocket asks for."""

    names: list[str]
    combined: bool
    micro: bool
    api: bool = False


class Binance:
    """One market, its connections, and what each address has used of its weight."""

    methods: tuple[str, ...] = ("GET", "POST", "PUT", "DELETE")
    full = refused(ApiError(DISCONNECTED))
    too_many = refused(ApiError(TOO_MANY_CONNECTIONS))
    too_often = refused(ApiError(TOO_MANY_ARRIVALS))
    bad_body = refused(ApiError(BAD_BODY))
    bad_handshake = refused(ApiError(BAD_HANDSHAKE))

    def __init__(self, market: ExchangeVenue, now: int) -> None:
        """ConfigError if the market cannot be shown in this way."""
        self._config = market.config
        self.data = MarketData(market, Symbol)
        self._publisher = Publisher(self.data, lambda name: topic_of(self.data, name), now)
        self._market = market
        self._reader = OrderReader(SELF_TRADE_NAMES[market.config.self_trade])
        self._counts = OrderCounts()
        self._listen_keys = ListenKeys()
        self._traders: dict[str, Trader] = {}
        self.identities = Identities(market.authenticator, lambda now: market.wall_time(now))
        self._weights = Weights(market.config.dialect_weight_per_minute)
        self.connections: set[Connection] = set()

    # Requests

    def request(self, request: Request, now: int, reply: Reply) -> None:
        """Answer a request over HTTP, now or later."""
        micro = _micro(request.headers.get("x-mbx-time-unit", ""))
        try:
            parameters = Parameters(request.query, request.body)
        except ApiError as error:
            reply(_answer(Told(error)))
            return
        if request.path == LISTEN_KEYS:
            self._serve_listen_key(request, parameters, now, reply)
        else:
            identify = self.identities.of_request(request, now)
            self.ask((request.method, request.path), parameters, identify, request.address, now, micro, lambda told: reply(_answer(told)))

    def charge(self, address: str, weight: int, now: int) -> int:
        """Use some of an address's weight. Returns what it has used. ApiError if that is too much."""
        used, retry_after = self._weights.take(address, weight, now)
        if retry_after:
            error = ApiError(TOO_MUCH_WEIGHT, self._weights.weight_max)
            error.retry_after = retry_after
            raise error
        return used

    def ask(
        self, endpoint: tuple[str, str], parameters: Parameters, identify: Identify, address: str, now: int, micro: bool, tell: Callable[[Told], None],
    ) -> None:
        """Answer a request, now or later."""
        used = 0
        trader: Trader | None = None
        public, signed = PUBLIC.get(endpoint), SIGNED.get(endpoint)

        def say(what: object) -> None:
            counts = self._counts.read(trader.account, now) if trader and trader.ready and signed and signed.places else {}
            tell(Told(what, used, what.retry_after if isinstance(what, ApiError) else 0, counts))

        def guard(do: Callable[[Any], None]) -> Callable[[Any], None]:
            def guarded(answer: Any) -> None:
                try:
                    do(answer)
                except ApiError as error:
                    say(error)
                except Exception:
                    log.exception("a request caused an error", extra={"path": endpoint[1]})
                    say(ApiError(UNKNOWN))

            return guarded

        def begin(_: object) -> None:
            nonlocal used, trader
            asked = Asked(self.data, parameters, now, micro, self._config)
            if public:
                used = self.charge(address, public.weight(parameters), now)
                found = public.answer(asked)
                parameters.finish()
                say(found)
                return
            if signed is None:
                raise ApiError(UNSUPPORTED)
            used = self.charge(address, signed.weight, now)
            trader = self.trader(identify(parameters), address, now)
            act = signed.read(Call(asked, trader, self._reader, self._counts, say, guard))
            parameters.finish()
            trader.when_ready(lambda: guard(carry_out)(act))

        def carry_out(act: Act) -> None:
            if trader is None or not trader.ready:
                why = trader and trader.refusal
                raise refusal(why, self._config.orders_per_s) if why else ApiError(OVERLOADED, "the account has no more room for a session")
            act()

        guard(begin)(None)

    # Who trades

    def trader(self, claims: Claims, address: str, now: int) -> Trader:
        """Who trades with these claims."""
        trader = self._traders.get(claims.token_id)
        if trader is None or trader.closed:
            if trader:
                self._dismiss(claims.token_id, now)
            path: CommandPath | None = getattr(self._market, "sequencer", None)
            trader = self._traders[claims.token_id] = Trader(self._market, path, self.data, claims, address, self._reader.self_trade, now)
        trader.used_at = now
        return trader

    def _dismiss(self, key: str, now: int) -> None:
        trader = self._traders.pop(key)
        trader.end(now)
        self._market.disconnect(trader.session, now)

    def _serve_listen_key(self, request: Request, parameters: Parameters, now: int, reply: Reply) -> None:
        """POST makes one, PUT keeps it alive, DELETE ends it. The venue asks for no signature."""
        used = 0
        try:
            used = self.charge(request.address, 2, now)
            claims = self.identities.of_key(request, now)(parameters)
            key = "" if request.method == "POST" else parameters.mandatory("listenKey", PATTERN)
            parameters.finish()
            if key and self._listen_keys.find(key, now) != claims:
                raise ApiError(BAD_LISTEN_KEY)
            if request.method == "DELETE":
                self._listen_keys.end(key)
                found: dict[str, object] = {}
            elif request.method in ("POST", "PUT"):
                made = self._listen_keys.make(claims, now)
                found = {} if key else {"listenKey": made}
            else:
                raise ApiError(UNSUPPORTED)
            reply(_answer(Told(found, used)))
        except ApiError as error:
            reply(_answer(Told(error, used, error.retry_after)))

    # WebSocket

    def opening(self, path: str, query: str) -> Opening | Answer:
        """What the path of a WebSocket asks for; an answer if there is no such path."""
        micro = _micro((parse_qs(query).get("timeUnit") or [""])[0])
        parts = [part for part in path.split("/") if part]
        match parts:
            case ["stream", *rest] if rest in ([], ["ws"]) or (len(rest) <= 2 and rest[-1].isdecimal()):
                streams = (parse_qs(query).get("streams") or [""])[0]
                return Opening([name for name in streams.split("/") if name], True, micro)
            case ["ws-api", "v3"]:
                return Opening([], False, micro, api=True)
            case ["ws"]:
                return Opening([], False, micro)
            case ["ws", *names]:
                return Opening([name for name in names if not name.isdecimal()], False, micro)
        return refused(ApiError(UNSUPPORTED))

    def open(self, path: str, query: str, socket: Socket, now: int, address: str) -> Connection | Answer:
        """A new connection; an answer if there is no such path, or no such stream."""
        opening = self.opening(path, query)
        return opening if isinstance(opening, Answer) else self.connect(opening, socket, now, address)

    def connect(self, opening: Opening, socket: Socket, now: int, address: str = "") -> Connection | Answer:
        """A new connection; an answer if it asks for a stream that does not exist."""
        kind = ApiConnection if opening.api else Connection
        connection = kind(self._publisher, socket, self._config, opening.combined, opening.micro, now)
        keys = {name: claims for name in opening.names if (claims := self._listen_keys.find(name, now))}
        if connection.subscribe([name for name in opening.names if name not in keys], now) is not None:
            connection.end()
            return refused(ApiError(BAD_PARAMETER, "streams"))
        for key, claims in keys.items():
            connection.listen(Keyed(connection, key), self.trader(claims, address, now))
        if isinstance(connection, ApiConnection):
            connection.serve(self, self._config, address, now)
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
            for connection in list(self.connections):
                connection.close(GOING_AWAY, "The market has another history")
        for key, trader in list(self._traders.items()):
            trader.read(now)
            if trader.closed:
                self._dismiss(key, now)
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
        for trader in self._traders.values():
            if trader.listeners or now - trader.used_at < TRADER_KEPT:
                trader.session.heard_at = now    # otherwise the venue ends its session as one that is idle
        self.write()

    def leave(self, now: int) -> None:
        """The server is leaving: say so, and close every connection."""
        for connection in list(self.connections):
            said = {"e": "serverShutdown", "E": stamp(now, connection.micro)}
            connection.say({"event": said} if isinstance(connection, ApiConnection) else said)
            connection.close(GOING_AWAY, "The server is leaving")
        for key in list(self._traders):
            self._dismiss(key, now)


def _answer(told: Told) -> Answer:
    answer = refused(told.what) if isinstance(told.what, ApiError) else said(200, told.what)
    headers = dict.fromkeys(USED_WEIGHT, str(told.used)) | {f"X-MBX-ORDER-COUNT-{name}": str(count) for name, count in told.counts.items()}
    if told.retry_after:
        headers["Retry-After"] = str(told.retry_after)
    return answer._replace(headers=headers)


def _micro(text: str) -> bool:
    return text.upper() == "MICROSECOND"
