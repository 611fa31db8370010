"""What one connection and one account may do."""

from libc.stdint cimport int64_t

from stream.wire.bucket cimport Bucket


cdef class ConnectionAllowance:
    cdef readonly Bucket messages
    cdef Bucket controls
    cdef Bucket volume

    cpdef str take(self, int64_t size, int64_t now, bint control)


cdef class AccountAllowance:
    cdef public int connections
    cdef readonly Bucket orders
    cdef readonly Bucket cancels
