"""One instrument's order book, for Python."""

cimport cython

from engine.ladder cimport find
from engine.model cimport BUY, SELL
from engine.orders cimport STAYS_MAKER, Order, instrument_of, order_id, side_of

from engine.instrument import PRICE_MAX
from engine.records import Order as OrderRecord


cdef object order_record(Core* core, uint32_t slot):
    cdef Order* order = &core.orders.order[slot]
    return tuple.__new__(OrderRecord, (
        order_id(&core.orders, slot), order.client_id, order.account, instrument_of(order), side_of(order),
        core.book[instrument_of(order)].levels.level[order.level].price,
        order.remaining, order.filled, order.value, bool(order.tag & STAYS_MAKER),
    ))


cdef OrderBook new_book(object exchange, Core* core, object instrument, uint32_t index, PriceLevels levels):
    cdef OrderBook book = OrderBook.__new__(OrderBook)
    book.exchange = exchange
    book.core = core
    book.instrument = instrument
    book.index = index
    book.levels = levels
    return book


@cython.final
cdef class OrderBook:
    """One instrument's book in an exchange. Made by `Exchange.add_instrument`."""

    def __init__(self) -> None:
        raise TypeError("an order book is made by Exchange.add_instrument")

    @property
    def tick_value(self) -> int:
        """Quote units in one tick times one lot."""
        return self.core.book[self.index].tick_value

    @property
    def lot_units(self) -> int:
        """Base units in one lot."""
        return self.core.book[self.index].lot_units

    def queue(self, side: int, price: int) -> list[OrderRecord]:
        """The orders at a price, oldest first. O(orders there)."""
        if side != BUY and side != SELL:
            raise ValueError(f"side {side}: expected 0 (bids) or 1 (asks)")
        if not 0 <= price < PRICE_MAX:
            raise ValueError(f"price {price}: expected 0 to {PRICE_MAX - 1} ticks")
        cdef uint32_t index = find(&self.levels.book, side, price)
        cdef uint32_t slot = self.levels.book.level[index].head if index else 0
        cdef list orders = []
        while slot:
            orders.append(order_record(self.core, slot))
            slot = self.core.orders.order[slot].newer
        return orders
