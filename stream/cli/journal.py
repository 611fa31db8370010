"""`deltabook journal`: shows what is in a journal, whether it is whole, what happened in it, and which state it leads to. It also repairs a journal."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from engine import OrderBook, Phase
from stream.cli import teach
from stream.commands.directory import ChannelStates
from stream.journal import snapshots
from stream.journal.files import Disk
from stream.journal.format import Damaged, JournalError, Record
from stream.journal.parts import CommandName, named
from stream.journal.reader import SUFFIX
from stream.journal.recovery import LOCK, Replay, hold, replay
from stream.journal.snapshots import State, snapshot_path
from stream.journal.writer import JournalOptions
from stream.market import journal_inspection as inspection
from stream.market.journal_repair import repair
from stream.market.leave_out import differences, end_state_of, leave_out, subjects_of
from stream.market.trial import explained, tried
from stream.settings.config import Config
from stream.wire.scale import to_text

WHOLE, DAMAGED, UNREADABLE = 0, 1, 2
BAR_STEP = 1 << 20
"""How many bytes are read between two updates of the progress bar."""

DIFFERENCES_MAX = 100

EPOCH_OF_TIME = datetime(1970, 1, 1, tzinfo=UTC)

EXAMPLES = """examples:
  deltabook journal info data/journal
  deltabook journal check data/journal
  deltabook journal dump data/journal --from 1000 --upto 1010 --events | jq .
  deltabook journal replay data/journal --time 2026-11-23T14:30:00Z
  deltabook journal snapshot data/journal --keep 3
  deltabook journal repair data/journal data/repaired
  deltabook journal repair data/journal data/repaired --without 412.3

All of them but `repair` work while a server writes to the journal. In JSON, prices are in ticks, sizes in
lots and times in ns since 1970, and a field that is left out is 0.
exit status: 0; 1 if something is damaged (its file and byte are printed); 2 if there is no journal or it cannot be read
"""


def count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of at least 1")
    return int(text)


def moment(text: str) -> int:
    """A time in ns since 1970, from such a number or from ISO 8601. A time in ISO 8601 means the end of the microsecond that it names."""
    if text.isdecimal():
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a time like 2026-11-23T14:30:00Z, or ns since 1970") from None
    return (at.replace(tzinfo=at.tzinfo or UTC) - EPOCH_OF_TIME) // timedelta(microseconds=1) * 1_000 + 999


def command_name(text: str) -> CommandName:
    """The record of a command, and the place of the command in it."""
    try:
        return named(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def shown(at: int) -> str:
    """The time of a record as text, in a form that `moment` can read."""
    return f"{EPOCH_OF_TIME + timedelta(microseconds=at // 1_000):%Y-%m-%dT%H:%M:%S.%fZ}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions of `journal` and their flags."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add(name: str, act: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=help, description=help)
        action.set_defaults(act=act)
        teach(action, EXAMPLES, name)
        action.add_argument("folder", type=Path, metavar="FOLDER", help="the journal's folder")
        return action

    add("info", _info, "show what is in it: records by kind, time span, snapshots, bytes").add_argument("--json", action="store_true", help="print JSON")
    add("check", _check, "replay all of it, compare every snapshot with the replay, and say whether the journal is whole")
    dump = add("dump", _dump, "print what happened as JSON lines: one for each command, and one for each record of another kind")
    dump.add_argument("--from", type=count, default=1, dest="start", metavar="RECORD", help="the first record (default: 1)")
    dump.add_argument("--upto", type=count, metavar="RECORD", help="the last record (default: the end)")
    dump.add_argument("--events", action="store_true", help="also print the events that each command caused; for this the whole journal is replayed")
    state = add("replay", _replay, "print the state at the end of the journal or at an earlier point: the best levels of the books, counts, and the hash")
    at = state.add_mutually_exclusive_group()
    at.add_argument("--upto", type=count, metavar="RECORD", help="the state after this record (default: the last one)")
    at.add_argument("--time", type=moment, metavar="TIME", help="the state at this time: ISO 8601 (UTC unless it names another zone) or ns since 1970")
    state.add_argument("--json", action="store_true", help="print JSON")
    taking = "write a snapshot of the state beside the records, and remove what the oldest kept snapshot does not need; a server may be writing meanwhile"
    snapshot = add("snapshot", _snapshot, taking)
    snapshot.add_argument("--upto", type=count, metavar="RECORD",
                          help="the state after this record, which must be on disk (default: the last record that is known to be on disk)")
    snapshot.add_argument("--keep", type=count, default=2, metavar="N", help="how many snapshots to keep (default: %(default)s)")
    snapshot.add_argument("--trades", type=count, default=Config().trades_kept, metavar="N",
                          help="how many trades each instrument remembers: the server's setting trades_kept (default: %(default)s)")
    mend = add("repair", _repair, "copy what can be replayed into a new folder; if anything is lost, the copy has a new epoch")
    mend.add_argument("copy", type=Path, metavar="NEW_FOLDER", help="the folder for the copy")
    mend.add_argument("--without", type=command_name, metavar="SEQ",
                      help="copy everything but one command, at which every replay stops: RECORD, or RECORD.PLACE if the record has several commands")


def run(arguments: argparse.Namespace) -> int:
    """Run the action. Returns the exit status."""
    folder: Path = arguments.folder
    try:
        if not any(folder.glob(f"*{SUFFIX}")) and not any(folder.glob(f"*{snapshots.SUFFIX}")):
            raise JournalError(f"{folder}: there is no journal in this folder" if folder.is_dir() else f"{folder}: there is no such folder")
        status: int = arguments.act(arguments)
    except Damaged as damaged:
        return _complain(damaged, DAMAGED)
    except JournalError as error:
        return _complain(error, UNREADABLE)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _complain(f"{error.filename or folder}: {error.strerror}", UNREADABLE)
    return status


def _complain(what: object, status: int) -> int:
    print(f"deltabook journal: {what}", file=sys.stderr)
    return status


class Watched(Disk):
    """The disk, with a progress bar that shows how much of a journal has been replayed."""

    def __init__(self, folder: Path, bar: Progress) -> None:
        sizes = {path.name: path.stat().st_size for path in sorted(folder.glob(f"*{SUFFIX}"))}
        self._before = dict(zip(sizes, accumulate(sizes.values(), initial=0), strict=False))
        self._bar = bar
        self._task = bar.add_task(folder.name, total=sum(sizes.values()))
        self._start = self._place = 0

    def read(self, path: str, size: int = -1) -> bytes:
        self._start = self._before.get(path.rpartition("/")[2], self._start)
        return super().read(path, size)

    def see(self, state: State | None, record: Record | None) -> None:
        """A record was read. If there is a state, the record has been applied to it."""
        if record and abs(self._start + record.end - self._place) >= BAR_STEP:
            self._place = self._start + record.end
            self._bar.update(self._task, completed=self._place)


@contextmanager
def watched(folder: Path, hidden: bool = False) -> Iterator[Watched]:
    """The disk, with a progress bar if there is a terminal to show it."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, disable=hidden or not console.is_terminal) as bar:
        yield Watched(folder, bar)


