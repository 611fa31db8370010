"""The short way of a request about an order ends as the long one does: the same commands, the same answers and frames, byte for byte."""

from random import Random
from typing import Any

import msgspec
import pytest

from stream.wire.codec import MSGPACK
from stream.wire.codes import ErrorCode
from stream.wire.messages import Cancel, CancelOnDisconnect, Done, Error, Login, Logout, Place, Subscribe
from tests.orders import some_request
from tests.setting import MILLISECOND, NAMES, token
from tests.wire.mutation import damaged
from tests.worlds import Desk, QuietMarket

SUBJECTS = "alice", "bob", "carol"
NARROW = {"orders_burst": 40, "orders_per_s": 2_000, "cancels_burst": 3, "cancels_per_s": 500}


class LongWay(QuietMarket):
    """A market in which every request is read by msgspec."""

    def enter(self, trader: Any, payload: bytes, now: int) -> bool:
        return False


class Watched(QuietMarket):
    """Counts what goes the short way."""

    taken = 0

    def enter(self, trader: Any, payload: bytes, now: int) -> bool:
        taken = super().enter(trader, payload, now)
        self.taken += taken
        return taken


def desks_of(market: QuietMarket) -> list[Desk]:
    desks = [Desk(market).sign_in(subject) for subject in SUBJECTS]
    for desk in desks:
        desk.ask(Subscribe, ["orders", "balances"])
        desk.session.take_out()
    return desks


def some_payload(random: Random, id: int) -> bytes:
    payload = MSGPACK.encode(some_request(random, id, NAMES))
    return damaged(random, payload, payload) if random.random() < 0.05 else payload


@pytest.mark.parametrize("settings", [{}, NARROW], ids=["usual limits", "narrow limits"])
@pytest.mark.parametrize("seed", range(6))
def test_both_ways_lead_to_the_same_bytes(seed: int, settings: dict[str, int]) -> None:
    random = Random(seed)
    short, long = Watched(**settings), LongWay(**settings)
    pairs = list(zip(desks_of(short), desks_of(long), strict=True))
    for id in range(1, 1500):
        payload, pair = some_payload(random, id), random.choice(pairs)
        for desk in pair:
            desk.send(payload)
        assert bytes(short.sequencer.commands) == bytes(long.sequencer.commands)
        if random.random() < 0.2:
            for market in (short, long):
                market.now += random.choice((0, 1, MILLISECOND, 5 * MILLISECOND)) if market is short else short.now - market.now
                market.tick(market.now)
            for one, other in pairs:
                assert one.session.take_out() == other.session.take_out()
                assert one.session.under_way == other.session.under_way == 0
        assert short.limits.hit == long.limits.hit
    assert short.exchange.state_hash() == long.exchange.state_hash()
    assert short.taken > 300


def test_a_request_is_counted_until_it_is_answered() -> None:
    market = QuietMarket()
    desk = Desk(market).sign_in("alice")
    desk.put(Place, "BTC-USD", "buy", 100, 1)
    desk.put(Place, "BTC-USD", "buy", 100, 1, key=5)
    assert desk.session.under_way == 2
    desk.put(Place, "NONE", "buy", 100, 1)
    desk.put(Place, "NONE", "buy", 100, 1, key=6)
    assert desk.session.under_way == 2
    market.tick(market.now)
    assert desk.session.under_way == 0


@pytest.mark.parametrize("prepare", [
    lambda desk: desk.ask(Logout), lambda desk: desk.put(Login, "no token"), lambda desk: desk.ask(Login, token("alice", desk.market.now, "account")),
], ids=["logged out", "a refused token", "a token that may not trade"])
def test_who_may_not_trade_any_more_is_refused(prepare: Any) -> None:
    market = Watched()
    desk = Desk(market).sign_in("alice")
    prepare(desk)
    desk.hear()
    [answer] = desk.ask(Place, "BTC-USD", "buy", 100, 1)
    if desk.session.claims and "trade" in desk.session.claims.scopes:    # a refused token changes nothing
        assert isinstance(answer, Done)
    else:
        assert answer.code in (ErrorCode.NOT_SIGNED_IN, ErrorCode.MISSING_SCOPE)
        assert not market.taken


def test_orders_of_a_guarded_connection_are_known_to_its_guard() -> None:
    market = Watched()
    desk = Desk(market).sign_in("alice")
    desk.ask(CancelOnDisconnect, "connection")
    [placed] = desk.ask(Place, "BTC-USD", "buy", 100, 1)
    assert desk.session.guard.orders == {placed.order}
    assert not market.taken
    [cancelled] = desk.ask(Cancel, placed.order)
    assert isinstance(cancelled, Done)
    assert market.taken == 1


def test_who_is_gone_is_not_answered_and_the_others_are() -> None:
    market = QuietMarket()
    alice, bob = (Desk(market).sign_in(subject) for subject in SUBJECTS[:2])
    alice.put(Place, "BTC-USD", "buy", 100, 1)
    bob.put(Place, "BTC-USD", "buy", 100, 1)
    market.disconnect(alice.session, market.now)
    market.tick(market.now)
    assert not alice.session.out
    assert [type(message) for message in bob.hear()] == [Done]


class Broken:
    """A journal whose disk fails when it is told to."""

    durable = 1 << 60    # all is on disk, as far as it is concerned
    low = False
    failure: Any = None

    def append(self, kind: Any, payload: Any, time: int) -> int:
        return 1


def test_if_the_journal_fails_nobody_knows_what_became_of_it() -> None:
    journal: Any = Broken()
    market = QuietMarket(journal=journal)
    desk = Desk(market).sign_in("alice")
    journal.durable = 0
    desk.put(Place, "BTC-USD", "buy", 100, 1)
    market.tick(market.now)
    assert desk.session.under_way == 1
    journal.failure = Exception("the disk failed")
    market.tick(market.now)
    answers = [answer for answer in desk.hear() if isinstance(answer, Error)]
    assert [answer.code for answer in answers] == [ErrorCode.OUTCOME_UNKNOWN]
    assert desk.session.under_way == 0
    [refused] = [answer for answer in desk.ask(Place, "BTC-USD", "buy", 100, 1) if isinstance(answer, Error)]
    assert refused.code == ErrorCode.FROZEN


def test_a_done_is_what_msgspec_writes() -> None:
    market = QuietMarket()
    desk = Desk(market).sign_in("alice")
    for client_id in (0, 1, 127, 128, 1 << 20, (1 << 53) - 1):
        desk.put(Place, "BTC-USD", "buy", 100, 1, client_id=client_id)
        market.tick(market.now)
        frame = desk.session.take_out()
        done = MSGPACK.decode_answer(frame[2:])
        assert isinstance(done, Done)
        assert MSGPACK.frame(done) == frame
        assert msgspec.structs.replace(done, seq=0, order=0) == Done(desk.id, 0, 0, client_id, "open", 1, 0, 0)
