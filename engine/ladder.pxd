"""Where the levels of a book are.

Each side is a 64-ary radix tree over prices, as high as the spread of its prices needs, whose leaves point into one slab of
levels. A bit a child says whether there is anything below it, so the best price and the next one are found in a few bit
scans. No price is forbidden, and a price far away costs a few nodes.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef struct Level:              # 64 bytes
    int64_t price
    int64_t size                # lots, now
    int64_t published           # lots, as of seq
    uint64_t seq                # when `published` last changed; 0: on no chain yet
    uint64_t term               # this level's share of the digest
    uint32_t newer              # neighbours on the chain
    uint32_t older
    uint32_t head               # the queue of orders, oldest first (the matcher's)
    uint32_t tail
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


cdef uint32_t find(Levels* book, int side, int64_t price) noexcept nogil
cdef uint32_t find_or_add(Levels* book, int side, int64_t price) noexcept nogil
cdef uint32_t next_worse(Levels* book, int side, int64_t price) noexcept nogil
cdef void came_alive(Levels* book, uint32_t index) noexcept nogil
cdef void ran_empty(Levels* book, uint32_t index) noexcept nogil
cdef void forget(Levels* book, uint32_t index) noexcept nogil
