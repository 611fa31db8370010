"""Snapshots of the state beside the records. A replay can begin at one, and segments older than the oldest one may be removed.

A file is a header, the directory and the results, and the snapshot of the exchange, which holds the hash of its own state. It is written under another
name, read back, synced and renamed. So a file whose name ends in `.snapshot` was whole once. Recovery takes the newest one that still is.
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
from stream.journal.format import VERSION, Damaged
from stream.journal.reader import DIGITS, numbers, segment_path
from stream.journal.reader import SUFFIX as SEGMENT_SUFFIX

MAGIC = b"dbsnapsh"
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
    """The path of the snapshot of a record."""
    return f"{folder}/{seq:0{DIGITS}}{SUFFIX}"


def encode(state: State) -> bytes:
    """A state as bytes. O(the whole state)."""
    return b"".join(pieces(state))


def pieces(state: State) -> tuple[bytes, bytes, bytes]:
    """The same bytes one after the other, for who would not hold a large state twice."""
    beside = msgspec.msgpack.encode(Beside(state.directory, list(state.results.items()), state.results.forgotten))
    exchange = state.exchange.snapshot()
    fields = MAGIC, VERSION, state.crc, state.epoch, state.seq, state.time, len(beside), len(exchange)
    checksum = crc32c(exchange, crc32c(beside, crc32c(HEADER.pack(*fields, 0))))
    return HEADER.pack(*fields, checksum), beside, exchange


def decode(data: bytes | bytearray, path: str) -> State:
    """The state of a snapshot. Raises Damaged if it is not complete and correct. O(the whole state)."""
    try:
        magic, version, crc, epoch, seq, time, beside_length, exchange_length, checksum = HEADER.unpack_from(data)
    except error:
        raise Damaged(path, len(data), f"{len(data)} bytes: expected at least the {HEADER.size} of a snapshot's header", REMEDY) from None
    if magic == MAGIC and not 0 < version <= VERSION:
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
    """Put a snapshot into a journal's folder. It is on disk and checked when this returns. Returns its path."""
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
    """Remove all but the newest snapshots, and all segments whose records these do not need. Returns what was removed.

    As long as there are fewer snapshots, every segment stays: there must always be a replacement for a damaged snapshot.
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
    """The snapshot of a record. Raises Damaged if it is not complete and correct."""
    path = snapshot_path(folder, seq)
    state = decode(files.read(path), path)
    if state.seq != seq:
        raise Damaged(path, 0, f"the snapshot is of record {state.seq}: expected {seq}", REMEDY)
    return state


def latest(files: Files, folder: str) -> tuple[int, str]:
    """The record of the newest snapshot, and its path. There must be a snapshot."""
    seq = numbers(files, folder, SUFFIX)[-1]
    return seq, snapshot_path(folder, seq)


def newest(files: Files, folder: str, upto: int | None = None) -> tuple[State | None, list[Damaged]]:
    """The newest whole snapshot (not after record `upto`, if it is given), and what is wrong with newer ones."""
    wrong: list[Damaged] = []
    for seq in reversed(numbers(files, folder, SUFFIX)):
        if upto is None or seq <= upto:
            try:
                return read(files, folder, seq), wrong
            except Damaged as damaged:
                wrong.append(damaged)
    return None, wrong


def oldest(files: Files, folder: str) -> State | None:
    """The snapshot with which the remaining history begins, None if it begins with its first record."""
    kept = numbers(files, folder, SUFFIX)
    return read(files, folder, kept[0]) if kept and 1 not in numbers(files, folder, SEGMENT_SUFFIX) else None
