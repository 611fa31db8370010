"""A market with a journal on a disk that forgets, in one thread: the test says when a group is on disk, and when the power goes."""

import random

from stream.journal.format import Buffer, JournalError, Kind
from stream.journal.writer import JournalWriter
from stream.market.history import History, recover
from stream.settings.config import Config
from tests.journal.fake_disk import FakeDisk
from tests.journal.journals import FOLDER


class SteppedJournal:
    """What a market needs of a journal, without its thread."""

    def __init__(self, writer: JournalWriter) -> None:
        self.writer = writer
        self.appended = self.durable = writer.seq
        self.waiting: list[tuple[Kind, Buffer, int]] = []
        self.failure: JournalError | None = None
        self.low = False

    def append(self, kind: Kind, payload: Buffer, time: int) -> int:
        if self.failure:
            raise self.failure
        self.waiting.append((kind, bytes(payload), time))
        self.appended += 1
        return self.appended

    def sync(self) -> None:
        """Have all that waits on disk, or fail for good."""
        if self.waiting and not self.failure:
            try:
                self.writer.commit(self.waiting)
            except JournalError as failure:
                self.failure = failure
            self.waiting = []
            self.durable = self.writer.seq


def start(disk: FakeDisk, config: Config, now: int) -> tuple[History, SteppedJournal]:
    """What is on a disk, brought back."""
    history = recover(disk, FOLDER, config, [], now)
    assert history.opened
    return history, SteppedJournal(history.opened.writer)


def after_a_power_cut(disk: FakeDisk) -> FakeDisk:
    """The disk as it is when the power is back."""
    return FakeDisk(random.Random(disk.chance.random()), disk.image())


def after_a_stop(disk: FakeDisk) -> FakeDisk:
    """The disk as the next process finds it, with all that was written."""
    return FakeDisk(random.Random(disk.chance.random()), {path: bytes(inode.seen) for path, inode in disk.seen.items()})
