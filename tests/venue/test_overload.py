"""More requests than the market can carry out: what is over the limits is refused at once, and the rest waits no longer than the limits allow."""

import random
from collections import Counter

import pytest

from stream.wire.codes import ErrorCode
from stream.wire.messages import Cancel, Done, Error, Ping, Place, Pong
from tests.journal.fake_disk import FakeDisk
from tests.market.journaled import start
from tests.setting import CONFIG, START
from tests.sockets import RawClient, run, serving
from tests.waiting import until
from tests.worlds import MILLISECOND, Desk, QuietMarket

UNDER_WAY, UNANSWERED = 20, 100
UNLIMITED = dict.fromkeys(("messages_per_s", "messages_burst", "orders_per_s", "orders_burst"), 1 << 30)


def codes(desk: Desk) -> list[int]:
    return [message.code for message in desk.hear() if isinstance(message, Error)]


def test_a_connection_has_no_more_under_way_than_it_may() -> None:
    market = QuietMarket(under_way_max=3)
    alice, bob = Desk(market).sign_in("alice"), Desk(market).sign_in("bob")
    for number in range(5):
        alice.put(Place, "BTC-USD", "buy", 100, 1, client_id=number + 1)    # nothing is answered before the market ticks
    bob.put(Place, "BTC-USD", "buy", 100, 1)
    assert codes(alice) == [ErrorCode.TOO_MANY_WAITING] * 2
    assert (alice.session.under_way, bob.session.under_way, market.traffic.unanswered) == (3, 1, 4)
    market.tick(market.now)
    assert [type(message) for message in alice.hear()] == [Done] * 3
    assert (alice.session.under_way, market.traffic.unanswered, market.exchange.order_count) == (0, 0, 4)
    assert isinstance(alice.ask(Cancel, client_id=1)[0], Done)
    assert market.limits.hit == {"under_way_max": 2}


def test_all_have_no_more_under_way_than_they_may_but_one_each() -> None:
    market = QuietMarket(unanswered_max=3)
    alice, bob, carol = (Desk(market).sign_in(name) for name in ("alice", "bob", "carol"))
    for desk in (alice, alice, alice, alice, bob, bob):    # bob's first one comes when there is no room, and is taken: he has none
        desk.put(Place, "BTC-USD", "buy", 100, 1)
    assert codes(alice) == codes(bob) == [ErrorCode.TOO_MANY_WAITING]
    assert isinstance(carol.ask(Ping)[0], Pong)
    assert (market.traffic.unanswered, market.exchange.order_count) == (0, 4)
    alice.ask(Place, "BTC-USD", "buy", 100, 1)
    assert market.exchange.order_count == 5
    assert market.limits.hit == {"unanswered_max": 2}


@pytest.mark.parametrize("seed", range(5))
def test_nobody_waits_long_however_much_comes(seed: int) -> None:
    """Ten times what the disk takes. Each group takes a step of time; who waits for an answer waits for two of them, the one under way and his own."""
    chance = random.Random(seed)
    history, journal = start(FakeDisk(chance), CONFIG, START)
    market = QuietMarket(history, journal, under_way_max=UNDER_WAY, unanswered_max=UNANSWERED, **UNLIMITED)
    greedy = [Desk(market) for _ in range(30)]
    modest = Desk(market)
    for number, desk in enumerate([*greedy, modest]):
        desk.sign_in(f"user{number}")
        journal.sync()
        market.tick(market.now)
        journal.sync()
        market.tick(market.now)
        desk.hear()
    sent: dict[tuple[Desk, int], int] = {}
    answers: Counter[str] = Counter()

    def hear(desk: Desk) -> None:
        for message in desk.hear():
            waited = market.now - sent.pop((desk, message.id))
            assert isinstance(message, Done) or message.code == ErrorCode.TOO_MANY_WAITING
            assert waited <= 2 * MILLISECOND if isinstance(message, Done) else not waited, "a refusal comes at once"
            answers[type(message).__name__] += 1

    for _ in range(40):
        for desk in chance.sample(greedy, len(greedy)):
            for _ in range(chance.randrange(70)):
                desk.put(Place, "BTC-USD", "buy", 100, 1, post_only=True)
                sent[desk, desk.id] = market.now
            assert desk.session.under_way <= UNDER_WAY
            hear(desk)
        modest.put(Place, "BTC-USD", "buy", 100, 1, post_only=True)
        sent[modest, modest.id] = market.now
        hear(modest)
        assert modest.session.under_way <= 2
        assert market.traffic.unanswered <= UNANSWERED + len(greedy) + 1
        market.now += MILLISECOND
        journal.sync()
        market.tick(market.now)
        for desk in [*greedy, modest]:
            hear(desk)
            assert not desk.session.closed
    for _ in range(2):
        market.now += MILLISECOND
        journal.sync()
        market.tick(market.now)
        for desk in [*greedy, modest]:
            hear(desk)
    assert not sent
    assert not market.traffic.unanswered
    assert answers["Done"] == market.exchange.order_count
    assert answers["Error"] > answers["Done"] > 1000


@run
async def test_what_waits_for_its_turn_is_under_way_too() -> None:
    """A bunch in one write: no more than may be under way waits for a later turn, and nothing counts any more when the connection is gone."""
    async with serving(under_way_max=30, **UNLIMITED) as server:
        client, _ = await RawClient.open(server.port, "Sec-WebSocket-Protocol: deltabook.v1.msgpack\r\n")
        await client.message()
        session = next(iter(server.connections))
        for id in range(1, 501):
            client.send(Ping(id))
        answers = [await client.message() for _ in range(500)]
        assert sorted(answer.id for answer in answers) == list(range(1, 501))
        pongs = [answer.id for answer in answers if isinstance(answer, Pong)]
        assert pongs == sorted(pongs)
        assert len(pongs) >= 30
        assert {answer.code for answer in answers if isinstance(answer, Error)} == {ErrorCode.TOO_MANY_WAITING}
        assert (session.under_way, server.venue.traffic.unanswered) == (0, 0)    # type: ignore[attr-defined]
        assert server.venue.limits.hit["under_way_max"] == 500 - len(pongs)
        for id in range(500):
            client.send(Ping(id))
        client.close()
        await until(lambda: not server.connections)
        assert server.venue.traffic.unanswered == 0
