"""Brings a history up to its journal: whatever the database lacks, it gets by a replay."""

from collections.abc import Collection

from engine import Exchange
from stream.account_history.database import Database, Position
from stream.account_history.facts import Facts, open_orders
from stream.commands.directory import Directory
from stream.commands.forwarded import runnable
from stream.journal.entries import OF_ENTRIES, OF_GROUPS, entry_in, group_in
from stream.journal.files import Files
from stream.journal.format import Kind, Record
from stream.journal.parts import commands_of
from stream.journal.recovery import replay
from stream.journal.snapshots import State

OF_COMMANDS = Kind.COMMANDS, Kind.KEYED_COMMANDS, *OF_GROUPS

WRITE_EVERY = 1 << 14
"""How many records there are in one transaction."""


class _BeginsTooLate(Exception):
    """The newest snapshot is of a time for which the database is not complete."""


def begin(database: Database, exchange: Exchange, directory: Directory, epoch: int, time: int) -> None:
    """Begin a history with an exchange of which nothing else is known. O(accounts and open orders)."""
    orders = [order for account in range(exchange.accounts) for order in exchange.orders(account)]
    database.begin(Position(epoch, exchange.seq, time if exchange.seq else 0), open_orders(orders, directory, time, exchange.seq))


class Rebuild:
    """One replay into a database."""

    def __init__(self, database: Database, files: Files, folder: str, left_out: Collection[int]) -> None:
        self._database = database
        self._files = files
        self._folder = folder
        self._facts = Facts(left_out)
        self._commands = b""
        self._epoch = 0
        self._seq = 0
        self._records = 0

    def run(self, epoch: int, seq: int) -> bool:
        """Bring the database up to event `seq`, with which the journal ends. Returns whether there was anything to do.

        A replay from the newest snapshot costs what a start costs. If the database is missing, of another epoch, or ahead, and if it is further behind than
        that snapshot, then all of the journal is replayed. Raises what `replay` raises, and sqlite3.Error.
        """
        self._epoch = epoch
        at = self._database.position
        if at and (at.epoch, at.seq) == (epoch, seq):
            return False
        if at and at.epoch == epoch and at.seq < seq:
            self._seq = at.seq
            try:
                self._replay(from_start=False)
            except _BeginsTooLate:
                self._seq = 0
        if not self._seq:
            self._replay(from_start=True)
        return True

    def _replay(self, from_start: bool) -> None:
        replay(self._files, self._folder, visit=self._visit, from_start=from_start, before=self._before)
        self._write()

    def _before(self, state: State | None, record: Record) -> None:
        if state:
            self._commands = runnable(state.results, group_in(record))[0] if record.kind in OF_GROUPS else bytes(commands_of(record))

    def _visit(self, state: State, record: Record | None) -> None:
        exchange = state.exchange
        if record is None or record.kind == Kind.GENESIS:
            if self._seq and exchange.seq > self._seq:
                raise _BeginsTooLate
            if not self._seq:
                begin(self._database, exchange, state.directory, self._epoch, state.time)
                self._seq = exchange.seq
        elif record.kind in OF_COMMANDS and exchange.seq > self._seq:
            self._records += 1
            if self._records % WRITE_EVERY == 0:
                self._write()
            self._facts.take(self._commands, bytes(exchange.events), record.time)
            self._seq = exchange.seq
        if record and record.kind in OF_GROUPS:
            self._facts.attach(group_in(record).entries)
        elif record and record.kind in OF_ENTRIES:    # of the group in the record before
            self._facts.attach([entry_in(record)])

    def _write(self) -> None:
        if self._seq:
            self._database.write(self._facts, self._seq)
            self._facts.clear()


