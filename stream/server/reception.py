"""Decides the answer to a request: a page, a refusal or a WebSocket. Takes the request, the client's address and the time. Touches no socket."""

import re
from email.utils import formatdate
from hashlib import sha256
from http import HTTPStatus
from typing import NamedTuple

from stream.access.auth import TokenRefused
from stream.access.claims import Claims
from stream.server.http_request import METHODS, BadRequest, Request
from stream.server.origins import Origins
from stream.server.pages import SECURITY_HEADERS, Page, page, text
from stream.venue.limits import AddressAllowance
from stream.venue.metrics import TYPE, Exposition
from stream.venue.venue import Venue
from stream.wire.channels import ADMIN_SCOPE
from stream.wire.codec import CODECS, MSGPACK, Codec

ENDPOINT = "/v1"
METRICS = "/metrics"
VERSION = "13"
KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
PIECE = 4096
KNOWN_MAX = 10_000
LATER = {"Retry-After": "1"}
UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade, close", "Sec-WebSocket-Version": VERSION}


class Answer(NamedTuple):
    """A page, and headers beside its own."""

    page: Page
    headers: dict[str, str] = {}

    def encode(self, method: str, now: int) -> tuple[bytes, ...]:
        """The head and the body, for a request with `method` at `now`. Short answers are one piece, as some clients read only the first piece of an error."""
        status, kind, body, tag = self.page
        headers = SECURITY_HEADERS | {"Date": formatdate(now / 10**9, usegmt=True), "Connection": "close"}
        if status != HTTPStatus.NO_CONTENT:
            headers |= {"Content-Type": kind, "Content-Length": str(len(body))}
        if tag:
            headers["ETag"] = tag
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(METHODS)
        lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in (headers | self.headers).items()), "", ""]
        head, body = "\r\n".join(lines).encode(), b"" if method == "HEAD" else body
        return (head, body) if len(body) > PIECE else (head + body,)


class Admitted(NamedTuple):
    """A WebSocket: its codec, the claims of the token in the header, if there is one, and the key of the handshake."""

    codec: Codec
    claims: Claims | None
    key: str
    headers: dict[str, str]


class Refusal(Exception):
    """A request that gets only this answer. `limit` is the setting that it exceeds."""

    def __init__(self, status: HTTPStatus, said: str, headers: dict[str, str] | None = None, limit: str = "") -> None:
        super().__init__(said)
        self.answer = Answer(text(status, f"{said}\n"), headers or {})
        self.limit = limit


class Entrance(NamedTuple):
    """One of the ports: for all clients, or with connections of its own for administrators. `connections_max` is for all connections on this port."""

    for_admins: bool
    shows_metrics: bool
    connections_max: int
    connections_for_admins: int = 0


class Reception:
    """Answers the requests to a venue."""

    def __init__(self, venue: Venue, names: list[str]) -> None:
        """`names` are those of this machine."""
        self._venue = venue
        self._metrics = Exposition(venue)
        self._origins = Origins(venue.config.origins, names)
        self._known: dict[bytes, None] = {}    # digests of tokens that were good

    def receive(self, request: Request, place: AddressAllowance, entrance: Entrance, connections: int, leaving: bool, now: int) -> Answer | Admitted:
        """Answer a request. `place` is the client's address, `connections` how many came this way and are open."""
        try:
            if request.method == "OPTIONS":
                return Answer(Page(HTTPStatus.NO_CONTENT, "", b""), {"Allow": ", ".join(METHODS)})
            if request.path == ENDPOINT:
                return self._upgrade(request, place, entrance, connections, leaving, now)
            if request.path == METRICS and entrance.shows_metrics:
                return Answer(Page(HTTPStatus.OK, TYPE, self._metrics.at(now)))
            return Answer(page(request.path, self._venue, leaving, ",".join(request.all("if-none-match"))))
        except BadRequest as bad:
            return Answer(text(bad.status, f"{bad}\n"))
        except Refusal as refusal:
            if refusal.limit:
                self._venue.limits.hit[refusal.limit] += 1
            return refusal.answer

    def _upgrade(self, request: Request, place: AddressAllowance, entrance: Entrance, connections: int, leaving: bool, now: int) -> Admitted:
        if leaving or not self._venue.begun:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "the server takes no connections at the moment; come back later", LATER)
        key = self._handshake_key(request)
        authorization = request.one("authorization")
        full = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "the server has no room for more connections; come back later", LATER, "connections_max")
        if connections >= entrance.connections_max + (entrance.connections_for_admins if authorization else 0):
            raise full
        origin = request.one("origin")
        if "origin" in dict(request.headers) and not self._origins.let_in(origin, request.host):
            raise Refusal(HTTPStatus.FORBIDDEN, "web pages of this origin may not connect; the setting `origins` allows them", limit="origins")
        claims = self._claims(authorization, place, entrance, now) if authorization else None
        if connections >= entrance.connections_max and not (claims and ADMIN_SCOPE in claims.scopes):
            raise full
        offered = [name.strip() for value in request.all("sec-websocket-protocol") for name in value.split(",")]
        codec = next((CODECS[name] for name in offered if name in CODECS), MSGPACK)
        return Admitted(codec, claims, key, {"Sec-WebSocket-Protocol": codec.subprotocol} if codec.subprotocol in offered else {})

    def _handshake_key(self, request: Request) -> str:
        """The key that the answer to a handshake of RFC 6455 needs. Raises Refusal if the request is not such a handshake."""
        if request.version != "1.1" or "upgrade" not in request.options("connection") or "websocket" not in request.options("upgrade"):
            raise Refusal(HTTPStatus.UPGRADE_REQUIRED, "this is a WebSocket endpoint: expected a WebSocket handshake", UPGRADE)
        version = request.one("sec-websocket-version")
        if version and version != VERSION:
            raise Refusal(HTTPStatus.UPGRADE_REQUIRED, f"Sec-WebSocket-Version: expected {VERSION}", UPGRADE)
        key = request.one("sec-websocket-key")
        if not version or not KEY.fullmatch(key) or request.method != "GET":
            raise Refusal(HTTPStatus.BAD_REQUEST, f"expected GET, Sec-WebSocket-Version: {VERSION}, and a Sec-WebSocket-Key of 16 bytes in base64")
        return key

    def _claims(self, authorization: str, place: AddressAllowance, entrance: Entrance, now: int) -> Claims:
        """The claims of the token in the header, if the address may still send one. A token that was good before is checked in any case."""
        digest = sha256(authorization.encode("latin-1")).digest()
        over = "" if digest in self._known else self._venue.limits.sign_in(place, now, in_common=not entrance.for_admins)
        if over:
            status = HTTPStatus.TOO_MANY_REQUESTS if over == "sign_ins_per_s" else HTTPStatus.SERVICE_UNAVAILABLE
            raise Refusal(status, "too many tokens at once; come back later", LATER, over)
        scheme, _, token = authorization.partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise TokenRefused("Authorization: expected the word Bearer and a token")
            claims = self._venue.authenticator.verify(token.strip(), self._venue.wall_time(now) / 10**9)
        except TokenRefused as error:
            self._known.pop(digest, None)
            place.suspect = place.suspect or not error.retry
            headers = {"WWW-Authenticate": "Bearer"} | ({"Retry-After": str(self._venue.config.jwks_retry_s)} if error.retry else {})
            raise Refusal(HTTPStatus.UNAUTHORIZED, str(error), headers) from error
        self._known[digest] = None
        if len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]
        return claims
