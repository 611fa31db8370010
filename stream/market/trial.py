"""A recovery that may kill the process that does it, tried in one of its own, so that the server can say which command it dies of and give up.

A file `crash` in the journal's folder says how the process before ended; it is empty if that was no fault of the program. `deltabook serve` has Python's
faulthandler write to it, and a recovery that does not come to its end leaves it as it began it: both cost nothing. A start that finds something in it has
the journal replayed by a child first (`stream.market.trial_child`). What that comes to is kept in the file, so that to start again is cheap as long as neither
journal nor program has changed.
"""

import faulthandler
import hashlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import msgspec

import engine
from stream.journal.files import FILE_MODE, Disk
from stream.journal.format import JournalError, Kind, Record, Stuck
from stream.journal.parts import CAN_GO, CommandName, count_of, name_of_command
from stream.market.journal_inspection import command_at, read_from
from stream.settings.config import Config, as_environment

log = logging.getLogger("deltabook")

CRASH = "crash"
RECOVERING = b"the recovery did not come to its end\n"
NOTE_BYTES = 8

PATIENCE_S = 60.0
"""A recovery that does not come to another record for so long stands still."""

LOADING = 10
"""So many times as long before the first record, where a snapshot is read."""

SAID_MAX = 500
TRACEBACK_MAX = 10_000

NO_MEMORY = 71
"""The exit status of a child that has run out of memory."""


class Death(NamedTuple):
    """How a recovery ended, in words, and the record that it was about to apply, 0 if it was at none. `killed` if that may be otherwise the next time."""

    how: str
    record: int
    killed: bool = False


class Found(msgspec.Struct):
    """What the second child finds: the command's place from 0, None if none alone does it, and what the numbers in it are called."""

    place: int | None = None
    subjects: dict[int, str] = {}
    instruments: list[str] = []


class Known(msgspec.Struct):
    """What is known of a journal that no recovery comes through: the arguments of `Stuck`, and what of journal and program it is true of."""

    of: str
    stuck: tuple[str, int, str, str, int]


class Trial:
    """Around the recovery of a journal: Stuck if it would end this process as it ended the one before, a note for the next one if it does."""

    def __init__(self, config: Config, patience_s: float = PATIENCE_S) -> None:
        self._config = config
        self._patience_s = patience_s
        self._note = Path(config.journal) / CRASH

    def __enter__(self) -> None:
        note = b""
        with suppress(OSError):
            note = self._note.read_bytes()
        if note:
            self._refuse(note)
            traceback = note.decode(errors="replace")[:TRACEBACK_MAX]
            log.warning("the last process crashed: a child process replays its journal first", extra={"traceback": traceback})
            death = tried(self._config, self._patience_s)
            if death:
                raise self._known(explained(self._config, death, self._patience_s))
        self._write(RECOVERING)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, Stuck):
            raise self._known(explained(self._config, Death(error.what, error.record), self._patience_s)) from error
        if error is None or isinstance(error, JournalError | OSError):
            self._write(b"")

    def _refuse(self, note: bytes) -> None:
        with suppress(msgspec.MsgspecError):
            known = msgspec.json.decode(note, type=Known)
            if known.of == _journal_and_program(self._config.journal):
                raise Stuck(*known.stuck)

    def _known(self, error: JournalError) -> JournalError:
        """Keep what was found, unless it may be otherwise the next time."""
        if isinstance(error, Stuck):
            stuck = error.path, error.offset, f"{error.what} (found before; to try again, remove {self._note})", error.remedy, error.record
            self._write(msgspec.json.encode(Known(_journal_and_program(self._config.journal), stuck)))
        return error

    def _write(self, note: bytes) -> None:
        with suppress(OSError), open(self._note, "wb", opener=_for_the_owner) as file:    # on a disk without room it goes without
            file.write(note)


def note_crashes(config: Config) -> None:
    """Have a crash of this process leave its traceback beside its journal, if there is one, so that the next start knows to be careful."""
    if config.journal != "none":
        with suppress(OSError):
            path = Path(config.journal) / CRASH
            path.touch(FILE_MODE)
            faulthandler.enable(path.open("ab"))


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)


def _journal_and_program(folder: str) -> str:
    """What becomes another when a file of the journal or of the program is changed. Costs a look at the names and times of all of them."""
    seen = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(_that_matter(folder))]
    return hashlib.sha256(msgspec.json.encode(seen)).hexdigest()


def _that_matter(folder: str) -> Iterator[Path]:
    for pattern in ("*.journal", "*.snapshot"):
        yield from Path(folder).glob(pattern)
    for program in (Path(str(engine.__file__)).parent, Path(__file__).parents[1]):
        for pattern in ("*.py", "*.so"):
            yield from program.rglob(pattern)


