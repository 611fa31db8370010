"""The journal's parts: what it refuses, what it keeps, its thread, a reader beside a writer, and the journals of older versions."""

import random
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from engine import Exchange
from stream.commands.directory import LastGroup, Unknown
from stream.feed.feed import Feed, FeedState
from stream.journal import snapshots
from stream.journal.files import Disk
from stream.journal.format import Damaged, JournalError, Kind, decode_segment, encode_segment
from stream.journal.reader import JournalReader, numbers, segment_path
from stream.journal.recovery import Locked, Opened, open_journal, replay
from stream.journal.snapshots import State
from stream.journal.writer import Journal, JournalFailed, JournalOptions
from stream.market.history import feeding
from stream.market.journal_inspection import check, settled, state_at, take_snapshot
from stream.settings.config import Config
from tests.journal.fake_disk import FakeDisk
from tests.journal.journals import EPOCH, FOLDER, SMALL, World, commands, small_exchange

VERSION_1 = Path(__file__).parents[1] / "fixtures" / "journal_v1"
VERSION_1_KINDS = set(Kind) - {Kind.ENTRY, Kind.FORWARDED}
VERSION_1_STATE = "2ad8f43c676fb76d"
VERSION_1_COUNTS = [22], 48, 8, 45    # snapshots, the last record, the epoch, the latest time


def lived(steps: int, options: JournalOptions = SMALL, snapshot_every: int = 0) -> tuple[FakeDisk, World]:
    """A disk on which a journal was written, and closed."""
    disk = FakeDisk(random.Random(1))
    world = World(random.Random(2))
    world.open(disk, options)
    for step in range(1, steps + 1):
        world.step()
        if snapshot_every and step % snapshot_every == 0:
            world.snapshot(disk)
    world.seal()
    world.opened.writer.close()
    return disk, world


def copied(disk: FakeDisk) -> FakeDisk:
    return FakeDisk(random.Random(1), disk.contents())


def begun(folder: Path, options: JournalOptions = SMALL) -> tuple[Opened, Exchange]:
    """A journal on the real disk with nothing but its genesis."""
    exchange = small_exchange()
    opened = open_journal(Disk(), str(folder), options, EPOCH)
    opened.writer.commit([(Kind.GENESIS, exchange.snapshot(), 1)])
    return opened, exchange


# What comes back


def test_any_record_can_be_gone_back_to() -> None:
    disk, world = lived(40)
    for seq in range(1, world.opened.writer.seq + 1):
        state = state_at(disk, FOLDER, seq).state
        assert (state.seq, state.exchange.state_hash(), state.directory, state.results) == (seq, *world.behind[seq])


def test_a_record_that_is_not_there_is_told() -> None:
    disk, world = lived(60, snapshot_every=10)
    last = world.opened.writer.seq
    with pytest.raises(JournalError, match=f"there is no record {last + 1}; the last one is {last}"):
        state_at(disk, FOLDER, last + 1)
    oldest = numbers(disk, FOLDER, snapshots.SUFFIX)[0]
    with pytest.raises(JournalError, match=f"record {oldest - 1} is not in this journal any more; the earliest is that after record {oldest}"):
        state_at(disk, FOLDER, oldest - 1)


def test_the_changes_of_every_book_come_back_too() -> None:
    disk, world = lived(60, snapshot_every=25)
    found = replay(disk, FOLDER)
    assert found
    for before, after in zip(world.exchange.books, found.state.exchange.books, strict=True):
        assert (after.levels.seq, after.levels.floor) == (before.levels.seq, before.levels.floor)
        assert after.levels.changes_since(before.levels.floor) == before.levels.changes_since(before.levels.floor)


def test_a_record_larger_than_a_segment_gets_one_of_its_own() -> None:
    disk = FakeDisk(random.Random(1))
    world = World(random.Random(1))
    world.open(disk)
    world.step()
    world.commit([(Kind.COMMANDS, commands(world.chance, 1) * 40, 1)])
    world.step()
    world.seal()
    found = replay(disk, FOLDER)
    assert found
    assert found.state.exchange.state_hash() == world.exchange.state_hash()


