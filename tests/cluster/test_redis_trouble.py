"""A Redis that forgets, is full, or is away for long, and a leader whose disk fails: what is told again, and what is held meanwhile."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stream.cluster import engine_server, redis_engine, redis_snapshot
from stream.cluster.messages import Batch, ShippedRecord, parts, size_of
from stream.cluster.redis_client import close, connect, keys_of
from stream.cluster.redis_snapshot import SnapshotHead
from stream.commands.directory import Unknown
from stream.journal.writer import JournalFailed
from stream.settings.config import Config, ConfigError
from tests.cluster.redis_cluster import RedisMarket, market, placed
from tests.redis_servers import RedisServer, needs_redis
from tests.sockets import run
from tests.waiting import until

pytestmark = needs_redis
KEYS = keys_of(Config().cluster)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis").start()
    yield server
    server.stop()


async def place(there: RedisMarket, prices: range) -> None:
    """Place an order at each price, once, however often it must be asked for."""
    for price in prices:
        await placed(there.clients[0], price)


async def require_one_state(there: RedisMarket) -> None:
    """Every gateway has, or comes to, the engine's state."""
    engine = (await there.leader()).server.engine
    await until(lambda: {gateway.gateway.exchange.state_hash() for gateway in there.gateways} == {engine.exchange.state_hash()})


@pytest.mark.parametrize("link_bytes_kept", [1 << 20, 500])
def test_a_redis_that_has_lost_the_end_of_the_log_under_load_leaves_no_hole(tmp_path: Path, redis: RedisServer, link_bytes_kept: int) -> None:
    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url, gateways=1, link_bytes_kept=link_bytes_kept) as there:
            await there.client(there.gateways[0], "alice")
            await place(there, range(100, 105))
            old = redis.client().dump(KEYS.log)
            await place(there, range(105, 110))
            redis.client().restore(KEYS.log, 0, old, replace=True)    # as a replica has it that lagged
            await place(there, range(110, 115))
            await there.gateway()
            await require_one_state(there)
    scene()


def snapshot_size(redis: RedisServer) -> int:
    """Bytes of the snapshot that Redis has."""
    found = redis.client().get(KEYS.snapshot)
    return msgspec.msgpack.decode(found, type=SnapshotHead).size if found else 0


def test_a_snapshot_is_told_in_parts_and_never_seen_by_halves(tmp_path: Path, redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_snapshot, "PART_BYTES", 1000)

    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url, gateways=1) as there:
            await there.client(there.gateways[0], "alice")
            await place(there, range(100, 120))
            leader = await there.leader()
            before = redis.client().get(KEYS.snapshot)
            redis.client().delete(KEYS.snapshot)    # so that the engine tells another one
            await until(lambda: redis.client().exists(KEYS.snapshot))
            head = msgspec.msgpack.decode(redis.client().get(KEYS.snapshot), type=SnapshotHead)
            assert head.parts == -(-head.size // 1000) > 1
            assert redis.client().ttl(head.parts_key) == -1
            await there.gateway()
            await require_one_state(there)
            redis.client().set(KEYS.snapshot, before)
            redis.client().delete(msgspec.msgpack.decode(before, type=SnapshotHead).parts_key)    # as when it goes while somebody reads it
            client = connect(redis.url)
            assert await redis_snapshot.read(client, KEYS, lambda term, position: True) is None
            await close(client)
            assert leader.leads
    scene()


def test_a_redis_that_is_full_of_the_log_is_told_a_snapshot_instead(tmp_path: Path) -> None:
    redis = RedisServer(tmp_path / "redis", 0, "--maxmemory", "2mb").start()

    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url, gateways=1) as there:
            await there.client(there.gateways[0], "alice")
            leader = await there.leader()
            written = 0
            while written < 4 << 20:
                leader.server.engine.sequencer.remember(Unknown("something"), b"x" * 10_000)
                leader.server.wake()
                written += 10_000
                await asyncio.sleep(0)
            await until(lambda: snapshot_size(redis) > 10_000)
            await place(there, range(100, 105))
            await there.gateway()
            await require_one_state(there)
    try:
        scene()
    finally:
        redis.stop()


def test_the_log_is_cut_though_the_journal_takes_no_snapshot(tmp_path: Path, redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_engine, "LOG_BYTES_MAX", 200_000)

    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url, gateways=1) as there:
            leader = await there.leader()
            first = redis.client().xrange(KEYS.log, count=1)[0][0]
            while redis.client().xrange(KEYS.log, count=1)[0][0] == first:
                leader.server.engine.sequencer.remember(Unknown("something"), b"x" * 10_000)
                leader.server.wake()
                await asyncio.sleep(0)
            await there.gateway()
            await require_one_state(there)
            assert not there.gateways[0].gateway.replica.lost
    scene()


