"""Reads the records of a journal in order, checks every byte, and distinguishes the unfinished write of a crash from damage.

Damage is anything that a crash cannot leave behind: an invalid record although a later group is on disk, a gap, a file that is missing or has
another size. Keeps one segment in memory at a time.
"""

from collections.abc import Iterator

from stream.journal.files import Files
from stream.journal.format import ALIGNMENT, RECORD_HEADER, REMEDY, SEGMENT_HEADER, Damaged, Kind, Record, Segment, decode_segment
from stream.journal.records import decode_record, records_from

SUFFIX = ".journal"
DIGITS = 20
CHUNK = 256
"""Records that are found at once."""


def segment_path(folder: str, first: int) -> str:
    """Where the segment that begins with a record is."""
    return f"{folder}/{first:0{DIGITS}}{SUFFIX}"


def numbers(files: Files, folder: str, suffix: str) -> list[int]:
    """The numbers that are the names of the files of a kind, sorted."""
    stems = [name.removesuffix(suffix) for name in files.names(folder) if name.endswith(suffix)]
    return [int(stem) for stem in stems if len(stem) == DIGITS and stem.isdecimal()]


class JournalReader:
    """The records of a journal after record `after`, whose CRC is `crc`, up to `upto` if it is given. At the end, the fields say where the end is.

    `seq` and `crc` are of the last record read, `epoch` the history's; `path`, `segment` and `offset` where the next record would be;
    `torn` the bytes from there on that an unfinished write has left. `read` counts bytes of records, for progress. Another process may be
    appending meanwhile: then the end is somewhere after where it was when the reading began.
    """

    def __init__(self, files: Files, folder: str, after: int = 0, crc: int = 0, upto: int | None = None) -> None:
        self._files = files
        self._folder = folder
        self._after = after, crc
        self._upto = upto
        firsts = numbers(files, folder, SUFFIX)
        start = max((i for i, first in enumerate(firsts) if first <= after + 1), default=None)
        if start is None:
            raise Damaged(segment_path(folder, after + 1), 0, f"there is no file with record {after + 1}", REMEDY)
        self._firsts = firsts[start:]
        self.seq = self._firsts[0] - 1
        self.crc = 0
        self.epoch = 0
        self.path = ""
        self.segment = Segment(0, 0, 0, 0)
        self.offset = 0
        self.torn = 0
        self.read = 0

    def __iter__(self) -> Iterator[Record]:
        data = memoryview(b"")
        for first, following in zip(self._firsts, [*self._firsts[1:], None], strict=True):
            data = self._begin(first)
            yield from self._records(data)
            if self._wanted <= 0:
                return
            if following is not None and following != self.seq + 1:
                raise Damaged(self.path, self.offset, f"record {self.seq + 1} is damaged or missing; the next file begins with {following}", REMEDY)
        yield from self._end(data)
        if self.seq < self._after[0]:
            raise Damaged(self.path, self.offset, f"the journal ends with record {self.seq}, but there is a snapshot of record {self._after[0]}", REMEDY)

    @property
    def _wanted(self) -> int:
        """How many records to find next."""
        return CHUNK if self._upto is None else min(CHUNK, self._upto - self.seq)

    def _begin(self, first: int) -> memoryview:
        path = segment_path(self._folder, first)
        data = memoryview(self._files.read(path))
        segment = decode_segment(data, path)
        if segment.first != first:
            raise Damaged(path, 0, f"the file begins with record {segment.first}: expected {first}", REMEDY)
        if self.path and (segment.previous, segment.epoch) != (self.crc, self.epoch):
            raise Damaged(path, 0, "the file does not follow the one before it", REMEDY)
        self.path, self.segment, self.crc, self.epoch, self.offset = path, segment, segment.previous, segment.epoch, SEGMENT_HEADER.size
        self._meet(self.seq, self.crc, self.offset)
        return data

    def _meet(self, seq: int, crc: int, offset: int) -> None:
        """The record after which the reading began must be the one after which the snapshot was taken."""
        if seq == self._after[0] and crc != self._after[1]:
            raise Damaged(self.path, offset, f"record {seq} is not the one that the snapshot was taken after", REMEDY)

    def _records(self, data: memoryview) -> Iterator[Record]:
        after = self._after[0]
        while found := records_from(data, self.offset, self.segment.crc, self.seq, self.crc, self._wanted):
            last = found[-1]
            self.read += last.end - self.offset
            self.seq, self.crc, self.offset = last.seq, last.crc, last.end
            for record in found:
                if record.kind == Kind.EPOCH:
                    self.epoch = int.from_bytes(record.payload, "little")
                if record.seq > after:
                    yield record
                else:
                    self._meet(record.seq, record.crc, record.end)

    def _end(self, data: memoryview) -> Iterator[Record]:
        """Find out what follows the last valid record of the last segment: zeros, an unfinished write, or damage.

        More may have been written while the file was read, so that a later record was seen but an earlier one was not. A second look finds that one, too.
        """
        while self._wanted > 0 and (later := self._later(data)):
            seq, data = self.seq, memoryview(self._files.read(self.path))
            yield from self._records(data)
            if self.seq == seq:
                what = f"record {seq + 1} is damaged: record {later.seq}, written after it, is valid at byte {later.offset}"
                raise Damaged(self.path, self.offset, what, REMEDY)

    def _later(self, data: memoryview) -> Record | None:
        """The first valid record of a later group than that of the missing record. Sets `torn` to the number of bytes after the end."""
        self.torn = len(bytes(data[self.offset :]).rstrip(b"\0"))
        missing, end = self.seq + 1, min(self.offset + self.torn, len(data) - RECORD_HEADER.size)
        for offset in range(self.offset, end, ALIGNMENT):
            _, length, _, _, place, seq, _ = RECORD_HEADER.unpack_from(data, offset)
            if missing < seq - place and seq <= missing + self.torn and length <= self.torn:
                record = decode_record(data, offset, self.segment.crc)
                if record:
                    return record
        return None
