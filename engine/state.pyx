"""All that is the state of an exchange, listed once: written, read and hashed.

A function for each part of it names the fields, for any visitor: the `Writer` of a snapshot, its `Reader`, and a hash. What links
the parts is put in order once for the writer and the hash; engine/snapshot.pyx makes the links again out of what it reads.

The order depends on nothing but the state: orders by acceptance, levels from the best on, chains from the newest on. Where something
lies in memory is not part of it, except for the slots of orders, since these are in their ids. A snapshot and the hash have the same
parts in two orders, and both have to stay: snapshots and hashes are kept for years.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memset

from engine.accounts cimport Account, Balance, Limits, add_account, balance_of, new_limits, note_limits
from engine.auction cimport collect
from engine.client_ids cimport ClientId, find_client_id, remember
from engine.core cimport FEE_PARTS, PRICE_LIMIT, TIERS, Book, set_band_of
from engine.expiry cimport add_expiry
from engine.ladder cimport Chain, Levels, next_worse
from engine.orders cimport SPECIAL, Order, Special, instrument_of, order_id, unpaid_of
from engine.snapshot cimport read_chain, read_done, read_queues, read_slots, read_stops


cdef struct Hash:
    uint64_t value
    int version                 # of the rules of the state


ctypedef Hash* HashPointer

cdef fused Visitor:
    Writer
    Reader
    HashPointer

cdef fused Output:              # those that change nothing
    Writer
    HashPointer

cdef fused File:
    Writer
    Reader

cdef fused Number:
    uint8_t
    int32_t
    uint32_t
    int64_t
    uint64_t


cdef inline int visit_below(Visitor visitor, Number* field, uint64_t limit) except -1 nogil:
    """Write, read or stir in one number. What is read has to fit its field, and to be below the limit if there is one."""
    cdef uint64_t value
    if Visitor is Writer:
        visitor.put(<uint64_t>field[0])
    elif Visitor is Reader:
        value = visitor.below(limit) if limit else visitor.get()
        field[0] = <Number>value
        if <uint64_t>field[0] != value:
            visitor.expect(False, b"a smaller number")
    else:
        value = (visitor.value ^ <uint64_t>field[0]) * <uint64_t>0x9E3779B97F4A7C15
        visitor.value = value ^ (value >> 32)


cdef inline int visit(Visitor visitor, Number* field) except -1 nogil:
    return visit_below(visitor, field, 0)


cdef inline int put(Output out, uint64_t value) except -1 nogil:
    return visit(out, &value)


cdef inline int note(Output out, uint64_t value) except -1 nogil:
    """What only a snapshot has: a count, or an end."""
    if Output is Writer:
        put(out, value)


# Orders


cdef int visit_order(Core* core, Visitor visitor, uint32_t slot) except -1 nogil:
    """All but the slot and the tag, without which a reader does not know where to put the others."""
    cdef Order* order = &core.orders.order[slot]
    cdef Special* special = &core.orders.special[slot]
    cdef uint32_t unpaid = unpaid_of(&core.orders, slot)
    visit(visitor, &order.remaining)
    visit(visitor, &order.filled)
    visit(visitor, &order.value)
    visit(visitor, &order.client_id)
    if visitor.version > 1:
        visit_below(visitor, &unpaid, FEE_PARTS)
    if Visitor is Reader:
        visitor.expect(order.filled != 0 or unpaid == 0, b"0: nothing was filled")
        core.orders.unpaid[slot] = unpaid
    if order.tag & SPECIAL:
        visit(visitor, &special.price)
        visit(visitor, &special.stop)
        visit(visitor, &special.trail)
        visit(visitor, &special.display)
        visit(visitor, &special.reserve)
        visit(visitor, &special.expires)
        visit_below(visitor, &special.partner, core.orders.top + 1)
        visit(visitor, &special.type)


cdef int put_orders(Core* core, Output out, Account* account) except -1 nogil:
    cdef uint32_t slot = account.earliest
    note(out, account.open)
    while slot:
        if Output is Writer:
            put(out, slot)
            put(out, core.orders.order[slot].tag)
        else:
            put(out, core.orders.order[slot].tag)
            put(out, slot)
        visit_order(core, out, slot)
        slot = core.orders.order[slot].later


cdef int read_order(Core* core, Reader source, uint32_t account) except -1 nogil:
    cdef uint32_t slot = source.below(core.orders.top + 1)
    cdef Order* order = &core.orders.order[slot]
    cdef Account* owner = &core.accounts.account[account]
    source.expect(slot != 0 and order.tag == 0 and order.later == 0, b"a slot that no other order has")
    order.tag = source.get()
    source.expect(order.tag != 0 and instrument_of(order) < core.books, b"an order of an instrument")
    visit_order(core, source, slot)
    order.account = account
    order.earlier = owner.latest
    if owner.latest:
        core.orders.order[owner.latest].later = slot
    else:
        owner.earliest = slot
    owner.latest = slot
    owner.open += 1
    core.orders.count += 1
    if order.client_id:
        remember(&core.client_ids, account, order.client_id, order_id(&core.orders, slot))
    if order.tag & SPECIAL and core.orders.special[slot].expires:
        add_expiry(core, slot)


cdef int read_orders(Core* core, Reader source, uint32_t account) except -1 nogil:
    cdef uint64_t i
    for i in range(source.below(core.orders.top + 1)):
        read_order(core, source, account)


cdef int put_slots(Core* core, Output out) except -1 nogil:
    """How many there are, and the free ones, the next to be taken first."""
    cdef uint32_t slot = core.orders.free
    put(out, core.orders.top)
    note(out, core.orders.top - core.orders.count)
    while slot:
        put(out, slot)
        slot = core.orders.order[slot].newer


# Accounts


cdef int visit_account(Core* core, Visitor visitor, uint32_t index) except -1 nogil:
    """What SET_ACCOUNT, SET_LIMITS, SET_TIER and FREEZE say. Whether it is frozen stands above the eight bits of `self_trade`."""
    cdef Account* account = &core.accounts.account[index]
    cdef bint particular = account.grouped or account.limited
    cdef uint32_t options
    cdef Limits limits
    memset(&limits, 0, sizeof(Limits))
    if particular:
        limits = core.accounts.limits[index]
    options = account.self_trade | <uint32_t>limits.frozen << 8
    visit_below(visitor, &account.tier, TIERS)
    visit_below(visitor, &options, 1 << 9)
    if Visitor is HashPointer:
        if not particular:
            return 0
    visit(visitor, &limits.group)
    visit(visitor, &limits.orders_max)
    visit(visitor, &limits.size_max)
    visit(visitor, &limits.notional_max)
    if Visitor is Reader:
        account.self_trade = options & 0xFF
        limits.frozen = options >> 8
        new_limits(&core.accounts, index)[0] = limits
        note_limits(&core.accounts, index)


cdef int visit_balances(Core* core, Visitor visitor, uint32_t account) except -1 nogil:
    cdef uint32_t asset
    cdef Balance* balance
    for asset in range(core.accounts.assets):
        balance = balance_of(&core.accounts, account, asset)
        visit(visitor, &balance.available)
        visit(visitor, &balance.held)


cdef int visit_assets(Core* core, Visitor visitor) except -1 nogil:
    cdef uint32_t asset
    for asset in range(core.accounts.assets):
        visit(visitor, &core.accounts.fees[asset])
        visit(visitor, &core.accounts.supply[asset])


# Books


cdef int visit_book(Core* core, Visitor visitor, uint32_t index) except -1 nogil:
    """What a book is beside its terms, levels and orders. A band that was set stands above the bit of `collects`, as what it differs in from the listed one."""
    cdef Book* book = &core.book[index]
    cdef uint32_t options = (book.levels != book.published) | <uint32_t>(book.band ^ book.listed_band) << 1
    cdef int tier
    visit(visitor, &book.phase)
    if Visitor is not HashPointer:
        visit_below(visitor, &options, 1 << 21)
    visit_below(visitor, &book.last, PRICE_LIMIT)
    visit_below(visitor, &book.reference, PRICE_LIMIT)
    for tier in range(TIERS):
        visit(visitor, &book.rates[tier].maker)
        if Visitor is Reader:
            visitor.expect(-FEE_PARTS < book.rates[tier].maker < FEE_PARTS, b"a rate of a maker, which is a rebate below 0")
        visit_below(visitor, &book.rates[tier].taker, 1 << 20)
    if Visitor is HashPointer:
        put(visitor, book.published.digest)
    visit(visitor, &book.published.seq)
    visit(visitor, &book.published.floor)
    visit(visitor, &book.published.changes)
    if Visitor is HashPointer:
        put(visitor, book.published.tombstones_max)
    if Visitor is Reader:
        set_band_of(book, book.listed_band ^ options >> 1)
        if options & 1:
            collect(core, index)


cdef int put_queues(Core* core, Output out, Levels* levels) except -1 nogil:
    """Each level's price and its orders by priority, bids and then asks from the best on."""
    cdef int side
    cdef uint32_t index, slot
    for side in range(2):
        index = levels.ladders[side].best
        while index:
            note(out, levels.level[index].count)
            put(out, levels.level[index].price)
            slot = levels.level[index].queue.head
            while slot:
                put(out, slot)
                slot = core.orders.order[slot].newer
            index = next_worse(levels, side, levels.level[index].price)
        note(out, 0)


