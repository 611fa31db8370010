"""An engine, standbys and gateways over a real Redis, and what clients see when any of them breaks."""

import asyncio
import gc
import signal
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest

from stream.client.counts import Lots, Ticks
from stream.client.errors import ClientError, RequestRefused
from stream.client.live import LiveBook
from stream.cluster.overview import look
from stream.cluster.redis_client import TROUBLE, close, connect, keys_of, require_noeviction
from stream.settings.config import ConfigError
from stream.wire.codes import ErrorCode
from tests.cluster.redis_cluster import RedisMarket, market, placed
from tests.redis_servers import RedisCluster, RedisServer, Sentinels, free_port, needs_redis
from tests.sockets import run
from tests.waiting import until

pytestmark = needs_redis


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis").start()
    yield server
    server.stop()


def test_an_order_at_one_gateway_trades_with_one_at_another(tmp_path: Path, redis: RedisServer) -> None:
    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url) as there:
            one, two = there.gateways
            alice, bob = await there.client(one, "alice"), await there.client(two, "bob")
            book, orders = await bob.orderbook("BTC-USD", interval_ms=0), await alice.orders()
            placed = await alice.place("BTC-USD", "sell", Ticks(100), Lots(5))
            await until(lambda: book.mirror.depth()[1] == [100, 5])
            filled = await bob.place("BTC-USD", "buy", Ticks(100), Lots(2))
            assert (placed.status, filled.status, filled.filled_lots) == ("open", "filled", 2)
            await until(lambda: book.mirror.depth()[1] == [100, 3])
            await until(lambda: [order.remaining for order in orders.mirror.open.values()] == [3])
            assert book.verified
            engine = (await there.leader()).server.engine
            await until(lambda: engine.exchange.state_hash() == one.gateway.exchange.state_hash() == two.gateway.exchange.state_hash())
    scene()


def test_gateways_have_the_engines_history(tmp_path: Path, redis: RedisServer) -> None:
    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url, history=str(tmp_path / "history")) as there:
            one, two = there.gateways
            alice, again, bob = await there.client(one, "alice"), await there.client(two, "alice"), await there.client(two, "bob")
            await alice.place("BTC-USD", "sell", Ticks(100), Lots(5), client_id=7)
            await bob.place("BTC-USD", "buy", Ticks(100), Lots(2))
            for client in (alice, again):
                assert [(each.client_id, each.filled) for each in (await client.order_history()).orders] == [(7, Decimal("0.0002"))]
            assert [each.liquidity for each in (await bob.trade_history()).trades] == ["taker"]
    scene()


def test_a_redis_that_dies_and_comes_back_empty_costs_nothing(tmp_path: Path, redis: RedisServer) -> None:
    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url) as there:
            alice = await there.client(there.gateways[0], "alice")
            watcher = await there.client(there.gateways[1])
            book = await watcher.orderbook("BTC-USD", interval_ms=0)
            await alice.place("BTC-USD", "sell", Ticks(100), Lots(5))
            redis.kill()
            await until(lambda: alice.stale_since and watcher.stale_since)
            with pytest.raises(RequestRefused) as refused:
                await alice.place("BTC-USD", "sell", Ticks(101), Lots(5))
            assert refused.value.code == ErrorCode.NO_ENGINE
            redis.start()
            await until(lambda: not alice.stale_since and not watcher.stale_since)
            await alice.place("BTC-USD", "sell", Ticks(102), Lots(5))
            await until(lambda: book.mirror.depth()[1] == [100, 5, 102, 5])
            assert (watcher.resumed, book.verified) == ({("snapshot", "new"): 1}, True)
    scene()


def test_what_is_flushed_is_told_again(tmp_path: Path, redis: RedisServer) -> None:
    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url) as there:
            alice = await there.client(there.gateways[0], "alice")
            for price in range(100, 150):
                await placed(alice, price)
                if price % 10 == 5:
                    redis.client().flushall()
            late = await there.gateway()
            await until(lambda: late.gateway.exchange.state_hash() == there.gateways[0].gateway.exchange.state_hash())
            watcher = await there.client(late)
            book = await watcher.orderbook("BTC-USD", interval_ms=0)
            assert len(book.mirror.depth()[1]) == 100
    scene()


def test_a_standby_goes_on_where_the_leader_ended(tmp_path: Path, redis: RedisServer) -> None:
    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url) as there:
            first = await there.leader()
            second = await there.node("b", "standby")
            alice = await there.client(there.gateways[0], "alice")
            book = await alice.orderbook("BTC-USD", interval_ms=0)
            await alice.place("BTC-USD", "sell", Ticks(100), Lots(5))
            epoch = book.mirror.epoch
            await first.stop()
            await until(lambda: second.leads)
            done = await alice.place("BTC-USD", "sell", Ticks(101), Lots(5))
            await until(lambda: book.mirror.depth()[1] == [100, 5, 101, 5])
            assert (book.mirror.epoch, alice.resumed, done.status) == (epoch, {("snapshot", "new"): 2}, "open")
            await until(lambda: second.server.engine.exchange.state_hash() == there.gateways[1].gateway.exchange.state_hash())
    scene()


