"""`deltabook journal`, on the journal that is kept as a fixture and on damaged copies of it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stream.cli import main
from stream.commands.directory import ChannelStates
from stream.journal import snapshots
from stream.journal.files import Disk
from stream.journal.format import Kind
from stream.journal.reader import SUFFIX, JournalReader, numbers, segment_path
from stream.journal.recovery import open_journal, replay
from stream.journal.writer import SEAL, JournalOptions
from tests.journal.test_journal import VERSION_1, VERSION_1_COUNTS, VERSION_1_KINDS, VERSION_1_STATE

[SNAPSHOT], LAST, EPOCH, TIME = VERSION_1_COUNTS
FIRSTS = numbers(Disk(), str(VERSION_1), SUFFIX)



class Outcome(NamedTuple):
    """What a command left."""

    status: int
    out: str
    err: str

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Outcome]


@pytest.fixture
def journal(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `deltabook journal`."""

    def run(*arguments: object) -> Outcome:
        status = main(["journal", *map(str, arguments)])
        return Outcome(status, *capsys.readouterr())

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(VERSION_1, tmp_path / "data"))


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def place_of(seq: int) -> tuple[str, int]:
    """The name of the segment that has a record, and where in it."""
    reader = JournalReader(Disk(), str(VERSION_1))
    return next((Path(reader.path).name, record.offset) for record in reader if record.seq == seq)


def damage(folder: Path, seq: int) -> str:
    """Damage a record; where that is told to be."""
    name, offset = place_of(seq)
    flip(folder / name, offset + 40)
    return f"{folder}/{name}, byte {offset}: "


def hash_at(seq: int) -> str:
    found = replay(Disk(), str(VERSION_1), seq)
    assert found
    return f"{found.state.exchange.state_hash():016x}"


def test_info_says_what_is_in_it(journal: Run) -> None:
    outcome = journal("info", VERSION_1, "--json")
    assert (outcome.status, outcome.err) == (0, "")
    told = json.loads(outcome.out)
    assert (told["first"], told["last"], told["epoch"], told["ended"], told["snapshots"]) == (1, LAST, EPOCH, TIME, [SNAPSHOT])
    assert told["records"].keys() == {kind.name.lower() for kind in VERSION_1_KINDS}
    assert sum(told["records"].values()) == LAST
    assert (told["segments"], told["whole"], told["unfinished_bytes"]) == (len(FIRSTS), True, 0)
    assert told["bytes_per_million_commands"] == round(told["bytes"] * 1e6 / told["commands"])
    table = journal("info", VERSION_1).out
    for words in (f"1 to {LAST}", f"{told['commands']:,}, ", f"of records {SNAPSHOT}", "keyed_commands", "1970-01-01T00:00:00.000000Z"):
        assert words in table


def test_check_says_that_it_is_whole(journal: Run, folder: Path) -> None:
    outcome = journal("check", folder)
    assert (outcome.status, outcome.err) == (0, "")
    assert f"records 1 to {LAST} are whole" in outcome.out
    assert VERSION_1_STATE in outcome.out
    assert "1 of 1 snapshots are right" in outcome.out


def test_check_names_file_and_byte_of_what_is_damaged(journal: Run, folder: Path) -> None:
    where = damage(folder, SNAPSHOT + 3)
    outcome = journal("check", folder)
    assert outcome.status == 1
    assert where in outcome.err
    assert "`deltabook journal repair`" in outcome.err
    assert outcome.err.count("\n") == 1
    assert f"records 1 to {SNAPSHOT + 2} are whole" in outcome.out
    for action in ("info", "dump", "replay"):
        outcome = journal(action, folder)
        assert (outcome.status, where in outcome.err) == (1, True)


def test_check_compares_the_snapshots(journal: Run, folder: Path) -> None:
    path = Path(snapshots.snapshot_path(str(folder), SNAPSHOT))
    flip(path, 100)
    outcome = journal("check", folder)
    assert outcome.status == 1
    assert f"{path}, byte 0: the snapshot is damaged; remove it" in outcome.err
    assert "0 of 1 snapshots are right" in outcome.out
    state = snapshots.decode((VERSION_1 / path.name).read_bytes(), "")
    state.exchange.open_account()
    snapshots.write(Disk(), str(folder), state)
    assert "another state than the replay" in journal("check", folder).err
    state.seq = LAST + 5
    snapshots.write(Disk(), str(folder), state)
    assert f"the snapshot is of record {LAST + 5}, and the journal ends with record {LAST}" in journal("check", folder).err


def test_check_tells_of_a_write_that_is_not_finished(journal: Run, folder: Path) -> None:
    path = folder / place_of(LAST)[0]
    data = bytearray(path.read_bytes())
    end = len(data.rstrip(b"\0"))
    data[end + 100 : end + 110] = b"x" * 10
    path.write_bytes(data)
    outcome = journal("check", folder)
    assert outcome.status == 0
    assert "bytes of an unfinished write" in outcome.out
    assert json.loads(journal("info", folder, "--json").out)["unfinished_bytes"] > 50