cdef int put_chain(Output out, Levels* levels, Chain* chain) except -1 nogil:
    cdef uint32_t index = chain.newest
    cdef uint64_t count = 0
    if Output is Writer:
        while index:
            count += 1
            index = levels.level[index].older
        put(out, count)
    index = chain.newest
    while index:
        put(out, levels.level[index].price << 1 | levels.level[index].side)
        put(out, levels.level[index].seq)
        index = levels.level[index].older


cdef int put_stops(Core* core, Output out, Book* book) except -1 nogil:
    """If there ever was one, those that wait, and by side those that trail, the nearest first."""
    cdef int side
    cdef uint32_t slot
    note(out, book.stops != NULL)
    if book.stops == NULL:
        return 0
    put_queues(core, out, book.stops)
    for side in range(2):
        slot = book.trailing[side]
        while slot:
            put(out, slot)
            slot = core.orders.special[slot].farther
        note(out, 0)


cdef int put_done(Core* core, Output out) except -1 nogil:
    cdef uint32_t i
    cdef ClientId* done
    note(out, core.client_ids.done_count)
    for i in range(core.client_ids.done_count):
        done = &core.client_ids.done[(<uint64_t>core.client_ids.done_first + i) % core.client_ids.done_max]
        if Output is Writer:
            put(out, done.account)
            put(out, done.client_id)
        else:
            put(out, done.client_id)
            put(out, done.account)
        put(out, find_client_id(&core.client_ids, done.account, done.client_id))


