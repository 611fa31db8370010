"""What became of each command of an exchange's latest call."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from engine.exchange cimport Exchange

cdef enum Status:
    OPEN = 0
    WAITING = 1
    FILLED = 2
    CANCELLED = 3


cdef struct Outcome:
    uint64_t seq
    uint64_t order
    uint64_t client_id
    int64_t remaining
    int64_t filled
    int64_t value
    int64_t count               # orders that a cancel-all cancelled
    int reason                  # the engine's; 0: it was carried out
    int status


cdef int find_outcome(Exchange exchange, uint32_t index, Outcome* outcome) except -1