def tried(config: Config, patience_s: float = PATIENCE_S) -> Death | None:
    """How and where a recovery ends the process that does it, None if it comes through. `patience_s` is how long it may make no progress.

    Costs another process with the whole state, and the time of a recovery.
    """
    status, said, hung, record = _child(config, "recover", 0, patience_s)
    if hung:
        return Death(f"no progress for {patience_s:g} s", record)
    return Death(_how(status, said), record, status in (-signal.SIGKILL, NO_MEMORY)) if status else None


def _child(config: Config, task: str, record: int, patience_s: float) -> tuple[int, bytes, bool, int]:
    """Run a child until it ends or makes no progress: its status, what it printed, whether it was ended for standing still, and where it was."""
    with tempfile.NamedTemporaryFile() as note:
        note.write(bytes(NOTE_BYTES))
        note.flush()

        def where() -> int:
            with open(note.name, "rb") as file:
                return int.from_bytes(file.read(NOTE_BYTES), "little")

        command = [sys.executable, "-m", "stream.market.trial_child", task, note.name, str(record), str(os.getpid()), str(patience_s)]
        environment = os.environ | as_environment(config)
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as child:
            before = waited = 0
            while True:
                try:
                    out, said = child.communicate(timeout=patience_s)
                    return child.returncode, out or said, False, where()
                except subprocess.TimeoutExpired:
                    before, waited = (now, 0) if (now := where()) != before else (before, waited + 1)
                    if waited >= (1 if before else LOADING):
                        child.kill()
                        child.communicate()
                        return child.returncode, b"", True, before


def _how(status: int, said: bytes) -> str:
    if status < 0:
        with suppress(ValueError):
            return f"signal {-status}, {signal.Signals(-status).name}"
        return f"signal {-status}"
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1][:SAID_MAX] if lines else f"exit status {status}"


def explained(config: Config, death: Death, patience_s: float = PATIENCE_S) -> JournalError:
    """The error to raise for a death: it names the record, the command in it, whose it is, and what to do. Costs one more recovery in another process."""
    folder = config.journal
    path, offset, record = _find(folder, death.record)
    if death.killed:
        where = f"record {death.record}" if death.record else "no record"
        return JournalError(f"{folder}: the recovery was killed or had no memory left, at {where}: look at the machine's log; every start tries again")
    if record is None:
        what = f"the recovery ends with {death.how}, before its first record or after its last"
        remedy = "move the newest snapshot elsewhere (an older one and the records are enough), or start another version"
        return Stuck(path, offset, what, remedy, death.record)
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=record.time // 1_000)
    told = f"record {record.seq} of {at:%Y-%m-%dT%H:%M:%S.%fZ}, of kind {Kind(record.kind).name.lower()}: recovery ends there with {death.how}"
    if record.kind not in CAN_GO:
        return Stuck(path, offset, told, "start the version of deltabook that wrote the record, or go on from a backup", record.seq)
    found = _search(config, record.seq, patience_s) if count_of(record) else Found()
    place = 0 if count_of(record) == 1 else found.place
    if place is None:
        return Stuck(path, offset, told, _remedy(folder, CommandName(record.seq, 0 if count_of(record) > 1 else None)), record.seq)
    name = name_of_command(record, place)
    return Stuck(path, offset, f"{told}. It is command {name}: {_words(record, place, found)}", _remedy(folder, name), record.seq)


def _remedy(folder: str, name: CommandName) -> str:
    return (f"starting again does not help; another version may, and `deltabook journal repair {folder} {folder}.repaired --without {name}` makes a copy "
            "without the command, to serve from")


def _words(record: Record, place: int, found: Found) -> str:
    fields = command_at(record, place)
    if fields.get("account") in found.subjects:
        fields["account"] = f"{fields['account']} ({found.subjects[fields['account']]})"
    if fields.get("instrument", len(found.instruments)) < len(found.instruments):
        fields["instrument"] = f"{fields['instrument']} ({found.instruments[fields['instrument']]})"
    return ", ".join(f"{name} {value}" for name, value in fields.items())


def _find(folder: str, seq: int) -> tuple[str, int, Record | None]:
    """A record, and where it is."""
    path, offset = folder, 0
    with suppress(JournalError):
        reader = read_from(Disk(), folder)
        for record in reader:
            path, offset = reader.path, record.offset
            if record.seq == seq:
                return path, offset, record
    return path, offset, None


def _search(config: Config, seq: int, patience_s: float) -> Found:
    """Which command of a record it is; nothing if even that cannot be found out."""
    status, out, _, _ = _child(config, "narrow", seq, patience_s)
    with suppress(msgspec.MsgspecError):
        return msgspec.json.decode(out, type=Found) if not status else Found()
    return Found()
