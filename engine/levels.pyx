"""One book's price levels, and what changed since any sequence."""

cimport cython
from libc.stdlib cimport free
from libc.string cimport memset

from engine.memory cimport doubled, resized
from engine.model cimport BUY, SELL

from engine.errors import Inconsistent
from engine.instrument import MONEY_MAX, PRICE_MAX

cdef extern from *:
    int lowest_bit "__builtin_ctzll"(unsigned long long) noexcept nogil
    int leading_zeros "__builtin_clzll"(unsigned long long) noexcept nogil

cdef enum:
    HEIGHT_MAX = 8              # 64 ** 8 prices


cdef uint64_t mix(int side, int64_t price, int64_t size) noexcept nogil:
    """A level's share of the digest: the finaliser of SplitMix64 (Steele, Lea, Flood 2014) over both numbers."""
    cdef uint64_t z = (<uint64_t>price * 2 + side) * <uint64_t>0x9E3779B97F4A7C15 + <uint64_t>size * <uint64_t>0xC2B2AE3D27D4EB4F
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline uint64_t bit_at(int64_t price, uint32_t height) noexcept nogil:
    return <uint64_t>1 << ((price >> (6 * height)) & 63)


cdef inline uint32_t* child_at(Levels* book, uint32_t node, int64_t price, uint32_t height) noexcept nogil:
    return &book.node[node].child[(price >> (6 * height)) & 63]


# The tree


cdef uint32_t new_node(Levels* book) noexcept nogil:
    cdef uint32_t node = book.node_free
    if node:
        book.node_free = book.node[node].child[0]
        memset(&book.node[node], 0, sizeof(Node))
        return node
    if book.node_top + 1 >= book.node_capacity:
        book.node = <Node*>resized(book.node, book.node_capacity * sizeof(Node), doubled(book.node_capacity, 8) * sizeof(Node))
        book.node_capacity = doubled(book.node_capacity, 8)
    book.node_top += 1
    return book.node_top


cdef void free_node(Levels* book, uint32_t node) noexcept nogil:
    book.node[node].child[0] = book.node_free
    book.node_free = node


cdef uint32_t new_level(Levels* book, int side, int64_t price) noexcept nogil:
    cdef uint32_t index = book.level_free
    if index:
        book.level_free = book.level[index].older
    else:
        if book.level_top + 1 >= book.level_capacity:
            book.level = <Level*>resized(book.level, book.level_capacity * sizeof(Level), doubled(book.level_capacity, 64) * sizeof(Level))
            book.level_capacity = doubled(book.level_capacity, 64)
        book.level_top += 1
        index = book.level_top
    memset(&book.level[index], 0, sizeof(Level))
    book.level[index].price = price
    book.level[index].side = side
    return index


cdef uint32_t find(Levels* book, int side, int64_t price) noexcept nogil:
    """The level at a price, live or a tombstone; 0 for none."""
    cdef Ladder* ladder = &book.ladders[side]
    cdef uint32_t height = ladder.height
    cdef uint32_t node = ladder.root
    if height == 0 or <uint64_t>price >> (6 * height) != ladder.prefix:
        return 0
    while height and node:
        height -= 1
        node = child_at(book, node, price, height)[0]
    return node


cdef uint32_t find_or_add(Levels* book, int side, int64_t price) noexcept nogil:
    """The level at a price; a new one is empty, not alive, and on no chain until `publish`."""
    cdef Ladder* ladder = &book.ladders[side]
    cdef uint32_t index = find(book, side, price)
    cdef uint32_t node, child, height
    if index:
        return index
    if ladder.height == 0:
        ladder.root = new_node(book)
        ladder.height = 1
        ladder.prefix = <uint64_t>price >> 6
    while <uint64_t>price >> (6 * ladder.height) != ladder.prefix:
        node = new_node(book)
        book.node[node].child[ladder.prefix & 63] = ladder.root
        book.node[node].children = 1
        if book.node[ladder.root].live:
            book.node[node].live = <uint64_t>1 << (ladder.prefix & 63)
        ladder.root = node
        ladder.height += 1
        ladder.prefix >>= 6
    node = ladder.root
    for height in range(ladder.height - 1, 0, -1):
        child = child_at(book, node, price, height)[0]
        if not child:
            child = new_node(book)
            child_at(book, node, price, height)[0] = child
            book.node[node].children += 1
        node = child
    index = new_level(book, side, price)
    child_at(book, node, price, 0)[0] = index
    book.node[node].children += 1
    return index


