"""The head of a request, form by form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.server.http_request import HEAD_BYTES_MAX, BadRequest, Request, head_end, read_request, split_host
from stream.server.origins import Origins

HOST = "Host: x\r\n"


def read(data: bytes | str) -> Request | int:
    """The request, or the status that it is answered with."""
    data = data.encode("latin-1") if isinstance(data, str) else data
    try:
        end = head_end(data)
        assert end
        return read_request(data[:end])
    except BadRequest as bad:
        return int(bad.status)


@pytest.mark.parametrize(("line", "path"), [
    ("GET /health HTTP/1.1", "/health"), ("GET /health?a=%zz#", None), ("GET http://x/health HTTP/1.1", "/health"), ("GET http://x HTTP/1.1", "/"),
    ("GET HTTP://x:80/health?q HTTP/1.1", "/health"), ("OPTIONS * HTTP/1.1", "*"), ("GET * HTTP/1.1", None), ("GET x HTTP/1.1", None),
    ("GET ftp://x/ HTTP/1.1", None), ("GET http:///health HTTP/1.1", None), ("GET http://[::1/ HTTP/1.1", None), ("GET http://a b/ HTTP/1.1", None),
    ("GET http://user@x/ HTTP/1.1", None),
    ("GET /%68ealth HTTP/1.1", "/health"), ("GET /%zz HTTP/1.1", None), ("GET /% HTTP/1.1", None), ("GET /%ff HTTP/1.1", None), ("GET /\xff HTTP/1.1", None),
    ("GET /%c3%bc HTTP/1.1", "/ü"), ("GET /%00 HTTP/1.1", None), ("GET /a%0d%0aX:%20y HTTP/1.1", None), ("GET /#a HTTP/1.1", None),
    ("GET /./page/../health HTTP/1.1", "/health"), ("GET /%2e%2e/%2E%2e/health HTTP/1.1", "/health"), ("GET /../../etc/passwd HTTP/1.1", "/etc/passwd"),
    ("GET  / HTTP/1.1", None), ("GET / HTTP/1.1 ", None), ("GET /", None), ("GET / HTTP/11", None), ("GET\t/ HTTP/1.1", None), ("/ HTTP/1.1", None),
])
def test_targets(line: str, path: str | None) -> None:
    found = read(f"{line}\r\n{HOST}\r\n")
    assert (found.path if isinstance(found, Request) else None) == path
    assert path is not None or found == 400


@pytest.mark.parametrize(("data", "status"), [
    ("GET / HTTP/1.1\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400),
    ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", 405),
    ("get / HTTP/1.1\r\nHost: x\r\n\r\n", 405), ("CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    ("TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405), ("PRI * HTTP/2.0\r\n\r\n", 505),
    ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505), ("GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505),
    (f"GET / HTTP/1.1\r\n{HOST}Content-Length: 5\r\n\r\n", 400), (f"GET / HTTP/1.1\r\n{HOST}Content-Length: -1\r\n\r\n", 400),
    (f"GET / HTTP/1.1\r\n{HOST}Content-Length: 0\r\nContent-Length: 1\r\n\r\n", 400), (f"GET / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n", 400),
    (f"GET / HTTP/1.1\r\n{HOST}Transfer-Encoding: gzip\r\n\r\n", 501),
    (f"GET / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n", 400),
    (f"GET / HTTP/1.1\r\n{HOST}Expect: 200-ok\r\n\r\n", 417), (f"GET / HTTP/1.1\r\n{HOST}X : y\r\n\r\n", 400), (f"GET / HTTP/1.1\r\n{HOST}X y\r\n\r\n", 400),
    (f"GET / HTTP/1.1\r\n{HOST}X: a\r\n b\r\n\r\n", 400), (f"GET / HTTP/1.1\r\n X: y\r\n{HOST}\r\n", 400), ("GET / HTTP/1.1\nHost: x\n\n", 400),
    (f"GET / HTTP/1.1\r\n{HOST}X: a\nY: b\r\n\r\n", 400),
    (f"GET / HTTP/1.1\r\n{HOST}X: a\rb\r\n\r\n", 400), (f"GET / HTTP/1.1\r\n{HOST}X: a\x00b\r\n\r\n", 400),
    (f"GET / HTTP/1.1\r\n{HOST}X: a\x01b\r\n\r\n", 400), (f"GET / HTTP/1.1\r\n{HOST}: y\r\n\r\n", 400), ("\x16\x03\x01\x02\x00\x01\x00", 400), ("\x00", 400),
    (f"GET / HTTP/1.1\r\n{HOST}" + "X: y\r\n" * 100 + "\r\n", 431), ("GET /" + "x" * HEAD_BYTES_MAX, 431),
    (f"GET / HTTP/1.1\r\n{HOST}X: " + "y" * HEAD_BYTES_MAX + "\r\n\r\n", 431),
])
def test_what_is_refused(data: str, status: int) -> None:
    assert read(data) == status


@pytest.mark.parametrize("data", [
    "GET / HTTP/1.0\r\n\r\n", "OPTIONS / HTTP/1.0\r\n\r\n", "HEAD / HTTP/1.1\r\nHost:\r\n\r\n", f"GET / HTTP/1.1\r\n{HOST}Content-Length: 0\r\n\r\n",
    f"GET / HTTP/1.1\r\n{HOST}Expect: 100-Continue\r\n\r\n", f"GET / HTTP/1.1\r\n{HOST}" + "X: y\r\n" * 99 + "\r\n", f"GET / HTTP/1.1\r\n{HOST}X: \xff\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", f"GET / HTTP/1.1\r\n{HOST}\r\nwhat comes behind\n\x00is not looked at",
])
def test_what_is_taken(data: str) -> None:
    assert isinstance(read(data), Request)


def test_the_target_names_the_host() -> None:
    found = read("GET http://good:81/ HTTP/1.1\r\nHost: evil\r\n\r\n")
    assert isinstance(found, Request)
    assert found.host == "good:81"


@given(st.binary(min_size=1, max_size=400))
def test_whatever_comes_is_read_or_refused(noise: bytes) -> None:
    assert isinstance(read(noise + b"\r\n\r\n"), Request | int)
    assert isinstance(read(b"GET / HTTP/1.1\r\nHost: x\r\n" + noise + b"\r\n\r\n"), Request | int)


@given(st.integers(1, 60))
def test_a_head_in_pieces_is_the_same(cut: int) -> None:
    data = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: y\r\n\r\n"
    assert head_end(data) == len(data)
    assert head_end(data[: min(cut, len(data) - 1)]) == 0


@pytest.mark.parametrize(("origin", "host", "allowed"), [
    ("http://localhost:8080", "localhost:8080", True), ("http://LOCALHOST:8080", "localhost:8080", True), ("http://localhost", "localhost:80", True),
    ("https://localhost", "localhost:443", True), ("https://localhost", "localhost", True), ("http://127.0.0.1:8080", "127.0.0.1:8080", True),
    ("http://[::1]:8080", "[::1]:8080", True), ("http://a.localhost", "a.localhost", True), ("http://192.168.1.5", "192.168.1.5", True),
    ("http://machine:8080", "Machine:8080", True), ("http://localhost.", "localhost", True),
    ("https://good.example", "anything", True), ("https://GOOD.example", "good.example", True),
    # rebound: the page's name leads here, and its request names it
    ("http://evil.example:8080", "evil.example:8080", False), ("http://localhost.evil.example", "localhost.evil.example", False),
    ("http://evil.example", "localhost", False), ("http://evil.example:8080", "127.0.0.1:8080", False), ("http://127.0.0.1.nip.io", "127.0.0.1.nip.io", False),
    # another port, scheme or host is another origin
    ("http://localhost:8081", "localhost:8080", False), ("http://localhost", "localhost:8080", False), ("http://127.0.0.1", "localhost", False),
    ("ftp://localhost", "localhost", False), ("http://good.example", "good.example", False),
    ("null", "localhost", False), ("", "", False), ("localhost", "localhost", False), ("http://", "", False), ("http://[", "[", False),
    ("http://localhost/", "localhost", False), ("http://user@localhost", "localhost", False), ("http://localhost http://evil", "localhost", False),
])
def test_origins(origin: str, host: str, allowed: bool) -> None:
    assert Origins(["https://good.example"], ["machine"]).let_in(origin, host) is allowed


def test_any_origin_may_be_allowed() -> None:
    assert Origins(["*"], []).let_in("null", "")


def test_hosts() -> None:
    assert split_host("Example.ORG.:80") == ("example.org", "80")
    assert split_host("[::1]") == ("::1", "")
    assert split_host("a b") == ("", "")