def test_dump_prints_commands_and_other_records(journal: Run) -> None:
    lines = journal("dump", VERSION_1).lines()
    assert {line["record"] for line in lines} == set(range(1, LAST + 1))
    assert [line["record"] for line in lines] == sorted(line["record"] for line in lines)
    assert {line["kind"] for line in lines} == {kind.name.lower() for kind in VERSION_1_KINDS}
    told = json.loads(journal("info", VERSION_1, "--json").out)
    assert sum("command" in line for line in lines) == told["commands"]
    places = [line for line in lines if line.get("command") == "place"]
    assert all({"side", "price", "size", "type", "time_in_force"} <= line.keys() and "events" not in line for line in places)
    [listing] = [line for line in lines if line["kind"] == "listing"]
    assert listing["assets"] == {"ETH": 3}
    assert listing["instruments"][0]["tick"] == "2.5"
    assert all(line["key"] for line in lines if line["kind"] == "keyed_commands" and "key" in line)
    assert any("key" in line for line in lines)


def test_dump_prints_what_each_command_caused(journal: Run) -> None:
    lines = journal("dump", VERSION_1, "--events", "--from", 5, "--upto", LAST - 1).lines()
    assert (lines[0]["record"], lines[-1]["record"]) == (5, LAST - 1)
    events = [event for line in lines for event in line.get("events", [])]
    assert [event["seq"] for event in events] == list(range(events[0]["seq"], events[0]["seq"] + len(events)))
    assert all(line["events"][-1]["flags"] & 1 for line in lines if "command" in line)
    assert {"accepted", "trade", "level", "balance"} <= {event["event"] for event in events}
    assert all(isinstance(event["reason"], str) for event in events if event["event"] == "rejected")


def test_replay_prints_the_state_behind_a_record(journal: Run) -> None:
    for seq in (LAST, SNAPSHOT, 5, 1):
        told = json.loads(journal("replay", VERSION_1, "--upto", seq, "--json").out)
        assert (told["record"], told["state_hash"]) == (seq, hash_at(seq))
    out = journal("replay", VERSION_1).out
    assert VERSION_1_STATE in out
    assert "BTC-USD" in out
    assert "ETH-USD" in out
    assert f"replayed {LAST - SNAPSHOT}" in out


def test_replay_prints_the_state_at_a_time(journal: Run) -> None:
    times = {record.seq: record.time for record in JournalReader(Disk(), str(VERSION_1))}
    at = times[SNAPSHOT]
    last = max(seq for seq, time in times.items() if time <= at and seq < LAST)
    assert json.loads(journal("replay", VERSION_1, "--time", at, "--json").out)["record"] == last
    for time, seq in (("1970-01-01", LAST), ("2026-11-23T14:30:00+02:00", LAST)):
        assert json.loads(journal("replay", VERSION_1, "--time", time, "--json").out)["record"] == seq


def test_a_snapshot_is_where_replay_begins(journal: Run, folder: Path) -> None:
    outcome = journal("snapshot", folder, "--upto", SNAPSHOT + 4)
    assert (outcome.status, outcome.err) == (0, "")
    assert snapshots.snapshot_path(str(folder), SNAPSHOT + 4) in outcome.out
    assert hash_at(SNAPSHOT + 4) in outcome.out
    removed = [first for first in FIRSTS if segment_path(str(folder), first) in outcome.out]
    assert removed
    assert set(removed).isdisjoint(numbers(Disk(), str(folder), SUFFIX))
    told = json.loads(journal("replay", folder, "--json").out)
    assert told["state_hash"] == VERSION_1_STATE
    assert "replayed 0" in journal("replay", folder, "--upto", SNAPSHOT + 4).out
    assert journal("check", folder).status == 0
    assert f"the earliest is that after record {SNAPSHOT}" in journal("replay", folder, "--upto", 2).err


def test_a_snapshot_remembers_as_many_trades_as_the_server(journal: Run, folder: Path) -> None:
    memories = []
    for trades in (1000, 2):
        assert journal("snapshot", folder, "--upto", LAST - 1, "--trades", trades).status == 0
        memories.append(snapshots.read(Disk(), str(folder), LAST - 1).directory[ChannelStates()])
    assert 0 < len(memories[1]) < len(memories[0])


def test_a_snapshot_is_taken_beside_a_server(journal: Run, folder: Path) -> None:
    opened = open_journal(Disk(), str(folder), JournalOptions(4096, reserve_bytes=0), EPOCH)
    opened.writer.commit([SEAL])
    assert journal("snapshot", folder, "--keep", 1).status == 0
    assert numbers(Disk(), str(folder), snapshots.SUFFIX) == [LAST]
    opened.writer.commit([SEAL])
    opened.writer.close()
    Disk().close(opened.lock)
    found = replay(Disk(), str(folder))
    assert found
    assert (found.state.seq, found.records) == (LAST + 2, 2)


