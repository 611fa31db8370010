"""Writes the history in a thread of its own, and reads pages of it there. The event loop only hands over what a group has done, and never waits."""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from stream.account_history.database import Database, Wanted
from stream.account_history.facts import Facts, FillFact, OrderFact
from stream.commands.directory import Entry
from stream.wire.codes import ErrorCode

LINGER_S = 0.02
"""How long groups gather for one transaction, unless somebody asks for a page."""

WAITING_BYTES_MAX = 64 << 20
"""Of commands and events that wait to be written. A disk that is further behind than this is taken for one that fails."""

Page = Sequence[OrderFact] | Sequence[FillFact]

Answered = Callable[[Page | ErrorCode, int], None]
"""Called with a page, or with why there is none, and with the time since which the history is complete."""


class RanGroup(NamedTuple):
    """What a group has done: its commands and events as the engine has them in memory, when, the sequence of its last event, and what was remembered."""

    commands: bytes
    events: bytes
    time: int
    seq: int
    entries: Sequence[Entry] = ()


class Question(NamedTuple):
    """A page that somebody wants, of orders or of trades."""

    trades: bool
    wanted: Wanted
    answered: Answered


class Recorder:
    """The history of all accounts behind one database, which is complete up to where the market goes on.

    Whoever asks gets all that had been handed over by then: questions wait behind the groups. Call `answer` from the loop when `report` was called. `failure`
    says why nothing is written any more, "" if all is well. Then pages are refused, the market goes on, and the next start writes what is missing.
    """

    def __init__(self, database: Database, left_out: Collection[int], report: Callable[[], None]) -> None:
        """`report` is called from another thread when there are answers. What concerns accounts that are `left_out` is not kept."""
        self._database = database
        self._facts = Facts(left_out)
        self._report = report
        self._wake = threading.Condition()
        self._groups: list[RanGroup] = []
        self._questions: list[Question] = []
        self.waiting_bytes = 0
        self._closing = False
        self._answers: deque[Callable[[], None]] = deque()
        self.failure = ""
        self._thread = threading.Thread(target=self._run, name="account history", daemon=True)
        self._thread.start()

    def take(self, group: RanGroup) -> None:
        """Have it written, soon."""
        if self.failure:
            return
        with self._wake:
            self._groups.append(group)
            self.waiting_bytes += len(group.commands) + len(group.events)
            if self.waiting_bytes > WAITING_BYTES_MAX:
                self.fail(f"more than {WAITING_BYTES_MAX} bytes wait to be written")
            self._wake.notify()

    def ask(self, question: Question) -> None:
        """Have a page read, behind all that was taken until now."""
        with self._wake:
            if self.failure or self._closing:
                self._answers.append(partial(question.answered, ErrorCode.NO_HISTORY, 0))
            else:
                self._questions.append(question)
            self._wake.notify()
        if self.failure:
            self._report()

    def answer(self) -> None:
        """Call those whose pages have been read."""
        while self._answers:
            self._answers.popleft()()

    def close(self) -> None:
        """Write what waits, and close the database."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        self._database.close()

    def fail(self, why: str) -> None:
        """Give up, but for answering that there is nothing."""
        with self._wake:
            self.failure = self.failure or why
            self._groups.clear()
            self.waiting_bytes = 0
            self._answers.extend(partial(question.answered, ErrorCode.NO_HISTORY, 0) for question in self._questions)
            self._questions.clear()
            self._wake.notify()

    def _take(self) -> tuple[list[RanGroup], list[Question]]:
        """The next groups, once they have gathered for a while, and the questions behind them; nothing when it is over."""
        with self._wake:
            self._wake.wait_for(lambda: self._groups or self._questions or self._closing or self.failure)
            if not self._questions:
                self._wake.wait_for(lambda: self._questions or self._closing or self.failure, LINGER_S)
            found = self._groups, self._questions
            self._groups, self._questions, self.waiting_bytes = [], [], 0
            return found

    def _run(self) -> None:
        try:
            while not self.failure:
                groups, questions = self._take()
                if not groups and not questions and self._closing:
                    break
                try:
                    self._write(groups)
                    answers = [partial(question.answered, self._read(question), self._database.since) for question in questions]
                except BaseException:
                    self._questions += questions    # which are told, like all others
                    raise
                self._answers.extend(answers)
                if questions:
                    self._report()
        except BaseException as error:    # whatever ends this thread is a disk that fails, to everybody
            self.fail(f"{type(error).__name__}: {error}")
        if self.failure:
            self._report()

    def _write(self, groups: list[RanGroup]) -> None:
        for group in groups:
            self._facts.take(group.commands, group.events, group.time)
            self._facts.attach(group.entries)
        if groups:
            self._database.write(self._facts, groups[-1].seq)
            self._facts.clear()

    def _read(self, question: Question) -> Page:
        return self._database.trades(question.wanted) if question.trades else self._database.orders(question.wanted)


def open_database(path: str, ended_max: int) -> Database:
    """The database at a path, which keeps so many orders that have ended.

    One that cannot be read is removed: all of it comes again out of the journal. Raises sqlite3.Error if that does not help.
    """
    try:
        return Database(path, ended_max)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):    # the disk, or another process
            raise
    for suffix in ("", "-wal", "-shm"):
        Path(path + suffix).unlink(missing_ok=True)
    return Database(path, ended_max)
