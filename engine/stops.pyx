"""Orders that wait for a price."""

from engine.core cimport FALL, RISE, Book, awaited
from engine.ladder cimport Level, Levels, came_alive, find_or_add, forget, ran_empty
from engine.memory cimport resized
from engine.model cimport BUY, SELL
from engine.orders cimport WAITS, Order, Queue, Special, instrument_of, join_queue, leave_queue, side_of, sort_by_age


cdef inline int awaited_by(Core* core, uint32_t slot) noexcept nogil:
    return awaited(core.orders.special[slot].type, side_of(&core.orders.order[slot]))


cdef bint reached(Core* core, uint32_t slot, int64_t stop) noexcept nogil:
    """Whether the last trade's price would trigger this order, with this trigger."""
    cdef int64_t last = core.book[instrument_of(&core.orders.order[slot])].last
    if not last:
        return False
    return last >= stop if awaited_by(core, slot) == RISE else last <= stop


# Where they wait


cdef void queue_by_trigger(Core* core, uint32_t book, uint32_t slot) noexcept nogil:
    """Put a waiting order behind those of its trigger. They are sorted when it is reached."""
    cdef Levels* stops = core.book[book].stops
    cdef Order* order = &core.orders.order[slot]
    cdef uint32_t index = find_or_add(stops, awaited_by(core, slot), core.orders.special[slot].stop)
    cdef Level* level = &stops.level[index]
    order.level = index
    join_queue(&core.orders, &level.queue, level.queue.tail, slot)
    level.count += 1
    core.book[book].waiting += 1
    if level.count == 1:
        came_alive(stops, index)


cdef void leave_trigger(Core* core, uint32_t book, uint32_t slot) noexcept nogil:
    cdef Levels* stops = core.book[book].stops
    cdef Order* order = &core.orders.order[slot]
    cdef Level* level = &stops.level[order.level]
    leave_queue(&core.orders, &level.queue, slot)
    level.count -= 1
    core.book[book].waiting -= 1
    if not level.count:
        ran_empty(stops, order.level)
        forget(stops, order.level)


cdef void wait(Core* core, uint32_t book, uint32_t slot) noexcept nogil:
    """Let an order wait for its trigger. The nearest to the last price of those that trail are the latest, and those that it moved."""
    cdef Book* terms = &core.book[book]
    cdef Order* order = &core.orders.order[slot]
    cdef Special* special = &core.orders.special[slot]
    cdef uint32_t* nearest = &terms.trailing[side_of(order)]
    if terms.stops == NULL:
        terms.stops = <Levels*>resized(NULL, 0, sizeof(Levels))
    order.tag |= WAITS
    queue_by_trigger(core, book, slot)
    if special.trail:
        special.nearer = 0
        special.farther = nearest[0]
        if nearest[0]:
            core.orders.special[nearest[0]].nearer = slot
        nearest[0] = slot


cdef void wait_elsewhere(Core* core, uint32_t book, uint32_t slot, int64_t stop) noexcept nogil:
    """Give an order that waits another trigger."""
    leave_trigger(core, book, slot)
    core.orders.special[slot].stop = stop
    queue_by_trigger(core, book, slot)


cdef void trail_no_longer(Core* core, uint32_t book, uint32_t slot) noexcept nogil:
    cdef Special* special = &core.orders.special[slot]
    if not special.trail:
        return
    if special.nearer:
        core.orders.special[special.nearer].farther = special.farther
    else:
        core.book[book].trailing[side_of(&core.orders.order[slot])] = special.farther
    if special.farther:
        core.orders.special[special.farther].nearer = special.nearer
    special.trail = 0


cdef void leave_stops(Core* core, uint32_t slot) noexcept nogil:
    """Take an order out, whether it waits or is about to enter."""
    cdef Order* order = &core.orders.order[slot]
    if order.level:
        leave_trigger(core, instrument_of(order), slot)
        trail_no_longer(core, instrument_of(order), slot)
        return
    leave_queue(&core.orders, &core.triggered, slot)


# What a trade's price does to them


cdef void trigger(Core* core, uint32_t book, uint32_t index) noexcept nogil:
    """Move the orders of a trigger to the end of the queue of those that enter, the oldest first. O(n log n)."""
    cdef Queue* waiting = &core.book[book].stops.level[index].queue
    cdef uint32_t slot, count = core.book[book].stops.level[index].count
    sort_by_age(&core.orders, waiting)
    while count:
        count -= 1
        slot = waiting.head
        leave_stops(core, slot)
        core.orders.order[slot].level = 0
        join_queue(&core.orders, &core.triggered, core.triggered.tail, slot)


cdef void follow(Core* core, uint32_t book, int side, int64_t price) noexcept nogil:
    """Move the triggers that trail a price which has come nearer than ever. O(those that move)."""
    cdef uint32_t slot = core.book[book].trailing[side]
    cdef Special* special
    cdef int64_t stop
    while slot:
        special = &core.orders.special[slot]
        stop = price + special.trail if side == BUY else price - special.trail
        if (stop >= special.stop) if side == BUY else (stop <= special.stop):
            break
        wait_elsewhere(core, book, slot, stop)
        core.looked += 1
        slot = special.farther


cdef void observe(Core* core, uint32_t book, int64_t price) noexcept nogil:
    """Trigger what a trade at this price triggers, then let the others follow it."""
    cdef Levels* stops = core.book[book].stops
    cdef uint32_t index = stops.ladders[<int>RISE].best
    while index and stops.level[index].price <= price:
        trigger(core, book, index)
        index = stops.ladders[<int>RISE].best
    index = stops.ladders[<int>FALL].best
    while index and stops.level[index].price >= price:
        trigger(core, book, index)
        index = stops.ladders[<int>FALL].best
    follow(core, book, BUY, price)
    follow(core, book, SELL, price)
