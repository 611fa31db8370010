"""A book as it was last told to clients, and how it has changed since any sequence at which it was told. This is all that a slow client is kept for it."""

from engine import PriceLevels

TOMBSTONES = 16384


def _difference(before: list[int], after: list[int]) -> list[int]:
    """What makes the levels of one side of what they were: removals, and all levels that are new or have another size. O(levels)."""
    old, new = dict(zip(before[::2], before[1::2], strict=True)), dict(zip(after[::2], after[1::2], strict=True))
    changes = []
    for price in old.keys() | new.keys():
        if old.get(price) != new.get(price):
            changes += [price, new.get(price, 0)]
    return changes


class EmittedBook:
    """Follows the levels of an engine's book whenever it is told to. `seq` is how far it is."""

    def __init__(self, source: PriceLevels) -> None:
        self.source = source
        self.levels = PriceLevels(TOMBSTONES)
        self.seq = max(source.seq, 1)
        self.levels.reset(self.seq)
        self.levels.apply(*source.depth(), self.seq)

    def advance(self) -> None:
        """Take in all that has happened. O(levels that have changed)."""
        seq = self.source.seq
        if seq > self.seq:
            changes = self.source.changes_since(self.seq)
            if changes is None:
                (bids, asks), (more_bids, more_asks) = self.levels.depth(), self.source.depth()
                changes = _difference(bids, more_bids), _difference(asks, more_asks)
            self.levels.follow(*changes, seq)
            self.seq = seq

    def since(self, seq: int) -> tuple[list[int], list[int]] | None:
        """The levels that have changed since, best first on each side; None if that is forgotten."""
        changes = self.levels.changes_since(seq)
        return changes and (_sorted(changes[0], True), _sorted(changes[1], False))


def _sorted(flat: list[int], falling: bool) -> list[int]:
    """Levels by price. Clients take any order; a person who reads along does not."""
    pairs = sorted(zip(flat[::2], flat[1::2], strict=True), reverse=falling)
    return [number for pair in pairs for number in pair]
