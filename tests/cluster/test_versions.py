"""Processes of different versions in one market: they go on together, or refuse each other and say so."""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stream.cli.cluster import show
from stream.client.counts import Lots, Ticks
from stream.client.errors import ClientError
from stream.cluster import messages, redis_snapshot
from stream.cluster.messages import LINK, Batch, Beat, Forward, OpenAccount, Status, decode_batch, decode_beat, decode_request, decode_status, encode
from stream.cluster.overview import Overview, hand_over
from stream.cluster.redis_client import close, connect, keys_of
from stream.cluster.redis_snapshot import SnapshotHead, decode_head
from stream.commands.forwarded import Forwarded
from stream.wire.codes import ErrorCode
from stream.wire.messages import Done, Error, Place, Stale
from tests.cluster.cluster import Cluster, state_of
from tests.cluster.redis_cluster import market
from tests.cluster.test_cluster import desk, of_kind
from tests.cluster.test_cluster_faults import pass_time, replaced
from tests.redis_servers import RedisServer, needs_redis
from tests.sockets import run
from tests.waiting import until

MESSAGES = [
    (Batch(1, 1, 1, 2, []), decode_batch), (Beat(1, 2, 3, 4), decode_beat), (Status(1, "gateway", "g", 1, 1, 1, 1, 1), decode_status),
    (Forward(Forwarded(1, 1, b"", [], []), 5), decode_request), (OpenAccount("alice"), decode_request), (SnapshotHead(1, 2, "key", 3, 4), decode_head),
]


@pytest.mark.parametrize(("message", "decode"), MESSAGES)
def test_a_field_more_is_no_other_version(message: Any, decode: Any) -> None:
    longer = msgspec.msgpack.encode([*msgspec.msgpack.decode(encode(message)), "of a later version"])
    assert decode(longer) == message


@pytest.mark.parametrize("message", [message for message, _ in MESSAGES if not isinstance(message, OpenAccount)])
def test_every_message_says_its_version(message: Any) -> None:
    told, fields = msgspec.msgpack.decode(encode(message)), message.__struct_fields__
    assert told[fields.index("link") - len(fields)] == LINK


def engine_of_version(cluster: Cluster, link: int) -> None:
    """Have another engine lead, which speaks another version."""
    old = state_of(cluster.engine, cluster.now)
    cluster.engine = replaced(cluster, old.data)
    engine, publish = cluster.engine, cluster.link.publish
    beat = engine.beat
    engine.beat = lambda now: msgspec.structs.replace(beat(now), link=link)
    engine.publish = lambda batch: publish(msgspec.structs.replace(batch, link=link))
    cluster.link.snapshot = state_of(engine, cluster.now)
    cluster.link.kept.clear()


