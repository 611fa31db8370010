"""`journal repair --without`: all of a journal but one command, against a twin that runs what is left; and what is said when that cannot be."""

import random
import shutil
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from stream.cli import main
from stream.commands.forwarded import COMMAND_BYTES, decode_forwarded, not_run
from stream.journal import snapshots
from stream.journal.files import Disk
from stream.journal.format import JournalError, Kind, Record, decode_keyed, decode_segment, encode_keyed
from stream.journal.parts import CommandName, named
from stream.journal.reader import SUFFIX, JournalReader, numbers
from stream.journal.recovery import LOCK, apply, begin, open_journal, replay
from stream.journal.snapshots import State
from stream.market.journal_inspection import check
from stream.market.leave_out import leave_out
from tests.journal.fake_disk import FakeDisk
from tests.journal.journals import EPOCH, FOLDER, SMALL, World
from tests.journal.test_journal import VERSION_1, VERSION_1_COUNTS

LAST = VERSION_1_COUNTS[1]
COPY = "copy"
NEW_EPOCH = EPOCH + 99


def cut(commands: bytes, place: int) -> bytes:
    return commands[: place * COMMAND_BYTES] + commands[(place + 1) * COMMAND_BYTES :]


def without(record: Record, place: int) -> Record | None:
    """The twin: a record without its command at a place, nothing if it has no other."""
    if record.kind == Kind.FORWARDED:
        group = decode_forwarded(record.payload)
        if len(group.commands) == COMMAND_BYTES:
            return record._replace(payload=memoryview(msgspec.msgpack.encode(not_run(group.origin, group.number))))
        keyed = [each._replace(place=each.place - (each.place > place)) for each in group.keyed if each.place != place]
        return record._replace(payload=memoryview(msgspec.msgpack.encode(replace(group, commands=cut(group.commands, place), keyed=keyed))))
    if record.kind == Kind.ENTRY:
        return None
    if record.kind == Kind.KEYED_COMMANDS:
        keyed, commands = decode_keyed(record.payload)
        keyed = [each._replace(place=each.place - (each.place > place)) for each in keyed if each.place != place]
        return record._replace(payload=memoryview(encode_keyed(keyed, cut(bytes(commands), place)))) if len(commands) > COMMAND_BYTES else None
    return record._replace(payload=memoryview(cut(bytes(record.payload), place))) if len(record.payload) > COMMAND_BYTES else None


def count_of(record: Record) -> int:
    if record.kind == Kind.ENTRY:
        return 1
    if record.kind == Kind.FORWARDED:
        return len(decode_forwarded(record.payload).commands) // COMMAND_BYTES
    return len(decode_keyed(record.payload)[1] if record.kind == Kind.KEYED_COMMANDS else record.payload) // COMMAND_BYTES


def twin(records: list[Record], name: CommandName) -> State:
    """What the records come to without a command."""
    state = begin(records[0], EPOCH)
    for record in records[1:]:
        left = without(record, (name.place or 1) - 1) if record.seq == name.record else record
        if left and left.kind != Kind.MARK:
            apply(state, left)
    return state


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_the_copy_is_what_the_others_come_to(seed: int) -> None:
    chance = random.Random(seed)
    disk, world = FakeDisk(chance), World(chance)
    world.open(disk)
    while world.opened.writer.seq < 30:
        world.step()
        if not chance.randrange(8):
            world.snapshot(disk, keep=9)
        if not chance.randrange(16):
            epoch = world.opened.writer.epoch + 1
            world.commit([(Kind.EPOCH, epoch.to_bytes(8, "little"), 1)])
            world.opened.writer.epoch = epoch
    before, records = disk.contents(), list(JournalReader(disk, FOLDER))
    record = chance.choice([record for record in records if record.kind in (Kind.COMMANDS, Kind.KEYED_COMMANDS, Kind.FORWARDED, Kind.ENTRY)])
    count = count_of(record)
    name = CommandName(record.seq, chance.randrange(1, count + 1) if count > 1 else None)

    left = leave_out(disk, FOLDER, COPY, name, SMALL, NEW_EPOCH, 99)
    assert {path: data for path, data in disk.contents().items() if not path.startswith(COPY)} == before
    checked, expected = check(disk, COPY), twin(records, name)
    assert checked
    assert checked.wrong == []
    state = checked.replay.state
    assert (state.exchange.state_hash(), state.directory, state.results) == (expected.exchange.state_hash(), expected.directory, expected.results)
    assert (state.epoch, state.seq) == (NEW_EPOCH, len(records) + 1)
    assert left.last == state.seq
    assert left.behind == sum(count_of(each) for each in records[record.seq :] if each.kind in (Kind.COMMANDS, Kind.KEYED_COMMANDS, Kind.FORWARDED))
    assert checked.right == [seq for seq in numbers(disk, FOLDER, snapshots.SUFFIX) if seq < record.seq]
    recovered = replay(disk, COPY)    # from the newest snapshot
    assert recovered
    assert recovered.state.exchange.state_hash() == expected.exchange.state_hash()
    opened = open_journal(disk, COPY, SMALL, 0)
    opened.writer.commit([(Kind.SEAL, b"", 99)])


