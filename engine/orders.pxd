"""The slab of open orders. An id names its slot, so nothing is hashed to find an order."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    SLOT_BITS = 24
    SLOT_MASK = (1 << SLOT_BITS) - 1
    TAKER_SLOTS = 1             # beyond those of orders that stay: of the one that only takes
    SELLS = 1                   # flags of an order
    STAYS_MAKER = 2             # post-only
    SPECIAL = 4                 # it has a `Special`
    WAITS = 8                   # a stop that has not entered
    SELF_TRADE_SHIFT = 4        # the bits above: its SelfTrade


cdef extern from *:
    """
    #define NUMBER_LIMIT ((UINT64_C(1) << 40) - 1)    /* what a tag has room for */
    """
    const uint64_t NUMBER_LIMIT


cdef struct Queue:              # of orders, linked by `older` and `newer`
    uint32_t head
    uint32_t tail


cdef struct Order:              # 64 bytes: one cache line
    uint64_t tag                # number << 24 | instrument << 8 | flags; 0: the slot is free
    int64_t remaining           # lots, those that show
    int64_t filled
    int64_t value               # notional of all fills
    uint64_t client_id
    uint32_t level              # where it is queued, of `levels_of` it; 0: in the queue of triggered stops
    uint32_t account
    uint32_t older              # neighbours in the queue
    uint32_t newer
    uint32_t earlier            # neighbours among the account's orders
    uint32_t later


cdef struct Special:            # what only some orders have
    int64_t price               # the limit, or a stop's protection
    int64_t stop                # the trigger of an order that waits
    int64_t trail               # its distance; 0: it does not trail
    int64_t display             # lots that an iceberg shows; 0: it is none
    int64_t reserve             # lots that do not show
    int64_t expires             # 0: never
    uint32_t partner            # slot of the order that one cancels with the other; 0 for none
    uint32_t expiry             # place in the heap of expiries; 0 for none
    uint32_t nearer             # neighbours among the book's trailing stops
    uint32_t farther
    uint8_t type                # LIMIT, MARKET, or the kind of stop that waits


cdef struct Orders:
    Order* order                # room for all there may be, of which the system gives what is used; slot 0 is unused
    Special* special            # by slot
    uint32_t* unpaid            # by slot, of an order that was filled in part: millionths of a unit of its fee that no fill has paid yet
    uint32_t top
    uint32_t free
    uint32_t count
    uint32_t count_max
    uint64_t number             # of the last order accepted


cdef inline size_t slots_max(const Orders* orders) noexcept nogil:
    """Of how many slots the tables are."""
    return 1 + <size_t>orders.count_max + TAKER_SLOTS


cdef inline uint32_t new_slot(Orders* orders) noexcept nogil:
    """A slot that is free; the caller knows that there is one."""
    cdef uint32_t slot = orders.free
    orders.count += 1
    if slot:
        orders.free = orders.order[slot].newer
        return slot
    orders.top += 1
    return orders.top


cdef inline void free_slot(Orders* orders, uint32_t slot) noexcept nogil:
    orders.order[slot].tag = 0
    orders.order[slot].newer = orders.free
    orders.free = slot
    orders.count -= 1


cdef inline void join_queue(Orders* orders, Queue* queue, uint32_t older, uint32_t slot) noexcept nogil:
    """Put an order behind another one of a queue, or for 0 ahead of all."""
    cdef uint32_t newer = orders.order[older].newer if older else queue.head
    orders.order[slot].older = older
    orders.order[slot].newer = newer
    if older:
        orders.order[older].newer = slot
    else:
        queue.head = slot
    if newer:
        orders.order[newer].older = slot
    else:
        queue.tail = slot


cdef inline void leave_queue(Orders* orders, Queue* queue, uint32_t slot) noexcept nogil:
    cdef Order* order = &orders.order[slot]
    if order.older:
        orders.order[order.older].newer = order.newer
    else:
        queue.head = order.newer
    if order.newer:
        orders.order[order.newer].older = order.older
    else:
        queue.tail = order.older


cdef inline uint64_t order_id(Orders* orders, uint32_t slot) noexcept nogil:
    return orders.order[slot].tag >> SLOT_BITS << SLOT_BITS | slot


cdef inline uint32_t slot_of(Orders* orders, uint64_t order) noexcept nogil:
    """The slot of an open order's id; 0 for any other number."""
    cdef uint32_t slot = order & SLOT_MASK
    if 0 < slot <= orders.top and orders.order[slot].tag and orders.order[slot].tag >> SLOT_BITS == order >> SLOT_BITS:
        return slot
    return 0


cdef inline int side_of(Order* order) noexcept nogil:
    return order.tag & SELLS


cdef inline int self_trade_of(Order* order) noexcept nogil:
    return <uint8_t>order.tag >> SELF_TRADE_SHIFT


cdef inline uint16_t instrument_of(Order* order) noexcept nogil:
    return <uint16_t>(order.tag >> 8)


cdef inline uint32_t partner_of(Orders* orders, uint32_t slot) noexcept nogil:
    return orders.special[slot].partner if orders.order[slot].tag & SPECIAL else 0


cdef inline uint32_t unpaid_of(Orders* orders, uint32_t slot) noexcept nogil:
    return orders.unpaid[slot] if orders.order[slot].filled else 0


cdef inline int64_t left_of(Orders* orders, uint32_t slot) noexcept nogil:
    """All lots that remain, those that do not show too."""
    if orders.order[slot].tag & SPECIAL:
        return orders.order[slot].remaining + orders.special[slot].reserve
    return orders.order[slot].remaining


cdef void sort_by_age(Orders* orders, Queue* queue) noexcept nogil
