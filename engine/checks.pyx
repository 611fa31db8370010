"""Why a command may not be carried out. Each check changes nothing; engine/REFERENCE.md gives their order."""


from engine.accounts cimport Account, Limits, balance_of
from engine.client_ids cimport find_client_id
from engine.core cimport DAY_NS, LOOKS_MAX, MONEY_LIMIT, RULES, Book, added_hold, cost, fee, has_limit, held_asset, held_by, hold, multiplied
from engine.entry cimport in_band, market_limit
from engine.matching cimport would_take
from engine.model cimport (ACCOUNT_DEFAULT, ACCOUNT_FROZEN, ALREADY_EXPIRED, BUY, DAY, DECREMENT, DELISTED, DUPLICATE_CLIENT_ID, FOK, GTD, HALT, HALTED,
                           INSUFFICIENT_FUNDS, IOC, LIMIT, MARKET, NO_REASON, NO_REFERENCE, NOT_LINKABLE, NOT_LISTED, NOTIONAL_TOO_LARGE, POST_ONLY,
                           POST_ONLY_WOULD_TAKE, PRICE_OUT_OF_BAND, PRICE_OUT_OF_RANGE, QUOTE, SELL, SIZE_TOO_LARGE, SIZE_TOO_SMALL, SLIDE,
                           TAKE_PROFIT_LIMIT, TOO_MANY_FILLS, TOO_MANY_ORDERS, TOO_MANY_PARTS, TOO_MANY_STOPS, TRAILING_STOP, UNFILLABLE, UNKNOWN_INSTRUMENT,
                           UNKNOWN_OPTION, UNKNOWN_ORDER, WRONG_PHASE)
from engine.orders cimport NUMBER_LIMIT, SPECIAL, STAYS_MAKER, WAITS, Order, instrument_of, partner_of, self_trade_of, side_of, slot_of, unpaid_of
from engine.reach cimport affordable, costs_more, liquidity, lots_for, meets_too_many

# Options


cdef inline bint is_plain(const Command* command) noexcept nogil:
    """A limit order without any option: GTC, perhaps post-only, or IOC."""
    return (command.type | command.flags & ~POST_ONLY | command.self_trade) == 0 and command.time_in_force + command.flags <= IOC and (
        command.linked | <uint64_t>(command.stop | command.display | command.min_size | command.expires)) == 0


cdef bint bad_options(const Command* command, bint stays) noexcept nogil:
    cdef bint is_stop = command.type > MARKET
    if command.type > TAKE_PROFIT_LIMIT or command.time_in_force > DAY or command.flags & ~(POST_ONLY | SLIDE | QUOTE) or command.self_trade > DECREMENT:
        return True
    if not stays and (is_stop or command.flags & POST_ONLY or command.display or command.linked or command.time_in_force > FOK):
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


cdef inline bint is_price(Book* book, int64_t price) noexcept nogil:
    return 1 <= price <= book.price_max


cdef inline bint bad_limit(Book* book, bint priced, int64_t price) noexcept nogil:
    """Whether this is no limit; of an order without one, no protection."""
    return not is_price(book, price) and (priced or price != 0)


cdef inline int bad_size(Book* book, Limits* limits, int64_t size) noexcept nogil:
    if size < book.size_min or size <= 0:
        return SIZE_TOO_SMALL
    if size > book.size_max or limits != NULL and limits.size_max and size > limits.size_max:
        return SIZE_TOO_LARGE
    return NO_REASON


cdef inline int64_t notional_limit(Book* book, Limits* limits) noexcept nogil:
    """What an order may be worth."""
    cdef int64_t most = book.notional_max if book.notional_max else MONEY_LIMIT
    return min(most, limits.notional_max) if limits != NULL and limits.notional_max else most


