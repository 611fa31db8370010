"""What an incoming order would meet: hidden lots too, and own orders as its self-trade prevention has it."""

from engine.accounts cimport balance_of, same_owner
from engine.core cimport FEE_PARTS, LOOKS_MAX, Book, fee
from engine.ladder cimport Level, Levels, next_worse
from engine.model cimport ALLOW, BUY, CANCEL_OLDEST, DECREMENT
from engine.orders cimport SPECIAL

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
    bint hidden                 # it is among what the level's icebergs do not show, which comes behind all that shows


cdef inline bint is_own(Core* core, Reach* reach, uint32_t maker) noexcept nogil:
    return reach.mode != ALLOW and same_owner(&core.accounts, core.orders.order[maker].account, reach.account)


cdef inline void go_to_level(Reach* reach, uint32_t level) noexcept nogil:
    reach.level = level
    reach.slot = reach.levels.level[level].queue.head if level else 0
    reach.hidden = False


cdef Reach reach_of(Core* core, uint32_t book, int side, int64_t limit, uint32_t account, int mode) noexcept nogil:
    cdef Reach reach
    reach.levels = core.book[book].levels
    reach.side = side
    reach.mode = mode
    reach.account = account
    reach.limit = limit
    go_to_level(&reach, reach.levels.ladders[1 - side].best)
    return reach


cdef uint32_t next_order(Core* core, Reach* reach, int64_t* price) noexcept nogil:
    """The next order that the incoming one would meet, and its price; 0 when there is none, or no more may be looked at.

    An iceberg comes twice, the second time for what it hides.
    """
    cdef uint32_t maker
    cdef Level* level
    while reach.level:
        level = &reach.levels.level[reach.level]
        price[0] = level.price
        if price[0] > reach.limit if reach.side == BUY else price[0] < reach.limit:
            break
        while reach.slot:
            maker = reach.slot
            reach.slot = core.orders.order[maker].newer
            if not reach.hidden or core.orders.order[maker].tag & SPECIAL and core.orders.special[maker].reserve:
                core.looked += 1
                return maker if core.looked <= LOOKS_MAX else 0
        if level.special and not reach.hidden:
            reach.hidden = True
            reach.slot = level.queue.head
        else:
            go_to_level(reach, next_worse(reach.levels, 1 - reach.side, price[0]))
    return 0


cdef inline int64_t lots_of(Core* core, Reach* reach, uint32_t maker) noexcept nogil:
    return core.orders.special[maker].reserve if reach.hidden else core.orders.order[maker].remaining


cdef int64_t next_maker(Core* core, Reach* reach, int64_t* price) noexcept nogil:
    """Lots of the next order that the incoming one would trade with, and their price; 0 when there is none.

    An own order ends the walk, unless it would be cancelled.
    """
    cdef uint32_t maker = next_order(core, reach, price)
    while maker and is_own(core, reach, maker):
        if reach.mode != CANCEL_OLDEST:
            return 0
        maker = next_order(core, reach, price)
    return lots_of(core, reach, maker) if maker else 0


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


cdef bint costs_more(Core* core, uint32_t book, int side, int64_t limit, int64_t size, uint32_t account, int mode, int64_t rate, int64_t most) noexcept nogil:
    """Whether all that an order without a limit would get is worth more than `most`, with a fee at `rate`. O(orders it would meet).

    Own orders that would be decremented might take less off it than they could, so they count for nothing.
    """
    cdef Book* terms = &core.book[book]
    cdef Reach reach = reach_of(core, book, side, limit, account, CANCEL_OLDEST if mode == DECREMENT else mode)
    cdef int64_t price, lots, notional, total = 0
    while size:
        lots = min(next_maker(core, &reach, &price), size)
        if not lots:
            return core.looked > LOOKS_MAX
        notional = price * lots * terms.tick_value
        if notional > most - total:
            return True
        total += notional
        if fee(total, rate) > most - total:
            return True
        size -= lots
    return False


cdef bint affordable(Core* core, uint32_t book, int64_t limit, int64_t size, uint32_t account, int mode) noexcept nogil:
    """Whether the account can pay for all that a market buy would get within its limit, with its fee. O(orders it would meet)."""
    cdef Book* terms = &core.book[book]
    return not costs_more(core, book, BUY, limit, size, account, mode, terms.rates[core.accounts.account[account].tier].taker,
                          balance_of(&core.accounts, account, terms.quote).available)


cdef int64_t lots_for(Core* core, uint32_t book, int side, int64_t limit, int64_t money, uint32_t account, int mode) noexcept nogil:
    """The most lots that a buy gets for this money, its fee included, or that a sell brings in at most this much with, before its fee.

    Counts up to the first order that does not fit whole. O(orders it would meet).
    """
    cdef Book* terms = &core.book[book]
    cdef int64_t rate = terms.rates[core.accounts.account[account].tier].taker if side == BUY else 0
    cdef Reach reach = reach_of(core, book, side, limit, account, mode)
    cdef int64_t price, size, fits, lots = 0
    # The largest notional n with n + floor(n * rate / FEE_PARTS) <= money.
    cdef int64_t notional = <int64_t>(((<uint128_t>money + 1) * FEE_PARTS - 1) // (FEE_PARTS + rate))
    while True:
        size = next_maker(core, &reach, &price)
        fits = min(size, notional // (price * terms.tick_value)) if size else 0
        lots += fits
        if fits < size or not size:
            return lots
        notional -= price * size * terms.tick_value


cdef bint meets_too_many(Core* core, uint32_t book, int side, int64_t limit, int64_t size, uint32_t account, int mode) noexcept nogil:
    """Whether an order could meet more orders than the running command may still meet. An iceberg counts once for each part that it shows.

    O(orders it would meet), where that is not clear from its size or from the book.
    """
    cdef Book* terms = &core.book[book]
    cdef int64_t most = <int64_t>terms.fills_max - core.met
    cdef int64_t price, left = size     # what comes behind the orders so far
    cdef int64_t wanted = 0, parts = 0  # hidden lots of the level that it wants, and the parts in which they could come
    cdef int64_t met = 0
    cdef uint32_t maker
    cdef bint own
    cdef Reach reach
    if core.looked > LOOKS_MAX:
        return True
    if (size <= most and mode != CANCEL_OLDEST) or <int64_t>terms.open * terms.parts_max <= most:
        return False
    reach = reach_of(core, book, side, limit, account, mode)
    while met + min(parts, wanted) <= most:
        maker = next_order(core, &reach, &price)
        if not maker or (left <= 0 and not reach.hidden):
            return core.looked > LOOKS_MAX
        own = is_own(core, &reach, maker)
        if not reach.hidden:
            met += min(parts, wanted) + 1
            parts = 0
            if own and mode != CANCEL_OLDEST and mode != DECREMENT:
                return met > most
        if own and mode == CANCEL_OLDEST:
            continue
        left -= lots_of(core, &reach, maker)
        if reach.hidden:
            parts += (min(core.orders.special[maker].reserve, wanted) + core.orders.special[maker].display - 1) // core.orders.special[maker].display
        elif left <= 0:
            return met > most
        else:
            wanted = left
    return True
