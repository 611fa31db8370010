"""The commands that are not about orders, but about accounts, instruments and the clock."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from engine.accounts cimport Account, Limits, add_account, balance_of, new_limits, note_limits, touch
from engine.auction cimport set_phase
from engine.core cimport FEE_PARTS, MONEY_LIMIT, TIERS, Book, set_band_of
from engine.events cimport emit
from engine.ladder cimport Levels
from engine.matching cimport cancel
from engine.model cimport (ACCOUNT_FROZEN, ACCOUNT_OPENED, ACCOUNT_SET, ADVANCE, ADVANCED, ALL_ACCOUNTS, ALL_CANCELLED, ALL_INSTRUMENTS, ALLOW,
                           AMOUNT_OUT_OF_RANGE, AUCTION, BAND_SET, BOTH_SIDES, DECREMENT, DELIST, DELISTED, DEPOSIT, FEES_SET, FREEZE, HALT,
                           INSUFFICIENT_FUNDS, MASS_CANCEL, NO_REASON, NOT_LISTED, OPEN_ACCOUNT, PAY_FEES, PRICE_OUT_OF_RANGE, REFERENCE_SET, REQUESTED,
                           SET_ACCOUNT, SET_BAND, SET_FEES, SET_LIMITS, SET_PHASE, SET_REFERENCE, SET_TIER, TOO_MANY_ACCOUNTS, UNKNOWN_ACCOUNT,
                           UNKNOWN_ASSET, UNKNOWN_COMMAND, UNKNOWN_INSTRUMENT, UNKNOWN_OPTION, WITHDRAW, WRONG_PHASE, Command,
                           Event)
from engine.orders cimport sort_by_age


# Accounts


cdef int open_account(Core* core) noexcept nogil:
    if core.accounts.count >= core.accounts.count_max:
        return TOO_MANY_ACCOUNTS
    add_account(&core.accounts)
    emit(core.events, ACCOUNT_OPENED).account = core.accounts.count - 1
    return NO_REASON


cdef int deposit(Core* core, const Command* command) noexcept nogil:
    if command.asset >= core.accounts.assets:
        return UNKNOWN_ASSET
    if not 0 < command.amount <= MONEY_LIMIT - core.accounts.supply[command.asset]:
        return AMOUNT_OUT_OF_RANGE
    core.accounts.supply[command.asset] += command.amount
    touch(&core.accounts, command.account, command.asset).available += command.amount
    return NO_REASON


cdef int withdraw(Core* core, const Command* command) noexcept nogil:
    if command.asset >= core.accounts.assets:
        return UNKNOWN_ASSET
    if command.amount <= 0:
        return AMOUNT_OUT_OF_RANGE
    if core.accounts.account[command.account].limited and core.accounts.limits[command.account].frozen:
        return ACCOUNT_FROZEN
    if command.amount > balance_of(&core.accounts, command.account, command.asset).available:
        return INSUFFICIENT_FUNDS
    core.accounts.supply[command.asset] -= command.amount
    touch(&core.accounts, command.account, command.asset).available -= command.amount
    return NO_REASON


cdef int pay_fees(Core* core, const Command* command) noexcept nogil:
    """Give an account of what was collected: the supply stays as it is."""
    if command.asset >= core.accounts.assets:
        return UNKNOWN_ASSET
    if command.amount <= 0:
        return AMOUNT_OUT_OF_RANGE
    if command.amount > core.accounts.fees[command.asset]:
        return INSUFFICIENT_FUNDS
    core.accounts.fees[command.asset] -= command.amount
    touch(&core.accounts, command.account, command.asset).available += command.amount
    return NO_REASON


cdef int set_account(Core* core, const Command* command) noexcept nogil:
    """All that is particular to an account, or only its limits, its tier, or whether it is frozen."""
    cdef Account* account = &core.accounts.account[command.account]
    cdef Limits* limits
    cdef bint all_of_it = command.kind == SET_ACCOUNT
    if command.kind == FREEZE and command.frozen > 1:
        return UNKNOWN_OPTION
    if (all_of_it or command.kind == SET_TIER) and command.tier >= TIERS or all_of_it and not ALLOW <= command.self_trade <= DECREMENT:
        return UNKNOWN_OPTION
    if (all_of_it or command.kind == SET_LIMITS) and (
            command.orders_max >> 32 or command.size_max < 0 or command.notional_max < 0 or all_of_it and command.group >> 32):
        return AMOUNT_OUT_OF_RANGE
    limits = new_limits(&core.accounts, command.account)
    if all_of_it:
        account.self_trade = command.self_trade
        limits.group = command.group
    if all_of_it or command.kind == SET_TIER:
        account.tier = command.tier
    if all_of_it or command.kind == SET_LIMITS:
        limits.orders_max = command.orders_max
        limits.size_max = command.size_max
        limits.notional_max = command.notional_max
    if command.kind == FREEZE:
        limits.frozen = command.frozen
    note_limits(&core.accounts, command.account)
    emit(core.events, ACCOUNT_SET).account = command.account
    return NO_REASON


# Orders of many


cdef uint32_t first_in(Core* core, Book* book, uint32_t* in_order) noexcept nogil:
    """The slot of an open order: the oldest of the best level, of the bids before the asks, and of what rests before what waits. 0: there is none.

    `in_order` is the trigger whose stops were put in order last.
    """
    cdef Levels* levels = book.levels
    cdef uint32_t index
    cdef int side
    if not book.open:
        return 0
    for side in range(2):
        if levels.ladders[side].best:
            return levels.level[levels.ladders[side].best].queue.head
    for side in range(2):
        index = book.stops.ladders[side].best
        if index:
            if index != in_order[0]:
                sort_by_age(&core.orders, &book.stops.level[index].queue)
                in_order[0] = index
            return book.stops.level[index].queue.head
    return 0


cdef int mass_cancel(Core* core, const Command* command) noexcept nogil:
    """Cancel at most `orders_max` orders, and the other ones of their pairs: an account's, an instrument's or everybody's."""
    cdef bint of_account = command.account != ALL_ACCOUNTS
    cdef uint32_t before = core.orders.count
    cdef uint32_t index = 0 if command.instrument == ALL_INSTRUMENTS else command.instrument
    cdef uint32_t slot, in_order = 0
    cdef uint64_t cancelled = 0
    cdef Event* event
    if of_account and command.account >= core.accounts.count:
        return UNKNOWN_ACCOUNT
    if command.instrument >= core.books and command.instrument != ALL_INSTRUMENTS:
        return UNKNOWN_INSTRUMENT
    if of_account and command.instrument != ALL_INSTRUMENTS:
        return UNKNOWN_OPTION
    if not command.orders_max:
        return AMOUNT_OUT_OF_RANGE
    while cancelled < command.orders_max:
        if of_account:
            slot = core.accounts.account[command.account].earliest
        else:
            slot = first_in(core, &core.book[index], &in_order) if index < core.books else 0
        if slot:
            cancel(core, slot, REQUESTED)
            cancelled += 1
        elif of_account or command.instrument != ALL_INSTRUMENTS or index >= core.books:
            break
        else:
            index += 1
            in_order = 0
    event = emit(core.events, ALL_CANCELLED)
    event.account = command.account
    event.instrument = command.instrument
    event.side = BOTH_SIDES
    event.orders = before - core.orders.count
    return NO_REASON


