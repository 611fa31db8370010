"""The way in, over real sockets: who is counted as whom, what refusals cost whom, and what is answered to which request."""

import asyncio
import re
import socket
from typing import Any

import pytest

from stream.access.revocations import Revocation
from stream.server import reception
from stream.server.door import CHUNK
from stream.server.http_request import HEAD_BYTES_MAX
from stream.server.market_server import MarketServer
from stream.wire.codes import CloseCode
from stream.wire.messages import Welcome
from tests.setting import token
from tests.sockets import RawClient, run, serving
from tests.waiting import until

HANDSHAKE = (
    "GET /v1 HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
)


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 address of its own."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


async def connect(port: int, source: str = "127.0.0.1", host: str = "127.0.0.1") -> RawClient:
    """A TCP connection from an address of this machine."""
    return RawClient(*await asyncio.open_connection(host, port, local_addr=(source, 0)))


async def status(port: int, request: str | bytes, source: str = "127.0.0.1", host: str = "127.0.0.1") -> int:
    """The status of the one answer to a request, after which the connection ends; 101 if it goes on."""
    client = await connect(port, source, host)
    client.writer.write(request if isinstance(request, bytes) else request.encode("latin-1"))
    head = await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), 10)
    found = int(head.split()[1])
    if found != 101:
        body = await asyncio.wait_for(client.reader.read(), 10)
        assert not re.search(rb"HTTP/1\.1 \d", body)
        assert b"Traceback" not in body
        client.close()
    return found


def handshake(*headers: str, host: str = "localhost") -> str:
    return HANDSHAKE.format(host=host, headers="".join(f"{header}\r\n" for header in headers))


def bearer(text: str) -> str:
    return f"Authorization: Bearer {text}"


def addresses(server: MarketServer) -> set[str]:
    return {session.address for session in server.market.sessions}


# Who is counted as whom


@run
async def test_a_proxy_is_believed_its_last_line_only() -> None:
    async with serving(trusted_proxies=("127.0.0.1",), connections_per_address_max=3) as server:
        spoofed = [f"X-Forwarded-For: 10.0.0.{number}" for number in range(6)]
        clients = []
        for line in spoofed:
            clients.append(await connect(server.port))
            clients[-1].writer.write(handshake(line, "X-Forwarded-For: 203.0.113.7").encode())
            await clients[-1].reader.readuntil(b"\r\n\r\n")
        assert isinstance(await clients[2].message(), Welcome)
        assert addresses(server) == {"203.0.113.7"}
        assert [await client.close_code() for client in clients[3:]] == [CloseCode.TOO_MANY_CONNECTIONS] * 3
        assert await status(server.port, handshake("X-Forwarded-For: 10.0.0.1", "X-Forwarded-For: 203.0.113.8")) == 101
    async with serving(trusted_proxies=("127.0.0.1",)) as server:
        for number, (line, found) in enumerate([
            ("Forwarded: for=1.1.1.1, for=203.0.113.7", "203.0.113.7"), ('Forwarded: for="[2001:db8::7]:4711"', "2001:db8::7"),
            ("X-Forwarded-For: <junk>" + "z" * 3000, "127.0.0.1"), ("Forwarded: for=unknown", "127.0.0.1"), ("Forwarded: for=_hidden", "127.0.0.1"),
            ("X-Forwarded-For: ::ffff:203.0.113.7", "203.0.113.7"), ("X-Forwarded-For: 203.0.113.7:4711", "203.0.113.7"),
        ]):
            assert await status(server.port, handshake(line)) == 101
            assert max(server.market.sessions, key=lambda session: session.number).address == found, number
        assert await status(server.port, handshake("X-Forwarded-For: 9.9.9.9"), "127.0.0.2") == 101
        assert "9.9.9.9" not in addresses(server)