def test_what_is_behind_a_snapshot_alone_is_left_out_too() -> None:
    """Where the records before it have gone."""
    chance = random.Random(1)
    disk, world = FakeDisk(chance), World(chance)
    world.open(disk)
    while world.opened.writer.seq < 60:
        world.step()
    world.snapshot(disk, keep=1)
    after = world.opened.writer.seq
    while world.opened.writer.seq < 80:
        world.step()
    assert 1 not in numbers(disk, FOLDER, SUFFIX)
    record = next(each for each in JournalReader(disk, FOLDER, after, snapshots.read(disk, FOLDER, after).crc) if each.kind == Kind.COMMANDS)
    leave_out(disk, FOLDER, COPY, CommandName(record.seq, 1), SMALL, NEW_EPOCH, 99)
    assert check(disk, COPY)
    before = next(each for each in JournalReader(disk, FOLDER, *first_of(disk)) if each.kind == Kind.COMMANDS)
    with pytest.raises(JournalError, match=f"there is no snapshot of an earlier record than {before.seq}"):
        leave_out(disk, FOLDER, "another", CommandName(before.seq, 1), SMALL, NEW_EPOCH, 99)
    assert "another" not in {path.partition("/")[0] for path in disk.contents()}


def first_of(disk: FakeDisk) -> tuple[int, int]:
    """Behind what the first segment that is left begins, and the CRC there."""
    path = f"{FOLDER}/{numbers(disk, FOLDER, SUFFIX)[0]:020}{SUFFIX}"
    segment = decode_segment(disk.read(path), path)
    return segment.first - 1, segment.previous


BAD = {
    "no such record": (str(LAST + 1), f"there is no record {LAST + 1}; the last one is {LAST}"),
    "a record of another kind": ("1", "record 1 is of kind 1: expected one of commands, keyed_commands, forwarded, string_forwarded, entry"),
    "one of several": ("SEVERAL", "has 2 commands: expected one of SEVERAL.1 to SEVERAL.2, or SEVERAL.0 for all"),
    "no such place": ("SEVERAL.3", "has no command SEVERAL.3: expected at most SEVERAL.2"),
}


@pytest.fixture
def several() -> int:
    """A record with two commands."""
    return next(record.seq for record in JournalReader(Disk(), str(VERSION_1)) if record.kind == Kind.COMMANDS and count_of(record) == 2)


@pytest.mark.parametrize(("name", "words"), BAD.values(), ids=BAD)
def test_what_cannot_be_left_out(name: str, words: str, several: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, words = name.replace("SEVERAL", str(several)), words.replace("SEVERAL", str(several))
    assert main(["journal", "repair", str(VERSION_1), str(tmp_path / "copy"), "--without", name]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("name", ["", "0", "0.1", "x", "3.", ".3", "3.x", "-3", "3.1.1", "3,1"])
def test_what_names_no_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["journal", "repair", str(VERSION_1), "copy", f"--without={name}"])
    assert left.value.code == 2
    assert "expected RECORD or RECORD.PLACE" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["412", "412.3", "412.0"])
def test_a_name_is_what_it_was_made_of(name: str) -> None:
    assert str(named(name)) == name


@pytest.mark.parametrize("without", [["--without", "3"], []])
def test_a_journal_that_a_server_has_is_not_repaired(without: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, copy = shutil.copytree(VERSION_1, tmp_path / "data"), tmp_path / "copy"
    lock = Disk().lock(f"{folder}/{LOCK}")
    assert main(["journal", "repair", str(folder), str(copy), *without]) == 2
    assert "another process uses this journal" in capsys.readouterr().err
    assert not copy.exists()
    Disk().close(lock)


def test_a_copy_does_not_go_where_files_are(several: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["journal", "repair", str(VERSION_1), str(VERSION_1), "--without", f"{several}.1"]) == 2
    assert "there are files in this folder already" in capsys.readouterr().err


def test_what_is_told_of_a_copy(several: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was left out, whom it concerns, what has become otherwise, how to know it again."""
    copy = str(tmp_path / "copy")
    assert main(["journal", "repair", str(VERSION_1), copy, "--without", f"{several}.2"]) == 0
    out = capsys.readouterr().out
    assert f'left out: {{"record":{several},"kind":"commands",' in out
    assert '"place":2' in out
    assert '"place":1' not in out
    assert "accounts concerned: account " in out
    assert "the copy's end, compared with that of the journal:" in out
    assert "available and" in out or "open before" in out or "there are no differences" in out
    assert f"{copy} has the records up to {LAST + 1}; the epoch is now " in out
    found = replay(Disk(), copy)
    assert found
    assert f"state hash {found.state.exchange.state_hash():016x}" in out
    assert found.state.epoch > 10**12


@pytest.mark.parametrize("kind", [Kind.COMMANDS, Kind.KEYED_COMMANDS, Kind.FORWARDED])
def test_all_of_a_record_can_be_left_out(kind: Kind) -> None:
    """A group that was forwarded is refused instead, so that its number is used and its gateway learns of it."""
    chance = random.Random(5)
    disk, world = FakeDisk(chance), World(chance)
    world.open(disk)
    while world.opened.writer.seq < 60:
        world.step()
    record = next(each for each in JournalReader(disk, FOLDER) if each.kind == kind and count_of(each) > 1)
    leave_out(disk, FOLDER, COPY, CommandName(record.seq, 0), SMALL, NEW_EPOCH, 99)
    copied = list(JournalReader(disk, COPY))[record.seq - 1]
    if kind == Kind.FORWARDED:
        before = decode_forwarded(record.payload)
        assert decode_forwarded(copied.payload) == not_run(before.origin, before.number)
    else:
        assert copied.kind == Kind.SEAL
    assert check(disk, COPY)
