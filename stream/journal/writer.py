"""Appends records in groups. `JournalWriter` writes one group and returns when it is on disk; `Journal` does that in a thread of its own.

While one group is being synced the next one gathers, so that a busy market has fuller groups and not longer queues. After a
failed write or sync nothing is tried again: it is then unknown what is on disk, and only recovery can find out. Strangers who use up the descriptors
of the process cannot cause that. The next file and the folder are opened before they are needed; if even that was not possible, nothing has been
written yet, and the journal waits.
"""

import errno
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from stream.journal.files import Files
from stream.journal.format import SEGMENT_HEADER, VERSION, Buffer, JournalError, Kind, Segment, encode_group, encode_segment, record_size
from stream.journal.reader import segment_path

SEAL: tuple[Kind, Buffer, int] = Kind.SEAL, b"", 0
SPARE = "spare"
ZEROS = bytes(1 << 20)

OUT_OF_DESCRIPTORS = {errno.EMFILE, errno.ENFILE}
PAUSE_S = 0.05
"""The time between two attempts to get a descriptor."""

ATTEMPTS_AT_THE_END = 200
"""The most attempts while the journal is being closed. Before that, there is no limit."""


class JournalFailed(JournalError):
    """The disk failed, and nothing more is written. Everything that was acknowledged is on disk."""


class NoDescriptor(JournalError):
    """The process or the machine had no file descriptor left. Nothing was written, and it may be tried again."""


class JournalOptions(NamedTuple):
    """Sizes in bytes, times in seconds.

    A segment is a file of `segment_bytes`, or more if one record needs it. A group is one write, of at most `group_bytes` unless one
    record is longer, and at most `group_records`. The journal is *low* while the disk has less than `reserve_bytes` left. A group that
    has nothing behind it for `seal_after_s` is sealed.
    """

    segment_bytes: int = 64 << 20
    group_bytes: int = 4 << 20
    group_records: int = 1 << 12
    reserve_bytes: int = 256 << 20
    seal_after_s: float = 0.1


