"""All of an exchange's state in one struct, and the arithmetic of money."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from engine.accounts cimport Accounts
from engine.client_ids cimport ClientIds
from engine.events cimport EventBuffer
from engine.ladder cimport Levels
from engine.memory cimport doubled, resized
from engine.model cimport BUY, LIMIT, SELL, STOP_LIMIT, TAKE_PROFIT, TAKE_PROFIT_LIMIT
from engine.orders cimport SPECIAL, WAITS, Order, Orders, Queue, Special, instrument_of, left_of, side_of, unpaid_of
from engine.thresholds cimport FEE_AMOUNT, TOUCHED_LEVELS, reaches

cdef extern from *:
    """
    #define MONEY_LIMIT (INT64_C(1) << 62)    /* instrument.MONEY_MAX */
    #define PRICE_LIMIT (INT64_C(1) << 48)    /* instrument.PRICE_MAX */
    #define TIME_LIMIT (INT64_C(1) << 62)     /* the clock goes no further */
    #define DAY_NS (INT64_C(86400) * 1000000000)
    #define ANY_PRICE (INT64_C(1) << 62)
    #define LOOKS_MAX (UINT32_C(1) << 20)     /* how often the checks of one command may look at an order */
    """
    const int64_t MONEY_LIMIT
    const int64_t PRICE_LIMIT
    const int64_t TIME_LIMIT
    const int64_t DAY_NS
    const int64_t ANY_PRICE
    const uint32_t LOOKS_MAX
    bint multiplied "__builtin_mul_overflow"(int64_t, int64_t, int64_t*) noexcept nogil

cdef enum:
    RULES = 2                   # those that the reference describes; a state of version 1 goes on by its own
    FEE_PARTS = 1000000         # less than 2 ** 20
    TIERS = 8
    FALL = 0                    # what a stop waits for: the price that comes down to its trigger, or up to it
    RISE = 1


cdef struct Rates:              # parts per million
    int32_t maker
    int32_t taker


cdef struct Book:
    Levels* levels              # where its orders rest: `published`, or what an auction collects
    int64_t lot_units           # base units in one lot
    int64_t tick_value          # quote units in one tick times one lot
    int64_t price_max
    int64_t size_min
    int64_t size_max
    int64_t hold_fee            # parts per million: no account pays more
    uint32_t base
    uint32_t quote
    uint32_t held[2]            # the asset that an order of each side holds
    uint32_t open               # its orders, those that wait too
    uint32_t orders_max
    uint32_t waiting            # its stops
    uint32_t stops_max
    uint32_t fills_max          # orders that one command may meet
    uint32_t parts_max          # that an iceberg shows one after the other
    Rates rates[TIERS]          # by the account's tier
    Levels* published           # owned by the book's PriceLevels
    Levels* stops               # orders that wait, by trigger: for a rise among the asks, since the lowest comes first; NULL before the first
    uint32_t trailing[2]        # by side, the stops that trail, the nearest to the last price first
    int64_t last                # price of the last trade; 0: none yet
    int64_t reference           # as it was set; 0: the last trade's
    int64_t notional_max
    int64_t band                # parts per million; 0: none
    int64_t listed_band         # as the instrument's terms have it
    int64_t day_end             # ns after midnight UTC
    uint8_t phase
    uint8_t particular          # whether it has a band or limits of its own; `set_band_of` keeps it right
    uint8_t market_notional     # whether `notional_max` is for orders without a limit too


cdef struct Touched:
    uint32_t book
    uint32_t level


cdef struct Expiries:           # a binary heap: the next one to expire first
    uint32_t* slot              # place 0 is unused
    uint32_t count
    uint32_t capacity


cdef struct Core:
    Book* book
    uint32_t books
    Orders orders
    Accounts accounts
    ClientIds client_ids
    EventBuffer* events         # owned by the exchange's Events
    Touched* touched            # published levels that the running command touched, in order
    uint32_t touched_count
    uint32_t touched_capacity
    int64_t clock
    uint8_t rules
    Expiries expiries
    uint32_t met                # orders that those of the running command have met
    uint32_t looked             # orders that its checks have looked at, and stops that its trades have moved
    int64_t first_price         # of the first trade of the order that is matching; 0: none yet
    Queue triggered             # stops about to enter


cdef inline int64_t take_fee(int64_t notional, int64_t rate, uint32_t* unpaid) noexcept nogil:
    """The fee in whole units: notional * rate / 1,000,000 plus what was unpaid. What is left below a unit is then unpaid. The rate is below one."""
    cdef uint64_t amount = notional, parts = rate, units = 0
    if reaches(FEE_AMOUNT, amount):
        units = amount // FEE_PARTS * parts
        amount %= FEE_PARTS
    amount = amount * parts + unpaid[0]
    unpaid[0] = amount % FEE_PARTS
    return units + amount // FEE_PARTS


cdef inline int64_t fee(int64_t notional, int64_t rate, uint32_t unpaid=0) noexcept nogil:
    """The same, without an order that pays it."""
    return take_fee(notional, rate, &unpaid)


cdef inline int64_t cost(Book* book, int64_t price, int64_t size, uint32_t unpaid) noexcept nogil:
    """What a resting buy order holds: its notional, plus the highest fee on it with what is unpaid. The fees of its fills never add up to more."""
    cdef int64_t notional = price * size * book.tick_value
    return notional + fee(notional, book.hold_fee, unpaid)


cdef inline int64_t hold(Book* book, int side, int64_t price, int64_t size, uint32_t unpaid) noexcept nogil:
    """What a resting order holds, of the quote asset for a buy, of the base asset for a sell.

    Both are computed, since a branch that goes both ways equally often would cost more.
    """
    cdef int64_t held[2]
    held[<int>BUY] = cost(book, price, size, unpaid)
    held[<int>SELL] = size * book.lot_units
    return held[side]


cdef inline bint has_limit(int type) noexcept nogil:
    return type == LIMIT or type == STOP_LIMIT or type == TAKE_PROFIT_LIMIT


cdef inline int awaited(int type, int side) noexcept nogil:
    """What a stop waits for. It is also the side of the levels where it waits."""
    return RISE if (type == TAKE_PROFIT or type == TAKE_PROFIT_LIMIT) == (side == SELL) else FALL


cdef inline void set_band_of(Book* book, int64_t band) noexcept nogil:
    book.band = band
    book.particular = band or book.notional_max or book.orders_max


cdef inline int64_t reference_of(Book* book) noexcept nogil:
    """The price around which the band lies; 0 for none."""
    return book.reference if book.reference else book.last


cdef inline Levels* levels_of(Core* core, Order* order) noexcept nogil:
    """What an open order's `level` is one of: its book's levels, or those of its stops."""
    cdef Book* book = &core.book[instrument_of(order)]
    return book.stops if order.tag & WAITS else book.levels


cdef inline int64_t price_of(Core* core, uint32_t slot) noexcept nogil:
    """An open order's limit, or its protection."""
    cdef Order* order = &core.orders.order[slot]
    if order.tag & SPECIAL:
        return core.orders.special[slot].price
    return levels_of(core, order).level[order.level].price


