"""The orders of one book in their queues, by public ids, with a digest that proves every queue.

The digest is a sum over all orders, and the share of an order also depends on the order directly ahead of it. So two books have the same digest only
if they have the same orders in the same priority, though neither knows when any order arrived. Each change costs O(1).
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdlib cimport free
from libc.string cimport memset

from engine.ahead cimport Ahead, Sum, arrive, asked_about, begin_ahead, change_ahead, forget_ahead, forget_all, sum_below
from engine.ladder cimport Level, came_alive, find, find_or_add, forget, next_worse, ran_empty
from engine.levels cimport mix, side_of
from engine.memory cimport doubled, resized
from engine.model cimport BUY, SELL
from engine.thresholds cimport QUEUED_ORDERS

from engine.errors import Inconsistent
from engine.instrument import MONEY_MAX, PRICE_MAX

cdef enum:
    ADDED = 0                   # kinds of a Change
    REMOVED = 1
    TAKEN = 2


cdef inline uint64_t share_of(uint64_t order, uint64_t ahead, int side, int64_t price, int64_t size) noexcept nogil:
    return mix(0, mix(side, price, size), mix(0, order, ahead))


def order_share(order: int, ahead: int, side: int, price: int, size: int) -> int:
    """The share of one order in the digest of a book by orders. `ahead` is the order directly ahead of it in its queue, 0 for none."""
    return share_of(order, ahead, side, price, size)


cdef void share(Queues* queues, uint32_t slot) noexcept nogil:
    """An order, or the one ahead of it, is another now."""
    cdef QueuedOrder* order = &queues.order[slot]
    queues.digest -= order.term
    order.term = share_of(order.order, queues.order[order.ahead].order, side_at(queues, slot), price_at(queues, slot), order.size)
    queues.digest += order.term


cdef inline void share_level(Queues* queues, uint32_t index) noexcept nogil:
    cdef Level* level = &queues.levels.level[index]
    queues.levels.digest -= level.term
    level.term = mix(level.side, level.price, level.size) if level.size else 0
    queues.levels.digest += level.term


cdef void arrived(Queues* queues, uint32_t slot) noexcept nogil:
    """An order has come into its queue."""
    cdef QueuedOrder* queued = &queues.order[slot]
    cdef Ahead* ahead = asked_about(&queues.aheads, queued.level)
    if ahead == NULL:
        return
    if queued.behind or ahead.last == ahead.room:
        forget_ahead(ahead)
    else:
        queued.rank = arrive(ahead, queued.size)


cdef Ahead* look_at(Queues* queues, uint32_t index) noexcept nogil:
    """What is ahead of the orders of a level. O(these orders), if nobody has asked yet."""
    cdef Level* level = &queues.levels.level[index]
    cdef Ahead* ahead = asked_about(&queues.aheads, index)
    cdef uint32_t slot = level.queue.head
    if ahead == NULL:
        ahead = begin_ahead(&queues.aheads, index, queues.levels.level_capacity, level.count)
        while slot:
            queues.order[slot].rank = arrive(ahead, queues.order[slot].size)
            slot = queues.order[slot].behind
    return ahead


cdef Sum ahead_of(Queues* queues, uint32_t slot) noexcept nogil:
    """How many orders and lots are ahead of an order in its queue. O(log n) of the queue's length, on average over many questions."""
    cdef Ahead* ahead = look_at(queues, queues.order[slot].level)    # which may give the order its rank
    return sum_below(ahead, queues.order[slot].rank)


cdef uint32_t put_behind(Queues* queues, uint64_t order, int side, int64_t price, int64_t size, uint32_t ahead) noexcept nogil:
    """Put an order behind another one of its queue, or for 0 ahead of all. Returns its slot. `size` is above 0."""
    cdef uint32_t index = find_or_add(&queues.levels, side, price)
    cdef Level* level = &queues.levels.level[index]
    cdef uint32_t slot = queues.free
    cdef QueuedOrder* queued
    if slot:
        queues.free = queues.order[slot].behind
    else:
        if queues.top + 1 >= queues.capacity:
            queues.order = <QueuedOrder*>resized(queues.order, queues.capacity * sizeof(QueuedOrder), doubled(queues.capacity, QUEUED_ORDERS) * sizeof(QueuedOrder))
            queues.capacity = doubled(queues.capacity, QUEUED_ORDERS)
        queues.top += 1
        slot = queues.top
    queued = &queues.order[slot]
    queued.order = order
    queued.size = size
    queued.term = 0
    queued.level = index
    queued.ahead = ahead
    queued.behind = queues.order[ahead].behind if ahead else level.queue.head
    if ahead:
        queues.order[ahead].behind = slot
    else:
        level.queue.head = slot
    if queued.behind:
        queues.order[queued.behind].ahead = slot
        share(queues, queued.behind)
    else:
        level.queue.tail = slot
    share(queues, slot)
    queues.count += 1
    level.count += 1
    level.size += size
    if level.count == 1:
        came_alive(&queues.levels, index)
    share_level(queues, index)
    arrived(queues, slot)
    return slot


