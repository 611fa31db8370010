"""Where the levels of a book are.

Each side is a 64-ary radix tree over prices, as high as the spread of its prices needs, whose leaves point into one slab of
levels. A bit a child says whether there is anything below it, so the best price and the next one are found in a few bit
scans. No price is forbidden, and a price far away costs a few nodes.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from engine.model cimport BUY
from engine.orders cimport Queue

cdef extern from *:
    int lowest_bit "__builtin_ctzll"(unsigned long long) noexcept nogil
    int leading_zeros "__builtin_clzll"(unsigned long long) noexcept nogil

cdef enum:
    HEIGHT_MAX = 8              # 64 ** 8 prices


cdef struct Level:              # 64 bytes
    int64_t price
    int64_t size                # lots, now
    int64_t published           # lots, as of seq
    uint64_t seq                # when `published` last changed; 0: on no chain yet
    uint64_t term               # this level's share of the digest
    uint32_t newer              # neighbours on the chain
    uint32_t older
    Queue queue                 # orders by priority (the matcher's)
    uint32_t count              # orders in the queue
    uint8_t side
    uint8_t touched             # by the command that is running
    uint8_t special             # whether an order with a Special may be in the queue
    uint8_t spare


cdef struct Node:
    uint64_t live               # children with size > 0 below them
    uint32_t children
    uint32_t child[64]          # nodes, or levels at the bottom; 0 for none


cdef struct Ladder:
    uint32_t root
    uint32_t height             # of the tree; 0: no level
    uint64_t prefix             # price >> 6 * height of all its prices
    uint32_t best               # level; 0 for none


cdef struct Chain:
    uint32_t newest
    uint32_t oldest


cdef struct Levels:
    Ladder ladders[2]
    Level* level                # slab; slot 0 is unused
    uint32_t level_top
    uint32_t level_capacity
    uint32_t level_free
    uint32_t node_top
    Node* node                  # slab; slot 0 is unused
    uint32_t node_capacity
    uint32_t node_free
    Chain changed
    Chain emptied
    uint32_t count              # levels with size > 0
    uint32_t tombstones
    uint32_t tombstones_max
    uint64_t seq
    uint64_t floor
    uint64_t digest
    uint64_t changes


cdef uint32_t add_level(Levels* book, int side, int64_t price) noexcept nogil
cdef uint32_t next_worse(Levels* book, int side, int64_t price) noexcept nogil
cdef void forget(Levels* book, uint32_t index) noexcept nogil


cdef inline uint64_t bit_at(int64_t price, uint32_t height) noexcept nogil:
    return <uint64_t>1 << ((price >> (6 * height)) & 63)


cdef inline uint32_t* child_at(Levels* book, uint32_t node, int64_t price, uint32_t height) noexcept nogil:
    return &book.node[node].child[(price >> (6 * height)) & 63]


cdef inline uint32_t find(Levels* book, int side, int64_t price) noexcept nogil:
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


cdef inline uint32_t find_or_add(Levels* book, int side, int64_t price) noexcept nogil:
    """The level at a price; a new one is empty, not alive, and on no chain until `publish`."""
    cdef uint32_t index = find(book, side, price)
    return index if index else add_level(book, side, price)


cdef inline uint32_t path_to(Levels* book, Ladder* ladder, int64_t price, uint32_t* path) noexcept nogil:
    """The nodes above an existing level: path[h] is the one at height h. Returns the tree's height."""
    cdef uint32_t node = ladder.root
    cdef uint32_t height = ladder.height
    while height:
        height -= 1
        path[height] = node
        node = child_at(book, node, price, height)[0]
    return ladder.height


cdef inline uint32_t best_below(Levels* book, int side, uint32_t node, uint32_t height) noexcept nogil:
    """The best live level below a node whose `live` is not 0."""
    cdef uint64_t live
    while True:
        live = book.node[node].live
        node = book.node[node].child[63 - leading_zeros(live) if side == BUY else lowest_bit(live)]
        if height == 0:
            return node
        height -= 1


cdef inline void came_alive(Levels* book, uint32_t index) noexcept nogil:
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


cdef inline void ran_empty(Levels* book, uint32_t index) noexcept nogil:
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