def test_a_leader_that_has_been_replaced_gets_nothing_through(tmp_path: Path, redis: RedisServer) -> None:
    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url) as there:
            first = await there.leader()
            redis.client().delete(first.node.redis_keys.lease)
            second = await there.node("b", "standby")
            alice = await there.client(there.gateways[0], "alice")
            done = await alice.place("BTC-USD", "sell", Ticks(100), Lots(5))
            assert done.status == "open"
            leader = await there.leader()
            assert first.leads != second.leads
            assert leader.server.engine.exchange.order_count == 1
    scene()


def test_a_redis_that_stands_still_makes_gateways_stale(tmp_path: Path, redis: RedisServer) -> None:
    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url) as there:
            alice = await there.client(there.gateways[0], "alice")
            redis.signal(signal.SIGSTOP)
            placing = asyncio.create_task(alice.place("BTC-USD", "sell", Ticks(100), Lots(5)))
            await until(lambda: alice.stale_since, 3)
            redis.signal(signal.SIGCONT)
            await until(lambda: not alice.stale_since)
            assert (await placing).status == "open"
    scene()


async def trade_across_gateways(there: RedisMarket) -> LiveBook:
    """An order at one gateway, a trade with it at another; the book."""
    one, two = there.gateways
    alice, bob = await there.client(one, "alice"), await there.client(two, "bob")
    book = await bob.orderbook("BTC-USD", interval_ms=0)
    await alice.place("BTC-USD", "sell", Ticks(100), Lots(5))
    filled = await bob.place("BTC-USD", "buy", Ticks(100), Lots(2))
    assert (filled.status, filled.filled_lots) == ("filled", 2)
    await until(lambda: book.mirror.depth()[1] == [100, 3])
    return book


@pytest.mark.filterwarnings("ignore::ResourceWarning")    # of connections to sentinels that are cancelled while they are made; uvloop hangs if it is an error
def test_sentinels_say_where_redis_is_and_a_new_master_that_lags_is_told_what_it_missed(tmp_path: Path) -> None:
    sentinels = Sentinels(tmp_path)

    @run
    async def scene() -> None:
        await sentinels.ready()
        async with market(tmp_path, sentinels.url) as there:
            book = await trade_across_gateways(there)
            alice = there.clients[0]
            sentinels.replica.signal(signal.SIGSTOP)    # it misses what comes now
            await alice.place("BTC-USD", "sell", Ticks(101), Lots(5), key=1)
            sentinels.master.kill()
            sentinels.replica.signal(signal.SIGCONT)
            done = None
            while done is None:
                with suppress(ClientError):
                    await asyncio.sleep(0.01)
                    done = await alice.place("BTC-USD", "sell", Ticks(102), Lots(5), key=2)
            await until(lambda: book.mirror.depth()[1] == [100, 3, 101, 5, 102, 5])
            assert book.verified
            late = await there.gateway()
            leader = await there.leader()
            await until(lambda: late.gateway.exchange.state_hash() == leader.server.engine.exchange.state_hash())
    try:
        scene()
    finally:
        sentinels.stop()
        gc.collect()


def test_a_redis_cluster_carries_a_market(tmp_path: Path) -> None:
    cluster = RedisCluster(tmp_path)

    @run
    async def scene() -> None:
        await cluster.ready()
        async with market(tmp_path, cluster.url) as there:
            await trade_across_gateways(there)
            redis = connect(cluster.url)
            assert (await look(redis, keys_of("market"))).leader == "a"
            await close(redis)
    try:
        scene()
    finally:
        cluster.stop()


def test_a_cluster_that_lacks_slots_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    redis = RedisServer(tmp_path / "redis", free_port(), "--cluster-enabled", "yes").start()
    url = redis.url.replace("redis://", "redis+cluster://").removesuffix("/0")

    def fails(what: str) -> bool:
        return any(record.message == "redis fails" and vars(record)["what"] == what for record in caplog.records)

    @run
    async def scene() -> None:
        there = RedisMarket(tmp_path, url)
        try:
            await there.node("a")
            coming = asyncio.create_task(there.gateway())
            await until(lambda: fails("the lease") and fails("the log"))
            with pytest.raises(TROUBLE):
                await look(connect(url), keys_of("market"))
            redis.client().execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            await coming
            assert (await there.leader()).leads
        finally:
            await there.close()
    try:
        scene()
    finally:
        redis.stop()


def test_a_redis_that_may_throw_things_away_is_refused(tmp_path: Path) -> None:
    redis = RedisServer(tmp_path / "redis", 0, "--maxmemory-policy", "allkeys-lru").start()

    @run
    async def scene() -> None:
        client = connect(redis.url)
        with pytest.raises(ConfigError, match="allkeys-lru: expected noeviction"):
            await require_noeviction(client)
        await close(client)
    try:
        scene()
    finally:
        redis.stop()
