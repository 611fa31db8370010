"""The orders of one book in their queues, by public ids, with a digest that proves every queue."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from engine.ahead cimport Aheads, Sum
from engine.ladder cimport Levels


cdef struct QueuedOrder:
    uint64_t order              # its public id; 0: the slot is free
    int64_t size                # lots that show
    uint64_t term               # its share of the digest
    uint32_t level
    uint32_t ahead              # neighbours in its queue
    uint32_t behind
    uint32_t rank               # in the `Ahead` of its queue, if there is one


cdef struct Queues:
    Levels levels               # with the sum of the orders' sizes; its digest is that of these levels
    QueuedOrder* order          # slab; slot 0 is unused
    uint32_t top
    uint32_t capacity
    uint32_t free
    uint32_t count
    uint64_t digest
    Aheads aheads


cdef uint32_t put_behind(Queues* queues, uint64_t order, int side, int64_t price, int64_t size, uint32_t ahead) noexcept nogil
cdef uint32_t put_last(Queues* queues, uint64_t order, int side, int64_t price, int64_t size) noexcept nogil
cdef void resize_order(Queues* queues, uint32_t slot, int64_t size) noexcept nogil
cdef void take_out(Queues* queues, uint32_t slot) noexcept nogil
cdef void empty(Queues* queues) noexcept nogil
cdef Sum ahead_of(Queues* queues, uint32_t slot) noexcept nogil


cdef inline int64_t price_at(Queues* queues, uint32_t slot) noexcept nogil:
    return queues.levels.level[queues.order[slot].level].price


cdef inline int side_at(Queues* queues, uint32_t slot) noexcept nogil:
    return queues.levels.level[queues.order[slot].level].side


cdef class OrderQueues:
    cdef Queues queues


cdef struct Change:             # what takes one back
    uint64_t order
    uint64_t ahead
    int64_t price
    int64_t size
    int side
    int kind


cdef class IndexedQueues(OrderQueues):
    cdef dict slots             # public id -> slot
    cdef Change* change
    cdef uint32_t changes
    cdef uint32_t changes_capacity
    cdef bint trying

    cdef uint32_t slot(self, order) except 0
    cdef void note(self, int kind, uint32_t slot) noexcept
    cdef int remove(self, uint32_t slot) except -1
