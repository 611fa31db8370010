"""Below the disk's reserve nothing that a client sends is written, but what makes less of what is open, and that once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from stream.access.keys import key_of
from stream.client.client import Client
from stream.client.counts import Lots, Ticks
from stream.client.errors import RequestRefused
from stream.journal.files import Disk
from stream.journal.writer import Journal, JournalOptions, JournalWriter
from stream.market.history import begin
from stream.market.sequencer import Sequencer
from stream.server.market_server import MarketServer
from stream.sources.simulated import SimulatedSource
from stream.wire.administration import Deposit, Freeze, MassCancel, SetLimits, SetPhase
from stream.wire.codes import ErrorCode
from stream.wire.messages import (
    AllCancelled,
    Cancel,
    CancelAll,
    CancelOnDisconnect,
    Confirmed,
    DeadMan,
    Done,
    Error,
    Login,
    Place,
    Reduce,
    Replace,
    Subscribe,
    Subscribed,
)
from tests.cluster.cluster import Cluster
from tests.cluster.test_cluster_faults import desk as desk_of
from tests.cluster.test_cluster_faults import of_kind
from tests.market.test_journaled_market import JournaledMarket
from tests.setting import CONFIG, SECRET, token
from tests.sockets import run
from tests.waiting import until
from tests.worlds import Desk, QuietMarket

S = 10**9
NEVER_THERE = 999
PLACED = (("buy", 100, 5, 1), ("buy", 99, 5, 2), ("sell", 200, 5, 3), ("sell", 201, 1, 4))


class Full(JournaledMarket):
    """Alice has four orders, Bob has one, and then the disk is nearly full."""

    def __init__(self) -> None:
        super().__init__()
        self.alice, self.bob = self.desk("alice"), self.desk("bob")
        self.orders = [self.placed(self.alice, *order) for order in PLACED]
        self.others = self.placed(self.bob, "buy", 98, 5, 7)
        self.admin = Desk(self.market)
        self.ask(self.admin, Login, token("root", self.market.now, "admin"))
        self.journal.low = True

    def placed(self, desk: Desk, side: str, price: int, size: int, client_id: int) -> int:
        """An order, by its number."""
        done = self.ask(desk, Place, "BTC-USD", side, price, size, client_id=client_id)
        assert isinstance(done, Done)
        return done.order

    def writes(self, desk: Desk, *request: Any, **named: Any) -> tuple[int, Any]:
        """What comes of a request, and how many records are written of it."""
        before = self.journal.appended
        answer = self.ask(desk, *request, **named)
        return self.journal.appended - before, answer


@pytest.fixture
def full() -> Full:
    return Full()


REFUSED: dict[str, Callable[[Full], tuple[Any, ...]]] = {
    "a place": lambda full: (full.alice, Place, "BTC-USD", "buy", 97, 5),
    "a market order": lambda full: (full.alice, Place, "BTC-USD", "buy", 0, 5, "market"),
    "a place with a key": lambda full: (full.alice, Place, "BTC-USD", "buy", 97, 5, "limit", "gtc", False, 0, False, False, 0, 0, 0, 0, 0, "account", 5),
    "a replace that shrinks": lambda full: (full.alice, Replace, full.orders[0], 100, 4),
    "a cancel of nothing": lambda full: (full.alice, Cancel, NEVER_THERE),
    "a cancel of an unknown client id": lambda full: (full.alice, Cancel, 0, NEVER_THERE),
    "a cancel that names nothing": lambda full: (full.alice, Cancel),
    "a cancel of nothing with a key": lambda full: (full.alice, Cancel, NEVER_THERE, 0, 5),
    "a cancel of another's order": lambda full: (full.alice, Cancel, full.others),
    "a cancel of another's client id": lambda full: (full.alice, Cancel, 0, 7),
    "a reduce of nothing": lambda full: (full.alice, Reduce, NEVER_THERE, 1),
    "a reduce of another's order": lambda full: (full.alice, Reduce, full.others, 1),
    "a reduce by nothing": lambda full: (full.alice, Reduce, full.orders[0], 0),
    "a cancel of all where there is nothing": lambda full: (full.alice, CancelAll, "ETH-USD"),
    "a cancel of all of a side where there is nothing": lambda full: (full.bob, CancelAll, None, "sell"),
    "a dead-man timer": lambda full: (full.alice, DeadMan, 5000),
    "the end of no dead-man timer": lambda full: (full.alice, DeadMan, 0),
    "a guard of the connection": lambda full: (full.alice, CancelOnDisconnect, "connection"),
    "a guard of the session": lambda full: (full.alice, CancelOnDisconnect, "session", 1000),
    "the end of no guard": lambda full: (full.alice, CancelOnDisconnect, "off"),
    "a new account, and its deposit": lambda full: (Desk(full.market), Login, token("carol", full.market.now)),
    "an administrator's limits": lambda full: (full.admin, SetLimits, "alice", 5),
    "a freeze": lambda full: (full.admin, Freeze, "alice", False),
    "a transfer": lambda full: (full.admin, Deposit, "alice", "USD", 5),
    "a mass cancel where there is nothing": lambda full: (full.admin, MassCancel, "root"),
    "an auction": lambda full: (full.admin, SetPhase, "BTC-USD", "auction"),
    "a market that trades": lambda full: (full.admin, SetPhase, "BTC-USD", "trading"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_is_written_but_what_makes_less_of_what_is_open(name: str, full: Full) -> None:
    for _ in range(3):
        records, answer = full.writes(*REFUSED[name](full))
        assert records == 0
        assert isinstance(answer, Error)
        assert answer.code == ErrorCode.DISK_NEARLY_FULL
    full.journal.low = False    # the other side of the limit: now it comes to the engine, or is remembered
    assert full.writes(*REFUSED[name](full))[0] > 0


def test_an_order_in_an_auction_is_refused_too(full: Full) -> None:
    full.journal.low = False
    assert isinstance(full.ask(full.admin, SetPhase, "BTC-USD", "auction"), Confirmed)
    full.journal.low = True
    assert full.writes(full.alice, Place, "BTC-USD", "buy", 150, 5)[0] == 0
    assert isinstance(full.ask(full.alice, Cancel, full.orders[0]), Done)


def test_what_is_open_can_be_cancelled_and_reduced(full: Full) -> None:
    first, second, third, _ = full.orders
    assert full.ask(full.alice, Reduce, first, 1).remaining == 4    # type: ignore[attr-defined]
    assert full.ask(full.alice, Cancel, first).status == "cancelled"    # type: ignore[attr-defined]
    assert full.ask(full.alice, Cancel, 0, 2).order == second    # type: ignore[attr-defined]
    assert full.ask(full.alice, Cancel, third, 0, 99).status == "cancelled"    # type: ignore[attr-defined]
    assert full.writes(full.alice, Cancel, third, 0, 99) == (0, full.alice.heard[-1])    # the key's answer, from memory
    assert full.ask(full.alice, CancelAll, "BTC-USD", "sell").count == 1    # type: ignore[attr-defined]
    assert isinstance(full.ask(full.bob, CancelAll), AllCancelled)
    assert full.market.exchange.order_count == 0


def test_each_order_makes_room_for_one_reduction_and_one_cancel(full: Full) -> None:
    assert full.writes(full.alice, Reduce, full.orders[0], 1)[0] > 0
    assert full.writes(full.alice, Reduce, full.orders[0], 1)[0] == 0
    before = full.journal.appended
    for number in range(1000, 1100):    # in one turn, before the first has run
        full.alice.send(full.alice.codec.encode(Cancel(number, full.orders[0])))
        full.alice.send(full.alice.codec.encode(CancelAll(number + 1000)))
    full.settle()
    assert full.journal.appended - before < 5
    answers = full.alice.hear()
    assert [sum(isinstance(answer, kind) for answer in answers) for kind in (Done, AllCancelled, Error)] == [1, 1, 198]


def test_what_was_asked_for_before_can_be_taken_back(full: Full) -> None:
    full.journal.low = False
    for request in ((DeadMan, 5000), (CancelOnDisconnect, "session", 1000)):
        assert isinstance(full.ask(full.alice, *request), Confirmed)
    full.journal.low = True
    assert full.writes(full.alice, DeadMan, 5000)[0] == 0
    for request in ((DeadMan, 0), (CancelOnDisconnect, "off")):
        assert isinstance(full.ask(full.alice, *request), Confirmed)
        assert full.writes(full.alice, *request)[0] == 0


def test_own_channels_are_subscribed_and_nothing_is_written_of_it(full: Full) -> None:
    for _ in range(3):
        before = full.journal.appended
        heard = full.alice.ask(Subscribe, ["orders", "balances"])
        full.settle()
        assert isinstance(heard[0], Subscribed)
        assert full.journal.appended == before
        full.market.disconnect(full.alice.session, full.market.now)
        full.journal.low = False
        full.alice = full.desk("alice")
        full.journal.low = True


def test_trading_can_be_halted_once(full: Full) -> None:
    assert isinstance(full.ask(full.admin, SetPhase, "BTC-USD", "halt"), Confirmed)
    assert full.writes(full.admin, SetPhase, "BTC-USD", "halt")[0] == 0


def test_a_gateway_asks_nothing_of_an_engine_whose_disk_is_nearly_full() -> None:
    cluster = Cluster(1)
    alice = desk_of(cluster, 0, "alice")
    [done] = of_kind(alice.ask(Place, "BTC-USD", "sell", 100, 5), Done)
    cluster.engine.sequencer.__class__ = type("Low", (type(cluster.engine.sequencer),), {"low": True})
    for _ in range(20):
        cluster.step(100)
        cluster.settle()
    position = cluster.engine.position
    for request in ((Place, "BTC-USD", "sell", 101, 5), (DeadMan, 5000), (Cancel, NEVER_THERE), (CancelOnDisconnect, "connection"), (Reduce, done.order, 0)):
        [error] = of_kind(alice.ask(*request), Error)
        assert error.code == ErrorCode.DISK_NEARLY_FULL
    assert cluster.engine.position == position
    assert of_kind(alice.ask(Cancel, done.order), Done)


class SetDisk(Disk):
    """One whose room a test sets."""

    room = 1 << 40

    def free_bytes(self, folder: str) -> int:
        return self.room


def test_a_source_waits_for_room_and_keeps_nobody_awake() -> None:
    journaled = JournaledMarket()
    source = SimulatedSource(1, 50)
    market = QuietMarket(begin(CONFIG, [source], journaled.now), None, journaled.now, [source])
    market.tick(market.now)
    market.sequencer.__class__ = type("Low", (Sequencer,), {"low": True})
    market.now += 10 * S
    before = market.sequencer.executed
    assert market.tick(market.now) > market.now
    assert market.sequencer.executed == before
    market.sequencer.__class__ = Sequencer
    market.tick(market.now)
    assert market.sequencer.executed > before


@pytest.mark.parametrize(("room", "low"), [(999, True), (1000, False), (1001, False)])
def test_the_reserve_is_a_floor_on_both_sides(room: int, low: bool, tmp_path: Path) -> None:
    disk = SetDisk()
    disk.room = room
    writer = JournalWriter(disk, str(tmp_path), JournalOptions(1 << 16, reserve_bytes=1000), 1)
    assert writer.low is low
    writer.close()


def test_a_flood_below_the_reserve_writes_nothing_and_room_is_seen_when_it_is_there(tmp_path: Path) -> None:
    disk = SetDisk()

    @run
    async def scene() -> None:
        server = MarketServer(replace(CONFIG, port=0, journal=str(tmp_path), journal_reserve_bytes=1000), [key_of("HS256", SECRET)], (), disk)
        await server.start()
        journal = server.market.sequencer.journal
        assert isinstance(journal, Journal)
        client = Client(f"ws://127.0.0.1:{server.port}/v1", token("alice", server.clock.now()))
        await client.open()
        disk.room = 999    # another process has filled the disk
        await until(lambda: server.market.low and journal.idle and journal.sealed)
        before = journal.appended
        for _ in range(100):
            for asked in (client.dead_man(5000), client.cancel(5)):
                with pytest.raises(RequestRefused):
                    await asked
        assert journal.appended == before
        disk.room = 1000
        await until(lambda: not server.market.low)
        assert (await client.place("BTC-USD", "buy", Ticks(100), Lots(5))).status == "open"
        await client.close()
        await server.stop()

    scene()
