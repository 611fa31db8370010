"""Orders that end at a time."""

from engine.core cimport Expiries
from engine.memory cimport doubled, resized
from engine.thresholds cimport EXPIRIES


cdef bint expires_before(Core* core, uint32_t a, uint32_t b) noexcept nogil:
    """The order in which orders expire: by time, then the oldest first."""
    if core.orders.special[a].expires != core.orders.special[b].expires:
        return core.orders.special[a].expires < core.orders.special[b].expires
    return core.orders.order[a].tag < core.orders.order[b].tag


cdef inline void put(Core* core, uint32_t place, uint32_t slot) noexcept nogil:
    core.expiries.slot[place] = slot
    core.orders.special[slot].expiry = place


cdef void sift(Core* core, uint32_t place, uint32_t slot) noexcept nogil:
    """Put a slot where it belongs, above or below an empty place."""
    cdef uint32_t* heap = core.expiries.slot
    cdef uint32_t child
    while place > 1 and expires_before(core, slot, heap[place // 2]):
        put(core, place, heap[place // 2])
        place //= 2
    while True:
        child = 2 * place
        if child < core.expiries.count and expires_before(core, heap[child + 1], heap[child]):
            child += 1
        if child > core.expiries.count or not expires_before(core, heap[child], slot):
            break
        put(core, place, heap[child])
        place = child
    put(core, place, slot)


cdef void add_expiry(Core* core, uint32_t slot) noexcept nogil:
    """O(log of the orders that expire), as the next one."""
    cdef Expiries* expiries = &core.expiries
    if expiries.count + 1 >= expiries.capacity:
        expiries.slot = <uint32_t*>resized(expiries.slot, expiries.capacity * sizeof(uint32_t), doubled(expiries.capacity, EXPIRIES) * sizeof(uint32_t))
        expiries.capacity = doubled(expiries.capacity, EXPIRIES)
    expiries.count += 1
    sift(core, expiries.count, slot)


cdef void remove_expiry(Core* core, uint32_t slot) noexcept nogil:
    cdef uint32_t place = core.orders.special[slot].expiry
    cdef uint32_t last = core.expiries.slot[core.expiries.count]
    core.orders.special[slot].expiry = 0
    core.expiries.count -= 1
    if last != slot:
        sift(core, place, last)