def _print_json(line: dict[str, Any]) -> None:
    print(msgspec.json.format(msgspec.json.encode(line)).decode())


def _print_rows(rows: dict[str, str]) -> None:
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"{name:{width}}  {value}")


def _info(arguments: argparse.Namespace) -> int:
    folder: Path = arguments.folder
    summary, epoch, torn, damage = inspection.Summary(), 0, 0, None
    with watched(folder) as disk:
        try:
            reader = inspection.read_from(disk, str(folder))
            for record in reader:
                summary.add(record)
                disk.see(None, record)
            epoch, torn = reader.epoch, reader.torn
        except Damaged as damaged:
            damage = damaged
    sizes = {suffix: [path.stat().st_size for path in folder.glob(f"*{suffix}")] for suffix in (SUFFIX, snapshots.SUFFIX)}
    kept = sorted(int(path.stem) for path in folder.glob(f"*{snapshots.SUFFIX}"))
    per_million = round(summary.bytes * 1_000_000 / summary.commands) if summary.commands else 0
    if arguments.json:
        _print_json({
            "folder": str(folder), "whole": damage is None, **msgspec.to_builtins(summary), "epoch": epoch, "bytes_per_million_commands": per_million,
            "unfinished_bytes": torn, "segments": len(sizes[SUFFIX]), "segment_bytes": sum(sizes[SUFFIX]), "snapshots": kept,
            "snapshot_bytes": sum(sizes[snapshots.SUFFIX]),
        })
    else:
        rows = {
            "records": f"{summary.first:,} to {summary.last:,}",
            "from": shown(summary.began),
            "to": shown(summary.ended),
            "epoch": str(epoch),
            **{f"  {name}": f"{records:,}" for name, records in summary.records.items()},
            "commands": f"{summary.commands:,}, {per_million / 1e6:,.0f} MB a million",
            "segments": f"{len(sizes[SUFFIX]):,}, {sum(sizes[SUFFIX]):,} bytes, {summary.bytes:,} of records",
            "snapshots": f"{len(kept):,}, {sum(sizes[snapshots.SUFFIX]):,} bytes" + (f", of records {', '.join(f'{seq:,}' for seq in kept)}" if kept else ""),
        }
        if torn:
            rows["unfinished"] = f"{torn:,} bytes of an unfinished write at the end"
        _print_rows(rows)
    return _complain(damage, DAMAGED) if damage else WHOLE


