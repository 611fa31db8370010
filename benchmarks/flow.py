"""The one seeded generator of engine operations, and the commands that an exchange makes of them.

A recording is a file that other engines can read too: a header of 64 bytes, `LOBOPS01 | u32 24 | u32 instruments | u64 prefill |
u64 operations | i32 price_min | i32 price_max | u64 seed | u64 id_max | 8 pad`, then little-endian records of 24 bytes, `u64 id |
i32 price (ticks) | u32 size (lots) | u8 kind | u8 side | u16 instrument | u32 pad`. Kind 0 is a limit order that rests, 1 a cancel
of an open order, 2 a limit order that is filled whole. The first `prefill` records fill the books and are not timed. Beside it lies
what a right engine ends with, as JSON.
"""

import json
import os
import struct
import tempfile
import zlib
from collections.abc import Iterator
from decimal import Decimal
from heapq import heappop, heappush
from pathlib import Path
from random import Random
from typing import NamedTuple

from engine import Commands, EventKind, Exchange, Instrument

HEADER = struct.Struct("<8sIIQQiiQQ8x")
RECORD = struct.Struct("<QiIBBHI")
COMMAND = struct.Struct("<8xQ8xqq32xIHBB8x")
"""A command's record, of which this reads what a call needs: order, price, size, account, instrument, kind, side."""
REST, CANCEL, TAKE = 0, 1, 2
BATCH = 64

ACCOUNTS = 1 << 14
DEPOSIT = 1 << 44
MAKER_FEE = 100
TAKER_FEE = 250
MIDDLE = 100_000
DRIFT = 0.15
TAKERS = 0.10


class Flow(NamedTuple):
    """What a recording is made from. `live` orders rest at any time, `spread` ticks is how far from the middle they are placed."""

    live: int
    spread: float
    instruments: int
    seed: int


FLOWS = {
    "A": Flow(10_000, 50, 1, 1),
    "B": Flow(300_000, 2_000, 1, 2),
    "C": Flow(200_000, 50, 200, 3),
}
GROWING = Flow(1_000_000, 2_000, 1, 4)
"""Whose prefill is a million orders into an empty book."""


class Outcome(NamedTuple):
    """The mix of the timed operations, and what a right engine ends with. `traded` in lots, over all trades."""

    rests: int
    cancels: int
    takes: int
    trades: int
    traded: int
    live: int


class Recording(NamedTuple):
    """A file of operations."""

    path: Path
    flow: Flow
    operations: int
    outcome: Outcome


class Workload(NamedTuple):
    """A recording as commands for an exchange made by `new_exchange`. `state` is its state hash at the end."""

    prefill: bytes
    timed: bytes
    events: int
    state: int


class _Order:
    __slots__ = ("book", "id", "place", "price", "side", "size")

    def __init__(self, id: int, book: int, side: int, price: int, size: int, place: int) -> None:
        self.id = id
        self.book = book
        self.side = side
        self.price = price
        self.size = size
        self.place = place    # in the list of live orders


class _Book:
    def __init__(self) -> None:
        self.middle = float(MIDDLE)
        self._levels: tuple[dict[int, dict[int, _Order]], dict[int, dict[int, _Order]]] = ({}, {})
        self._heaps: tuple[list[int], list[int]] = ([], [])    # the best price is the lowest number

    def best(self, side: int) -> int | None:
        heap, levels, sign = self._heaps[side], self._levels[side], 2 * side - 1
        while heap and sign * heap[0] not in levels:
            heappop(heap)
        return sign * heap[0] if heap else None

    def oldest(self, side: int, price: int) -> _Order:
        return next(iter(self._levels[side][price].values()))

    def add(self, order: _Order) -> None:
        level = self._levels[order.side].get(order.price)
        if level is None:
            level = self._levels[order.side][order.price] = {}
            heappush(self._heaps[order.side], (2 * order.side - 1) * order.price)
        level[order.id] = order

    def remove(self, order: _Order) -> None:
        levels = self._levels[order.side]
        del levels[order.price][order.id]
        if not levels[order.price]:
            del levels[order.price]


class _Generator:
    """Draws operations, and keeps just enough of a book to know what can be cancelled and what a taker would get."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._random = Random(flow.seed)
        self._books = [_Book() for _ in range(flow.instruments)]
        self._next = 1
        self.live: list[_Order] = []
        self.records: list[bytes] = []
        self.price_min = self.price_max = MIDDLE
        self.counts = [0, 0, 0]
        self.trades = 0
        self.traded = 0

    @property
    def id_max(self) -> int:
        return self._next - 1

    def below(self, n: int) -> int:
        return int(self._random.random() * n)

    def operation(self) -> None:
        """A taker, else a new order or a cancel, so that the number of live orders stays near the flow's."""
        book, side, wanted = self.below(self._flow.instruments), self.below(2), self._flow.live
        if self._random.random() < TAKERS and self._books[book].best(1 - side) is not None:
            self.take(book, side)
            return
        share = 0.5 + 0.5 * (wanted - len(self.live)) / (0.02 * wanted + 50)
        if not self.live or self._random.random() < min(max(share, 0.05), 0.95):
            self.rest(book)
        else:
            self.cancel()

    def rest(self, index: int) -> None:
        book, side = self._books[index], self.below(2)
        book.middle += DRIFT * self._random.gauss(0.0, 1.0)
        sign = 2 * side - 1
        price = int(book.middle) + sign * (1 + int(abs(self._random.gauss(0.0, self._flow.spread))))
        opposite = book.best(1 - side)
        if opposite is not None and sign * price <= sign * opposite:
            price = opposite + sign
        order = _Order(self._next, index, side, price, 1 + self.below(100), len(self.live))
        self._record(self._new_id(), REST, index, side, price, order.size)
        self.live.append(order)
        book.add(order)

    def cancel(self) -> None:
        order = self.live[self.below(len(self.live))]
        self._record(order.id, CANCEL, order.book, order.side, order.price, order.size)
        self._remove(order)

    def take(self, index: int, side: int) -> None:
        book, left, price, size = self._books[index], 1 + self.below(150), 0, 0
        while left and (best := book.best(1 - side)) is not None:
            price = best
            maker = book.oldest(1 - side, price)
            fill = min(maker.size, left)
            maker.size -= fill
            left -= fill
            size += fill
            self.trades += 1
            if not maker.size:
                self._remove(maker)
        self.traded += size
        self._record(self._new_id(), TAKE, index, side, price + (1 - 2 * side) * self.below(3), size)

    def _new_id(self) -> int:
        self._next += 1
        return self._next - 1

    def _remove(self, order: _Order) -> None:
        last = self.live.pop()
        if last is not order:
            self.live[order.place] = last
            last.place = order.place
        self._books[order.book].remove(order)

    def _record(self, id: int, kind: int, book: int, side: int, price: int, size: int) -> None:
        self.price_min = min(self.price_min, price)
        self.price_max = max(self.price_max, price)
        self.counts[kind] += 1
        self.records.append(RECORD.pack(id, price, size, kind, side, book, 0))


