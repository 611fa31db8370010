"""The price levels of one book, and what has changed since any sequence."""

cimport cython
from libc.stdlib cimport free
from libc.string cimport memset

from engine.ladder cimport came_alive, find, find_or_add, forget, next_worse, ran_empty
from engine.model cimport BUY, SELL

from engine.errors import Inconsistent
from engine.instrument import MONEY_MAX, PRICE_MAX


cdef void evict(Levels* book) noexcept nogil:
    """Forget the oldest tombstone. For earlier sequences than its own, only a snapshot is possible from now on."""
    cdef uint32_t index = book.emptied.oldest
    cdef Level* level = &book.level[index]
    unchain(book, &book.emptied, level)
    book.tombstones -= 1
    book.floor = level.seq
    if level.size or level.touched:     # published later in the same command
        level.seq = 0
    else:
        forget(book, index)


cdef bint set_level(Levels* book, int side, int64_t price, int64_t size, uint64_t seq, bint always) noexcept nogil:
    """Set a level. If its size is a new one, or `always`, it counts as changed at `seq`. Returns whether its size is a new one."""
    cdef uint32_t index = find(book, side, price)
    cdef int64_t old = book.level[index].size if index else 0
    if size == old and not always:
        return False
    if not index:
        index = find_or_add(book, side, price)
    book.level[index].size = size
    if size and not old:
        came_alive(book, index)
    elif old and not size:
        ran_empty(book, index)
    tell(book, index, seq)
    return size != old


def mix64(int side, int64_t price, int64_t size) -> int:
    """The share of one level in the digest of a book. The digest is the sum of all shares, mod 2**64."""
    return mix(side, price, size)


def digest_of(bids: list[int], asks: list[int]) -> int:
    """The digest of a book with these levels. O(levels)."""
    cdef uint64_t digest = 0
    cdef Py_ssize_t i
    for i in range(0, len(bids), 2):
        digest += mix(BUY, bids[i], bids[i + 1])
    for i in range(0, len(asks), 2):
        digest += mix(SELL, asks[i], asks[i + 1])
    return digest


cdef int checked(int side, price, size) except -1:
    if not isinstance(price, int) or not isinstance(size, int):
        raise TypeError(f"price {price!r}, size {size!r}: expected integers")
    if side != BUY and side != SELL:
        raise ValueError(f"side {side}: expected 0 (bids) or 1 (asks)")
    if not 0 <= price < PRICE_MAX:
        raise ValueError(f"price {price}: expected 0 to {PRICE_MAX - 1} ticks")
    if not 0 <= size <= MONEY_MAX:
        raise ValueError(f"size {size}: expected 0 to {MONEY_MAX} lots")
    return 0


cdef int checked_levels(list bids, list asks) except -1:
    cdef Py_ssize_t i
    cdef int side
    for side, levels in enumerate((bids, asks)):
        if len(levels) % 2:
            raise ValueError(f"{len(levels)} numbers: expected pairs of price and size")
        for i in range(0, len(levels), 2):
            checked(side, levels[i], levels[i + 1])
    return 0


cdef int checked_owner(PriceLevels levels) except -1:
    if levels.read_only:
        raise TypeError("these levels belong to an exchange: only its commands change them")
    return 0


cdef int checked_seq(Levels* book, seq) except -1:
    if seq < max(book.seq, 1):
        raise ValueError(f"sequence {seq}: expected at least {max(book.seq, 1)}")
    return 0


cdef int set_all(PriceLevels levels, list bids, list asks, seq, bint always) except -1:
    """Set many levels as of `seq`. Returns how many have a new size."""
    cdef Py_ssize_t i
    cdef int side
    cdef int changed = 0
    checked_owner(levels)
    checked_seq(&levels.book, seq)
    checked_levels(bids, asks)
    for side, named in enumerate((bids, asks)):
        for i in range(0, len(named), 2):
            changed += set_level(&levels.book, side, named[i], named[i + 1], seq, always)
    levels.book.changes += changed > 0
    return changed


cdef object best_of(Levels* book, int side):
    cdef uint32_t index = book.ladders[side].best
    return (book.level[index].price, book.level[index].size) if index else None


