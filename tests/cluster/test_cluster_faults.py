"""What clients of gateways are promised when the engine, its disk, its clock or the way to it fails."""

import pytest

from stream.cluster.engine import Engine
from stream.cluster.gateway import Gateway
from stream.cluster.messages import decode_news
from stream.cluster.replica import BEATS, Replica
from stream.journal import snapshots
from stream.market.history import History
from stream.wire.codes import ErrorCode
from stream.wire.messages import Cancel, CancelOnDisconnect, Confirmed, DeadMan, Done, Error, Place
from tests.cluster.cluster import KEYS, Cluster, state_of
from tests.cluster.memory_link import heard_whole
from tests.cluster.test_cluster import desk, of_kind
from tests.worlds import Desk


def leave(client: Desk) -> None:
    """The connection is gone."""
    client.market.disconnect(client.session, client.market.now)


def pass_time(cluster: Cluster, milliseconds: int) -> None:
    """Let time pass, with beats."""
    for _ in range(milliseconds // 200):
        cluster.step(200)


def test_orders_that_were_guarded_are_cancelled_though_the_engine_was_away_when_their_client_left() -> None:
    cluster = Cluster()
    alice = desk(cluster, 0, "alice")
    alice.ask(CancelOnDisconnect, "connection", 0)
    assert of_kind(alice.ask(Place, "BTC-USD", "sell", 100, 5), Done)
    cluster.link.ends[0].cut = True
    leave(alice)
    pass_time(cluster, cluster.config.command_patience_ms + 1000)
    cluster.link.ends[0].cut = False
    pass_time(cluster, 3000)
    assert cluster.engine.exchange.order_count == 0


def test_an_order_that_was_under_way_when_its_guarded_connection_ended_is_cancelled() -> None:
    cluster = Cluster()
    alice = desk(cluster, 0, "alice")
    alice.ask(CancelOnDisconnect, "connection", 0)
    alice.send(alice.codec.encode(Place(9, "BTC-USD", "sell", 100, 5)))
    leave(alice)
    pass_time(cluster, 1000)
    assert cluster.engine.exchange.order_count == 0


def test_who_is_back_and_guarded_at_another_gateway_keeps_the_orders_when_the_first_is_found_gone() -> None:
    cluster = Cluster()
    alice = desk(cluster, 0, "alice")
    alice.ask(Place, "BTC-USD", "sell", 100, 5)
    assert of_kind(alice.ask(CancelOnDisconnect, "session", 300), Confirmed)
    cluster.link.ends[0].cut = True
    del cluster.gateways[0]
    again = desk(cluster, 0, "alice")
    assert of_kind(again.ask(CancelOnDisconnect, "session", 300), Confirmed)
    pass_time(cluster, cluster.config.gateway_timeout_ms + 2000)
    assert cluster.engine.exchange.order_count == 1
    leave(again)
    pass_time(cluster, 1000)
    assert cluster.engine.exchange.order_count == 0


def replaced(cluster: Cluster, data: bytes) -> Engine:
    """Another leader, which knows no more than a snapshot."""
    state = snapshots.decode(data, "")
    history = History(state.exchange, state.directory, state.results, state.epoch, state.time, cluster.engine.feed)
    cluster.term += 1
    return Engine(cluster.config, KEYS, (), cluster.now, history, None, state.seq, state.seq, cluster.term, cluster.link.publish)


def test_a_gateway_goes_on_after_the_end_of_the_history_was_lost() -> None:
    cluster = Cluster()
    alice, bob = desk(cluster, 0, "alice"), desk(cluster, 1, "bob")
    old = state_of(cluster.engine, cluster.now)
    for price in range(100, 105):
        assert of_kind(alice.ask(Place, "BTC-USD", "sell", price, 5), Done)
    cluster.engine = replaced(cluster, old.data)
    cluster.engine.tick(cluster.now)
    cluster.link.kept.clear()
    cluster.link.snapshot = state_of(cluster.engine, cluster.now)
    pass_time(cluster, 4000)
    for client in (alice, bob):
        assert of_kind(client.ask(Place, "BTC-USD", "sell", 200, 5), Done)
    assert len({market.exchange.state_hash() for market in (cluster.engine, *cluster.gateways)}) == 1


@pytest.mark.parametrize("hours", [1, -1])
def test_the_clocks_of_engine_and_gateways_may_differ(hours: int) -> None:
    cluster = Cluster(1)
    engine, ahead = cluster.engine, hours * 3600 * 10**9
    tick, beat, receive = engine.tick, engine.beat, engine.receive
    engine.tick, engine.beat = (lambda now: tick(now + ahead)), (lambda now: beat(now + ahead))
    engine.receive = lambda request, now: receive(request, now + ahead)
    pass_time(cluster, 200 * BEATS)
    alice = desk(cluster, 0, "alice")
    assert of_kind(alice.ask(Place, "BTC-USD", "sell", 100, 5), Done)
    alice.ask(DeadMan, 5000)
    pass_time(cluster, 4000)
    assert engine.exchange.order_count == 1
    pass_time(cluster, 2000)
    assert engine.exchange.order_count == 0


class FullDisk:
    """A journal that has no room left but for what makes the books smaller."""

    durable, failure, low, last = 1 << 62, None, False, 1

    def append(self, kind: object, payload: object, time: int) -> int:
        self.last += 1
        return self.last


def test_what_cancels_is_carried_out_though_the_engines_disk_is_nearly_full() -> None:
    cluster = Cluster(1)
    alice = desk(cluster, 0, "alice")
    [done] = of_kind(alice.ask(Place, "BTC-USD", "sell", 100, 5), Done)
    journal = FullDisk()
    journal.last, journal.low = cluster.engine.shipper.last, True
    cluster.engine.shipper.journal = journal
    for request in (Place(11, "BTC-USD", "sell", 101, 5), Cancel(12, done.order)):
        alice.send(alice.codec.encode(request))
    Gateway.tick(cluster.gateways[0], cluster.now)
    cluster.settle()
    heard = alice.hear()
    assert [error.code for error in of_kind(heard, Error)] == [ErrorCode.DISK_NEARLY_FULL]
    assert [each.status for each in of_kind(heard, Done)] == ["cancelled"]
    assert cluster.engine.exchange.order_count == 0


def test_a_gateway_that_begins_is_stale_until_it_has_the_log_behind_the_snapshot_however_long_that_takes() -> None:
    cluster = Cluster(1)
    alice = desk(cluster, 0, "alice")
    for price in range(100, 110):
        alice.ask(Place, "BTC-USD", "sell", price, 5)
    asked: list[int] = []
    replica = Replica(cluster.config, lambda: asked.append(cluster.now), cluster.now)
    assert cluster.link.snapshot
    replica.receive(heard_whole(cluster.link.snapshot), cluster.now)
    log = [batch for position, batch in cluster.link.kept if position > cluster.link.snapshot.position]
    assert len(log) >= 10
    for batch in log:
        cluster.step(400)
        replica.receive(cluster.engine.beat(cluster.now), cluster.now)
        assert replica.stale(cluster.now)
        replica.receive(decode_news(batch), cluster.now)
    replica.receive(cluster.engine.beat(cluster.now), cluster.now)
    assert not replica.stale(cluster.now)
    assert asked == []
