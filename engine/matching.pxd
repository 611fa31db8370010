"""Price-time priority: what happens to orders in a book, and to the money behind them."""

from libc.stdint cimport int64_t, uint32_t

from engine.core cimport Book, Core
from engine.ladder cimport Levels


cdef inline bint would_match(Levels* levels, int side, int64_t price) noexcept nogil:
    """Whether an order of that side and limit would meet another."""
    cdef uint32_t best = levels.ladders[1 - side].best
    return best and (price - levels.level[best].price) * (1 - 2 * side) >= 0


cdef inline bint would_take(Book* book, int side, int64_t price) noexcept nogil:
    """Whether it would trade at once: nothing does while an auction collects."""
    return book.levels == book.published and would_match(book.levels, side, price)


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
