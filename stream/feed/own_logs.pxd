"""The latest events of one account, and the frames that tell of them."""

from libc.stdint cimport int64_t, uint32_t


cdef struct Ring:               # of entries that begin with their sequence, the oldest first
    char* data
    size_t item                 # bytes of an entry
    uint32_t kept               # the most entries
    uint32_t capacity
    uint32_t first
    uint32_t count


cdef class OwnLog:
    cdef Ring ring
    cdef readonly int64_t floor
    cdef readonly int64_t seq
    cdef bytes head

    cdef unsigned char* put_from(self, unsigned char* to, uint32_t first)
    cdef size_t room(self, uint32_t first)
    cdef bytes frame_since(self, int64_t prev, int64_t epoch, int64_t seq, int64_t now)