# Instruments


cdef bint rebates_are_paid(Book* book, const Command* command) noexcept nogil:
    """Whether no tier's rebate would be more than any tier's taker pays."""
    cdef int64_t rebate = -command.maker_rate, least = command.taker_rate
    cdef int tier
    for tier in range(TIERS):
        if tier != command.tier:
            rebate = max(rebate, -book.rates[tier].maker)
            least = min(least, book.rates[tier].taker)
    return rebate <= least


cdef int set_fees(Core* core, const Command* command) noexcept nogil:
    cdef Book* book = &core.book[command.instrument]
    cdef Event* event
    if command.tier >= TIERS:
        return UNKNOWN_OPTION
    if not -book.hold_fee <= command.maker_rate <= book.hold_fee or not 0 <= command.taker_rate <= book.hold_fee:
        return AMOUNT_OUT_OF_RANGE
    if not rebates_are_paid(book, command):
        return AMOUNT_OUT_OF_RANGE
    book.rates[command.tier].maker = command.maker_rate
    book.rates[command.tier].taker = command.taker_rate
    event = emit(core.events, FEES_SET)
    event.instrument = command.instrument
    event.tier = command.tier
    event.maker_rate = command.maker_rate
    event.taker_rate = command.taker_rate
    return NO_REASON


