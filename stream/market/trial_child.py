"""What the children of `stream.market.trial` do: recover a journal, and note each record before it is applied; or find the command in a record that ends them.

    python -m stream.market.trial_child recover|narrow NOTE RECORD PARENT PATIENCE

The settings are in the environment. The note is a file in memory that outlives the child.
"""

import mmap
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import msgspec

from stream.feed.feed import Feed
from stream.journal.files import Disk
from stream.journal.format import JournalError, Record, Stuck
from stream.journal.parts import count_of, part_of
from stream.journal.recovery import apply, replay
from stream.journal.snapshots import State
from stream.market.history import feeding
from stream.market.leave_out import subjects_of
from stream.market.trial import NO_MEMORY, NOTE_BYTES, Found
from stream.settings.config import Config, read_config

PARENT_S = 1.0


class _Reached(Exception):
    """The replay has come to the record that was looked for."""


class Note:
    """A number that who started this process can read, now and when it is dead."""

    def __init__(self, path: str) -> None:
        with open(path, "r+b") as file:
            self._bytes = mmap.mmap(file.fileno(), NOTE_BYTES)

    def write(self, number: int) -> None:
        """Note a number."""
        self._bytes[:] = number.to_bytes(NOTE_BYTES, "little")


def recover(config: Config, note: Note) -> int:
    """Recover as a server would; the exit status. What is damaged is not told here: the server will find it itself."""
    try:
        replay(Disk(), config.journal, None, feeding(config, []), before=lambda state, record: note.write(record.seq))
    except Stuck as stuck:
        print(stuck.what, file=sys.stderr)
        return 1
    except MemoryError:
        return NO_MEMORY
    except (JournalError, OSError):
        pass
    note.write(0)
    return 0


def narrow(config: Config, note: Note, seq: int, patience_s: float) -> Found:
    """Replay up to record `seq`, and find the command in it that ends the process, by halves. Each part of the record is applied in a forked
    process, for `patience_s` at the most.
    """
    found = Found()
    feeds: list[Feed] = []
    visit = feeding(config, feeds)

    def before(state: State | None, record: Record) -> None:
        note.write(record.seq)
        if record.seq == seq and state:
            found.subjects = subjects_of(state.directory)
            found.instruments = [book.instrument.name for book in state.exchange.books]
            found.place = _place(count_of(record), _Attempt(note, patience_s, state, record, lambda: visit(state, record)))
            raise _Reached

    with suppress(_Reached):
        replay(Disk(), config.journal, None, visit, before=before)
    return found


class _Attempt:
    """Applies a part of a record in a process that is forked for it."""

    def __init__(self, note: Note, patience_s: float, state: State, record: Record, after: Callable[[], None]) -> None:
        self._note = note
        self._patience_s = patience_s
        self._state = state
        self._record = record
        self._after = after
        self._attempts = 0

    def survives(self, places: range | list[int]) -> bool:
        """Whether the process comes through."""
        self._attempts += 1
        self._note.write(self._record.seq + self._attempts)    # so that it is seen to go on
        child = os.fork()
        if not child:
            self._apply_and_leave(places)
        return os.waitpid(child, 0)[1] == 0

    def _apply_and_leave(self, places: range | list[int]) -> NoReturn:
        try:
            signal.setitimer(signal.ITIMER_REAL, self._patience_s)
            kind, payload = part_of(self._record, places)
            apply(self._state, self._record._replace(kind=kind, payload=memoryview(payload)))
            self._after()
            os._exit(0)
        except BaseException:
            os._exit(1)


def _place(count: int, attempt: _Attempt) -> int | None:
    """The last command of the shortest part of a record, from its begin, that cannot be applied; None if even the part without a command cannot be."""
    if not attempt.survives([]):
        return None
    good, bad = 0, count
    while bad - good > 1:
        middle = (good + bad) // 2
        if attempt.survives(range(middle)):
            good = middle
        else:
            bad = middle
    return bad - 1


def _end_with(parent: int) -> None:
    """End when the process that wanted to know is gone, even from within an endless loop of the engine."""
    while os.getppid() == parent:
        time.sleep(PARENT_S)
    os._exit(1)


def main(arguments: list[str]) -> int:
    """Do a task. Returns the exit status."""
    task, note, record, parent, patience_s = arguments
    config = read_config(None, os.environ, {})
    if task == "narrow":    # which forks, so it must not have a thread; what it forks ends by itself
        sys.stdout.buffer.write(msgspec.json.encode(narrow(config, Note(note), int(record), float(patience_s))))
        return 0
    threading.Thread(target=_end_with, args=[int(parent)], name="parent", daemon=True).start()
    return recover(config, Note(note))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
