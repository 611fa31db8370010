"""A journal whose process has no file descriptor left: it waits, acknowledges nothing, says so, and goes on when there is one."""

import errno
import os
import random
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream.journal import writer
from stream.journal.files import Disk
from stream.journal.format import Kind
from stream.journal.reader import JournalReader
from stream.journal.recovery import open_journal
from stream.journal.writer import Journal, JournalFailed, JournalOptions
from tests.journal.fake_disk import FakeDisk
from tests.journal.journals import EPOCH, FOLDER

SMALL = JournalOptions(segment_bytes=4096, reserve_bytes=0)
ENTRY = bytes(1000)


class Watched:
    """A journal, and a way to wait for what it says."""

    def __init__(self, disk: FakeDisk | Disk, folder: str = FOLDER) -> None:
        self.changed = threading.Condition()
        self.opened = open_journal(disk, folder, SMALL, EPOCH)
        self.journal = Journal(self.opened.writer, self.report)

    def report(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def wait(self, condition: Callable[[], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, 10)

    def append(self, count: int) -> None:
        """One record at a time, until these are on disk or the journal waits."""
        for _ in range(count):
            self.journal.append(Kind.ENTRY, ENTRY, 1)
            self.wait(lambda: self.journal.idle or self.journal.waits_for or self.journal.failure)


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE])
def test_it_waits_and_goes_on(error: int) -> None:
    disk = FakeDisk(random.Random(1))
    watched = Watched(disk)
    watched.append(1)
    watched.wait(lambda: not watched.opened.writer.needs_spare)
    disk.scarce = error
    watched.append(20)
    journal = watched.journal
    assert os.strerror(error) in journal.waits_for
    assert 4 <= journal.durable < journal.appended, "the next file was open already; the one after it could not be opened"
    assert journal.failure is None
    disk.scarce = 0
    watched.wait(lambda: journal.idle)
    assert journal.waits_for == ""
    watched.append(20)
    journal.close()
    assert [record.seq for record in JournalReader(FakeDisk(random.Random(1), disk.contents()), FOLDER)] == list(range(1, journal.durable + 1))


def test_one_that_is_closed_waits_no_longer_than_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "ATTEMPTS_AT_THE_END", 2)
    disk = FakeDisk(random.Random(1))
    watched = Watched(disk)
    disk.scarce = errno.EMFILE
    watched.append(20)
    watched.journal.close()
    assert isinstance(watched.journal.failure, JournalFailed)
    assert watched.journal.durable < watched.journal.appended


@contextmanager
def no_descriptors() -> Iterator[None]:
    """This process can open nothing more."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)    # the lowest number that is free
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_on_a_real_disk_with_no_descriptor_left(tmp_path: Path) -> None:
    watched = Watched(Disk(), str(tmp_path))
    watched.append(1)
    watched.wait(lambda: not watched.opened.writer.needs_spare)
    with no_descriptors():
        watched.append(20)
        assert watched.journal.idle, "the descriptor of a file that is full is the next one's"
    watched.journal.close()
    Disk().close(watched.opened.lock)
    assert watched.journal.failure is None
    assert len(list(JournalReader(Disk(), str(tmp_path)))) == watched.journal.durable > 20