@needs_ipv6
@run
async def test_over_ipv6_every_form_of_an_address_is_one_client() -> None:
    async with serving(host="::", connections_per_address_max=2) as server:
        clients = []
        for _ in range(3):
            clients.append(await connect(server.port))    # the socket calls it ::ffff:127.0.0.1
            clients[-1].writer.write(handshake().encode())
            await clients[-1].reader.readuntil(b"\r\n\r\n")
        assert isinstance(await clients[1].message(), Welcome)
        assert addresses(server) == {"127.0.0.1"}
        assert await clients[2].close_code() == CloseCode.TOO_MANY_CONNECTIONS
        assert await status(server.port, handshake(), "::1", "::1") == 101
        assert addresses(server) >= {"127.0.0.1", "::1"}
    async with serving(host="::1", trusted_proxies=("::1",)) as server:
        assert await status(server.port, handshake("X-Forwarded-For: 10.0.0.1", "X-Forwarded-For: 2001:DB8::0007"), "::1", "::1") == 101
        assert addresses(server) == {"2001:db8::7"}


# Refusals are charged to who causes them


@run
async def test_bad_tokens_of_one_address_cost_no_other() -> None:
    async with serving(sign_ins_burst=5, sign_ins_per_s=1, header_sign_ins_burst=8, header_sign_ins_per_s=1) as server:
        good = handshake(bearer(token("alice", server.clock.now())))
        bad = [await status(server.port, handshake(bearer("nonsense")), "127.0.0.9") for _ in range(20)]
        assert bad == [401] * 5 + [429] * 15
        # from many addresses: what all have in common is used up
        others = [await status(server.port, handshake(bearer("nonsense")), f"127.0.1.{number}") for number in range(8) for _ in range(2)]
        assert others.count(503) >= 3
        # and whoever has shown no bad token gets in all the same, at an address of good ones as often as that may
        assert [await status(server.port, good, "127.0.0.2") for _ in range(5)] == [101] * 5
        assert await status(server.port, good, "127.0.0.3") == 101
        assert await status(server.port, handshake(bearer(token("bob", server.clock.now()))), "127.0.0.9") == 429
        # nor who was here before, even at the address of the bad ones
        assert [await status(server.port, good, "127.0.0.9") for _ in range(10)] == [101] * 10


def test_only_so_many_good_tokens_are_known_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reception, "KNOWN_MAX", 2)

    @run
    async def go() -> None:
        async with serving(sign_ins_burst=3, sign_ins_per_s=1) as server:
            tokens = [handshake(bearer(token(subject, server.clock.now()))) for subject in ("alice", "bob", "carol")]
            assert [await status(server.port, each) for each in tokens] == [101] * 3
            assert [await status(server.port, each) for each in tokens] == [429, 101, 101]
            server.market.authenticator.revocations.revoke(Revocation(server.clock.now() / 10**9, "", "bob"))
            assert [await status(server.port, tokens[1]) for _ in range(2)] == [401, 429]    # and what is not good any more is not

    go()


@run
async def test_behind_a_proxy_too_they_cost_no_other() -> None:
    async with serving(trusted_proxies=("127.0.0.1",), sign_ins_burst=5, sign_ins_per_s=1, header_sign_ins_burst=8, header_sign_ins_per_s=1) as server:
        good = bearer(token("alice", server.clock.now()))
        for number in range(30):
            assert await status(server.port, handshake(bearer("a"), f"X-Forwarded-For: 10.0.0.{number}", "X-Forwarded-For: 203.0.113.7")) in (401, 429, 503)
        assert [await status(server.port, handshake(good, f"X-Forwarded-For: 203.0.113.{number}")) for number in range(8, 18)] == [101] * 10
        other = bearer(token("bob", server.clock.now()))
        assert await status(server.port, handshake(other, "X-Forwarded-For: 203.0.113.7")) == 429


@run
async def test_refused_handshakes_and_pages_are_charged_to_the_address() -> None:
    async with serving(arrivals_burst=12, arrivals_per_s=1, trusted_proxies=("127.0.0.1",)) as server:
        metrics = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
        refused = ["GET /v1 HTTP/1.1\r\nHost: x\r\n\r\n", "nonsense\r\n\r\n", handshake("Origin: https://evil.example"), metrics]
        statuses = [await status(server.port, refused[number % 4], "127.0.0.9") for number in range(16)]
        assert statuses[:12] == [426, 400, 403, 200] * 3
        assert statuses[12:] == [429] * 4
        assert await status(server.port, handshake(), "127.0.0.8") == 101
        page = "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.{}\r\n\r\n"
        assert [await status(server.port, page.format(7)) for _ in range(14)] == [200] * 12 + [429] * 2
        assert await status(server.port, page.format(8)) == 200
        checks = [await status(server.port, "GET /ready HTTP/1.0\r\n\r\n") for _ in range(30)]    # the proxy's own, of whether we are well
        assert checks == [200] * 30


