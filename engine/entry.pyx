"""How accepted orders, and stops that were triggered, enter a book."""

from libc.stdint cimport uint64_t

from engine.core cimport ANY_PRICE, LOOKS_MAX, fee, has_limit, reference_of
from engine.effects cimport tell_order
from engine.matching cimport cancel_partner, end_taker, finish, match, rest, would_take
from engine.model cimport BUY, INSUFFICIENT_FUNDS, LIMIT, MARKET, PRICE_OUT_OF_BAND, TOO_MANY_FILLS, TRIGGERED, UNFILLED, WAITING
from engine.orders cimport WAITS, Order, Special, instrument_of, self_trade_of, side_of
from engine.reach cimport affordable, meets_too_many
from engine.stops cimport leave_stops, observe, reached, wait

cdef inline int64_t edge_of_band(Book* book, int side) noexcept nogil:
    """The worst price at which that side may trade."""
    cdef int64_t reference = reference_of(book)
    if not book.band or not reference:
        return ANY_PRICE if side == BUY else 0
    return reference + fee(reference, book.band) if side == BUY else reference - fee(reference, book.band)


cdef bint in_band(Book* book, int side, int64_t price) noexcept nogil:
    """Whether an order of that side may have this limit."""
    return price <= edge_of_band(book, side) if side == BUY else price >= edge_of_band(book, side)


cdef int64_t market_limit(Book* book, int side, int64_t protection) noexcept nogil:
    """The worst price of an order without a limit: its protection, if it has one, within the band."""
    if not protection or not in_band(book, side, protection):
        return edge_of_band(book, side)
    return protection


cdef void enter(Core* core, uint32_t book, uint32_t slot, int64_t price, bint stays) noexcept nogil:
    """Match an order that has a limit; then let it rest, or end it."""
    if would_take(&core.book[book], side_of(&core.orders.order[slot]), price) and not match(core, book, slot, price, price, True):
        return
    if not core.orders.order[slot].remaining:
        finish(core, slot)
    elif stays:
        rest(core, book, slot, price)
    else:
        end_taker(core, slot, price, True, UNFILLED)


cdef void enter_at_market(Core* core, uint32_t book, uint32_t slot, int64_t protection) noexcept nogil:
    """Match an order without a limit; then end it."""
    cdef Order* order = &core.orders.order[slot]
    cdef int side = side_of(order)
    cdef bint holds = side != BUY
    if not match(core, book, slot, protection, market_limit(&core.book[book], side, protection), holds):
        return
    if core.orders.order[slot].remaining:
        end_taker(core, slot, protection, holds, UNFILLED)
    else:
        finish(core, slot)


cdef void activate(Core* core, uint32_t slot) noexcept nogil:
    """Let an order enter whose trigger was reached, and that is in no queue any more."""
    cdef Order* order = &core.orders.order[slot]
    cdef Special* special = &core.orders.special[slot]
    cdef uint32_t book = instrument_of(order)
    cdef int side = side_of(order)
    cdef bint limited = has_limit(special.type)
    cdef int64_t limit
    tell_order(core, TRIGGERED, slot, special.stop, order.remaining)
    cancel_partner(core, slot)
    order.tag &= ~<uint64_t>WAITS
    special.stop = 0
    special.type = LIMIT if limited else MARKET
    limit = special.price if limited else market_limit(&core.book[book], side, special.price)
    if limited and not in_band(&core.book[book], side, limit):
        end_taker(core, slot, limit, True, PRICE_OUT_OF_BAND)
    elif not limited and side == BUY and not affordable(core, book, limit, order.remaining, order.account, self_trade_of(order)):
        end_taker(core, slot, special.price, False, TOO_MANY_FILLS if core.looked > LOOKS_MAX else INSUFFICIENT_FUNDS)
    elif meets_too_many(core, book, side, limit, order.remaining, order.account, self_trade_of(order)):
        end_taker(core, slot, special.price, limited or side != BUY, TOO_MANY_FILLS)
    elif limited:
        enter(core, book, slot, limit, True)
    else:
        enter_at_market(core, book, slot, special.price)


cdef void enter_stop(Core* core, uint32_t book, uint32_t slot) noexcept nogil:
    """Let an accepted stop wait, or enter at once if the last trade reached its trigger."""
    cdef Order* order = &core.orders.order[slot]
    cdef int64_t stop = core.orders.special[slot].stop
    if reached(core, slot, stop):
        activate(core, slot)
    else:
        wait(core, book, slot)
        tell_order(core, WAITING, slot, stop, order.remaining)


cdef void note_trades(Core* core, uint32_t book) noexcept nogil:
    """Trigger stops by the trades of an order that has come to rest or to its end, or of an uncrossing.

    The prices of these trades only rise or only fall, so it is enough to look at the first and the last one.
    """
    if core.first_price and core.book[book].stops != NULL:
        observe(core, book, core.first_price)
        observe(core, book, core.book[book].last)
    core.first_price = 0


cdef void after_trades(Core* core, uint32_t book) noexcept nogil:
    """Let the stops enter that trades have triggered, and then those that their own trades trigger."""
    cdef uint32_t slot
    note_trades(core, book)
    while core.triggered.head:
        slot = core.triggered.head
        leave_stops(core, slot)
        activate(core, slot)
        note_trades(core, book)
