"""Journals of versions whose directory was under strings: they come to the same directory as ever, under today's keys, and go on with today's records."""

import shutil
from pathlib import Path

import msgspec
import pytest

from stream.commands.directory import (
    AccountOf,
    AskedConnections,
    ChannelStates,
    ClosedConnection,
    ClosedSubject,
    DeadManTimer,
    Directory,
    DirectoryKey,
    EndedConnection,
    Entry,
    GatewayName,
    GracePeriod,
    GuardedConnection,
    KeptAccount,
    LastGroup,
    Present,
    RevokedSubject,
    RevokedToken,
    SourceAccounts,
    Term,
    ToldConnections,
    Unknown,
    Value,
    decode_entry,
)
from stream.commands.forwarded import decode_forwarded
from stream.journal import snapshots
from stream.journal.entries import OF_GROUPS, entry_in, group_in
from stream.journal.files import Disk
from stream.journal.format import VERSION, Damaged, Kind, Record, decode_segment
from stream.journal.parts import CommandName
from stream.journal.reader import SUFFIX, JournalReader
from stream.journal.recovery import open_journal, replay
from stream.journal.writer import JournalOptions
from stream.market.journal_inspection import check, describe
from stream.market.leave_out import leave_out

FIXTURES = Path(__file__).parents[1] / "fixtures"
OPTIONS = JournalOptions(segment_bytes=8192, reserve_bytes=0)
S = 10**9
BEGAN = 1_700_000_000 * S

DIRECTORIES: dict[str, Directory] = {
    "journal_of_59d3460": {
        Term(): 1,
        AccountOf("alice"): 0, AccountOf("bob"): 1, AccountOf("carol"): 2, AccountOf("dave: with a colon"): 3, AccountOf("root"): 4,
        GuardedConnection(0, 100, 1): 60 * S, GuardedConnection(1, 101, 1): 0,
        DeadManTimer(1): 1700000050250000000,
        GracePeriod(2): 1700000030290000000,
        KeptAccount(2): True,
        LastGroup(100): 6, LastGroup(101): 3,
    },
    "journal_of_634b69d": {
        Term(): 1,
        AccountOf("alice"): 0, AccountOf("bob"): 1, AccountOf("carol"): 2, AccountOf("dave: with a colon"): 3, AccountOf("root"): 4,
        GatewayName(100): b"100", GatewayName(101): b"101",
        Present(0, 100): True, Present(0, 101): True, Present(1, 101): True, Present(4, 100): True,
        GuardedConnection(0, 100, 108447924225): 60 * S, GuardedConnection(1, 101, 109521666049): 0,
        DeadManTimer(1): 1700000050250000000,
        GracePeriod(2): 1700000030300000000,
        KeptAccount(2): True,
        RevokedSubject("mallory"): 1700000000370000000, ClosedSubject("mallory"): 1700000000380000000,
        LastGroup(100): 13, LastGroup(101): 9,
    },
}
STATES = {"journal_of_59d3460": 0xddee79e20b1a53c6, "journal_of_634b69d": 0xbe90a5e0fc966366}


