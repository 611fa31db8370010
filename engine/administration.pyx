"""The commands that are not about orders, but about accounts, instruments and the clock."""

from engine.accounts cimport Account, Limits, add_account, balance_of, new_limits, touch
from engine.auction cimport set_phase
from engine.core cimport MONEY_LIMIT, TIERS, Book
from engine.events cimport emit
from engine.model cimport (ACCOUNT_OPENED, ACCOUNT_SET, ADVANCE, ADVANCED, ALLOW, AMOUNT_OUT_OF_RANGE, AUCTION, DECREMENT, DEPOSIT, FEES_SET,
                           INSUFFICIENT_FUNDS, NO_REASON, OPEN_ACCOUNT, PRICE_OUT_OF_RANGE, REFERENCE_SET, SET_ACCOUNT, SET_FEES, SET_PHASE,
                           SET_REFERENCE, TOO_MANY_ACCOUNTS, UNKNOWN_ACCOUNT, UNKNOWN_ASSET, UNKNOWN_COMMAND, UNKNOWN_INSTRUMENT, UNKNOWN_OPTION,
                           WITHDRAW, Command, Event)


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
    if command.amount > balance_of(&core.accounts, command.account, command.asset).available:
        return INSUFFICIENT_FUNDS
    core.accounts.supply[command.asset] -= command.amount
    touch(&core.accounts, command.account, command.asset).available -= command.amount
    return NO_REASON


cdef int set_account(Core* core, const Command* command) noexcept nogil:
    cdef Account* account = &core.accounts.account[command.account]
    cdef Limits* limits
    if command.tier >= TIERS or not ALLOW <= command.self_trade <= DECREMENT:
        return UNKNOWN_OPTION
    if command.group >> 32 or command.orders_max >> 32 or command.size_max < 0 or command.notional_max < 0:
        return AMOUNT_OUT_OF_RANGE
    account.tier = command.tier
    account.self_trade = command.self_trade
    account.grouped = command.group != 0
    account.limited = command.orders_max != 0 or command.size_max != 0 or command.notional_max != 0
    limits = new_limits(&core.accounts, command.account)
    limits.group = command.group
    limits.orders_max = command.orders_max
    limits.size_max = command.size_max
    limits.notional_max = command.notional_max
    emit(core.events, ACCOUNT_SET).account = command.account
    return NO_REASON


# Instruments


cdef int set_fees(Core* core, const Command* command) noexcept nogil:
    cdef Book* book = &core.book[command.instrument]
    cdef Event* event
    if command.tier >= TIERS:
        return UNKNOWN_OPTION
    if not 0 <= command.maker_rate <= book.hold_fee or not 0 <= command.taker_rate <= book.hold_fee:
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
    if command.phase > AUCTION:
        return UNKNOWN_OPTION
    set_phase(core, command.instrument, command.phase)
    return NO_REASON


cdef int of_account(Core* core, const Command* command) noexcept nogil:
    if command.account >= core.accounts.count:
        return UNKNOWN_ACCOUNT
    if command.kind == DEPOSIT:
        return deposit(core, command)
    if command.kind == WITHDRAW:
        return withdraw(core, command)
    return set_account(core, command)


cdef int administer(Core* core, const Command* command) noexcept nogil:
    if command.kind == OPEN_ACCOUNT:
        return open_account(core)
    if command.kind == ADVANCE:
        return advance(core)
    if SET_FEES <= command.kind <= SET_PHASE:
        return of_instrument(core, command)
    if DEPOSIT <= command.kind <= SET_ACCOUNT:
        return of_account(core, command)
    return UNKNOWN_COMMAND
