"""What a gateway does with requests while the engine is away: they keep their deadline however often they are sent, and no more wait than may."""

from pathlib import Path

import pytest

from stream.cluster import redis_gateway
from stream.cluster.forwarder import ENTRIES_AT_ONCE, UNDER_WAY_MAX
from stream.cluster.gateway import Gateway
from stream.cluster.messages import OpenAccount, encode
from stream.cluster.redis_client import connect, keys_of
from stream.cluster.redis_gateway import RedisGatewayEnd
from stream.commands.directory import KeptAccount
from stream.wire.codes import ErrorCode
from stream.wire.messages import Confirmed, DeadMan, Done, Error, Place
from tests.cluster.cluster import Cluster, state_of
from tests.cluster.test_cluster import desk, of_kind
from tests.cluster.test_cluster_faults import pass_time, replaced
from tests.setting import MILLISECOND
from tests.sockets import run
from tests.worlds import Desk

FOR_EVER_MS = 1 << 30


def place(client: Desk, price: int = 100) -> None:
    """Send an order, and do not wait."""
    client.id += 1
    client.send(client.codec.encode(Place(client.id, "BTC-USD", "sell", price, 5)))
    Gateway.tick(client.market, client.market.now)


def put_forward(cluster: Cluster, hours: int) -> None:
    """Have another engine lead, whose clock is so far ahead of ours."""
    old = state_of(cluster.engine, cluster.now)
    engine = cluster.engine = replaced(cluster, old.data)
    ahead = hours * 3600 * 10**9
    tick, beat, receive, keep_house = engine.tick, engine.beat, engine.receive, engine.keep_house
    engine.tick, engine.beat = (lambda now: tick(now + ahead)), (lambda now: beat(now + ahead))
    engine.receive, engine.keep_house = (lambda request, now: receive(request, now + ahead)), (lambda now: keep_house(now + ahead))


@pytest.mark.parametrize("hours", [1, 0, -1])
@pytest.mark.parametrize("late", [False, True])
def test_a_request_keeps_its_deadline_when_an_engine_with_another_clock_leads(hours: int, late: bool) -> None:
    cluster = Cluster(1, link_stale_ms=FOR_EVER_MS, gateway_timeout_ms=FOR_EVER_MS)
    alice = desk(cluster, 0, "alice")
    end = cluster.link.ends[0]
    end.cut = True
    place(alice)
    put_forward(cluster, hours)
    patience = cluster.config.command_patience_ms
    cluster.now += (patience + 100 if late else patience - 1500) * MILLISECOND
    end.cut = False
    pass_time(cluster, 1200)
    heard = alice.hear()
    if late:
        assert [error.code for error in of_kind(heard, Error)] == [ErrorCode.TOO_LATE]
    else:
        assert [done.status for done in of_kind(heard, Done)] == ["open"]
    assert cluster.engine.exchange.order_count == (not late)


def test_no_more_requests_wait_than_may_and_each_is_told_what_became_of_it() -> None:
    cluster = Cluster(1, link_stale_ms=FOR_EVER_MS, unanswered_max=100)
    alice = desk(cluster, 0, "alice")
    alice.hear()
    end, forwarder = cluster.link.ends[0], cluster.gateways[0].sequencer
    end.cut = True
    for _ in range(130):
        place(alice)
        assert len(forwarder.sent_groups) <= UNDER_WAY_MAX
        assert forwarder.unanswered <= 100
    assert [error.code for error in of_kind(alice.hear(), Error)] == [ErrorCode.TOO_MANY_WAITING] * 30
    end.cut = False
    pass_time(cluster, 3000)
    assert len(of_kind(alice.hear(), Done)) == 100
    assert cluster.engine.exchange.order_count == 100
    assert forwarder.unanswered == 0
    assert of_kind(alice.ask(Place, "BTC-USD", "sell", 100, 5), Done)


def test_what_waits_for_too_long_is_told_that_nobody_knows_also_if_it_was_never_sent() -> None:
    cluster = Cluster(1, link_stale_ms=FOR_EVER_MS)
    alice = desk(cluster, 0, "alice")
    alice.hear()
    cluster.link.ends[0].cut = True
    for _ in range(UNDER_WAY_MAX + 10):
        place(alice)
    pass_time(cluster, 2 * cluster.config.command_patience_ms + 2000)
    assert [error.code for error in of_kind(alice.hear(), Error)] == [ErrorCode.OUTCOME_UNKNOWN] * (UNDER_WAY_MAX + 10)
    cluster.link.ends[0].cut = False
    pass_time(cluster, 5000)
    assert cluster.engine.exchange.order_count == 0
    assert of_kind(alice.ask(Place, "BTC-USD", "sell", 100, 5), Done)


def test_what_is_to_be_remembered_takes_room_for_what_it_comes_to_only() -> None:
    cluster = Cluster(1, link_stale_ms=FOR_EVER_MS)
    alice = desk(cluster, 0, "alice")
    end, gateway = cluster.link.ends[0], cluster.gateways[0]
    end.cut = True
    for number in range(5000):
        gateway.sequencer.remember(KeptAccount(number % 3), True)
        Gateway.tick(gateway, cluster.now)
    assert len(gateway.sequencer.gathering.entries) <= 2 * 3 + ENTRIES_AT_ONCE
    assert len(gateway.sequencer.sent_groups) == UNDER_WAY_MAX
    end.cut = False
    pass_time(cluster, 3000)
    assert gateway.sequencer.directory == cluster.engine.sequencer.directory
    assert of_kind(alice.ask(DeadMan, 300), Confirmed)


def test_what_waits_for_redis_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_gateway, "PENDING_BYTES_MAX", 1000)

    @run
    async def scene() -> None:
        end = RedisGatewayEnd(connect(f"unix://{tmp_path}/nobody"), keys_of("market"), lambda news: None, lambda term, position: False)
        request = OpenAccount("alice")
        for _ in range(10_000):
            end.send(request)
        assert 1000 < sum(map(len, end.pending)) <= 1000 + len(encode(request))
        await end.stop()
    scene()
