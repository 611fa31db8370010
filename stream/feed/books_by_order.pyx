"""Derives the changes of each book's orders from the engine's events.

An order that was accepted, triggered, or replaced with the loss of its place is *incoming* until the next such order or the end of its batch. If it is
still open then, it is the last one in the queue of its price. DISPLAYED puts an order at the end of its queue with what it shows. Everything else changes an
order where it is. What an auction collects queues up in the same way, unseen.
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free

from engine.ahead cimport Sum
from engine.core cimport Core, price_of
from engine.events cimport EventBuffer
from engine.exchange cimport Exchange
from engine.ladder cimport Levels, next_worse
from engine.memory cimport resized
from engine.model cimport (
    ACCEPTED, AUCTION, CANCELLED, DISPLAYED, EXPIRED, FILLED, PHASE, REDUCED, REPLACED, SELF_TRADE, TAKER, TRADING, TRIGGERED, WAITING, Event,
)
from engine.orders cimport SLOT_MASK, left_of, order_id
from engine.queues cimport OrderQueues, Queues, ahead_of, price_at, put_last, resize_order, side_at, take_out
from stream.feed.by_order_log cimport (
    ADD, BY_CANCEL, BY_EXPIRY, BY_FILL, BY_REPLACE, CLEAR, DELETE, FILL, MOVE, REDUCE, ByOrderLog, Entry,
)
from stream.feed.public_orders cimport PublicOrders

cdef uint32_t RELEVANT = (
    1 << <int>ACCEPTED | 1 << <int>WAITING | 1 << <int>TRIGGERED | 1 << <int>DISPLAYED | 1 << <int>FILLED | 1 << <int>CANCELLED
    | 1 << <int>REDUCED | 1 << <int>REPLACED | 1 << <int>PHASE
)


cdef struct Known:              # an open order of a book that is followed, by its slot in the engine
    uint64_t order
    uint64_t number             # its public one
    int64_t left                # all lots that remain, those that do not show too
    int64_t limit               # of an order that waits
    uint32_t place              # its slot in the queues; 0: it is in none


cdef class BookByOrder:
    """One book that is followed."""

    cdef BooksByOrder books
    cdef ByOrderLog log
    cdef OrderQueues resting    # what the log shows, or what an auction collects unseen
    cdef Known* incoming        # NULL for none
    cdef int side               # of the incoming order
    cdef int64_t price          # its limit
    cdef bint publishing        # what was collected is shown when it has uncrossed
    cdef bint noted             # whether the batch has touched it
    cdef int64_t seq            # of the batch
    cdef int64_t time

    cdef bint collecting(self) noexcept:
        return self.resting is not self.log.queues

    cdef void begin(self, uint32_t index):
        """Take in the book as it is."""
        cdef Core* core = &self.books.exchange.core
        cdef bint unseen = core.book[index].levels != core.book[index].published
        self.incoming = NULL
        self.publishing = False
        self.resting = OrderQueues()
        self.log.queues = OrderQueues() if unseen else self.resting
        self.walk(core.book[index].levels, False)
        if core.book[index].stops != NULL:
            self.walk(core.book[index].stops, True)

    cdef void walk(self, Levels* levels, bint wait):
        """Get to know the orders of these levels."""
        cdef Core* core = &self.books.exchange.core
        cdef uint32_t index, slot
        cdef Known* known
        cdef int side
        for side in range(2):
            index = levels.ladders[side].best
            while index:
                slot = levels.level[index].queue.head
                while slot:
                    known = self.books.known_at(order_id(&core.orders, slot))
                    known.number = self.books.orders.of(known.order)    # it may have displayed another part since it was last followed
                    known.left = left_of(&core.orders, slot)
                    known.limit = price_of(core, slot)
                    known.place = 0
                    if not wait:
                        known.place = put_last(&self.resting.queues, known.number, side, levels.level[index].price, core.orders.order[slot].remaining)
                    slot = core.orders.order[slot].newer
                index = next_worse(levels, side, levels.level[index].price)

    # What is told

    cdef Entry* tell(self, int kind, uint64_t number) noexcept:
        """A change, NULL while nobody sees any."""
        return NULL if self.collecting() else self.log.add(self.seq, self.time, kind, number)

    cdef void show(self, Known* known, int side, int64_t price, int64_t size):
        """An order comes to rest."""
        cdef Entry* entry = self.tell(ADD, known.number)
        known.place = put_last(&self.resting.queues, known.number, side, price, size)
        if entry != NULL:
            entry.side, entry.price, entry.size = side, price, size

    cdef void delete(self, Known* known, int reason):
        cdef Entry* entry = self.tell(DELETE, known.number)
        if entry != NULL:
            entry.reason = reason
        take_out(&self.resting.queues, known.place)
        known.place = 0

    cdef void reduce(self, Known* known, int64_t by):
        cdef Entry* entry
        if by == self.resting.queues.order[known.place].size:
            self.delete(known, BY_CANCEL)
        elif by:
            entry = self.tell(REDUCE, known.number)
            if entry != NULL:
                entry.size = by
            resize_order(&self.resting.queues, known.place, self.resting.queues.order[known.place].size - by)

    cdef void execute(self, Known* known, const Event* event):
        cdef Entry* entry = self.tell(FILL, known.number)
        cdef int64_t left = self.resting.queues.order[known.place].size - event.size
        if entry != NULL:
            entry.size = event.size
            entry.trade = (event - (2 if event.flags & TAKER else 1)).seq    # the trade comes first, then the maker's fill, then the taker's
        if left:
            resize_order(&self.resting.queues, known.place, left)
        else:
            take_out(&self.resting.queues, known.place)
            known.place = 0

    cdef void move(self, Known* known, int side, int64_t price, int64_t size):
        cdef Entry* entry = self.tell(MOVE, known.number)
        if entry != NULL:
            entry.price, entry.size = price, size
        take_out(&self.resting.queues, known.place)
        known.place = put_last(&self.resting.queues, known.number, side, price, size)

    cdef void show_all(self):
        """Tell of every order as if it came now."""
        cdef Queues* queues = &self.resting.queues
        cdef uint32_t index, slot
        cdef Entry* entry
        cdef int side
        for side in range(2):
            index = queues.levels.ladders[side].best
            while index:
                slot = queues.levels.level[index].queue.head
                while slot:
                    entry = self.log.add(self.seq, self.time, ADD, queues.order[slot].order)
                    entry.side, entry.price, entry.size = side, queues.levels.level[index].price, queues.order[slot].size
                    slot = queues.order[slot].behind
                index = next_worse(&queues.levels, side, queues.levels.level[index].price)

    # What happened

    cdef void settle(self):
        """The incoming order rests, if it is open."""
        cdef Known* known = self.incoming
        self.incoming = NULL
        if known == NULL:
            return
        if known.place:
            self.move(known, self.side, self.price, known.left)
        else:
            self.show(known, self.side, self.price, known.left)

    cdef void publish(self):
        """What an auction has left is seen from now on."""
        if self.publishing:
            self.publishing = False
            self.log.queues = self.resting
            self.show_all()

    cdef void enter(self, Known* known, int side, int64_t price, int64_t left):
        """An order is incoming. A stop that was triggered as it arrived is so twice, and has not come to rest in between."""
        if known != self.incoming:
            self.settle()
        known.left = left
        self.incoming, self.side, self.price = known, side, price

    cdef void end_incoming(self, int reason):
        """The incoming order ends."""
        if self.incoming.place:
            self.delete(self.incoming, reason)
        self.incoming = NULL

    cdef void replace(self, Known* known, const Event* event):
        cdef int64_t shown
        if not known.place:
            known.limit, known.left = event.price, event.remaining
        elif event.price == price_at(&self.resting.queues, known.place) and event.size <= known.left:
            known.left = event.size
            shown = self.resting.queues.order[known.place].size
            self.reduce(known, shown - min(shown, event.size))
        else:
            self.enter(known, event.side, event.price, event.remaining)

    cdef void display(self, Known* known, const Event* event):
        """An iceberg shows another part: an order of its own, for all that anybody sees."""
        if known.place:
            self.delete(known, BY_REPLACE)
        if known == self.incoming:
            self.incoming = NULL
        known.left = event.remaining
        known.number = self.books.orders.of(event.order)
        self.show(known, event.side, event.price, event.size)

    cdef void change_phase(self, const Event* event):
        self.settle()
        if event.phase == AUCTION and not self.collecting():
            if self.resting.queues.count:
                self.tell(CLEAR, 0)
            self.log.queues = OrderQueues()
        elif event.phase == TRADING:
            self.publishing = self.collecting()

    cdef void take(self, const Event* event):
        """Take in an event of the book."""
        cdef Known* known
        cdef int64_t shown
        if event.kind == PHASE:
            self.change_phase(event)
            return
        known = self.books.known_at(event.order)
        if event.kind == ACCEPTED:
            known.limit = event.price
            self.enter(known, event.side, event.price, event.remaining)
        elif event.kind == WAITING:
            self.incoming = NULL
        elif event.kind == TRIGGERED:
            self.publish()
            self.enter(known, event.side, known.limit, event.remaining)
        elif event.kind == REPLACED:
            self.replace(known, event)
        elif event.kind == DISPLAYED:
            self.display(known, event)
        elif known == self.incoming:
            known.left = event.remaining
            if not known.left:
                self.end_incoming(BY_FILL if event.kind == FILLED else BY_CANCEL)
        elif known.place:
            known.left = event.remaining
            if event.kind == FILLED:
                self.execute(known, event)
            elif event.kind == CANCELLED:
                self.delete(known, BY_EXPIRY if event.reason == EXPIRED else BY_CANCEL)
            else:
                shown = self.resting.queues.order[known.place].size
                self.reduce(known, event.size if event.reason == SELF_TRADE else shown - min(shown, event.remaining))

    cdef bint right(self, uint32_t index):
        """Whether the orders add up to the book's price levels."""
        return self.log.queues.queues.levels.digest == self.books.exchange.core.book[index].published.digest

    cdef void begin_again(self, uint32_t index):
        """Tell of the whole book anew."""
        self.tell(CLEAR, 0)
        self.begin(index)
        if not self.collecting():
            self.show_all()