def record(flow: Flow, operations: int) -> Recording:
    """The recording of a flow, out of the system's temporary folder if this generator made it before. About 4 us an operation."""
    generator = zlib.crc32(Path(__file__).read_bytes())
    name = f"{flow.live}-{flow.spread:g}-{flow.instruments}-{flow.seed}-{operations}-{generator:08x}.bin"
    path = Path(tempfile.gettempdir()) / "deltabook-benchmarks" / name
    if not path.exists():
        _generate(flow, operations, path)
    return Recording(path, flow, operations, Outcome(**json.loads(path.with_suffix(".json").read_text())))


def _generate(flow: Flow, operations: int, path: Path) -> None:
    generator = _Generator(flow)
    for _ in range(flow.live):
        generator.rest(generator.below(flow.instruments))
    generator.counts = [0, 0, 0]
    for _ in range(operations):
        generator.operation()
    rests, cancels, takes = generator.counts
    outcome = Outcome(rests, cancels, takes, generator.trades, generator.traded, len(generator.live))
    prices = generator.price_min, generator.price_max
    header = HEADER.pack(b"LOBOPS01", RECORD.size, flow.instruments, flow.live, operations, *prices, flow.seed, generator.id_max)
    path.parent.mkdir(exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(outcome._asdict()))
    aside = path.with_suffix(f".{os.getpid()}")
    aside.write_bytes(b"".join((header, *generator.records)))
    aside.replace(path)


def read(recording: Recording) -> Iterator[tuple[int, int, int, int, int, int, int]]:
    """The records: id, price, size, kind, side, instrument, 0."""
    yield from RECORD.iter_unpack(recording.path.read_bytes()[HEADER.size:])


def account_of(id: int) -> int:
    """Orders are spread over the accounts by a hash of their id."""
    return (id * 0xD6E8FEB86659FD93 & (1 << 64) - 1) >> 50


def new_exchange(instruments: int, accounts: int = ACCOUNTS) -> Exchange:
    """Empty books, all with one base and one quote asset, a venue's fees, and accounts with money enough."""
    exchange = Exchange()
    base, quote = exchange.add_asset("BASE", 0), exchange.add_asset("QUOTE", 0)
    for index in range(instruments):
        exchange.add_instrument(Instrument(f"I{index}", "BASE", "QUOTE", Decimal(1), Decimal(1), maker_fee=MAKER_FEE, taker_fee=TAKER_FEE))
    commands = Commands()
    for account in range(accounts):
        commands.open_account()
        commands.deposit(account, base, DEPOSIT)
        commands.deposit(account, quote, DEPOSIT)
    if exchange.execute(commands):
        raise RuntimeError("an account or a deposit was refused")
    return exchange


def batches(commands: bytes | memoryview, count: int = BATCH) -> list[memoryview]:
    """Commands in groups of so many."""
    view, step = memoryview(commands), count * COMMAND.size
    return [view[start : start + step] for start in range(0, len(view), step)]


def workload(recording: Recording, named: bool = False) -> Workload:
    """The recording as commands, if `named` with client ids. Runs it once, command by command, to learn the orders' ids and to check the outcome."""
    exchange = new_exchange(recording.flow.instruments)
    halves = Commands(), Commands()
    orders: dict[int, int] = {}
    trades = traded = before = 0
    for position, (id, price, size, kind, side, instrument, _) in enumerate(read(recording)):
        account, commands = account_of(id), halves[position >= recording.flow.live]
        if position == recording.flow.live:
            before = exchange.seq
        if kind == CANCEL:
            order = orders.pop(id)
            commands.cancel(account, order)
            exchange.cancel(account, order)
        else:
            client_id = id if named else 0
            commands.place(account, instrument, side, price, size, client_id=client_id)
            orders[id] = exchange.place(account, instrument, side, price, size, client_id=client_id)
        if kind == TAKE:
            fills = exchange.events.select(1 << EventKind.TRADE)
            trades += len(fills)
            traded += sum(fill.size for fill in fills)
    expected = recording.outcome
    if (trades, traded, exchange.order_count) != (expected.trades, expected.traded, expected.live):
        raise RuntimeError(f"{(trades, traded, exchange.order_count)} trades, lots traded and orders left: expected {expected}")
    return Workload(bytes(halves[0]), bytes(halves[1]), exchange.seq - before, exchange.state_hash())
