"""Why a command may not be carried out. Each check changes nothing; engine/REFERENCE.md gives their order."""


from engine.accounts cimport Account, Limits, balance_of
from engine.client_ids cimport find_client_id
from engine.core cimport DAY_NS, LOOKS_MAX, MONEY_LIMIT, RULES, Book, cost, fee, held_asset, held_by, hold, multiplied
from engine.entry cimport in_band, market_limit
from engine.matching cimport would_match
from engine.model cimport (ACCOUNT_DEFAULT, ALREADY_EXPIRED, BUY, DAY, DECREMENT, DUPLICATE_CLIENT_ID, FOK, GTC, GTD, HALT, HALTED,
                           INSUFFICIENT_FUNDS, IOC, LIMIT, MARKET, NO_REASON, NO_REFERENCE, NOT_LINKABLE, NOTIONAL_TOO_LARGE, POST_ONLY,
                           POST_ONLY_WOULD_TAKE, PRICE_OUT_OF_BAND, PRICE_OUT_OF_RANGE, QUOTE, SELL, SIZE_TOO_LARGE, SIZE_TOO_SMALL, SLIDE,
                           STOP_LIMIT, TOO_MANY_FILLS, TOO_MANY_ORDERS, TOO_MANY_PARTS, TOO_MANY_STOPS, TRAILING_STOP, UNFILLABLE, UNKNOWN_INSTRUMENT, UNKNOWN_OPTION, UNKNOWN_ORDER, WRONG_PHASE)
from engine.orders cimport NUMBER_LIMIT, SPECIAL, STAYS_MAKER, WAITS, Order, instrument_of, partner_of, self_trade_of, side_of, slot_of, unpaid_of
from engine.reach cimport affordable, costs_more, liquidity, lots_for, meets_too_many

# Options


cdef inline bint is_plain(const Command* command) noexcept nogil:
    """A limit order without any option: GTC or IOC, perhaps post-only."""
    return (command.type | command.flags & ~POST_ONLY | command.self_trade) == 0 and command.time_in_force <= IOC and (
        command.order | <uint64_t>(command.stop | command.display | command.min_size | command.expires)) == 0


cdef bint bad_options(const Command* command) noexcept nogil:
    cdef bint stays = command.type != MARKET and command.time_in_force in (GTC, GTD, DAY)
    cdef bint is_stop = command.type > MARKET
    if command.type > TRAILING_STOP or command.time_in_force > DAY or command.flags & ~(POST_ONLY | SLIDE | QUOTE) or command.self_trade > DECREMENT:
        return True
    if not stays and (is_stop or command.flags & POST_ONLY or command.display or command.order or command.time_in_force > FOK):
        return True
    if is_stop and (command.flags or command.display or command.min_size):
        return True
    if command.flags & SLIDE and not command.flags & POST_ONLY:
        return True
    if command.flags & QUOTE and (command.type != MARKET or command.time_in_force == FOK or command.min_size):
        return True
    if command.min_size and command.flags & POST_ONLY:
        return True
    return (command.expires != 0 and command.time_in_force != GTD) or (command.stop != 0 and not is_stop)


# Numbers


cdef inline int bad_size(Book* book, Account* account, Limits* limits, int64_t size) noexcept nogil:
    if size < book.size_min or size <= 0:
        return SIZE_TOO_SMALL
    if size > book.size_max or account.limited and limits.size_max and size > limits.size_max:
        return SIZE_TOO_LARGE
    return NO_REASON


cdef int bad_notional(Book* book, Account* account, Limits* limits, int64_t price, int64_t size) noexcept nogil:
    """Whether an order's size or cost is more than the exchange can count, or more than allowed. A price of 0 leaves only the size."""
    cdef int64_t notional
    if multiplied(size, book.lot_units, &notional) or notional > MONEY_LIMIT:
        return NOTIONAL_TOO_LARGE
    if multiplied(price, size, &notional) or multiplied(notional, book.tick_value, &notional) or notional > MONEY_LIMIT:
        return NOTIONAL_TOO_LARGE
    if notional + fee(notional, book.hold_fee) > MONEY_LIMIT:
        return NOTIONAL_TOO_LARGE
    if book.notional_max and notional > book.notional_max or account.limited and limits.notional_max and notional > limits.notional_max:
        return NOTIONAL_TOO_LARGE
    return NO_REASON


