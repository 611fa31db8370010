"""The JavaScript client in node: against a server that is a script, against the conformance vectors, and over sockets against a real one."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stream.client.counts import Lots, Ticks
from stream.settings.config import FaultConfig
from stream.sources.simulated import SimulatedSource
from tests.client.test_client import cut_all, trader
from tests.setting import token
from tests.sockets import relaying, run, serving
from tests.waiting import until
from tests.web.test_web import CLIENT

NODE = shutil.which("node")
SOCKETS = "--experimental-websocket"    # node 20 has a WebSocket under this flag, later ones have it anyway


def has_websocket() -> bool:
    """Whether there is a node that the client can run in without a package."""
    return NODE is not None and subprocess.run([NODE, SOCKETS, "-e", "new WebSocket('ws://x')"], capture_output=True, timeout=30, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not has_websocket(), reason="node 20 or later is not installed")


async def in_node(script: str, *arguments: str) -> list[str]:
    """What a script prints, line by line."""
    program = f'import {{ connect, newKey }} from "{CLIENT.as_uri()}/index.js";\n{script}'
    assert NODE
    process = await asyncio.create_subprocess_exec(
        NODE, SOCKETS, "--no-warnings", "--input-type=module", "-e", program, "--", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode().splitlines()


def test_the_client_against_a_script_and_the_vectors() -> None:
    assert NODE
    files = sorted(map(str, Path(__file__).parent.glob("*.test.mjs")))
    done = subprocess.run([NODE, "--test", *files], capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout


TRADES = """
    const [url, token] = process.argv.slice(1);
    const client = await connect(url, { token: () => token });
    const book = await client.orderbook("BTC-USD", { intervalMs: 0 });
    const [orders, balances] = await client.subscribe(["orders", "balances"]);
    const until = async (holds) => { while (!holds()) await new Promise((resolve) => client.addEventListener("frame", resolve, { once: true })); };
    const placed = await client.place("BTC-USD", "sell", "600.05", "0.001", { key: newKey() });
    await until(() => book.bestAsk && orders.open.has(placed.order) && balances.assets.get("BTC")?.held_units);
    console.log(book.bestAsk.price_ticks, book.bestAsk.size_lots, book.bestAsk.price, balances.assets.get("BTC").held, book.verified);
    const key = newKey();
    const order = ["BTC-USD", "buy", "1.00", { lots: 5 }, { key }];
    const [first, again] = [await client.place(...order), await client.place(...order)];
    console.log(first.order === again.order);
    await client.place("BTC-USD", "buy", { ticks: 0 }, { lots: 5 }).catch((error) => console.log(error.name, error.code));
    await client.cancel(placed.order);
    await until(() => !book.bestAsk && !orders.open.has(placed.order));
    console.log(await client.cancelAll("BTC-USD"), orders.open.size, (await client.instruments()).size);
    client.close();
"""


@run
async def test_it_trades() -> None:
    async with serving() as server:
        lines = await in_node(TRADES, f"ws://127.0.0.1:{server.port}/v1", token("alice", server.clock.now(), "market account trade"))
        assert lines == ["60005 10 600.05 0.00100000 true", "true", "RequestRefused 407", "1 0 2"]
        assert server.market.exchange.book("BTC-USD").levels.depth() == ([], [])


RETURNS = """
    const client = await connect(process.argv[1]);
    const [book] = await client.subscribe(["orderbook:BTC-USD", "trades:BTC-USD", "ticker:BTC-USD"], { intervalMs: 0 });
    for await (const frame of book) if (book.bestBid?.price_ticks === 200) break;
    console.log(book.verified, client.connections, book.counts.snapshot, client.recoveries.merged > 0);
    client.close();
"""


@run
async def test_it_returns_with_a_patch() -> None:
    async with serving() as server:
        following = asyncio.create_task(in_node(RETURNS, f"ws://127.0.0.1:{server.port}/v1"))
        await until(lambda: any(connection.session.subscriptions for connection in server.connections.values()))
        cut_all(server)
        async with trader(server) as other:
            await other.place("BTC-USD", "buy", Ticks(200), Lots(5))
            assert await following == ["true 2 1 true"]


@run
async def test_it_follows_a_relay() -> None:
    script = """
        const client = await connect(process.argv[1]);
        const book = await client.orderbook("BTC-USD");
        for await (const frame of book) if (frame.prev === null) break;
        console.log(book.verified);
        await client.orders().catch((error) => console.log(error.name, error.code));
        client.close();
    """
    async with serving() as server, relaying(server) as relay:
        assert await in_node(script, f"ws://127.0.0.1:{relay.port}/v1") == ["true", "RequestRefused 303"]


@run
async def test_behind_a_faulty_relay_it_is_found_right() -> None:
    faults = FaultConfig(drop=0.02, duplicate=0.02, reorder=0.02, corrupt=0.02)
    async with serving(sources=[SimulatedSource(seed=1, rate=100)], heartbeat_ms=100) as server, relaying(server, heartbeat_ms=100, faults=faults) as relay:
        client = f"{NODE} {SOCKETS} --no-warnings {CLIENT}/examples/statements.js ws://127.0.0.1:{relay.port}/v1"
        referee = f"{sys.executable} -m stream judge ws://127.0.0.1:{server.port}/v1 --seconds 2"
        process = await asyncio.create_subprocess_shell(f"{client} | {referee}", cwd=CLIENT.parents[2], stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        assert process.returncode == 0, out
        assert b"all that the client said was true" in out