def repaired(journal: Run, folder: Path) -> tuple[Path, str]:
    """Repair it into a folder beside it, which can then be gone on with; that folder, and what was told."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    copy = folder.with_name("copy")
    outcome = journal("repair", folder, copy)
    assert (outcome.status, outcome.err) == (0, "")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert journal("check", copy).status == 0
    opened = open_journal(Disk(), str(copy), JournalOptions(4096, reserve_bytes=0), 0)
    opened.writer.commit([SEAL])
    opened.writer.close()
    Disk().close(opened.lock)
    assert journal("check", copy).status == 0
    return copy, outcome.out


@pytest.mark.parametrize("seq", [SNAPSHOT - 2, SNAPSHOT + 3, *FIRSTS[1:]])
def test_repair_cuts_at_the_first_damage(journal: Run, folder: Path, seq: int) -> None:
    """Of what is behind, nothing; what is before, all, or from the snapshot on if that comes further."""
    (folder / f"{SNAPSHOT:020}.snapshot").unlink()
    where = damage(folder, seq)
    copy, out = repaired(journal, folder)
    assert where in out
    assert f"{copy} has the records 1 to {seq - 1}\n" in out
    assert f"lost: what came after record {seq - 1} (" in out
    assert f"up to record {LAST}" in out
    assert hash_at(seq - 1) in out
    records = list(JournalReader(Disk(), str(copy)))
    assert (records[seq - 1].kind, records[seq - 1].seq) == (Kind.EPOCH, seq)
    found = replay(Disk(), str(copy))
    assert found
    assert found.state.epoch > 10**12
    assert found.state.epoch == int.from_bytes(records[seq - 1].payload, "little")


def test_repair_goes_on_from_a_snapshot_where_records_before_it_are_damaged(journal: Run, folder: Path) -> None:
    seq = FIRSTS[0] + 1
    where = damage(folder, seq)
    copy, out = repaired(journal, folder)
    assert where in out
    assert f"has the records {SNAPSHOT + 1} to {LAST}, after a snapshot of record {SNAPSHOT}" in out
    assert "nothing is lost: the epoch is the same" in out
    assert VERSION_1_STATE in out
    found = replay(Disk(), str(copy))
    assert found
    assert found.state.epoch == EPOCH


def test_repair_keeps_what_is_before_a_truncation(journal: Run, folder: Path) -> None:
    name, offset = place_of(LAST - 2)
    (folder / name).write_bytes((folder / name).read_bytes()[: offset + 10])
    _, out = repaired(journal, folder)
    assert f"{folder}/{name}, byte {offset + 10}: the file has {offset + 10} bytes" in out
    assert f"has the records 1 to {LAST - 3}" in out
    assert "no commands that can still be read" in out
    assert hash_at(LAST - 3) in out


def test_repair_begins_with_the_snapshot_if_all_records_are_gone(journal: Run, folder: Path) -> None:
    for first in FIRSTS:
        (folder / f"{first:020}{SUFFIX}").unlink()
    copy, out = repaired(journal, folder)
    assert hash_at(SNAPSHOT) in out
    assert f"{copy} has the state after record {SNAPSHOT}, and no records" in out


def test_repair_of_a_whole_journal_is_a_copy(journal: Run, folder: Path) -> None:
    flip(folder / f"{SNAPSHOT:020}.snapshot", 100)
    copy, out = repaired(journal, folder)
    assert "nothing is lost" in out
    assert numbers(Disk(), str(copy), snapshots.SUFFIX) == []
    for first in FIRSTS[:-1]:
        assert (copy / f"{first:020}{SUFFIX}").read_bytes() == (folder / f"{first:020}{SUFFIX}").read_bytes()


def test_repair_does_not_write_where_files_are(journal: Run, folder: Path) -> None:
    outcome = journal("repair", folder, folder)
    assert outcome.status == 2
    assert "there are files in this folder already" in outcome.err


@pytest.mark.parametrize("action", ["info", "check", "dump", "replay", "snapshot", "repair"])
def test_what_is_not_there_is_told_in_one_line(journal: Run, tmp_path: Path, action: str) -> None:
    more = [tmp_path / "new"] if action == "repair" else []
    for folder, words in ((tmp_path / "none", "there is no such folder"), (tmp_path, "there is no journal in this folder")):
        outcome = journal(action, folder, *more)
        assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)
        assert f"{folder}: {words}" in outcome.err


def test_a_record_that_is_not_there_is_told(journal: Run) -> None:
    outcome = journal("replay", VERSION_1, "--upto", LAST + 1)
    assert (outcome.status, outcome.err) == (2, f"deltabook journal: {VERSION_1}: there is no record {LAST + 1}; the last one is {LAST}\n")


@pytest.mark.parametrize("arguments", [["--upto", "0"], ["--upto", "x"], ["--time", "noon"], ["--upto", "3", "--time", "3"]])
def test_what_cannot_be_parsed_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["journal", "replay", str(VERSION_1), *arguments])
    assert left.value.code == 2
    assert f"argument {arguments[-2]}: " in capsys.readouterr().err


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["journal", "--help"])
    assert "examples:\n  deltabook journal info data" in capsys.readouterr().out