cdef inline int bad_notional(Book* book, Limits* limits, int64_t price, int64_t size, int64_t* held) noexcept nogil:
    """Whether an order's size or cost is more than the exchange can count, or more than allowed; if not, what it would hold on each side.

    A price of 0 leaves only the size.
    """
    cdef int64_t notional
    if multiplied(size, book.lot_units, &held[<int>SELL]) or held[<int>SELL] > MONEY_LIMIT:
        return NOTIONAL_TOO_LARGE
    if multiplied(price, size, &notional) or multiplied(notional, book.tick_value, &notional) or notional > notional_limit(book, limits):
        return NOTIONAL_TOO_LARGE
    held[<int>BUY] = notional + fee(notional, book.hold_fee)
    return NOTIONAL_TOO_LARGE if held[<int>BUY] > MONEY_LIMIT else NO_REASON


cdef inline bint too_many_parts(Book* book, int64_t size, int64_t display) noexcept nogil:
    """Whether an iceberg would be displayed in more parts than it may."""
    return display and (size - 1) // display >= book.parts_max


cdef inline bint no_room(Core* core, Book* book, Account* account, Limits* limits, bint counts) noexcept nogil:
    """Whether there are all the orders that there may be. One that does not count among the open ones needs no room."""
    if core.orders.number >= NUMBER_LIMIT:
        return True
    return counts and (core.orders.count >= core.orders.count_max or (book.orders_max and book.open >= book.orders_max)
                       or (limits != NULL and limits.orders_max and account.open >= limits.orders_max))


# The book and the money


cdef inline bint too_many_fills(Core* core, uint32_t book, int side, int64_t limit, int64_t size, uint32_t account, int mode) noexcept nogil:
    return would_take(&core.book[book], side, limit) and meets_too_many(core, book, side, limit, size, account, mode)


cdef inline bint can_hold(Core* core, Book* book, int side, uint32_t account, uint32_t partner, int64_t before, int64_t after) noexcept nogil:
    """Whether an account has what an order needs that is to hold more by itself than before."""
    return added_hold(core, partner, before, after) <= balance_of(&core.accounts, account, held_asset(book, side)).available


cdef inline bint is_closed(Book* book) noexcept nogil:
    return book.phase == HALT or book.phase == DELISTED


# PLACE


cdef int bad_phase(Book* book, const Command* command, bint stays) noexcept nogil:
    if is_closed(book):
        return HALTED if book.phase == HALT else NOT_LISTED
    if book.levels != book.published and (not stays or command.type != LIMIT or command.flags or command.min_size):
        return WRONG_PHASE
    return NO_REASON


