"""What cannot be read in Redis, because another version or a stranger has written it: it is told, and stops nobody."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pytest

from stream.cluster.messages import Status, encode
from stream.cluster.overview import follower_of, hand_over, look
from stream.cluster.redis_client import FIELD, close, connect, keys_of
from stream.cluster.redis_engine import Lease, fence
from stream.cluster.redis_snapshot import SnapshotHead
from stream.cluster.redis_strays import TYPES
from tests.cluster.redis_cluster import RedisMarket, RunningNode, market, placed
from tests.redis_servers import RedisServer, needs_redis
from tests.sockets import run
from tests.waiting import until

pytestmark = needs_redis
KEYS = keys_of("market")
GARBAGE = [b"", b"garbage", b"\xc1\xff\x00", b"\x91" * 10_000, msgspec.msgpack.encode([9, "of another version", {}]), msgspec.msgpack.encode("x" * 50)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    there = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield there
    there.stop()


@pytest.fixture
def redis(server: RedisServer) -> RedisServer:
    server.client().flushall()
    return server


async def goes_on(there: RedisMarket, price: int) -> None:
    """The market trades, and a gateway that begins now has its state."""
    await placed(there.clients[0], price)
    late = await there.gateway()
    engine = (await there.leader()).server.engine
    await until(lambda: late.gateway.exchange.state_hash() == engine.exchange.state_hash() == there.gateways[0].gateway.exchange.state_hash())
    await late.stop()
    there.gateways.remove(late)


async def succeeded(there: RedisMarket) -> RunningNode:
    """Somebody has an order, and a standby leads in the place of the first leader; that standby."""
    first = await there.leader()
    await there.client(there.gateways[0], "alice")
    await placed(there.clients[0], 100)
    second = await there.node("b", "standby")
    await until(lambda: second.node.replica.state)
    await first.stop()
    await until(lambda: second.leads)
    return second


async def can_be_looked_at(there: RedisMarket) -> None:
    client = connect(there.config.redis)
    found = await look(client, KEYS)
    await close(client)
    assert found.leader == "a"
    assert any(node.role == "gateway" for node in found.nodes)


def put_wrong_types(client: Any) -> None:
    for key, kind in zip(KEYS, TYPES, strict=True):
        client.delete(key)
        client.rpush(key, "stray") if kind != "stream" else client.hset(key, "stray", "1")


def has_our_types(client: Any) -> bool:
    return all(client.type(key).decode() in (kind, "none") for key, kind in zip(KEYS, TYPES, strict=True))


def put_garbage(client: Any) -> None:
    for number, data in enumerate(GARBAGE):
        client.hset(KEYS.nodes, f"stray {number}", data)
        client.xadd(KEYS.commands, {FIELD: data})
        client.xadd(KEYS.commands, {b"another field": data})
        client.set(KEYS.beat, data)
        client.set(KEYS.snapshot, data)
        client.set(KEYS.term, data)
        client.set(KEYS.handover, data)


def put_lease(client: Any) -> None:
    client.set(KEYS.lease, b"\xff stray")


def put_parts(client: Any) -> None:
    """The snapshot's head is there, but not what it promises."""
    client.set(KEYS.snapshot, encode(SnapshotHead(1 << 40, 1 << 40, "stray", 3, 1 << 50)))


def put_parts_of_another_type(client: Any) -> None:
    client.set("stray", "text")
    put_parts(client)


def put_parts_that_are_damaged(client: Any) -> None:
    client.delete("stray")
    client.rpush("stray", *[b"stray"] * 3)
    put_parts(client)


def put_log_of_now(client: Any) -> None:
    client.xadd(KEYS.log, {FIELD: b"stray"})
    client.xadd(KEYS.log, {"another": b"stray"})


def put_log_of_ever(client: Any) -> None:
    client.xadd(KEYS.log, {FIELD: b"stray"}, id="18446744073709551615-18446744073709551615")


def put_copy_in_log(client: Any) -> None:
    [(_, fields)] = client.xrevrange(KEYS.log, count=1)
    client.xadd(KEYS.log, fields)


