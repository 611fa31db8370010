"""Inspects a journal without writing to it. Nothing here changes a record, and a server may be writing meanwhile."""

from collections.abc import Iterator
from enum import IntEnum
from struct import Struct
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import asdict, replace

from engine import CommandKind, EventKind, Exchange, OrderType, Reason, Side, TimeInForce
from stream.commands.directory import ChannelStates, Entry
from stream.commands.listing import Listing
from stream.commands.results import ORDER_KINDS
from stream.feed.feed import Feed
from stream.journal import snapshots
from stream.journal.entries import OF_GROUPS, entry_in, group_in
from stream.journal.files import Files
from stream.journal.format import REMEDY, Damaged, JournalError, Kind, Mark, Record, decode_keyed, decode_segment
from stream.journal.parts import commands_of, count_of
from stream.journal.reader import SUFFIX, JournalReader, numbers, segment_path
from stream.journal.recovery import Locked, Replay, Visit, replay
from stream.journal.snapshots import State
from stream.market.history import feeding, with_channels
from stream.settings.config import Config

COMMAND = Struct("<qQQqqqqqqIHBBBBBB4x")
FIELDS = (
    "time", "order", "client_id", "price", "size", "stop", "display", "min_size", "expires", "account", "instrument", "kind", "side", "type",
    "time_in_force", "flags", "self_trade",
)
NAMES: dict[int, dict[str, str]] = {
    CommandKind.PLACE: {"order": "linked"},
    CommandKind.DEPOSIT: {"size": "amount", "instrument": "asset"},
    CommandKind.WITHDRAW: {"size": "amount", "instrument": "asset"},
    CommandKind.SET_ACCOUNT: {"order": "group", "client_id": "orders_max", "price": "notional_max", "size": "size_max", "type": "tier"},
    CommandKind.SET_FEES: {"price": "maker_rate", "size": "taker_rate", "type": "tier"},
    CommandKind.SET_PHASE: {"type": "phase"},
    CommandKind.MASS_CANCEL: {"client_id": "orders_max"},
    CommandKind.FREEZE: {"type": "frozen"},
    CommandKind.SET_LIMITS: {"client_id": "orders_max", "price": "notional_max", "size": "size_max"},
    CommandKind.SET_TIER: {"type": "tier"},
    CommandKind.PAY_FEES: {"size": "amount", "instrument": "asset"},
    CommandKind.DELIST: {"type": "delisted"},
    CommandKind.SET_BAND: {"price": "band"},
}
"""What fields are called where a kind of command holds something else in them."""
OF_A_SIDE = ORDER_KINDS | {EventKind.REJECTED, EventKind.TRADE, EventKind.LEVEL}
LAST_OF_COMMAND = 1    # Event.flags
SNAPSHOT_LOCK = "snapshot-lock"


class Summary(msgspec.Struct):
    """A summary of the records: the first and last, how many of each kind, their commands, and their bytes without a genesis. Times are in ns since 1970."""

    first: int = 0
    last: int = 0
    began: int = 0
    ended: int = 0
    commands: int = 0
    bytes: int = 0
    records: dict[str, int] = {}

    def add(self, record: Record) -> None:
        """Count a record."""
        name = name_of(Kind, record.kind)
        self.records[name] = self.records.get(name, 0) + 1
        self.first, self.last = self.first or record.seq, record.seq
        self.began, self.ended = self.began or record.time, max(self.ended, record.time)
        self.bytes += record.end - record.offset if record.kind != Kind.GENESIS else 0
        self.commands += count_of(record)


class Checked(NamedTuple):
    """The result of a check: the state at the end, the snapshots that are right, and what is wrong with the others."""

    replay: Replay
    right: list[int]
    wrong: list[Damaged]


def name_of(names: type[IntEnum], value: int) -> str:
    """The name that a number stands for, or the number if it stands for nothing."""
    try:
        name: str | None = names(value).name    # of a flag's 0 there is none
    except ValueError:
        name = None
    return name.lower() if name else str(value)


