"""The phases of an instrument, and the single price at which the orders collected for an auction trade."""

from libc.stdint cimport int64_t, uint32_t

from engine.core cimport Core


cdef int64_t uncrossing_price(Core* core, uint32_t book, int64_t* volume) noexcept nogil
cdef void collect(Core* core, uint32_t book) noexcept nogil
cdef void set_phase(Core* core, uint32_t book, int phase) noexcept nogil
cdef void free_collected(Core* core, uint32_t book) noexcept nogil
