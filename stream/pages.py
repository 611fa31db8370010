"""What a server answers to plain HTTP requests on its port."""

from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import NamedTuple

from stream.metrics import exposition
from stream.venue import Venue

TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


class Page(NamedTuple):
    """An answer."""

    status: HTTPStatus
    type: str
    body: bytes


@cache
def static() -> dict[str, Page]:
    """The files of the ladder page, by path."""
    found = {}
    for file in files("stream.web").iterdir():
        type = TYPES.get(file.name.rpartition(".")[2])
        if type:
            found["/" if file.name == "index.html" else f"/{file.name}"] = Page(HTTPStatus.OK, type, file.read_bytes())
    return found


def text(status: HTTPStatus, body: str) -> Page:
    """An answer in plain text."""
    return Page(status, "text/plain; charset=utf-8", body.encode())


def page(path: str, venue: Venue, leaving: bool) -> Page:
    """The answer to a GET of `path`."""
    match path.partition("?")[0]:
        case "/health" | "/ready" if venue.failure:
            return text(HTTPStatus.SERVICE_UNAVAILABLE, f"{venue.failure}\n")
        case "/health":
            return text(HTTPStatus.OK, "ok\n")
        case "/ready":
            trouble = "leaving" if leaving else "stale" if venue.stale_since else ""
            return text(HTTPStatus.SERVICE_UNAVAILABLE if trouble else HTTPStatus.OK, f"{trouble or 'ready'}\n")
        case "/metrics":
            return Page(HTTPStatus.OK, "text/plain; version=0.0.4; charset=utf-8", exposition(venue))
        case other:
            return static().get(other) or text(HTTPStatus.NOT_FOUND, "there is nothing here; the WebSocket endpoint is /v1\n")
