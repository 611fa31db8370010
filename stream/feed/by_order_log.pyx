"""The latest changes of a book's orders, and the frames of `market_by_order:<instrument>`.

The bytes are those of `MSGPACK.frame` for a `MarketByOrder`. No change is a Python object.
"""

cimport cython
from libc.stdlib cimport free

from engine.ladder cimport next_worse
from engine.queues cimport Queues
from stream.feed.logs cimport begin, entry_of, first_after, framed, head_of, new_entry, put_packed
from stream.wire.packing cimport ARRAY_MAX, NIL, NUMBER_MAX, put_array, put_number

from collections.abc import Sequence

import msgspec

from stream.wire.frames import BookCleared, MarketByOrder, OrderAdded, OrderDeleted, OrderExecuted, OrderMoved, OrderReduced

cdef enum:
    ADD_MAX = 6 + 3 * NUMBER_MAX + 5            # bytes of an encoded change that adds an order
    CHANGE_MAX = 8 + 3 * NUMBER_MAX + 10        # of any
    BATCH_MAX = 1 + 2 * NUMBER_MAX + ARRAY_MAX  # of the rest of a batch

cdef object packed = msgspec.msgpack.encode
CHANGES = (OrderAdded, OrderReduced, OrderMoved, OrderExecuted, OrderDeleted, BookCleared)
SIDES = ("buy", "sell")
REASONS = ("cancelled", "expired", "filled", "replaced")

cdef list PACKED_CHANGES = [bytes((0x90 | len(change.__struct_fields__) + 1,)) + packed(change.__struct_config__.tag) for change in CHANGES]
cdef list PACKED_SIDES = [packed(side) for side in SIDES]
cdef list PACKED_REASONS = [packed(reason) for reason in REASONS]


cdef inline unsigned char* put_add(unsigned char* to, uint64_t order, int side, int64_t price, int64_t size):
    to = put_packed(put_number(put_packed(to, PACKED_CHANGES[<int>ADD]), order), PACKED_SIDES[side])
    return put_number(put_number(to, price), size)


cdef unsigned char* put_change(unsigned char* to, const Entry* entry):
    if entry.kind == ADD:
        return put_add(to, entry.order, entry.side, entry.price, entry.size)
    to = put_packed(to, PACKED_CHANGES[entry.kind])
    if entry.kind == CLEAR:
        return to
    to = put_number(to, entry.order)
    if entry.kind == DELETE:
        return put_packed(to, PACKED_REASONS[entry.reason])
    if entry.kind == MOVE:
        to = put_number(to, entry.price)
    to = put_number(to, entry.size)
    return put_number(to, entry.trade) if entry.kind == FILL else to


@cython.final
cdef class ByOrderLog:
    """The latest changes of the orders in `queues`, at most `kept`. `floor`: up to this sequence some are missing; `seq` is the last one's."""

    def __init__(self, channel: str, queues: OrderQueues, kept: int, seq: int) -> None:
        self.ring.item = sizeof(Entry)
        self.ring.kept = kept
        self.queues = queues
        self.floor = self.seq = seq
        self.head = head_of("market_by_order", channel, MarketByOrder.__struct_fields__)

    def __dealloc__(self) -> None:
        free(self.ring.data)

    cdef Entry* add(self, int64_t seq, int64_t time, int kind, uint64_t order) noexcept:
        """A change of the batch that ends at `seq`."""
        cdef Entry* entry = <Entry*>new_entry(&self.ring, &self.floor)
        entry.seq, entry.time, entry.kind, entry.order = seq, time, kind, order
        entry.trade = entry.price = entry.size = entry.side = entry.reason = 0
        self.seq = seq
        return entry

    def follow(self, frame: MarketByOrder, queues: OrderQueues) -> None:
        """Take in a frame that another server has sent, and the orders as they are now. After a snapshot that does not continue what is here, call `restart`."""
        cdef Entry* entry
        self.queues = queues
        for batch in frame.batches:
            for change in batch.changes:
                kind = CHANGES.index(type(change))
                entry = self.add(batch.seq, batch.time, kind, 0 if kind == CLEAR else change.order)
                if kind == DELETE:
                    entry.reason = REASONS.index(change.reason)
                elif kind != CLEAR:
                    entry.size = change.size
                    entry.price = change.price if kind == ADD or kind == MOVE else 0
                    entry.side = SIDES.index(change.side) if kind == ADD else 0
                    entry.trade = change.trade if kind == FILL else 0

    def restart(self, queues: OrderQueues, seq: int) -> None:
        """Forget all changes: the orders are these, as of `seq`."""
        self.queues = queues
        self.ring.first = self.ring.count = 0
        self.floor = self.seq = seq

    cdef bytes frame(self, at, unsigned char* end):
        """The payload, whose batches end here."""
        cdef uint64_t digest = self.queues.queues.digest
        return framed(put_number(put_number(put_number(end, digest), at[2]), at[3]))

    def since(self, prev: int, at: Sequence[int]) -> bytes | None:
        """The frame of what happened after `prev`, None if some of it is forgotten. O(changes in it). `at` is a Point: epoch, seq, engine_time, now."""
        cdef uint32_t first, i, end, batches = 0
        cdef uint64_t seq = 0
        cdef Entry* entry
        cdef unsigned char* to
        if prev < self.floor:
            return None
        first = first_after(&self.ring, prev)
        for i in range(first, self.ring.count):
            entry = <Entry*>entry_of(&self.ring, i)
            batches += entry.seq != seq
            seq = entry.seq
        to = begin(len(self.head) + 8 * NUMBER_MAX + ARRAY_MAX + batches * <size_t>BATCH_MAX + (self.ring.count - first) * <size_t>CHANGE_MAX)
        to = put_number(put_number(put_number(put_packed(to, self.head), at[0]), prev), at[1])
        to = put_array(to, batches)
        while first < self.ring.count:
            entry = <Entry*>entry_of(&self.ring, first)
            seq = entry.seq
            end = first
            while end < self.ring.count and (<Entry*>entry_of(&self.ring, end)).seq == seq:
                end += 1
            to = put_array(put_number(put_number(put_array(to, 3), seq), entry.time), end - first)
            for i in range(first, end):
                to = put_change(to, <Entry*>entry_of(&self.ring, i))
            first = end
        return self.frame(at, to)

    def snapshot(self, at: Sequence[int]) -> bytes:
        """The frame of all orders. O(orders)."""
        cdef Queues* queues = &self.queues.queues
        cdef uint32_t index, slot
        cdef int side
        cdef unsigned char* to = begin(len(self.head) + 8 * NUMBER_MAX + ARRAY_MAX + BATCH_MAX + queues.count * <size_t>ADD_MAX)
        to = put_number(put_packed(to, self.head), at[0])
        to[0] = NIL
        to = put_number(to + 1, at[1])
        to = put_array(to, queues.count > 0)
        if queues.count:
            to = put_array(put_number(put_number(put_array(to, 3), at[1]), at[2]), queues.count)
        for side in range(2):
            index = queues.levels.ladders[side].best
            while index:
                slot = queues.levels.level[index].queue.head
                while slot:
                    to = put_add(to, queues.order[slot].order, side, queues.levels.level[index].price, queues.order[slot].size)
                    slot = queues.order[slot].behind
                index = next_worse(&queues.levels, side, queues.levels.level[index].price)
        return self.frame(at, to)
