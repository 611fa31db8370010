"""What is ahead of each order of one queue: a Fenwick tree over its orders, in the order in which they arrived.

It is made out of a queue when somebody first asks, and has room for about as many arrivals again; when that is used up it is forgotten, and the next question
makes another one. So a question costs O(log n) on average, a change of a queue that was asked about O(log n), and who does not ask pays nothing.

P. M. Fenwick, A new data structure for cumulative frequency tables, 1994.
"""

from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free

from engine.memory cimport resized
from engine.thresholds cimport QUEUED_ORDERS, threshold_size


cdef struct Sum:
    int64_t size                # lots
    uint32_t orders


cdef struct Ahead:
    Sum* sum                    # sum[i]: of the ranks above i - (i & -i), up to i; NULL: nobody has asked
    uint32_t last               # rank of the latest arrival; the first one has 1
    uint32_t room


cdef struct Aheads:
    Ahead* of                   # by level
    uint32_t count              # how many levels have a place in it; 0: nobody has ever asked


cdef inline Ahead* asked_about(Aheads* aheads, uint32_t level) noexcept nogil:
    """What is ahead of the orders of a level; NULL if nobody has asked."""
    return &aheads.of[level] if level < aheads.count and aheads.of[level].sum != NULL else NULL


cdef inline Ahead* begin_ahead(Aheads* aheads, uint32_t level, uint32_t levels, uint32_t orders) noexcept nogil:
    """Begin with an empty queue that has room for twice these orders, of one of so many levels."""
    cdef Ahead* ahead
    if level >= aheads.count:
        aheads.of = <Ahead*>resized(aheads.of, aheads.count * sizeof(Ahead), levels * sizeof(Ahead))
        aheads.count = levels
    ahead = &aheads.of[level]
    ahead.last, ahead.room = 0, 2 * orders + threshold_size(QUEUED_ORDERS)
    ahead.sum = <Sum*>resized(NULL, 0, (ahead.room + 1) * sizeof(Sum))
    return ahead


cdef inline void forget_ahead(Ahead* ahead) noexcept nogil:
    free(ahead.sum)
    ahead.sum = NULL


cdef inline void forget_all(Aheads* aheads) noexcept nogil:
    cdef uint32_t level
    for level in range(aheads.count):
        free(aheads.of[level].sum)
    free(aheads.of)


cdef inline void change_ahead(Ahead* ahead, uint32_t rank, int orders, int64_t size) noexcept nogil:
    """Add orders and lots at a rank."""
    while rank <= ahead.room:
        ahead.sum[rank].orders += orders
        ahead.sum[rank].size += size
        rank += rank & -rank


cdef inline uint32_t arrive(Ahead* ahead, int64_t size) noexcept nogil:
    """An order comes behind all others; its rank."""
    ahead.last += 1
    change_ahead(ahead, ahead.last, 1, size)
    return ahead.last


cdef inline Sum sum_below(Ahead* ahead, uint32_t rank) noexcept nogil:
    """All orders and lots before a rank."""
    cdef Sum total
    total.size = total.orders = 0
    rank -= 1
    while rank:
        total.orders += ahead.sum[rank].orders
        total.size += ahead.sum[rank].size
        rank &= rank - 1
    return total
