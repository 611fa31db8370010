"""LOBSTER's order-by-order messages, checked against the exchange's own book after every message.

The sample holds only what happens within its window of levels. What is below it is unknown: the book before the first message, and
every level that a message brings into the window, are seeded from the reference book with one anonymous order; a level that leaves
the window is dropped. An execution is an aggressor's order, immediate or cancel, if price-time priority gives it the order that the
exchange filled; if not, that order is reduced, so that one such difference does not cause others.
"""

import zipfile
from decimal import Decimal
from itertools import islice
from pathlib import Path

from engine import Commands, Instrument, Order, Side, TimeInForce
from stream.replay import Check, Progress, ReplayReport, Stage, companion, read, silent

PLACED, REDUCED, DELETED, EXECUTED = 1, 2, 3, 4
VISIBLE = (PLACED, REDUCED, DELETED, EXECUTED)
FIRST_COLUMN = {Side.BUY: 2, Side.SELL: 0}
MAKER, ANONYMOUS, TAKER = range(3)
STOCK = Instrument("LOBSTER", "SHARE", "USD", tick=Decimal("0.0001"), lot=Decimal(1))
PRIORITY_PERCENT = 97
"""So many executions have to follow price-time priority. Anonymous orders, whose place is not known, explain most others."""


def replay(path: Path, limit: int | None = None, progress: Progress = silent) -> ReplayReport:
    """Run a .zip with a message and an orderbook file, or the message file beside the other. ValueError if they do not go together.

    `limit` is for the first so many messages. Every row has to be equal on all its levels.
    """
    books_path = path if zipfile.is_zipfile(path) else companion(path, "message", "orderbook")
    messages, rows = read(path, "message").split(), read(books_path, "orderbook").split()
    if len(messages) != len(rows) or not rows:
        raise ValueError(f"{path}: {len(messages)} messages and {len(rows)} rows of books: expected the same number of both")
    window = _Window(levels=len(rows[0].split(b",")) // 4)
    equal = 0
    total = min(len(messages), limit or len(messages))
    for index, (message, row) in enumerate(islice(zip(messages, rows, strict=True), total)):
        _, kind, order, size, price, direction = message.split(b",")
        side = Side.BUY if direction == b"1" else Side.SELL
        reference = _Row(row)
        if not index:
            window.seed(reference, int(kind), side, int(price), int(size))
        window.apply(int(kind), int(order), side, int(price), int(size))
        equal += window.follow(reference)
        if not index % 1024:
            progress(index, total)
    checks = (
        Check(f"books equal at {window.levels} levels", total, equal, total),
        Check("executions by price-time priority", window.executions, window.by_priority, window.executions * PRIORITY_PERCENT // 100),
    )
    return window.stage.report("lobster", window.by_priority, checks)


class _Row:
    """A line of the book file: ask price, ask size, bid price, bid size, next level ...; a level of size 0 is none."""

    def __init__(self, line: bytes) -> None:
        numbers = [int(text) for text in line.split(b",")]
        self.sides = {
            side: [number for at in range(first, len(numbers), 4) if numbers[at + 1] for number in numbers[at : at + 2]]
            for side, first in FIRST_COLUMN.items()
        }


class _Window:
    """The engine's book, held to the window of the reference."""

    def __init__(self, levels: int) -> None:
        self.levels = levels
        self.stage = Stage(STOCK, {"SHARE": 0, "USD": 4}, accounts=3, client_ids_max=0)
        self.executions = self.by_priority = 0
        self._commands = Commands()

    def seed(self, first: _Row, kind: int, side: int, price: int, size: int) -> None:
        """Make the book before the first message: the one after it, with that message undone."""
        for each, flat in first.sides.items():
            levels = dict(zip(flat[::2], flat[1::2], strict=True))
            if each == side and kind in VISIBLE:
                levels[price] = levels.get(price, 0) + (-size if kind == PLACED else size)
            for at, amount in levels.items():
                if amount > 0:
                    self._commands.place(ANONYMOUS, 0, each, at, amount)
        self.stage.run(self._commands)

    def apply(self, kind: int, order: int, side: int, price: int, size: int) -> None:
        """Do what a message says."""
        if kind == PLACED:
            self._commands.place(MAKER, 0, side, price, size, client_id=order)
        elif kind in VISIBLE:
            queue = self.stage.book.queue(side, price)
            target = _resting(queue, order)
            self.executions += kind == EXECUTED
            if kind == EXECUTED and target and target == queue[0] and price == self._best(side):
                self.by_priority += 1
                self._commands.place(TAKER, 0, 1 - side, price, size, time_in_force=TimeInForce.IOC)
            elif target:
                self._commands.reduce(target.account, target.order, size)
        self.stage.run(self._commands)

    def follow(self, reference: _Row) -> bool:
        """Drop what left the window, take in what the reference reveals at its end; whether the books are equal then."""
        for side, flat in zip((Side.BUY, Side.SELL), self.stage.book.levels.depth(self.levels + 1), strict=True):
            wanted = reference.sides[side]
            if flat == wanted:
                continue
            for price in flat[2 * self.levels :: 2]:
                for order in self.stage.book.queue(side, price):
                    self._commands.cancel(order.account, order.order)
            if flat == wanted[:-2]:
                self._commands.place(ANONYMOUS, 0, side, wanted[-2], wanted[-1])
        self.stage.run(self._commands)
        return list(self.stage.book.levels.depth(self.levels)) == list(reference.sides.values())

    def _best(self, side: int) -> int:
        levels = self.stage.book.levels
        best = levels.best_ask if side else levels.best_bid
        return best[0] if best else 0


def _resting(queue: list[Order], order: int) -> Order | None:
    """The order of that number in a level's queue, or else the level's anonymous one."""
    found = [each for each in queue if each.client_id == order] or [each for each in queue if each.account == ANONYMOUS]
    return found[0] if found else None