def test_a_snapshot_is_the_same_bytes_again() -> None:
    disk, _ = lived(30)
    found = replay(disk, FOLDER)
    assert found
    data = snapshots.encode(found.state)
    assert snapshots.encode(snapshots.decode(data, "")) == data


def test_a_snapshot_that_is_damaged_is_passed_over_and_told() -> None:
    disk, world = lived(40, snapshot_every=15)
    older, newer = numbers(disk, FOLDER, snapshots.SUFFIX)
    disk.seen[snapshots.snapshot_path(FOLDER, newer)].seen[90] ^= 1
    found = replay(disk, FOLDER)
    assert found
    assert found.state.seq - found.records == older
    assert [wrong.path for wrong in found.wrong] == [snapshots.snapshot_path(FOLDER, newer)]
    assert found.state.exchange.state_hash() == world.exchange.state_hash()


# What is refused


def test_a_missing_segment_is_refused() -> None:
    disk, _ = lived(40)
    firsts = numbers(disk, FOLDER, ".journal")
    assert len(firsts) > 3
    for first in firsts[:-1]:
        image = copied(disk)
        image.remove(segment_path(FOLDER, first))
        with pytest.raises(Damaged, match="there is no file with record 1" if first == 1 else "is damaged or missing"):
            replay(image, FOLDER)


@pytest.mark.parametrize("change", [{"previous": 1}, {"epoch": EPOCH + 1}])
def test_a_segment_of_another_history_is_refused(change: dict[str, int]) -> None:
    disk, _ = lived(40)
    path = segment_path(FOLDER, numbers(disk, FOLDER, ".journal")[1])
    header = encode_segment(decode_segment(disk.read(path), path)._replace(**change))
    disk.seen[path].seen[: len(header)] = header
    with pytest.raises(Damaged, match="byte 0: the file does not follow the one before it"):
        replay(disk, FOLDER)


def test_a_record_in_another_ones_place_is_refused() -> None:
    disk, _ = lived(8, SMALL._replace(segment_bytes=1 << 16))
    path = segment_path(FOLDER, 1)
    for first, second in zip(list(JournalReader(disk, FOLDER))[2:-2], list(JournalReader(disk, FOLDER))[3:-1], strict=True):
        image = copied(disk)
        whole = disk.read(path)
        image.seen[path].seen[first.offset : second.end] = whole[second.offset : second.end] + whole[first.offset : first.end]
        with pytest.raises(Damaged) as damaged:
            replay(image, FOLDER)
        assert damaged.value.offset == first.offset


@pytest.mark.parametrize(
    ("kind", "payload", "words"),
    [
        (Kind.MARK, b"\x93\x01\x02\xc0", "record 2: the replay led to"),
        (Kind.GENESIS, b"", "record 2: a record of kind 1"),
        (99, b"", "record 2: a record of kind 99: a later version of deltabook wrote it"),
        (Kind.COMMANDS, bytes(87), "record 2: "),
        (Kind.KEYED_COMMANDS, bytes(7), "record 2: 7 bytes of commands with keys"),
        (Kind.ENTRY, b"\xc0", "record 2: "),
    ],
)
def test_a_record_that_cannot_be_is_refused(kind: Kind, payload: bytes, words: str) -> None:
    disk, world = FakeDisk(random.Random(1)), World(random.Random(1))
    writer = world.open(disk).writer
    world.step()
    assert writer.seq == 1
    writer.commit([(kind, payload, 1)])
    with pytest.raises(Damaged, match=words):
        replay(disk, FOLDER)


def test_a_second_engine_is_kept_out(tmp_path: Path) -> None:
    opened, _ = begun(tmp_path / "data" / "journal")
    with pytest.raises(Locked, match="another process uses this journal"):
        open_journal(Disk(), str(tmp_path / "data" / "journal"), SMALL, EPOCH)
    opened.writer.close()
    Disk().close(opened.lock)
    again = open_journal(Disk(), str(tmp_path / "data" / "journal"), SMALL, EPOCH)
    assert again.replay
    again.writer.close()
    Disk().close(again.lock)


# A disk that fills up


