"""Killed at any moment and started again, a history is what it would have been; one that is lost, behind, ahead or of another market is made again."""

import random
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from stream.account_history.database import Database, Position, Wanted
from stream.account_history.facts import FillFact, OrderFact
from stream.account_history.rebuild import Rebuild, begin
from stream.account_history.recorder import Recorder
from stream.commands.directory import OrderTicket
from stream.journal.format import Kind
from stream.journal.parts import commands_of
from stream.journal.reader import SUFFIX, numbers
from stream.journal.recovery import replay
from stream.journal.snapshots import State
from stream.wire.messages import Cancel, Place
from tests.account_history.twin import Twin
from tests.journal.fake_disk import FakeDisk, PowerCut
from tests.journal.journals import EPOCH, FOLDER, World
from tests.market.test_journaled_market import JournaledMarket

EVERYTHING = 1 << 30
BEGUN = 1
"""When the journals here begin. Their accounts have been given something by then."""

Found = list[tuple[list[OrderFact], list[FillFact]]]


def held(database: Database | Twin, accounts: int = 2) -> Found:
    return [(database.orders(wanted), database.trades(wanted)) for wanted in (Wanted(account, size=EVERYTHING) for account in range(accounts))]


def brought_up(disk: FakeDisk, database: Database) -> State:
    """The state that a start comes to, and a database that was brought up to it."""
    found = replay(disk, FOLDER)
    assert found
    state = found.state
    Rebuild(database, disk, FOLDER, ()).run(state.epoch, state.exchange.seq)
    at = database.position
    assert at
    assert at[:2] == (state.epoch, state.exchange.seq)
    assert not Rebuild(database, disk, FOLDER, ()).run(state.epoch, state.exchange.seq), "once is enough"
    return state


def listed(disk: FakeDisk) -> Twin:
    """All that a journal says has happened since its first record. Those of its groups that repeat a key have another way to leave commands out."""
    twin = Twin()

    def visit(state: State, record: object) -> None:
        if record and record.kind in (Kind.COMMANDS, Kind.KEYED_COMMANDS, Kind.FORWARDED):    # type: ignore[attr-defined]
            events = state.exchange.events
            batches = [events.batch(number) for number in range(events.batches)]
            commands = bytes(commands_of(record))    # type: ignore[arg-type]
            twin.take(commands[-88 * len(batches) :] if batches else b"", batches, record.time)    # type: ignore[attr-defined]

    replay(disk, FOLDER, visit=visit, from_start=True)
    return twin


def lived(seed: int, disk: FakeDisk, steps: int, snapshots: bool = False) -> World:
    world = World(random.Random(seed))
    world.open(disk)
    for _ in range(steps):
        world.step()
        if snapshots and not world.chance.randrange(9):
            world.snapshot(disk, keep=1000)
    return world


@pytest.mark.parametrize("snapshots", [False, True])
def test_after_every_record_a_new_history_is_what_one_that_went_on_is(snapshots: bool, tmp_path: Path) -> None:
    """The one is stopped and started behind every group, the other is made at once of the whole journal; both are what a list says."""
    disk = FakeDisk(random.Random(1))
    world = World(random.Random(1))
    world.open(disk)
    kept = Database(str(tmp_path / "kept"))
    for number in range(60):
        world.step()
        if snapshots and number % 7 == 0:
            world.snapshot(disk, keep=1000)
        brought_up(disk, kept)
        if number % 10 == 0:
            made = Database(str(tmp_path / f"made{number}"))
            brought_up(disk, made)
            assert held(made) == held(kept) == held(listed(disk))
            assert made.position == kept.position
            made.close()
    kept.close()


@pytest.mark.parametrize("seed", range(1, 13))
def test_whenever_the_power_goes_nothing_is_missing_that_was_acknowledged(seed: int, tmp_path: Path) -> None:
    """Each life writes the history now and then, as its thread does, and ends anywhere; the next one begins with what both disks have."""
    chance = random.Random(seed)
    disk, world, database = FakeDisk(chance), World(chance), Database(str(tmp_path / "history"))
    for _ in range(4):
        disk.cut = chance.randrange(30, 200)
        with suppress(PowerCut):
            world.open(disk)
            for _ in range(chance.randrange(1, 40)):
                world.step()
                if not chance.randrange(8):
                    world.snapshot(disk)
                if not chance.randrange(5):
                    brought_up(FakeDisk(chance, {path: bytes(inode.seen) for path, inode in disk.seen.items()}), database)
        disk = FakeDisk(chance, disk.image())
        if world.acknowledged:
            assert world.open(disk).writer.seq >= world.acknowledged
            state = brought_up(disk, database)
            again = Database(str(tmp_path / "again"))
            brought_up(disk, again)
            if again.position and again.position.since == BEGUN:
                assert held(again) == held(database) == held(listed(disk))
            for account in range(state.exchange.accounts):    # whatever is forgotten: the open orders are the engine's
                is_open = [each for each in database.orders(Wanted(account, size=EVERYTHING)) if each.status in ("open", "waiting")]
                assert {(each.order, each.client_id, each.price, each.filled, each.value, each.size - each.filled) for each in is_open} == {
                    (each.order, each.client_id, each.price, each.filled, each.value, each.remaining) for each in state.exchange.orders(account)
                }
            again.close()
            (tmp_path / "again").unlink()
            disk = FakeDisk(chance, disk.image())


