"""An engine and its gateways: what clients see of them, whatever is lost, doubled or late between them."""

import random

import pytest

from stream.commands.forwarded import ORIGINS_MAX, Forwarded, last_number
from stream.commands.forwarded import run as run_forwarded
from stream.commands.results import Results
from stream.wire.codes import ErrorCode
from stream.wire.frames import Book
from stream.wire.messages import CancelOnDisconnect, Confirmed, DeadMan, Done, Error, Login, Place, Stale, Subscribe, Subscribed
from tests.cluster.cluster import Cluster, state_of
from tests.setting import token
from tests.worlds import BOOK, Desk


def of_kind(messages, kind):
    return [message for message in messages if isinstance(message, kind)]


def desk(cluster: Cluster, number: int, subject: str) -> Desk:
    """A client of a gateway, signed in."""
    client = Desk(cluster.gateways[number])
    client.sign_in(subject)
    for _ in range(200):
        if client.session.subject == subject:
            return client
        cluster.step(100)
    raise AssertionError("not signed in")


def test_an_order_at_one_gateway_is_seen_at_another() -> None:
    cluster = Cluster()
    alice, bob = desk(cluster, 0, "alice"), desk(cluster, 1, "bob")
    bob.ask(Subscribe, [BOOK], 0, 0)
    [done] = of_kind(alice.ask(Place, "BTC-USD", "sell", 100, 5), Done)
    assert done.status == "open"
    cluster.step()
    [book] = of_kind(bob.hear(), Book)
    assert (book.asks, book.seq) == ([100, 5], done.seq)
    assert len({market.exchange.state_hash() for market in (cluster.engine, *cluster.gateways)}) == 1


def test_a_client_resumes_at_another_gateway_by_patch_also_at_one_that_is_behind() -> None:
    cluster = Cluster(3)
    alice = desk(cluster, 0, "alice")
    alice.ask(Subscribe, [BOOK], 0, 0)
    cluster.link.ends[2].cut = True
    alice.ask(Place, "BTC-USD", "sell", 100, 5)
    cluster.step()
    frame = of_kind(alice.heard + alice.hear(), Book)[-1]
    here, behind = Desk(cluster.gateways[1]), Desk(cluster.gateways[2])
    for client, reason in ((here, "current"), (behind, "ahead")):
        [answer] = of_kind(client.ask(Subscribe, [BOOK], 0, 0, resume={BOOK: (frame.epoch, frame.seq)}), Subscribed)
        assert (answer.channels[0].recovered, answer.channels[0].reason) == ("none", reason)
    cluster.link.ends[2].cut = False
    alice.ask(Place, "BTC-USD", "sell", 101, 5)
    for _ in range(60):
        cluster.step(50)
    for client in (here, behind):
        books = [book for book in of_kind(client.hear(), Book) if book.asks]
        assert [(book.prev, book.asks) for book in books] == [(frame.seq, [101, 5])]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_lost_or_doubled_each_request_runs_once(seed: int) -> None:
    chance = random.Random(seed)
    cluster = Cluster(3, chance=chance, command_patience_ms=60_000)
    clients = [desk(cluster, number, f"client{number}") for number in range(3)]
    cluster.link.faults = 0.15
    for client in clients:
        client.ask(Subscribe, [BOOK], 0, 0)
    requests = 0
    for _ in range(150):
        for client in clients:
            requests += 1
            side, price, size = chance.choice(("buy", "sell")), chance.randrange(90, 110), chance.randrange(1, 9)
            client.ask(Place, "BTC-USD", side, price, size, client_id=requests, key=requests)
        if not chance.randrange(20):
            cluster.link.snapshot = state_of(cluster.engine, cluster.now)
        end = chance.choice(cluster.link.ends)
        end.cut = not chance.randrange(8)
        cluster.step(chance.choice((1, 10, 300)))
    for end in cluster.link.ends:
        end.cut = False
    cluster.link.faults = 0
    cluster.link.snapshot = state_of(cluster.engine, cluster.now)
    for _ in range(40):
        cluster.step(200)
    assert len({market.exchange.state_hash() for market in (cluster.engine, *cluster.gateways)}) == 1
    cluster.engine.exchange.check()
    told = [message for client in clients for message in (client.hear(), client.heard)[1] if isinstance(message, Done | Error)]
    refused = sum(isinstance(message, Error) and message.code == ErrorCode.NO_ENGINE for message in told)
    assert len(told) == requests
    assert len(cluster.engine.sequencer.results) == requests - refused
    answers = {result.seq for result in cluster.engine.sequencer.results.values()}
    assert all(message.seq in answers for message in told if isinstance(message, Done))
    assert not any(gateway.stale_since for gateway in cluster.gateways)


def test_a_key_that_was_used_at_another_gateway_gets_the_same_answer() -> None:
    cluster = Cluster()
    one, two = desk(cluster, 0, "alice"), desk(cluster, 1, "alice")
    [first] = of_kind(one.ask(Place, "BTC-USD", "sell", 100, 5, key=9), Done)
    cluster.link.ends[1].cut = False
    [again] = of_kind(two.ask(Place, "BTC-USD", "sell", 100, 5, key=9), Done)
    assert (again.seq, again.order) == (first.seq, first.order)
    assert cluster.engine.exchange.order_count == 1


