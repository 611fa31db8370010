"""Operations without any locality on an exchange of exact dimensions, for any dimensions in the same mix.

The books are full of orders at evenly spread prices. From then on takers fill the oldest at the best prices, others are cancelled at
random, and each new order goes to a place that became vacant, drawn at random: the number of orders, of price levels and of accounts
in use stays what it was. Orders have one size, and takers once or twice as much, so no order is ever filled in part.
"""

from random import Random
from typing import NamedTuple

from benchmarks.flow import TAKERS, Workload, new_exchange
from engine import Commands, EventKind, TimeInForce

MIDDLE = 1 << 20
SIZE = 10
MAKERS_MAX = 2
FAR = 1 << 60
VACANT = 32
"""About so many orders fewer than the books have room for rest at any time."""


class Shape(NamedTuple):
    """Dimensions: places for orders, books, price levels of all books together, accounts."""

    orders: int
    instruments: int
    levels: int
    accounts: int


class Prepared(NamedTuple):
    """Commands for an exchange made by `new_exchange`, how many of the timed ones rest, cancel and take, and what is there at the end."""

    work: Workload
    mix: tuple[int, int, int]
    orders: int
    levels: int


class Place(NamedTuple):
    """Where an order may rest."""

    instrument: int
    side: int
    price: int


class _Generator:
    """Runs each operation as it draws it: the exchange tells the orders' ids, and whom a taker filled."""

    def __init__(self, shape: Shape, seed: int, expiring: bool) -> None:
        self._random = Random(seed)
        self._shape = shape
        self._lifetime = (TimeInForce.GTD, FAR) if expiring else (TimeInForce.GTC, 0)
        self._span = shape.levels // (2 * shape.instruments)    # levels on a side of a book
        self.exchange = new_exchange(shape.instruments, shape.accounts)
        self.commands = Commands()
        self.mix = [0, 0, 0]
        self._live: list[int] = []
        self._position: dict[int, int] = {}    # in `_live`
        self._owner: dict[int, tuple[int, Place]] = {}
        self._vacant = [self._place(index) for index in range(shape.orders)]

    def _place(self, index: int) -> Place:
        index, instrument = divmod(index, self._shape.instruments)
        index, side = divmod(index, 2)
        distance = 1 + index % self._span
        return Place(instrument, side, MIDDLE + distance if side else MIDDLE - distance)

    def below(self, n: int) -> int:
        return int(self._random.random() * n)

    def fill(self) -> None:
        """Orders at all places but a few."""
        while len(self._vacant) > VACANT:
            self.rest()
        self.mix = [0, 0, 0]

    def operation(self) -> None:
        """A taker, else a new order, the sooner the more places are vacant, or a cancel."""
        if self._random.random() < TAKERS:
            self.take()
        elif self._random.random() * 2 * VACANT < len(self._vacant):
            self.rest()
        else:
            self.cancel()

    def rest(self) -> None:
        self.mix[0] += 1
        index, account = self.below(len(self._vacant)), self.below(self._shape.accounts)
        place = self._vacant[index]
        self._vacant[index] = self._vacant[-1]
        self._vacant.pop()
        time_in_force, expires = self._lifetime
        self.commands.place(account, *place, SIZE, time_in_force=time_in_force, expires=expires)
        order = self.exchange.place(account, *place, SIZE, time_in_force=time_in_force, expires=expires)
        self._position[order] = len(self._live)
        self._live.append(order)
        self._owner[order] = account, place

    def cancel(self) -> None:
        self.mix[1] += 1
        order = self._live[self.below(len(self._live))]
        account = self._owner[order][0]
        self.commands.cancel(account, order)
        self.exchange.cancel(account, order)
        self._remove(order)

    def take(self) -> None:
        self.mix[2] += 1
        account, instrument, side = self.below(self._shape.accounts), self.below(self._shape.instruments), self.below(2)
        worst, makers = MIDDLE - self._span if side else MIDDLE + self._span, 1 + self.below(MAKERS_MAX)
        self.commands.place(account, instrument, side, worst, makers * SIZE)
        self.exchange.place(account, instrument, side, worst, makers * SIZE)
        trades = self.exchange.events.select(1 << EventKind.TRADE)
        if [trade.size for trade in trades] != makers * [SIZE]:
            raise RuntimeError(f"a taker of {makers} orders had the trades {trades}")
        for trade in trades:
            self._remove(trade.maker)

    def _remove(self, order: int) -> None:
        last, position = self._live.pop(), self._position.pop(order)
        if last != order:
            self._live[position] = last
            self._position[last] = position
        self._vacant.append(self._owner.pop(order)[1])


def prepare(shape: Shape, operations: int, seed: int, expiring: bool = False) -> Prepared:
    """So many operations after the books are full; if `expiring`, each order would expire one day. About 3 us each."""
    generator = _Generator(shape, seed, expiring)
    generator.fill()
    exchange, prefill, before = generator.exchange, bytes(generator.commands), generator.exchange.seq
    generator.commands.clear()
    for _ in range(operations):
        generator.operation()
    rests, cancels, takes = generator.mix
    work = Workload(prefill, bytes(generator.commands), exchange.seq - before, exchange.state_hash())
    return Prepared(work, (rests, cancels, takes), exchange.order_count, sum(len(book.levels) for book in exchange.books))
