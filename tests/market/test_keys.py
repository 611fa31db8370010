"""The promise of keys: a request is carried out once, whatever other accounts do, over restarts, and what may be forgotten is refused."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stream.client.client import Client
from stream.client.counts import Lots, Ticks
from stream.client.errors import ConnectionLost, RequestRefused
from stream.commands import results
from stream.commands.results import KEY_TIME, KEYS_MAX, SENT_MARGIN, Result, Results
from stream.journal import snapshots
from stream.journal.entries import beside_in
from stream.market import market
from stream.wire.codes import ErrorCode
from stream.wire.messages import AllCancelled, Cancel, CancelAll, Done, Error, Place, Reduce, Replace
from tests.setting import START, token
from tests.sockets import cut, run, serving
from tests.worlds import Desk, QuietMarket

S = 10**9
SHARE = 20
OPTIONS = ("limit", "gtc", False, 0, False, False, 0, 0, 0, 0, 0, "account")


@pytest.fixture(autouse=True)
def _share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer keys for each account."""
    for module in (results, market):
        monkeypatch.setattr(module, "KEYS_MAX", SHARE)


def place(desk: Desk, key: int, sent: int = 0) -> Any:
    (answer,) = desk.ask(Place, "BTC-USD", "buy", 100, 5, *OPTIONS, key, sent)
    return answer


def use(desk: Desk, count: int, first: int = 1000) -> None:
    """Use so many keys."""
    for key in range(first, first + count):
        desk.ask(Cancel, 1, 0, key)


