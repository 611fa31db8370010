"""The commands: what is checked, and what each does. A refused command changes nothing but the sequence."""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from engine.accounts cimport Account, add_account, balance_of, touch
from engine.client_ids cimport find_client_id, remember
from engine.core cimport MONEY_LIMIT, Book, cost, fee, held_asset, hold, multiplied, touch_level
from engine.events cimport emit
from engine.ladder cimport Level, Levels
from engine.matching cimport affordable, cancel, end_command, finish, leave_level, liquidity, match, release, rest, tell_order
from engine.model cimport (ACCEPTED, ACCOUNT_OPENED, ALL_CANCELLED, ALL_INSTRUMENTS, AMOUNT_OUT_OF_RANGE, BUY, CANCEL, CANCEL_ALL, CANCELLED,
                           DEPOSIT, DUPLICATE_CLIENT_ID, FOK, GTC, INSUFFICIENT_FUNDS, LIMIT, MARKET, NO_REASON, NOTIONAL_TOO_LARGE,
                           OPEN_ACCOUNT, PLACE, POST_ONLY, POST_ONLY_WOULD_TAKE, PRICE_OUT_OF_RANGE, REDUCE, REDUCED, REJECTED, REPLACE,
                           REPLACED, SELL, SIZE_TOO_LARGE, SIZE_TOO_SMALL, TOO_MANY_ACCOUNTS, TOO_MANY_ORDERS, UNFILLABLE, UNFILLED,
                           UNKNOWN_ACCOUNT, UNKNOWN_ASSET, UNKNOWN_COMMAND, UNKNOWN_INSTRUMENT, UNKNOWN_OPTION, UNKNOWN_ORDER,
                           WITHDRAW, Command, Event)
from engine.orders cimport SELLS, SLOT_BITS, STAYS_MAKER, Order, instrument_of, new_slot, order_id, side_of, slot_of


# What is checked


cdef int bad_size(Book* book, int64_t size) noexcept nogil:
    if size < book.size_min or size <= 0:
        return SIZE_TOO_SMALL
    if size > book.size_max:
        return SIZE_TOO_LARGE
    return NO_REASON


cdef bint too_much(int64_t a, int64_t b) noexcept nogil:
    cdef int64_t product
    return multiplied(a, b, &product) or product > MONEY_LIMIT


cdef int bad_notional(Book* book, int64_t price, int64_t size) noexcept nogil:
    """Whether an order's size or cost is more than the exchange can count. A price of 0 leaves only the size."""
    cdef int64_t notional
    if too_much(size, book.lot_units):
        return NOTIONAL_TOO_LARGE
    if multiplied(price, size, &notional) or multiplied(notional, book.tick_value, &notional) or notional > MONEY_LIMIT:
        return NOTIONAL_TOO_LARGE
    if notional + fee(notional, book.hold_fee) > MONEY_LIMIT:
        return NOTIONAL_TOO_LARGE
    return NO_REASON


cdef bint would_match(Levels* levels, int side, int64_t price) noexcept nogil:
    cdef uint32_t best = levels.ladders[1 - side].best
    if not best:
        return False
    return levels.level[best].price <= price if side == BUY else levels.level[best].price >= price


cdef inline int64_t limit_of(const Command* command) noexcept nogil:
    """The worst acceptable price; a market order without protection takes any."""
    if command.type == MARKET and command.price == 0:
        return (<int64_t>1 << 62) if command.side == BUY else 0
    return command.price


cdef bint can_pay(Core* core, const Command* command) noexcept nogil:
    cdef Book* book = &core.book[command.instrument]
    cdef int64_t available = balance_of(&core.accounts, command.account, held_asset(book, command.side)).available
    if command.side == BUY and command.type == MARKET:
        return affordable(core, command.instrument, limit_of(command), command.size, available)
    return hold(book, command.side, command.price, command.size) <= available


