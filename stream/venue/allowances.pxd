"""What one connection and one account may do."""

from stream.wire.bucket cimport Bucket


cdef class ConnectionAllowance:
    cdef readonly Bucket messages
    cdef Bucket controls
    cdef Bucket volume


cdef class AccountAllowance:
    cdef public int connections
    cdef readonly Bucket orders
    cdef readonly Bucket cancels
