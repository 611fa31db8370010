"""Price-time priority: what happens to orders in a book, and to the money behind them."""

from libc.stdint cimport int64_t, uint32_t

from engine.core cimport Core
from engine.ladder cimport Levels
from engine.model cimport BUY


cdef inline bint would_match(Levels* levels, int side, int64_t price) noexcept nogil:
    """Whether an order of that side and limit would meet another."""
    cdef uint32_t best = levels.ladders[1 - side].best
    if not best:
        return False
    return levels.level[best].price <= price if side == BUY else levels.level[best].price >= price


cdef void fill(Core* core, uint32_t book, uint32_t maker_slot, uint32_t taker_slot, int64_t price, int64_t size, int64_t limit, bint holds) noexcept nogil
cdef bint match(Core* core, uint32_t book, uint32_t slot, int64_t price, int64_t limit, bint holds) noexcept nogil
cdef void rest(Core* core, uint32_t book, uint32_t slot, int64_t price) noexcept nogil
cdef void leave_level(Core* core, uint32_t book, uint32_t slot) noexcept nogil
cdef void used_up(Core* core, uint32_t book, uint32_t slot) noexcept nogil
cdef void decrement(Core* core, uint32_t book, uint32_t slot, int64_t size) noexcept nogil
cdef void finish(Core* core, uint32_t slot) noexcept nogil
cdef void end_taker(Core* core, uint32_t slot, int64_t price, bint holds, int reason) noexcept nogil
cdef void cancel(Core* core, uint32_t slot, int reason) noexcept nogil
cdef void cancel_partner(Core* core, uint32_t slot) noexcept nogil