@pytest.fixture(params=DIRECTORIES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def without_channels(directory: Directory) -> Directory:
    return {key: value for key, value in directory.items() if key != ChannelStates()}


@pytest.mark.parametrize("from_start", [True, False])
def test_the_directory_is_the_same_under_todays_keys(name: str, from_start: bool) -> None:
    found = replay(Disk(), str(FIXTURES / name), from_start=from_start)
    assert found
    assert found.wrong == []
    assert found.state.exchange.state_hash() == STATES[name]
    assert without_channels(found.state.directory) == DIRECTORIES[name]


def test_what_is_written_from_then_on_is_of_todays_form(name: str, tmp_path: Path) -> None:
    folder = str(tmp_path / "journal")
    shutil.copytree(FIXTURES / name, folder)
    opened = open_journal(Disk(), folder, OPTIONS, 0)
    opened.writer.commit([
        (Kind.ENTRY, msgspec.msgpack.encode(Entry(DeadManTimer(1), None)), BEGAN), (Kind.ENTRY, msgspec.msgpack.encode(Entry(AccountOf("eve"), 5)), BEGAN),
    ])
    opened.writer.close()
    Disk().close(opened.lock)
    versions = [decode_segment(path.read_bytes(), str(path)).version for path in sorted(Path(folder).glob(f"*{SUFFIX}"))]
    assert versions == [1, VERSION], "an earlier version is told that it cannot read the journal any more"
    expected = {key: value for key, value in DIRECTORIES[name].items() if key != DeadManTimer(1)} | {AccountOf("eve"): 5}
    for from_start in (True, False):
        found = replay(Disk(), folder, from_start=from_start)
        assert found
        assert without_channels(found.state.directory) == expected
    snapshots.write(Disk(), folder, found.state)
    checked = check(Disk(), folder)
    assert checked
    assert (checked.wrong, len(checked.right)) == ([], 2)
    assert snapshots.read(Disk(), folder, found.state.seq).directory == found.state.directory


def test_a_copy_without_a_command_has_the_record_in_todays_form(name: str, tmp_path: Path) -> None:
    records = list(JournalReader(Disk(), str(FIXTURES / name)))
    forwarded = next(record for record in records if record.kind == Kind.STRING_FORWARDED and group_in(record).commands)
    leave_out(Disk(), str(FIXTURES / name), str(tmp_path / "copy"), CommandName(forwarded.seq), OPTIONS, 9, BEGAN)
    [copied] = [record for record in JournalReader(Disk(), str(tmp_path / "copy")) if record.seq == forwarded.seq]
    before, after = group_in(forwarded), decode_forwarded(copied.payload)
    assert copied.kind == Kind.FORWARDED
    assert (after.origin, after.number, after.commands) == (before.origin, before.number, b"")


def test_the_records_are_told_as_todays(name: str) -> None:
    lines = [line for record in JournalReader(Disk(), str(FIXTURES / name)) for line in describe(record)]
    assert not any("unreadable" in line for line in lines)
    assert any(line.get("remembered") == "AccountOf" and (line["subject"], line["value"]) == ("alice", 0) for line in lines)
    assert any(entry["remembered"] == "GuardedConnection" for line in lines for entry in line.get("entries", ()))


def test_the_old_journals_have_no_record_of_todays_form(name: str) -> None:
    kinds = {record.kind for record in JournalReader(Disk(), str(FIXTURES / name))}
    assert kinds >= {Kind.STRING_ENTRY, Kind.STRING_FORWARDED}
    assert not kinds & {Kind.ENTRY, Kind.FORWARDED}
    assert kinds & set(OF_GROUPS)


def record_of(kind: Kind, payload: bytes) -> Record:
    return Record(1, kind, 1, memoryview(payload), 0, 0, 0, 0)


def eight(number: int) -> bytes:
    return number.to_bytes(8, "little")


STRINGS: dict[str, tuple[bytes, DirectoryKey, Value]] = {
    "account:al:ice": (eight(7), AccountOf("al:ice"), 7),
    "account:7\n": (eight(0), AccountOf("7\n"), 0),
    "source:simulated": (msgspec.msgpack.encode([1, 2]), SourceAccounts("simulated"), [1, 2]),
    "kept:3": (b"1", KeptAccount(3), True),
    "dead_man:3": (eight(9), DeadManTimer(3), 9),
    "grace:3": (eight(9), GracePeriod(3), 9),
    "present:3:100": (b"1", Present(3, 100), True),
    "guard:3:17": (eight(0), GuardedConnection(3, 0, 17), 0),
    "guard:3:100.17": (eight(5), GuardedConnection(3, 100, 17), 5),
    "ended:3:100.17": (eight(5), EndedConnection(3, 100, 17), 5),
    "gateway:100": (b"\xff", GatewayName(100), b"\xff"),
    "asked_connections:100:1": (b"\x92\0\1", AskedConnections(100, 1), b"\x92\0\1"),
    "told_connections:100:1:101": (b"\x90", ToldConnections(100, 1, 101), b"\x90"),
    "revoked_token:a:b": (eight(5), RevokedToken("a:b"), 5),
    "revoked_subject:mallory": (eight(5), RevokedSubject("mallory"), 5),
    "closed_subject:mallory": (eight(5), ClosedSubject("mallory"), 5),
    "closed_connection:17": (eight(5), ClosedConnection(17), 5),
    f"origin:{(1 << 63) - 1}": (eight(5), LastGroup((1 << 63) - 1), 5),
    "term": (eight(5), Term(), 5),
    "feed": (b"\x92\x80\x80", ChannelStates(), b"\x92\x80\x80"),
    "subject 1": (b"123", Unknown("subject 1"), b"123"),
    "guard:seven:17": (eight(5), Unknown("guard:seven:17"), eight(5)),
    "kept:\u0663": (b"1", Unknown("kept:\u0663"), b"1"),
    f"gateway:{1 << 64}": (b"1", Unknown(f"gateway:{1 << 64}"), b"1"),
    "": (b"1", Unknown(""), b"1"),
}


@pytest.mark.parametrize("text", STRINGS)
def test_every_string_has_its_key(text: str) -> None:
    old, key, value = STRINGS[text]
    entry = entry_in(record_of(Kind.STRING_ENTRY, msgspec.msgpack.encode([text, old])))
    assert entry == Entry(key, value)
    assert type(entry.value) is key.holds
    assert decode_entry(msgspec.msgpack.encode(entry)) == entry
    assert entry_in(record_of(Kind.STRING_ENTRY, msgspec.msgpack.encode([text, b""]))) == Entry(key, None)


def test_a_snapshot_of_a_later_version_is_refused(tmp_path: Path) -> None:
    data = bytearray(next((FIXTURES / "journal_of_634b69d").glob("*.snapshot")).read_bytes())
    data[8] = VERSION + 1
    with pytest.raises(Damaged, match=f"version {VERSION + 1}: expected at most {VERSION}"):
        snapshots.decode(data, "test")
