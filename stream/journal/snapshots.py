"""States beside the records: where a replay can begin, and behind which old segments may go.

A file is a header, the directory and the results, and the snapshot of the exchange, which holds the hash of its own state. It is written aside, read
back, synced and renamed, so that a name that ends in `.snapshot` was whole once; recovery takes the newest one that still is.
"""

import secrets
from itertools import pairwise
from struct import Struct, error

import msgspec

from engine import BadSnapshot, Exchange
from stream.commands.directory import Directory
from stream.commands.results import Results
from stream.journal.crc32c import crc32c
from stream.journal.entries import Beside, beside_in
from stream.journal.files import Files
from stream.journal.format import Damaged
from stream.journal.reader import DIGITS, numbers, segment_path
from stream.journal.reader import SUFFIX as SEGMENT_SUFFIX

MAGIC = b"dbsnapsh"
VERSION = 2
READABLE = range(1, VERSION + 1)
HEADER = Struct("<8sIIQQqQQI4x")
SUFFIX = ".snapshot"
ASIDE = "snapshot"
REMEDY = "remove it: an older one and the records will do, or put a copy of the file in its place"


class State:
    """What the records up to `seq` come to. `crc` is that record's, `time` in ns since 1970 the latest record's; directory and results are the stream's."""

    def __init__(self, exchange: Exchange, directory: Directory, results: Results, epoch: int, seq: int, crc: int, time: int) -> None:
        self.exchange = exchange
        self.directory = directory
        self.results = results
        self.epoch = epoch
        self.seq = seq
        self.crc = crc
        self.time = time


def snapshot_path(folder: str, seq: int) -> str:
    """Where the snapshot behind a record is."""
    return f"{folder}/{seq:0{DIGITS}}{SUFFIX}"


def encode(state: State) -> bytes:
    """A state as bytes. O(all of it)."""
    return b"".join(pieces(state))


def pieces(state: State) -> tuple[bytes, bytes, bytes]:
    """The same bytes one after the other, for who would not hold a large state twice."""
    beside = msgspec.msgpack.encode(Beside(state.directory, list(state.results.items()), state.results.forgotten))
    exchange = state.exchange.snapshot()
    fields = MAGIC, VERSION, state.crc, state.epoch, state.seq, state.time, len(beside), len(exchange)
    checksum = crc32c(exchange, crc32c(beside, crc32c(HEADER.pack(*fields, 0))))
    return HEADER.pack(*fields, checksum), beside, exchange


def decode(data: bytes | bytearray, path: str) -> State:
    """The state of a snapshot. Damaged if it is not whole and true. O(all of it)."""
    try:
        magic, version, crc, epoch, seq, time, beside_length, exchange_length, checksum = HEADER.unpack_from(data)
    except error:
        raise Damaged(path, len(data), f"{len(data)} bytes: expected at least the {HEADER.size} of a snapshot's header", REMEDY) from None
    if magic == MAGIC and version not in READABLE:
        raise Damaged(path, 8, f"the format is of version {version}: expected at most {VERSION}", "use the version of deltabook that wrote it")
    body = memoryview(data)[HEADER.size :]
    blank = HEADER.pack(magic, version, crc, epoch, seq, time, beside_length, exchange_length, 0)
    if magic != MAGIC or len(body) != beside_length + exchange_length or checksum != crc32c(body, crc32c(blank)) or any(data[HEADER.size - 4 : HEADER.size]):
        raise Damaged(path, 0, "the snapshot is damaged", REMEDY)
    try:
        beside = beside_in(body[:beside_length], version)
        results = Results(beside.results, beside.forgotten, time)
        return State(
            exchange=Exchange.restore(body[beside_length:], secrets.randbits(128)), directory=beside.directory, results=results, epoch=epoch,
            seq=seq, crc=crc, time=time,
        )
    except (BadSnapshot, msgspec.MsgspecError) as wrong:
        raise Damaged(path, HEADER.size, str(wrong), REMEDY) from wrong


def write(files: Files, folder: str, state: State) -> str:
    """Put a snapshot into a journal's folder, on disk and read back when it returns; its path."""
    path, aside, data = snapshot_path(folder, state.seq), f"{folder}/{ASIDE}", encode(state)
    if ASIDE in files.names(folder):
        files.remove(aside)
    file = files.open(aside)
    try:
        files.write(file, data, 0)
        files.sync(file)
    finally:
        files.close(file)
    decode(files.read(aside), aside)
    files.rename(aside, path)
    files.sync_folder(folder)
    return path


def prune(files: Files, folder: str, keep: int) -> list[str]:
    """Remove all but the newest snapshots, and the segments of which none of these needs a record; what was removed.

    While there are fewer snapshots, every segment stays: a damaged one must always have something that does instead.
    """
    snapshots = numbers(files, folder, SUFFIX)
    segments = numbers(files, folder, SEGMENT_SUFFIX)
    removed = [snapshot_path(folder, seq) for seq in snapshots[:-keep]]
    if len(snapshots) >= keep:
        oldest = snapshots[-keep:][0]
        removed += [segment_path(folder, first) for first, following in pairwise(segments) if following <= oldest + 1]
    for path in removed:
        files.remove(path)
    if removed:
        files.sync_folder(folder)
    return removed


def read(files: Files, folder: str, seq: int) -> State:
    """The snapshot behind a record. Damaged if it is not whole and true."""
    path = snapshot_path(folder, seq)
    state = decode(files.read(path), path)
    if state.seq != seq:
        raise Damaged(path, 0, f"the snapshot is of record {state.seq}: expected {seq}", REMEDY)
    return state


def latest(files: Files, folder: str) -> tuple[int, str]:
    """The record that the newest snapshot is behind, and its path. There must be one."""
    seq = numbers(files, folder, SUFFIX)[-1]
    return seq, snapshot_path(folder, seq)


def newest(files: Files, folder: str, upto: int | None = None) -> tuple[State | None, list[Damaged]]:
    """The newest snapshot, of those not behind a record where one is given, that is whole; and what is wrong with those that are newer."""
    wrong: list[Damaged] = []
    for seq in reversed(numbers(files, folder, SUFFIX)):
        if upto is None or seq <= upto:
            try:
                return read(files, folder, seq), wrong
            except Damaged as damaged:
                wrong.append(damaged)
    return None, wrong


def oldest(files: Files, folder: str) -> State | None:
    """Where the history that is still there begins; None if that is with its first record."""
    kept = numbers(files, folder, SUFFIX)
    return read(files, folder, kept[0]) if kept and 1 not in numbers(files, folder, SEGMENT_SUFFIX) else None