cdef uint32_t put_last(Queues* queues, uint64_t order, int side, int64_t price, int64_t size) noexcept nogil:
    """Put an order behind all others at its price. Returns its slot."""
    cdef uint32_t index = find(&queues.levels, side, price)
    return put_behind(queues, order, side, price, size, queues.levels.level[index].queue.tail if index else 0)


cdef void resize_order(Queues* queues, uint32_t slot, int64_t size) noexcept nogil:
    """Give an order another size, above 0, where it is."""
    cdef QueuedOrder* queued = &queues.order[slot]
    cdef Ahead* ahead = asked_about(&queues.aheads, queued.level)
    if ahead != NULL:
        change_ahead(ahead, queued.rank, 0, size - queued.size)
    queues.levels.level[queued.level].size += size - queued.size
    queued.size = size
    share(queues, slot)
    share_level(queues, queued.level)


cdef void take_out(Queues* queues, uint32_t slot) noexcept nogil:
    """Remove an order."""
    cdef QueuedOrder* queued = &queues.order[slot]
    cdef uint32_t index = queued.level
    cdef Level* level = &queues.levels.level[index]
    cdef Ahead* ahead = asked_about(&queues.aheads, index)
    if ahead != NULL:
        change_ahead(ahead, queued.rank, -1, -queued.size)
    if queued.ahead:
        queues.order[queued.ahead].behind = queued.behind
    else:
        level.queue.head = queued.behind
    if queued.behind:
        queues.order[queued.behind].ahead = queued.ahead
        share(queues, queued.behind)
    else:
        level.queue.tail = queued.ahead
    queues.digest -= queued.term
    queues.count -= 1
    level.count -= 1
    level.size -= queued.size
    share_level(queues, index)
    if not level.count:
        if ahead != NULL:
            forget_ahead(ahead)
        ran_empty(&queues.levels, index)
        forget(&queues.levels, index)
    queued.order = 0
    queued.behind = queues.free
    queues.free = slot


cdef void empty(Queues* queues) noexcept nogil:
    """Forget everything."""
    forget_all(&queues.aheads)
    free(queues.levels.level)
    free(queues.levels.node)
    free(queues.order)
    memset(queues, 0, sizeof(Queues))