def read_from(files: Files, folder: str, segment: int = 0) -> JournalReader:
    """A reader that begins with the first segment, or with another, counted as in a list. Damaged if there is none."""
    segments = numbers(files, folder, SUFFIX)
    if not segments:
        raise Damaged(segment_path(folder, 1), 0, "there is no file with records", REMEDY)
    path = segment_path(folder, segments[segment])
    return JournalReader(files, folder, segments[segment] - 1, decode_segment(files.read(path), path).previous)


def settled(files: Files, folder: str) -> int:
    """The last record that is known to be on disk, because a later group follows it."""
    reader = read_from(files, folder, -1)
    seq = reader.seq
    for record in reader:
        seq = record.seq - record.place - 1
    return seq


def record_at(files: Files, folder: str, time: int) -> int:
    """The last record before the first one that is later than a time in ns since 1970. O(all records)."""
    reader = read_from(files, folder)
    for record in reader:
        if record.time > time:
            return record.seq - 1
    return reader.seq


def state_at(files: Files, folder: str, upto: int | None, visit: Visit | None = None) -> Replay:
    """The state after a record, by default the last one, with as short a replay as possible. Raises JournalError if the record is gone or not there yet."""
    first = 1 if 1 in numbers(files, folder, SUFFIX) else min(numbers(files, folder, snapshots.SUFFIX), default=1)
    if upto is not None and upto < first:
        raise JournalError(f"{folder}: the state after record {upto} is not in this journal any more; the earliest is that after record {first}")
    found = replay(files, folder, upto, visit)
    if found is None:
        raise JournalError(f"{folder}: there are no records in this journal")
    if upto is not None and found.state.seq != upto:
        raise JournalError(f"{folder}: there is no record {upto}; the last one is {found.state.seq}")
    return found


def check(files: Files, folder: str, visit: Visit | None = None) -> Checked | None:
    """Replay the whole journal, and compare every snapshot with the state after its record. Raises Damaged if a record is. None if there are no records."""
    kept = numbers(files, folder, snapshots.SUFFIX)
    right: list[int] = []
    wrong: list[Damaged] = []

    def compare(state: State) -> None:
        path = snapshots.snapshot_path(folder, state.seq)
        try:
            found = snapshots.read(files, folder, state.seq)
            if _compared(found) != _compared(state):
                raise Damaged(path, 0, "the snapshot is whole, but it holds another state than the replay", snapshots.REMEDY)
            right.append(state.seq)
        except Damaged as damaged:
            wrong.append(damaged)

    def see(state: State, record: Record | None) -> None:
        if state.seq in kept:
            compare(state)
        if visit:
            visit(state, record)

    found = replay(files, folder, None, see, from_start=True)
    if found is None:
        return None
    for seq in kept:
        if seq > found.state.seq:
            what = f"the snapshot is of record {seq}, and the journal ends with record {found.state.seq}"
            wrong.append(Damaged(snapshots.snapshot_path(folder, seq), 0, what, snapshots.REMEDY))
    return Checked(found, right, wrong)


def _compared(state: State) -> tuple[object, ...]:
    """What the snapshot of a state must have. The state of the channels is in snapshots alone: it depends on the configuration.

    The times of results are left out, for snapshots of an earlier version have none.
    """
    directory = {key: value for key, value in state.directory.items() if not isinstance(key, ChannelStates)}
    results = {name: replace(result, time=0) for name, result in state.results.items()}
    return state.crc, state.epoch, directory, results, state.exchange.state_hash()


def take_snapshot(files: Files, folder: str, config: Config, upto: int | None, keep: int, visit: Visit) -> tuple[State, list[str]]:
    """Write a snapshot of the state after a record that is on disk, by default the last one that is known to be, and prune.

    Returns the state, and what was removed. The journal's own process may go on writing. Raises Locked if another process takes a snapshot too.
    """
    try:
        lock = files.lock(f"{folder}/{SNAPSHOT_LOCK}")
    except BlockingIOError:
        raise Locked(f"{folder}: another process is taking a snapshot") from None
    feeds: list[Feed] = []
    feed = feeding(config, feeds)

    def see(state: State, record: Record | None) -> None:
        feed(state, record)
        visit(state, record)

    try:
        state = state_at(files, folder, settled(files, folder) if upto is None else upto, see).state
        state.directory = with_channels(feeds[0], state.directory)
        snapshots.write(files, folder, state)
        return state, snapshots.prune(files, folder, keep)
    finally:
        files.close(lock)