@pytest.mark.parametrize("link", [LINK - 1, LINK + 1])
def test_a_gateway_follows_no_engine_of_another_version_and_the_next_one_of_its_own(link: int, caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster(1)
    alice = desk(cluster, 0, "alice")
    assert of_kind(alice.ask(Place, "BTC-USD", "sell", 100, 5), Done)
    caplog.set_level(logging.ERROR)
    engine_of_version(cluster, link)
    position, asked = cluster.gateways[0].replica.position, cluster.link.ends[0].asked
    pass_time(cluster, cluster.config.link_stale_ms + 1000)
    assert [record.engine for record in caplog.records if "the engine is of another version" in record.message] == [link]
    assert of_kind(alice.hear(), Stale)[-1].since
    assert [error.code for error in of_kind(alice.ask(Place, "BTC-USD", "sell", 101, 5), Error)] == [ErrorCode.NO_ENGINE]
    assert (cluster.gateways[0].replica.position, cluster.link.ends[0].asked) == (position, asked)
    engine_of_version(cluster, LINK)
    pass_time(cluster, 3000)
    assert of_kind(alice.ask(Place, "BTC-USD", "sell", 102, 5), Done)
    assert cluster.gateways[0].exchange.state_hash() == cluster.engine.exchange.state_hash()


def test_what_a_gateway_of_another_version_forwards_is_refused_and_the_market_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster(2)
    alice, bob = desk(cluster, 0, "alice"), desk(cluster, 1, "bob")
    send = cluster.gateways[0].sequencer.send
    cluster.gateways[0].sequencer.send = lambda forward: send(msgspec.structs.replace(forward, link=LINK + 1))
    assert [error.code for error in of_kind(alice.ask(Place, "BTC-USD", "sell", 100, 5), Error)] == [ErrorCode.BAD_GROUP]
    assert any(f"version {LINK + 1} of the link: expected {LINK}" in record.reason for record in caplog.records if hasattr(record, "reason"))
    assert of_kind(bob.ask(Place, "BTC-USD", "sell", 100, 5), Done)
    assert cluster.engine.exchange.order_count == 1


def test_the_status_names_who_is_of_another_version() -> None:
    nodes = [Status(1, "gateway", "old", 1, 1, 1, 1, 1, LINK + 1), Status(2, "gateway", "ours", 1, 1, 1, 1, 1)]
    remarks = list(show(Overview("a", Beat(1, 1, 1, 1), nodes, set(), 0, 0, 0)).columns[-1].cells)
    assert remarks[1:] == [f"version {LINK + 1} of the link, this is {LINK}", ""] or remarks[1:] == ["", f"version {LINK + 1} of the link, this is {LINK}"]


@needs_redis
def test_an_upgrade_one_by_one_answers_every_request_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps of the page `upgrade`: standbys, a hand-over, the engine that led, then each gateway, by processes whose messages have a field more."""
    redis = RedisServer(tmp_path / "redis").start()
    plain = messages.encode

    def longer(message: Any) -> bytes:
        return msgspec.msgpack.encode([*msgspec.msgpack.decode(plain(message)), "of a later version"])

    @run
    async def scene() -> None:
        async with market(tmp_path, redis.url, gateways=2) as there:
            first = await there.leader()
            answers: dict[int, int] = {}

            async def trade(subject: str) -> None:
                client = await there.client(there.gateways[-1], subject)
                while True:
                    with suppress(ClientError):
                        await asyncio.sleep(0.01)
                        key = len(answers) + 1
                        answers[key] = (await client.place("BTC-USD", "sell", Ticks(100), Lots(1), key=key)).order

            trading = asyncio.create_task(trade("alice"))
            await until(lambda: answers)
            second = await there.node("b", "standby")    # 1: a standby, of the later version, that has caught up
            await until(lambda: second.node.replica.state)
            for module in ("redis_engine", "redis_gateway", "redis_snapshot"):
                monkeypatch.setattr(f"stream.cluster.{module}.encode", longer)
            client = connect(redis.url)
            assert await hand_over(client, keys_of("market"), 10) == "b"    # 2
            await until(lambda: second.leads and not first.leads)
            assert first.node.failure == ""
            third = await there.node("a", "standby")    # 3: it has led before
            await until(lambda: third.node.replica.state)
            count = len(answers)
            await there.gateways.pop(0).stop()    # 4: one after the other, the trader's last
            late = await there.gateway()
            await until(lambda: len(answers) > count)
            trading.cancel()
            await asyncio.gather(trading, return_exceptions=True)
            engine = second.server.engine
            await until(lambda: late.gateway.exchange.state_hash() == engine.exchange.state_hash())
            assert len(set(answers.values())) == len(answers)
            assert len(answers) <= len(engine.sequencer.results) <= len(answers) + 1
            head = await redis_snapshot.look(client, keys_of("market"))
            assert head
            assert head.link == LINK
            await close(client)
    try:
        scene()
    finally:
        redis.stop()


@needs_redis
def test_a_snapshot_of_another_version_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    redis = RedisServer(tmp_path / "redis").start()

    @run
    async def scene() -> None:
        keys, client = keys_of("market"), connect(redis.url)
        head = encode(SnapshotHead(1, 1, "parts", 0, 0, LINK + 1))
        redis.client().set(keys.snapshot, head)
        assert await redis_snapshot.read(client, keys, lambda term, position: True) is None
        assert redis.client().get(keys.snapshot) == head
        await close(client)
    try:
        scene()
    finally:
        redis.stop()
    assert "has another version" in caplog.text
