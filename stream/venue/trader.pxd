"""A connection whose client may trade."""

from libc.stdint cimport int64_t

from stream.feed.delivery cimport Outbox
from stream.venue.allowances cimport AccountAllowance


cdef class Trader(Outbox):
    cdef public bint trades
    cdef public int64_t account
    cdef public AccountAllowance quota
    cdef public object guard
    cdef readonly int64_t under_way
    cdef readonly int64_t under_way_max
    cdef readonly int64_t unanswered_max

    cpdef void began(self) noexcept
    cpdef void ended(self) noexcept
    cpdef bint has_room(self) noexcept