cdef inline int64_t held_by(Core* core, uint32_t slot) noexcept nogil:
    """What an open order holds by itself: nothing if it buys without a limit."""
    cdef Order* order = &core.orders.order[slot]
    cdef int side = side_of(order)
    if side == BUY and order.tag & SPECIAL and not has_limit(core.orders.special[slot].type):
        return 0
    return hold(&core.book[instrument_of(order)], side, price_of(core, slot), left_of(&core.orders, slot), unpaid_of(&core.orders, slot))


cdef inline int64_t added_hold(Core* core, uint32_t partner, int64_t before, int64_t after) noexcept nogil:
    """What an account holds more when an order's own hold changes. A pair holds the larger of its two."""
    cdef int64_t other
    if partner:
        other = held_by(core, partner)
        before = max(before, other)
        after = max(after, other)
    return after - before


cdef inline uint32_t held_asset(Book* book, int side) noexcept nogil:
    return book.held[side]


cdef inline void touch_level(Core* core, uint32_t book, uint32_t level) noexcept nogil:
    """Note a level whose size the running command changes. Levels that an auction collects count as noted, and so are never published."""
    if core.book[book].levels.level[level].touched:
        return
    core.book[book].levels.level[level].touched = 1
    if core.touched_count == core.touched_capacity:
        core.touched = <Touched*>resized(core.touched, core.touched_capacity * sizeof(Touched), doubled(core.touched_capacity, TOUCHED_LEVELS) * sizeof(Touched))
        core.touched_capacity = doubled(core.touched_capacity, TOUCHED_LEVELS)
    core.touched[core.touched_count].book = book
    core.touched[core.touched_count].level = level
    core.touched_count += 1
