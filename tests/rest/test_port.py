"""The REST API on a port: real sockets, every operation called with values that a machine makes up, and its page in a browser."""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import pytest

from stream.cli.serve import start_rest
from stream.server.market_server import MarketServer
from stream.settings.config import ConfigError
from stream.sources.simulated import SimulatedSource
from tests.setting import CONFIG, token
from tests.sockets import relaying, run, serving


@asynccontextmanager
async def rest_of(**changes: Any) -> AsyncIterator[tuple[MarketServer, str]]:
    """A simulated market, and the address of its REST API."""
    async with serving(CONFIG, [SimulatedSource(1, 200)], rest_port=0, **changes) as server:
        port = start_rest(server)
        assert port
        yield server, f"http://127.0.0.1:{port.port}"


@run
async def test_orders_over_sockets() -> None:
    async with rest_of() as (server, url), aiohttp.ClientSession() as client:
        headers = {"Authorization": f"Bearer {token('alice', server.clock.wall_time(server.now()))}"}
        body = {"instrument": "ETH-USD", "side": "buy", "price": 1, "size": 5}
        async with client.post(f"{url}/v1/orders", json=body, headers=headers) as answer:
            assert (answer.status, answer.content_type) == (200, "application/json")
            order = (await answer.json())["order"]
        async with client.delete(f"{url}/v1/orders/{order}", headers=headers) as answer:
            assert (await answer.json())["status"] == "cancelled"
        async with client.head(f"{url}/v1/instruments/ETH-USD/book") as answer:
            assert (answer.status, await answer.read()) == (200, b"")
            tag = answer.headers["ETag"]
        async with client.get(f"{url}/v1/instruments/ETH-USD/book", headers={"If-None-Match": tag}) as answer:
            assert answer.status in (200, 304)
        for method, path, status in (("TRACE", "/v1/orders", 405), ("GET", "/v1", 404), ("POST", "/v1/orders", 400)):
            async with client.request(method, url + path, data=b"\xff" if method == "POST" else None) as answer:
                assert (answer.status, set(await answer.json())) == (status, {"code", "message", "order"})
        async with client.get(f"{url}/v1/fills", headers=headers) as answer:    # the history is kept for it
            assert (await answer.json())["trades"] == []


@run
async def test_a_port_that_is_taken_and_one_that_there_is_not() -> None:
    async with rest_of() as (server, url):
        taken = CONFIG.__class__(rest_port=int(url.rpartition(":")[2]))
        server.config = taken
        with pytest.raises(ConfigError, match="rest_port: port"):
            start_rest(server)
    async with serving() as server:
        assert start_rest(server) is None


@run
async def test_a_relay_shows_books_and_takes_no_orders() -> None:
    async with serving() as upstream, relaying(upstream, rest_port=0) as relay, aiohttp.ClientSession() as client:
        port = start_rest(relay)
        assert port
        async with client.get(f"http://127.0.0.1:{port.port}/v1/instruments/BTC-USD/book") as answer:
            assert (answer.status, (await answer.json())["bids"]) == (200, [])
        async with client.get(f"http://127.0.0.1:{port.port}/v1/balances") as answer:
            assert (answer.status, (await answer.json())["code"]) == (403, 303)


CALLS = Path(__file__).with_name("schemathesis.toml")


@run
async def test_whatever_is_called_is_answered_as_the_document_says() -> None:
    """By schemathesis, which reads the document and makes up requests, good ones and bad ones, in a process of its own."""
    pytest.importorskip("schemathesis", reason="schemathesis is not installed: `make rest`")
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())    # where it leaves what it has seen
        server, url = await stack.enter_async_context(rest_of(orders_burst=1 << 20, sign_ins_burst=1 << 20, bytes_burst=1 << 30, message_bytes_max=1 << 20))
        everything = token("alice", server.clock.wall_time(server.now()), "market account trade admin")
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("schemathesis"), "--config-file", CALLS, "run", f"{url}/openapi.json",
            "--header", f"Authorization: Bearer {everything}", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()[-6000:]
        assert not re.search(r"\b[1-9]\d* failure", said.decode())
