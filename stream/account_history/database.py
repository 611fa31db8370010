"""The history in an embedded database. All that a transaction writes stands beside the sequence up to which it is complete."""

import sqlite3
from collections.abc import Iterable
from typing import Any, NamedTuple

from stream.account_history.facts import Facts, FillFact, OrderFact

VERSION = 3
"""Of the tables. A database of another version is begun anew out of the journal."""

TABLES = """
CREATE TABLE position (epoch INTEGER NOT NULL, seq INTEGER NOT NULL, since INTEGER NOT NULL);
CREATE TABLE orders (
    account INTEGER NOT NULL, id INTEGER NOT NULL, client_id INTEGER NOT NULL, instrument INTEGER NOT NULL, side TEXT NOT NULL, type TEXT NOT NULL,
    time_in_force TEXT NOT NULL, post_only INTEGER NOT NULL, price INTEGER NOT NULL, size INTEGER NOT NULL, stop INTEGER NOT NULL, display INTEGER NOT NULL,
    expires INTEGER NOT NULL, filled INTEGER NOT NULL, value INTEGER NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL, time INTEGER NOT NULL,
    updated INTEGER NOT NULL, seq INTEGER NOT NULL, working_since INTEGER NOT NULL, ticket BLOB NOT NULL, linked INTEGER NOT NULL,
    PRIMARY KEY (account, id)
) WITHOUT ROWID;
CREATE INDEX orders_of_instrument ON orders (account, instrument, id);
CREATE INDEX orders_of_client_id ON orders (account, client_id, id) WHERE client_id > 0;
CREATE INDEX pairs ON orders (account, linked) WHERE linked > 0;
CREATE INDEX ended_orders ON orders (updated) WHERE status IN ('filled', 'cancelled');
CREATE TABLE trades (
    account INTEGER NOT NULL, id INTEGER NOT NULL, trade INTEGER NOT NULL, of_order INTEGER NOT NULL, client_id INTEGER NOT NULL, instrument INTEGER NOT NULL,
    side TEXT NOT NULL, price INTEGER NOT NULL, size INTEGER NOT NULL, value INTEGER NOT NULL, fee INTEGER NOT NULL, liquidity TEXT NOT NULL,
    time INTEGER NOT NULL, PRIMARY KEY (account, id)
) WITHOUT ROWID;
CREATE INDEX trades_of_instrument ON trades (account, instrument, id);
CREATE INDEX trades_of_order ON trades (account, of_order, id);
"""

CHANGE = """
UPDATE orders SET filled = ?, value = ?, size = ?, status = coalesce(?, status), reason = ?, price = coalesce(?, price), stop = coalesce(?, stop), updated = ?,
seq = ?, working_since = coalesce(?, working_since) WHERE account = ? AND id = ?
"""

ENDED = "SELECT account, id, updated FROM orders WHERE status IN ('filled', 'cancelled')"

FORGOTTEN_AT_ONCE = 1024
"""So many orders beyond the bound gather before they are forgotten, as many as this in one transaction at least."""


class Position(NamedTuple):
    """Up to which event of which epoch all is there that has happened since `since`, in ns since 1970; 0: since the market began."""

    epoch: int
    seq: int
    since: int


class Wanted(NamedTuple):
    """A page: of one account, in the order of ids, those after `after`, from `since` up to before `until` (0: no end); the last of them with `latest`.

    `instrument` is an index, None for all. `order` is for trades: those of this order alone, 0 for all. `client_id` is for orders, in the same way.
    With `pairs` a page is of pairs of orders, in the order of their first ones' ids, which `after` and the times are about.
    """

    account: int
    instrument: int | None = None
    after: int = 0
    order: int = 0
    since: int = 0
    until: int = 0
    latest: bool = False
    size: int = 100
    client_id: int = 0
    pairs: bool = False


