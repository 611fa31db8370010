"""Clients that exist, as they are on PyPI, trade with nothing set but URLs and a key, while the server is killed and comes back."""

import asyncio
import hmac
import json
import os
import socket
import time
from pathlib import Path
from signal import SIGKILL
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from stream.access import key_files
from stream.access.api_keys import secret_of
from stream.settings.config import Config
from tests.dialects.client_traders import PRICE, SIZE, SYMBOL
from tests.dialects.installed import NODE, ROOT, command, require
from tests.dialects.traders import make_key
from tests.kills import ServerProcess
from tests.setting import CONFIG
from tests.sockets import run

PACKAGES = {"ccxt": "ccxt", "python-binance": "binance", "official": "binance_sdk_spot", "npm-ccxt": NODE, "npm-binance-api-node": NODE}
FILL = "0.4"
STOP = {"side": "SELL", "type": "STOP_LOSS_LIMIT", "timeInForce": "GTC", "quantity": "0.1", "price": "89", "stopPrice": "90"}


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Venue:
    """The server's process with a dialect, and the keys of those who trade there."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        files = {"api_keys": str(folder / "keys.jsonl"), "api_keys_master": str(folder / "master")}
        self.server = ServerProcess(folder, dialects={"binance": self.port}, **files)
        config = Config(**files)    # type: ignore[arg-type]
        master = key_files.make_master(config)
        self.secrets = {}
        for subject in ("alice", "bob"):
            key = make_key(subject, time.time_ns())
            key_files.add(config, key)
            self.secrets[subject] = secret_of(key, master)

    async def ask(self, subject: str, method: str, **parameters: str) -> Any:
        """Send a request for an order."""
        query = urlencode(parameters | {"symbol": SYMBOL, "timestamp": time.time_ns() // 10**6})
        query += f"&signature={hmac.digest(self.secrets[subject].encode(), query.encode(), 'sha256').hex()}"
        url, headers = f"http://127.0.0.1:{self.port}/api/v3/order?{query}", {"X-MBX-APIKEY": f"key-of-{subject}"}
        async with aiohttp.ClientSession(headers=headers) as client, client.request(method, url) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


@pytest.mark.parametrize("name", PACKAGES)
def test_a_client_trades_through_a_crash_of_the_server(name: str, tmp_path: Path) -> None:
    require(name, PACKAGES)
    run(lambda: trade(name, tmp_path), 120)()


async def trade(name: str, folder: Path) -> None:
    """Let a client trade, and compare what it was told."""
    venue = Venue(folder)
    await venue.server.start()
    address = f"127.0.0.1:{venue.port}"
    arguments = f"http://{address}", f"ws://{address}", "key-of-alice", venue.secrets["alice"]
    with (folder / "client").open("wb") as log:
        client = await asyncio.create_subprocess_exec(
            *command(name, PACKAGES, "trade"), *arguments, cwd=ROOT, env=os.environ | {"NO_PROXY": "*"}, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=log,
        )
    assert client.stdout
    assert client.stdin

    async def told() -> Any:
        while line := await client.stdout.readline():    # type: ignore[union-attr]
            if line.startswith(b'["'):
                return json.loads(line)
        raise AssertionError((folder / "client").read_text())

    try:
        first, second = f"first-of-{name}", f"second-of-{name}"
        assert await told() == ["placed", "open", first]
        assert await told() == ["event", "open", 0.0, first]
        sold = await venue.ask("bob", "POST", side="SELL", type="MARKET", quantity=FILL)
        assert await told() == ["event", "open", float(FILL), first]
        assert await told() == ["open", [[first, float(FILL)]]]
        assert await told() == ["cancelled", "canceled"]
        assert await told() == ["event", "canceled", float(FILL), first]
        step, why = await told()
        assert step == "refused"
        assert "Account has insufficient balance for requested action." in why
        value = float(sold["cummulativeQuoteQty"])
        assert value == float(FILL) * PRICE < SIZE * PRICE
        fee = value * CONFIG.instruments[0].maker_fee / 10**6
        assert await told() == ["balance", pytest.approx(float(CONFIG.deposit["BTC"]) + float(FILL)), pytest.approx(float(CONFIG.deposit["USD"]) - value - fee)]
        await venue.ask("alice", "POST", **STOP, newClientOrderId="kept")
        before = await venue.ask("alice", "GET", origClientOrderId="kept")
        await venue.server.end(SIGKILL)
        client.stdin.write(b"go on\n")
        await venue.server.start()
        after = await venue.ask("alice", "GET", origClientOrderId="kept")
        assert after == before
        assert (after["type"], after["stopPrice"], after["isWorking"]) == ("STOP_LOSS_LIMIT", "90.00000000", False)
        assert await told() == ["again", "open", second]
        assert await told() == ["event after", second]
        assert await client.wait() == 0, (folder / "client").read_text()
    finally:
        if client.returncode is None:
            client.kill()
        await venue.server.end(SIGKILL)