cdef int refusal(Core* core, const Command* command, uint64_t* concerned) noexcept nogil:
    """Why an order may not enter; NO_REASON if it may."""
    cdef Book* book
    cdef uint64_t order
    cdef int reason
    if command.instrument >= core.books:
        return UNKNOWN_INSTRUMENT
    book = &core.book[command.instrument]
    if command.side > SELL or command.type > MARKET or command.time_in_force > FOK or command.flags & ~POST_ONLY:
        return UNKNOWN_OPTION
    if command.flags & POST_ONLY and (command.type != LIMIT or command.time_in_force != GTC):
        return UNKNOWN_OPTION
    if command.client_id:
        order = find_client_id(&core.client_ids, command.account, command.client_id)
        if order:
            concerned[0] = order
            return DUPLICATE_CLIENT_ID
    if not (0 if command.type == MARKET else 1) <= command.price <= book.price_max:
        return PRICE_OUT_OF_RANGE
    reason = bad_size(book, command.size)
    if reason:
        return reason
    reason = bad_notional(book, command.price if command.type == LIMIT else 0, command.size)
    if reason:
        return reason
    if core.orders.count >= core.orders.count_max:
        return TOO_MANY_ORDERS
    if command.flags & POST_ONLY and would_match(book.levels, command.side, command.price):
        return POST_ONLY_WOULD_TAKE
    if command.time_in_force == FOK and liquidity(core, command.instrument, command.side, limit_of(command), command.size) < command.size:
        return UNFILLABLE
    if not can_pay(core, command):
        return INSUFFICIENT_FUNDS
    return NO_REASON


cdef uint32_t named_order(Core* core, const Command* command) noexcept nogil:
    """The slot of the account's open order that the command names; 0 for none."""
    cdef uint64_t order = command.order
    cdef uint32_t slot
    if not order and command.client_id:
        order = find_client_id(&core.client_ids, command.account, command.client_id)
    slot = slot_of(&core.orders, order)
    return slot if slot and core.orders.order[slot].account == command.account else 0


# What each does


cdef uint32_t accept(Core* core, const Command* command) noexcept nogil:
    cdef uint32_t slot = new_slot(&core.orders)
    cdef Order* order = &core.orders.order[slot]
    cdef Account* account = &core.accounts.account[command.account]
    core.orders.number += 1
    order.tag = core.orders.number << SLOT_BITS | <uint64_t>command.instrument << 8
    if command.side == SELL:
        order.tag |= SELLS
    if command.flags & POST_ONLY:
        order.tag |= STAYS_MAKER
    order.remaining = command.size
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
    if command.client_id:
        remember(&core.client_ids, command.account, command.client_id, order_id(&core.orders, slot))
    tell_order(core, ACCEPTED, slot, command.price, command.size)
    return slot


cdef int place(Core* core, const Command* command, uint64_t* concerned) noexcept nogil:
    cdef int reason = refusal(core, command, concerned)
    cdef Book* book
    cdef Event* event
    cdef bint holds
    cdef uint32_t slot
    cdef int64_t left
    if reason:
        return reason
    book = &core.book[command.instrument]
    holds = command.type == LIMIT or command.side == SELL
    if holds:
        release(core, command.account, held_asset(book, command.side), -hold(book, command.side, command.price, command.size))
    slot = accept(core, command)
    match(core, command.instrument, slot, limit_of(command), holds)
    left = core.orders.order[slot].remaining
    if left and command.type == LIMIT and command.time_in_force == GTC:
        rest(core, command.instrument, slot, command.price)
        return NO_REASON
    if left:
        event = tell_order(core, CANCELLED, slot, command.price, left)
        event.remaining = 0
        event.reason = UNFILLED
        if holds:
            release(core, command.account, held_asset(book, command.side), hold(book, command.side, command.price, left))
    finish(core, slot)
    return NO_REASON


cdef int reduce(Core* core, const Command* command, uint32_t slot) noexcept nogil:
    cdef Order* order = &core.orders.order[slot]
    cdef uint16_t index = instrument_of(order)
    cdef Book* book = &core.book[index]
    cdef Level* level = &book.levels.level[order.level]
    cdef int64_t before
    if command.size <= 0:
        return SIZE_TOO_SMALL
    if command.size >= order.remaining:
        cancel(core, slot)
        return NO_REASON
    touch_level(core, index, order.level)
    before = hold(book, level.side, level.price, order.remaining)
    order.remaining -= command.size
    level.size -= command.size
    release(core, order.account, held_asset(book, level.side), before - hold(book, level.side, level.price, order.remaining))
    tell_order(core, REDUCED, slot, level.price, command.size)
    return NO_REASON