def test_a_key_that_is_under_way_at_two_gateways_runs_once() -> None:
    cluster = Cluster()
    one, two = desk(cluster, 0, "alice"), desk(cluster, 1, "alice")
    for client in (one, two):
        client.id += 1
        client.send(client.codec.encode(Place(client.id, "BTC-USD", "sell", 100, 5, key=9)))
        client.market.sequencer.advance(cluster.now)
    cluster.settle()
    [first], [second] = of_kind(one.hear(), Done), of_kind(two.hear(), Done)
    assert (first.seq, first.order) == (second.seq, second.order)
    assert cluster.engine.exchange.order_count == 1


def test_what_comes_too_late_is_not_carried_out_and_says_so() -> None:
    cluster = Cluster(1)
    alice = desk(cluster, 0, "alice")
    alice.id += 1
    alice.send(alice.codec.encode(Place(alice.id, "BTC-USD", "sell", 100, 5)))
    cluster.gateways[0].sequencer.advance(cluster.now)
    cluster.now += (cluster.config.command_patience_ms + 1) * 10**6
    cluster.settle()
    [refused] = of_kind(alice.hear(), Error)
    assert (refused.code, cluster.engine.exchange.order_count) == (ErrorCode.TOO_LATE, 0)


def test_a_gateway_without_an_engine_says_so_and_takes_no_orders() -> None:
    cluster = Cluster(1)
    alice = desk(cluster, 0, "alice")
    cluster.link.ends[0].cut = True
    cluster.step(cluster.config.link_stale_ms)
    assert of_kind(alice.hear(), Stale)[-1].since
    [refused] = of_kind(alice.ask(Place, "BTC-USD", "sell", 100, 5), Error)
    assert refused.code == ErrorCode.NO_ENGINE
    stranger = Desk(cluster.gateways[0])
    assert [error.code for error in of_kind(stranger.ask(Login, token("carol", cluster.now)), Error)] == [ErrorCode.NO_ENGINE]
    cluster.link.ends[0].cut = False
    for _ in range(20):
        cluster.step(100)
    assert of_kind(alice.hear(), Stale)[-1].since == 0
    assert of_kind(alice.ask(Place, "BTC-USD", "sell", 100, 5), Done)


def test_who_waits_for_an_engine_that_does_not_come_back_is_told_that_nobody_knows() -> None:
    cluster = Cluster(1)
    alice = desk(cluster, 0, "alice")
    cluster.link.ends[0].cut = True
    alice.id += 1
    alice.send(alice.codec.encode(Place(alice.id, "BTC-USD", "sell", 100, 5)))
    for _ in range(30):
        cluster.step(500)
    [refused] = of_kind(alice.hear(), Error)
    assert refused.code == ErrorCode.OUTCOME_UNKNOWN


def test_the_orders_of_a_gateway_that_is_gone_are_cancelled_as_their_owners_asked() -> None:
    cluster = Cluster()
    alice, bob = desk(cluster, 0, "alice"), desk(cluster, 0, "bob")
    for client in (alice, bob):
        assert of_kind(client.ask(Place, "BTC-USD", "sell", 100, 5), Done)
    assert of_kind(alice.ask(CancelOnDisconnect, "session", 200), Confirmed)
    [gone] = cluster.gateways[:1]
    cluster.link.ends[0].cut = True
    cluster.gateways.remove(gone)
    for _ in range(12):
        cluster.step(cluster.config.gateway_timeout_ms // 10)
    assert cluster.engine.exchange.order_count == 1
    assert cluster.gateways[0].exchange.state_hash() == cluster.engine.exchange.state_hash()


def test_a_dead_man_timer_is_kept_up_from_any_gateway() -> None:
    cluster = Cluster()
    one, two = desk(cluster, 0, "alice"), desk(cluster, 1, "alice")
    one.ask(Place, "BTC-USD", "sell", 100, 5)
    one.ask(DeadMan, 300)
    for _ in range(5):
        cluster.step(200)
        two.ask(DeadMan, 300)
    assert cluster.engine.exchange.order_count == 1
    for _ in range(3):
        cluster.step(200)
    assert cluster.engine.exchange.order_count == 0


def test_origins_are_forgotten_in_the_order_of_their_last_group() -> None:
    exchange, directory = Cluster(0).engine.exchange, {}
    for origin in range(ORIGINS_MAX + 5):
        run_forwarded(exchange, directory, Results(), Forwarded(origin, 1, b"", [], []), 1)
        run_forwarded(exchange, directory, Results(), Forwarded(0, origin + 2, b"", [], []), 1)
    assert len(directory) == ORIGINS_MAX
    assert last_number(directory, 0) == ORIGINS_MAX + 6
    assert (last_number(directory, 5), last_number(directory, ORIGINS_MAX)) == (0, 1)