class Database:
    """The tables. Raises sqlite3.Error if the disk or the file fails. For one thread at a time.

    It keeps the `ended_max` orders that ended last, of all accounts together, and their fills.
    """

    def __init__(self, path: str, ended_max: int = 1 << 62) -> None:
        self._ended_max = ended_max
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")    # what a power cut takes comes again out of the journal
        if self._db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            self._begin_anew()
        self._ended = self._count_ended()

    def _count_ended(self) -> int:
        return int(self._db.execute(f"SELECT count(*) FROM ({ENDED})").fetchone()[0])

    def _begin_anew(self) -> None:
        for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            self._db.execute(f"DROP TABLE {name}")
        self._db.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")

    @property
    def position(self) -> Position | None:
        """Where it stands; None for an empty one."""
        row = self._db.execute("SELECT epoch, seq, since FROM position").fetchone()
        return Position(*row) if row else None

    @property
    def since(self) -> int:
        """Since when it is complete."""
        return self.position.since if self.position else 0

    def begin(self, at: Position, orders: Iterable[OrderFact] = ()) -> None:
        """Forget everything, and begin with the orders that are open at a position. One transaction."""
        with self._db:
            self._db.execute("BEGIN")
            for table in ("orders", "trades", "position"):
                self._db.execute(f"DELETE FROM {table}")
            self._place(orders)
            self._db.execute("INSERT INTO position VALUES (?, ?, ?)", at)
        self._ended = 0

    def write(self, facts: Facts, seq: int) -> None:
        """Add what is new up to a sequence, in one transaction, and forget what is too much. About 5 us for an order, and as much for a fill."""
        with self._db:
            self._db.execute("BEGIN")
            self._place(facts.placed.values())
            self._db.executemany(CHANGE, [(*change, *key) for key, change in facts.changes.items()])
            self._db.executemany("INSERT INTO trades VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", facts.fills)
            self._db.execute("UPDATE position SET seq = ?", (seq,))
            self._ended += facts.ended
            if self._ended > self._ended_max + FORGOTTEN_AT_ONCE:
                self._forget(self._ended - self._ended_max)

    def _forget(self, count: int) -> None:
        """Forget the orders that ended first. From then on the history is complete since the last of these ended."""
        oldest = self._db.execute(f"{ENDED} ORDER BY updated LIMIT ?", (count,)).fetchall()
        self._db.executemany("DELETE FROM trades WHERE account = ? AND of_order = ?", (each[:2] for each in oldest))
        self._db.executemany("DELETE FROM orders WHERE account = ? AND id = ?", (each[:2] for each in oldest))
        self._db.execute("UPDATE position SET since = max(since, ?)", (oldest[-1][2] + 1,))
        self._ended -= len(oldest)

    def _place(self, orders: Iterable[OrderFact]) -> None:
        self._db.executemany(f"INSERT INTO orders VALUES ({', '.join('?' * len(OrderFact._fields))})", orders)

    def orders(self, wanted: Wanted) -> list[OrderFact]:
        """A page of orders, in the order in which they were placed; of pairs, each first order that is kept, and the second one behind it."""
        rows = self._page("orders", wanted)
        if wanted.pairs:
            first = "SELECT * FROM orders WHERE account = ? AND id = ?"
            rows = [each for second in rows for each in (*self._db.execute(first, (wanted.account, second[-1])), second)]
        return [OrderFact(*row)._replace(post_only=bool(row[7])) for row in rows]

    def trades(self, wanted: Wanted) -> list[FillFact]:
        """A page of fills, in the order in which they happened."""
        return [FillFact(*row) for row in self._page("trades", wanted)]

    def _page(self, table: str, wanted: Wanted) -> list[tuple[Any, ...]]:
        """O(log of all) and O(the page)."""
        last = (1 << 63) - 1
        if wanted.after >= last:
            return []
        first = wanted.after + 1
        if wanted.since:
            first = max(first, self._first_from(table, wanted.account, wanted.since))
        if wanted.until:
            last = self._first_from(table, wanted.account, wanted.until) - 1
        by, values = "linked" if wanted.pairs else "id", [wanted.account, first, last]
        where = f"account = ? AND {by} BETWEEN ? AND ?"
        if wanted.pairs:
            where += " AND linked > 0"    # as the index says it
        if wanted.instrument is not None:
            where, values = f"{where} AND instrument = ?", [*values, wanted.instrument]
        if wanted.order:
            where, values = f"{where} AND of_order = ?", [*values, wanted.order]
        if wanted.client_id:
            where, values = f"{where} AND client_id = ? AND client_id > 0", [*values, wanted.client_id]
        direction = "DESC" if wanted.latest else "ASC"
        rows = self._db.execute(f"SELECT * FROM {table} WHERE {where} ORDER BY {by} {direction} LIMIT ?", [*values, wanted.size]).fetchall()
        return rows[::-1] if wanted.latest else rows

    def _first_from(self, table: str, account: int, time: int) -> int:
        """The lowest id of an account from a time on: ids rise as time goes on, so this is a search by halves, without an index by time."""
        low, high = self._db.execute(f"SELECT coalesce(min(id), 1), coalesce(max(id), 0) + 1 FROM {table} WHERE account = ?", (account,)).fetchone()
        while low < high:
            middle = (low + high) // 2
            id, then = self._db.execute(f"SELECT id, time FROM {table} WHERE account = ? AND id >= ? ORDER BY id LIMIT 1", (account, middle)).fetchone()
            if then < time:
                low = id + 1
            else:
                high = middle
        return int(low)

    def close(self) -> None:
        """Close the file."""
        self._db.close()