STRAYS = [put_wrong_types, put_garbage, put_lease, put_parts, put_parts_of_another_type, put_parts_that_are_damaged, put_log_of_now, put_log_of_ever,
          put_copy_in_log]


def test_a_market_goes_on_whatever_is_written_at_its_keys(tmp_path: Path, redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)

    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url, gateways=1) as there:
            await there.client(there.gateways[0], "alice")
            first = await there.leader()
            term = first.node.term
            for number, put in enumerate(STRAYS):
                caplog.clear()
                put(redis.client())
                await goes_on(there, 100 + number)
                await until(lambda: has_our_types(redis.client()))
                assert put is put_lease or "redis" in caplog.text or "not ours" in caplog.text, put.__name__
                assert first.leads, put.__name__
            put_garbage(redis.client())
            put_lease(redis.client())
            await can_be_looked_at(there)
            assert first.node.term == term
    scene()


@pytest.mark.parametrize("put", [lambda client: client.flushall(), put_wrong_types, put_log_of_now], ids=["flushall", "wrong types", "log"])
def test_the_leader_stays_though_a_standby_waits_for_the_lease(tmp_path: Path, redis: RedisServer, put: Callable[[Any], None]) -> None:
    @run
    async def scene() -> None:
        asking = patch.object(Lease, "acquire", autospec=True, side_effect=Lease.acquire)
        async with market(tmp_path, redis.url, gateways=1) as there:
            first = await there.leader()
            await there.client(there.gateways[0], "alice")
            second = await there.node("b", "standby")
            await until(lambda: second.node.replica.state)
            for price in range(100, 102):
                put(redis.client())
                await placed(there.clients[0], price)
                with asking as asked:
                    await until(lambda: asked.await_count > 1)
                assert first.leads
                assert not second.leads
            await until(lambda: second.node.replica.position == first.server.engine.position)
    scene()


def test_a_standby_leads_over_strays_when_the_leader_is_gone(tmp_path: Path, redis: RedisServer) -> None:
    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url, gateways=1) as there:
            first = await there.leader()
            await there.client(there.gateways[0], "alice")
            second = await there.node("b", "standby")
            await until(lambda: second.node.replica.state)
            for index in range(len(GARBAGE)):
                redis.client().hset(KEYS.nodes, f"stray {index}", GARBAGE[index])
            client = connect(redis.url)
            leaving = asyncio.create_task(hand_over(client, KEYS, 10))
            await until(lambda: not first.leads)
            put_log_of_now(redis.client())
            put_lease(redis.client())
            redis.client().set(KEYS.term, "stray")
            assert await leaving == "b"
            await close(client)
            await until(lambda: second.leads)
            await placed(there.clients[0], 100)
    scene()


def test_what_a_later_leader_wrote_is_no_stray(tmp_path: Path, redis: RedisServer) -> None:
    @run
    async def scene() -> None:
        client = connect(redis.url)
        assert await fence(client, KEYS, 9)
        assert not await fence(client, KEYS, 8)
        redis.client().xtrim(KEYS.log, maxlen=0)
        redis.client().xadd(KEYS.log, {FIELD: b"stray"})
        redis.client().set(KEYS.term, 9)
        assert not await fence(client, KEYS, 8), "the fence of term 9 may have been removed with the stray"
        assert await fence(client, KEYS, 10)
        assert not await fence(client, KEYS, 9)
        await close(client)
    scene()


def test_a_lease_is_one_nodes_at_a_time_whatever_redis_forgets(tmp_path: Path, redis: RedisServer) -> None:
    @run
    async def scene() -> None:
        client = connect(redis.url)
        one, two = (Lease(client, KEYS, name, 200) for name in ("one", "two"))
        term = await one.acquire(5, 0)
        assert term == 6
        assert await two.acquire(5, term) == 0
        redis.client().flushall()
        assert await two.acquire(5, term) == 0, "the leader has the time of a lease to come back"
        assert await one.renew(term)
        assert await two.acquire(5, term) == 0
        redis.client().flushall()
        assert await two.acquire(5, term) == 0
        await until(lambda: not redis.client().exists(KEYS.lease))
        later = await two.acquire(5, term)
        assert later > term
        assert not await one.renew(term), "who is late is no leader any more"
        await two.release(later)
        for stray in ("stray", "7 stray", "x" * 1000):
            redis.client().set(KEYS.lease, stray)
            assert await one.acquire(5, 0) == 0
            await until(lambda: not redis.client().exists(KEYS.lease))
        redis.client().set(KEYS.term, "1e300")
        assert await one.acquire(5, 0) == 6
        await close(client)
    scene()