class JournalWriter:
    """The end of a journal. Not for several threads, except for `prepare`."""

    def __init__(self, files: Files, folder: str, options: JournalOptions, epoch: int, seq: int = 0, crc: int = 0) -> None:
        """A writer that goes on in a new segment after record `seq`, whose CRC is `crc`. The folder must exist. Raises OSError if the disk fails."""
        self.files = files
        self.folder = folder
        self.options = options
        self.epoch = epoch
        self.seq = seq
        self.crc = crc
        self.free_bytes = files.free_bytes(folder)    # on the disk, when the last group was written
        self.failure: JournalFailed | None = None
        self._file: int | None = None
        self._segment = Segment(0, 0, 0, 0)
        self._offset = 0
        self._folder_file: int | None = files.open_folder(folder)
        self._spare_path = f"{folder}/{SPARE}"
        self._spare_file: int | None = None
        self._spare_bytes = 0    # its size, once it is ready to be the next segment
        self._preparing = threading.Lock()

    def resume(self, segment: Segment, offset: int, torn: int) -> None:
        """Go on at an offset of a segment instead, after writing zeros over the `torn` bytes there. Raises OSError if the disk fails.

        Behind a segment of an earlier version the next one begins at once: whoever reads that version alone is told so, and not that there is damage.
        """
        self._segment, self._offset = segment, offset
        self._file = self.files.open(segment_path(self.folder, segment.first))
        if torn:
            self.files.write(self._file, bytes(torn), offset)
            self.files.sync(self._file)

    def commit(self, records: list[tuple[Kind, Buffer, int]]) -> None:
        """Write records as one group. Each is a kind, a payload and a time in ns since 1970. All are on disk when this returns: one write and one sync.

        Raises JournalFailed if that failed, now or ever before; then it is unknown which of them are on disk.

        Raises NoDescriptor if the next segment cannot be opened for the lack of one: then all is as it was, and the caller may try again.
        """
        if self.failure:
            raise self.failure
        try:
            size = sum(record_size(payload) for _, payload, _ in records)
            if self._file is None or self._offset + size > self._segment.size or self._segment.version < VERSION:
                self._rotate(size)
            assert self._file is not None
            data, crc = encode_group(records, self.seq + 1, self.crc, self._segment.crc)
            self.files.write(self._file, data, self._offset)
            self.files.sync(self._file)
            self.free_bytes = self.files.free_bytes(self.folder)
        except OSError as error:
            if error.errno in OUT_OF_DESCRIPTORS:    # only opening a file needs one, and that comes before every write
                raise NoDescriptor(f"{self._spare_path}: {error.strerror}") from error
            self.failure = JournalFailed(f"{segment_path(self.folder, self._segment.first)}, record {self.seq + 1}: {error.strerror}")
            raise self.failure from error
        except BaseException as error:
            self.failure = JournalFailed(f"record {self.seq + 1}: the write was interrupted: {error!r}")
            raise
        self._offset += size
        self.seq += len(records)
        self.crc = crc

    def _rotate(self, size: int) -> None:
        """Begin the next segment. Its header and its name are on disk before its first record is."""
        self.prepare(max(self.options.segment_bytes, SEGMENT_HEADER.size + size))
        segment = Segment(self.epoch, self.seq + 1, self.crc, self._spare_bytes)
        header = encode_segment(segment)
        file, self._spare_file, self._spare_bytes = self._spare_file, None, 0
        assert file is not None
        assert self._folder_file is not None
        try:
            self.files.write(file, header, 0)
            self.files.sync(file)
            self.files.rename(self._spare_path, segment_path(self.folder, segment.first))
            self.files.sync_names(self._folder_file)
        except BaseException:
            self.files.close(file)
            raise
        if self._file is not None:
            self.files.close(self._file)
        self._file, self._offset = file, SEGMENT_HEADER.size
        self._segment = segment._replace(crc=int.from_bytes(header[-4:], "little"))

    @property
    def low(self) -> bool:
        """Whether the disk has less left than the reserve."""
        return self.free_bytes < self.options.reserve_bytes

    @property
    def needs_spare(self) -> bool:
        """Whether there is no file yet to be the next segment, and room for one."""
        return not self._spare_bytes and self.free_bytes > self.options.segment_bytes

    def prepare(self, size: int = 0) -> None:
        """Open the next segment's file and write its zeros, so that a commit never waits for the disk to find room. For any thread.

        `size` is in bytes, 0 for that of the options. Raises OSError if the disk fails. If the file is there already, this does nothing.
        """
        size = size or self.options.segment_bytes
        with self._preparing:
            if self._spare_bytes >= size:
                return
            self._spare_bytes = 0
            if self._spare_file is None:
                with suppress(FileNotFoundError):
                    self.files.remove(self._spare_path)
                self._spare_file = self.files.open(self._spare_path)
            for offset in range(0, size, len(ZEROS)):
                self.files.write(self._spare_file, ZEROS[: size - offset], offset)
                self.files.sync(self._spare_file)
            self._spare_bytes = size

    def close(self) -> None:
        """Close the files. What was committed stays on disk."""
        for file in (self._file, self._spare_file, self._folder_file):
            if file is not None:
                self.files.close(file)
        self._file = self._spare_file = self._folder_file = None


DEFAULT = JournalOptions()


