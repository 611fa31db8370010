"""Recovers the state from a journal's folder: the newest whole snapshot, then the records after it, one by one.

Either everything that was acknowledged comes back, or recovery refuses: if the replay does not match a mark, if a record is damaged, or if the history
does not reach the snapshot. The error names the file and the offset.
"""

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import msgspec

from engine import Exchange
from stream.commands import forwarded
from stream.commands.listing import Listing, enlist
from stream.commands.results import Results
from stream.journal import snapshots
from stream.journal.entries import entry_in, group_in
from stream.journal.files import Files
from stream.journal.format import REMEDY, Damaged, JournalError, Kind, Mark, Record, Stuck, decode_keyed
from stream.journal.parts import CAN_GO
from stream.journal.reader import SUFFIX, JournalReader, numbers, segment_path
from stream.journal.snapshots import State
from stream.journal.writer import JournalOptions, JournalWriter

LOCK = "lock"

Visit = Callable[[State, Record | None], None]
"""Called first with the state where the replay begins and no record, unless it begins with the first record. Then called after each record;
`state.exchange.events` holds what it caused."""

Before = Callable[[State | None, Record], None]
"""Called with each record before it is applied, and with the state that it is applied to. The state is None for the first record of all."""

_decode_listing = msgspec.msgpack.Decoder(Listing).decode
_decode_mark = msgspec.msgpack.Decoder(Mark).decode


class Locked(JournalError):
    """Another process uses the journal."""


class Replay(NamedTuple):
    """A state, where the reader stood at its end, the records behind the snapshot, and what is wrong with snapshots that could not be used."""

    state: State
    reader: JournalReader
    records: int
    wrong: list[Damaged]


class Opened(NamedTuple):
    """A journal to go on with: what it stands for, None for a new one, and its end. `lock` is the file that keeps others out until it is closed."""

    replay: Replay | None
    writer: JournalWriter
    lock: int


def mark_of(exchange: Exchange, whole: bool) -> Mark:
    """What a replay must lead to. O(books), and O(the whole state) if it has the hash of the `whole` state."""
    return Mark(exchange.seq, sum(book.levels.digest for book in exchange.books) % (1 << 64), exchange.state_hash() if whole else None)


def apply(state: State, record: Record) -> None:
    """Apply a record to a state. Raises ValueError if its content is not possible, or if the state is not the one that it expects."""
    match record.kind:
        case Kind.COMMANDS:
            state.exchange.execute(record.payload)
        case Kind.KEYED_COMMANDS:
            keyed, commands = decode_keyed(record.payload)
            state.exchange.execute(commands)
            state.results.take(state.exchange, keyed, record.time)
        case Kind.FORWARDED | Kind.STRING_FORWARDED:
            forwarded.run(state.exchange, state.directory, state.results, group_in(record), record.time)
        case Kind.ENTRY | Kind.STRING_ENTRY:
            entry_in(record).change(state.directory)
        case Kind.LISTING:
            enlist(state.exchange, _decode_listing(record.payload))
        case Kind.MARK:
            mark = _decode_mark(record.payload)
            found = mark_of(state.exchange, mark.state is not None)
            if found != mark:
                raise ValueError(f"the replay led to {found}: expected {mark}")
        case Kind.EPOCH:
            state.epoch = int.from_bytes(record.payload, "little")
        case Kind.SEAL:
            pass
        case _:
            raise ValueError(f"a record of kind {record.kind}: a later version of deltabook wrote it")
    state.seq, state.crc = record.seq, record.crc
    if record.time > state.time:
        state.time = record.time


def begin(record: Record, epoch: int) -> State:
    """The state with which a history begins."""
    if record.kind != Kind.GENESIS:
        raise ValueError(f"the first record is of kind {record.kind}: expected {Kind.GENESIS}")
    return State(
        exchange=Exchange.restore(record.payload, secrets.randbits(128)), directory={}, results=Results(), epoch=epoch, seq=record.seq,
        crc=record.crc, time=record.time,
    )


def replay(
    files: Files, folder: str, upto: int | None = None, visit: Visit | None = None, from_start: bool = False, before: Before | None = None,
) -> Replay | None:
    """The state after the last record, or after record `upto`; None if there is no record. Raises Damaged if it cannot be recovered. Changes nothing.

    It begins with the newest whole snapshot, unless `from_start`. It holds one segment in memory beside the state. Raises Stuck if a record cannot be applied.
    """
    state, wrong = (snapshots.oldest(files, folder), []) if from_start else snapshots.newest(files, folder, upto)
    after = state.seq if state else 0
    reader = JournalReader(files, folder, after, state.crc if state else 0, upto)
    if visit and state:
        visit(state, None)
    for record in reader:
        if before:
            before(state, record)
        try:
            if state:
                apply(state, record)
            else:
                state = begin(record, reader.epoch)
            if visit:
                visit(state, record)
        except (MemoryError, OSError, JournalError):    # a problem of the machine, or the visitor's own error
            raise
        except Exception as error:    # whatever it is, every replay stops at this record
            if state and record.kind in CAN_GO:
                remedy = f"`deltabook journal repair {folder} {folder}.repaired --without {record.seq}` makes a copy without it"
                raise Stuck(reader.path, record.offset, f"record {record.seq}: {error}", remedy, record.seq) from error
            raise Damaged(reader.path, record.offset, f"record {record.seq}: {error}", REMEDY) from error
    return Replay(state, reader, reader.seq - after, wrong) if state else None


def hold(files: Files, folder: str) -> int:
    """Keep other processes from writing to a journal, until the returned file is closed. Raises Locked if another process uses it."""
    try:
        return files.lock(f"{folder}/{LOCK}")
    except BlockingIOError:
        raise Locked(f"{folder}: another process uses this journal") from None


def open_journal(
    files: Files, folder: str, options: JournalOptions, epoch: int, visit: Visit | None = None, trial: AbstractContextManager[None] | None = None,
) -> Opened:
    """Lock a folder, recover the state in it, and cut off what an unfinished write has left. Raises Locked, Damaged or OSError if that is not possible.

    A folder without a record gives a writer that begins a history of this epoch: commit a GENESIS to it first. The replay is done inside of `trial`.
    """
    files.make_folder(folder)
    lock = hold(files, folder)
    try:
        segments = numbers(files, folder, SUFFIX)
        with trial or nullcontext():
            found = replay(files, folder, None, visit) if segments or numbers(files, folder, snapshots.SUFFIX) else None
        if found:
            writer = JournalWriter(files, folder, options, epoch=found.state.epoch, seq=found.state.seq, crc=found.state.crc)
            writer.resume(found.reader.segment, found.reader.offset, found.reader.torn)
            return Opened(found, writer, lock)
        for first in segments:    # its first group never came to be
            files.remove(segment_path(folder, first))
        return Opened(None, JournalWriter(files, folder, options, epoch), lock)
    except BaseException:
        files.close(lock)
        raise
