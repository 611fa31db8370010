"""An exchange's state as bytes: 64-bit little-endian numbers, and texts with their length. engine/state.pyx lists them."""

from cpython.buffer cimport PyBUF_READ
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport uint32_t
from libc.stdlib cimport free
from libc.string cimport memcpy

from engine.client_ids cimport mark_done, remember
from engine.core cimport PRICE_LIMIT, Book
from engine.ladder cimport Level, came_alive, find_or_add
from engine.levels cimport mix
from engine.memory cimport doubled, grown
from engine.orders cimport SPECIAL, WAITS, Orders, join_queue, slots_max
from engine.thresholds cimport SNAPSHOT_BYTES

from engine.errors import BadSnapshot

cdef extern from *:
    """
    #if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "deltabook's records are little-endian"
    #endif
    """


cdef class Writer:
    """Bytes that grow."""

    def __init__(self, version) -> None:
        self.version = version

    def __dealloc__(self) -> None:
        free(self.data)

    cdef int put(self, uint64_t value) except -1 nogil:
        if self.used + sizeof(uint64_t) > self.capacity:
            self.data = <char*>grown(self.data, self.used, doubled(self.capacity, SNAPSHOT_BYTES))
            self.capacity = doubled(self.capacity, SNAPSHOT_BYTES)
        memcpy(self.data + self.used, &value, sizeof(uint64_t))
        self.used += sizeof(uint64_t)

    cdef object text(self, str value):
        cdef bytes encoded = value.encode()
        cdef size_t i
        self.put(len(encoded))
        encoded += bytes((8 - len(encoded) % 8) % 8)
        for i in range(0, len(encoded), 8):
            self.put(int.from_bytes(encoded[i : i + 8], "little"))

    cdef object behind(self, size_t start):
        """What is behind the first bytes, until more is put."""
        return PyMemoryView_FromMemory(self.data + start, self.used - start, PyBUF_READ)

    cdef int overwrite(self, bytes head) except -1:
        memcpy(self.data, <const char*>head, len(head))

    def __bytes__(self) -> bytes:
        return PyBytes_FromStringAndSize(self.data, self.used)


cdef class Reader:
    """Reads what a Writer wrote; raises BadSnapshot where that cannot be."""

    def __init__(self, data, version) -> None:
        self.data = data
        self.version = version

    cdef uint64_t get(self) except? RARE nogil:
        cdef uint64_t value
        if self.at + sizeof(uint64_t) > <size_t>self.data.shape[0]:
            with gil:
                raise BadSnapshot(f"the snapshot ends at byte {self.data.shape[0]}, in the middle of the state")
        memcpy(&value, &self.data[self.at], sizeof(uint64_t))
        self.at += sizeof(uint64_t)
        return value

    cdef uint64_t below(self, uint64_t limit) except? RARE nogil:
        cdef uint64_t value = self.get()
        if value >= limit:
            with gil:
                raise BadSnapshot(f"byte {self.at - 8} of the state: {value}: expected less than {limit}")
        return value

    cdef str text(self):
        cdef uint64_t length = self.below(1 << 16)
        cdef bytes encoded = b"".join([self.get().to_bytes(8, "little") for _ in range((length + 7) // 8)])
        self.expect(not any(encoded[length:]), b"zeros after a text")
        return encoded[:length].decode(errors="replace")

    cdef int expect(self, bint holds, const char* what) except -1 nogil:
        if not holds:
            with gil:
                raise BadSnapshot(f"byte {self.at - 8} of the state: expected {what.decode()}")

    def ended(self) -> bool:
        return self.at == <size_t>self.data.shape[0]


# What links the parts of a state, in the order in which engine/state.pyx puts it


cdef int read_slots(Core* core, Reader source) except -1 nogil:
    """A free slot then names itself as `later`, so that it is not free twice and no order is read into it."""
    cdef Orders* orders = &core.orders
    cdef uint32_t slot, last = 0
    cdef uint64_t i
    orders.top = source.below(slots_max(orders))
    for i in range(source.below(orders.top + 1)):
        slot = source.below(orders.top + 1)
        source.expect(slot != 0 and orders.order[slot].later == 0, b"a slot that is not free yet")
        orders.order[slot].later = slot
        if last:
            orders.order[last].newer = slot
        else:
            orders.free = slot
        last = slot


cdef int read_queues(Core* core, Reader source, uint32_t book, Levels* levels) except -1 nogil:
    cdef int side
    cdef uint32_t index, slot
    cdef uint64_t count, i
    cdef Level* level
    for side in range(2):
        while True:
            count = source.below(core.orders.top + 1)
            if not count:
                break
            index = find_or_add(levels, side, source.below(PRICE_LIMIT))
            level = &levels.level[index]
            source.expect(level.count == 0, b"a level of another price")
            for i in range(count):
                slot = source.below(core.orders.top + 1)
                source.expect(core.orders.order[slot].tag != 0 and core.orders.order[slot].level == 0, b"an order that is in no other queue")
                core.orders.order[slot].level = index
                join_queue(&core.orders, &level.queue, level.queue.tail, slot)
                level.size += core.orders.order[slot].remaining
                level.special |= core.orders.order[slot].tag & SPECIAL != 0
                core.book[book].open += 1
                core.book[book].waiting += core.orders.order[slot].tag & WAITS != 0
            level.count = count
            level.touched = levels != core.book[book].published
            came_alive(levels, index)


cdef int read_chain(Reader source, Levels* levels, Chain* chain) except -1 nogil:
    """Whatever has a size by now is published with it."""
    cdef uint64_t i, place, count = source.get()
    cdef uint32_t index
    cdef Level* level
    for i in range(count):
        place = source.below(2 * PRICE_LIMIT)
        index = find_or_add(levels, place & 1, place >> 1)
        level = &levels.level[index]
        source.expect(level.seq == 0 and (level.size != 0) == (chain == &levels.changed), b"levels that are on one chain once")
        level.seq = source.get()
        source.expect(level.seq != 0, b"when a level changed")
        level.published = level.size
        level.term = mix(level.side, level.price, level.size) if level.size else 0
        levels.digest += level.term
        levels.tombstones += not level.size
        level.newer = chain.oldest
        if chain.oldest:
            levels.level[chain.oldest].older = index
        else:
            chain.newest = index
        chain.oldest = index


cdef int read_trailing(Core* core, Reader source, uint32_t* nearest) except -1 nogil:
    cdef uint32_t slot, last = 0
    while True:
        slot = source.below(core.orders.top + 1)
        source.expect(slot == 0 or (core.orders.order[slot].tag & WAITS and core.orders.special[slot].nearer == 0 and slot != nearest[0]), b"a stop that trails")
        if last:
            core.orders.special[last].farther = slot
        else:
            nearest[0] = slot
        if not slot:
            return 0
        core.orders.special[slot].nearer = last
        last = slot


cdef int read_stops(Core* core, Reader source, uint32_t index) except -1 nogil:
    cdef Book* book = &core.book[index]
    cdef int side
    if source.below(2):
        book.stops = <Levels*>grown(NULL, 0, sizeof(Levels))
        read_queues(core, source, index, book.stops)
        for side in range(2):
            read_trailing(core, source, &book.trailing[side])


cdef int read_done(Core* core, Reader source) except -1 nogil:
    cdef uint64_t i, account, client_id
    for i in range(source.below(<uint64_t>core.client_ids.done_max + 1)):
        account = source.below(core.accounts.count)
        client_id = source.get()
        remember(&core.client_ids, account, client_id, source.get())
        mark_done(&core.client_ids, account, client_id)
