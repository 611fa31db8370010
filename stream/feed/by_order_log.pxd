"""The latest changes of a book's orders, and the frames of `market_by_order:<instrument>`."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from engine.queues cimport OrderQueues
from stream.feed.logs cimport Ring

cdef enum ChangeKind:
    ADD
    REDUCE
    MOVE
    FILL
    DELETE
    CLEAR

cdef enum DeleteReason:
    BY_CANCEL
    BY_EXPIRY
    BY_FILL
    BY_REPLACE


cdef struct Entry:              # one change
    uint64_t seq                # of its batch
    int64_t time
    uint64_t order
    uint64_t trade
    int64_t price
    int64_t size
    uint8_t kind
    uint8_t side
    uint8_t reason


cdef class ByOrderLog:
    cdef readonly OrderQueues queues
    cdef Ring ring
    cdef readonly int64_t floor
    cdef readonly int64_t seq
    cdef bytes head

    cdef Entry* add(self, int64_t seq, int64_t time, int kind, uint64_t order) noexcept
    cdef bytes frame(self, at, unsigned char* end)