cdef class OrderQueues:
    """The orders of a book, to look at. Side 0 holds the bids, side 1 the asks; prices are in ticks and sizes in lots."""

    def __cinit__(self, *_: object, **__: object) -> None:
        memset(&self.queues, 0, sizeof(Queues))

    def __init__(self) -> None:
        pass

    def __dealloc__(self) -> None:
        empty(&self.queues)

    def __len__(self) -> int:
        return self.queues.count

    @property
    def digest(self) -> int:
        """The sum mod 2**64 of `order_share` over all orders."""
        return self.queues.digest

    @property
    def levels_digest(self) -> int:
        """The digest of the price levels that these orders add up to: that of `orderbook:<instrument>`."""
        return self.queues.levels.digest

    @property
    def crossed(self) -> bool:
        """Whether the best bid is at or above the best ask."""
        cdef uint32_t bid = self.queues.levels.ladders[<int>BUY].best
        cdef uint32_t ask = self.queues.levels.ladders[<int>SELL].best
        return bool(bid and ask and self.queues.levels.level[bid].price >= self.queues.levels.level[ask].price)

    def depth(self, n: int = 0) -> tuple[list[int], list[int]]:
        """The best `n` bids and asks (0: all), best first, as price, size, price, size. O(n)."""
        return side_of(&self.queues.levels, BUY, n), side_of(&self.queues.levels, SELL, n)

    def queue(self, side: int, price: int) -> list[tuple[int, int]]:
        """The orders at a price by priority, each with its size. O(these orders)."""
        cdef uint32_t index = find(&self.queues.levels, checked_side(side), checked_price(price))
        cdef uint32_t slot = self.queues.levels.level[index].queue.head if index else 0
        cdef list orders = []
        while slot:
            orders.append((self.queues.order[slot].order, self.queues.order[slot].size))
            slot = self.queues.order[slot].behind
        return orders

    def rows(self, side: int) -> bytes:
        """All orders of a side, the best price first and by priority at each price: order, price and size of each, as native 64-bit integers. O(orders)."""
        cdef uint32_t index = self.queues.levels.ladders[checked_side(side)].best
        cdef uint32_t slot
        cdef uint64_t count = 0
        cdef int64_t* to
        cdef bytes rows
        while index:
            count += self.queues.levels.level[index].count
            index = next_worse(&self.queues.levels, side, self.queues.levels.level[index].price)
        rows = PyBytes_FromStringAndSize(NULL, count * 3 * sizeof(int64_t))
        to = <int64_t*>PyBytes_AS_STRING(rows)
        index = self.queues.levels.ladders[<int>side].best
        while index:
            slot = self.queues.levels.level[index].queue.head
            while slot:
                to[0], to[1], to[2] = self.queues.order[slot].order, self.queues.levels.level[index].price, self.queues.order[slot].size
                to += 3
                slot = self.queues.order[slot].behind
            index = next_worse(&self.queues.levels, side, self.queues.levels.level[index].price)
        return rows

    def check(self) -> None:
        """Check that all parts agree. Raises Inconsistent if they do not. O(orders)."""
        cdef uint32_t index, slot, ahead, count = 0, before
        cdef uint64_t digest = 0, levels_digest = 0
        cdef Ahead* asked
        cdef Sum sum
        cdef int64_t size, lots
        cdef int side
        for side in range(2):
            index = self.queues.levels.ladders[side].best
            while index:
                ahead, lots, before = 0, 0, 0
                asked = asked_about(&self.queues.aheads, index)
                price = self.queues.levels.level[index].price
                slot = self.queues.levels.level[index].queue.head
                while slot:
                    size = self.queues.order[slot].size
                    expect(size > 0 and self.queues.order[slot].ahead == ahead and self.queues.order[slot].level == index, "an order is where it says", slot)
                    digest += share_of(self.queues.order[slot].order, self.queues.order[ahead].order, side, price, size)
                    if asked != NULL:
                        sum = sum_below(asked, self.queues.order[slot].rank)
                        expect(sum.orders == before and sum.size == lots, "what is ahead of an order is the sum of those ahead", slot)
                    lots += size
                    count += 1
                    before += 1
                    ahead, slot = slot, self.queues.order[slot].behind
                expect(self.queues.levels.level[index].queue.tail == ahead, "the tail is the last order", index)
                expect(self.queues.levels.level[index].size == lots > 0, "a level is the sum of its orders", index)
                levels_digest += mix(side, price, lots)
                index = next_worse(&self.queues.levels, side, price)
        expect(count == self.queues.count, "as many orders as counted", count)
        expect(digest == self.queues.digest, "the digest is the sum of the orders' shares", digest)
        expect(levels_digest == self.queues.levels.digest, "the levels' digest is the sum of theirs", levels_digest)


cdef int expect(bint holds, str what, uint64_t where) except -1:
    if not holds:
        raise Inconsistent(f"order queues: expected that {what} ({where})")
    return 0


cdef int checked_side(side) except -1:
    if side != BUY and side != SELL:
        raise ValueError(f"side {side}: expected 0 (bids) or 1 (asks)")
    return side


cdef int64_t checked_price(price) except -1:
    if not 0 <= price < PRICE_MAX:
        raise ValueError(f"price {price}: expected 0 to {PRICE_MAX - 1} ticks")
    return price


cdef int64_t checked_size(size) except -1:
    if not 0 < size <= MONEY_MAX:
        raise ValueError(f"size {size}: expected 1 to {MONEY_MAX} lots")
    return size


