"""The requests over HTTP that clients make to connect: the time, the assets and pairs, and a token for the channels that need one."""

from collections.abc import Callable
from email.utils import formatdate
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import parse_qs

import msgspec

from stream.access.api_keys import Cause, RequestRefused
from stream.access.auth import Authenticator
from stream.dialects.kraken.instruments import asset_infos, pair_info
from stream.dialects.kraken.market_data import KrakenData
from stream.dialects.kraken.symbols import Symbol, instant
from stream.server.http_message import Answer, Request

TOKEN_S = 900
"""For how many seconds a token opens a channel. Afterwards the channel stays open."""

NONCE_MAX = 1 << 64

UNKNOWN_METHOD, UNKNOWN_PAIR, BAD_REQUEST = "EGeneral:Unknown method", "EQuery:Unknown asset pair", "EAPI:Bad request"
TOO_MANY, BAD_NONCE = "EAPI:Rate limit exceeded", "EAPI:Invalid nonce"

CAUSES = {Cause.KEY: "EAPI:Invalid key", Cause.SIGNATURE: "EAPI:Invalid signature"}


class RestError(Exception):
    """A request is refused: the venue's word for it."""


def said(result: object) -> Answer:
    """An answer."""
    return Answer(200, msgspec.json.encode({"error": [], "result": result}))


def refused(error: str, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """A refusal. The venue says it with the status 200, and its clients look into the answer."""
    return Answer(status, msgspec.json.encode({"error": [error]}), headers or {})


class Asked(NamedTuple):
    """A request, and the time in ns since 1970."""

    data: KrakenData
    request: Request
    now: int


def server_time(asked: Asked) -> object:
    """The time."""
    return {"unixtime": asked.now // 10**9, "rfc1123": formatdate(asked.now // 10**9, usegmt=True)}


def system_status(asked: Asked) -> object:
    """That the server is there."""
    return {"status": "online", "timestamp": instant(asked.now)}


def all_assets(asked: Asked) -> object:
    """All assets."""
    return asset_infos(asked.data.symbols.all)


def asset_pairs(asked: Asked) -> object:
    """The pairs that are named, by the names that they are given; otherwise all."""
    symbols = asked.data.symbols
    names = [name for text in parse_qs(asked.request.query).get("pair", []) for name in text.split(",")]
    if not names:
        return {symbol.name: pair_info(symbol) for symbol in symbols.all}
    named = symbols.named | {symbol.name.replace("/", ""): symbol for symbol in symbols.all}
    return {name: pair_info(_pair(named, name)) for name in names}


def _pair(named: dict[str, Symbol], name: str) -> Symbol:
    if name not in named:
        raise RestError(UNKNOWN_PAIR)
    return named[name]


PUBLIC: dict[tuple[str, str], Callable[[Asked], object]] = {
    (method, f"/0/public/{name}"): answer
    for method in ("GET", "POST")
    for name, answer in (("Time", server_time), ("SystemStatus", system_status), ("Assets", all_assets), ("AssetPairs", asset_pairs))
}

TOKENS = "POST", "/0/private/GetWebSocketsToken"


class Tokens:
    """Gives out tokens, and takes them. The nonce of a key's request is above those before it: no request can be sent again.

    `wall_time` gives the wall clock's time at a time of the server's clock, both in ns.
    """

    def __init__(self, authenticator: Authenticator, wall_time: Callable[[int], int]) -> None:
        self._authenticator = authenticator
        self._wall_time = wall_time
        self._nonces: dict[str, int] = {}    # the last of each key that has signed a request

    def give(self, request: Request, now: int) -> object:
        """A token for whoever has signed a request."""
        nonce, wall = _nonce(request), self._wall_time(now)
        signed = request.path.encode() + sha256(f"{nonce}{request.body}".encode()).digest()
        try:
            claims = self._authenticator.verify_sha512(request.headers.get("api-key", ""), signed, request.headers.get("api-sign", ""), wall / 10**9)
            if int(nonce) <= self._nonces.get(claims.token_id, -1):
                raise RestError(BAD_NONCE)
            self._nonces[claims.token_id] = int(nonce)
            return {"token": self._authenticator.voucher(claims.token_id, wall // 10**9 + TOKEN_S), "expires": TOKEN_S}
        except RequestRefused as error:
            raise RestError(CAUSES[error.cause]) from None

    def redeem(self, token: str, now: int) -> object:
        """Who has a token. RequestRefused if it is not a good one."""
        return self._authenticator.redeem(token, self._wall_time(now) / 10**9)


def _nonce(request: Request) -> str:
    """The nonce in a body, a form or JSON."""
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            found = msgspec.json.decode(request.body, type=dict[str, object])
        except msgspec.DecodeError:
            raise RestError(BAD_REQUEST) from None
        nonce = str(found.get("nonce", ""))
    else:
        nonce = parse_qs(request.body).get("nonce", [""])[0]
    if not (nonce.isascii() and nonce.isdecimal() and int(nonce) < NONCE_MAX):
        raise RestError(BAD_NONCE)
    return nonce
