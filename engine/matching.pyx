"""Price-time priority: how an order trades, rests and ends."""


from engine.accounts cimport Account, Balance, same_owner, touch
from engine.client_ids cimport mark_done
from engine.core cimport RULES, Book, Rates, cost, fee, held_asset, held_by, hold, price_of, take_fee, touch_level
from engine.effects cimport change_hold, tell_order
from engine.events cimport emit
from engine.expiry cimport remove_expiry
from engine.ladder cimport Level, Levels, came_alive, find_or_add, ran_empty
from engine.model cimport (ALLOW, BUY, CANCEL_BOTH, CANCEL_NEWEST, CANCEL_OLDEST, CANCELLED, DISPLAYED, FILLED, LINKED, REDUCED, SELF_TRADE, TAKER,
                           TRADE, Event)
from engine.orders cimport (SPECIAL, STAYS_MAKER, WAITS, Order, Orders, Special, free_slot, instrument_of, join_queue, leave_queue, left_of, order_id, partner_of,
                            self_trade_of, side_of, unpaid_of)
from engine.stops cimport leave_stops


cdef inline bint acceptable(int taker_side, int64_t price, int64_t limit) noexcept nogil:
    return price <= limit if taker_side == BUY else price >= limit


# Money


cdef inline int64_t freed(Core* core, Book* terms, uint32_t slot, int64_t limit, int64_t size, uint32_t unpaid) noexcept nogil:
    """What a buy at a limit no longer holds when so many lots of it are filled, and so much of its fee is unpaid then."""
    cdef int64_t left = left_of(&core.orders, slot)
    return cost(terms, limit, left, unpaid_of(&core.orders, slot)) - cost(terms, limit, left - size, unpaid)


cdef inline int64_t charge(Core* core, Book* terms, uint32_t slot, bint takes, int64_t notional, uint32_t* unpaid) noexcept nogil:
    """What an order pays for a fill, all of its fills together rounded down. A post-only order never pays as a taker.

    A rebate is below 0, and rounded towards it by itself. Only the maker of a trade gets one.
    """
    cdef Order* order = &core.orders.order[slot]
    cdef Rates* rates = &terms.rates[core.accounts.account[order.account].tier]
    cdef int64_t units
    cdef int64_t rate = rates.taker if takes and not (order.tag & STAYS_MAKER and core.rules == RULES) else rates.maker
    unpaid[0] = unpaid_of(&core.orders, slot)
    if rate < 0:
        return 0 if takes else -fee(notional, -rate)
    units = take_fee(notional, rate, unpaid)
    if core.rules != RULES:     # each fill is rounded by itself
        unpaid[0] = 0
    return units


cdef inline void count_fill(Orders* orders, uint32_t slot, int64_t size, int64_t notional, uint32_t unpaid) noexcept nogil:
    cdef Order* order = &orders.order[slot]
    order.remaining -= size
    order.filled += size
    order.value += notional
    if order.remaining or order.tag & SPECIAL:      # no other fill will ask
        orders.unpaid[slot] = unpaid


cdef void fill(Core* core, uint32_t book, uint32_t maker_slot, uint32_t taker_slot, int64_t price, int64_t size, int64_t limit, bint holds) noexcept nogil:
    """Trade between two orders. `limit` is the buyer's, `holds`: whether the buyer holds money at it."""
    cdef Book* terms = &core.book[book]
    cdef Order* maker = &core.orders.order[maker_slot]
    cdef Order* taker = &core.orders.order[taker_slot]
    cdef int taker_side = side_of(taker)
    cdef uint32_t buyer = taker.account if taker_side == BUY else maker.account
    cdef uint32_t seller = maker.account if taker_side == BUY else taker.account
    cdef int64_t notional = price * size * terms.tick_value
    cdef uint32_t maker_unpaid, taker_unpaid
    cdef int64_t maker_fee = charge(core, terms, maker_slot, False, notional, &maker_unpaid)
    cdef int64_t taker_fee = charge(core, terms, taker_slot, True, notional, &taker_unpaid)
    cdef int64_t released = 0
    cdef Balance* balance
    cdef Event* event
    maker_fee = max(maker_fee, -taker_fee)      # in an auction, a post-only order may pay less than the other one is to get
    if holds and taker_side == BUY:
        released = freed(core, terms, taker_slot, limit, size, taker_unpaid)
    elif holds:
        released = freed(core, terms, maker_slot, limit, size, maker_unpaid)
    count_fill(&core.orders, maker_slot, size, notional, maker_unpaid)
    count_fill(&core.orders, taker_slot, size, notional, taker_unpaid)

    balance = touch(&core.accounts, buyer, terms.quote)
    balance.held -= released
    balance.available += released - notional - (taker_fee if taker_side == BUY else maker_fee)
    touch(&core.accounts, buyer, terms.base).available += size * terms.lot_units
    touch(&core.accounts, seller, terms.base).held -= size * terms.lot_units
    touch(&core.accounts, seller, terms.quote).available += notional - (maker_fee if taker_side == BUY else taker_fee)
    core.accounts.fees[terms.quote] += maker_fee + taker_fee
    terms.last = price
    if not core.first_price:
        core.first_price = price

    event = emit(core.events, TRADE)
    event.order = order_id(&core.orders, taker_slot)
    event.maker = order_id(&core.orders, maker_slot)
    event.instrument = book
    event.side = taker_side
    event.price = price
    event.size = size
    event.maker_fee = maker_fee
    event.taker_fee = taker_fee
    event.value = notional
    tell_order(core, FILLED, maker_slot, price, size)
    tell_order(core, FILLED, taker_slot, price, size).flags = TAKER