cdef int replace(Core* core, const Command* command, uint32_t slot) noexcept nogil:
    cdef Order* order = &core.orders.order[slot]
    cdef uint16_t index = instrument_of(order)
    cdef Book* book = &core.book[index]
    cdef Level* level = &book.levels.level[order.level]
    cdef int side = level.side
    cdef int64_t more
    cdef int reason
    if not 1 <= command.price <= book.price_max:
        return PRICE_OUT_OF_RANGE
    reason = bad_size(book, command.size)
    if reason:
        return reason
    reason = bad_notional(book, command.price, command.size)
    if reason:
        return reason
    if order.filled > MONEY_LIMIT - command.size or order.value > MONEY_LIMIT - cost(book, command.price, command.size):
        return NOTIONAL_TOO_LARGE
    if order.tag & STAYS_MAKER and would_match(book.levels, side, command.price):
        return POST_ONLY_WOULD_TAKE
    more = hold(book, side, command.price, command.size) - hold(book, side, level.price, order.remaining)
    if more > balance_of(&core.accounts, order.account, held_asset(book, side)).available:
        return INSUFFICIENT_FUNDS

    release(core, order.account, held_asset(book, side), -more)
    if command.price == level.price and command.size <= order.remaining:
        touch_level(core, index, order.level)
        level.size -= order.remaining - command.size
        order.remaining = command.size
        tell_order(core, REPLACED, slot, command.price, command.size)
        return NO_REASON
    leave_level(core, index, slot)
    order.remaining = command.size
    tell_order(core, REPLACED, slot, command.price, command.size)
    match(core, index, slot, command.price, True)
    if order.remaining:
        rest(core, index, slot, command.price)
    else:
        finish(core, slot)
    return NO_REASON


cdef int cancel_all(Core* core, const Command* command) noexcept nogil:
    cdef uint32_t slot = core.accounts.account[command.account].earliest
    cdef uint32_t later
    cdef int64_t count = 0
    cdef Event* event
    if command.instrument >= core.books and command.instrument != ALL_INSTRUMENTS:
        return UNKNOWN_INSTRUMENT
    while slot:
        later = core.orders.order[slot].later
        if command.instrument == ALL_INSTRUMENTS or instrument_of(&core.orders.order[slot]) == command.instrument:
            cancel(core, slot)
            count += 1
        slot = later
    event = emit(core.events, ALL_CANCELLED)
    event.account = command.account
    event.instrument = command.instrument
    event.size = count
    return NO_REASON


cdef int open_account(Core* core) noexcept nogil:
    if core.accounts.count >= core.accounts.count_max:
        return TOO_MANY_ACCOUNTS
    add_account(&core.accounts)
    emit(core.events, ACCOUNT_OPENED).account = core.accounts.count - 1
    return NO_REASON


cdef int deposit(Core* core, const Command* command) noexcept nogil:
    if command.instrument >= core.accounts.assets:
        return UNKNOWN_ASSET
    if not 0 < command.size <= MONEY_LIMIT - core.accounts.supply[command.instrument]:
        return AMOUNT_OUT_OF_RANGE
    core.accounts.supply[command.instrument] += command.size
    touch(&core.accounts, command.account, command.instrument).available += command.size
    return NO_REASON


cdef int withdraw(Core* core, const Command* command) noexcept nogil:
    if command.instrument >= core.accounts.assets:
        return UNKNOWN_ASSET
    if command.size <= 0:
        return AMOUNT_OUT_OF_RANGE
    if command.size > balance_of(&core.accounts, command.account, command.instrument).available:
        return INSUFFICIENT_FUNDS
    core.accounts.supply[command.instrument] -= command.size
    touch(&core.accounts, command.account, command.instrument).available -= command.size
    return NO_REASON


cdef int outcome(Core* core, const Command* command, uint64_t* concerned) noexcept nogil:
    cdef uint32_t slot
    if command.kind == OPEN_ACCOUNT:
        return open_account(core)
    if not PLACE <= command.kind <= WITHDRAW:
        return UNKNOWN_COMMAND
    if command.account >= core.accounts.count:
        return UNKNOWN_ACCOUNT
    if command.kind == PLACE:
        return place(core, command, concerned)
    if command.kind == CANCEL_ALL:
        return cancel_all(core, command)
    if command.kind == DEPOSIT:
        return deposit(core, command)
    if command.kind == WITHDRAW:
        return withdraw(core, command)
    slot = named_order(core, command)
    if not slot:
        return UNKNOWN_ORDER
    concerned[0] = order_id(&core.orders, slot)
    if command.kind == REDUCE:
        return reduce(core, command, slot)
    if command.kind == REPLACE:
        return replace(core, command, slot)
    cancel(core, slot)
    return NO_REASON


cdef int run(Core* core, const Command* command) noexcept nogil:
    """Carry out one command and close its batch of events. Returns the reason if it was refused."""
    cdef uint64_t concerned = command.order
    cdef int reason
    cdef Event* event
    reason = outcome(core, command, &concerned)
    if reason:
        event = emit(core.events, REJECTED)
        event.order = concerned
        event.other = command.client_id
        event.account = command.account
        event.instrument = command.instrument
        event.side = command.side
        event.price = command.price
        event.size = command.size
        event.reason = reason
    end_command(core)
    return reason
