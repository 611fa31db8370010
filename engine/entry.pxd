"""How accepted orders, and stops that were triggered, enter a book."""

from libc.stdint cimport int64_t, uint32_t

from engine.core cimport Book, Core


cdef bint in_band(Book* book, int side, int64_t price) noexcept nogil
cdef int64_t market_limit(Book* book, int side, int64_t protection) noexcept nogil
cdef void enter(Core* core, uint32_t book, uint32_t slot, int64_t price, bint stays) noexcept nogil
cdef void enter_at_market(Core* core, uint32_t book, uint32_t slot, int64_t protection) noexcept nogil
cdef void enter_stop(Core* core, uint32_t book, uint32_t slot) noexcept nogil
cdef void note_trades(Core* core, uint32_t book) noexcept nogil
cdef void after_trades(Core* core, uint32_t book) noexcept nogil