cdef list side_of(Levels* book, int side, Py_ssize_t n):
    cdef uint32_t index = book.ladders[side].best
    cdef list levels = []
    while index:
        levels.append(book.level[index].price)
        levels.append(book.level[index].size)
        n -= 1
        if n == 0:
            break
        index = next_worse(book, side, book.level[index].price)
    return levels


cdef int walk(Levels* book, uint32_t index, uint64_t since, list bids, list asks) except -1:
    cdef Level* level
    cdef list levels
    while index:
        level = &book.level[index]
        if level.seq <= since:
            break
        levels = asks if level.side else bids
        levels.append(level.price)
        levels.append(level.published)
        index = level.older
    return 0


cdef uint32_t count(Levels* book, uint32_t index, uint64_t since) noexcept:
    """The number of levels of a chain that changed after `since`."""
    cdef uint32_t changed = 0
    while index and book.level[index].seq > since:
        changed += 1
        index = book.level[index].older
    return changed


@cython.final
cdef class PriceLevels:
    """The price levels of one book. It can give the net change since any sequence that it still remembers.

    Side 0 holds the bids, side 1 the asks. Prices are in ticks below 2**48, and sizes in lots. Lists of levels are flat: price,
    size, price, size. An emptied level is remembered as a tombstone, until there are more than `tombstones` newer ones.
    """

    def __cinit__(self, *_: object, **__: object) -> None:
        memset(&self.book, 0, sizeof(Levels))

    def __init__(self, tombstones: int = 4096) -> None:
        self.book.tombstones_max = tombstones

    def __dealloc__(self) -> None:
        free(self.book.level)
        free(self.book.node)

    cdef Levels* read(self) except NULL:
        """The levels, for a call that changes nothing."""
        if self.turn is not None:
            self.turn.expect()
        return &self.book

    @property
    def seq(self) -> int:
        """The sequence of the last change."""
        return self.read().seq

    @property
    def floor(self) -> int:
        """The lowest sequence for which `changes_since` still has an answer."""
        return self.read().floor

    @property
    def digest(self) -> int:
        """The sum mod 2**64 of `mix64(side, price, size)` over all levels."""
        return self.read().digest

    @property
    def changes(self) -> int:
        """The number of commands, or of calls of `set` and `apply`, that changed the book."""
        return self.read().changes

    @property
    def best_bid(self) -> tuple[int, int] | None:
        """The price and the size of the highest bid, None if there is no bid."""
        return best_of(self.read(), BUY)

    @property
    def best_ask(self) -> tuple[int, int] | None:
        """The price and the size of the lowest ask, None if there is no ask."""
        return best_of(self.read(), SELL)

    @property
    def crossed(self) -> bool:
        """Whether the best bid is at or above the best ask."""
        cdef uint32_t bid = self.read().ladders[<int>BUY].best
        cdef uint32_t ask = self.read().ladders[<int>SELL].best
        return bool(bid and ask and self.read().level[bid].price >= self.read().level[ask].price)

    def __len__(self) -> int:
        return self.read().count

    def size_at(self, side: int, price: int) -> int:
        """The lots at a price, 0 for none."""
        checked(side, price, 0)
        cdef uint32_t index = find(self.read(), side, price)
        return self.read().level[index].size if index else 0

    def set(self, side: int, price: int, size: int, seq: int) -> bool:
        """Set the absolute size of a level as of `seq`; 0 removes it. Returns whether that changed anything. O(log of the spread of prices)."""
        checked_owner(self)
        checked(side, price, size)
        checked_seq(&self.book, seq)
        cdef bint changed = set_level(&self.book, side, price, size, seq, False)
        self.book.changes += changed
        return changed

    def apply(self, bids: list[int], asks: list[int], seq: int) -> int:
        """Set many levels as of `seq`. Returns how many changed. If a value is bad, it raises ValueError and applies nothing."""
        return set_all(self, bids, asks, seq, False)

    def follow(self, bids: list[int], asks: list[int], seq: int) -> int:
        """Apply what `changes_since` of another book returned. This book can then answer clients that followed the other book in between.

        Every level in the lists counts as changed at `seq`. A level that has its old size again may have had another one meanwhile.
        """
        return set_all(self, bids, asks, seq, True)

    def digest_after(self, bids: list[int], asks: list[int]) -> int:
        """What `digest` would be after `apply`. Applies nothing. Each level must be named only once. Raises ValueError if a value is bad."""
        cdef Py_ssize_t i
        cdef int side
        cdef int64_t price, size
        cdef uint32_t index
        cdef uint64_t digest = self.read().digest
        checked_levels(bids, asks)
        for side, levels in enumerate((bids, asks)):
            for i in range(0, len(levels), 2):
                price, size = levels[i], levels[i + 1]
                index = find(self.read(), side, price)
                if index and self.read().level[index].size:
                    digest -= mix(side, price, self.read().level[index].size)
                if size:
                    digest += mix(side, price, size)
        return digest

    def reset(self, seq: int) -> None:
        """Forget all levels, and all that happened before `seq`."""
        cdef uint64_t floor = seq
        cdef uint32_t tombstones_max = self.book.tombstones_max
        cdef uint64_t changes = self.book.changes
        checked_owner(self)
        free(self.book.level)
        free(self.book.node)
        memset(&self.book, 0, sizeof(Levels))
        self.book.tombstones_max = tombstones_max
        self.book.changes = changes
        self.book.seq = self.book.floor = floor

    def depth(self, n: int = 0) -> tuple[list[int], list[int]]:
        """The best `n` bids and asks, best first; 0: all of them. O(n)."""
        return side_of(self.read(), BUY, n), side_of(self.read(), SELL, n)

    def changes_since(self, seq: int) -> tuple[list[int], list[int]] | None:
        """The net change after `seq`: each level that has changed, once, with its present size, in no particular order.

        Returns None if `seq` is below `floor`. The cost is proportional to the number of levels returned; the depth of the
        book and the number of updates do not matter.
        """
        cdef list bids = []
        cdef list asks = []
        cdef uint64_t since = seq
        if since < self.read().floor:
            return None
        walk(self.read(), self.read().changed.newest, since, bids, asks)
        walk(self.read(), self.read().emptied.newest, since, bids, asks)
        return bids, asks

    def count_since(self, seq: int) -> int:
        """The number of levels that changed after `seq`, which must not be below `floor`. O(these levels)."""
        cdef uint64_t since = seq
        return count(self.read(), self.read().changed.newest, since) + count(self.read(), self.read().emptied.newest, since)

    def check(self) -> None:
        """Check that all parts agree. Raises Inconsistent if they do not. O(levels)."""
        cdef Levels* book = self.read()
        cdef uint32_t index, count = 0, tombstones = 0
        cdef uint64_t digest = 0, newer = 0xFFFFFFFFFFFFFFFF
        for index in self._chain(book.changed.newest):
            level = book.level[index]
            self._expect(0 < level.seq <= newer, "the chain of changes is in order", index)
            self._expect(level.size == level.published > 0, "a level on the chain of changes has a size", index)
            self._expect(find(book, level.side, level.price) == index, "the tree finds a live level", index)
            newer = level.seq
            digest += mix(level.side, level.price, level.size)
            count += 1
        self._expect(count == book.count, "as many levels as counted", count)
        self._expect(digest == book.digest, "the digest is the sum of the terms", digest)
        newer = 0xFFFFFFFFFFFFFFFF
        for index in self._chain(book.emptied.newest):
            level = book.level[index]
            self._expect(book.floor <= level.seq <= newer, "the chain of tombstones is in order", index)
            self._expect(level.size == level.published == 0, "a tombstone is empty", index)
            self._expect(find(book, level.side, level.price) == index, "the tree finds a tombstone", index)
            newer = level.seq
            tombstones += 1
        self._expect(tombstones == book.tombstones <= book.tombstones_max, "as many tombstones as counted", tombstones)
        bids, asks = self.depth()
        self._expect(len(bids) + len(asks) == 2 * count, "the searches find every live level", len(bids) + len(asks))
        self._expect(bids[::2] == sorted(set(bids[::2]), reverse=True), "bids fall", 0)
        self._expect(asks[::2] == sorted(set(asks[::2])), "asks rise", 0)

    def _chain(self, index: int) -> list[int]:
        chain = []
        while index:
            chain.append(index)
            index = self.read().level[index].older
        return chain

    def _expect(self, holds: bool, what: str, where: int) -> None:
        if not holds:
            raise Inconsistent(f"price levels: expected that {what} ({where})")