cdef uint32_t path_to(Levels* book, Ladder* ladder, int64_t price, uint32_t* path) noexcept nogil:
    """The nodes above an existing level: path[h] is the one at height h. Returns the tree's height."""
    cdef uint32_t node = ladder.root
    cdef uint32_t height = ladder.height
    while height:
        height -= 1
        path[height] = node
        node = child_at(book, node, price, height)[0]
    return ladder.height


cdef void forget(Levels* book, uint32_t index) noexcept nogil:
    """Remove an empty level that is on no chain, the nodes that only it needed, and a root with one child."""
    cdef uint32_t path[HEIGHT_MAX]
    cdef Level* level = &book.level[index]
    cdef Ladder* ladder = &book.ladders[level.side]
    cdef uint32_t height, top = path_to(book, ladder, level.price, path)
    cdef uint32_t root
    for height in range(top):
        child_at(book, path[height], level.price, height)[0] = 0
        book.node[path[height]].children -= 1
        if book.node[path[height]].children:
            break
        free_node(book, path[height])
        if height == top - 1:
            ladder.height = 0
    while ladder.height > 1 and book.node[ladder.root].children == 1:
        root = ladder.root
        height = 0
        while not book.node[root].child[height]:
            height += 1
        ladder.root = book.node[root].child[height]
        ladder.prefix = ladder.prefix << 6 | height
        ladder.height -= 1
        free_node(book, root)
    level.older = book.level_free
    book.level_free = index


cdef uint32_t best_below(Levels* book, int side, uint32_t node, uint32_t height) noexcept nogil:
    """The best live level below a node whose `live` is not 0."""
    cdef uint64_t live
    while True:
        live = book.node[node].live
        node = book.node[node].child[63 - leading_zeros(live) if side == BUY else lowest_bit(live)]
        if height == 0:
            return node
        height -= 1


cdef uint32_t next_worse(Levels* book, int side, int64_t price) noexcept nogil:
    """The best live level that is worse than the one at `price`, which must exist; 0 for none."""
    cdef uint32_t path[HEIGHT_MAX]
    cdef uint32_t height, child, top = path_to(book, &book.ladders[side], price, path)
    cdef uint64_t bit, live
    for height in range(top):
        bit = bit_at(price, height)
        live = book.node[path[height]].live & (bit - 1 if side == BUY else ~(bit | (bit - 1)))
        if live:
            child = book.node[path[height]].child[63 - leading_zeros(live) if side == BUY else lowest_bit(live)]
            return best_below(book, side, child, height - 1) if height else child
    return 0


cdef void came_alive(Levels* book, uint32_t index) noexcept nogil:
    """The level's size is no longer 0: make it visible to the searches."""
    cdef Level* level = &book.level[index]
    cdef Ladder* ladder = &book.ladders[level.side]
    cdef uint32_t node = ladder.root
    cdef uint32_t height = ladder.height
    while height:
        height -= 1
        book.node[node].live |= bit_at(level.price, height)
        node = child_at(book, node, level.price, height)[0]
    book.count += 1
    if not ladder.best or (level.price > book.level[ladder.best].price) == (level.side == BUY):
        ladder.best = index


cdef void ran_empty(Levels* book, uint32_t index) noexcept nogil:
    """The level's size is now 0: hide it from the searches."""
    cdef uint32_t path[HEIGHT_MAX]
    cdef Level* level = &book.level[index]
    cdef Ladder* ladder = &book.ladders[level.side]
    cdef uint32_t height, top = path_to(book, ladder, level.price, path)
    for height in range(top):
        book.node[path[height]].live &= ~bit_at(level.price, height)
        if book.node[path[height]].live:
            break
    book.count -= 1
    if ladder.best == index:
        ladder.best = best_below(book, level.side, ladder.root, top - 1) if book.node[ladder.root].live else 0


