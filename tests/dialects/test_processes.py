"""A dialect in processes of its own: what is asked and followed there is the market's, and its clients cost nobody else a connection."""

import asyncio
import hmac
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import aiohttp

from stream.access import key_files
from stream.access.api_keys import RevokedKey, secret_of
from stream.client.counts import Lots, Ticks
from stream.settings.config import Config
from tests.cluster.test_workers import Running, client_of, serving
from tests.dialects.traders import make_key
from tests.sockets import run
from tests.waiting import until, until_answered

SYMBOL = {"symbol": "BTCUSD"}
ATTEMPTS = 12
"""Connections to a port of two processes, so that both are met."""


class Hand(NamedTuple):
    """Signs requests, each over a connection of its own, which any of the processes may get."""

    port: int
    key: str
    secret: str

    def signed(self, **parameters: str) -> str:
        """The query of a signed request."""
        query = urlencode({**parameters, "timestamp": time.time_ns() // 10**6})
        return f"{query}&signature={hmac.digest(self.secret.encode(), query.encode(), 'sha256').hex()}"

    async def ask(self, method: str, path: str, **parameters: str) -> tuple[int, Any]:
        """The status and the answer of a signed request."""
        url = f"http://127.0.0.1:{self.port}/api/v3/{path}?{self.signed(**parameters)}"
        async with aiohttp.ClientSession(headers={"X-MBX-APIKEY": self.key}) as client, client.request(method, url) as answer:
            return answer.status, await answer.json()

    async def follow(self, client: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        """A user data stream."""
        websocket = await client.ws_connect(f"http://127.0.0.1:{self.port}/ws-api/v3")
        query = f"apiKey={self.key}&timestamp={time.time_ns() // 10**6}"
        parameters = dict(part.split("=") for part in query.split("&"))
        parameters["signature"] = hmac.digest(self.secret.encode(), query.encode(), "sha256").hex()
        await websocket.send_json({"id": 1, "method": "userDataStream.subscribe.signature", "params": parameters})
        assert (await websocket.receive_json(timeout=30))["status"] == 200
        return websocket


async def event(websocket: aiohttp.ClientWebSocketResponse, kind: str) -> Any:
    """The next event of a kind."""
    while (told := (await websocket.receive_json(timeout=30))["event"])["e"] != kind:
        pass
    return told


@asynccontextmanager
async def dialect(folder: Path) -> AsyncIterator[tuple[Running, Hand, Config]]:
    """A market with one worker, two more for the dialect, and somebody with a key."""
    files = {"api_keys": str(folder / "keys.jsonl"), "api_keys_master": str(folder / "master")}
    config, key = Config(**files), make_key("alice", time.time_ns())    # type: ignore[arg-type]
    secret = secret_of(key, key_files.make_master(config))
    key_files.add(config, key)
    async with serving(folder, workers=1, dialect_workers=2, dialects={"binance": 0}, **files) as there:
        port = there.others["binance"]
        await until(lambda: len(there.workers()) == 3)
        await until_answered(lambda: is_open(port), bool)
        yield there, Hand(port, key.id, secret), config


def for_dialects(there: Running) -> list[int]:
    """The ids of the processes for dialects."""
    found = []
    for worker in there.workers():
        with suppress(OSError):    # it has just ended
            if b"DELTABOOK_DIALECT_WORKERS=2" in Path(f"/proc/{worker}/environ").read_bytes():
                found.append(worker)
    return found


async def is_open(port: int) -> bool:
    """Whether anybody listens."""
    try:
        (await asyncio.open_connection("127.0.0.1", port))[1].close()
    except OSError:
        return False
    return True


def test_those_of_a_dialect_and_all_others_are_one_market_until_a_key_is_revoked(tmp_path: Path) -> None:
    @run
    async def scene() -> None:
        async with dialect(tmp_path) as (there, alice, config), aiohttp.ClientSession() as client:
            bob = await client_of(there.port, "bob")
            url = f"http://127.0.0.1:{alice.port}"
            book = await client.ws_connect(f"{url}/ws/btcusd@depth@100ms")
            users = [await alice.follow(client) for _ in range(ATTEMPTS)]
            order = {**SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.5", "price": "100", "newClientOrderId": "hers"}
            status, placed = await alice.ask("POST", "order", **order)
            assert (status, placed["status"]) == (200, "NEW")
            update = await book.receive_json(timeout=30)
            assert (update["e"], update["b"]) == ("depthUpdate", [["100.00000000", "0.50000000"]])
            sold = await bob.place("BTC-USD", "sell", Ticks(10_000), Lots(2000))
            for user in users:
                assert (await event(user, "executionReport"))["X"] == "NEW"
                filled = await event(user, "executionReport")
                assert (filled["X"], filled["c"], filled["z"]) == ("PARTIALLY_FILLED", "hers", "0.20000000")
            for _ in range(ATTEMPTS):
                await until_answered(lambda: alice.ask("GET", "allOrders", **SYMBOL), lambda told: [each["executedQty"] for each in told[1]] == ["0.20000000"])
                status, trades = await alice.ask("GET", "myTrades", **SYMBOL)
                assert [(each["orderId"], each["qty"]) for each in trades] == [(placed["orderId"], "0.20000000")]
            assert (await alice.ask("DELETE", "order", **SYMBOL, origClientOrderId="hers"))[1]["status"] == "CANCELED"
            assert (await event(users[0], "executionReport"))["X"] == "CANCELED"
            key_files.add(config, RevokedKey(alice.key, int(time.time())))
            for user in users:
                await event(user, "eventStreamTerminated")
            for _ in range(ATTEMPTS):
                assert await alice.ask("GET", "account") == (401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."})
            for worker in for_dialects(there):
                os.kill(worker, signal.SIGKILL)
                await until(lambda killed=worker: killed not in there.workers() and len(for_dialects(there)) == 2)    # type: ignore[misc]
            assert sold.order in [each.order for each in (await bob.order_history()).orders]
            assert sum(bob.resumed.values()) == 1    # its connection is still the first one
            await bob.close()
    scene()
