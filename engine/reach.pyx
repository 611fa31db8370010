"""What an incoming order would meet: hidden lots too, and own orders as its self-trade prevention has it."""

from engine.accounts cimport balance_of, same_owner
from engine.core cimport FEE_PARTS, Book, fee
from engine.ladder cimport Levels, next_worse
from engine.model cimport ALLOW, BUY, CANCEL_OLDEST, DECREMENT
from engine.orders cimport left_of

cdef extern from *:
    ctypedef unsigned long long uint128_t "unsigned __int128"


cdef struct Reach:
    Levels* levels
    int side                    # of the incoming order
    int mode                    # its self-trade prevention
    uint32_t account
    int64_t limit
    uint32_t level              # where the walk is
    uint32_t slot
    bint ends_here              # whether an own order at this level ends it


cdef inline bint is_own(Core* core, Reach* reach, uint32_t maker) noexcept nogil:
    return reach.mode != ALLOW and same_owner(&core.accounts, core.orders.order[maker].account, reach.account)


cdef void go_to_level(Core* core, Reach* reach, uint32_t level) noexcept nogil:
    cdef uint32_t maker
    reach.level = level
    reach.slot = maker = reach.levels.level[level].queue.head if level else 0
    reach.ends_here = False
    if reach.mode == ALLOW or reach.mode == CANCEL_OLDEST:
        return
    while maker and not reach.ends_here:
        reach.ends_here = is_own(core, reach, maker)
        maker = core.orders.order[maker].newer


cdef Reach reach_of(Core* core, uint32_t book, int side, int64_t limit, uint32_t account, int mode) noexcept nogil:
    cdef Reach reach
    reach.levels = core.book[book].levels
    reach.side = side
    reach.mode = mode
    reach.account = account
    reach.limit = limit
    go_to_level(core, &reach, reach.levels.ladders[1 - side].best)
    return reach


cdef int64_t next_maker(Core* core, Reach* reach, int64_t* price) noexcept nogil:
    """Lots of the next order that the incoming one would trade with, and their price; 0 when there is none.

    An iceberg counts whole, since what it shows next comes before the next level; but not if an own order in between ends the walk.
    """
    cdef uint32_t maker
    while reach.level:
        price[0] = reach.levels.level[reach.level].price
        if price[0] > reach.limit if reach.side == BUY else price[0] < reach.limit:
            break
        while reach.slot:
            maker = reach.slot
            if is_own(core, reach, maker):
                if reach.mode != CANCEL_OLDEST:
                    return 0
                reach.slot = core.orders.order[maker].newer
                continue
            reach.slot = core.orders.order[maker].newer
            return core.orders.order[maker].remaining if reach.ends_here else left_of(&core.orders, maker)
        go_to_level(core, reach, next_worse(reach.levels, 1 - reach.side, price[0]))
    return 0


cdef int64_t liquidity(Core* core, uint32_t book, int side, int64_t limit, int64_t wanted, uint32_t account, int mode) noexcept nogil:
    """Lots that an order can get within its limit, counted up to `wanted`. O(orders counted)."""
    cdef Reach reach = reach_of(core, book, side, limit, account, mode)
    cdef int64_t price, size, found = 0
    while found < wanted:
        size = next_maker(core, &reach, &price)
        if not size:
            return found
        found += min(size, wanted - found)
    return found


cdef bint affordable(Core* core, uint32_t book, int64_t limit, int64_t size, uint32_t account, int mode) noexcept nogil:
    """Whether the account can pay for all that a market buy would get within its limit, with fees. O(orders it would meet).

    Own orders that would be decremented might take less off it than they could, so they count for nothing.
    """
    cdef Book* terms = &core.book[book]
    cdef Reach reach = reach_of(core, book, BUY, limit, account, CANCEL_OLDEST if mode == DECREMENT else mode)
    cdef int64_t available = balance_of(&core.accounts, account, terms.quote).available
    cdef int64_t price, part, notional
    while size:
        part = next_maker(core, &reach, &price)
        if not part:
            return True
        part = min(part, size)
        notional = price * part * terms.tick_value
        notional += fee(notional, terms.rates[core.accounts.account[account].tier].taker)
        if notional > available:
            return False
        available -= notional
        size -= part
    return True


cdef int64_t lots_for(Core* core, uint32_t book, int side, int64_t limit, int64_t money, uint32_t account, int mode) noexcept nogil:
    """The most lots that a buy gets for this money, fees included, or that a sell brings in at most this much with, before fees.

    Counts up to the first order that does not fit whole. O(orders it would meet).
    """
    cdef Book* terms = &core.book[book]
    cdef int64_t rate = terms.rates[core.accounts.account[account].tier].taker if side == BUY else 0
    cdef Reach reach = reach_of(core, book, side, limit, account, mode)
    cdef int64_t price, size, fits, notional, lots = 0
    while True:
        size = next_maker(core, &reach, &price)
        if not size:
            return lots
        # The largest notional n with n + floor(n * rate / FEE_PARTS) <= money.
        notional = <int64_t>(((<uint128_t>money + 1) * FEE_PARTS - 1) // (FEE_PARTS + rate))
        fits = notional // (price * terms.tick_value)
        lots += min(size, fits)
        if fits < size:
            return lots
        notional = price * size * terms.tick_value
        money -= notional + fee(notional, rate)