# Matching


cdef bint match(Core* core, uint32_t book, uint32_t slot, int64_t price, int64_t limit, bint holds) noexcept nogil:
    """Fill an incoming order from the other side within `limit`: best price first, then by priority. Returns whether it is still open.

    `price` is the order's own, `holds`: whether it holds money or lots. O(orders met).
    """
    cdef Levels* levels = core.book[book].levels
    cdef Order* taker = &core.orders.order[slot]
    cdef int taker_side = side_of(taker)
    cdef int mode = self_trade_of(taker)
    cdef uint32_t index, maker
    cdef int64_t size
    cdef Level* level
    while taker.remaining:
        index = levels.ladders[1 - taker_side].best
        level = &levels.level[index]
        if not index or not acceptable(taker_side, level.price, limit):
            break
        touch_level(core, book, index)
        while taker.remaining and level.count:
            maker = level.queue.head
            core.met += 1
            if mode != ALLOW and same_owner(&core.accounts, core.orders.order[maker].account, taker.account):
                if not prevent(core, book, maker, slot, mode, price, holds):
                    return False
                continue
            if (taker.tag | core.orders.order[maker].tag) & SPECIAL:
                cancel_partner(core, slot)
                cancel_partner(core, maker)
            size = min(core.orders.order[maker].remaining, taker.remaining)
            level.size -= size
            fill(core, book, maker, slot, level.price, size, limit if taker_side == BUY else level.price, holds or taker_side != BUY)
            if not core.orders.order[maker].remaining:
                used_up(core, book, maker)
    return True


cdef bint prevent(Core* core, uint32_t book, uint32_t maker, uint32_t taker, int mode, int64_t price, bint holds) noexcept nogil:
    """Prevent a trade between two orders of one owner. Returns whether the taker is still open."""
    cdef Order* order = &core.orders.order[taker]
    cdef int64_t size = min(core.orders.order[maker].remaining, order.remaining)
    cdef int side = side_of(order)
    cdef uint32_t unpaid
    cdef Book* terms = &core.book[book]
    if mode == CANCEL_OLDEST or mode == CANCEL_BOTH:
        cancel(core, maker, SELF_TRADE)
        if mode == CANCEL_OLDEST:
            return True
    elif mode != CANCEL_NEWEST:
        decrement(core, book, maker, size)
        if size < order.remaining:
            if holds:
                unpaid = unpaid_of(&core.orders, taker)
                change_hold(core, taker, hold(terms, side, price, order.remaining, unpaid), hold(terms, side, price, order.remaining - size, unpaid))
            order.remaining -= size
            tell_order(core, REDUCED, taker, price, size).reason = SELF_TRADE
            return True
    end_taker(core, taker, price, holds, SELF_TRADE)
    return False


cdef void decrement(Core* core, uint32_t book, uint32_t slot, int64_t size) noexcept nogil:
    """Take lots that show off a resting order that would have traded with its own account."""
    cdef Order* order = &core.orders.order[slot]
    cdef Level* level = &core.book[book].levels.level[order.level]
    cdef int64_t before = held_by(core, slot)
    if size == left_of(&core.orders, slot):
        cancel(core, slot, SELF_TRADE)
        return
    touch_level(core, book, order.level)
    order.remaining -= size
    level.size -= size
    change_hold(core, slot, before, held_by(core, slot))
    tell_order(core, REDUCED, slot, level.price, size).reason = SELF_TRADE
    if not order.remaining:
        used_up(core, book, slot)


cdef void used_up(Core* core, uint32_t book, uint32_t slot) noexcept nogil:
    """The displayed part of a resting order is used up: it displays the next part at the end of its queue, or it is done."""
    cdef Order* order = &core.orders.order[slot]
    cdef int64_t price
    leave_level(core, book, slot)
    if order.tag & SPECIAL and core.orders.special[slot].reserve:
        price = core.orders.special[slot].price
        order.remaining = core.orders.special[slot].reserve
        core.orders.special[slot].reserve = 0
        rest(core, book, slot, price)
        if not core.orders.special[slot].reserve:
            tell_order(core, DISPLAYED, slot, price, order.remaining)
    else:
        finish(core, slot)