# All of it


cdef int visit_all(Core* core, File file) except -1 nogil:
    """The parts in the order of a snapshot, behind assets and instruments."""
    cdef uint32_t i, accounts = core.accounts.count
    cdef Book* book
    visit(file, &core.events.seq)
    visit(file, &core.clock)
    visit(file, &core.orders.number)
    if File is Writer:
        put_slots(core, file)
    else:
        read_slots(core, file)
    visit_assets(core, file)
    visit_below(file, &accounts, <uint64_t>core.accounts.count_max + 1)
    for i in range(accounts):
        if File is Reader:
            add_account(&core.accounts)
        visit_account(core, file, i)
        visit_balances(core, file, i)
        if File is Writer:
            put_orders(core, file, &core.accounts.account[i])
        else:
            read_orders(core, file, i)
    for i in range(core.books):
        book = &core.book[i]
        visit_book(core, file, i)
        if File is Writer:
            put_queues(core, file, book.levels)
            put_chain(file, book.published, &book.published.changed)
            put_chain(file, book.published, &book.published.emptied)
            put_stops(core, file, book)
        else:
            read_queues(core, file, i, book.levels)
            read_chain(file, book.published, &book.published.changed)
            read_chain(file, book.published, &book.published.emptied)
            read_stops(core, file, i)
    if File is Writer:
        put_done(core, file)
    else:
        read_done(core, file)


cdef int write_state(Core* core, Writer out) except -1 nogil:
    return visit_all(core, out)


cdef int read_state(Core* core, Reader source) except -1 nogil:
    """Fill a core that has its assets and instruments, and nothing else."""
    return visit_all(core, source)


cdef int stir_terms(Book* book, HashPointer hash) except -1 nogil:
    """What a snapshot has as an instrument."""
    cdef uint64_t terms[16]
    cdef int i
    terms[:] = [
        book.lot_units, book.tick_value, book.base, book.quote, book.price_max, book.size_min, book.size_max, book.hold_fee,
        book.orders_max, book.notional_max, book.band, book.day_end, book.parts_max, book.stops_max, book.fills_max, book.market_notional,
    ]
    for i in range(16 if hash.version > 1 else 12):
        put(hash, terms[i])


cdef int stir(Core* core, HashPointer hash) except -1 nogil:
    """The parts in the order of the hash."""
    cdef uint32_t i
    cdef Book* book
    visit(hash, &core.events.seq)
    visit(hash, &core.orders.number)
    visit(hash, &core.clock)
    put(hash, core.orders.count_max)
    put(hash, core.accounts.count_max)
    put(hash, core.client_ids.done_max)
    for i in range(core.books):
        book = &core.book[i]
        stir_terms(book, hash)
        visit_book(core, hash, i)
        put_chain(hash, book.published, &book.published.changed)
        put_chain(hash, book.published, &book.published.emptied)
        put(hash, book.levels != book.published)
        put_queues(core, hash, book.levels)
        put_stops(core, hash, book)
    for i in range(core.accounts.count):
        put(hash, i)
        visit_account(core, hash, i)
        put_orders(core, hash, &core.accounts.account[i])
        visit_balances(core, hash, i)
    visit_assets(core, hash)
    put_slots(core, hash)
    return put_done(core, hash)


cdef uint64_t hash_of(Core* core) noexcept nogil:
    """One number for books with their queues and their past, accounts, names, free slots, clock and sequence. O(all of it)."""
    cdef Hash hash = Hash(0, core.rules)
    stir(core, &hash)
    return hash.value