def _check(arguments: argparse.Namespace) -> int:
    folder: Path = arguments.folder
    summary = inspection.Summary()

    def see(state: State, record: Record | None) -> None:
        if record:
            summary.add(record)
            disk.see(state, record)

    with watched(folder) as disk:
        try:
            checked = inspection.check(disk, str(folder), see)
        except Damaged:
            print(f"records {summary.first:,} to {summary.last:,} are whole")
            raise
    if checked is None:
        raise JournalError(f"{folder}: there are no records in this journal")
    for wrong in checked.wrong:
        _complain(wrong, DAMAGED)
    found = checked.replay
    if found.reader.torn:
        print(f"{found.reader.path}, byte {found.reader.offset}: {found.reader.torn:,} bytes of an unfinished write, which was never acknowledged")
    print(f"records {summary.first:,} to {summary.last:,} are whole: {summary.commands:,} commands, state hash {found.state.exchange.state_hash():016x}")
    print(f"{len(checked.right):,} of {len(checked.right) + len(checked.wrong):,} snapshots are right")
    return DAMAGED if checked.wrong else WHOLE


def _dump(arguments: argparse.Namespace) -> int:
    folder = str(arguments.folder)
    with watched(arguments.folder, hidden=sys.stdout.isatty()) as disk:

        def see(state: State | None, record: Record | None) -> None:
            if record and record.seq >= arguments.start:
                for line in inspection.describe(record, state.exchange if state else None):
                    print(msgspec.json.encode(line).decode())
            disk.see(state, record)

        if arguments.events:
            replay(disk, folder, arguments.upto, see, from_start=True)
        else:
            for record in inspection.read_from(disk, folder):
                if arguments.upto is not None and record.seq > arguments.upto:
                    break
                see(None, record)
    return WHOLE


def _replay(arguments: argparse.Namespace) -> int:
    folder, upto = str(arguments.folder), arguments.upto
    with watched(arguments.folder) as disk:
        if arguments.time is not None:
            upto = inspection.record_at(disk, folder, arguments.time)
        found = inspection.state_at(disk, folder, upto, disk.see)
    found.state.directory.pop(ChannelStates(), None)
    for wrong in found.wrong:
        print(f"deltabook journal: this snapshot was not used: {wrong}", file=sys.stderr)
    if arguments.json:
        _print_json(_state_as_json(found))
    else:
        _print_state(found)
    return WHOLE


def _state_as_json(found: Replay) -> dict[str, Any]:
    state, exchange = found.state, found.state.exchange
    books = [
        {
            "instrument": book.instrument.name, "phase": Phase(book.phase).name.lower(), "bid": book.levels.best_bid, "ask": book.levels.best_ask,
            "levels": len(book.levels), "digest": f"{book.levels.digest:016x}",
        }
        for book in exchange.books
    ]
    return {
        "record": state.seq, "time": state.time, "epoch": state.epoch, "seq": exchange.seq, "state_hash": f"{exchange.state_hash():016x}",
        "accounts": exchange.accounts, "orders": exchange.order_count, "entries": len(state.directory), "results": len(state.results), "books": books,
    }


def _print_state(found: Replay) -> None:
    state, exchange = found.state, found.state.exchange
    _print_rows({
        "record": f"{state.seq:,}, of {shown(state.time)}; replayed {found.records:,}",
        "epoch": str(state.epoch),
        "event": f"{exchange.seq:,}",
        "state hash": f"{exchange.state_hash():016x}",
        "accounts": f"{exchange.accounts:,}",
        "open orders": f"{exchange.order_count:,}",
        "entries": f"{len(state.directory):,} of the directory, {len(state.results):,} results of requests with a key",
    })
    table = Table(box=None, pad_edge=False)
    for heading in ("instrument", "phase", "size", "bid", "ask", "size", "levels", "digest"):
        table.add_column(heading, justify="left" if heading in ("instrument", "phase") else "right", no_wrap=True)
    for book in exchange.books:
        (bid_size, bid), (ask_size, ask) = _best(book, book.levels.best_bid), _best(book, book.levels.best_ask)
        phase, digest = Phase(book.phase).name.lower(), f"{book.levels.digest:016x}"
        table.add_row(book.instrument.name, phase, bid_size, bid, ask, ask_size, f"{len(book.levels):,}", digest)
    console = Console(highlight=False)
    Console(highlight=False, width=max(console.width, 160)).print(table)


