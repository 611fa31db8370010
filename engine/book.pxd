"""One instrument's order book, for Python."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from engine.core cimport Book, Core
from engine.levels cimport PriceLevels


cdef class OrderBook:
    cdef object exchange        # keeps the core alive
    cdef Core* core
    cdef readonly object instrument
    cdef readonly uint32_t index
    cdef readonly PriceLevels levels

    cdef Book* terms(self) except NULL


cdef struct OpenOrder:          # what an open order has that no event says
    int type                    # LIMIT, or the kind of stop that waits
    int64_t stop
    int64_t displayed
    int64_t expires
    uint64_t linked


cdef bint find_open(Core* core, uint64_t order, OpenOrder* found) noexcept nogil
cdef OrderBook new_book(object exchange, Core* core, object instrument, uint32_t index, PriceLevels levels)
cdef object order_record(Core* core, uint32_t slot)
