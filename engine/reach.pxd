"""Counts what an incoming order would meet, without changing anything."""

from libc.stdint cimport int64_t, uint32_t

from engine.core cimport Core


cdef int64_t liquidity(Core* core, uint32_t book, int side, int64_t limit, int64_t wanted, uint32_t account, int mode) noexcept nogil
cdef bint affordable(Core* core, uint32_t book, int64_t limit, int64_t size, uint32_t account, int mode) noexcept nogil
cdef bint costs_more(Core* core, uint32_t book, int side, int64_t limit, int64_t size, uint32_t account, int mode, int64_t rate, int64_t most) noexcept nogil
cdef bint meets_too_many(Core* core, uint32_t book, int side, int64_t limit, int64_t size, uint32_t account, int mode) noexcept nogil
cdef int64_t lots_for(Core* core, uint32_t book, int side, int64_t limit, int64_t money, uint32_t account, int mode) noexcept nogil
