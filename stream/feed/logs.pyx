"""The latest entries of a lossless channel as records in a ring, and the memory in which their frames are written."""

from engine.memory cimport resized
from stream.wire.packing cimport HEADER_MAX, put_bytes, put_header

import msgspec

cdef extern from "Python.h":
    bytes PyBytes_FromStringAndSize(const char* data, Py_ssize_t size)

cdef enum:
    CAPACITY_MIN = 16


cdef struct Payload:            # of the frame that is being made; as large as the largest one so far
    unsigned char* data
    size_t capacity


cdef Payload payload


cdef void* new_entry(Ring* ring, int64_t* floor) noexcept nogil:
    """Room behind the latest entry. If there is none the oldest one goes, and `floor` is its sequence."""
    cdef uint32_t capacity
    if ring.count == ring.kept:
        floor[0] = (<uint64_t*>entry_of(ring, 0))[0]
        ring.first = 0 if ring.first + 1 == ring.capacity else ring.first + 1
        ring.count -= 1
    elif ring.count == ring.capacity:    # the first entry has not moved yet
        capacity = min(ring.kept, 2 * ring.capacity + CAPACITY_MIN)
        ring.data = <char*>resized(ring.data, ring.capacity * ring.item, capacity * ring.item)
        ring.capacity = capacity
    ring.count += 1
    return entry_of(ring, ring.count - 1)


cdef uint32_t first_after(Ring* ring, int64_t prev) noexcept nogil:
    """The place of the first entry after a sequence. O(entries behind it)."""
    cdef uint32_t i = ring.count
    while i and <int64_t>(<uint64_t*>entry_of(ring, i - 1))[0] > prev:
        i -= 1
    return i


cdef unsigned char* begin(size_t size) noexcept nogil:
    """The memory for a payload of at most so many bytes."""
    if payload.capacity < size:
        payload.data = <unsigned char*>resized(payload.data, payload.capacity, 2 * size)
        payload.capacity = 2 * size
    return payload.data


cdef unsigned char* written() noexcept nogil:
    """Where the payload begins."""
    return payload.data


cdef bytes framed(unsigned char* end):
    """The payload up to `end`, as a frame."""
    cdef unsigned char header[HEADER_MAX]
    cdef size_t size = end - payload.data
    cdef size_t header_size = put_header(header, size) - header
    cdef bytes frame = PyBytes_FromStringAndSize(NULL, header_size + size)
    put_bytes(put_bytes(<unsigned char*>PyBytes_AS_STRING(frame), header, header_size), payload.data, size)
    return frame


cdef bytes head_of(str tag, str channel, fields):
    """How the payloads of a channel begin."""
    return bytes((0x90 | len(fields) + 1,)) + msgspec.msgpack.encode(tag) + msgspec.msgpack.encode(channel)
