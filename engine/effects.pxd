"""The events of each change of an order, and its effect on the balance behind it."""

from libc.stdint cimport int64_t, uint32_t

from engine.accounts cimport Balance, touch
from engine.core cimport Core, added_hold, held_asset
from engine.events cimport emit
from engine.model cimport Event
from engine.orders cimport Order, instrument_of, left_of, order_id, partner_of, side_of


cdef inline Event* tell_order(Core* core, int kind, uint32_t slot, int64_t price, int64_t size) noexcept nogil:
    """An event of an order as it is now."""
    cdef Order* order = &core.orders.order[slot]
    cdef Event* event = emit(core.events, kind)
    event.order = order_id(&core.orders, slot)
    event.client_id = order.client_id
    event.account = order.account
    event.instrument = instrument_of(order)
    event.side = side_of(order)
    event.price = price
    event.size = size
    event.remaining = left_of(&core.orders, slot)
    event.filled = order.filled
    event.value = order.value
    return event


cdef inline void release(Core* core, uint32_t account, uint32_t asset, int64_t amount) noexcept nogil:
    """Move an amount from what an account holds to what it has available. A negative amount holds more."""
    cdef Balance* balance = touch(&core.accounts, account, asset)
    balance.held -= amount
    balance.available += amount


cdef inline void change_hold(Core* core, uint32_t slot, int64_t before, int64_t after) noexcept nogil:
    """What an order holds by itself is another now."""
    cdef Order* order = &core.orders.order[slot]
    if before or after:
        release(core, order.account, held_asset(&core.book[instrument_of(order)], side_of(order)),
                -added_hold(core, partner_of(&core.orders, slot), before, after))