# Queues


cdef void rest(Core* core, uint32_t book, uint32_t slot, int64_t price) noexcept nogil:
    """Put an order at the end of the queue at its price. An iceberg shows no more than it wants to."""
    cdef Levels* levels = core.book[book].levels
    cdef Order* order = &core.orders.order[slot]
    cdef uint32_t index = find_or_add(levels, side_of(order), price)
    cdef Level* level = &levels.level[index]
    cdef Special* special
    cdef bint hides = False
    if order.tag & SPECIAL:
        level.special = 1
        special = &core.orders.special[slot]
        if special.display and special.display < order.remaining:
            special.reserve = order.remaining - special.display
            order.remaining = special.display
            hides = True
    if levels != core.book[book].published:
        level.touched = 1
    touch_level(core, book, index)
    order.level = index
    join_queue(&core.orders, &level.queue, level.queue.tail, slot)
    level.count += 1
    level.size += order.remaining
    if level.count == 1:
        came_alive(levels, index)
    if hides:
        tell_order(core, DISPLAYED, slot, price, order.remaining)


cdef void leave_level(Core* core, uint32_t book, uint32_t slot) noexcept nogil:
    """Take an order and what shows of it out of its level."""
    cdef Levels* levels = core.book[book].levels
    cdef Order* order = &core.orders.order[slot]
    cdef Level* level = &levels.level[order.level]
    touch_level(core, book, order.level)
    leave_queue(&core.orders, &level.queue, slot)
    level.count -= 1
    level.size -= order.remaining
    if not level.count:
        level.special = 0
        ran_empty(levels, order.level)


# Ends


cdef void finish(Core* core, uint32_t slot) noexcept nogil:
    """The order is done and in no queue: remove it from its account's list, and free its client id, its expiry and its slot."""
    cdef Order* order = &core.orders.order[slot]
    cdef Account* account = &core.accounts.account[order.account]
    if order.earlier:
        core.orders.order[order.earlier].later = order.later
    else:
        account.earliest = order.later
    if order.later:
        core.orders.order[order.later].earlier = order.earlier
    else:
        account.latest = order.earlier
    account.open -= 1
    core.book[instrument_of(order)].open -= 1
    if order.client_id:
        mark_done(&core.client_ids, order.account, order.client_id)
    if order.tag & SPECIAL and core.orders.special[slot].expiry:
        remove_expiry(core, slot)
    free_slot(&core.orders, slot)


cdef uint32_t part(Core* core, uint32_t slot) noexcept nogil:
    """Dissolve an order's pair; the other order's slot, 0 for none."""
    cdef uint32_t partner = partner_of(&core.orders, slot)
    if partner:
        core.orders.special[slot].partner = 0
        core.orders.special[partner].partner = 0
    return partner


cdef inline void tell_end(Core* core, uint32_t slot, int64_t price, int reason) noexcept nogil:
    cdef Event* event = tell_order(core, CANCELLED, slot, price, left_of(&core.orders, slot))
    event.remaining = 0
    event.reason = reason


cdef void drop(Core* core, uint32_t slot, int reason) noexcept nogil:
    """End an order that rests or waits, and nothing else."""
    cdef Order* order = &core.orders.order[slot]
    tell_end(core, slot, price_of(core, slot), reason)
    change_hold(core, slot, held_by(core, slot), 0)
    part(core, slot)
    if order.tag & WAITS:
        leave_stops(core, slot)
    else:
        leave_level(core, instrument_of(order), slot)
    finish(core, slot)


cdef void cancel(Core* core, uint32_t slot, int reason) noexcept nogil:
    """Cancel an order that rests or waits, and with it the other one of its pair."""
    cdef uint32_t partner = partner_of(&core.orders, slot)
    drop(core, slot, reason)
    if partner:
        drop(core, partner, LINKED)


cdef void cancel_partner(Core* core, uint32_t slot) noexcept nogil:
    """Something happened to an order of a pair: the other order ends."""
    cdef uint32_t partner = partner_of(&core.orders, slot)
    if partner:
        drop(core, partner, LINKED)


cdef void end_taker(Core* core, uint32_t slot, int64_t price, bint holds, int reason) noexcept nogil:
    """Cancel what is left of an order that is in no queue, and with it the other one of its pair."""
    cdef Order* order = &core.orders.order[slot]
    cdef uint32_t partner
    tell_end(core, slot, price, reason)
    if holds:
        change_hold(core, slot, hold(&core.book[instrument_of(order)], side_of(order), price, order.remaining, unpaid_of(&core.orders, slot)), 0)
    partner = part(core, slot)
    finish(core, slot)
    if partner:
        drop(core, partner, LINKED)
