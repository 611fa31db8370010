"""Copies a journal without one command, at which every replay stops. The copy has a new epoch: what clients saw after the command may differ there."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from engine import EventKind, Exchange, Reason
from stream.commands.directory import AccountOf, Directory
from stream.journal import snapshots
from stream.journal.files import Files
from stream.journal.format import Buffer, JournalError, Kind, Record, Segment
from stream.journal.parts import CommandName, count_of, without
from stream.journal.reader import SUFFIX, numbers, segment_path
from stream.journal.recovery import replay
from stream.journal.snapshots import State
from stream.journal.writer import JournalOptions, JournalWriter
from stream.market.journal_inspection import describe, read_from
from stream.market.journal_repair import begin_copy

AT_ONCE = 1 << 10
"""Records that are written as one group: all of them were on disk before."""


class LeftOut(NamedTuple):
    """The record of the command, the lines that describe it, how many commands come after it, and the last record of the copy."""

    record: Record
    lines: list[dict[str, Any]]
    behind: int
    last: int


class EndState(NamedTuple):
    """What a history leads to: its last state, and how many commands after a record were refused because the order that they name is unknown."""

    state: State
    unknown: int


def leave_out(files: Files, folder: str, copy: str, name: CommandName, options: JournalOptions, epoch: int, time: int) -> LeftOut:
    """Copy a journal into an empty folder, without one command. Marks and snapshots after it are left out too. Replays nothing.

    Raises JournalError if there is no such command, if nothing can be replayed up to it, or if that folder has files. Raises Damaged if a record is.
    """
    place = _find(files, folder, name)
    record = place.record
    if 1 not in numbers(files, folder, SUFFIX) and not any(seq < record.seq for seq in numbers(files, folder, snapshots.SUFFIX)):
        raise JournalError(f"{folder}: there is no snapshot of an earlier record than {record.seq}: nothing replays this record")
    replaced = without(record, name)
    lines = [line for line in describe(record) if not name.place or line.get("place") == name.place]
    begin_copy(files, folder, copy)
    _cut(files, copy, record)
    writer = JournalWriter(files, copy, options, epoch=place.epoch, seq=record.seq - 1, crc=place.previous)
    writer.resume(place.segment, record.offset, 0)
    waiting: list[tuple[Kind, Buffer, int]] = [(*replaced, record.time)]
    for each in _behind(files, folder, record.seq):
        waiting.append((Kind.SEAL, b"", each.time) if each.kind == Kind.MARK else (Kind(each.kind), bytes(each.payload), each.time))
        if len(waiting) == AT_ONCE or each.kind == Kind.EPOCH:
            writer.commit(waiting)
            waiting = []
        if each.kind == Kind.EPOCH:    # of the segments that begin behind it
            writer.epoch = int.from_bytes(each.payload, "little")
    writer.commit([*waiting, (Kind.EPOCH, epoch.to_bytes(8, "little"), time)])
    writer.close()
    return LeftOut(record, lines, place.behind, writer.seq)


class _Place(NamedTuple):
    """A record, its segment, the epoch and the CRC of the record before it, and how many commands come after it."""

    record: Record
    segment: Segment
    epoch: int
    previous: int
    behind: int = 0


def _find(files: Files, folder: str, name: CommandName) -> _Place:
    found: _Place | None = None
    behind = 0
    reader = read_from(files, folder)
    previous = 0
    for record in reader:
        if record.seq == name.record:
            found = _Place(record, reader.segment, reader.epoch, previous or reader.segment.previous)
        elif found:
            behind += count_of(record)
        previous = record.crc
    if not found:
        raise JournalError(f"{folder}: there is no record {name.record}; the last one is {reader.seq}")
    return found._replace(behind=behind)


def _cut(files: Files, copy: str, record: Record) -> None:
    """Remove the record and everything after it, and the snapshots that include it."""
    segments = numbers(files, copy, SUFFIX)
    for first in segments:
        if first > record.seq:
            files.remove(segment_path(copy, first))
    path = segment_path(copy, max(first for first in segments if first <= record.seq))
    file = files.open(path)
    try:
        files.write(file, bytes(len(files.read(path)) - record.offset), record.offset)
        files.sync(file)
    finally:
        files.close(file)
    for seq in numbers(files, copy, snapshots.SUFFIX):
        if seq >= record.seq:
            files.remove(snapshots.snapshot_path(copy, seq))
    files.sync_folder(copy)


def _segment_of(files: Files, folder: str, seq: int) -> int:
    return sum(first <= seq for first in numbers(files, folder, SUFFIX)) - 1


def _behind(files: Files, folder: str, seq: int) -> Iterator[Record]:
    for record in read_from(files, folder, _segment_of(files, folder, seq)):
        if record.seq > seq:
            yield record


def end_state_of(files: Files, folder: str, behind: int) -> EndState:
    """Replay a journal to its end, and count the commands after a record that name an order that does not exist. O(the replay)."""
    unknown = 0

    def see(state: State, record: Record | None) -> None:
        nonlocal unknown
        if record and record.seq > behind and count_of(record):
            rejected = state.exchange.events.select(1 << EventKind.REJECTED)
            unknown += sum(event.reason == Reason.UNKNOWN_ORDER for event in rejected)

    found = replay(files, folder, None, see)
    assert found
    return EndState(found.state, unknown)


def subjects_of(directory: Directory) -> dict[int, str]:
    """Whose an account is."""
    return {account: key.subject for key, account in directory.items() if isinstance(key, AccountOf) and isinstance(account, int)}


def differences(before: Exchange, after: Exchange) -> Iterator[tuple[int, str]]:
    """The differences between two states, by account. O(both states)."""
    assets = list(before.assets())
    for account in range(max(before.accounts, after.accounts)):
        if account >= min(before.accounts, after.accounts):
            yield account, "the account is there no more" if account < before.accounts else "the account is there only now"
            continue
        for name, ours, theirs in zip(assets, before.balances(account), after.balances(account), strict=False):
            if ours != theirs:
                yield account, f"{name}: {ours[0]} available and {ours[1]} held before, {theirs[0]} and {theirs[1]} now"
        there, here = ({order.order: order for order in exchange.orders(account)} for exchange in (before, after))
        for order in sorted(there.keys() | here.keys()):
            if there.get(order) != here.get(order):
                yield account, f"order {order}: {_told(there.get(order))} before, {_told(here.get(order))} now"


def _told(order: Any) -> str:
    return f"{order.remaining} lots at {order.price} open" if order else "not open"