def test_a_disk_with_room_is_not_low_before_anything_is_written(tmp_path: Path) -> None:
    opened, _ = begun(tmp_path)
    opened.writer.close()
    Disk().close(opened.lock)
    for reserve_bytes, low in ((0, False), (1, False), (1 << 62, True)):
        again = open_journal(Disk(), str(tmp_path), SMALL._replace(reserve_bytes=reserve_bytes), EPOCH)
        assert again.writer.low is low
        again.writer.close()
        Disk().close(again.lock)


def test_a_full_disk_is_low_first_and_then_fails() -> None:
    disk = FakeDisk(random.Random(1))
    world = World(random.Random(1))
    writer = world.open(disk, SMALL._replace(reserve_bytes=8192)).writer
    world.step()
    assert not writer.low
    disk.room = 8191
    world.step()
    assert writer.low
    disk.room = 0
    with pytest.raises(JournalFailed, match="No space left on device"):
        world.step()
    disk.room = 1 << 30
    with pytest.raises(JournalFailed):
        world.step()
    world.open(FakeDisk(random.Random(1), disk.image()))


# The thread


class Notice:
    """What a thread gives, and another waits for."""

    def __init__(self) -> None:
        self._condition = threading.Condition()

    def give(self) -> None:
        with self._condition:
            self._condition.notify_all()

    def wait(self, until: Callable[[], bool]) -> None:
        with self._condition:
            assert self._condition.wait_for(until, 30)


def test_the_thread_puts_on_disk_what_it_is_given(tmp_path: Path) -> None:
    opened, exchange = begun(tmp_path, JournalOptions(1 << 15, 1 << 12, 16, 0, 0.01))
    notice = Notice()
    journal, chance = Journal(opened.writer, notice.give), random.Random(1)
    for time in range(500):
        payload = commands(chance, time)
        exchange.execute(payload)
        last = journal.append(Kind.COMMANDS, payload, time)
        if time % 10 == 0:
            notice.wait(lambda last=last: journal.durable >= last)
    journal.close()
    assert journal.idle
    assert opened.writer.seq == journal.durable
    with pytest.raises(JournalFailed, match="closed"):
        journal.append(Kind.COMMANDS, b"", 1)
    found = replay(Disk(), str(tmp_path))
    assert found
    assert found.state.exchange.state_hash() == exchange.state_hash()
    assert len(numbers(Disk(), str(tmp_path), ".journal")) > 2


def test_a_quiet_journal_is_sealed(tmp_path: Path) -> None:
    opened, _ = begun(tmp_path)
    sealed = threading.Event()
    journal = Journal(opened.writer, lambda: sealed.set() if journal.durable == 3 else None)
    journal.append(Kind.COMMANDS, b"", 1)
    assert sealed.wait(30)
    journal.close()
    assert [record.kind for record in JournalReader(Disk(), str(tmp_path))] == [Kind.GENESIS, Kind.COMMANDS, Kind.SEAL]


class Failing(Disk):
    """Its syncs fail when it is told to."""

    failing = False

    def sync(self, file: int) -> None:
        if self.failing:
            raise OSError(5, "Input/output error")
        super().sync(file)


def test_the_thread_tells_of_a_disk_that_fails(tmp_path: Path) -> None:
    disk, failed = Failing(), threading.Event()
    writer = open_journal(disk, str(tmp_path), SMALL, EPOCH).writer
    writer.commit([(Kind.GENESIS, small_exchange().snapshot(), 1)])
    disk.failing = True
    journal = Journal(writer, lambda: failed.set() if journal.failure else None)
    journal.append(Kind.COMMANDS, b"", 1)
    assert failed.wait(30)
    disk.failing = False
    assert journal.durable == 1
    with pytest.raises(JournalFailed, match="record 2: Input/output error"):
        journal.append(Kind.COMMANDS, b"", 1)
    journal.close()
    assert journal.durable == 1


# A reader beside a writer


class Overtaken(FakeDisk):
    """Its first read of a segment does not have a piece that was being written then; what was written after that it has."""

    hole: tuple[int, int] | None = None

    def read(self, path: str, size: int = -1) -> bytes:
        data = bytearray(super().read(path, size))
        if self.hole and path.endswith(".journal"):
            start, end = self.hole
            data[start:end] = bytes(end - start)
            self.hole = None
        return bytes(data)


