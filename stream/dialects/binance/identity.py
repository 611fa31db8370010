"""Who asks: the API key of a request, its signature over what was sent, and its time."""

import re
from collections.abc import Callable
from typing import Protocol

from stream.access.api_keys import ApiKeys, Cause, RequestRefused
from stream.access.claims import Claims
from stream.access.revocations import Revocations
from stream.access.signed_requests import WINDOW_US_MAX, microseconds, require_window
from stream.dialects.binance.errors import AHEAD, BAD_KEY, BAD_KEY_FORMAT, BAD_SIGNATURE, LATE, WIDE_WINDOW, ApiError, ErrorKind
from stream.dialects.binance.request import NUMBER, Parameters
from stream.server.http_message import Request
from stream.wire.channels import ACCOUNT_SCOPE

WINDOW_MS = 5000
"""The window of a request that does not say one."""

KEY = re.compile(r"[0-9A-Za-z_-]{1,128}", re.ASCII)
SIGNATURE = re.compile("(?:^|&)signature=[^&]*")
WINDOW = r"^[0-9]{1,10}(\.[0-9]{1,3})?$"

KINDS: dict[Cause, ErrorKind] = {Cause.KEY: BAD_KEY, Cause.SIGNATURE: BAD_SIGNATURE, Cause.AHEAD: AHEAD, Cause.LATE: LATE}

Identify = Callable[[Parameters], Claims]
"""The claims of whoever sends a request with these parameters. ApiError if it is not good."""


class Authenticator(Protocol):
    """What checks signatures."""

    api_keys: ApiKeys
    revocations: Revocations

    def verify_request(self, id: str, signed: bytes, signature: str, now: float) -> Claims:
        """The claims of whoever has signed these bytes. RequestRefused if nobody has."""
        ...


class Identities:
    """Checks who asks. `wall_time` gives the wall clock's time at a time of the server's clock, both in ns."""

    def __init__(self, authenticator: Authenticator, wall_time: Callable[[int], int]) -> None:
        self._authenticator = authenticator
        self._wall_time = wall_time

    def of_request(self, request: Request, now: int) -> Identify:
        """Of a signed request over HTTP. The signature is over query and body as they were sent, one behind the other, without the signature."""
        signed = "".join(SIGNATURE.sub("", text).removeprefix("&") for text in (request.query, request.body))
        return lambda parameters: self.check(request.headers.get("x-mbx-apikey", ""), signed, parameters, now)

    def of_key(self, request: Request, now: int) -> Identify:
        """Of a request that names a key, and is not signed."""
        return lambda parameters: self.claims(request.headers.get("x-mbx-apikey", ""), now)

    def claims(self, key: str, now: int) -> Claims:
        """The claims of an API key."""
        if not KEY.fullmatch(key):
            raise ApiError(BAD_KEY_FORMAT)
        found = self._authenticator.api_keys.find(key)
        if found is None or found.expires * 10**9 <= self._wall_time(now) or self._authenticator.revocations.refuse(found.claims()):
            raise ApiError(BAD_KEY)
        return _may_look(found.claims())

    def require_time(self, parameters: Parameters, now: int) -> None:
        """ApiError if a request is not of now."""
        timestamp = microseconds(int(parameters.mandatory("timestamp", NUMBER)))
        window_ms, _, part = (parameters.optional("recvWindow", WINDOW) or str(WINDOW_MS)).partition(".")
        window = int(window_ms) * 1000 + int(part.ljust(3, "0"))
        if window > WINDOW_US_MAX:
            raise ApiError(WIDE_WINDOW)
        try:
            require_window(timestamp, window, self._wall_time(now) // 1000)
        except RequestRefused as refused:
            raise ApiError(KINDS[refused.cause]) from None

    def check(self, key: str, signed: str, parameters: Parameters, now: int) -> Claims:
        """The claims of an API key that has signed these parameters."""
        if not KEY.fullmatch(key):
            raise ApiError(BAD_KEY_FORMAT)
        signature = parameters.mandatory("signature").replace(" ", "+")    # of base64 that was not quoted
        self.require_time(parameters, now)
        try:
            claims = self._authenticator.verify_request(key, signed.encode(), signature, self._wall_time(now) / 10**9)
        except RequestRefused as refused:
            raise ApiError(KINDS[refused.cause]) from None
        return _may_look(claims)


def _may_look(claims: Claims) -> Claims:
    if ACCOUNT_SCOPE not in claims.scopes:
        raise ApiError(BAD_KEY)
    return claims
