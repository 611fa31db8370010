"""The commands, and what each does. A refused command changes nothing but the sequence."""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from engine.accounts cimport Account, Balance, TouchedRow
from engine.administration cimport administer
from engine.checks cimport Intent, check_place, check_replace
from engine.client_ids cimport find_client_id, remember
from engine.core cimport LOOKS_MAX, TIME_LIMIT, Book, Touched, held_by, hold, price_of, touch_level
from engine.effects cimport change_hold, tell_order
from engine.entry cimport after_trades, enter, enter_at_market, enter_stop
from engine.events cimport EventBuffer, bytes_of, emit, end_batch
from engine.expiry cimport add_expiry
from engine.ladder cimport Level, Levels
from engine.levels cimport publish
from engine.matching cimport cancel, leave_level
from engine.model cimport (ACCEPTED, ALL_CANCELLED, ALL_INSTRUMENTS, BALANCE, BOTH_SIDES, CANCEL_ALL, EXPIRED, LEVEL, LIMIT, MARKET, NO_REASON,
                           PLACE, POST_ONLY, REDUCE, REDUCED, REJECTED, REPLACE, REPLACED, REQUESTED, SELL, SIZE_TOO_SMALL, TOO_MANY_FILLS, TRAILING_STOP,
                           UNKNOWN_ACCOUNT, UNKNOWN_INSTRUMENT, UNKNOWN_OPTION, UNKNOWN_ORDER, WAITING, Command, Event)
from engine.orders cimport (SELF_TRADE_SHIFT, SELLS, SLOT_BITS, SPECIAL, STAYS_MAKER, WAITS, Order, Special, instrument_of, left_of, new_slot,
                            order_id, partner_of, side_of, slot_of, unpaid_of)
from engine.stops cimport leave_stops, reached, wait_elsewhere


# PLACE


cdef void keep_special(Core* core, const Command* command, const Intent* intent, uint32_t slot) noexcept nogil:
    """Note what is special about an order, if anything is."""
    cdef Special* special
    if command.type <= MARKET and not intent.partner and not (intent.expires | command.display):
        return
    special = &core.orders.special[slot]
    core.orders.order[slot].tag |= SPECIAL
    special.price = intent.price
    special.stop = intent.stop
    special.trail = command.stop if command.type == TRAILING_STOP else 0
    special.display = command.display
    special.reserve = 0
    special.expires = intent.expires
    special.partner = intent.partner
    special.expiry = 0
    special.type = command.type
    if intent.expires:
        add_expiry(core, slot)


cdef void link(Core* core, uint32_t slot, uint32_t partner) noexcept nogil:
    """Make a pair of an order and its partner, which may have had nothing special so far."""
    cdef Order* order = &core.orders.order[partner]
    cdef Special* special
    if not order.tag & SPECIAL:
        special = &core.orders.special[partner]
        special.price = core.book[instrument_of(order)].levels.level[order.level].price
        special.stop = special.trail = special.display = special.reserve = special.expires = 0
        special.expiry = 0
        special.type = LIMIT
        order.tag |= SPECIAL
        core.book[instrument_of(order)].levels.level[order.level].special = 1
    core.orders.special[partner].partner = slot


cdef uint32_t accept(Core* core, const Command* command, const Intent* intent) noexcept nogil:
    cdef uint32_t slot = new_slot(&core.orders)
    cdef Order* order = &core.orders.order[slot]
    cdef Account* account = &core.accounts.account[command.account]
    core.orders.number += 1
    order.tag = core.orders.number << SLOT_BITS | <uint64_t>command.instrument << 8 | <uint64_t>intent.mode << SELF_TRADE_SHIFT
    if command.side == SELL:
        order.tag |= SELLS
    if command.flags & POST_ONLY:
        order.tag |= STAYS_MAKER
    order.remaining = intent.size
    order.filled = 0
    order.value = 0
    order.client_id = command.client_id
    order.account = command.account
    order.later = 0
    order.earlier = account.latest
    if account.latest:
        core.orders.order[account.latest].later = slot
    else:
        account.earliest = slot
    account.latest = slot
    account.open += 1
    core.book[command.instrument].open += 1
    if command.client_id:
        remember(&core.client_ids, command.account, command.client_id, order_id(&core.orders, slot))
    tell_order(core, ACCEPTED, slot, intent.price, intent.size)
    keep_special(core, command, intent, slot)
    if intent.partner:
        link(core, slot, intent.partner)
    return slot


