"""Reads the head of an HTTP request by RFC 9112: what it asks for, or what is wrong with it. h11 parses it; what h11 leaves to servers is decided here."""

import posixpath
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

import h11

HEAD_BYTES_MAX = 16 * 1024
HEADERS_MAX = 100

METHODS = ("GET", "HEAD", "OPTIONS")

AMBIGUOUS = re.compile(rb"(?<!\r)\n|\r[^\n]|\r\n[ \t]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Input that proxies and servers read in different ways, and that is therefore refused: other line ends, folded lines, and control characters."""

AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[\w.~!$&'()*+,;=-]*)(?::(\d{0,5}))?", re.ASCII | re.IGNORECASE)


class BadRequest(Exception):
    """A request that is refused, with the status to answer."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class Request(NamedTuple):
    """The head of a request. `path` is decoded, without the query and without dot segments; `host` as it was sent; names of headers are in lower case."""

    method: str
    path: str
    host: str
    headers: list[tuple[str, str]]
    version: str = "1.1"

    def all(self, name: str) -> list[str]:
        """The values of a header, line by line."""
        return [value for other, value in self.headers if other == name]

    def one(self, name: str) -> str:
        """The value of a header that may be there only once, "" if it is missing. Raises BadRequest if it is there twice."""
        values = self.all(name)
        if len(values) > 1:
            raise BadRequest(HTTPStatus.BAD_REQUEST, f"{name}: expected this header once, but it is there {len(values)} times")
        return values[0] if values else ""

    def options(self, name: str) -> list[str]:
        """The members of a header that is a list, in lower case."""
        return [option.strip().lower() for value in self.all(name) for option in value.split(",")]


def head_end(data: bytes | bytearray) -> int:
    """Where the head at the start of these bytes ends, 0 if it is not complete. Raises BadRequest as soon as it cannot be a head."""
    end = data.find(b"\r\n\r\n") + 4
    head = data[:end] if end > 3 else data
    if not 0x21 <= head[0] <= 0x7E or AMBIGUOUS.search(head):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "expected an HTTP/1.1 request in which each line ends in CR LF")
    if len(head) > HEAD_BYTES_MAX:
        raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"expected a head of at most {HEAD_BYTES_MAX:,} bytes")
    return end if end > 3 else 0


def read_request(head: bytes) -> Request:
    """The request in a whole head, for a server that only shows something. Raises BadRequest, with the status to answer."""
    request = read_head(head, METHODS)
    if request.all("transfer-encoding") or request.one("content-length") not in ("", "0"):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "expected a request without a body")
    return request


def read_head(head: bytes, methods: Sequence[str]) -> Request:
    """A request in a whole head, which a body may follow. Raises BadRequest, with the status to answer."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
    connection.receive_data(head)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise BadRequest(HTTPStatus(error.error_status_hint), str(error).partition(":")[0]) from error
    assert isinstance(event, h11.Request)
    method, version = event.method.decode(), event.http_version.decode()
    headers = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
    if version not in ("1.0", "1.1"):
        raise BadRequest(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, f"HTTP/{version}: expected HTTP/1.1")
    if len(headers) > HEADERS_MAX:
        raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"{len(headers)} headers: expected at most {HEADERS_MAX}")
    if method not in methods:
        raise BadRequest(HTTPStatus.METHOD_NOT_ALLOWED, f"expected {', '.join(methods)}")
    path, host = read_target(event.target.decode(), method)
    request = Request(method, path, host, headers, version)
    sent_host = request.one("host")
    if not AUTHORITY.fullmatch(sent_host):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "Host: expected a name or an address, with or without a port")
    if request.one("expect").lower() not in ("", "100-continue"):
        raise BadRequest(HTTPStatus.EXPECTATION_FAILED, "Expect: expected only 100-continue")
    return request if host else request._replace(host=sent_host)


def read_target(target: str, method: str) -> tuple[str, str]:
    """The path, and the host if the target has one: it then counts instead of the header's. BadRequest if it is neither a path nor a URL."""
    host = ""
    if target == "*" and method == "OPTIONS":
        return "*", host
    if not target.startswith("/"):
        try:
            url = urlsplit(target)
        except ValueError:
            url = urlsplit("")
        host = url.netloc
        if url.scheme not in ("http", "https", "ws", "wss") or not host or not AUTHORITY.fullmatch(host):
            raise BadRequest(HTTPStatus.BAD_REQUEST, "expected a path, or a URL of this server")
        target = url.path or "/"
    path = target.partition("?")[0]
    if "#" in target or re.search("%(?![0-9a-fA-F]{2})", path):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "expected a path in which % is followed by two hexadecimal digits")
    try:
        decoded = unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        raise BadRequest(HTTPStatus.BAD_REQUEST, "expected a path in UTF-8") from None
    if not decoded.isprintable():
        raise BadRequest(HTTPStatus.BAD_REQUEST, "expected a path without control characters")
    return posixpath.normpath(decoded), host


def split_host(host: str) -> tuple[str, str]:
    """A host's name in lower case, without brackets and a last dot, and its port, "" for none."""
    found = AUTHORITY.fullmatch(host)
    return (found[1].lower().strip("[]").removesuffix("."), found[2] or "") if found else ("", "")