def test_what_waits_for_a_redis_that_is_away_is_bounded(tmp_path: Path, redis: RedisServer) -> None:
    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url, gateways=1, link_bytes_kept=10_000) as there:
            leader = await there.leader()
            await there.client(there.gateways[0], "alice")
            redis.kill()
            engine, sequencer = leader.server.engine, leader.server.engine.sequencer
            for number in range(1000):
                sequencer.remember(Unknown(f"something {number % 7}"), b"x" * 100)
                engine.tick(leader.server.clock.now())
            assert leader.node.link.pending_size <= 10_000
            redis.start()
            await place(there, range(100, 105))
            await require_one_state(there)
            assert there.gateways[0].gateway.sequencer.directory == sequencer.directory
    scene()


def test_a_leader_whose_disk_fails_lets_a_standby_lead(tmp_path: Path, redis: RedisServer) -> None:
    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url, gateways=1) as there:
            first = await there.leader()
            second = await there.node("b", "standby")
            await there.client(there.gateways[0], "alice")
            await place(there, range(100, 102))
            first.server.archive.journal.failure = JournalFailed("the disk is broken")
            await until(lambda: second.leads)
            assert "the disk is broken" in first.node.failure
            await place(there, range(102, 104))
    scene()


def test_a_node_that_cannot_have_its_journal_says_so_and_gives_the_lease_back(tmp_path: Path, redis: RedisServer) -> None:
    @run
    async def scene() -> None:
        (tmp_path / "occupied").write_text("a file, where the folder should be")
        with pytest.raises(OSError, match="Not a directory"):
            await RedisMarket(tmp_path, redis.url).node("occupied")
        (tmp_path / "linked").symlink_to(tmp_path / "nowhere" / "journal")
        node = await RedisMarket(tmp_path, redis.url).node("linked")
        with pytest.raises(OSError, match=r"File exists|No such file"):
            await asyncio.wait_for(node.task, 5)
        assert not redis.client().exists(KEYS.lease)
    scene()


def test_a_standby_of_another_configuration_says_so_at_once(tmp_path: Path, redis: RedisServer) -> None:
    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url, gateways=1) as there:
            other = msgspec.structs.replace(there.config.instruments[0], size_min=7)
            wrong = RedisMarket(tmp_path, redis.url, instruments=(other,))
            with pytest.raises(ConfigError, match="'BTC-USD' is in the journal with other terms: size_min 1"):
                await asyncio.wait_for((await wrong.node("wrong", "standby")).task, 5)
            assert (await there.leader()).leads
    scene()


def test_a_node_outlives_an_error_of_the_redis_client_itself(
    tmp_path: Path, redis: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    errors: list[Exception] = [AttributeError("'NoneType' object has no attribute 'writelines'"), RuntimeError("the handler is closed")]

    async def fail_at_first(client: Any) -> None:
        if errors:
            raise errors.pop()

    monkeypatch.setattr(engine_server, "require_noeviction", fail_at_first)

    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url, gateways=0) as there:
            assert (await there.leader()).leads
    scene()
    assert [record.message for record in caplog.records].count("the link caused an error") == 2


def test_a_node_with_the_journal_of_another_market_goes_on_with_this_one(tmp_path: Path, redis: RedisServer) -> None:
    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url, gateways=1) as there:
            first = await there.leader()
            await there.client(there.gateways[0], "alice")
            await place(there, range(100, 103))
            async with market(tmp_path / "other", redis.url, gateways=0, cluster="other") as other:
                stranger = await other.leader()
                for number in range(100):
                    stranger.server.engine.sequencer.remember(Unknown(f"something {number}"), b"else")
                    stranger.server.engine.tick(stranger.server.clock.now())
            (tmp_path / "other" / "a").rename(tmp_path / "b")
            epoch = first.server.engine.point(0).epoch
            second = await there.node("b", "standby")
            await first.stop()
            await until(lambda: second.leads)
            await place(there, range(103, 105))
            await require_one_state(there)
            assert second.server.engine.point(0).epoch == epoch
            assert (tmp_path / "b.1").exists()
    scene()


def test_what_nobody_was_told_of_is_told_in_parts_of_a_bounded_size() -> None:
    records = [ShippedRecord(seq, 1, 0, bytes(100)) for seq in range(8, 108)] + [ShippedRecord(108, 1, 0, bytes(5000))]
    found = list(parts(Batch(3, 7, 7, 108, records), 1000))
    assert [record for part in found for record in part.records] == records
    assert [part.prev for part in found] == [7, *(part.position for part in found[:-1])]
    assert found[-1].position == 108
    assert all(size_of(part) <= 1000 or len(part.records) == 1 for part in found)
    assert list(parts(Batch(3, 7, 7, 7, []), 1000)) == [Batch(3, 7, 7, 7, [])]
