"""The latest entries of a lossless channel as records in a ring, and the memory in which their frames are written."""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport int64_t, uint32_t, uint64_t

from stream.wire.packing cimport put_bytes


cdef struct Ring:               # of entries that begin with their sequence, the oldest first
    char* data
    size_t item                 # bytes of an entry
    uint32_t kept               # the most entries
    uint32_t capacity
    uint32_t first
    uint32_t count


cdef inline void* entry_of(Ring* ring, uint32_t i) noexcept nogil:
    cdef uint32_t place = ring.first + i
    if place >= ring.capacity:
        place -= ring.capacity
    return ring.data + place * ring.item


cdef inline unsigned char* put_packed(unsigned char* to, object text) noexcept:
    return put_bytes(to, PyBytes_AS_STRING(<bytes>text), len(<bytes>text))


cdef void* new_entry(Ring* ring, int64_t* floor) noexcept nogil
cdef uint32_t first_after(Ring* ring, int64_t prev) noexcept nogil
cdef unsigned char* begin(size_t size) noexcept nogil
cdef bytes framed(unsigned char* end)
cdef unsigned char* written() noexcept nogil
cdef bytes head_of(str tag, str channel, fields)