cdef int place(Core* core, const Command* command, uint64_t* concerned) noexcept nogil:
    cdef Intent intent
    cdef int reason = check_place(core, command, &intent, concerned)
    cdef uint32_t slot
    if reason:
        return TOO_MANY_FILLS if core.looked > LOOKS_MAX else reason
    slot = accept(core, command, &intent)
    change_hold(core, slot, 0, intent.held)
    if command.type > MARKET:
        enter_stop(core, command.instrument, slot)
    elif command.type == MARKET:
        enter_at_market(core, command.instrument, slot, intent.price)
    else:
        enter(core, command.instrument, slot, intent.price, intent.stays)
    if core.first_price:
        after_trades(core, command.instrument)
    return NO_REASON


# Open orders


cdef uint32_t named_order(Core* core, const Command* command) noexcept nogil:
    """The slot of the account's open order that the command names; 0 for none."""
    cdef uint64_t order = command.order
    cdef uint32_t slot
    if not order and command.client_id:
        order = find_client_id(&core.client_ids, command.account, command.client_id)
    slot = slot_of(&core.orders, order)
    return slot if slot and core.orders.order[slot].account == command.account else 0


cdef void shrink(Core* core, uint32_t slot, int64_t by) noexcept nogil:
    """Reduce an order in its place, its hidden lots first, and release what these lots held."""
    cdef Order* order = &core.orders.order[slot]
    cdef Book* book = &core.book[instrument_of(order)]
    cdef int64_t before = held_by(core, slot)
    cdef int64_t hidden = 0
    if order.tag & SPECIAL:
        hidden = min(by, core.orders.special[slot].reserve)
        core.orders.special[slot].reserve -= hidden
    order.remaining -= by - hidden
    if not order.tag & WAITS:
        touch_level(core, instrument_of(order), order.level)
        book.levels.level[order.level].size -= by - hidden
    change_hold(core, slot, before, held_by(core, slot))


cdef int reduce(Core* core, const Command* command, uint32_t slot) noexcept nogil:
    if command.size <= 0:
        return SIZE_TOO_SMALL
    if command.size >= left_of(&core.orders, slot):
        cancel(core, slot, REQUESTED)
        return NO_REASON
    shrink(core, slot, command.size)
    tell_order(core, REDUCED, slot, price_of(core, slot), command.size)
    return NO_REASON


cdef void replace_waiting(Core* core, const Command* command, uint32_t slot) noexcept nogil:
    cdef Order* order = &core.orders.order[slot]
    cdef Special* special = &core.orders.special[slot]
    cdef uint32_t book = instrument_of(order)
    cdef int64_t before = held_by(core, slot)
    special.price = command.price
    order.remaining = command.size
    change_hold(core, slot, before, held_by(core, slot))
    tell_order(core, REPLACED, slot, command.price, command.size)
    if not command.stop:
        return
    if reached(core, slot, command.stop):
        leave_stops(core, slot)
        special.stop = command.stop
        enter_stop(core, book, slot)
        return
    wait_elsewhere(core, book, slot, command.stop)
    tell_order(core, WAITING, slot, command.stop, command.size)


cdef int replace(Core* core, const Command* command, uint32_t slot) noexcept nogil:
    cdef Order* order = &core.orders.order[slot]
    cdef uint16_t index = instrument_of(order)
    cdef Book* book = &core.book[index]
    cdef Level* level
    cdef int64_t before
    cdef int reason = check_replace(core, command, slot)
    if reason:
        return reason
    if order.tag & WAITS:
        replace_waiting(core, command, slot)
        after_trades(core, index)
        return NO_REASON
    level = &book.levels.level[order.level]
    if command.price == level.price and command.size <= left_of(&core.orders, slot):
        shrink(core, slot, left_of(&core.orders, slot) - command.size)
        tell_order(core, REPLACED, slot, command.price, command.size)
        return NO_REASON
    before = held_by(core, slot)
    leave_level(core, index, slot)
    order.remaining = command.size
    if order.tag & SPECIAL:
        core.orders.special[slot].price = command.price
        core.orders.special[slot].reserve = 0
    change_hold(core, slot, before, hold(book, side_of(order), command.price, command.size, unpaid_of(&core.orders, slot)))
    tell_order(core, REPLACED, slot, command.price, command.size)
    enter(core, index, slot, command.price, True)
    if core.first_price:
        after_trades(core, index)
    return NO_REASON


