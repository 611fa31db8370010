"""All of an exchange's state in one struct, and the arithmetic of money."""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from engine.accounts cimport Accounts
from engine.client_ids cimport ClientIds
from engine.events cimport EventBuffer
from engine.ladder cimport Levels
from engine.memory cimport doubled, resized
from engine.model cimport BUY
from engine.orders cimport Orders

cdef extern from *:
    """
    #define MONEY_LIMIT (INT64_C(1) << 62)    /* instrument.MONEY_MAX */
    """
    const int64_t MONEY_LIMIT
    bint multiplied "__builtin_mul_overflow"(int64_t, int64_t, int64_t*) noexcept nogil

cdef enum:
    FEE_PARTS = 1000000


cdef struct Book:
    Levels* levels              # owned by the book's PriceLevels
    int64_t lot_units           # base units in one lot
    int64_t tick_value          # quote units in one tick times one lot
    int64_t price_max
    int64_t size_min
    int64_t size_max
    int64_t maker_fee           # parts per million
    int64_t taker_fee
    int64_t hold_fee            # the higher of the two
    uint32_t base
    uint32_t quote


cdef struct Touched:
    uint32_t book
    uint32_t level


cdef struct Core:
    Book* book
    uint32_t books
    Orders orders
    Accounts accounts
    ClientIds client_ids
    EventBuffer* events         # owned by the exchange's Events
    Touched* touched            # levels that the running command touched, in order
    uint32_t touched_count
    uint32_t touched_capacity


cdef inline int64_t fee(int64_t notional, int64_t rate) noexcept nogil:
    """floor(notional * rate / 1,000,000), without overflow for a rate below one."""
    if rate == 0:
        return 0
    return notional // FEE_PARTS * rate + notional % FEE_PARTS * rate // FEE_PARTS


cdef inline int64_t cost(Book* book, int64_t price, int64_t size) noexcept nogil:
    """What a resting buy holds: its notional and the highest fee on it. Fees of its fills, each rounded down, never add up to more."""
    cdef int64_t notional = price * size * book.tick_value
    return notional + fee(notional, book.hold_fee)


cdef inline int64_t hold(Book* book, int side, int64_t price, int64_t size) noexcept nogil:
    """What a resting order holds, of the quote asset for a buy, of the base asset for a sell."""
    return cost(book, price, size) if side == BUY else size * book.lot_units


cdef inline uint32_t held_asset(Book* book, int side) noexcept nogil:
    return book.quote if side == BUY else book.base


cdef inline void touch_level(Core* core, uint32_t book, uint32_t level) noexcept nogil:
    """Note a level whose size the running command changes."""
    if core.book[book].levels.level[level].touched:
        return
    core.book[book].levels.level[level].touched = 1
    if core.touched_count == core.touched_capacity:
        core.touched = <Touched*>resized(core.touched, core.touched_capacity * sizeof(Touched), doubled(core.touched_capacity, 64) * sizeof(Touched))
        core.touched_capacity = doubled(core.touched_capacity, 64)
    core.touched[core.touched_count].book = book
    core.touched[core.touched_count].level = level
    core.touched_count += 1
