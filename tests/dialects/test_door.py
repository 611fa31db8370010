"""The way in to the dialect's port: strangers who stay and say nothing, or half of something, cost nobody else, and the market no descriptor."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from stream.dialects.binance.connection import Connection
from stream.dialects.face import start_dialects
from stream.server.http_port import HttpPort
from stream.server.market_server import MarketServer
from stream.wire.framing import head_of
from tests.server.test_descriptors import DESCRIPTORS, ask, hold, server_with
from tests.server.test_door import connect
from tests.sockets import RawClient, run, serving

PING = b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)


def face_of(server: MarketServer) -> HttpPort[Connection]:
    [face] = start_dialects({"binance": 0}, server)
    return face


async def status(client: RawClient, request: bytes) -> int:
    """The status of an answer; the connection goes on."""
    client.writer.write(request)
    head = await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), 10)
    length = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    if length:
        await client.reader.readexactly(int(length[0].split(b":")[1]))
    return int(head.split()[1])


@run
async def test_who_is_slow_gives_way_to_who_is_not() -> None:
    async with serving(handshakes_open_max=20, handshakes_open_per_address_max=20) as server:
        face = face_of(server)
        slow: list[RawClient] = []
        for beginning in (b"", b"P", b"GET /api/v3/ti", b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * 3000) * 8:
            slow.append(await connect(face.port, "127.0.0.9"))
            slow[-1].writer.write(beginning)
        assert await status(await connect(face.port, "127.0.0.9"), PING) == 200
        assert await status(await connect(face.port), UPGRADE) == 101
        for client in slow[:20]:
            await client.ended()
        assert face.door.places.taken <= 20


@run
async def test_who_does_not_go_on_is_cut_off() -> None:
    async with serving(handshake_timeout_s=1) as server:
        face = face_of(server)
        body = b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nsymbol="
        silent, half, slow_body, idle = [await connect(face.port) for _ in range(4)]
        half.writer.write(b"GET /api")
        slow_body.writer.write(body)
        assert await status(idle, PING) == 200
        idle.writer.write(b"GET /api")    # and no more, behind an answer
        websocket = await connect(face.port)
        assert await status(websocket, UPGRADE) == 101
        for client in (silent, half, slow_body, idle):
            await client.ended()
        assert server.market.limits.hit["handshake_timeout_s"] == 3
        assert face.door.connections == 1
        websocket.writer.write(head_of(0x88, 0, 0x80) + b"0000")
        while face.door.connections:
            await asyncio.sleep(0.01)
        assert not server.market.limits.address("127.0.0.1", server.clock.now()).connections


@run
async def test_who_does_not_read_an_answer_is_cut_off() -> None:
    async with serving(handshake_timeout_s=1, send_buffer_bytes=4096) as server:
        face = face_of(server)
        client = await connect(face.port)
        client.writer.transport.pause_reading()    # type: ignore[attr-defined]
        asks = b"GET /api/v3/exchangeInfo HTTP/1.1\r\nHost: x\r\n\r\n"
        client.writer.write(asks * 3000)
        while not server.market.limits.hit["handshake_timeout_s"]:
            await asyncio.sleep(0.05)
        while face.door.connections:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("limits", "expected"), [({"connections_per_address_max": 2}, 429), ({"connections_max": 2}, 503)])
def test_only_so_many_connections_may_stay(limits: dict[str, Any], expected: int) -> None:
    @run
    async def go() -> None:
        async with serving(**limits) as server:
            face = face_of(server)
            stay = [await connect(face.port) for _ in range(2)]
            assert [await status(client, PING) for client in stay] == [200, 200]
            assert [await status(client, PING) for client in stay] == [200, 200]
            late = await connect(face.port)
            assert await status(late, PING) == expected
            assert (await status(await connect(face.port, "127.0.0.2"), PING) == 200) == (expected == 429)
            stay[0].close()
            while face.door.connections + (expected == 429) > 2:
                await asyncio.sleep(0.01)
            assert await status(await connect(face.port), PING) == 200

    go()


@run
async def test_arrivals_are_charged_to_the_address() -> None:
    async with serving(arrivals_burst=3, arrivals_per_s=1) as server:
        face = face_of(server)
        assert [await status(await connect(face.port, "127.0.0.9"), PING) for _ in range(4)] == [200, 200, 200, 429]
        assert await status(await connect(face.port, "127.0.0.8"), PING) == 200


@run
async def test_behind_a_proxy_the_client_is_counted_and_not_the_proxy() -> None:
    def of(request: bytes, client: str) -> bytes:
        return request.replace(b"Host: x\r\n", b"Host: x\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: %b\r\n" % client.encode())

    async with serving(trusted_proxies=("127.0.0.1",), connections_per_address_max=2, arrivals_burst=8, arrivals_per_s=1) as server:
        face = face_of(server)
        stay = [await connect(face.port) for _ in range(3)]
        assert [await status(client, of(UPGRADE, "203.0.113.7")) for client in stay] == [101, 101, 429]
        assert await status(await connect(face.port), of(UPGRADE, "203.0.113.8")) == 101
        assert [await status(stay[2], of(PING, f"203.0.113.{number}")) for number in range(9, 29)] == [200] * 20    # one connection of many clients
        stay[0].close()
        while server.market.limits.address("203.0.113.7", server.clock.now()).connections > 1:
            await asyncio.sleep(0.01)
        assert await status(await connect(face.port), of(UPGRADE, "203.0.113.7")) == 101
        assert [await status(await connect(face.port), of(PING, "203.0.113.7")) for _ in range(6)] == [200] * 4 + [429] * 2
        assert await status(await connect(face.port), of(PING, "203.0.113.8")) == 200
        assert [await status(await connect(face.port), PING) for _ in range(20)] == [200] * 20    # the proxy's own
        untrusted = [await connect(face.port, "127.0.0.2") for _ in range(3)]
        assert [await status(client, of(PING, f"10.0.0.{number}")) for number, client in enumerate(untrusted)] == [200, 200, 429]


@run
async def test_what_is_no_request_is_refused_at_the_door() -> None:
    async with serving() as server:
        face = face_of(server)
        for request, expected in (
            (b"nonsense\r\n\r\n", 400), (b"GET /api/v3/ping HTTP/1.1\nHost: x\n\n", 400), (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20000, 431),
            (b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n", 400), (b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ):
            assert await status(await connect(face.port), request) == expected


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system has no /proc")
def test_strangers_take_no_descriptor_that_the_market_needs(tmp_path: Path) -> None:
    with server_with(DESCRIPTORS, tmp_path, "page|binance", "--dialect", "binance=0") as (server, port, dialect_port):
        segments = {path.name for path in (tmp_path / "journal").iterdir()}
        for round in range(4):
            held = hold(dialect_port, "127.0.0.9", DESCRIPTORS, b"GET /api" if round % 2 else b"")
            for stranger in range(10, 40):
                held += hold(dialect_port, f"127.0.0.{stranger}", 5, UPGRADE if round % 2 else PING, 12)
            assert len(os.listdir(f"/proc/{server.pid}/fd")) < DESCRIPTORS - 16
            assert b" 200 " in ask(port, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n", "127.0.0.2")
            assert b" 503 " in ask(dialect_port, PING.decode(), "127.0.0.3")
            while held:
                held.pop().close()
            deadline = time.monotonic() + 20
            while b" 200 " not in ask(dialect_port, PING.decode(), "127.0.0.3"):
                assert time.monotonic() < deadline
        deadline = time.monotonic() + 60
        while not {path.name for path in (tmp_path / "journal").iterdir()} - segments:    # which needs a descriptor
            assert time.monotonic() < deadline
            time.sleep(0.05)
        server.terminate()
        assert server.wait(20) == 0
    log = (tmp_path / "log").read_text()
    assert "ERROR" not in log
    assert "Traceback" not in log
