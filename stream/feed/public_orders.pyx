"""The public numbers of orders: what a book by orders calls each one.

An order's own id counts the orders of the whole exchange, so it would tell which orders came one after the other, and that two came from one client.
Its public number is a permutation of that count and of the part that an iceberg displays, under the exchange's secret key: nothing can be read from it, and every
process that has the same state gives the same number. The permutation is a Feistel network over 52 bits, with SipHash as its round function.
"""

cimport cython

from engine.orders cimport SLOT_BITS, slot_of
from engine.sip cimport sip_hash

cdef enum:
    NUMBER_BITS = 40
    PART_BITS = 12
    HALF_BITS = (NUMBER_BITS + PART_BITS) // 2
    HALF_MASK = (1 << HALF_BITS) - 1
    ROUNDS = 8
    SWEPT_MIN = 1024


@cython.final
cdef class PublicOrders:
    """The public numbers of one exchange's orders, all below 2 ** 53."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.parts = {}
        self.swept = SWEPT_MIN

    cdef uint64_t of(self, uint64_t order) except 0:
        """The public number of an order, with the part that it displays now."""
        cdef uint64_t part = self.parts.get(order, 0) if self.parts else 0
        cdef uint64_t whole = order >> SLOT_BITS | part << NUMBER_BITS
        cdef uint64_t left = whole >> HALF_BITS, right = whole & HALF_MASK
        cdef int i
        for i in range(ROUNDS):
            left, right = right, left ^ (sip_hash(self.exchange.core.client_ids.key, right | <uint64_t>i << HALF_BITS, 0, 8) & HALF_MASK)
        return (left << HALF_BITS | right) + 1

    cdef int displayed(self, uint64_t order) except -1:
        """The order displays another part. O(1) on average."""
        self.parts[order] = (self.parts.get(order, 0) + 1) & ((1 << PART_BITS) - 1)
        if len(self.parts) > 2 * self.swept:
            self.parts = {order: part for order, part in self.parts.items() if slot_of(&self.exchange.core.orders, order)}
            self.swept = max(SWEPT_MIN, len(self.parts))
        return 0

    def number(self, order: int) -> int:
        """The public number of an open order."""
        return self.of(order)

    def restore(self, parts: dict[int, int]) -> None:
        """Go on with the `parts` that another process counted."""
        self.parts = dict(parts)
        self.swept = max(SWEPT_MIN, len(self.parts))
