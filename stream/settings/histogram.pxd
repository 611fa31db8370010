"""Counts of values by size."""

from libc.stdint cimport int64_t


cdef class Histogram:
    cdef readonly double total
    cdef list counts

    cpdef int observe(self, int64_t ns) except -1
