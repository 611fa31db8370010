"""A connection whose client may trade."""

from libc.stdint cimport int64_t, uint32_t

from stream.feed.delivery cimport Outbox
from stream.venue.allowances cimport AccountAllowance


cdef class Trader(Outbox):
    cdef public bint trades
    cdef public int64_t account
    cdef public AccountAllowance quota
    cdef public object guard
    cdef public uint32_t under_way