def test_a_reader_that_is_overtaken_by_the_writer_looks_again() -> None:
    disk, world = lived(30, SMALL._replace(segment_bytes=1 << 16))
    records = list(JournalReader(disk, FOLDER))
    overtaken = Overtaken(random.Random(1), disk.contents())
    for first, last in zip(records[1:], records[4:-6], strict=False):
        overtaken.hole = first.offset, last.end
        found = replay(overtaken, FOLDER)
        assert found
        assert found.state.exchange.state_hash() == world.exchange.state_hash()
        assert overtaken.hole is None


def snapshot(folder: Path, upto: int | None) -> tuple[State, list[str]]:
    return take_snapshot(Disk(), str(folder), Config(), upto, 2, lambda state, record: None)


def test_snapshots_are_taken_while_a_journal_is_written(tmp_path: Path) -> None:
    opened, exchange = begun(tmp_path, JournalOptions(1 << 15, 1 << 12, 16, 0, seal_after_s=600))
    behind, chance = {1: exchange.state_hash()}, random.Random(1)
    notice, over = Notice(), threading.Event()
    journal = Journal(opened.writer, notice.give)

    def write() -> None:
        for time in range(3_000):
            payload = commands(chance, time)
            exchange.execute(payload)
            behind[journal.appended + 1] = exchange.state_hash()
            journal.append(Kind.COMMANDS, payload, time)
            if time % 50 == 0:
                notice.wait(lambda: journal.idle)
        over.set()

    writer = threading.Thread(target=write)
    writer.start()
    taken = []
    while not over.is_set():
        durable = journal.durable
        for upto in (None, durable):
            if upto is None and settled(Disk(), str(tmp_path)) == 0:
                continue
            state, _ = snapshot(tmp_path, upto)
            assert state.exchange.state_hash() == behind[state.seq]
            assert upto in (None, state.seq)
            taken.append(state.seq)
        assert check(Disk(), str(tmp_path))
    writer.join()
    journal.close()
    assert len(set(taken)) > 2
    checked = check(Disk(), str(tmp_path))
    assert checked
    assert (len(checked.right), checked.wrong) == (2, [])
    assert checked.replay.state.exchange.state_hash() == exchange.state_hash()


def test_no_two_processes_take_a_snapshot_at_once(tmp_path: Path) -> None:
    begun(tmp_path)
    lock = Disk().lock(str(tmp_path / "snapshot-lock"))
    with pytest.raises(Locked, match="another process is taking a snapshot"):
        snapshot(tmp_path, 1)
    Disk().close(lock)
    assert snapshot(tmp_path, 1)[0].seq == 1


def test_a_snapshot_is_never_of_what_may_not_be_on_disk() -> None:
    disk = FakeDisk(random.Random(1))
    world = World(random.Random(2))
    writer = world.open(disk).writer
    for _ in range(40):
        before = writer.seq
        world.step()
        assert settled(disk, FOLDER) == before


# Older versions


def test_a_journal_of_version_1_is_read() -> None:
    found = check(Disk(), str(VERSION_1))
    assert found
    assert found.wrong == []
    state = found.replay.state
    assert f"{state.exchange.state_hash():016x}" == VERSION_1_STATE
    assert (found.right, state.seq, state.epoch, state.time) == VERSION_1_COUNTS
    assert (set(state.directory), len(state.results)) == ({LastGroup(5), *(Unknown(f"subject {i}") for i in range(3))}, 7)


def test_the_channels_of_version_1_come_back_the_same_from_its_snapshot() -> None:
    remembered = []
    for from_start in (True, False):
        feeds: list[Feed] = []
        found = replay(Disk(), str(VERSION_1), None, feeding(Config(), feeds), from_start)
        assert found
        assert f"{found.state.exchange.state_hash():016x}" == VERSION_1_STATE
        known = msgspec.msgpack.decode(feeds[0].dump(), type=FeedState)
        known.candles = {}    # which its snapshots do not have
        remembered.append((found.state.directory, known))
    assert remembered[0] == remembered[1]
    assert all(known.books for _, known in remembered)


def test_version_1_has_every_kind_of_record() -> None:
    assert {record.kind for record in JournalReader(Disk(), str(VERSION_1))} == VERSION_1_KINDS
