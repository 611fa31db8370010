"""Price-time priority."""

from libc.stdint cimport uint16_t, uint64_t

from engine.accounts cimport Account, Balance, balance_of, touch
from engine.client_ids cimport mark_done
from engine.core cimport Book, Touched, cost, fee, held_asset, hold, touch_level
from engine.events cimport emit, end_batch
from engine.ladder cimport Level, Levels, came_alive, find_or_add, next_worse, ran_empty
from engine.levels cimport publish
from engine.model cimport (BALANCE, BUY, CANCELLED, FILLED, LEVEL, REQUESTED, TAKER, TRADE, Event)
from engine.orders cimport Order, free_slot, instrument_of, order_id, side_of


cdef inline bint acceptable(int taker_side, int64_t price, int64_t limit) noexcept nogil:
    return price <= limit if taker_side == BUY else price >= limit


cdef int64_t liquidity(Core* core, uint32_t book, int taker_side, int64_t limit, int64_t wanted) noexcept nogil:
    """Lots that a taker can get within its limit, counted up to `wanted`. O(levels counted)."""
    cdef Levels* levels = core.book[book].levels
    cdef int maker_side = 1 - taker_side
    cdef uint32_t index = levels.ladders[maker_side].best
    cdef int64_t found = 0
    while index and found < wanted and acceptable(taker_side, levels.level[index].price, limit):
        found += levels.level[index].size
        index = next_worse(levels, maker_side, levels.level[index].price)
    return found if found < wanted else wanted


cdef bint affordable(Core* core, uint32_t book, int64_t limit, int64_t size, int64_t available) noexcept nogil:
    """Whether a market buy can pay for all that it would get within its limit, with fees. O(orders it would meet)."""
    cdef Book* terms = &core.book[book]
    cdef Levels* levels = terms.levels
    cdef uint32_t index = levels.ladders[1 - BUY].best
    cdef uint32_t slot
    cdef int64_t fill, notional
    while index and size and levels.level[index].price <= limit:
        slot = levels.level[index].head
        while slot and size:
            fill = min(core.orders.order[slot].remaining, size)
            notional = levels.level[index].price * fill * terms.tick_value
            notional += fee(notional, terms.taker_fee)
            if notional > available:
                return False
            available -= notional
            size -= fill
            slot = core.orders.order[slot].newer
        index = next_worse(levels, 1 - BUY, levels.level[index].price)
    return True


cdef Event* tell_order(Core* core, int kind, uint32_t slot, int64_t price, int64_t size) noexcept nogil:
    """An event of an order as it is now."""
    cdef Order* order = &core.orders.order[slot]
    cdef Event* event = emit(core.events, kind)
    event.order = order_id(&core.orders, slot)
    event.other = order.client_id
    event.account = order.account
    event.instrument = instrument_of(order)
    event.side = side_of(order)
    event.price = price
    event.size = size
    event.remaining = order.remaining
    event.filled = order.filled
    event.value = order.value
    return event


cdef void release(Core* core, uint32_t account, uint32_t asset, int64_t amount) noexcept nogil:
    """Move so much of what an account holds to what it has available; less than 0 holds more."""
    cdef Balance* balance = touch(&core.accounts, account, asset)
    balance.held -= amount
    balance.available += amount


cdef void fill(Core* core, uint32_t book, uint32_t maker_slot, uint32_t taker_slot, int64_t price, int64_t limit, int64_t size, bint holds) noexcept nogil:
    """Trade between two orders at the maker's price. `holds`: whether a taker that buys holds money at its limit."""
    cdef Book* terms = &core.book[book]
    cdef Order* maker = &core.orders.order[maker_slot]
    cdef Order* taker = &core.orders.order[taker_slot]
    cdef int taker_side = side_of(taker)
    cdef Order* buyer = taker if taker_side == BUY else maker
    cdef Order* seller = maker if taker_side == BUY else taker
    cdef int64_t notional = price * size * terms.tick_value
    cdef int64_t maker_fee = fee(notional, terms.maker_fee)
    cdef int64_t taker_fee = fee(notional, terms.taker_fee)
    cdef int64_t released = 0
    cdef Balance* balance
    cdef Event* event
    if buyer == maker:
        released = cost(terms, price, maker.remaining) - cost(terms, price, maker.remaining - size)
    elif holds:
        released = cost(terms, limit, taker.remaining) - cost(terms, limit, taker.remaining - size)
    maker.remaining -= size
    maker.filled += size
    maker.value += notional
    taker.remaining -= size
    taker.filled += size
    taker.value += notional

    balance = touch(&core.accounts, buyer.account, terms.quote)
    balance.held -= released
    balance.available += released - notional - (taker_fee if buyer == taker else maker_fee)
    touch(&core.accounts, buyer.account, terms.base).available += size * terms.lot_units
    touch(&core.accounts, seller.account, terms.base).held -= size * terms.lot_units
    touch(&core.accounts, seller.account, terms.quote).available += notional - (maker_fee if buyer == taker else taker_fee)
    core.accounts.fees[terms.quote] += maker_fee + taker_fee

    event = emit(core.events, TRADE)
    event.order = order_id(&core.orders, taker_slot)
    event.other = order_id(&core.orders, maker_slot)
    event.instrument = book
    event.side = taker_side
    event.price = price
    event.size = size
    event.value = notional
    tell_order(core, FILLED, maker_slot, price, size)
    tell_order(core, FILLED, taker_slot, price, size).flags = TAKER