def test_a_hand_over_is_for_the_node_that_leads(tmp_path: Path, redis: RedisServer) -> None:
    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url, gateways=1) as there:
            first = await there.leader()
            for name in ("b", b"\xff"):
                redis.client().set(KEYS.handover, name)
                await until(lambda: not redis.client().get(KEYS.handover))
            assert first.leads
            redis.client().set(KEYS.handover, "a")
            await until(lambda: not first.leads)
            assert not first.node.failure
    scene()


def test_a_node_with_a_journal_of_before_leads_over_no_leader_that_redis_has_forgotten(tmp_path: Path, redis: RedisServer) -> None:
    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url, gateways=1) as there:
            second = await succeeded(there)
            for price in range(101, 104):
                await placed(there.clients[0], price)
            redis.client().flushall()
            again = await there.node("a")    # whose journal ends where it led
            await until(lambda: again.node.replica.state)
            await placed(there.clients[0], 104)
            assert second.leads
            assert not again.leads
            assert second.server.engine.exchange.order_count == 5
    scene()


def test_who_has_only_a_journal_leaves_it_to_a_standby_that_has_the_state_to_lead(tmp_path: Path, redis: RedisServer) -> None:
    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url, gateways=0) as there:
            first = await there.leader()
            client = connect(redis.url)
            assert await follower_of(client, KEYS, 0) == ""
            second = await there.node("b", "standby")
            await until(lambda: second.node.replica.state)
            await until(lambda: any(msgspec.msgpack.decode(each)[6] for each in redis.client().hvals(KEYS.nodes)))
            assert await follower_of(client, KEYS, 0) == "b"
            assert await follower_of(client, KEYS, second.node.origin) == ""
            await second.stop()
            redis.client().hset(KEYS.nodes, "7", encode(Status(7, "standby", "gone", 3, 1, 5, 0, 0)))
            redis.client().hset(KEYS.nodes, "8", encode(Status(8, "gateway", "other", 3, 1, 5, 0, 0)))
            assert await follower_of(client, KEYS, 0) == ""
            await close(client)
            assert first.leads
    scene()


def test_a_leader_comes_back_before_a_standby_leads_when_redis_has_been_away(tmp_path: Path) -> None:
    redis = RedisServer(tmp_path / "redis", 0, "--appendonly", "yes", "--appendfsync", "always").start()

    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url, gateways=1) as there:
            first = await there.leader()
            await there.client(there.gateways[0], "alice")
            second = await there.node("b", "standby")
            await until(lambda: second.node.replica.state)
            await placed(there.clients[0], 100)
            redis.kill()
            await asyncio.sleep(2 * there.config.lease_ms / 1000)    # its lease is over
            redis.start()
            await placed(there.clients[0], 101)
            assert first.leads
            assert not second.leads
            await first.stop()
            await until(lambda: second.leads)
            assert second.server.engine.exchange.order_count == 2
    try:
        scene()
    finally:
        redis.stop()


def test_a_journal_that_ends_before_what_was_told_leads_nobody(tmp_path: Path, redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url, gateways=1) as there:
            second = await succeeded(there)
            for price in (101, 102):
                await placed(there.clients[0], price)
            await second.stop()
            redis.client().delete(KEYS.snapshot)    # as when it was full, and there was no time for another
            again = await there.node("a")    # whose journal ends where it led
            await until(lambda: "a part of the history is missing here" in caplog.text)
            assert not again.leads
            await again.stop()
            whole = await there.node("b")
            await until(lambda: whole.leads)
            assert whole.server.engine.exchange.order_count == 3
    scene()
