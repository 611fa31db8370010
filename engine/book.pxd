"""One instrument's order book, for Python."""

from libc.stdint cimport uint32_t

from engine.core cimport Book, Core
from engine.levels cimport PriceLevels


cdef class OrderBook:
    cdef object exchange        # keeps the core alive
    cdef Core* core
    cdef readonly object instrument
    cdef readonly uint32_t index
    cdef readonly PriceLevels levels

    cdef Book* terms(self) except NULL


cdef OrderBook new_book(object exchange, Core* core, object instrument, uint32_t index, PriceLevels levels)
cdef object order_record(Core* core, uint32_t slot)
