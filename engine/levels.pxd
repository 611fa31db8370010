"""What changed since any sequence, and the digest.

Every level of a book hangs on one of two chains in the order of its last change, newest first: `changed` (size > 0) or
`emptied` (tombstones).
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from engine.ladder cimport Chain, Level, Levels


cdef uint64_t mix(int side, int64_t price, int64_t size) noexcept nogil
cdef bint publish(Levels* book, uint32_t index, uint64_t seq) noexcept nogil


cdef class PriceLevels:
    cdef Levels book
    cdef bint read_only         # owned by an exchange