# Who says nothing, or reads nothing


@run
async def test_who_is_slow_gives_way_to_who_is_not() -> None:
    async with serving(handshakes_open_max=20, handshakes_open_per_address_max=20) as server:
        slow: list[RawClient] = []
        for beginning in (b"", b"G", b"GET /v1 HT", b"GET /v1 HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 3000) * 8:
            slow.append(await connect(server.port, "127.0.0.9"))
            slow[-1].writer.write(beginning)
        assert await status(server.port, handshake(), "127.0.0.9") == 101
        assert await status(server.port, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n") == 200
        for client in slow[:20]:
            await client.ended()
        [door] = server.doors
        assert door.places.taken <= 20


@run
async def test_who_does_not_read_a_page_is_cut_off() -> None:
    async with serving(handshake_timeout_s=1) as server:
        [door] = server.doors
        clients = []
        for request in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /v1 HT") * 5:
            clients.append(await connect(server.port))
            clients[-1].writer.write(request)
        await until(lambda: server.market.limits.hit["handshake_timeout_s"] >= 15)    # where it is slow, the first is gone when the last comes
        await until(lambda: not door.places.taken)
        assert server.market.limits.hit["handshake_timeout_s"] == 15


@run
async def test_no_visitor_is_kept_more_than_a_head_of() -> None:
    async with serving() as server:
        [door] = server.doors
        client = await connect(server.port)
        client.writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * (HEAD_BYTES_MAX - 100))
        await until(lambda: [len(visitor.received) >= HEAD_BYTES_MAX - 100 for visitor in door.places.all()] == [True])
        client.writer.write(b"x" * 1000)
        assert b" 431 " in await client.reader.readline()
        await client.reader.readuntil(b"\r\n\r\n")
        for _ in range(20):    # which nobody asked for
            client.writer.write(b"x" * CHUNK)
        await client.ended()
        assert not door.places.taken


@run
async def test_who_is_sent_away_keeps_no_place() -> None:
    async with serving(connections_max=3, connections_for_admins=1, connections_per_address_max=1, close_timeout_s=60) as server:
        for _ in range(12):    # all but the first are one too many, and do not answer the goodbye
            assert await status(server.port, handshake(), "127.0.0.9") == 101
        assert await status(server.port, handshake(), "127.0.0.2") == 101
        assert await status(server.port, handshake(), "127.0.0.3") == 101
        assert await status(server.port, handshake(), "127.0.0.4") == 503
        assert len(server.connections) <= 5    # as many as there are descriptors for, and the one that is being cut off


# Administrators


@run
async def test_administrators_get_in_when_nobody_else_does() -> None:
    limits: dict[str, Any] = {"connections_max": 3, "connections_for_admins": 2, "connections_per_address_max": 3, "handshakes_burst": 3, "handshakes_per_s": 1}
    async with serving(**limits) as server:
        admin = handshake(bearer(token("root", server.clock.now(), "admin")))
        assert [await status(server.port, handshake()) for _ in range(5)] == [101] * 3 + [503] * 2
        assert await status(server.port, handshake(bearer(token("alice", server.clock.now())))) == 503
        for _ in range(2):
            client = await connect(server.port)
            client.writer.write(admin.encode())
            assert b" 101 " in await client.reader.readuntil(b"\r\n\r\n")
            assert isinstance(await client.message(), Welcome)
        assert await status(server.port, admin) == 503


@run
async def test_administrators_have_a_port_whose_limits_are_their_own() -> None:
    limits: dict[str, Any] = {"arrivals_burst": 8, "arrivals_per_s": 1, "sign_ins_burst": 4, "sign_ins_per_s": 1}
    async with serving(admin_port=0, connections_max=1, header_sign_ins_burst=1, header_sign_ins_per_s=1, **limits) as server:
        assert server.admin_port
        admin = handshake(bearer(token("root", server.clock.now(), "admin")))
        bad = handshake(bearer("nonsense"))
        assert [await status(server.port, bad) for _ in range(10)] == [401, 503, 503, 503, 429, 429, 429, 429, 429, 429]
        assert await status(server.admin_port, admin) == 101
        assert await status(server.admin_port, handshake()) == 101
        metrics = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
        assert await status(server.admin_port, metrics) == 200
        assert await status(server.port, metrics, "127.0.0.2") == 404
        assert await status(server.admin_port, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n") == 200
        assert server.market.limits.hit["arrivals_per_s"] == 2


# What is answered


SMUGGLED = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


@run
async def test_requests_over_a_socket() -> None:
    async with serving() as server:
        for request, expected in (
            ("GET /health HTTP/1.1\r\n\r\n", 400), ("GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET http://x/health HTTP/1.1\r\nHost: x\r\n\r\n", 200), ("OPTIONS / HTTP/1.0\r\n\r\n", 204), ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 204),
            ("HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n", 200), ("GET /health HTTP/1.0\r\n\r\n", 200), ("GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
            ("GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n", 400), ("POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405),
            ("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404), ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
            # one request is one answer, whatever lengths are claimed
            (f"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: {len(SMUGGLED)}\r\n\r\n{SMUGGLED}", 400),
            (f"GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}", 400),
            (f"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}", 400),
            (f"GET /health HTTP/1.1\r\nHost: x\r\n\r\n{SMUGGLED}", 200), (f"HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n{SMUGGLED}", 200),
            (f"GET /health HTTP/1.1\r\nHost: x\r\nX: y\nContent-Length: 5\r\n\r\n{SMUGGLED}", 400),
            (handshake("Content-Length: 5") + "hello", 400), (handshake("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="), 400),
            (handshake().replace("Version: 13", "Version: 8"), 426), (handshake().replace("Sec-WebSocket-Version: 13\r\n", ""), 400),
            (handshake().replace("HTTP/1.1", "HTTP/1.0"), 426), (handshake().replace("GET", "HEAD"), 400), (handshake(), 101),
            (handshake().replace("GET /v1", "GET ws://localhost/v1"), 101),
            ("GET /v1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n", 426),
        ):
            assert await status(server.port, request) == expected, request


@run
async def test_what_is_said_of_the_version_and_methods() -> None:
    async with serving() as server:
        for request, expected in (
            (handshake().replace("Version: 13", "Version: 8"), b"Sec-WebSocket-Version: 13"), ("OPTIONS / HTTP/1.0\r\n\r\n", b"Allow: GET, HEAD, OPTIONS"),
            ("PUT / HTTP/1.1\r\nHost: x\r\n\r\n", b"Allow: GET, HEAD, OPTIONS"), ("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", b"Content-Type: text/html"),
        ):
            client = await connect(server.port)
            client.writer.write(request.encode())
            head, _, body = (await asyncio.wait_for(client.reader.read(), 10)).partition(b"\r\n\r\n")
            assert expected in head
            assert body == b"" or not request.startswith("HEAD")


@pytest.mark.parametrize(("origin", "host", "expected"), [
    ("http://localhost:{port}", "localhost:{port}", 101), ("http://127.0.0.1:{port}", "127.0.0.1:{port}", 101),
    ("http://evil.example:{port}", "evil.example:{port}", 403), ("http://evil.example", "localhost:{port}", 403), ("null", "localhost:{port}", 403),
    ("http://evil.example:{port}", "127.0.0.1:{port}", 403), ("http://localhost:1", "localhost:{port}", 403), ("", "localhost:{port}", 403),
])
def test_a_page_of_another_origin_stays_out_whatever_host_it_sends(origin: str, host: str, expected: int) -> None:
    async def ask() -> None:
        async with serving() as server:
            sent = handshake(f"Origin: {origin.format(port=server.port)}", host=host.format(port=server.port))
            assert await status(server.port, sent) == expected
            absolute = sent.replace("GET /v1", f"GET http://{host.format(port=server.port)}/v1").replace("Host: ", "Host: evil.")
            assert await status(server.port, absolute) == expected    # the URL's host counts

    run(ask)()


@run
async def test_two_origins_are_none() -> None:
    async with serving() as server:
        assert await status(server.port, handshake("Origin: http://localhost", "Origin: http://evil.example")) == 400
        assert await status(server.port, handshake("Origin: http://localhost http://evil.example")) == 403