@cython.final
cdef class BooksByOrder:
    """The books of an exchange by orders: those that are followed. `failures` counts books that were wrong and began again."""

    cdef Exchange exchange
    cdef readonly PublicOrders orders
    cdef readonly uint64_t failures
    cdef list followed          # BookByOrder, or None, by instrument
    cdef uint32_t count         # of those that are followed
    cdef Known* known
    cdef uint32_t capacity

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.orders = PublicOrders(exchange)
        self.followed = []

    def __dealloc__(self) -> None:
        free(self.known)

    cdef Known* known_at(self, uint64_t order):
        """What is known of an order. The pointer holds until the next call of `reserve`."""
        cdef Known* known = &self.known[order & SLOT_MASK]
        if known.order != order:
            known.order, known.number = order, self.orders.of(order)
            known.left = known.limit = known.place = 0
        return known

    cdef int reserve(self) except -1:
        """Make room for all orders that there have ever been at once."""
        cdef uint32_t wanted = self.exchange.core.orders.top + 1
        if wanted > self.capacity:
            wanted += wanted // 2
            self.known = <Known*>resized(self.known, self.capacity * sizeof(Known), wanted * sizeof(Known))
            self.capacity = wanted
        return 0

    def follow(self, index: int, log: ByOrderLog) -> None:
        """Put the changes of a book into a log from now on, which begins with the book as it is. O(orders in the book)."""
        cdef BookByOrder book = BookByOrder.__new__(BookByOrder)
        self.reserve()
        self.followed.extend([None] * (index + 1 - len(self.followed)))
        self.count += self.followed[index] is None
        book.books, book.log = self, log
        book.begin(index)
        self.followed[index] = book

    def forget(self, index: int) -> None:
        """Follow a book no longer."""
        self.followed[index] = None
        self.count -= 1
        if not self.count:
            free(self.known)
            self.known = NULL
            self.capacity = 0

    def place(self, index: int, order: int) -> tuple[int, int, int] | None:
        """The public number of an open order of a book that is followed, and how many orders and lots are ahead of it; None if it is in no queue that is shown.

        O(log n) of the orders at its price, on average over many questions.
        """
        cdef BookByOrder book = self.followed[index]
        cdef Known* known
        cdef Sum ahead
        self.reserve()
        known = self.known_at(order)
        if not known.place or book.collecting():
            return None
        ahead = ahead_of(&book.resting.queues, known.place)
        return known.number, ahead.orders, ahead.size

    def apply(self, int64_t time) -> list:
        """Take in the events of the exchange's latest call, of `time`. Returns the indexes of the books that have something new.

        O(events): a nanosecond each, if no book is followed.
        """
        cdef EventBuffer* events = self.exchange.events.told()
        cdef Event* event = events.event
        cdef Event* end
        cdef uint32_t i
        cdef BookByOrder book
        cdef list touched = []
        cdef dict changed = {}
        if not self.count:
            while event < events.next:
                if event.kind == DISPLAYED:
                    self.orders.displayed(event.order)
                event += 1
            return []
        self.reserve()
        for i in range(events.batches):
            end = <Event*>(<char*>events.event + events.batch[i].end)
            while event < end:
                if RELEVANT >> event.kind & 1:
                    if event.kind == DISPLAYED:
                        self.orders.displayed(event.order)
                    if event.instrument < len(self.followed) and self.followed[event.instrument] is not None:
                        book = self.followed[event.instrument]
                        if not book.noted:
                            book.noted, book.seq, book.time = True, (end - 1).seq, time
                            touched.append(event.instrument)
                        book.take(event)
                event += 1
            for index in touched:
                book = self.followed[index]
                book.noted = False
                book.settle()
                book.publish()
                changed[index] = None
            touched.clear()
        for index in changed:
            book = self.followed[index]
            if not book.right(index):
                self.failures += 1
                book.begin_again(index)
        return list(changed)
