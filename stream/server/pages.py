"""What a server answers to plain HTTP requests on its port."""

from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

from stream.venue.venue import Venue

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
    """An answer. `tag` names its content, for browsers that have it already."""

    status: HTTPStatus
    type: str
    body: bytes
    tag: str = ""


def walk(folder: Traversable, path: str = "/") -> Iterator[tuple[str, Traversable]]:
    """All files in a folder, and in those within it."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from walk(entry, f"{path}{entry.name}/")
        else:
            yield path + entry.name, entry


@cache
def static() -> dict[str, Page]:
    """The files of the page, by path."""
    found = {}
    for path, file in walk(files("stream.web")):
        type = TYPES.get(path.rpartition(".")[2])
        if type:
            body = file.read_bytes()
            found[path.removesuffix("index.html")] = Page(HTTPStatus.OK, type, body, f'"{sha256(body).hexdigest()[:16]}"')
    return found


def text(status: HTTPStatus, body: str) -> Page:
    """An answer in plain text."""
    return Page(status, "text/plain; charset=utf-8", body.encode())


def page(path: str, venue: Venue, leaving: bool, known: str = "") -> Page:
    """The answer to a GET of `path`. `leaving` says whether the server shuts down, `known` is the header If-None-Match: what is named there is not sent."""
    match path:
        case "/health" | "/ready" if venue.failure:
            return text(HTTPStatus.SERVICE_UNAVAILABLE, f"{venue.failure}\n")
        case "/health":
            return text(HTTPStatus.OK, "ok\n")
        case "/ready":
            trouble = "leaving" if leaving else "stale" if venue.stale_since else ""
            return text(HTTPStatus.SERVICE_UNAVAILABLE if trouble else HTTPStatus.OK, f"{trouble or 'ready'}\n")
        case other:
            found = static().get(other) or text(HTTPStatus.NOT_FOUND, "there is nothing here; the WebSocket endpoint is /v1\n")
            return found._replace(status=HTTPStatus.NOT_MODIFIED, body=b"") if found.tag and found.tag in known else found
