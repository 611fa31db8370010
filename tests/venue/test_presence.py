"""Who is where: guards over all gateways of a market, and in every order in which a connection can be lost."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from stream.cluster.engine import Engine
from stream.commands.directory import (
    ChannelStates,
    DeadManTimer,
    Directory,
    DirectoryKey,
    EndedConnection,
    GracePeriod,
    GuardedConnection,
    Present,
)
from stream.journal import snapshots
from stream.market.history import History
from stream.venue.safeguards import Deadlines
from stream.wire.codes import ErrorCode
from stream.wire.messages import CancelOnDisconnect, Confirmed, DeadMan, Done, Error, Logout, Place
from stream.wire.times import NEVER
from tests.cluster.cluster import KEYS, Cluster, state_of
from tests.worlds import MILLISECOND, Desk, QuietMarket

SAFEGUARDS = GuardedConnection | GracePeriod | Present | EndedConnection | DeadManTimer


def left(directory: Directory) -> list[DirectoryKey]:
    """What is remembered of guards and of who is there."""
    return [key for key in directory if isinstance(key, SAFEGUARDS)]


def sign_in(cluster: Cluster, number: int, subject: str = "alice") -> Desk:
    desk = Desk(cluster.gateways[number])
    desk.sign_in(subject)
    for _ in range(50):
        if desk.session.subject:
            cluster.step()
            return desk
        cluster.step(20)
    raise TimeoutError(subject)


def lose(cluster: Cluster, desk: Desk) -> None:
    desk.market.disconnect(desk.session, cluster.now)
    cluster.step()


def pass_time(cluster: Cluster, milliseconds: int) -> None:
    for _ in range(milliseconds // 100):
        cluster.step(100)


def place(desk: Desk) -> None:
    assert isinstance(desk.ask(Place, "BTC-USD", "buy", 100, 1)[0], Done)


@pytest.mark.parametrize("grace", [0, 1000])
@pytest.mark.parametrize("other_is_guarded", [False, True])
def test_a_session_goes_on_at_another_gateway(grace: int, other_is_guarded: bool) -> None:
    cluster = Cluster(2)
    one, other = sign_in(cluster, 0), sign_in(cluster, 1)
    place(other)
    one.ask(CancelOnDisconnect, "session", grace)
    if other_is_guarded:
        other.ask(CancelOnDisconnect, "session", grace)
    cluster.step()
    lose(cluster, one)
    pass_time(cluster, 3000)
    assert cluster.engine.exchange.order_count == 1
    lose(cluster, other)
    pass_time(cluster, 3000)
    assert cluster.engine.exchange.order_count == (0 if other_is_guarded else 1), "the last to go decides"
    assert left(cluster.engine.sequencer.directory) == []


def test_who_comes_back_at_another_gateway_keeps_the_orders() -> None:
    cluster = Cluster(2)
    one = sign_in(cluster, 0)
    one.ask(CancelOnDisconnect, "session", 1000)
    place(one)
    lose(cluster, one)
    pass_time(cluster, 800)
    other = sign_in(cluster, 1)
    pass_time(cluster, 3000)
    assert cluster.engine.exchange.order_count == 1
    other.ask(CancelOnDisconnect, "session", 1000)
    lose(cluster, other)
    pass_time(cluster, 1200)
    assert cluster.engine.exchange.order_count == 0


def test_who_has_logged_out_is_not_there() -> None:
    for gateways in (1, 2):
        cluster = Cluster(gateways)
        one, other = sign_in(cluster, 0), sign_in(cluster, gateways - 1)
        place(one)
        one.ask(CancelOnDisconnect, "session", 500)
        other.ask(Logout)
        cluster.step()
        lose(cluster, one)
        pass_time(cluster, 1000)
        assert cluster.engine.exchange.order_count == 0


@pytest.mark.parametrize("scope", ["session", "connection"])
def test_a_gateway_that_dies_takes_its_connections_along(scope: str) -> None:
    cluster = Cluster(2, gateway_timeout_ms=1000)
    one, other = sign_in(cluster, 0), sign_in(cluster, 1)
    one.ask(CancelOnDisconnect, scope, 500)
    other.ask(CancelOnDisconnect, "session", 500)
    place(one)
    beat_of(cluster, 1)
    lose(cluster, other)
    pass_time(cluster, 700)
    assert cluster.engine.exchange.order_count == 1, "the first gateway has the account"
    for _ in range(30):    # now it is dead
        beat_of(cluster, 1)
        cluster.step(100)
        cluster.link.ends[0].cut = True
    assert cluster.engine.exchange.order_count == 0
    assert left(cluster.engine.sequencer.directory) == []


def beat_of(cluster: Cluster, number: int) -> None:
    cluster.engine.receive(cluster.gateways[number].status("", cluster.now), cluster.now)


def test_a_gateway_that_was_unreachable_says_again_who_is_there() -> None:
    cluster = Cluster(2, gateway_timeout_ms=1000)
    one, other = sign_in(cluster, 0), sign_in(cluster, 1)
    one.ask(CancelOnDisconnect, "session", 10_000)
    other.ask(CancelOnDisconnect, "session", 500)
    place(one)
    before = set(left(cluster.engine.sequencer.directory))
    cluster.link.ends[0].cut = True
    for _ in range(15):
        beat_of(cluster, 1)
        cluster.step(100)
    ended = EndedConnection(0, 100, one.session.number)    # nobody knows yet whether the other one goes later
    assert set(left(cluster.engine.sequencer.directory)) == {key for key in before if key.origin != 100} | {ended}
    cluster.link.ends[0].cut = False
    cluster.link.ends[0].ask()
    for _ in range(30):
        beat_of(cluster, 0)
        beat_of(cluster, 1)
        cluster.link.snapshot = state_of(cluster.engine, cluster.now)
        cluster.step(100)
    assert set(left(cluster.engine.sequencer.directory)) == before
    lose(cluster, other)
    pass_time(cluster, 900)
    assert cluster.engine.exchange.order_count == 1
    lose(cluster, one)
    for _ in range(110):
        cluster.step(100)
    assert cluster.engine.exchange.order_count == 0


@pytest.mark.parametrize("known_before_the_end", [False, True])
def test_a_guarded_order_that_ran_unseen_ends_with_its_connection(known_before_the_end: bool) -> None:
    cluster = Cluster(1, command_patience_ms=500)
    desk, end = sign_in(cluster, 0), cluster.link.ends[0]
    desk.ask(CancelOnDisconnect, "connection")
    desk.put(Place, "BTC-USD", "buy", 100, 1)
    deliver, end.deliver = end.deliver, lambda count=0: None    # the engine's answers are late
    pass_time(cluster, 3000)
    assert [reply.code for reply in desk.hear() if isinstance(reply, Error)] == [ErrorCode.OUTCOME_UNKNOWN]
    assert cluster.engine.exchange.order_count == 1
    if not known_before_the_end:
        lose(cluster, desk)
    end.deliver = deliver
    pass_time(cluster, 1000)
    if known_before_the_end:
        lose(cluster, desk)
    pass_time(cluster, 1000)
    assert cluster.engine.exchange.order_count == 0
    assert left(cluster.engine.sequencer.directory) == []


def take_over(cluster: Cluster) -> None:
    """Have another engine lead, from what the one before has on disk."""
    state = snapshots.decode(b"".join(cluster.engine.pieces(cluster.now)), "test")
    feed = cluster.engine.feed
    state.directory.pop(ChannelStates(), None)
    cluster.term += 1
    position = cluster.engine.position
    history = History(state.exchange, state.directory, state.results, state.epoch, state.time, feed)
    cluster.engine = Engine(cluster.config, KEYS, (), cluster.now, history, None, position, position, cluster.term, cluster.link.publish)


@pytest.mark.parametrize("lost", [False, True])
def test_another_engine_knows_who_is_there(lost: bool) -> None:
    cluster = Cluster(2)
    one, other = sign_in(cluster, 0), sign_in(cluster, 1)
    one.ask(CancelOnDisconnect, "session", 500)
    other.ask(CancelOnDisconnect, "session", 500)
    place(one)
    take_over(cluster)
    lose(cluster, one)
    if lost:
        lose(cluster, other)
    pass_time(cluster, 2000)
    assert cluster.engine.exchange.order_count == (0 if lost else 1)


@pytest.mark.parametrize("then", ["is heard again", "is heard again by another engine", "is given up"])
@pytest.mark.parametrize("last", ["guarded", "other"])
def test_the_last_to_go_decides_though_another_process_is_heard_late(last: str, then: str) -> None:
    cluster = Cluster(2, gateway_timeout_ms=3000)
    other, guarded = sign_in(cluster, 0), sign_in(cluster, 1)
    guarded.ask(CancelOnDisconnect, "session")
    place(guarded)
    cluster.link.ends[0].cut = True
    for desk in (other, guarded) if last == "guarded" else (guarded, other):
        lose(cluster, desk)
        cluster.step(100)
    assert cluster.engine.exchange.order_count == 1, "the first gateway has the account, as far as the engine knows"
    if then == "is heard again by another engine":
        take_over(cluster)
    if then != "is given up":
        cluster.link.ends[0].cut = False
        cluster.link.ends[0].ask()
    for _ in range(50):
        for number in range(2) if then != "is given up" else (1,):
            beat_of(cluster, number)
        cluster.link.snapshot = state_of(cluster.engine, cluster.now)
        cluster.step(100)
    assert left(cluster.engine.sequencer.directory) == []
    # another engine has not seen in which order they went, nor does anybody know when a process that is given up lost its connections: the guard counts
    assert cluster.engine.exchange.order_count == (last == "other" and then == "is heard again")


@pytest.mark.parametrize("grace", [0, 5000])
@pytest.mark.parametrize("last", ["guarded", "other"])
def test_a_sign_in_that_is_heard_late_is_no_return(last: str, grace: int) -> None:
    cluster = Cluster(2)
    guarded = sign_in(cluster, 1)
    guarded.ask(CancelOnDisconnect, "session", grace)
    place(guarded)
    cluster.link.ends[0].cut = True
    other = sign_in(cluster, 0)
    for desk in (other, guarded) if last == "guarded" else (guarded, other):
        lose(cluster, desk)
        cluster.step(100)
    cluster.link.ends[0].cut = False
    cluster.link.ends[0].ask()
    for _ in range(70):
        cluster.link.snapshot = state_of(cluster.engine, cluster.now)
        cluster.step(100)
    assert left(cluster.engine.sequencer.directory) == []
    assert cluster.engine.exchange.order_count == (last == "other" and grace > 0), "without a grace period nobody could know of the other in time"


def test_who_signs_in_elsewhere_after_the_end_of_a_guarded_connection_is_back() -> None:
    cluster = Cluster(3)
    other, guarded = sign_in(cluster, 0), sign_in(cluster, 1)
    guarded.ask(CancelOnDisconnect, "session", 0)
    place(guarded)
    lose(cluster, guarded)
    cluster.step()
    back = sign_in(cluster, 2)
    assert not any(isinstance(key, EndedConnection) for key in cluster.engine.sequencer.directory)
    lose(cluster, back)
    lose(cluster, other)
    pass_time(cluster, 1000)
    assert cluster.engine.exchange.order_count == 1, "it did not guard them again"
    assert left(cluster.engine.sequencer.directory) == []


def test_what_follows_from_the_end_of_a_connection_is_done_by_the_next_engine() -> None:
    market = QuietMarket()
    desk = Desk(market).sign_in("alice")
    place(desk)
    market.sequencer.directory[EndedConnection(0, 7, 1)] = 500 * MILLISECOND
    deadlines = Deadlines(market.sequencer)
    deadlines.recover(market.now, alone=False)
    assert deadlines.next == market.now + 500 * MILLISECOND
    market.tick(market.now)
    assert left(market.sequencer.directory) == [GracePeriod(0)]


def test_a_market_that_was_one_of_many_processes_takes_them_for_gone() -> None:
    market = QuietMarket()
    desk = Desk(market).sign_in("alice")
    place(desk)
    market.sequencer.directory |= {Present(0, 7): True, GuardedConnection(0, 7, 1): 500 * MILLISECOND}
    market.deadlines = Deadlines(market.sequencer)
    market.deadlines.recover(market.now)
    market.pass_time(600)
    assert market.exchange.order_count == 0
    assert left(market.sequencer.directory) == []


# What a client and its connection do, in every order. "tick" is when the group that gathers is on disk.

def guard_session(desk: Desk) -> None:
    desk.put(CancelOnDisconnect, "session", 1000)


def guard_connection(desk: Desk) -> None:
    desk.put(CancelOnDisconnect, "connection")


def place_one(desk: Desk) -> None:
    desk.put(Place, "BTC-USD", "buy", 100, 1)


def place_another(desk: Desk) -> None:
    desk.put(Place, "BTC-USD", "buy", 99, 1)


def log_out(desk: Desk) -> None:
    desk.put(Logout)


def withdraw(desk: Desk) -> None:
    desk.put(CancelOnDisconnect, "off")


def tick(desk: Desk) -> None:
    desk.market.tick(desk.market.now)


STEPS: list[Callable[[Desk], None]] = [guard_session, guard_connection, place_one, place_another, log_out, withdraw, tick]


def expected_open(steps: tuple[Callable[[Desk], None], ...]) -> int:
    """How many orders are left, when the connection is lost behind these steps and nobody comes back: the rule in the plainest words."""
    scope, mine, others, signed_in = "off", 0, 0, True
    for step in steps:
        if step in (guard_session, guard_connection, withdraw) and signed_in:
            others, mine = others + mine, 0
            scope = {guard_session: "session", guard_connection: "connection", withdraw: "off"}[step]
        elif step in (place_one, place_another) and signed_in:
            mine += scope == "connection"
            others += scope != "connection"
        elif step is log_out:
            signed_in, scope = False, "off"
            others, mine = others + mine, 0
    return {"off": mine + others, "connection": others, "session": 0}[scope]


@pytest.mark.parametrize("through", ["one process", "a gateway"])
def test_no_guard_is_left_whatever_came_before_the_end(through: str) -> None:
    orders = [*itertools.product(STEPS, repeat=2)]
    if through == "one process":
        orders = [*itertools.product(STEPS, repeat=3), *itertools.product(STEPS[:4], repeat=4)]
    for steps in orders:
        cluster = Cluster(1) if through == "a gateway" else None
        market: Any = cluster.gateways[0] if cluster else QuietMarket()
        desk = sign_in(cluster, 0) if cluster else Desk(market).sign_in("alice")
        for step in steps:
            step(desk)
        market.disconnect(desk.session, market.now)    # before the tick
        if cluster:
            pass_time(cluster, 1500)
        else:
            market.pass_time(1500)
        engine = cluster.engine if cluster else market
        names = [step.__name__ for step in steps]
        assert left(engine.sequencer.directory) == [], names
        assert engine.exchange.order_count == expected_open(steps), names
        restarted = Deadlines(engine.sequencer)
        restarted.recover(engine.now if cluster is None else cluster.now)
        assert restarted.next == NEVER, names


def test_connections_that_come_and_go_leave_nothing() -> None:
    market = QuietMarket()
    for lives in range(300):
        desk = Desk(market).sign_in("alice")
        desk.put(CancelOnDisconnect, "session" if lives % 2 else "connection")
        if lives % 3:
            tick(desk)
        market.disconnect(desk.session, market.now)
        if lives % 5:
            market.tick(market.now)
    market.pass_time(10)
    assert left(market.sequencer.directory) == []


def test_a_guard_is_confirmed_once_it_is_kept() -> None:
    cluster = Cluster(2)
    desk = sign_in(cluster, 0)
    desk.ask(CancelOnDisconnect, "session", 0)
    cluster.step()
    assert Confirmed(desk.id) in desk.heard
    assert any(isinstance(key, GuardedConnection) and (key.account, key.origin) == (0, 100) for key in cluster.engine.sequencer.directory)


def test_a_dead_man_holds_over_gateways() -> None:
    cluster = Cluster(2)
    one, other = sign_in(cluster, 0), sign_in(cluster, 1)
    place(one)
    one.ask(DeadMan, 1000)
    for _ in range(4):
        pass_time(cluster, 800)
        other.ask(DeadMan, 1000)
    assert cluster.engine.exchange.order_count == 1
    pass_time(cluster, 1500)
    assert cluster.engine.exchange.order_count == 0
