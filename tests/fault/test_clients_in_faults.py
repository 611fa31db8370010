"""The Python client and a relay behind the proxy of faults: each kind on the way back, or in the middle; the book is right in the end."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from stream import Client, ClientError, ConnectionLost, Lots, Ticks, connect
from stream.client.live import LiveBook
from stream.fault import FaultProxy, kinds, scripted
from stream.server.market_server import MarketServer
from tests.client.test_client import followed, trader, url
from tests.faulty import NoDelay
from tests.sockets import relaying, run, serving
from tests.waiting import until

SLOW = {"silent", "silent-after-upgrade", "endless-head", "garbage-and-silence", "stall"}
"""What takes ten seconds of silence: tests.fault.bad_network has these, too."""

HANDSHAKES = [name for name, kind in kinds().items() if not kind.reaches_server and name not in SLOW]
STREAMS = [name for name, kind in kinds().items() if kind.reaches_server and name not in SLOW]


@asynccontextmanager
async def proxied(server: MarketServer, scripts: dict[str, str]) -> AsyncIterator[dict[str, FaultProxy]]:
    """A proxy for each script, by name."""
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(FaultProxy(url(server), scripted(script))) for name, script in scripts.items()}


@asynccontextmanager
async def following(proxies: dict[str, FaultProxy]) -> AsyncIterator[dict[str, tuple[Client, LiveBook]]]:
    """A client behind each proxy, and its book."""
    async with AsyncExitStack() as stack:
        clients: dict[str, tuple[Client, LiveBook]] = {}
        for name, proxy in proxies.items():
            client = await stack.enter_async_context(Client(proxy.url, jitter=NoDelay()))
            clients[name] = client, await client.orderbook("BTC-USD", interval_ms=0)
        yield clients


async def end_right(server: MarketServer, books: dict[str, LiveBook]) -> None:
    """Change the book, and wait until all have the change."""
    async with trader(server) as other:
        await other.place("BTC-USD", "buy", Ticks(300), Lots(5))
        await asyncio.gather(*(followed(book, lambda book=book: book.mirror.best_bid == (300, 5)) for book in books.values()))    # type: ignore[misc]
    digest = server.market.exchange.book("BTC-USD").levels.digest
    assert [name for name, book in books.items() if book.mirror.levels.digest != digest] == []


@run
async def test_every_kind_of_handshake_is_one_more_failed_attempt_of_a_return() -> None:
    scripts = {name: f"pass {name} pass" for name in HANDSHAKES}
    async with serving(heartbeat_ms=200) as server, proxied(server, scripts) as proxies, following(proxies) as clients:
        told: dict[str, list[ClientError | None]] = {name: [] for name in HANDSHAKES}
        for name, (client, _) in clients.items():
            client.on_connection(told[name].append)
            proxies[name].cut()
        await end_right(server, {name: book for name, (_, book) in clients.items()})
        for name, proxy in proxies.items():
            assert proxy.connections == 3, name
            lost, missed, back = told[name][:3]
            assert isinstance(lost, ConnectionLost), name
            assert isinstance(missed, ClientError), name
            assert back is None, name


@run
async def test_every_kind_of_handshake_refuses_a_first_connection_and_says_why() -> None:
    async with serving() as server, proxied(server, {name: name for name in HANDSHAKES}) as proxies:
        async def refused(proxy: FaultProxy) -> str:
            with pytest.raises(ClientError) as told:
                async with connect(proxy.url):
                    pass
            return str(told.value)

        reasons = dict(zip(proxies, await asyncio.gather(*map(refused, proxies.values())), strict=True))
    assert [name for name, reason in reasons.items() if len(reason) < 20] == []


@run
async def test_every_kind_of_break_in_a_stream_is_lived_through() -> None:
    scripts = {name: f"{name}:5 pass" if kinds()[name].unit == "frames" else f"{name} pass" for name in STREAMS}
    breaks = [name for name in STREAMS if kinds()[name].unit == "frames" and name != "deaf"]
    async with serving(heartbeat_ms=100) as server, proxied(server, scripts) as proxies, trader(server) as other:
        ready = asyncio.Barrier(len(scripts) + 1)

        async def follow(proxy: FaultProxy) -> int:
            async with Client(proxy.url, jitter=NoDelay()) as client:
                while True:
                    with suppress(ConnectionLost):    # the break was before the answer
                        await client.connected()
                        [book] = await client.subscribe(["orderbook:BTC-USD"], 0, 0)
                        break
                await ready.wait()
                await followed(book, lambda: book.mirror.best_bid == (300, 5))
                return int(book.mirror.levels.digest)

        follows = {name: asyncio.create_task(follow(proxy)) for name, proxy in proxies.items()}
        await ready.wait()
        await until(lambda: all(proxies[name].connections >= 2 for name in breaks))
        await other.place("BTC-USD", "buy", Ticks(300), Lots(5))
        digest = server.market.exchange.book("BTC-USD").levels.digest
        assert {name: await follow for name, follow in follows.items()} == dict.fromkeys(STREAMS, digest)


@run
async def test_what_a_server_does_wrong_is_raised_nowhere() -> None:
    unseen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
    scripts = {name: f"{name}:3 pass" for name in ("two-closes", "reserved-bits", "huge-frame")}
    async with serving(heartbeat_ms=100) as server, proxied(server, scripts) as proxies:
        for proxy in proxies.values():
            async with Client(proxy.url, jitter=NoDelay()) as client:
                book = await client.orderbook("BTC-USD", interval_ms=0)
                await followed(book, lambda client=client: client.connections == 2)    # type: ignore[misc]
    gc.collect()
    assert unseen == []


@pytest.mark.parametrize("script", ["pass half-status-line reset-at-once pass", "fragments cut:5 pass", "pieces lost-bytes:7 pass", "two-closes:3 pass"])
def test_a_relay_comes_back_too(script: str) -> None:
    @run
    async def scene() -> None:
        async with (
            serving(heartbeat_ms=100) as server, FaultProxy(url(server), scripted(script)) as proxy,
            relaying(server, upstream=proxy.url, heartbeat_ms=100) as relay, connect(f"ws://127.0.0.1:{relay.port}/v1") as client,
        ):
            proxy.cut()
            book = await client.orderbook("BTC-USD", interval_ms=0)
            await until(lambda: proxy.connections >= len(script.split()))
            await end_right(server, {"relay": book})

    scene()
