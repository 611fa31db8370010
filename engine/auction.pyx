"""Phases of an instrument, and the uncrossing of what an auction collected."""

from libc.stdint cimport uint64_t
from libc.stdlib cimport free

from engine.accounts cimport same_owner
from engine.core cimport RULES, Book, reference_of, touch_level
from engine.entry cimport after_trades, note_trades
from engine.events cimport emit
from engine.ladder cimport Level, Levels, came_alive, find_or_add, next_worse, ran_empty
from engine.matching cimport cancel, cancel_partner, decrement, fill, used_up
from engine.memory cimport resized
from engine.model cimport ALLOW, AUCTION, BUY, CANCEL_BOTH, CANCEL_NEWEST, CANCEL_OLDEST, PHASE, SELF_TRADE, SELL, TRADING, Event
from engine.orders cimport left_of, self_trade_of


# What is collected


cdef void move_levels(Core* core, uint32_t book, Levels* source, Levels* target, bint published) noexcept nogil:
    """Move all queues of a book, bids and then asks from the best on, from one ladder to another. O(orders)."""
    cdef int side
    cdef uint32_t index, slot
    cdef Level* old
    cdef Level* new
    for side in range(2):
        while source.ladders[side].best:
            index = find_or_add(target, side, source.level[source.ladders[side].best].price)
            old = &source.level[source.ladders[side].best]
            new = &target.level[index]
            new.queue = old.queue
            new.count = old.count
            new.size = old.size
            new.special = old.special
            slot = new.queue.head
            while slot:
                core.orders.order[slot].level = index
                slot = core.orders.order[slot].newer
            if published:
                touch_level(core, book, index)
            else:
                touch_level(core, book, source.ladders[side].best)
                new.touched = 1
            old.queue.head = old.queue.tail = old.count = 0
            old.size = 0
            old.special = 0
            came_alive(target, index)
            ran_empty(source, source.ladders[side].best)


cdef void collect(Core* core, uint32_t book) noexcept nogil:
    """Let the orders of a book rest unseen from now on."""
    cdef Book* terms = &core.book[book]
    cdef Levels* collected = <Levels*>resized(NULL, 0, sizeof(Levels))
    move_levels(core, book, terms.published, collected, False)
    terms.levels = collected


cdef void free_collected(Core* core, uint32_t book) noexcept nogil:
    cdef Book* terms = &core.book[book]
    if terms.levels != terms.published:
        free(terms.levels.level)
        free(terms.levels.node)
        free(terms.levels)
        terms.levels = terms.published


cdef void publish_collected(Core* core, uint32_t book) noexcept nogil:
    cdef Book* terms = &core.book[book]
    cdef Levels* collected = terms.levels
    terms.levels = terms.published
    move_levels(core, book, collected, terms.published, True)
    terms.levels = collected
    free_collected(core, book)


# The price


cdef struct Crossing:           # at one price
    int64_t price
    uint64_t bids               # lots at the price or better
    uint64_t asks


cdef uint64_t lots_at(Core* core, Levels* levels, uint32_t index) noexcept nogil:
    """The lots of a level, including hidden ones."""
    cdef Level* level = &levels.level[index]
    cdef uint64_t lots = 0
    cdef uint32_t slot = level.queue.head
    if not level.special:
        return level.size
    while slot:
        lots += left_of(&core.orders, slot)
        slot = core.orders.order[slot].newer
    return lots


cdef Crossing* crossings_of(Core* core, Levels* levels, uint32_t* count) noexcept nogil:
    """What could trade at each limit, from the highest bid down to the lowest ask. The caller frees the result."""
    cdef uint32_t bid = levels.ladders[<int>BUY].best
    cdef uint32_t ask = levels.ladders[<int>SELL].best
    cdef int64_t highest = levels.level[bid].price
    cdef int64_t lowest = levels.level[ask].price
    cdef uint32_t asks = 0, capacity = 0, i
    cdef uint64_t lots = 0
    cdef Crossing* crossing
    cdef int64_t price
    while bid and levels.level[bid].price >= lowest:
        capacity += 1
        bid = next_worse(levels, BUY, levels.level[bid].price)
    while ask and levels.level[ask].price <= highest:
        asks += 1
        ask = next_worse(levels, SELL, levels.level[ask].price)
    capacity += asks
    crossing = <Crossing*>resized(NULL, 0, capacity * sizeof(Crossing))
    # Asks rise: from the end of the array to its front, each with all that are lower.
    ask = levels.ladders[<int>SELL].best
    for i in range(asks):
        lots += lots_at(core, levels, ask)
        crossing[capacity - 1 - i].price = levels.level[ask].price
        crossing[capacity - 1 - i].asks = lots
        ask = next_worse(levels, SELL, levels.level[ask].price)
    # Bids fall: merge them in at the front, which stays at or before the asks that are left.
    bid = levels.ladders[<int>BUY].best
    i = capacity - asks
    lots = 0
    count[0] = 0
    while i < capacity or (bid and levels.level[bid].price >= lowest):
        price = max(levels.level[bid].price if bid else 0, crossing[i].price if i < capacity else 0)
        if bid and levels.level[bid].price == price:
            lots += lots_at(core, levels, bid)
            bid = next_worse(levels, BUY, price)
        crossing[count[0]].asks = crossing[i].asks if i < capacity else 0
        crossing[count[0]].price = price
        crossing[count[0]].bids = lots
        if i < capacity and crossing[i].price == price:
            i += 1
        count[0] += 1
    return crossing