cdef int64_t end_of_day(Core* core, Book* book) noexcept nogil:
    return ((core.clock - book.day_end) // DAY_NS + 1) * DAY_NS + book.day_end if core.clock >= book.day_end else book.day_end


cdef inline int bad_price(Book* book, const Command* command, int type, Intent* intent) noexcept nogil:
    cdef uint32_t best
    if bad_limit(book, has_limit(type), command.price) or (type > MARKET and not is_price(book, command.stop)):
        return PRICE_OUT_OF_RANGE
    if type == TRAILING_STOP:
        if not book.last:
            return NO_REFERENCE
        intent.stop = book.last + command.stop if command.side == BUY else book.last - command.stop
        if not is_price(book, intent.stop):
            return PRICE_OUT_OF_RANGE
    if command.flags & POST_ONLY and would_take(book, command.side, command.price):
        best = book.levels.ladders[1 - command.side].best
        intent.price = book.levels.level[best].price + (-1 if command.side == BUY else 1)
        if not command.flags & SLIDE or not is_price(book, intent.price):
            return POST_ONLY_WOULD_TAKE
    return NO_REASON


cdef int bad_parts(Book* book, const Command* command) noexcept nogil:
    if command.display < 0 or (command.display and command.display < book.size_min) or command.min_size < 0:
        return SIZE_TOO_SMALL
    if command.min_size > command.size:
        return SIZE_TOO_LARGE
    return TOO_MANY_PARTS if too_many_parts(book, command.size, command.display) else NO_REASON


cdef int bad_partner(Core* core, const Command* command, Intent* intent) noexcept nogil:
    cdef uint32_t slot = slot_of(&core.orders, command.linked)
    cdef Order* order = &core.orders.order[slot]
    if not slot or order.account != command.account:
        return UNKNOWN_ORDER
    if instrument_of(order) != command.instrument or side_of(order) != command.side or partner_of(&core.orders, slot):
        return NOT_LINKABLE
    if command.type == LIMIT and not order.tag & WAITS:
        return NOT_LINKABLE
    intent.partner = slot
    return NO_REASON


cdef int unfillable(Core* core, const Command* command, Intent* intent, int64_t limit, Limits* limits, int64_t* held) noexcept nogil:
    cdef Book* book = &core.book[command.instrument]
    cdef int64_t wanted = intent.size if command.time_in_force == FOK else command.min_size
    cdef int reason
    if command.flags & QUOTE:
        intent.size = lots_for(core, command.instrument, command.side, limit, command.size, command.account, intent.mode)
        if not intent.size or core.looked > LOOKS_MAX:
            return UNFILLABLE
        reason = bad_size(book, limits, intent.size)
        return reason if reason else bad_notional(book, limits, 0, intent.size, held)
    if wanted and liquidity(core, command.instrument, command.side, limit, wanted, command.account, intent.mode) < wanted:
        return UNFILLABLE
    return NO_REASON


cdef bint trades_too_much(Core* core, const Command* command, Intent* intent, int64_t limit, Limits* limits) noexcept nogil:
    """Whether the notional that a MARKET order would trade is above the maximum of an order."""
    cdef Book* book = &core.book[command.instrument]
    cdef int64_t most = notional_limit(book, limits)
    return book.market_notional and most < MONEY_LIMIT and costs_more(
        core, command.instrument, command.side, limit, intent.size, command.account, intent.mode, 0, most)


cdef inline int check_terms(Core* core, const Command* command, Intent* intent, uint64_t* concerned, bint plain) noexcept nogil:
    """All but the options. `plain` is written where this is called: without options, of an account and in a book without rules of their own.

    The compiler makes of this a short function for most orders, and a long one for the others.
    """
    cdef Book* book = &core.book[command.instrument]
    cdef Account* account = &core.accounts.account[command.account]
    cdef Limits* limits = core.accounts.limits + command.account if not plain and account.limited else NULL
    cdef int type = LIMIT if plain else command.type
    cdef bint counts = intent.stays or core.rules != RULES      # among the open orders that are limited
    cdef bint quote = not plain and command.flags & QUOTE
    cdef int64_t limit
    cdef int64_t held[2]
    cdef uint64_t order
    cdef int reason
    if command.client_id:
        order = find_client_id(&core.client_ids, command.account, command.client_id)
        if order:
            concerned[0] = order
            return DUPLICATE_CLIENT_ID
    if limits != NULL and limits.frozen:
        return ACCOUNT_FROZEN
    reason = NO_REASON if plain else bad_phase(book, command, intent.stays)
    if reason:
        return reason
    intent.price = command.price
    intent.size = command.size
    intent.stop = command.stop
    intent.expires = end_of_day(core, book) if not plain and command.time_in_force == DAY else command.expires
    intent.partner = 0
    intent.held = 0
    intent.mode = command.self_trade if command.self_trade != ACCOUNT_DEFAULT else account.self_trade
    if not plain and command.time_in_force == GTD and command.expires <= core.clock:
        return ALREADY_EXPIRED
    reason = bad_price(book, command, type, intent)
    if reason:
        return reason
    if quote:
        if command.size <= 0:
            return SIZE_TOO_SMALL
        if command.size > MONEY_LIMIT:
            return NOTIONAL_TOO_LARGE
    else:
        reason = bad_size(book, limits, command.size)
        if not reason and not plain:
            reason = bad_parts(book, command)
        if not reason:
            reason = bad_notional(book, limits, intent.price if has_limit(type) else 0, command.size, held)
        if reason:
            return reason
    if no_room(core, book, account, limits, counts):
        return TOO_MANY_ORDERS
    if type > MARKET and book.waiting >= book.stops_max:
        return TOO_MANY_STOPS
    if not plain and command.linked:
        reason = bad_partner(core, command, intent)
        if reason:
            return reason
    limit = intent.price if type == LIMIT else market_limit(book, command.side, command.price)
    if not plain and type == LIMIT and not in_band(book, command.side, limit):
        return PRICE_OUT_OF_BAND
    if not plain and type <= MARKET:
        reason = unfillable(core, command, intent, limit, limits, held)
        if reason:
            return reason
    if type == MARKET and trades_too_much(core, command, intent, limit, limits):
        return NOTIONAL_TOO_LARGE
    if type <= MARKET and too_many_fills(core, command.instrument, command.side, limit, intent.size, command.account, intent.mode):
        return TOO_MANY_FILLS
    if command.side == BUY and not has_limit(type):
        if type == MARKET and not affordable(core, command.instrument, limit, intent.size, command.account, intent.mode):
            return INSUFFICIENT_FUNDS
        return NO_REASON
    intent.held = held[command.side]
    return NO_REASON if can_hold(core, book, command.side, command.account, intent.partner, 0, intent.held) else INSUFFICIENT_FUNDS


cdef int check_place(Core* core, const Command* command, Intent* intent, uint64_t* concerned) noexcept nogil:
    """Why an order may not enter; NO_REASON if it may, and then what it comes to."""
    cdef bint plain = is_plain(command)
    cdef Book* book
    if command.instrument >= core.books:
        return UNKNOWN_INSTRUMENT
    book = &core.book[command.instrument]
    intent.stays = command.type != MARKET and command.time_in_force != IOC and command.time_in_force != FOK
    if command.side > SELL or (not plain and bad_options(command, intent.stays)):
        return UNKNOWN_OPTION
    if plain and not (book.particular | book.phase | core.accounts.account[command.account].limited):
        return check_terms(core, command, intent, concerned, True)
    return check_terms(core, command, intent, concerned, False)


# REPLACE


cdef int check_replace(Core* core, const Command* command, uint32_t slot) noexcept nogil:
    """Why an open order may not be replaced; NO_REASON if it may."""
    cdef Order* order = &core.orders.order[slot]
    cdef Book* book = &core.book[instrument_of(order)]
    cdef Limits* limits = core.accounts.limits + order.account if core.accounts.account[order.account].limited else NULL
    cdef int side = side_of(order)
    cdef bint waits = order.tag & WAITS != 0
    cdef bint priced = not waits or has_limit(core.orders.special[slot].type)
    cdef uint32_t unpaid = unpaid_of(&core.orders, slot)
    cdef int64_t held[2]
    cdef int reason
    if command.stop and (not waits or core.orders.special[slot].trail):
        return UNKNOWN_OPTION
    if limits != NULL and limits.frozen:
        return ACCOUNT_FROZEN
    if is_closed(book):
        return HALTED if book.phase == HALT else NOT_LISTED
    if command.stop and book.levels != book.published:
        return WRONG_PHASE
    if bad_limit(book, priced, command.price) or (command.stop and not is_price(book, command.stop)):
        return PRICE_OUT_OF_RANGE
    reason = bad_size(book, limits, command.size)
    if reason:
        return reason
    if order.tag & SPECIAL and too_many_parts(book, command.size, core.orders.special[slot].display):
        return TOO_MANY_PARTS
    reason = bad_notional(book, limits, command.price if priced else 0, command.size, held)
    if reason:
        return reason
    if order.filled > MONEY_LIMIT - command.size or order.value > MONEY_LIMIT - (cost(book, command.price, command.size, unpaid) if priced else 0):
        return NOTIONAL_TOO_LARGE
    if not waits and not in_band(book, side, command.price):
        return PRICE_OUT_OF_BAND
    if order.tag & STAYS_MAKER and would_take(book, side, command.price):
        return POST_ONLY_WOULD_TAKE
    if not waits and too_many_fills(core, instrument_of(order), side, command.price, command.size, order.account, self_trade_of(order)):
        return TOO_MANY_FILLS
    if side == BUY and not priced:
        return NO_REASON
    return NO_REASON if can_hold(core, book, side, order.account, partner_of(&core.orders, slot), held_by(core, slot),
                                 hold(book, side, command.price, command.size, unpaid)) else INSUFFICIENT_FUNDS