@cython.final
cdef class IndexedQueues(OrderQueues):
    """The orders of a book, found and changed by their public ids. Each change costs O(1).

    A change that does not fit raises ValueError and changes nothing. After `begin`, all changes can be taken back by `roll_back`, until `keep`.
    """

    def __cinit__(self) -> None:
        self.slots = {}

    def __dealloc__(self) -> None:
        free(self.change)

    def __contains__(self, order: int) -> bool:
        return order in self.slots

    cdef uint32_t slot(self, order) except 0:
        slot = self.slots.get(order)
        if slot is None:
            raise ValueError(f"order {order}: expected one that is in the book")
        return slot

    def find(self, order: int) -> tuple[int, int, int] | None:
        """An order's side, price and size; None if it is not in the book. O(1)."""
        if order not in self.slots:
            return None
        cdef uint32_t slot = self.slots[order]
        return side_at(&self.queues, slot), price_at(&self.queues, slot), self.queues.order[slot].size

    def place(self, order: int) -> tuple[int, int]:
        """How many orders, and how many lots, are ahead of an order in its queue. Raises ValueError if it is not in the book.

        O(log n) of the orders at its price, on average over many questions; the first one about a price costs O(n).
        """
        cdef Sum ahead = ahead_of(&self.queues, self.slot(order))
        return ahead.orders, ahead.size

    # Changes

    cdef void note(self, int kind, uint32_t slot) noexcept:
        """Remember how a change is taken back: what the order is before it is removed, or after it was added."""
        cdef Change* change
        if not self.trying:
            return
        if self.changes == self.changes_capacity:
            self.change = <Change*>resized(self.change, self.changes * sizeof(Change), doubled(self.changes, QUEUED_ORDERS) * sizeof(Change))
            self.changes_capacity = doubled(self.changes, QUEUED_ORDERS)
        change = &self.change[self.changes]
        change.kind = kind
        change.order = self.queues.order[slot].order
        change.ahead = self.queues.order[self.queues.order[slot].ahead].order
        change.side = side_at(&self.queues, slot)
        change.price = price_at(&self.queues, slot)
        change.size = self.queues.order[slot].size
        self.changes += 1

    cdef int remove(self, uint32_t slot) except -1:
        self.note(REMOVED, slot)
        del self.slots[self.queues.order[slot].order]
        take_out(&self.queues, slot)
        return 0

    def add(self, order: int, side: int, price: int, size: int) -> None:
        """Put an order behind all others at its price."""
        cdef uint32_t slot
        cdef uint64_t id
        if not 0 < order < 1 << 63 or order in self.slots:
            raise ValueError(f"order {order}: expected an id that is not in the book")
        id = order
        slot = put_last(&self.queues, id, checked_side(side), checked_price(price), checked_size(size))
        self.slots[order] = slot
        self.note(ADDED, slot)

    def take(self, order: int, by: int) -> int:
        """Take lots off an order, which keeps its place; without any left it is gone. Returns what is left."""
        cdef uint32_t slot = self.slot(order)
        cdef int64_t left = self.queues.order[slot].size - checked_size(by)
        if left < 0:
            raise ValueError(f"order {order}: expected at most {self.queues.order[slot].size} lots to be taken, got {by}")
        if left:
            self.note(TAKEN, slot)
            resize_order(&self.queues, slot, left)
        else:
            self.remove(slot)
        return left

    def move(self, order: int, price: int, size: int) -> None:
        """Give an order a new price and size, behind all others there."""
        cdef uint32_t slot = self.slot(order)
        cdef int side = side_at(&self.queues, slot)
        checked_price(price)
        checked_size(size)
        self.remove(slot)
        self.add(order, side, price, size)

    def delete(self, order: int) -> None:
        """Remove an order."""
        self.remove(self.slot(order))

    def clear(self) -> None:
        """Remove all orders. O(orders)."""
        for slot in list(self.slots.values()):
            self.remove(slot)

    def begin(self) -> None:
        """Make it possible to take back what follows."""
        self.changes = 0
        self.trying = True

    def keep(self) -> None:
        """Keep what has changed since `begin`. O(1)."""
        self.trying = False

    def roll_back(self) -> None:
        """Take back everything since `begin`. O(changes)."""
        cdef Change* change
        cdef uint32_t slot
        self.trying = False
        while self.changes:
            self.changes -= 1
            change = &self.change[self.changes]
            if change.kind == REMOVED:
                self.slots[change.order] = put_behind(&self.queues, change.order, change.side, change.price, change.size,
                                                      self.slots[change.ahead] if change.ahead else 0)
                continue
            slot = self.slots[change.order]
            if change.kind == TAKEN:
                resize_order(&self.queues, slot, change.size)
            else:
                del self.slots[change.order]
                take_out(&self.queues, slot)
