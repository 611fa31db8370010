"""Token buckets."""

from libc.stdint cimport int64_t


cdef class Bucket:
    cdef double per_s
    cdef double burst
    cdef double left
    cdef int64_t at

    cdef void refill(self, int64_t now) noexcept
    cpdef bint take(self, int64_t now, double amount=*) noexcept
