"""Orders that end at a time: a heap in which each order knows its place."""

from libc.stdint cimport uint32_t

from engine.core cimport Core


cdef bint expires_before(Core* core, uint32_t a, uint32_t b) noexcept nogil
cdef void add_expiry(Core* core, uint32_t slot) noexcept nogil
cdef void remove_expiry(Core* core, uint32_t slot) noexcept nogil
