"""The REST API of a venue: requests over HTTP and the time come in, answers go out. It never touches a socket or a loop."""

import logging
from http import HTTPStatus
from importlib.resources import files
from typing import Any

from stream.access.auth import TokenRefused
from stream.access.claims import Claims
from stream.rest.caller import Caller
from stream.rest.endpoints import Endpoint, Routes, Unreadable
from stream.rest.named import plain
from stream.rest.openapi import text
from stream.rest.statuses import refused
from stream.server.http_message import Answer, Reply, Request
from stream.server.pages import SECURITY_HEADERS, TYPES
from stream.venue.venue import Venue
from stream.wire.channels import ChannelName
from stream.wire.codec import JSON
from stream.wire.codes import CloseCode, ErrorCode
from stream.wire.frames import Book
from stream.wire.messages import Error
from stream.wire.times import NEVER

log = logging.getLogger("deltabook")

KEPT_S_MAX = 20
"""How long a session is kept after its last request, unless the venue ends such sessions sooner."""

PAGES = {"/": "index.html", "/page.js": "page.js", "/page.css": "page.css"}


class Rest:
    """A venue over HTTP, and who has asked lately. At most `callers_max` have a session."""

    methods: tuple[str, ...] = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")
    full = refused(CloseCode.TOO_MANY_CONNECTIONS, "the server has no room for more connections; come back later", 503)
    too_many = refused(CloseCode.TOO_MANY_CONNECTIONS, CloseCode.TOO_MANY_CONNECTIONS.text)
    too_often = refused(ErrorCode.TOO_MANY_REQUESTS, "too many connections and requests from this address; come back later")
    bad_body = refused(ErrorCode.MALFORMED, "body: expected JSON in UTF-8, and no more than a message may have")
    bad_handshake = refused(ErrorCode.MALFORMED, "this port has no WebSocket", 404)

    def __init__(self, venue: Venue, callers_max: int) -> None:
        self._venue = venue
        self._callers_max = callers_max
        self._callers: dict[tuple[str, str], Caller] = {}
        self._waiting: set[Caller] = set()
        self._routes = Routes()
        self._leaving = False
        config = venue.config
        self._kept = min(KEPT_S_MAX * 10**9, config.idle_timeout_s * 10**9 // 2, config.sign_in_timeout_s * 10**9 // 2)

    def request(self, request: Request, now: int, reply: Reply) -> None:
        """Answer a request, now or later."""
        try:
            self._answer(request, now, reply)
        except Unreadable as error:
            reply(refused(ErrorCode.MALFORMED, str(error)))
        except Exception:
            log.exception("a request caused an error", extra={"path": request.path})
            reply(refused(ErrorCode.INTERNAL, ErrorCode.INTERNAL.text))

    def _answer(self, request: Request, now: int, reply: Reply) -> None:
        method = "GET" if request.method == "HEAD" else request.method
        if method == "GET" and (request.path in PAGES or request.path == "/openapi.json"):
            reply(page(request.path))
            return
        found = self._routes.find(request.path)
        if found is None:
            reply(refused(ErrorCode.MALFORMED, "there is no such path; /openapi.json has them all", HTTPStatus.NOT_FOUND))
            return
        endpoints, in_path = found
        if method not in endpoints:
            allowed = ", ".join([*endpoints, *(["HEAD"] if "GET" in endpoints else [])])
            reply(refused(ErrorCode.MALFORMED, f"{request.method[:20]}: expected {allowed}", HTTPStatus.METHOD_NOT_ALLOWED, Allow=allowed))
            return
        caller = self._caller(request, now)
        if isinstance(caller, Answer):
            reply(caller)
            return
        endpoint = endpoints[method]
        if len(request.query) + len(request.body) > caller.session.message_bytes_max:
            expected = f"expected at most {caller.session.message_bytes_max} bytes"
            reply(refused(ErrorCode.MALFORMED, expected, HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
            return
        try:
            values = endpoint.read(in_path, request.query, request.body)
        except Unreadable:
            caller.session.count_error()
            raise
        self._ask(caller, endpoint, values, request, now, reply)
        if caller.waits:
            self._waiting.add(caller)

    def _ask(self, caller: Caller, endpoint: Endpoint, values: dict[str, Any], request: Request, now: int, reply: Reply) -> None:
        def then(message: Any) -> None:
            reply(self._said(message, request))

        if endpoint.channel:
            caller.look(str(ChannelName(endpoint.channel, values.get("instrument", ""))), values.get("depth", 0), then, now)
        else:
            caller.ask(endpoint.kind, values, then, now)

    def _said(self, message: Any, request: Request) -> Answer:
        """The answer that says a message."""
        if isinstance(message, Error):
            return refused(message.code, message.message, order=message.order)
        headers = {"Cache-Control": "no-store" if "authorization" in request.headers else "no-cache"}
        if isinstance(message, Book):
            headers["ETag"] = tag = self._tag(message)
            if tag in [each.strip() for each in request.headers.get("if-none-match", "").split(",")]:
                return Answer(HTTPStatus.NOT_MODIFIED, b"", headers)
        return Answer(HTTPStatus.OK, JSON.encode(plain(message)), headers)

    def _tag(self, book: Book) -> str:
        """The name of a book's state: the sequence of its last change, or of the frame if it has changed since. The digest tells windows apart."""
        changed = self._venue.hub.changed_at(book.channel)
        return f'W/"{book.epoch}-{changed if changed <= book.seq else book.seq}-{book.digest:x}"'

    # Who asks

    def _caller(self, request: Request, now: int) -> Caller | Answer:
        """Who sends a request; an answer if that is nobody."""
        if self._leaving or not self._venue.begun:
            return refused(CloseCode.SHUTTING_DOWN, "the server answers nothing at the moment; come back later")
        authorization = request.headers.get("authorization", "")
        key = request.address, authorization
        caller = self._callers.get(key)
        if caller and caller.session.closed:
            self._dismiss(key, now)
            caller = None
        if caller is None:
            if len(self._callers) >= self._callers_max:
                self._venue.limits.hit["connections_max"] += 1
                return self.full
            claims = self._claims(authorization, request.address, now) if authorization else None
            if isinstance(claims, Answer):
                return claims
            caller = self._callers[key] = Caller(self._venue, claims, request.address, now)
        return caller

    def _claims(self, authorization: str, address: str, now: int) -> Claims | Answer:
        """The claims of the token in the header, if the address may still send one."""
        place = self._venue.limits.address(address, now)
        limit = self._venue.limits.sign_in(place, now, in_common=True)
        if limit:
            self._venue.limits.hit[limit] += 1
            return refused(ErrorCode.TOO_MANY_SIGN_INS, ErrorCode.TOO_MANY_SIGN_INS.text)
        scheme, _, token = authorization.partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise TokenRefused("Authorization: expected the word Bearer and a token")
            return self._venue.authenticator.verify(token.strip(), self._venue.wall_time(now) / 10**9)
        except TokenRefused as error:
            place.suspect = place.suspect or not error.retry
            return refused(ErrorCode.BAD_TOKEN, str(error))

    def _dismiss(self, key: tuple[str, str], now: int) -> None:
        caller = self._callers.pop(key)
        caller.session.close(CloseCode.SHUTTING_DOWN, "")
        caller.read(now)
        self._waiting.discard(caller)
        self._venue.disconnect(caller.session, now)

    # The port

    def open(self, path: str, query: str, socket: object, now: int, address: str) -> Answer:
        """There is no WebSocket here."""
        return self.bad_handshake

    def disconnect(self, connection: object) -> None:
        """A WebSocket is gone: there was none."""

    def tick(self, now: int) -> int:
        """Answer what has been carried out. Returns when the next tick is due, in ns."""
        for caller in list(self._waiting):
            caller.read(now)
            if not caller.waits:
                self._waiting.discard(caller)
        return NEVER

    def keep_house(self, now: int) -> None:
        """End the sessions of those who have not asked for a while."""
        for key, caller in list(self._callers.items()):
            if caller.session.closed or (not caller.waits and now - caller.used_at > self._kept):
                self._dismiss(key, now)

    def leave(self, now: int) -> None:
        """The server is leaving: nobody knows what becomes of what is under way."""
        self._leaving = True
        for key in list(self._callers):
            self._dismiss(key, now)


def page(path: str) -> Answer:
    """The description of the API, or a file of the page that tries it."""
    if path == "/openapi.json":
        return Answer(HTTPStatus.OK, text().encode(), dict(SECURITY_HEADERS))
    name = PAGES[path]
    body = (files("stream.rest") / "page" / name).read_bytes()
    return Answer(HTTPStatus.OK, body, dict(SECURITY_HEADERS), TYPES[name.rpartition(".")[2]].partition(";")[0])
