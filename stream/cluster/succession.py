"""Decides how an engine begins: with its own journal, with the state that it has followed, or with nothing. Then it has a journal that goes on from there."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from stream.cluster.messages import ShippedRecord
from stream.cluster.replica import Replica
from stream.commands.directory import Directory, Term, number_under
from stream.journal import snapshots
from stream.journal.files import Files
from stream.journal.format import Damaged
from stream.journal.reader import SUFFIX, numbers
from stream.journal.recovery import replay
from stream.journal.snapshots import State
from stream.journal.writer import SEAL, JournalOptions, JournalWriter
from stream.market.archive import Archive
from stream.market.history import History, begin, go_on, with_channels
from stream.market.journal_inspection import read_from
from stream.settings.config import Config
from stream.sources import Source

log = logging.getLogger("deltabook")


@dataclass
class Inheritance:
    """What a new leader begins with. Up to `began` that is what the leader before had told; `records` are those behind, None if they are not at hand."""

    history: History
    archive: Archive | None
    position: int
    began: int
    records: list[ShippedRecord] | None


def has_journal(files: Files, folder: str) -> bool:
    """Whether there is a history in a folder."""
    try:
        return bool(numbers(files, folder, SUFFIX) or numbers(files, folder, snapshots.SUFFIX))
    except FileNotFoundError:
        return False


def inherit(
    files: Files, config: Config, sources: Sequence[Source], replica: Replica, now: int, report: Callable[[], None], taken: Callable[[], None],
) -> Inheritance:
    """What to lead with. Of two histories, the one with the later term counts; with the same term, the longer one; with two epochs, the one that is followed.

    ConfigError, JournalError or OSError if it cannot be had. `report` and `taken` are the archive's.
    """
    if config.journal == "none":
        return _without_journal(config, sources, replica, now)
    if has_journal(files, config.journal):
        archive = Archive(files, config, sources, now, report, taken)
        ours = _term(archive.history.directory), archive.position
        there = replica.state
        if not there or (archive.history.epoch == there.epoch and ours >= (_term(there.directory), replica.position)):
            began = replica.position or archive.position
            return Inheritance(archive.history, archive, archive.position, began, _records(files, config.journal, began, archive.position))
        archive.abandon()
        aside = next(path for number in count(1) if not has_journal(files, path := f"{config.journal}.{number}"))
        files.rename(config.journal, aside)
        log.warning("the journal here is not that of the latest leader, or it is of another market: it was set aside", extra={"folder": aside})
    began = replica.position
    if replica.state:
        assert replica.feed
        state = replica.state
        begin_journal(files, config, State(
            exchange=state.exchange, directory=with_channels(replica.feed, state.directory), results=state.results, epoch=state.epoch, seq=state.seq,
            crc=0, time=now,
        ))
    archive = Archive(files, config, sources, now, report, taken)
    began = began or archive.position
    return Inheritance(archive.history, archive, archive.position, began, _records(files, config.journal, began, archive.position))


def end_of(files: Files, folder: str) -> tuple[int, int]:
    """The term and the position at which a journal ends. JournalError or OSError if it cannot be read. O(its replay)."""
    found = replay(files, folder)
    return (_term(found.state.directory), found.state.seq) if found else (0, 0)


def _term(directory: Directory) -> int:
    return number_under(directory, Term())


def begin_journal(files: Files, config: Config, state: State) -> None:
    """Begin a journal in a folder without one, which goes on after a state. Raises JournalError or OSError if it cannot be written. O(the state)."""
    files.make_folder(config.journal)
    snapshots.write(files, config.journal, state)
    options = JournalOptions(config.journal_segment_bytes, reserve_bytes=0)
    writer = JournalWriter(files, config.journal, options, epoch=state.epoch, seq=state.seq, crc=state.crc)
    writer.commit([SEAL])
    writer.close()


def _records(files: Files, folder: str, after: int, upto: int) -> list[ShippedRecord] | None:
    """The records behind `after`; None if some are not there any more."""
    try:
        reader = read_from(files, folder, -1)
        if reader.seq > after:
            return None
        return [ShippedRecord(each.seq, each.kind, each.time, bytes(each.payload)) for each in reader if after < each.seq <= upto]
    except Damaged:
        return None


def _without_journal(config: Config, sources: Sequence[Source], replica: Replica, now: int) -> Inheritance:
    if replica.state:
        assert replica.feed
        before = replica.state.exchange.seq
        history = go_on(replica.state, replica.feed, config, sources, now)
        position = replica.position + (history.exchange.seq != before)
        return Inheritance(history, None, position, replica.position, [] if position == replica.position else None)
    return Inheritance(begin(config, sources, now), None, 1, 1, [])
