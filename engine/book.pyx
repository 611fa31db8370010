"""One instrument's order book, for Python."""

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t

from engine.auction cimport uncrossing_price
from engine.core cimport TIERS, Book, price_of, reference_of
from engine.ladder cimport Levels, find
from engine.model cimport BUY, LIMIT, SELL
from engine.orders cimport SPECIAL, STAYS_MAKER, WAITS, Order, Special, instrument_of, left_of, order_id, side_of, slot_of

from engine.instrument import PRICE_MAX
from engine.model import Phase
from engine.records import Order as OrderRecord


cdef void describe(Core* core, uint32_t slot, OpenOrder* found) noexcept nogil:
    cdef Order* order = &core.orders.order[slot]
    cdef bint waits = order.tag & WAITS
    cdef Special* special = &core.orders.special[slot] if order.tag & SPECIAL else NULL
    found.type = <int>special.type if waits else <int>LIMIT
    found.stop = special.stop if waits else 0
    found.displayed = 0 if waits else order.remaining
    found.expires = special.expires if special != NULL else 0
    found.linked = order_id(&core.orders, special.partner) if special != NULL and special.partner else 0


cdef bint find_open(Core* core, uint64_t order, OpenOrder* found) noexcept nogil:
    """Look at an order; False if it is not open."""
    cdef uint32_t slot = slot_of(&core.orders, order)
    if slot:
        describe(core, slot, found)
    return slot != 0


cdef object order_record(Core* core, uint32_t slot):
    cdef Order* order = &core.orders.order[slot]
    cdef OpenOrder found
    describe(core, slot, &found)
    return tuple.__new__(OrderRecord, (
        order_id(&core.orders, slot), order.client_id, order.account, instrument_of(order), side_of(order),
        price_of(core, slot), left_of(&core.orders, slot), order.filled, order.value, bool(order.tag & STAYS_MAKER),
        found.type, found.stop, found.displayed, found.expires, found.linked,
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
    """The book of one instrument in an exchange. `Exchange.add_instrument` makes it."""

    def __init__(self) -> None:
        raise TypeError("an order book cannot be made directly: use Exchange.add_instrument")

    cdef Book* terms(self) except NULL:
        self.levels.turn.expect()
        return &self.core.book[self.index]

    @property
    def tick_value(self) -> int:
        """One tick times one lot, in units of the quote asset."""
        return self.terms().tick_value

    @property
    def lot_units(self) -> int:
        """One lot, in units of the base asset."""
        return self.terms().lot_units

    @property
    def phase(self) -> Phase:
        """The phase: whether orders match, are collected for an auction, or are refused, or the instrument is delisted."""
        return Phase(self.terms().phase)

    @property
    def last(self) -> int:
        """The price of the last trade in ticks, 0 before the first trade."""
        return self.terms().last

    @property
    def reference(self) -> int:
        """The reference price in ticks, around which the band lies: as set, else the price of the last trade; 0 for none."""
        return reference_of(self.terms())

    @property
    def order_count(self) -> int:
        """The number of its open orders, those that wait too."""
        return self.terms().open

    @property
    def band(self) -> int:
        """How far from the reference price orders may be, in parts per million of it; 0: as far as they like."""
        return self.terms().band

    def rates(self, tier: int = 0) -> tuple[int, int]:
        """The fees of makers and of takers in a tier, in parts per million of the notional."""
        if not 0 <= tier < TIERS:
            raise IndexError(f"tier {tier}: expected 0 to {TIERS - 1}")
        return self.terms().rates[tier].maker, self.terms().rates[tier].taker

    def indicative(self) -> tuple[int, int]:
        """The price in ticks and the lots of the uncrossing if it happened now; (0, 0) if nothing would trade. O(orders that would trade)."""
        cdef int64_t volume
        self.levels.turn.expect()
        cdef int64_t price = uncrossing_price(self.core, self.index, &volume)
        return price, volume

    def queue(self, side: int, price: int) -> list[OrderRecord]:
        """The orders at a price, by priority. During an auction: the orders that were collected. O(orders at the price)."""
        if side != BUY and side != SELL:
            raise ValueError(f"side {side}: expected 0 (bids) or 1 (asks)")
        if not 0 <= price < PRICE_MAX:
            raise ValueError(f"price {price}: expected 0 to {PRICE_MAX - 1} ticks")
        cdef Levels* levels = self.terms().levels
        cdef uint32_t index = find(levels, side, price)
        cdef uint32_t slot = levels.level[index].queue.head if index else 0
        cdef list orders = []
        while slot:
            orders.append(order_record(self.core, slot))
            slot = self.core.orders.order[slot].newer
        return orders
