"""Copies a damaged journal so that a server can go on with the copy. The copy ends where every replay stops. If anything is lost, it has a new epoch."""

from itertools import zip_longest
from typing import NamedTuple

from stream.journal import snapshots
from stream.journal.files import Files
from stream.journal.format import ALIGNMENT, SEGMENT_HEADER, Damaged, JournalError, Kind, Record, decode_segment
from stream.journal.parts import count_of
from stream.journal.reader import SUFFIX, numbers, segment_path
from stream.journal.records import decode_record
from stream.journal.recovery import Visit, replay
from stream.journal.snapshots import State
from stream.journal.writer import JournalOptions, JournalWriter
from stream.market.journal_inspection import Checked, check


class Repaired(NamedTuple):
    """The result of a repair.

    The copy has the records after `base` (0: all of them) up to `kept`. `damage` is what was wrong. If `lost`, there may have been records after `kept` that
    are not in the copy: `commands_lost` commands, up to record `last`, can still be read there in the damaged journal, but they do not follow anything.
    """

    copy: Checked
    base: int
    kept: int
    damage: list[Damaged]
    lost: bool
    commands_lost: int
    last: int


class _Reach(NamedTuple):
    """How far a replay gets: from after record `base` to record `seq`. That one ends at byte `end` of its segment; 0 if it is the record of the snapshot."""

    base: int = 0
    seq: int = 0
    crc: int = 0
    epoch: int = 0
    end: int = 0
    damage: Damaged | None = None


def repair(files: Files, folder: str, copy: str, options: JournalOptions, epoch: int, time: int, visit: Visit | None = None) -> Repaired:
    """Copy what can be replayed into an empty folder. Raises JournalError if nothing can be replayed, or if there are files in that folder.

    If anything may be lost, the copy has the new `epoch` from `time` on. The original stays as it is.
    """
    cut_off = begin_copy(files, folder, copy)
    start, newest = _reach(files, copy, True, visit), _reach(files, copy, False, visit)
    reach = newest if newest.seq > start.seq else start
    damage = cut_off + [each for each in dict.fromkeys((start.damage, newest.damage)) if each]
    if not reach.seq:
        raise JournalError(f"{folder}: nothing in this journal can be replayed; {damage[0] if damage else 'there are no records'}")
    commands_lost, last = _behind(files, copy, reach.seq)
    if damage:
        _cut(files, copy, reach)
    lost = bool(cut_off or reach.damage)
    if lost:
        writer = JournalWriter(files, copy, options, epoch=reach.epoch, seq=reach.seq, crc=reach.crc)
        writer.commit([(Kind.EPOCH, epoch.to_bytes(8, "little"), time)])
        writer.close()
    checked = check(files, copy, visit)
    assert checked
    for wrong in checked.wrong:
        files.remove(wrong.path)
    files.sync_folder(copy)
    damage += checked.wrong
    here = [Damaged(each.path.replace(copy, folder, 1), each.offset, each.what, each.remedy) for each in damage]
    return Repaired(copy=checked, base=reach.base, kept=reach.seq, damage=here, lost=lost, commands_lost=commands_lost, last=last)


def begin_copy(files: Files, folder: str, copy: str) -> list[Damaged]:
    """Copy everything into an empty folder. Segments that were cut off are filled with zeros, and returned. Raises JournalError if it is not empty."""
    files.make_folder(copy)
    if files.names(copy):
        raise JournalError(f"{copy}: there are files in this folder already; choose a folder that does not exist yet")
    cut_off = []
    paths = [segment_path("", first) for first in numbers(files, folder, SUFFIX)]
    paths += [snapshots.snapshot_path("", seq) for seq in numbers(files, folder, snapshots.SUFFIX)]
    for path in paths:
        data = files.read(folder + path)
        if path.endswith(SUFFIX):
            try:
                decode_segment(data, copy + path)
            except Damaged as damaged:
                if damaged.offset:    # its header is whole: the length is wrong
                    cut_off.append(damaged)
                    size = SEGMENT_HEADER.unpack_from(data)[5]
                    data = data[:size].ljust(size, b"\0")
        file = files.open(copy + path)
        try:
            files.write(file, data, 0)
            files.sync(file)
        finally:
            files.close(file)
    files.sync_folder(copy)
    return cut_off


def _reach(files: Files, folder: str, from_start: bool, visit: Visit | None) -> _Reach:
    """How far a replay gets from the beginning of what is there, or from the newest whole snapshot."""
    state: State | None = None
    base = end = 0
    damage = None

    def see(now: State, record: Record | None) -> None:
        nonlocal state, base, end
        if record is None:
            base = now.seq
        state, end = now, record.end if record else 0
        if visit:
            visit(now, record)

    try:
        replay(files, folder, None, see, from_start)
    except Damaged as damaged:
        damage = damaged
    if state is None and not from_start:    # there is not even a segment to begin with
        state, _ = snapshots.newest(files, folder)
        base = state.seq if state else 0
    if state is None:
        return _Reach(damage=damage)
    return _Reach(base=base, seq=state.seq, crc=state.crc, epoch=state.epoch, end=end, damage=damage)


def _behind(files: Files, folder: str, seq: int) -> tuple[int, int]:
    """How many commands there are in valid records after a record, even if these do not follow one another; and the last of these records."""
    commands, last = 0, seq
    for first in numbers(files, folder, SUFFIX):
        path = segment_path(folder, first)
        data = memoryview(files.read(path))
        try:
            seed = decode_segment(data, path).crc
        except Damaged:
            continue
        offset, end = SEGMENT_HEADER.size, len(bytes(data).rstrip(b"\0"))
        while offset < end:
            record = decode_record(data, offset, seed)
            if record and record.seq > seq:
                commands += count_of(record)
                last = max(last, record.seq)
            offset = record.end if record else offset + ALIGNMENT
    return commands, last


def _cut(files: Files, folder: str, reach: _Reach) -> None:
    """Remove all segments and snapshots before the base or after the end, and what is after the end in the last segment."""
    segments = numbers(files, folder, SUFFIX)
    for first, following in zip_longest(segments, segments[1:]):
        path = segment_path(folder, first)
        if not reach.end or first > reach.seq or (following and following <= reach.base + 1):
            files.remove(path)
        elif not following or following > reach.seq + 1:
            file = files.open(path)
            try:
                files.write(file, bytes(len(files.read(path)) - reach.end), reach.end)
                files.sync(file)
            finally:
                files.close(file)
    for seq in numbers(files, folder, snapshots.SUFFIX):
        if not reach.base <= seq <= reach.seq:
            files.remove(snapshots.snapshot_path(folder, seq))
    files.sync_folder(folder)
