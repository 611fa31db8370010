"""Relays on real sockets."""

from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from stream import Client, ClientError, Lots, RequestRefused, Ticks, connect
from stream.cli.verify import verify
from stream.relay.relay_server import RelayLink, RelayServer
from stream.server.server import Server
from stream.sources.simulated import SimulatedSource
from stream.wire.codes import ErrorCode
from stream.wire.frames import Gap
from tests.setting import CONFIG, NAMES, token
from tests.sockets import cut, cut_all, get, relaying, run, serving
from tests.waiting import until


def url(server: Server) -> str:
    return f"ws://127.0.0.1:{server.port}/v1"


def only_link(relay: RelayServer) -> RelayLink:
    """The connection of a relay that needs one."""
    (link,) = relay.links.values()
    return link


@run
async def test_a_relay_of_a_relay_passes_verification() -> None:
    async with serving(sources=[SimulatedSource(1, 300)]) as server, relaying(server) as relay, relaying(relay, audit_interval_ms=100) as leaf:
        for each in (relay, leaf):
            outcome = await verify(url(each), 1.5, [], 0, 0, None, lambda: None)
            assert outcome.problems == []
            assert outcome.instruments.keys() == {terms.name for terms in server.market.instrument_terms()}
            assert sum(row["updates"] for row in outcome.instruments.values()) > 100
            assert sum(row["ticker_compared"] for row in outcome.instruments.values()) > 10
        assert leaf.relay.audit.frames > 0 == leaf.relay.audit.failures


@run
async def test_a_client_resumes_on_any_of_them_with_a_patch() -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(self_trade="allow"))
        relay = await stack.enter_async_context(relaying(server))
        leaf = await stack.enter_async_context(relaying(relay))
        async with connect(url(server), token("alice", server.clock.now(), "market account trade")) as trader, connect(url(server)) as client:
            book, trades = await client.orderbook("BTC-USD", interval_ms=0), await client.trades("BTC-USD")
            heard: list[object] = []
            trades.on(heard.append)
            for price in range(100, 120):
                await trader.place("BTC-USD", "buy", Ticks(price), Lots(5))
            for turn, node in enumerate((relay, leaf, server, leaf)):
                client.url = url(node)
                cut(client)
                await trader.place("BTC-USD", "buy", Ticks(130 + turn), Lots(5))
                await trader.place("BTC-USD", "sell", Ticks(130 + turn), Lots(2))
                await until(lambda: book.mirror.depth() == server.market.exchange.book("BTC-USD").levels.depth())
                await until(lambda: trades.mirror.count == turn + 1)    # noqa: B023
            assert client.connections == 5
            assert {key: count for key, count in client.resumed.items() if key[0] == "snapshot"} == {("snapshot", "new"): 2}
            assert not [message for message in heard if isinstance(message, Gap)]
            assert leaf.relay.instrument_terms() == server.market.instrument_terms()


@run
async def test_orders_are_refused_with_a_code_of_their_own() -> None:
    async with serving() as server, relaying(server) as relay:
        everything = token("alice", server.clock.now(), "market account trade admin")
        async with connect(url(relay), everything) as client:
            requests = (
                client.place("BTC-USD", "buy", Ticks(100), Lots(5)), client.cancel(1), client.cancel_all(), client.orders(), client.balances(),
                client.dead_man(1000),
            )
            for request in requests:
                with pytest.raises(RequestRefused) as refused:
                    await request
                assert refused.value.code == ErrorCode.PUBLIC_ONLY
            await client.logout()


@run
async def test_clients_are_told_when_the_upstream_is_gone_and_when_it_is_back() -> None:
    async with serving() as server, relaying(server, upstream_stale_ms=200) as relay, relaying(relay, upstream_stale_ms=200) as leaf:
        assert (await get(leaf.port, "/ready"))[1] == b"ready\n"
        async with connect(url(leaf)) as client:
            await client.orderbook("BTC-USD")
            only_link(relay).url = "ws://127.0.0.1:1/v1"
            cut_all(server)
            await until(lambda: client.stale_since > 0)
            assert relay.relay.stale_since == client.stale_since
            assert relay.clock.now() - client.stale_since >= 200 * 10**6
            for each in (relay, leaf):
                head, body = await get(each.port, "/ready")
                assert (head.split()[1], body) == ("503", b"stale\n")
            async with connect(url(leaf)) as late:
                await late.ping()
                assert late.stale_since == client.stale_since
            only_link(relay).url = url(server)
            await until(lambda: client.stale_since == 0)
            assert (await get(leaf.port, "/ready"))[1] == b"ready\n"
            assert client.connections == 1
        _, metrics = await get(leaf.port, "/metrics")
        assert b"deltabook_stale 0.0" in metrics
        assert b"deltabook_upstream_connections_total 1.0" in metrics


@run
async def test_nobody_is_let_in_before_there_is_anything_to_see() -> None:
    async with serving() as server:
        relay = RelayServer(msgspec.structs.replace(CONFIG, port=0, close_timeout_s=1, upstream="ws://127.0.0.1:1/v1"))
        await relay.start()
        try:
            for path, status in (("/v1", "503"), ("/ready", "503"), ("/health", "200")):
                assert (await get(relay.port, path))[0].split()[1] == status
            with pytest.raises(ClientError, match="come back later"):
                await Client(url(relay)).open()
            only_link(relay).url = url(server)
            await until(lambda: relay.relay.begun)
            async with connect(url(relay)) as client:
                assert (await client.instruments()).keys() == set(NAMES)
        finally:
            await relay.stop()


def test_an_upstream_that_cannot_be_reached_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    @run
    async def scene() -> None:
        relay = RelayServer(msgspec.structs.replace(CONFIG, port=0, upstream="ws://127.0.0.1:1/v1"))
        await relay.start()
        await until(lambda: bool(caplog.records))
        await relay.stop()

    scene()
    assert caplog.messages[0] == "the upstream cannot be reached"


@run
async def test_a_relay_signs_in_with_the_token_of_its_file() -> None:
    with TemporaryDirectory() as folder:
        async with serving(public_needs_token=True) as server:
            file = Path(folder) / "token"
            file.write_text(token("relay", server.clock.now(), "market") + "\n")
            async with relaying(server, upstream_token_file=str(file)) as relay, connect(url(relay)) as client:
                assert (await client.orderbook("BTC-USD")).in_force
                [session] = server.market.sessions
                assert session.subject == "relay"