def test_what_cannot_be_continued_is_made_again(tmp_path: Path) -> None:
    disk = FakeDisk(random.Random(2))
    lived(2, disk, 40, snapshots=True)
    database = Database(str(tmp_path / "history"))
    state = brought_up(disk, database)
    right = held(database)
    for wrong in (
        Position(EPOCH, state.exchange.seq + 1, 0),    # ahead: the journal was taken back
        Position(EPOCH + 1, state.exchange.seq, 0),    # another market's, or one that lost a part of its past
        Position(EPOCH, 1, 0),    # behind every snapshot
    ):
        database.begin(wrong)
        assert held(database) != right
        brought_up(disk, database)
        assert held(database) == right
        assert database.position == Position(EPOCH, state.exchange.seq, BEGUN)
    database.close()


def test_a_history_that_begins_with_a_snapshot_has_its_open_orders_and_says_since_when_it_is_complete(tmp_path: Path) -> None:
    disk = FakeDisk(random.Random(3))
    world = lived(3, disk, 40)
    world.snapshot(disk, keep=1)
    begun_at, begun_seq = world.time, world.exchange.seq
    for _ in range(20):
        world.step()
    kept, made = Database(str(tmp_path / "kept")), Database(str(tmp_path / "made"))
    whole = FakeDisk(random.Random(3))
    lived(3, whole, 40)
    brought_up(whole, kept)
    brought_up(disk, kept)
    assert 1 not in numbers(disk, FOLDER, SUFFIX), "the first records are there no longer"
    brought_up(disk, made)
    assert kept.position == Position(EPOCH, world.exchange.seq, BEGUN)
    assert made.position == Position(EPOCH, world.exchange.seq, begun_at)
    for account in range(2):
        wanted = Wanted(account, size=EVERYTHING)
        assert made.trades(wanted) == [each for each in kept.trades(wanted) if each.seq > begun_seq]
        by_order = {each.order: each for each in kept.orders(wanted)}
        for order in made.orders(wanted):
            whole_order = by_order[order.order]
            assert (order.client_id, order.price, order.filled, order.status) == (
                whole_order.client_id, whole_order.price, whole_order.filled, whole_order.status,
            )
        assert {each.order for each in by_order.values() if each.time > begun_at or each.status == "open"} <= {each.order for each in made.orders(wanted)}
    kept.close()
    made.close()


def test_what_clients_said_of_their_orders_is_there_live_and_again(tmp_path: Path) -> None:
    """A ticket comes with its order, in the same group, and belongs to that order alone."""
    journaled = JournaledMarket()
    alice = journaled.desk("alice")
    market, account = journaled.market, journaled.market.account_of("alice")
    live = Database(str(tmp_path / "live"))
    begin(live, market.exchange, market.directory, market.point(0).epoch, 0)
    market.recorder = Recorder(live, (), lambda: None)

    def place(client_id: int, price: int, ticket: bytes | None) -> None:
        if ticket:
            market.sequencer.remember(OrderTicket(account, client_id), ticket)
        journaled.ask(alice, Place, "BTC-USD", "buy", price, 5, client_id=client_id)

    place(7, 100, b"seven")
    place(8, 101, None)
    place(8, 102, b"refused, since that was used")
    journaled.ask(alice, Cancel, client_id=7)
    place(9, 0, b"refused, since it has no price")
    place(10, 103, b"ten")
    market.recorder.close()
    made = Database(str(tmp_path / "made"))
    brought_up(journaled.disk, made)
    again = Database(str(tmp_path / "live"))
    for database in (made, again):
        assert [(each.client_id, each.ticket) for each in database.orders(Wanted(account))] == [(7, b"seven"), (8, b""), (10, b"ten")]
    journaled.stop()
    begin(again, journaled.market.exchange, journaled.market.directory, 1, 5)
    assert [(each.client_id, each.ticket) for each in again.orders(Wanted(account))] == [(8, b"refused, since that was used"), (10, b"ten")]
    for database in (made, again):
        database.close()


def test_tables_of_another_version_are_made_anew(tmp_path: Path) -> None:
    disk = FakeDisk(random.Random(4))
    lived(4, disk, 20)
    database = Database(str(tmp_path / "history"))
    brought_up(disk, database)
    right = held(database)
    database.close()
    with closing(sqlite3.connect(tmp_path / "history")) as raw:
        raw.execute("PRAGMA user_version = 99")
    shutil.copy(tmp_path / "history", tmp_path / "other")
    other = Database(str(tmp_path / "other"))
    assert other.position is None
    brought_up(disk, other)
    assert held(other) == right
    other.close()