cdef inline bint too_many_parts(Book* book, int64_t size, int64_t display) noexcept nogil:
    """Whether an iceberg would show itself in more parts than it may."""
    return display and (size - 1) // display >= book.parts_max


cdef inline bint no_room(Core* core, bint stays) noexcept nogil:
    """Whether the exchange has all the orders that it may. One that does not stay needs no room."""
    return (stays and core.orders.count >= core.orders.count_max) or core.orders.number >= NUMBER_LIMIT


cdef int64_t end_of_day(Core* core, Book* book) noexcept nogil:
    return ((core.clock - book.day_end) // DAY_NS + 1) * DAY_NS + book.day_end if core.clock >= book.day_end else book.day_end


# PLACE


cdef int bad_phase(Book* book, const Command* command, bint stays) noexcept nogil:
    if book.phase == HALT:
        return HALTED
    if book.levels != book.published and (not stays or command.type != LIMIT or command.flags or command.min_size):
        return WRONG_PHASE
    return NO_REASON


cdef int bad_price(Book* book, const Command* command, Intent* intent) noexcept nogil:
    cdef bint is_stop = command.type > MARKET
    cdef uint32_t best
    if not (1 if command.type == LIMIT or command.type == STOP_LIMIT else 0) <= command.price <= book.price_max:
        return PRICE_OUT_OF_RANGE
    if is_stop and not 1 <= command.stop <= book.price_max:
        return PRICE_OUT_OF_RANGE
    if command.type == TRAILING_STOP:
        if not book.last:
            return NO_REFERENCE
        intent.stop = book.last + command.stop if command.side == BUY else book.last - command.stop
        if not 1 <= intent.stop <= book.price_max:
            return PRICE_OUT_OF_RANGE
    if command.flags & POST_ONLY and would_match(book.levels, command.side, command.price):
        best = book.levels.ladders[1 - command.side].best
        intent.price = book.levels.level[best].price + (-1 if command.side == BUY else 1)
        if not command.flags & SLIDE or not 1 <= intent.price <= book.price_max:
            return POST_ONLY_WOULD_TAKE
    return NO_REASON


cdef int bad_partner(Core* core, const Command* command, Intent* intent) noexcept nogil:
    cdef uint32_t slot = slot_of(&core.orders, command.order)
    cdef Order* order = &core.orders.order[slot]
    if not slot or order.account != command.account:
        return UNKNOWN_ORDER
    if instrument_of(order) != command.instrument or side_of(order) != command.side or partner_of(&core.orders, slot):
        return NOT_LINKABLE
    if command.type == LIMIT and not order.tag & WAITS:
        return NOT_LINKABLE
    intent.partner = slot
    return NO_REASON


cdef int unfillable(Core* core, const Command* command, Intent* intent, int64_t limit, Limits* limits) noexcept nogil:
    cdef Book* book = &core.book[command.instrument]
    cdef Account* account = &core.accounts.account[command.account]
    cdef int64_t wanted = intent.size if command.time_in_force == FOK else command.min_size
    cdef int reason
    if command.flags & QUOTE:
        intent.size = lots_for(core, command.instrument, command.side, limit, command.size, command.account, intent.mode)
        if not intent.size or core.looked > LOOKS_MAX:
            return UNFILLABLE
        reason = bad_size(book, account, limits, intent.size)
        return reason if reason else bad_notional(book, account, limits, 0, intent.size)
    if wanted and liquidity(core, command.instrument, command.side, limit, wanted, command.account, intent.mode) < wanted:
        return UNFILLABLE
    return NO_REASON


cdef bint trades_too_much(Core* core, const Command* command, Intent* intent, int64_t limit, Limits* limits) noexcept nogil:
    """Whether what a MARKET order would trade is worth more than an order may be."""
    cdef Book* book = &core.book[command.instrument]
    cdef int64_t most = MONEY_LIMIT
    if not book.market_notional:
        return False
    if book.notional_max:
        most = book.notional_max
    if limits != NULL and limits.notional_max:
        most = min(most, limits.notional_max)
    return most < MONEY_LIMIT and costs_more(core, command.instrument, command.side, limit, intent.size, command.account, intent.mode, 0, most)


cdef bint can_pay(Core* core, const Command* command, Intent* intent, int64_t limit) noexcept nogil:
    cdef Book* book = &core.book[command.instrument]
    cdef int64_t needed, other
    intent.held = 0
    if command.side == BUY and command.type != LIMIT and command.type != STOP_LIMIT:
        return command.type != MARKET or affordable(core, command.instrument, limit, intent.size, command.account, intent.mode)
    needed = intent.held = hold(book, command.side, intent.price, intent.size, 0)
    if intent.partner:
        other = held_by(core, intent.partner)
        needed = max(needed, other) - other
    return needed <= balance_of(&core.accounts, command.account, held_asset(book, command.side)).available


cdef int check_plain(Core* core, Book* book, const Command* command, Intent* intent, uint64_t* concerned) noexcept nogil:
    """The same as `check_place` for most orders: without options, of an account and in a book without rules of their own."""
    cdef int64_t base, notional
    cdef int64_t held[2]
    cdef uint64_t order
    if command.client_id:
        order = find_client_id(&core.client_ids, command.account, command.client_id)
        if order:
            concerned[0] = order
            return DUPLICATE_CLIENT_ID
    if not 1 <= command.price <= book.price_max:
        return PRICE_OUT_OF_RANGE
    if command.flags and would_match(book.levels, command.side, command.price):
        return POST_ONLY_WOULD_TAKE
    if command.size < book.size_min:
        return SIZE_TOO_SMALL
    if command.size > book.size_max:
        return SIZE_TOO_LARGE
    if multiplied(command.size, book.lot_units, &base) or base > MONEY_LIMIT:
        return NOTIONAL_TOO_LARGE
    if multiplied(command.price, command.size, &notional) or multiplied(notional, book.tick_value, &notional) or notional > MONEY_LIMIT:
        return NOTIONAL_TOO_LARGE
    notional += fee(notional, book.hold_fee)
    if notional > MONEY_LIMIT:
        return NOTIONAL_TOO_LARGE
    if no_room(core, intent.stays or core.rules != RULES):
        return TOO_MANY_ORDERS
    intent.price = command.price
    intent.size = command.size
    held[<int>BUY] = notional
    held[<int>SELL] = base
    intent.held = held[command.side]
    intent.partner = 0
    intent.expires = 0
    intent.mode = core.accounts.account[command.account].self_trade
    if would_match(book.levels, command.side, command.price) and meets_too_many(
            core, command.instrument, command.side, command.price, command.size, command.account, intent.mode):
        return TOO_MANY_FILLS
    if intent.held > balance_of(&core.accounts, command.account, held_asset(book, command.side)).available:
        return INSUFFICIENT_FUNDS
    return NO_REASON


cdef int check_place(Core* core, const Command* command, Intent* intent, uint64_t* concerned) noexcept nogil:
    """Why an order may not enter; NO_REASON if it may, and then what it comes to."""
    cdef Book* book
    cdef Account* account = &core.accounts.account[command.account]
    cdef Limits* limits = core.accounts.limits + command.account if account.limited else NULL
    cdef bint plain = is_plain(command)
    cdef bint priced = command.type == LIMIT or command.type == STOP_LIMIT
    cdef bint counts            # among the open orders that are limited
    cdef int64_t limit
    cdef uint64_t order
    cdef int reason
    if command.instrument >= core.books:
        return UNKNOWN_INSTRUMENT
    book = &core.book[command.instrument]
    intent.stays = command.type != MARKET and command.time_in_force != IOC and command.time_in_force != FOK
    counts = intent.stays or core.rules != RULES
    if command.side > SELL or (not plain and bad_options(command)) or (plain and command.flags and not intent.stays):
        return UNKNOWN_OPTION
    if plain and not (book.particular | book.phase | account.limited):
        return check_plain(core, book, command, intent, concerned)
    if command.client_id:
        order = find_client_id(&core.client_ids, command.account, command.client_id)
        if order:
            concerned[0] = order
            return DUPLICATE_CLIENT_ID
    if book.phase:
        reason = bad_phase(book, command, intent.stays)
        if reason:
            return reason
    intent.price = command.price
    intent.size = command.size
    intent.stop = command.stop
    intent.expires = command.expires
    intent.partner = 0
    intent.mode = command.self_trade if command.self_trade != ACCOUNT_DEFAULT else account.self_trade
    if command.time_in_force == GTD and command.expires <= core.clock:
        return ALREADY_EXPIRED
    if command.time_in_force == DAY:
        intent.expires = end_of_day(core, book)
    reason = bad_price(book, command, intent)
    if reason:
        return reason
    if command.flags & QUOTE:
        if command.size <= 0:
            return SIZE_TOO_SMALL
        if command.size > MONEY_LIMIT:
            return NOTIONAL_TOO_LARGE
    else:
        reason = bad_size(book, account, limits, command.size)
        if reason:
            return reason
        if not plain:
            if command.display < 0 or (command.display and command.display < book.size_min) or command.min_size < 0:
                return SIZE_TOO_SMALL
            if command.min_size > command.size:
                return SIZE_TOO_LARGE
            if too_many_parts(book, command.size, command.display):
                return TOO_MANY_PARTS
        reason = bad_notional(book, account, limits, intent.price if priced else 0, command.size)
        if reason:
            return reason
    if no_room(core, counts) or (counts and book.orders_max and book.open >= book.orders_max):
        return TOO_MANY_ORDERS
    if counts and account.limited and limits.orders_max and account.open >= limits.orders_max:
        return TOO_MANY_ORDERS
    if command.type > MARKET and book.waiting >= book.stops_max:
        return TOO_MANY_STOPS
    if command.order:
        reason = bad_partner(core, command, intent)
        if reason:
            return reason
    if command.type == LIMIT:
        limit = intent.price
        if book.band and not in_band(book, command.side, limit):
            return PRICE_OUT_OF_BAND
    else:
        limit = market_limit(book, command.side, command.price)
    if not plain and command.type <= MARKET:
        reason = unfillable(core, command, intent, limit, limits)
        if reason:
            return reason
    if command.type == MARKET and trades_too_much(core, command, intent, limit, limits):
        return NOTIONAL_TOO_LARGE
    if command.type <= MARKET and book.levels == book.published and meets_too_many(
            core, command.instrument, command.side, limit, intent.size, command.account, intent.mode):
        return TOO_MANY_FILLS
    return NO_REASON if can_pay(core, command, intent, limit) else INSUFFICIENT_FUNDS


# REPLACE


cdef int check_replace(Core* core, const Command* command, uint32_t slot) noexcept nogil:
    """Why an open order may not be replaced; NO_REASON if it may."""
    cdef Order* order = &core.orders.order[slot]
    cdef Book* book = &core.book[instrument_of(order)]
    cdef Account* account = &core.accounts.account[order.account]
    cdef Limits* limits = core.accounts.limits + order.account if account.limited else NULL
    cdef int side = side_of(order)
    cdef bint waits = order.tag & WAITS != 0
    cdef bint priced = not waits or core.orders.special[slot].type == STOP_LIMIT
    cdef uint32_t partner = partner_of(&core.orders, slot)
    cdef uint32_t unpaid = unpaid_of(&core.orders, slot)
    cdef int64_t before, after, other
    cdef int reason
    if command.stop and (not waits or core.orders.special[slot].trail):
        return UNKNOWN_OPTION
    if book.phase == HALT:
        return HALTED
    if command.stop and book.levels != book.published:
        return WRONG_PHASE
    if not (1 if priced else 0) <= command.price <= book.price_max or (command.stop and not 1 <= command.stop <= book.price_max):
        return PRICE_OUT_OF_RANGE
    reason = bad_size(book, account, limits, command.size)
    if reason:
        return reason
    if order.tag & SPECIAL and too_many_parts(book, command.size, core.orders.special[slot].display):
        return TOO_MANY_PARTS
    reason = bad_notional(book, account, limits, command.price if priced else 0, command.size)
    if reason:
        return reason
    if order.filled > MONEY_LIMIT - command.size or order.value > MONEY_LIMIT - (cost(book, command.price, command.size, unpaid) if priced else 0):
        return NOTIONAL_TOO_LARGE
    if not waits and not in_band(book, side, command.price):
        return PRICE_OUT_OF_BAND
    if order.tag & STAYS_MAKER and book.levels == book.published and would_match(book.levels, side, command.price):
        return POST_ONLY_WOULD_TAKE
    if not waits and book.levels == book.published and meets_too_many(
            core, instrument_of(order), side, command.price, command.size, order.account, self_trade_of(order)):
        return TOO_MANY_FILLS
    if side == BUY and not priced:
        return NO_REASON
    before = held_by(core, slot)
    after = hold(book, side, command.price, command.size, unpaid)
    if partner:
        other = held_by(core, partner)
        before = max(before, other)
        after = max(after, other)
    return NO_REASON if after - before <= balance_of(&core.accounts, order.account, held_asset(book, side)).available else INSUFFICIENT_FUNDS
