"""Where an own order is in its queue: the naive twin's answer, at a market, its gateways and relays."""

from random import Random

import pytest

from engine import Commands, Phase, Side
from stream import connect
from stream.client.errors import RequestRefused
from stream.wire.administration import SetPhase
from stream.wire.codes import ErrorCode
from stream.wire.messages import Cancel, Done, Error, Place, Subscribe
from stream.wire.mirror import ByOrderMirror
from stream.wire.queue_position import AskQueuePosition, QueuePosition
from tests.cluster.cluster import Cluster
from tests.cluster.test_cluster import desk as desk_at
from tests.cluster.test_cluster import of_kind
from tests.engine.random_flow import RandomFlow, new_exchange, new_oracle
from tests.feed.test_by_order import channels_of, feed_of
from tests.relay.test_relay import Chain
from tests.setting import CONFIG, token
from tests.sockets import run, serving
from tests.worlds import Desk, QuietMarket

NAME = "BTC-USD"
CHANNEL = f"market_by_order:{NAME}"


def position(desk: Desk, order: int) -> QueuePosition:
    (found,) = of_kind(desk.ask(AskQueuePosition, order), QueuePosition)
    return found    # type: ignore[no-any-return]


def refusal(desk: Desk, order: int) -> ErrorCode:
    (found,) = of_kind(desk.ask(AskQueuePosition, order), Error)
    return ErrorCode(found.code)


def placed(desk: Desk, side: str, price: int, size: int, *fields: object) -> int:
    (done,) = of_kind(desk.ask(Place, NAME, side, price, size, *fields), Done)
    return done.order    # type: ignore[no-any-return]


@pytest.mark.parametrize("seed", range(4))
def test_the_places_are_the_twins(seed: int) -> None:
    """Every order's, or now and then one's, so that what was asked about is forgotten and asked about again."""
    random = Random(seed)
    oracle, exchange = new_oracle(seed), new_exchange(seed)
    flow, feed, asked = RandomFlow(seed, oracle), feed_of(exchange), 0
    for step in range(700):
        group = Commands()
        for _ in range(random.choice((1, 2, 9))):
            command = flow.next()
            group.extend(command.packed())
            flow.saw(oracle.run(command))
        exchange.execute(group)
        feed.apply(exchange.clock)
        for index, channel in enumerate(channels_of(feed)):
            if oracle.terms[index].collecting or random.random() < 0.5:
                continue
            for side in Side:
                orders = ahead = price = 0
                for order in oracle.resting(index, side):
                    if order.price != price:
                        orders = ahead = 0
                        price = order.price
                    if step % 50 == 0 or random.random() < 0.2:
                        number, *place = feed.queue_position(index, order.order) or (0,)
                        assert place == [orders, ahead]
                        assert number == feed.public_orders.number(order.order)
                        asked += 1
                    orders, ahead = orders + 1, ahead + order.shown
            channel.log.queues.check()
    assert asked > 500


def test_who_follows_the_number_knows_the_place() -> None:
    market = QuietMarket()
    other, own, watcher = Desk(market).sign_in("alice"), Desk(market).sign_in("bob"), Desk(market)
    first = placed(other, "buy", 90, 5)
    placed(other, "buy", 90, 9, "limit", "gtc", False, 0, False, False, 0, 2)    # an iceberg shows 2
    order = placed(own, "buy", 90, 7)
    mirror = ByOrderMirror(CHANNEL)
    for frame in watcher.ask(Subscribe, [CHANNEL])[1:]:
        mirror.receive(frame)
    found = position(own, order)
    assert (found.instrument, found.side, found.price, found.size, found.orders_ahead, found.size_ahead) == (NAME, "buy", 90, 7, 2, 7)
    assert found.seq == mirror.seq
    assert mirror.queues.place(found.number) == (2, 7)
    other.ask(Cancel, first)
    for frame in watcher.hear():
        mirror.receive(frame)
    assert mirror.queues.place(found.number) == (1, 2)
    assert position(own, order).orders_ahead == 1


def test_what_has_no_place_is_refused() -> None:
    market = QuietMarket()
    alice, bob, root = Desk(market).sign_in("alice"), Desk(market).sign_in("bob"), Desk(market).sign_in("root", "admin")
    order = placed(bob, "buy", 90, 5)
    assert refusal(alice, order) is ErrorCode.UNKNOWN_ORDER
    assert refusal(alice, 0) is ErrorCode.UNKNOWN_ORDER
    assert refusal(root, order) is ErrorCode.MISSING_SCOPE
    assert refusal(Desk(market), order) is ErrorCode.NOT_SIGNED_IN
    stop = placed(bob, "buy", 0, 5, "stop", "gtc", False, 0, False, False, 300)
    assert refusal(bob, stop) is ErrorCode.NOT_QUEUED
    root.ask(SetPhase, NAME, "auction")
    assert market.exchange.books[0].phase == Phase.AUCTION
    assert refusal(bob, order) is ErrorCode.NOT_QUEUED
    root.ask(SetPhase, NAME, "trading")
    assert position(bob, order).orders_ahead == 0


def test_gateways_answer_as_the_engine_does_and_relays_refuse() -> None:
    cluster = Cluster()
    desks = [desk_at(cluster, gateway, "alice") for gateway in range(2)]
    for size in (5, 6):
        desks[0].put(Place, NAME, "buy", 90, size)
        cluster.step(500)
    *_, order = [done.order for done in of_kind(desks[0].hear(), Done)]
    found = [position(desk, order) for desk in desks]
    assert [(each.orders_ahead, each.size_ahead, each.number) for each in found] == [(1, 5, found[0].number)] * 2
    chain = Chain()
    assert refusal(chain.listener(1), order) is ErrorCode.PUBLIC_ONLY


@run
async def test_the_client_reads_it_in_decimals() -> None:
    async with serving(CONFIG) as server, connect(f"ws://127.0.0.1:{server.port}/v1", token("alice", server.clock.now())) as client:
        orders = [await client.place(NAME, "buy", "9.0", size) for size in ("5", "6")]
        found = await client.queue_position(orders[1])
        assert (found.orders_ahead, found.size_ahead_lots) == (1, orders[0].remaining_lots)
        assert found.size_ahead == orders[0].remaining
        book = await client.market_by_order(NAME)
        assert book.place(found.number) == (1, found.size_ahead_lots)
        with pytest.raises(RequestRefused, match="no such open order"):
            await client.queue_position(0)