cdef int set_reference(Core* core, const Command* command) noexcept nogil:
    cdef Event* event
    if not 0 <= command.price <= core.book[command.instrument].price_max:
        return PRICE_OUT_OF_RANGE
    core.book[command.instrument].reference = command.price
    event = emit(core.events, REFERENCE_SET)
    event.instrument = command.instrument
    event.price = command.price
    return NO_REASON


cdef int set_band(Core* core, const Command* command) noexcept nogil:
    cdef Event* event
    if not 0 <= command.band < FEE_PARTS:
        return AMOUNT_OUT_OF_RANGE
    set_band_of(&core.book[command.instrument], command.band)
    event = emit(core.events, BAND_SET)
    event.instrument = command.instrument
    event.band = command.band
    return NO_REASON


cdef int change_phase(Core* core, const Command* command) noexcept nogil:
    if command.phase > AUCTION:
        return UNKNOWN_OPTION
    if core.book[command.instrument].phase == DELISTED:
        return NOT_LISTED
    set_phase(core, command.instrument, command.phase)
    return NO_REASON


cdef int delist(Core* core, const Command* command) noexcept nogil:
    """Delist an instrument, or list it again once it has no orders, and then halt it. O(1): its orders are cancelled by others."""
    cdef Book* book = &core.book[command.instrument]
    if command.delisted > 1:
        return UNKNOWN_OPTION
    if not command.delisted and book.phase != DELISTED:
        return WRONG_PHASE
    if not command.delisted and book.open:
        return NOT_LISTED
    set_phase(core, command.instrument, DELISTED if command.delisted else HALT)
    return NO_REASON


# Any of them


cdef int advance(Core* core) noexcept nogil:
    emit(core.events, ADVANCED).clock = core.clock
    return NO_REASON


cdef int of_instrument(Core* core, const Command* command) noexcept nogil:
    if command.instrument >= core.books:
        return UNKNOWN_INSTRUMENT
    if command.kind == SET_FEES:
        return set_fees(core, command)
    if command.kind == SET_REFERENCE:
        return set_reference(core, command)
    if command.kind == SET_BAND:
        return set_band(core, command)
    if command.kind == DELIST:
        return delist(core, command)
    return change_phase(core, command)


cdef int of_account(Core* core, const Command* command) noexcept nogil:
    if command.account >= core.accounts.count:
        return UNKNOWN_ACCOUNT
    if command.kind == DEPOSIT:
        return deposit(core, command)
    if command.kind == WITHDRAW:
        return withdraw(core, command)
    if command.kind == PAY_FEES:
        return pay_fees(core, command)
    return set_account(core, command)


cdef int administer(Core* core, const Command* command) noexcept nogil:
    if command.kind == OPEN_ACCOUNT:
        return open_account(core)
    if command.kind == ADVANCE:
        return advance(core)
    if SET_FEES <= command.kind <= SET_PHASE or DELIST <= command.kind <= SET_BAND:
        return of_instrument(core, command)
    if command.kind == MASS_CANCEL:
        return mass_cancel(core, command)
    if DEPOSIT <= command.kind <= SET_ACCOUNT or FREEZE <= command.kind <= PAY_FEES:
        return of_account(core, command)
    return UNKNOWN_COMMAND