cdef inline uint64_t volume_of(Crossing* crossing) noexcept nogil:
    return min(crossing.bids, crossing.asks)


cdef inline uint64_t surplus_of(Crossing* crossing) noexcept nogil:
    return max(crossing.bids, crossing.asks) - volume_of(crossing)


cdef inline bint better(Crossing* a, Crossing* b) noexcept nogil:
    """Whether more would trade, or as much with less left over."""
    if volume_of(a) != volume_of(b):
        return volume_of(a) > volume_of(b)
    return surplus_of(a) < surplus_of(b)


cdef int64_t uncrossing_price(Core* core, uint32_t book, int64_t* volume) noexcept nogil:
    """The price at which the most lots trade, and how many lots; 0 if the book is not crossed. O(orders that could trade)."""
    cdef Levels* levels = core.book[book].levels
    cdef int64_t reference = reference_of(&core.book[book])
    cdef uint32_t bid = levels.ladders[<int>BUY].best
    cdef uint32_t ask = levels.ladders[<int>SELL].best
    cdef uint32_t i, count, best = 0
    cdef Crossing* crossing
    cdef int64_t highest, lowest
    cdef bint bids_left = True, asks_left = True
    volume[0] = 0
    if not bid or not ask or levels.level[bid].price < levels.level[ask].price:
        return 0
    crossing = crossings_of(core, levels, &count)
    for i in range(count):
        if better(&crossing[i], &crossing[best]):
            best = i
    highest = lowest = crossing[best].price
    volume[0] = volume_of(&crossing[best])
    for i in range(best, count):
        if not better(&crossing[best], &crossing[i]):
            lowest = crossing[i].price
            bids_left = bids_left and crossing[i].bids > crossing[i].asks
            asks_left = asks_left and crossing[i].asks > crossing[i].bids
    free(crossing)
    if bids_left:
        return highest
    if asks_left:
        return lowest
    if not reference:
        reference = (highest + lowest) // 2
    return min(max(reference, lowest), highest)


# The trades


cdef void meet(Core* core, uint32_t book, uint32_t bid, uint32_t ask, int64_t price) noexcept nogil:
    """Trade between the two orders that come first, or prevent it. The younger one is the taker."""
    cdef Levels* levels = core.book[book].levels
    cdef bint bid_is_younger = core.orders.order[bid].tag > core.orders.order[ask].tag
    cdef uint32_t taker = bid if bid_is_younger else ask
    cdef uint32_t maker = ask if bid_is_younger else bid
    cdef int mode = self_trade_of(&core.orders.order[taker])
    cdef int64_t size = min(core.orders.order[bid].remaining, core.orders.order[ask].remaining)
    if mode != ALLOW and same_owner(&core.accounts, core.orders.order[bid].account, core.orders.order[ask].account):
        if mode == CANCEL_OLDEST or mode == CANCEL_BOTH:
            cancel(core, maker, SELF_TRADE)
        elif mode != CANCEL_NEWEST:
            decrement(core, book, maker, size)
            decrement(core, book, taker, size)
        if mode == CANCEL_NEWEST or mode == CANCEL_BOTH:
            cancel(core, taker, SELF_TRADE)
        return
    cancel_partner(core, taker)
    cancel_partner(core, maker)
    levels.level[core.orders.order[bid].level].size -= size
    levels.level[core.orders.order[ask].level].size -= size
    fill(core, book, maker, taker, price, size, levels.level[core.orders.order[bid].level].price, True)
    if not core.orders.order[maker].remaining:
        used_up(core, book, maker)
    if not core.orders.order[taker].remaining:
        used_up(core, book, taker)


cdef void uncross(Core* core, uint32_t book, int64_t price) noexcept nogil:
    """Let everything trade that can trade at this price. Orders that self-trade prevention leaves crossed trade as near to it as their limits allow.

    So the price moves in one direction only, and finding the next price needs no walk through the book. O(trades).
    """
    cdef Levels* levels = core.book[book].levels
    cdef Level* bid
    cdef Level* ask
    cdef int64_t volume
    while levels.ladders[<int>BUY].best and levels.ladders[<int>SELL].best:
        bid = &levels.level[levels.ladders[<int>BUY].best]
        ask = &levels.level[levels.ladders[<int>SELL].best]
        if bid.price < ask.price:
            break
        if core.rules == RULES:
            price = min(max(price, ask.price), bid.price)
        elif not bid.price >= price >= ask.price:
            note_trades(core, book)
            price = uncrossing_price(core, book, &volume)
        meet(core, book, bid.queue.head, ask.queue.head, price)


cdef void set_phase(Core* core, uint32_t book, int phase) noexcept nogil:
    cdef Book* terms = &core.book[book]
    cdef bint collecting = terms.levels != terms.published
    cdef int64_t price = 0, volume = 0
    cdef Event* event
    if phase == TRADING and collecting:
        price = uncrossing_price(core, book, &volume)
    terms.phase = phase
    event = emit(core.events, PHASE)
    event.instrument = book
    event.phase = phase
    event.price = price
    event.size = volume
    if phase == AUCTION and not collecting:
        collect(core, book)
    elif phase == TRADING and collecting:
        uncross(core, book, price)
        publish_collected(core, book)
        after_trades(core, book)
