"""Orders that wait for a price: first by trigger in a tree of hidden levels, then in the queue of orders about to enter."""

from libc.stdint cimport int64_t, uint32_t

from engine.core cimport Core


cdef bint reached(Core* core, uint32_t slot, int64_t stop) noexcept nogil
cdef void wait(Core* core, uint32_t book, uint32_t slot) noexcept nogil
cdef void wait_elsewhere(Core* core, uint32_t book, uint32_t slot, int64_t stop) noexcept nogil
cdef void leave_stops(Core* core, uint32_t slot) noexcept nogil
cdef void observe(Core* core, uint32_t book, int64_t price) noexcept nogil
