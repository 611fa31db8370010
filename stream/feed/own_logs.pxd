"""The latest events of one account, and the frames that tell of them."""

from libc.stdint cimport int64_t, uint32_t

from stream.feed.logs cimport Ring


cdef class OwnLog:
    cdef Ring ring
    cdef readonly int64_t floor
    cdef readonly int64_t seq
    cdef bytes head

    cdef unsigned char* put_from(self, unsigned char* to, uint32_t first)
    cdef size_t room(self, uint32_t first)
    cdef bytes frame_since(self, int64_t prev, int64_t epoch, int64_t seq, int64_t now)