# The chains


cdef inline void unchain(Levels* book, Chain* chain, Level* level) noexcept nogil:
    if level.newer:
        book.level[level.newer].older = level.older
    else:
        chain.newest = level.older
    if level.older:
        book.level[level.older].newer = level.newer
    else:
        chain.oldest = level.newer


cdef inline void chain_newest(Levels* book, Chain* chain, uint32_t index) noexcept nogil:
    cdef Level* level = &book.level[index]
    level.newer = 0
    level.older = chain.newest
    if chain.newest:
        book.level[chain.newest].newer = index
    else:
        chain.oldest = index
    chain.newest = index


cdef void evict(Levels* book) noexcept nogil:
    """Forget the oldest tombstone: before its sequence only a snapshot answers."""
    cdef uint32_t index = book.emptied.oldest
    cdef Level* level = &book.level[index]
    unchain(book, &book.emptied, level)
    book.tombstones -= 1
    book.floor = level.seq
    if level.size or level.touched:     # published later in the same command
        level.seq = 0
    else:
        forget(book, index)


cdef bint publish(Levels* book, uint32_t index, uint64_t seq) noexcept nogil:
    """Make a level's size the one that is told from `seq` on; whether that is a change."""
    cdef Level* level = &book.level[index]
    if level.size == level.published:
        if level.size == 0 and level.seq == 0:
            forget(book, index)
        return False
    if level.seq:
        if level.published:
            unchain(book, &book.changed, level)
        else:
            unchain(book, &book.emptied, level)
            book.tombstones -= 1
    book.digest -= level.term
    level.term = mix(level.side, level.price, level.size) if level.size else 0
    book.digest += level.term
    level.published = level.size
    level.seq = seq
    book.seq = seq
    if level.size:
        chain_newest(book, &book.changed, index)
    else:
        chain_newest(book, &book.emptied, index)
        book.tombstones += 1
        if book.tombstones > book.tombstones_max:
            evict(book)
    return True


cdef bint set_level(Levels* book, int side, int64_t price, int64_t size, uint64_t seq) noexcept nogil:
    cdef uint32_t index = find(book, side, price)
    cdef int64_t old = book.level[index].size if index else 0
    if size == old:
        return False
    if not index:
        index = find_or_add(book, side, price)
    book.level[index].size = size
    if not old:
        came_alive(book, index)
    elif not size:
        ran_empty(book, index)
    return publish(book, index, seq)


def mix64(int side, int64_t price, int64_t size) -> int:
    """One level's share of a book's digest, which is the sum of all shares mod 2**64."""
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
    if side != BUY and side != SELL:
        raise ValueError(f"side {side}: expected 0 (bids) or 1 (asks)")
    if not 0 <= price < PRICE_MAX:
        raise ValueError(f"price {price}: expected 0 to {PRICE_MAX - 1} ticks")
    if not 0 <= size <= MONEY_MAX:
        raise ValueError(f"size {size}: expected 0 to {MONEY_MAX} lots")
    return 0


cdef int checked_seq(Levels* book, seq) except -1:
    if seq < max(book.seq, 1):
        raise ValueError(f"sequence {seq}: expected at least {max(book.seq, 1)}")
    return 0


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


