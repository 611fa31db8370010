"""A connection of the WebSocket API: requests with an id, and the answers to them in any order. Never touches a socket."""

import re
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from stream.access.claims import Claims
from stream.dialects.binance.connection import Connection
from stream.dialects.binance.endpoints import METHODS, SIGNED
from stream.dialects.binance.errors import (
    BAD_JSON,
    BAD_KEY,
    BAD_PARAMETER,
    BAD_REQUEST,
    NOT_LOGGED_ON,
    TOO_MANY_STREAMS,
    UNKNOWN_METHOD,
    ApiError,
)
from stream.dialects.binance.exchange_info import order_limits, weight_limit
from stream.dialects.binance.identity import Identify, Identities
from stream.dialects.binance.request import Parameters, Told, stamp, words
from stream.dialects.binance.trader import Trader
from stream.dialects.binance.user_streams import Numbered
from stream.settings.config import Config

STREAMS_MAX = 1000
ID = re.compile(r"[\w-]{1,36}", re.ASCII)


class Dialect(Protocol):
    """What answers."""

    identities: Identities

    def ask(
        self, endpoint: tuple[str, str], parameters: Parameters, identify: Identify, address: str, now: int, micro: bool, tell: Callable[[Told], None],
    ) -> None:
        """Answer a request, now or later."""
        ...

    def charge(self, address: str, weight: int, now: int) -> int:
        """Use some of an address's weight. Returns what it has used. ApiError if that is too much."""
        ...

    def trader(self, claims: Claims, address: str, now: int) -> Trader:
        """Who trades with these claims."""
        ...


class ApiConnection(Connection):
    """One connection. `logged_on` is who has signed it in."""

    logged_on: Claims | None = None
    _logged_on_at = 0

    def serve(self, dialect: Dialect, config: Config, address: str, now: int) -> None:
        """Begin to answer."""
        self._dialect = dialect
        self._config = config
        self._address = address
        self._began = now
        self._numbers = 0

    def _take_in(self, payload: bytes | str, now: int) -> None:
        id: object = None
        try:
            message = self._request(payload)
            id = message.get("id")
            self._carry_out(id, message, now)
        except ApiError as error:
            self._reply(id, Told(error), with_limits=False)

    def _request(self, payload: bytes | str) -> dict[str, Any]:
        try:
            message = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
            read = {name: msgspec.json.decode(value) for name, value in message.items() if name in ("id", "method")}
            parameters = msgspec.json.decode(message["params"], type=dict[str, msgspec.Raw]) if "params" in message else {}
            values = {name: _text(value) for name, value in parameters.items()}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ApiError(BAD_JSON) from None
        id, method = read.get("id"), read.get("method")
        if not (id is None or (isinstance(id, int) and not isinstance(id, bool)) or (isinstance(id, str) and ID.fullmatch(id))):
            raise ApiError(BAD_REQUEST, "id")
        return {"id": id, "method": method, "params": values}

    def _carry_out(self, id: object, message: dict[str, Any], now: int) -> None:
        method, values = message["method"], message["params"]
        with_limits = values.pop("returnRateLimits", "true") != "false"
        signed = "&".join(f"{name}={values[name]}" for name in sorted(values) if name != "signature")
        parameters = Parameters.of(values)

        def identify(parameters: Parameters) -> Claims:
            if self.logged_on and "signature" not in values:
                self._dialect.identities.require_time(parameters, now)
                return self._still_good(now)
            return self._dialect.identities.check(self._api_key(parameters), signed, parameters, now)

        def tell(told: Told) -> None:
            self._reply(id, told, with_limits)

        endpoint = METHODS.get(method) if isinstance(method, str) else None
        if endpoint:
            if endpoint not in SIGNED:
                parameters.optional("apiKey")
            self._dialect.ask(endpoint, parameters, identify, self._address, now, self.micro, tell)
            return
        try:
            used = self._dialect.charge(self._address, 2, now)
            tell(Told(self._of_session(method, parameters, identify, now), used))
        except ApiError as error:
            tell(Told(error))

    def _api_key(self, parameters: Parameters) -> str:
        key = parameters.optional("apiKey")
        if key is None:
            raise ApiError(NOT_LOGGED_ON)
        return key

    def _still_good(self, now: int) -> Claims:
        assert self.logged_on
        try:
            return self._dialect.identities.claims(self.logged_on.token_id, now)
        except ApiError:
            self.logged_on = None
            raise

    def _of_session(self, method: object, parameters: Parameters, identify: Identify, now: int) -> object:
        match method:
            case "session.logon":
                self.logged_on = None
                self.logged_on, self._logged_on_at = identify(parameters), now
            case "session.logout":
                self.logged_on = None
                for stream in list(self.user_streams):
                    stream.terminate(now)
            case "session.status":
                pass
            case "userDataStream.subscribe":
                if not self.logged_on:
                    raise ApiError(BAD_KEY)
                return self._follow(self._still_good(now), parameters, now)
            case "userDataStream.subscribe.signature":
                return self._follow(identify(parameters), parameters, now)
            case "userDataStream.unsubscribe":
                return self._unsubscribe(parameters, now)
            case "session.subscriptions":
                parameters.finish()
                return [{"subscriptionId": each.number} for each in self.user_streams if isinstance(each, Numbered)]
            case _:
                raise ApiError(UNKNOWN_METHOD)
        parameters.finish()
        return {
            "apiKey": self.logged_on.token_id if self.logged_on else None, "authorizedSince": stamp(self._logged_on_at, self.micro) if self.logged_on else None,
            "connectedSince": stamp(self._began, self.micro), "returnRateLimits": True, "serverTime": stamp(now, self.micro),
            "userDataStream": bool(self.user_streams),
        }

    def _follow(self, claims: Claims, parameters: Parameters, now: int) -> object:
        parameters.finish()
        if len(self.user_streams) >= STREAMS_MAX:
            raise ApiError(TOO_MANY_STREAMS)
        stream = Numbered(self, self._numbers)
        self.listen(stream, self._dialect.trader(claims, self._address, now))
        self._numbers += 1
        return {"subscriptionId": stream.number}

    def _unsubscribe(self, parameters: Parameters, now: int) -> object:
        number = parameters.number("subscriptionId")
        parameters.finish()
        streams = [each for each in self.user_streams if isinstance(each, Numbered) and number in (None, each.number)]
        if number is not None and not streams:
            raise ApiError(BAD_PARAMETER, "subscriptionId")
        for stream in streams:
            stream.terminate(now)
        return {}

    def _reply(self, id: object, told: Told, with_limits: bool) -> None:
        refused = isinstance(told.what, ApiError)
        said: dict[str, object] = {"id": id, "status": told.what.kind.status if isinstance(told.what, ApiError) else 200}
        said["error" if refused else "result"] = words(told.what) if isinstance(told.what, ApiError) else told.what
        if with_limits:
            counts = told.counts.values()
            orders = [limit | {"count": count} for limit, count in zip(order_limits(self._config), counts, strict=True)] if counts else []
            said["rateLimits"] = [weight_limit(self._config) | {"count": told.used}, *orders]
        self.say(said)


def _text(value: msgspec.Raw) -> str:
    """A parameter as it is signed: a text, or else the JSON as it was sent."""
    text = bytes(value).decode()
    return str(msgspec.json.decode(text)) if text.startswith('"') else text
