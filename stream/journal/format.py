"""The bytes of a journal. `stream.journal.records` finds the records in them.

A journal is a sequence of records, numbered from 1 without a gap, in segments: files of a fixed size, zeroed before they are used.
A segment is a header of 64 bytes and then records, each a header of 32 bytes and a payload, padded with zeros to 8. All numbers are
little-endian. The CRC-32C of a record covers everything after it, including the padding, and continues that of its segment's header, so a
record is valid only in its own segment. A record also holds the CRC of the record before it, so it can follow only that one.

Records are written in groups. Each group is one write, which is synced before the next group begins. `place` is the place of a record in its group,
from 0. If there is a later group after a record, the record was on disk as a whole; if it is not whole now, that is damage, not an unfinished write.
"""

from enum import IntEnum
from struct import Struct, error
from typing import NamedTuple

import msgspec

from engine import Commands
from stream.commands.results import Keyed
from stream.journal.crc32c import crc32c

Buffer = Commands | bytes | bytearray | memoryview

MAGIC = b"dbjournl"
VERSION = 2
"""Of the segments that are written. Version 1, whose directory is under strings, is read."""

SEGMENT_HEADER = Struct("<8sIIQQQ20xI")
RECORD_HEADER = Struct("<IIIHHQq")
COUNT = Struct("<Q")
KEYED = Struct("<IIQ")
ALIGNMENT = 8

REMEDY = "put a copy of the file in its place, or let `deltabook journal repair` copy what is before the damage"


class JournalError(Exception):
    """The base class of what the journal raises on purpose."""


class Damaged(JournalError):
    """The disk does not hold what was written. `offset` is where the damage begins, in bytes. `remedy` says what can be done."""

    def __init__(self, path: str, offset: int, what: str, remedy: str) -> None:
        super().__init__(f"{path}, byte {offset}: {what}; {remedy}")
        self.path = path
        self.offset = offset
        self.what = what
        self.remedy = remedy


class Stuck(Damaged):
    """A record is whole, but every replay stops at it. `record` is its sequence, 0 if that is not known."""

    def __init__(self, path: str, offset: int, what: str, remedy: str, record: int) -> None:
        super().__init__(path, offset, what, remedy)
        self.record = record


class Kind(IntEnum):
    """What a record holds."""

    GENESIS = 1
    """The snapshot of the exchange with which the history begins: its assets, instruments, limits, and what its sources opened with."""

    COMMANDS = 2
    """Commands in the order in which the engine ran them, 88 bytes each."""

    STRING_ENTRY = 3
    """An entry of the directory under a string, as earlier versions wrote it."""

    LISTING = 4
    """Assets and instruments that were added: `stream.commands.listing`."""

    MARK = 5
    """A `Mark`: what the replay of all records before must have come to."""

    SEAL = 6
    """Nothing. After a group, it shows that the whole group was on disk."""

    EPOCH = 7
    """The epoch, 8 bytes, of the history from here on: some of the past was lost."""

    KEYED_COMMANDS = 8
    """Commands, and which of them came with a key: `encode_keyed`."""

    STRING_FORWARDED = 9
    """A group that another process forwarded, whose entries are under strings, as earlier versions wrote it."""

    ENTRY = 10
    """An `Entry` of the directory."""

    FORWARDED = 11
    """A group that another process forwarded: `stream.commands.forwarded`."""


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """The sequence of the last event, the sum of the books' digests, and the hash of the whole state, None where it was not taken."""

    events: int
    digests: int
    state: int | None


class Segment(NamedTuple):
    """A segment's header: the epoch as the segment begins, the first record, the CRC of the record before it, the file's size; `crc` is its own.

    `version` is that of its records.
    """

    epoch: int
    first: int
    previous: int
    size: int
    crc: int = 0
    version: int = VERSION


class Record(NamedTuple):
    """A record; its place in its group, its CRC, and where in its segment it begins and ends. `time` in ns since 1970."""

    seq: int
    kind: int
    time: int
    payload: memoryview
    place: int
    crc: int
    offset: int
    end: int


def encode_segment(segment: Segment) -> bytes:
    """A segment's header."""
    header = SEGMENT_HEADER.pack(MAGIC, segment.version, segment.previous, segment.epoch, segment.first, segment.size, 0)[:-4]
    return header + crc32c(header).to_bytes(4, "little")


def decode_segment(data: Buffer, path: str) -> Segment:
    """The header of a segment. Damaged if it is not one."""
    try:
        magic, version, previous, epoch, first, size, crc = SEGMENT_HEADER.unpack_from(data)
    except error:
        raise Damaged(path, 0, f"{len(data)} bytes: expected at least the {SEGMENT_HEADER.size} of a segment's header", REMEDY) from None
    if magic != MAGIC or crc != crc32c(memoryview(data)[: SEGMENT_HEADER.size - 4]):
        raise Damaged(path, 0, "the segment's header is damaged", REMEDY)
    if not 0 < version <= VERSION:
        raise Damaged(path, 0, f"the format is of version {version}: expected at most {VERSION}", "use the version of deltabook that wrote it")
    if len(data) != size:
        raise Damaged(path, len(data), f"the file has {len(data)} bytes: expected {size}", REMEDY)
    return Segment(epoch, first, previous, size, crc, version)


def padding(length: int) -> int:
    """How many zeros are behind a payload."""
    return -length % ALIGNMENT


def encode_group(records: list[tuple[Kind, Buffer, int]], seq: int, previous: int, seed: int) -> tuple[bytes, int]:
    """The bytes of a group of kinds, payloads and times, the first of them record `seq`; and the CRC of its last record. `seed` is the segment's CRC."""
    parts: list[Buffer] = []
    for place, (kind, payload, time) in enumerate(records):
        length = memoryview(payload).nbytes
        header = RECORD_HEADER.pack(0, length, previous, kind, place, seq + place, time)[4:]
        zeros = bytes(padding(length))
        previous = crc32c(zeros, crc32c(payload, crc32c(header, seed)))
        parts += previous.to_bytes(4, "little"), header, payload, zeros
    return b"".join(parts), previous


def encode_keyed(keyed: list[Keyed], commands: Buffer) -> bytes:
    """The payload of KEYED_COMMANDS: how many came with a key, the index, account and key of each, then all commands."""
    return COUNT.pack(len(keyed)) + b"".join(KEYED.pack(*each) for each in keyed) + bytes(commands)


def decode_keyed(payload: memoryview) -> tuple[list[Keyed], memoryview]:
    """Which commands came with a key, and all of them. ValueError if the payload is too short."""
    try:
        (count,) = COUNT.unpack_from(payload)
        keyed = [Keyed(*KEYED.unpack_from(payload, COUNT.size + i * KEYED.size)) for i in range(count)]
    except error as wrong:
        raise ValueError(f"{len(payload)} bytes of commands with keys: {wrong}") from wrong
    return keyed, payload[COUNT.size + count * KEYED.size :]


def record_size(payload: Buffer) -> int:
    """The bytes that a record of this payload takes."""
    length = memoryview(payload).nbytes
    return RECORD_HEADER.size + length + padding(length)