def _best(book: OrderBook, level: tuple[int, int] | None) -> tuple[str, str]:
    """Size and price as decimal text."""
    return (to_text(level[1], book.instrument.lot), to_text(level[0], book.instrument.tick)) if level else ("-", "-")


def _snapshot(arguments: argparse.Namespace) -> int:
    folder = str(arguments.folder)
    with watched(arguments.folder) as disk:
        config = Config(trades_kept=arguments.trades)
        state, removed = inspection.take_snapshot(disk, folder, config, upto=arguments.upto, keep=arguments.keep, visit=disk.see)
    print(f"{snapshot_path(folder, state.seq)}: state hash {state.exchange.state_hash():016x}")
    for path in removed:
        print(f"removed {path}")
    return WHOLE


def _repair(arguments: argparse.Namespace) -> int:
    folder, copy, now = str(arguments.folder), str(arguments.copy), time.time_ns()
    lock = hold(Disk(), folder) if (arguments.folder / LOCK).exists() else None
    try:
        return _leave_out(folder, copy, arguments.without, now) if arguments.without else _mend(arguments.folder, copy, now)
    finally:
        if lock is not None:
            Disk().close(lock)


def _mend(path: Path, copy: str, now: int) -> int:
    folder = str(path)
    with watched(path) as disk:
        repaired = repair(disk, folder, copy, JournalOptions(), epoch=now // 10**6, time=now, visit=disk.see)
    for damaged in repaired.damage:
        print(f"{damaged.path}, byte {damaged.offset}: {damaged.what}")
    state = repaired.copy.replay.state
    if repaired.kept == repaired.base:
        print(f"{copy} has the state after record {repaired.base:,}, and no records")
    else:
        after = f", after a snapshot of record {repaired.base:,}" if repaired.base else ""
        print(f"{copy} has the records {repaired.base + 1:,} to {repaired.kept:,}{after}")
    if not repaired.lost:
        print("nothing is lost: the epoch is the same")
    else:
        told = f"{repaired.commands_lost:,} commands, up to record {repaired.last:,}" if repaired.commands_lost else "no commands that can still be read"
        print(f"lost: what came after record {repaired.kept:,} ({told}); the epoch is now {state.epoch}, so clients will take a snapshot")
    print(f"state hash {state.exchange.state_hash():016x}")
    return WHOLE


def _leave_out(folder: str, copy: str, name: CommandName, now: int) -> int:
    left = leave_out(Disk(), folder, copy, name, JournalOptions(), epoch=now // 10**6, time=now)
    for line in left.lines:
        print(f"left out: {msgspec.json.encode(line).decode()}")
    death = tried(Config(journal=copy))
    if death:
        raise explained(Config(journal=copy), death)
    state, unknown = end_state_of(Disk(), copy, name.record)
    whose = subjects_of(state.directory)
    accounts = dict.fromkeys(line["account"] for line in left.lines if "account" in line)
    print(f"accounts concerned: {', '.join(_account(account, whose) for account in accounts) or 'none'}")
    print(f"after it: {left.behind:,} commands; {unknown:,} of them name an order that is not open, for whatever reason")
    _print_differences(folder, name, state, whose)
    print(f"{copy} has the records up to {left.last:,}; the epoch is now {state.epoch}, so clients will take a snapshot")
    print(f"state hash {state.exchange.state_hash():016x}")
    return WHOLE


def _account(account: int, whose: dict[int, str]) -> str:
    return f"account {account} ({whose[account]})" if account in whose else f"account {account}"


def _print_differences(folder: str, name: CommandName, state: State, whose: dict[int, str]) -> None:
    """Print how the last state of the copy differs from that of the journal, or from that before the command if the journal cannot be replayed to its end."""
    upto = name.record - 1 if tried(Config(journal=folder)) else None
    before = inspection.state_at(Disk(), folder, upto).state
    other = f"the state after record {upto:,}, where the journal stops" if upto else "that of the journal"
    print(f"the copy's end, compared with {other}:")
    lines = list(differences(before.exchange, state.exchange))
    for account, what in lines[:DIFFERENCES_MAX]:
        print(f"  {_account(account, whose)}: {what}")
    none = "  there are no other differences" if lines else "  there are no differences"
    print(f"  {len(lines) - DIFFERENCES_MAX:,} more" if len(lines) > DIFFERENCES_MAX else none)