def test_no_other_account_makes_a_key_forgotten() -> None:
    market = QuietMarket()
    victim, others = Desk(market).sign_in("victim"), [Desk(market).sign_in(f"mallory {i}") for i in range(3)]
    first = place(victim, 77)
    for minute in range(3):
        market.now += 61 * S
        for other in others:
            use(other, SHARE, 1000 * minute + 1)
            use(other, SHARE // 2, 1000 * minute + 500)
        assert place(victim, 77).order == first.order
    assert market.exchange.order_count == 1


def test_of_each_account_the_latest_are_remembered_on_both_sides_of_the_share() -> None:
    market = QuietMarket()
    alice = Desk(market).sign_in("alice")
    sent = market.now
    first = place(alice, 77, sent)
    market.now += KEY_TIME
    use(alice, SHARE - 1)
    assert place(alice, 77, sent) == msgspec.structs.replace(first, id=alice.id)
    use(alice, 1, 5000)    # one more than the share: the first is forgotten
    refused = place(alice, 77, sent)
    assert (refused.code, refused.id) == (ErrorCode.KEY_FORGOTTEN, alice.id)
    assert market.exchange.order_count == 1
    market.now += KEY_TIME
    anew = place(alice, 77)    # who does not say when it was sent has a new request
    assert isinstance(anew, Done)
    assert anew.order != first.order


@pytest.mark.parametrize(("passed", "taken"), [(KEY_TIME - 1, False), (KEY_TIME, True)])
def test_a_key_is_remembered_for_a_minute_whatever_its_account_does(passed: int, taken: bool) -> None:
    market = QuietMarket()
    alice, bob = Desk(market).sign_in("alice"), Desk(market).sign_in("bob")
    first = place(alice, 77)
    use(alice, SHARE - 1)
    market.now += passed
    answer = place(alice, 5000)
    if taken:
        assert isinstance(answer, Done)
    else:
        assert answer.code == ErrorCode.TOO_MANY_REQUESTS
        assert f"at most {SHARE} keys" in answer.message
        assert place(alice, 77) == msgspec.structs.replace(first, id=alice.id)
    assert isinstance(place(bob, 5000), Done)
    assert isinstance(place(alice, 0), Done)    # without a key there is nothing to remember


@pytest.mark.parametrize(("off", "refused"), [(-SENT_MARGIN, True), (0, True), (SENT_MARGIN, True), (SENT_MARGIN + 1, False)])
def test_only_what_may_have_been_forgotten_is_refused(off: int, refused: bool) -> None:
    """By a key that was never used: the account's latest forgotten one ran at START."""
    market = QuietMarket()
    alice = Desk(market).sign_in("alice")
    use(alice, 1, 77)
    market.now += KEY_TIME
    use(alice, SHARE)
    answer = place(alice, 78, START + off)
    assert (isinstance(answer, Error) and answer.code == ErrorCode.KEY_FORGOTTEN) == refused


@pytest.mark.parametrize(("ahead", "refused"), [(0, False), (SENT_MARGIN, False), (SENT_MARGIN + 1, True)])
def test_a_time_that_has_not_come_proves_nothing(ahead: int, refused: bool) -> None:
    market = QuietMarket()
    answer = place(Desk(market).sign_in("alice"), 77, market.now + ahead)
    assert (isinstance(answer, Error) and answer.code == ErrorCode.MALFORMED) == refused


def test_every_request_with_a_key_may_say_when_it_was_sent() -> None:
    market = QuietMarket()
    alice = Desk(market).sign_in("alice")
    orders = [place(alice, 0).order for _ in range(5)]
    use(alice, SHARE)
    market.now += KEY_TIME
    use(alice, SHARE, 2000)
    market.now += KEY_TIME
    for kind, *fields in ((Cancel, orders[0], 0), (Reduce, orders[1], 1, 0), (Replace, orders[2], 99, 4, 0, 0), (CancelAll, None, None)):
        for sent, expected in ((START, Error), (market.now, (Done, AllCancelled))):
            (answer,) = alice.ask(kind, *fields, 77 + orders.index(fields[0]) if fields[0] else 99, sent)
            assert isinstance(answer, expected), (kind, answer)    # type: ignore[arg-type]


def test_what_is_forgotten_is_known_behind_a_snapshot_and_a_replay(tmp_path: Path) -> None:
    market = QuietMarket()
    alice = Desk(market).sign_in("alice")
    place(alice, 77)
    market.now += KEY_TIME
    use(alice, SHARE)
    state = snapshots.decode(snapshots.encode(market.state(5, 0, market.now)), "here")
    assert dict(state.results) == dict(market.sequencer.results)
    assert state.results.forgotten == market.sequencer.results.forgotten == {alice.session.account: START}
    assert state.results.may_have_had(alice.session.account, START)

    @run
    async def scene() -> None:
        placed: list[Done] = []
        for _ in range(3):
            async with serving(journal=str(tmp_path)) as server:
                client = Client(f"ws://127.0.0.1:{server.port}/v1", token("alice", server.clock.now()))
                await client.open()
                done = await client.place("BTC-USD", "buy", Ticks(100), Lots(5), key=77)
                placed.append(msgspec.structs.replace(done.wire, id=0))
                await client.close()
        assert placed[0] == placed[1] == placed[2]

    scene()


def test_a_snapshot_of_an_earlier_version_has_keys_as_old_as_itself() -> None:
    found = Results([((1, key), Result(5, 0, key)) for key in range(3)], {}, START)
    assert {result.time for result in found.values()} == {START}
    data = msgspec.msgpack.encode(({}, [((1, 7), msgspec.structs.astuple(Result(5, 0, 7))[:-1])]))
    assert beside_in(memoryview(data), 1).results == [((1, 7), Result(5, 0, 7))]


def test_an_account_has_its_share_and_no_more_memory_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many keys of one account, and the first of another."""
    monkeypatch.setattr(results, "KEYS_MAX", KEYS_MAX)
    monkeypatch.setattr(results, "result_of", lambda exchange, place, time: Result(1, 0, 1, time=time))
    exchange, found = QuietMarket().exchange, Results()
    found.take(exchange, [results.Keyed(0, 2, 1)], START)
    for key in range(1, KEYS_MAX + 1000):
        found.take(exchange, [results.Keyed(0, 1, key)], START + key * KEY_TIME // 1000)
    assert len(found) == KEYS_MAX + 1
    assert (2, 1) in found


class Flaky(Client):
    """Loses its connection behind the first request with a key."""

    lost = False
    said: list[int]

    def _send(self, message: Any) -> None:
        super()._send(message)
        if getattr(message, "key", 0):
            self.said.append(message.sent)
            if not self.lost:
                self.lost = True
                cut(self)


@run
async def test_the_client_says_when_it_first_sent_a_request() -> None:
    async with serving() as server:
        client = Flaky(f"ws://127.0.0.1:{server.port}/v1", token("alice", server.clock.now()))
        client.said = []
        await client.open()
        before = server.clock.now()
        with pytest.raises(ConnectionLost):
            await client.place("BTC-USD", "buy", Ticks(100), Lots(5), key=77)
        after = server.clock.now()
        await asyncio.sleep(0)
        await client.connected()
        order = await client.place("BTC-USD", "buy", Ticks(100), Lots(5), key=77)
        assert order.order == (await client.place("BTC-USD", "buy", Ticks(100), Lots(5), key=77)).order
        first, *again = client.said
        assert before - S < first <= after
        assert len(again) == 2
        assert all(before - S < sent <= after for sent in again)    # of the first time, not of their own
        with pytest.raises(RequestRefused) as refused:
            await client.cancel(5, key=78, sent=server.clock.now() + 60 * S)
        assert refused.value.code == ErrorCode.MALFORMED
        await client.close()
