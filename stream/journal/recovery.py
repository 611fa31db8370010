"""From a journal's folder to the state that it stands for: the newest whole snapshot, then the records behind it, one after the other.

What was acknowledged comes back, or nothing does: a mark that the replay does not meet, a record that is damaged, a history that does not
reach the snapshot, all refuse with the file and the offset.
"""

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import msgspec

from engine import Exchange
from stream.commands import forwarded
from stream.commands.results import Results
from stream.journal import snapshots
from stream.journal.entries import entry_in, group_in
from stream.journal.files import Files
from stream.journal.format import REMEDY, Damaged, JournalError, Kind, Listing, Mark, Record, Stuck, decode_keyed
from stream.journal.parts import CAN_GO
from stream.journal.reader import SUFFIX, Reader, numbers, segment_path
from stream.journal.snapshots import State
from stream.journal.writer import Limits, Log

LOCK = "lock"

Visit = Callable[[State, Record | None], None]
"""Called with the state where the replay begins and no record, unless that is with the first; then after each, `state.exchange.events` being what it caused."""

Before = Callable[[State | None, Record], None]
"""Called with each record before it is applied, and the state that it is applied to; None for the first record of all."""

_decode_listing = msgspec.msgpack.Decoder(Listing).decode
_decode_mark = msgspec.msgpack.Decoder(Mark).decode


class Locked(JournalError):
    """Another process has the journal."""


class Replay(NamedTuple):
    """A state, where the reader stood at its end, the records behind the snapshot, and what is wrong with snapshots that could not be used."""

    state: State
    reader: Reader
    records: int
    wrong: list[Damaged]


class Opened(NamedTuple):
    """A journal to go on with: what it stands for, None for a new one, and its end. `lock` is the file that keeps others out until it is closed."""

    replay: Replay | None
    log: Log
    lock: int


def mark_of(exchange: Exchange, whole: bool) -> Mark:
    """What a replay is to come to. O(books), and O(all of the state) if it is to have the hash of the `whole`."""
    return Mark(exchange.seq, sum(book.levels.digest for book in exchange.books) % (1 << 64), exchange.state_hash() if whole else None)


def apply(state: State, record: Record) -> None:
    """Let a record have its effect. ValueError if what is in it cannot be or the state is not the one that it tells of."""
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
            listing = _decode_listing(record.payload)
            for name, decimals in listing.assets.items():
                state.exchange.add_asset(name, decimals)
            for instrument in listing.instruments:
                state.exchange.add_instrument(instrument)
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
    """The state behind the last record, or behind record `upto`; None if there never was one. Damaged if it cannot be had. Changes nothing.

    From the newest snapshot that is whole, unless `from_start`. Holds one segment in memory beside the state. Stuck if a record cannot be applied.
    """
    state, wrong = (snapshots.oldest(files, folder), []) if from_start else snapshots.newest(files, folder, upto)
    after = state.seq if state else 0
    reader = Reader(files, folder, after, state.crc if state else 0, upto)
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
        except (MemoryError, OSError, JournalError):    # of the machine, or the visitor's own
            raise
        except Exception as error:    # whatever it is, no replay comes past this record
            if state and record.kind in CAN_GO:
                remedy = f"`deltabook journal repair {folder} {folder}.repaired --without {record.seq}` makes a copy without it"
                raise Stuck(reader.path, record.offset, f"record {record.seq}: {error}", remedy, record.seq) from error
            raise Damaged(reader.path, record.offset, f"record {record.seq}: {error}", REMEDY) from error
    return Replay(state, reader, reader.seq - after, wrong) if state else None


def hold(files: Files, folder: str) -> int:
    """Keep other processes from going on with a journal, until the file that is returned is closed. Locked if one has it."""
    try:
        return files.lock(f"{folder}/{LOCK}")
    except BlockingIOError:
        raise Locked(f"{folder}: another process uses this journal") from None


def open_journal(
    files: Files, folder: str, limits: Limits, epoch: int, visit: Visit | None = None, guard: AbstractContextManager[None] | None = None,
) -> Opened:
    """Lock a folder, bring back what is in it, and cut off what an unfinished write has left. Locked, Damaged or OSError if that cannot be.

    A folder without a record gives a log that begins a history of this epoch: commit a GENESIS to it first. The replay is done inside of `guard`.
    """
    files.make_folder(folder)
    lock = hold(files, folder)
    try:
        segments = numbers(files, folder, SUFFIX)
        with guard or nullcontext():
            found = replay(files, folder, None, visit) if segments or numbers(files, folder, snapshots.SUFFIX) else None
        if found:
            log = Log(files, folder, limits, epoch=found.state.epoch, seq=found.state.seq, crc=found.state.crc)
            log.resume(found.reader.segment, found.reader.offset, found.reader.torn)
            return Opened(found, log, lock)
        for first in segments:    # its first group never came to be
            files.remove(segment_path(folder, first))
        return Opened(None, Log(files, folder, limits, epoch), lock)
    except BaseException:
        files.close(lock)
        raise
