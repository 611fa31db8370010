"""`book`: the levels of a book."""

from typing import NamedTuple

from stream.dialects.kraken.books import Edges, Window, edges_of
from stream.dialects.kraken.checksum import LEVELS, checksum_of_levels
from stream.dialects.kraken.symbols import number
from stream.dialects.topic import Event

DEPTHS = (10, 25, 100, 500, 1000)
BASES_MIN = 16


class Base(NamedTuple):
    """What a listener has at a position: a sequence of the book, and its edges."""

    seq: int
    edges: Edges


class Book(Window):
    """The best levels of a book, as they were last emitted. `_bases` are those of the positions to which listeners were brought."""

    channel = "book"

    def begin(self, now: int) -> None:
        self._book = self.data.follow(self.symbol)
        self._bases = {self.position: self._here()}

    def end(self) -> None:
        self.data.unfollow(self.symbol)

    def _here(self) -> Base:
        return Base(self._book.seq, edges_of(self._book.levels.depth(self.depth), self.depth))

    @property
    def settled(self) -> bool:
        return self._book.seq == self._bases[self.position].seq

    def news(self, now: int) -> list[Event]:
        self._book.advance()
        if self.settled:
            return []
        told = self.missed(self.position, now)
        if told == []:    # nothing up to the edges: they are where they were
            self._bases[self.position] = self._bases[self.position]._replace(seq=self._book.seq)
            return []
        self.position += 1
        self._bases[self.position] = self._here()
        if told is None:    # more at once than is remembered
            for listener in list(self.listeners):
                listener.lose()
        if len(self._bases) > 2 * len(self.listeners) + BASES_MIN:
            used = {self.position, *self.listeners.values()}
            self._bases = {position: base for position, base in self._bases.items() if position in used}
        return told or []

    def missed(self, position: int, now: int) -> list[Event] | None:
        base = self._bases[position]
        changes = self._book.since(base.seq)
        if changes is None:
            return None
        window = self._book.levels.depth(self.depth)
        bids, asks = (self._told(side, changes[side], window[side], base.edges) for side in (0, 1))
        return [self.event("update", bids, asks, self._checksum(), now)] if bids or asks else []

    def _told(self, side: int, changes: list[int], window: list[int], edges: Edges) -> list[dict[str, object]]:
        """What is told of one side. Removals first: then also a client that drops what falls out of its depth at each level, not after all, is right."""
        changed = dict(zip(changes[::2], changes[1::2], strict=True))
        told = [price_size for price_size in changed.items() if not price_size[1] and edges.covers(side, price_size[0])]
        for price, size in zip(window[::2], window[1::2], strict=True):
            if price in changed or not edges.covers(side, price):
                told.append((price, size))
        return self._levels(told)

    def _levels(self, told: list[tuple[int, int]]) -> list[dict[str, object]]:
        price, size = self.symbol.price.text, self.symbol.size.text
        return [{"price": number(price(each[0])), "qty": number(size(each[1]))} for each in told]

    def _checksum(self) -> int:
        return checksum_of_levels(self.symbol, *self._book.levels.depth(LEVELS))

    def snapshot(self, now: int) -> Event:
        window = self._book.levels.depth(self.depth)
        bids, asks = (self._levels(list(zip(levels[::2], levels[1::2], strict=True))) for levels in window)
        return self.event("snapshot", bids, asks, self._checksum(), now)