cdef int cancel_all(Core* core, const Command* command) noexcept nogil:
    cdef uint32_t slot = core.accounts.account[command.account].earliest
    cdef uint32_t later
    cdef Order* order
    cdef uint32_t before = core.orders.count
    cdef Event* event
    if command.instrument >= core.books and command.instrument != ALL_INSTRUMENTS:
        return UNKNOWN_INSTRUMENT
    if command.side > BOTH_SIDES:
        return UNKNOWN_OPTION
    while slot:
        order = &core.orders.order[slot]
        later = order.later
        if later and later == partner_of(&core.orders, slot):
            later = core.orders.order[later].later
        if (command.instrument == ALL_INSTRUMENTS or instrument_of(order) == command.instrument) and (
                command.side == BOTH_SIDES or side_of(order) == command.side):
            cancel(core, slot, REQUESTED)
        slot = later
    event = emit(core.events, ALL_CANCELLED)
    event.account = command.account
    event.instrument = command.instrument
    event.side = command.side
    event.orders = before - core.orders.count
    return NO_REASON


# Time


cdef void expire(Core* core) noexcept nogil:
    while core.expiries.count and core.orders.special[core.expiries.slot[1]].expires <= core.clock:
        cancel(core, core.expiries.slot[1], EXPIRED)


# One command


cdef int of_order(Core* core, const Command* command, uint64_t* concerned) noexcept nogil:
    cdef uint32_t slot = named_order(core, command)
    if not slot:
        return UNKNOWN_ORDER
    concerned[0] = order_id(&core.orders, slot)
    if command.kind == REDUCE:
        return reduce(core, command, slot)
    if command.kind == REPLACE:
        return replace(core, command, slot)
    cancel(core, slot, REQUESTED)
    return NO_REASON


cdef int outcome(Core* core, const Command* command, uint64_t* concerned) noexcept nogil:
    if not PLACE <= command.kind <= CANCEL_ALL:
        return administer(core, command)
    if command.account >= core.accounts.count:
        return UNKNOWN_ACCOUNT
    if command.kind == PLACE:
        return place(core, command, concerned)
    if command.kind == CANCEL_ALL:
        return cancel_all(core, command)
    return of_order(core, command, concerned)


cdef void end_command(Core* core) noexcept nogil:
    """Emit the new state of every level and balance that the command touched, and close its batch."""
    cdef uint32_t i
    cdef Touched touched
    cdef Levels* levels
    cdef Level* level
    cdef Event* event
    cdef Balance* balance
    cdef TouchedRow* row
    cdef EventBuffer* events = core.events
    cdef uint64_t before = events.seq
    for i in range(core.touched_count):
        touched = core.touched[i]
        levels = core.book[touched.book].published
        level = &levels.level[touched.level]
        level.touched = 0
        if level.size != level.published:
            levels.changes += levels.seq <= before
            event = emit(events, LEVEL)
            event.instrument = touched.book
            event.side = level.side
            event.price = level.price
            event.size = level.size
            event.orders = level.count
        publish(levels, touched.level, events.seq)
    core.touched_count = 0
    for i in range(core.accounts.touched_count):
        row = &core.accounts.touched[i]
        balance = &core.accounts.balance[row.row]
        core.accounts.marked[row.row] = 0
        event = emit(events, BALANCE)
        event.account = row.account
        event.asset = row.asset
        event.available = balance.available
        event.held = balance.held
    core.accounts.touched_count = 0
    end_batch(events)


cdef int run(Core* core, const Command* command) noexcept nogil:
    """Carry out one command and close its batch of events. Returns the reason if it was refused."""
    cdef uint64_t concerned = command.order
    cdef int reason
    cdef Event* event
    if command.time > core.clock:
        core.clock = min(command.time, TIME_LIMIT)
        expire(core)
    core.events.outcome = bytes_of(core.events)
    core.met = core.looked = 0
    reason = outcome(core, command, &concerned)
    if reason:
        event = emit(core.events, REJECTED)
        event.order = concerned
        event.client_id = command.client_id
        event.account = command.account
        event.instrument = command.instrument
        event.side = command.side
        event.price = command.price
        event.size = command.size
        event.reason = reason
    end_command(core)
    return reason