def describe(record: Record, exchange: Exchange | None = None) -> Iterator[dict[str, Any]]:
    """A record as lines of JSON: one for each command, or one for any other record. If the exchange is given, a command has the events that it has just caused.

    A record that is whole but cannot be read has a line that says why.
    """
    line: dict[str, Any] = {"record": record.seq, "kind": name_of(Kind, record.kind), "time": record.time}
    try:
        yield from _lines(line, record, exchange)
    except (ValueError, msgspec.MsgspecError) as error:
        yield line | {"bytes": len(record.payload), "unreadable": str(error)}


def _lines(line: dict[str, Any], record: Record, exchange: Exchange | None) -> Iterator[dict[str, Any]]:
    commands = [command_at(record, place) for place in range(count_of(record))]
    if record.kind in OF_GROUPS:
        group = group_in(record)
        line |= {"origin": group.origin, "number": group.number}
        keyed = group.keyed
    else:
        keyed = decode_keyed(record.payload)[0] if record.kind == Kind.KEYED_COMMANDS else []
    for place, _, key in keyed:
        commands[place]["key"] = key
    ran = sum(event.flags & LAST_OF_COMMAND for event in exchange.events) if exchange else 0
    for index, command in enumerate(commands):
        if len(commands) > 1:
            command["place"] = index + 1
        if exchange and ran == len(commands):    # or some had run before
            command["events"] = [_event(event._asdict()) for event in exchange.events.batch(index)]
        yield line | command
    content = _content(record)
    if content or not commands:
        yield line | content


def command_at(record: Record, place: int) -> dict[str, Any]:
    """The command at a place of a record, from 0, as `describe` shows it."""
    data = commands_of(record)[place * COMMAND.size : (place + 1) * COMMAND.size]
    if len(data) != COMMAND.size:
        return {"unreadable": f"{len(data)} bytes: expected {COMMAND.size}"}
    return _command(dict(zip(FIELDS, COMMAND.unpack(data), strict=True)))


def _fields(fields: dict[str, int]) -> dict[str, Any]:
    """Fields that are 0 are left out, except for those where 0 is a number like any other."""
    return {name: value for name, value in fields.items() if value or name in ("account", "instrument", "asset")}


def _command(fields: dict[str, int]) -> dict[str, Any]:
    del fields["time"]
    kind = fields.pop("kind")
    for field, name in NAMES.get(kind, {}).items():
        fields[name] = fields.pop(field)
    told = {"command": name_of(CommandKind, kind), **_fields(fields)}
    if kind == CommandKind.PLACE:
        for name, names in (("side", Side), ("type", OrderType), ("time_in_force", TimeInForce)):
            told[name] = name_of(names, fields[name])
    return told


def _event(fields: dict[str, int]) -> dict[str, Any]:
    kind = fields.pop("kind")
    told = {"event": name_of(EventKind, kind), **_fields(fields)}
    if kind in OF_A_SIDE:
        told["side"] = name_of(Side, fields["side"])
    if fields["reason"]:
        told["reason"] = name_of(Reason, fields["reason"])
    return told


def _entry(entry: Entry) -> dict[str, Any]:
    return {"remembered": type(entry.key).__name__, **asdict(entry.key), "value": entry.value}


def _content(record: Record) -> dict[str, Any]:
    match record.kind:
        case Kind.GENESIS:
            return {"bytes": len(record.payload)}
        case Kind.FORWARDED | Kind.STRING_FORWARDED:
            entries = [_entry(entry) for entry in group_in(record).entries]
            return {"entries": entries} if entries else {}
        case Kind.ENTRY | Kind.STRING_ENTRY:
            return _entry(entry_in(record))
        case Kind.LISTING:
            listing = msgspec.msgpack.decode(record.payload, type=Listing)
            return {"assets": listing.assets, "instruments": [instrument._asdict() for instrument in listing.instruments]}
        case Kind.MARK:
            mark = msgspec.msgpack.decode(record.payload, type=Mark)
            return {"seq": mark.events, "digests": f"{mark.digests:016x}", "state": None if mark.state is None else f"{mark.state:016x}"}
        case Kind.EPOCH:
            return {"epoch": int.from_bytes(record.payload, "little")}
    return {}
