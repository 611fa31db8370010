"""A connection whose client may trade."""

from libc.stdint cimport int64_t, uint64_t

from stream.feed.delivery cimport Outbox
from stream.venue.allowances cimport AccountAllowance, ConnectionAllowance


cdef class Trader(Outbox):
    cdef public bint trades
    cdef public int64_t account
    cdef public AccountAllowance quota
    cdef readonly ConnectionAllowance allowance
    cdef public object guard
    cdef public int64_t heard_at
    cdef public bint pinged
    cdef public int64_t check_at
    cdef public uint64_t messages_received
    cdef readonly int64_t under_way
    cdef readonly int64_t under_way_max
    cdef readonly int64_t unanswered_max

    cpdef str charge(self, Py_ssize_t size, int64_t now, bint control=*)
    cpdef void began(self) noexcept
    cpdef void ended(self) noexcept
    cpdef bint has_room(self) noexcept
    cpdef bint lasts(self, int64_t now) except -1