class Journal:
    """A writer with a thread that commits. `append` at any time from any one thread; `report` is called from the journal's own.

    Records up to `durable` are on disk. `failure` is set when the disk has failed, or the thread has ended of anything else: nothing behind
    `durable` may be acknowledged, and nothing more is taken. While `low` is set, only what makes the books smaller should be appended.
    """

    def __init__(self, writer: JournalWriter, report: Callable[[], None]) -> None:
        """`report` is called, from the journal's thread, whenever `durable`, `failure` or `low` may have changed."""
        self._writer = writer
        self._report = report
        self._waiting: list[tuple[Kind, Buffer, int]] = []
        self._wake = threading.Condition()
        self._closing = False
        self.sealed = True
        self.failure: JournalFailed | None = None
        self.waits_for = ""    # what it cannot go on without, and is trying to have
        self.appended = self.durable = writer.seq
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._preparer: threading.Thread | None = None
        self._thread.start()

    @property
    def low(self) -> bool:
        """Whether the disk has less left than the reserve."""
        return self._writer.low

    def measure(self) -> None:
        """Look how much room the disk has. While nothing is written, nobody else would see that it has become full, or is full no longer."""
        with suppress(OSError):
            self._writer.free_bytes = self._writer.files.free_bytes(self._writer.folder)

    @property
    def idle(self) -> bool:
        """Whether all that was appended is on disk."""
        return self.durable == self.appended

    def append(self, kind: Kind, payload: Buffer, time: int) -> int:
        """Append a record of a time in ns since 1970, and return its sequence. The payload must not change from now on. Waits for no disk.

        The record is on disk once `durable` has reached its sequence. Raises JournalFailed if nothing is taken any more.
        """
        with self._wake:
            if self.failure or self._closing:
                raise self.failure or JournalFailed("the journal is closed")
            self._waiting.append((kind, payload, time))
            self.appended += 1
            self._wake.notify()
            return self.appended

    def close(self) -> None:
        """Commit what waits, seal it, and close. Returns when the threads have ended. What could not be written is behind `durable`."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        if self._preparer:
            self._preparer.join()
        self._writer.close()

    def _take(self) -> list[tuple[Kind, Buffer, int]]:
        """The next group; a seal when it has been quiet; nothing when it is over."""
        options = self._writer.options
        with self._wake:
            while not self._waiting:
                if self._closing or not self._wake.wait(None if self.sealed else options.seal_after_s):
                    if self.sealed:
                        return []
                    self._waiting.append(SEAL)
                    self.appended += 1
            count = size = 0
            for _, payload, _ in self._waiting[: options.group_records]:
                size += record_size(payload)
                if count and size > options.group_bytes:
                    break
                count += 1
            group, self._waiting = self._waiting[:count], self._waiting[count:]
            return group

    def _run(self) -> None:
        try:
            while group := self._take():
                self._commit(group)
                self.sealed = group[-1] is SEAL
                self.durable = self._writer.seq
                self._report()
                if self._writer.needs_spare and not (self._preparer and self._preparer.is_alive()):
                    self._begin_to_prepare()
        except BaseException as error:    # whatever ends this thread is a disk that fails, to everybody
            with self._wake:
                self.failure = self._writer.failure or JournalFailed(f"the journal's thread has ended: {error!r}")
            self._report()

    def _begin_to_prepare(self) -> None:
        preparer = threading.Thread(target=self._prepare, name="journal segment", daemon=True)
        with suppress(RuntimeError):    # there can be no more threads: the commit that needs the segment prepares it itself
            preparer.start()
            self._preparer = preparer

    def _commit(self, group: list[tuple[Kind, Buffer, int]]) -> None:
        """Commit a group, however often that takes. JournalFailed if the disk fails, or a journal that is being closed gets no descriptor."""
        attempts = 0
        while True:
            try:
                self._writer.commit(group)
            except NoDescriptor as error:
                attempts = attempts + 1 if self._closing else 0
                if attempts > ATTEMPTS_AT_THE_END:
                    raise JournalFailed(str(error)) from error
                self.waits_for = str(error)
                self._report()
                time.sleep(PAUSE_S)
            else:
                self.waits_for = ""
                return

    def _prepare(self) -> None:
        with suppress(OSError, MemoryError):    # the commit that needs it tries again, and is the one to fail
            self._writer.prepare()
