"""The dialect on a port: HTTP and WebSocket of real sockets, on the loop of the server beside it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from stream.dialects.binance.connection import Connection
from stream.dialects.face import start_dialects
from stream.server.http_port import HttpPort
from stream.settings.config import ConfigError, read_config
from stream.sources.simulated import SimulatedSource
from tests.setting import CONFIG
from tests.sockets import relaying, run, serving


@asynccontextmanager
async def face_of(**changes: Any) -> AsyncIterator[tuple[HttpPort[Connection], aiohttp.ClientSession, str]]:
    """A simulated market on a free port, and a client of it."""
    async with serving(CONFIG, [SimulatedSource(1, 200)], **changes) as server:
        [face] = start_dialects({"binance": 0}, server)
        async with aiohttp.ClientSession() as client:
            yield face, client, f"http://127.0.0.1:{face.port}"


@run
async def test_requests_and_their_headers() -> None:
    async with face_of() as (_, client, url):
        async with client.get(f"{url}/api/v3/depth", params={"symbol": "ETHUSDT", "limit": 5}) as answer:
            assert (answer.status, answer.headers["X-MBX-USED-WEIGHT-1M"], answer.content_type) == (200, "5", "application/json")
            assert (await answer.json()).keys() == {"lastUpdateId", "bids", "asks"}
        refused = ("GET", "/api/v3/depth", 400), ("DELETE", "/api/v3/nothing", 404), ("PUT", "/", 404), ("GET", "/api/v3/depth?symbol=%FF", 400)
        for method, path, status in refused:
            async with client.request(method, url + path) as answer:
                assert answer.status == status
                assert (await answer.json()).keys() == {"code", "msg"}


@run
async def test_streams_come_over_a_websocket() -> None:
    async with face_of() as (_, client, url), client.ws_connect(f"{url}/stream?streams=ethusdt@depth@100ms") as websocket:
        await websocket.send_json({"method": "SUBSCRIBE", "params": ["ethusdt@bookTicker"], "id": 7})
        told, answers = [], []
        while {each["stream"] for each in told} != {"ethusdt@depth@100ms", "ethusdt@bookTicker"} or not answers:
            message = await websocket.receive_json(timeout=30)
            (told if "stream" in message else answers).append(message)
        assert answers == [{"result": None, "id": 7}]
        await websocket.ping(b"here")


@run
async def test_a_websocket_that_cannot_be_had_is_refused_over_http() -> None:
    async with face_of() as (_, client, url):
        for path, status in (("/ws/nope@trade", 400), ("/v1", 404)):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect(url + path)
            assert refused.value.status == status


@run
async def test_who_does_not_read_costs_nobody_else_and_is_caught_up() -> None:
    async with face_of(send_buffer_bytes=4096) as (face, client, url):
        slow = socket.create_connection(("127.0.0.1", face.port))
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(
            b"GET /ws/ethusdt@depth@100ms/ethusdt@bookTicker/solusdt@bookTicker/xrpusdt@bookTicker HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        )
        connections = face.spoken.connections
        while not any(connection.behind for connection in connections):
            await asyncio.sleep(0.05)
        async with client.ws_connect(f"{url}/ws/ethusdt@depth@100ms") as quick:
            assert (await quick.receive_json(timeout=30))["e"] == "depthUpdate"
        slow.setblocking(False)
        while any(connection.behind for connection in connections):
            await asyncio.get_running_loop().sock_recv(slow, 1 << 20)
        slow.close()


@run
async def test_clients_are_told_when_the_server_leaves() -> None:
    async with aiohttp.ClientSession() as client:
        async with face_of() as (_, _, url):
            websocket = await client.ws_connect(f"{url}/ws")
        assert (await websocket.receive_json(timeout=30))["e"] == "serverShutdown"
        message = await websocket.receive(timeout=30)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)


@run
async def test_what_cannot_be_served_is_told_at_the_start() -> None:
    async with serving() as server:
        with pytest.raises(ConfigError, match="'coinbase': expected one of binance, kraken"):
            start_dialects({"coinbase": 0}, server)
        [face] = start_dialects({"binance": 0}, server)
        with pytest.raises(ConfigError, match=f"port {face.port}"):
            start_dialects({"binance": face.port}, server)
        async with relaying(server) as relay:
            with pytest.raises(ConfigError, match="a relay"):
                start_dialects({"binance": 0}, relay)


def test_a_port_is_a_setting_and_a_number() -> None:
    assert read_config(None, {"DELTABOOK_DIALECTS": json.dumps({"binance": 9000})}).dialects == {"binance": 9000}
    with pytest.raises(ConfigError):
        read_config(None, {}, {"dialects": {"binance": ""}})
