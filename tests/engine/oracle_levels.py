"""The slow, obvious twin of `engine.levels.PriceLevels`: a dict of sizes and a list of what changed."""

from engine.instrument import MONEY_MAX, PRICE_MAX

WORD = (1 << 64) - 1


def mix(side: int, price: int, size: int) -> int:
    """One level's share of the digest, as the protocol writes it down."""
    z = ((price * 2 + side) * 0x9E3779B97F4A7C15 + size * 0xC2B2AE3D27D4EB4F) & WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return z ^ (z >> 31)


class NaiveLevels:
    """The same face as PriceLevels. `changed` has each level and tombstone once, the one that changed last at the end."""

    def __init__(self, tombstones: int = 4096) -> None:
        self.tombstones_max = tombstones
        self.sizes: dict[tuple[int, int], int] = {}
        self.changed: list[tuple[int, int, int]] = []   # seq, side, price
        self.seq = 0
        self.floor = 0
        self.changes = 0

    @property
    def digest(self) -> int:
        return sum(mix(side, price, size) for (side, price), size in self.sizes.items()) & WORD

    @property
    def best_bid(self) -> tuple[int, int] | None:
        bids = self.depth(1)[0]
        return (bids[0], bids[1]) if bids else None

    @property
    def best_ask(self) -> tuple[int, int] | None:
        asks = self.depth(1)[1]
        return (asks[0], asks[1]) if asks else None

    @property
    def crossed(self) -> bool:
        return self.best_bid is not None and self.best_ask is not None and self.best_bid[0] >= self.best_ask[0]

    def __len__(self) -> int:
        return len(self.sizes)

    def size_at(self, side: int, price: int) -> int:
        return self.sizes.get((side, price), 0)

    def tombstones(self) -> list[tuple[int, int, int]]:
        """The emptied levels, the one that emptied first at the start."""
        return [entry for entry in self.changed if entry[1:] not in self.sizes]

    def set(self, side: int, price: int, size: int, seq: int) -> bool:
        return self._set_all([(side, price, size)], seq) == 1

    def apply(self, bids: list[int], asks: list[int], seq: int, always: bool = False) -> int:
        if len(bids) % 2 or len(asks) % 2:
            raise ValueError("expected pairs of price and size")
        return self._set_all([(side, *pair) for side, levels in enumerate((bids, asks)) for pair in zip(levels[::2], levels[1::2], strict=True)], seq, always)

    def follow(self, bids: list[int], asks: list[int], seq: int) -> int:
        return self.apply(bids, asks, seq, always=True)

    def _set_all(self, levels: list[tuple[int, int, int]], seq: int, always: bool = False) -> int:
        if seq < max(self.seq, 1):
            raise ValueError("sequences do not go back")
        for side, price, size in levels:
            if not (side in (0, 1) and 0 <= price < PRICE_MAX and 0 <= size <= MONEY_MAX):
                raise ValueError("out of range")
        changed = 0
        for side, price, size in levels:
            changed += self._set(side, price, size, seq, always)
        self.changes += changed > 0
        return changed

    def _set(self, side: int, price: int, size: int, seq: int, always: bool) -> bool:
        changed = size != self.size_at(side, price)
        if not changed and not always:
            return False
        self.sizes[side, price] = size
        if not size:
            del self.sizes[side, price]
        self.changed = [entry for entry in self.changed if entry[1:] != (side, price)]
        self.changed.append((seq, side, price))
        self.seq = seq
        if len(self.tombstones()) > self.tombstones_max:
            forgotten = self.tombstones()[0]
            self.changed.remove(forgotten)
            self.floor = forgotten[0]
        return changed

    def reset(self, seq: int) -> None:
        self.sizes = {}
        self.changed = []
        self.seq = self.floor = seq

    def depth(self, n: int = 0) -> tuple[list[int], list[int]]:
        bids = sorted((price for side, price in self.sizes if side == 0), reverse=True)
        asks = sorted(price for side, price in self.sizes if side == 1)
        flat_bids = [number for price in bids[: n or None] for number in (price, self.sizes[0, price])]
        flat_asks = [number for price in asks[: n or None] for number in (price, self.sizes[1, price])]
        return flat_bids, flat_asks

    def changes_since(self, seq: int) -> tuple[list[int], list[int]] | None:
        if seq < self.floor:
            return None
        sides: tuple[list[int], list[int]] = ([], [])
        for changed_at, side, price in self.changed:
            if changed_at > seq:
                sides[side].extend((price, self.size_at(side, price)))
        return sides