cdef void match(Core* core, uint32_t book, uint32_t slot, int64_t limit, bint holds) noexcept nogil:
    """Fill an incoming order from the other side, best price first, oldest order first, within its limit. O(orders met)."""
    cdef Levels* levels = core.book[book].levels
    cdef Order* taker = &core.orders.order[slot]
    cdef int taker_side = side_of(taker)
    cdef uint32_t index, maker
    cdef int64_t size
    cdef Level* level
    while taker.remaining:
        index = levels.ladders[1 - taker_side].best
        level = &levels.level[index]
        if not index or not acceptable(taker_side, level.price, limit):
            return
        touch_level(core, book, index)
        while taker.remaining and level.count:
            maker = level.head
            size = min(core.orders.order[maker].remaining, taker.remaining)
            level.size -= size
            fill(core, book, maker, slot, level.price, limit, size, holds)
            if not core.orders.order[maker].remaining:
                leave_level(core, book, maker)
                finish(core, maker)


cdef void rest(Core* core, uint32_t book, uint32_t slot, int64_t price) noexcept nogil:
    """Put an order at the tail of the queue at its price."""
    cdef Levels* levels = core.book[book].levels
    cdef Order* order = &core.orders.order[slot]
    cdef uint32_t index = find_or_add(levels, side_of(order), price)
    cdef Level* level = &levels.level[index]
    touch_level(core, book, index)
    order.level = index
    order.newer = 0
    order.older = level.tail
    if level.tail:
        core.orders.order[level.tail].newer = slot
    else:
        level.head = slot
    level.tail = slot
    level.count += 1
    level.size += order.remaining
    if level.count == 1:
        came_alive(levels, index)


cdef void leave_level(Core* core, uint32_t book, uint32_t slot) noexcept nogil:
    """Take an order and what remains of it out of its level."""
    cdef Levels* levels = core.book[book].levels
    cdef Order* order = &core.orders.order[slot]
    cdef Level* level = &levels.level[order.level]
    touch_level(core, book, order.level)
    if order.older:
        core.orders.order[order.older].newer = order.newer
    else:
        level.head = order.newer
    if order.newer:
        core.orders.order[order.newer].older = order.older
    else:
        level.tail = order.older
    level.count -= 1
    level.size -= order.remaining
    if not level.count:
        ran_empty(levels, order.level)


cdef void finish(Core* core, uint32_t slot) noexcept nogil:
    """The order is done and in no level: let go of its account's list, its name and its slot."""
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
    if order.client_id:
        mark_done(&core.client_ids, order.account, order.client_id)
    free_slot(&core.orders, slot)


cdef void cancel(Core* core, uint32_t slot) noexcept nogil:
    """Take a resting order out at its account's request, and release what it holds."""
    cdef Order* order = &core.orders.order[slot]
    cdef uint16_t book = instrument_of(order)
    cdef int side = side_of(order)
    cdef int64_t price = core.book[book].levels.level[order.level].price
    cdef Event* event = tell_order(core, CANCELLED, slot, price, order.remaining)
    event.remaining = 0
    event.reason = REQUESTED
    release(core, order.account, held_asset(&core.book[book], side), hold(&core.book[book], side, price, order.remaining))
    leave_level(core, book, slot)
    finish(core, slot)


cdef void end_command(Core* core) noexcept nogil:
    """Tell what the command left of every level and balance that it touched, and close its batch."""
    cdef uint32_t i
    cdef Touched touched
    cdef Levels* levels
    cdef Level* level
    cdef Event* event
    cdef Balance* balance
    cdef uint64_t row
    cdef uint64_t before = core.events.seq
    for i in range(core.touched_count):
        touched = core.touched[i]
        levels = core.book[touched.book].levels
        level = &levels.level[touched.level]
        level.touched = 0
        if level.size != level.published:
            levels.changes += levels.seq <= before
            event = emit(core.events, LEVEL)
            event.instrument = touched.book
            event.side = level.side
            event.price = level.price
            event.size = level.size
            event.other = level.count
        publish(levels, touched.level, core.events.seq)
    core.touched_count = 0
    for i in range(core.accounts.touched_count):
        row = core.accounts.touched[i]
        balance = &core.accounts.balance[row]
        core.accounts.marked[row] = 0
        event = emit(core.events, BALANCE)
        event.account = row // core.accounts.assets
        event.instrument = row % core.accounts.assets
        event.size = balance.available
        event.remaining = balance.held
    core.accounts.touched_count = 0
    end_batch(core.events)