@cython.final
cdef class PriceLevels:
    """The price levels of one book, with the net change since any sequence.

    Side 0 holds the bids, side 1 the asks; prices are in ticks below 2**48, sizes in lots. Lists of levels are flat: price,
    size, price, size. An emptied level is remembered as a tombstone until more than `tombstones` newer ones push it out.
    """

    def __cinit__(self, *_: object, **__: object) -> None:
        memset(&self.book, 0, sizeof(Levels))

    def __init__(self, tombstones: int = 4096) -> None:
        self.book.tombstones_max = tombstones

    def __dealloc__(self) -> None:
        free(self.book.level)
        free(self.book.node)

    @property
    def seq(self) -> int:
        """The sequence of the last change."""
        return self.book.seq

    @property
    def floor(self) -> int:
        """The lowest sequence that `changes_since` still answers."""
        return self.book.floor

    @property
    def digest(self) -> int:
        """The sum mod 2**64 of `mix64(side, price, size)` over all levels."""
        return self.book.digest

    @property
    def changes(self) -> int:
        """How many commands, or calls of `set` and `apply`, changed the book."""
        return self.book.changes

    @property
    def best_bid(self) -> tuple[int, int] | None:
        """Price and size of the highest bid."""
        return best_of(&self.book, BUY)

    @property
    def best_ask(self) -> tuple[int, int] | None:
        """Price and size of the lowest ask."""
        return best_of(&self.book, SELL)

    @property
    def crossed(self) -> bool:
        """Whether the best bid is at or above the best ask."""
        cdef uint32_t bid = self.book.ladders[<int>BUY].best
        cdef uint32_t ask = self.book.ladders[<int>SELL].best
        return bool(bid and ask and self.book.level[bid].price >= self.book.level[ask].price)

    def __len__(self) -> int:
        return self.book.count

    def size_at(self, side: int, price: int) -> int:
        """Lots at a price, 0 for none."""
        checked(side, price, 0)
        cdef uint32_t index = find(&self.book, side, price)
        return self.book.level[index].size if index else 0

    def set(self, side: int, price: int, size: int, seq: int) -> bool:
        """Give a level its absolute size, 0 to remove it, as of `seq`; whether that changed anything. O(log of the spread of prices)."""
        checked(side, price, size)
        checked_seq(&self.book, seq)
        cdef bint changed = set_level(&self.book, side, price, size, seq)
        self.book.changes += changed
        return changed

    def apply(self, bids: list[int], asks: list[int], seq: int) -> int:
        """Set many levels as of `seq`; how many changed. Bad values raise ValueError, and nothing is applied."""
        cdef Py_ssize_t i
        cdef int side
        cdef int changed = 0
        checked_seq(&self.book, seq)
        for side, levels in enumerate((bids, asks)):
            if len(levels) % 2:
                raise ValueError(f"{len(levels)} numbers: expected pairs of price and size")
            for i in range(0, len(levels), 2):
                checked(side, levels[i], levels[i + 1])
        for side, levels in enumerate((bids, asks)):
            for i in range(0, len(levels), 2):
                changed += set_level(&self.book, side, levels[i], levels[i + 1], seq)
        self.book.changes += changed > 0
        return changed

    def reset(self, seq: int) -> None:
        """Forget all levels and the past before `seq`."""
        cdef uint32_t tombstones_max = self.book.tombstones_max
        cdef uint64_t changes = self.book.changes
        free(self.book.level)
        free(self.book.node)
        memset(&self.book, 0, sizeof(Levels))
        self.book.tombstones_max = tombstones_max
        self.book.changes = changes
        self.book.seq = self.book.floor = seq

    def depth(self, n: int = 0) -> tuple[list[int], list[int]]:
        """The best `n` bids and asks, best first; all of them for 0. O(n)."""
        return side_of(&self.book, BUY, n), side_of(&self.book, SELL, n)

    def changes_since(self, seq: int) -> tuple[list[int], list[int]] | None:
        """The net change after `seq`: each level that changed once, with its size now, in no particular order.

        None when `seq` is below `floor`. Cost: the number of levels returned, whatever the depth of the book and the
        number of updates.
        """
        cdef list bids = []
        cdef list asks = []
        cdef uint64_t since = seq
        if since < self.book.floor:
            return None
        walk(&self.book, self.book.changed.newest, since, bids, asks)
        walk(&self.book, self.book.emptied.newest, since, bids, asks)
        return bids, asks

    def check(self) -> None:
        """Compare every part with every other; raises Inconsistent. O(levels)."""
        cdef Levels* book = &self.book
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
            index = self.book.level[index].older
        return chain

    def _expect(self, holds: bool, what: str, where: int) -> None:
        if not holds:
            raise Inconsistent(f"price levels: expected that {what} ({where})")
