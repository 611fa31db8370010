"""An exchange's whole state as bytes.

A sequence of 64-bit little-endian numbers and of texts with their length, in an order that depends on nothing but the state:
orders by acceptance, levels from the best on, chains from the oldest on. Where something lies in memory is not part of it, except
for the slots of orders, since these are in their ids.
"""

from cpython.buffer cimport PyBUF_READ
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport uint32_t
from libc.stdlib cimport free
from libc.string cimport memcpy

from engine.accounts cimport Account, Limits, add_account, balance_of, new_limits
from engine.auction cimport collect
from engine.client_ids cimport ClientIds, find_client_id, mark_done, remember
from engine.core cimport FEE_PARTS, TIERS, Book
from engine.expiry cimport add_expiry
from engine.ladder cimport Chain, Level, Levels, came_alive, find, find_or_add, next_worse
from engine.levels cimport chain_newest, mix
from engine.memory cimport doubled, grown
from engine.orders cimport SPECIAL, TAKER_SLOTS, WAITS, Order, Orders, Special, instrument_of, join_queue, order_id, unpaid_of
from engine.thresholds cimport SNAPSHOT_BYTES

from engine.errors import BadSnapshot
from engine.instrument import PRICE_MAX

cdef extern from *:
    """
    #if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "deltabook's records are little-endian"
    #endif
    """


cdef enum:
    TURN_BYTES = 1 << 15


cdef class Writer:
    """Bytes that grow."""

    def __dealloc__(self) -> None:
        free(self.data)

    cdef int put(self, uint64_t value) except -1:
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

    cdef uint64_t get(self) except? 0:
        cdef uint64_t value
        if self.at + sizeof(uint64_t) > <size_t>self.data.shape[0]:
            raise BadSnapshot(f"the snapshot ends at byte {self.data.shape[0]}, in the middle of the state")
        memcpy(&value, &self.data[self.at], sizeof(uint64_t))
        self.at += sizeof(uint64_t)
        if self.at % TURN_BYTES == 0:
            with nogil:    # so that the process's other threads have their turn
                pass
        return value

    cdef uint64_t below(self, uint64_t limit) except? 0:
        cdef uint64_t value = self.get()
        if value >= limit:
            raise BadSnapshot(f"byte {self.at - 8} of the state: {value}: expected less than {limit}")
        return value

    cdef str text(self):
        cdef uint64_t length = self.below(1 << 16)
        cdef bytes encoded = b"".join([self.get().to_bytes(8, "little") for _ in range((length + 7) // 8)])
        self.expect(not any(encoded[length:]), "zeros after a text")
        return encoded[:length].decode(errors="replace")

    cdef int expect(self, bint holds, str what) except -1:
        if not holds:
            raise BadSnapshot(f"byte {self.at - 8} of the state: expected {what}")
        return 0

    def ended(self) -> bool:
        return self.at == <size_t>self.data.shape[0]


# Orders


cdef int write_order(Core* core, Writer out, uint32_t slot) except -1:
    cdef Order* order = &core.orders.order[slot]
    cdef Special* special
    out.put(slot)
    out.put(order.tag)
    out.put(order.remaining)
    out.put(order.filled)
    out.put(order.value)
    out.put(order.client_id)
    out.put(unpaid_of(&core.orders, slot))
    if order.tag & SPECIAL:
        special = &core.orders.special[slot]
        out.put(special.price)
        out.put(special.stop)
        out.put(special.trail)
        out.put(special.display)
        out.put(special.reserve)
        out.put(special.expires)
        out.put(special.partner)
        out.put(special.type)


cdef object read_order(Core* core, Reader source, uint32_t account):
    cdef uint32_t slot = source.below(core.orders.top + 1)
    cdef Order* order = &core.orders.order[slot]
    cdef Account* owner = &core.accounts.account[account]
    cdef Special* special
    source.expect(slot != 0 and order.tag == 0 and order.later == 0, "a slot that no other order has")
    order.tag = source.get()
    source.expect(order.tag != 0 and instrument_of(order) < core.books, "an order of an instrument")
    order.remaining = source.get()
    order.filled = source.get()
    order.value = source.get()
    order.client_id = source.get()
    if source.version > 1:
        core.orders.unpaid[slot] = source.below(FEE_PARTS)
        source.expect(order.filled != 0 or core.orders.unpaid[slot] == 0, "0: nothing was filled")
    order.account = account
    order.earlier = owner.latest
    if owner.latest:
        core.orders.order[owner.latest].later = slot
    else:
        owner.earliest = slot
    owner.latest = slot
    owner.open += 1
    core.orders.count += 1
    if order.client_id:
        remember(&core.client_ids, account, order.client_id, order_id(&core.orders, slot))
    if order.tag & SPECIAL:
        special = &core.orders.special[slot]
        special.price = source.get()
        special.stop = source.get()
        special.trail = source.get()
        special.display = source.get()
        special.reserve = source.get()
        special.expires = source.get()
        special.partner = source.below(core.orders.top + 1)
        special.type = source.below(256)
        special.expiry = special.nearer = special.farther = 0
        if special.expires:
            add_expiry(core, slot)


cdef int write_slots(Core* core, Writer out) except -1:
    """How many there are, and the free ones, the next to be taken first."""
    cdef uint32_t slot = core.orders.free
    out.put(core.orders.top)
    out.put(core.orders.top - core.orders.count)
    while slot:
        out.put(slot)
        slot = core.orders.order[slot].newer


cdef object read_slots(Core* core, Reader source):
    cdef Orders* orders = &core.orders
    cdef uint32_t slot, last = 0
    cdef uint64_t i
    orders.top = source.below(<uint64_t>orders.count_max + TAKER_SLOTS + 1)
    for i in range(source.below(orders.top + 1)):
        slot = source.below(orders.top + 1)
        source.expect(slot != 0 and orders.order[slot].later == 0, "a slot that is not free yet")
        orders.order[slot].later = slot
        if last:
            orders.order[last].newer = slot
        else:
            orders.free = slot
        last = slot


# Accounts


cdef int write_account(Core* core, Writer out, uint32_t index) except -1:
    cdef Account* account = &core.accounts.account[index]
    cdef uint32_t asset, slot = account.earliest
    out.put(account.tier)
    out.put(account.self_trade)
    out.put(core.accounts.limits[index].group if account.grouped else 0)
    out.put(core.accounts.limits[index].orders_max if account.limited else 0)
    out.put(core.accounts.limits[index].size_max if account.limited else 0)
    out.put(core.accounts.limits[index].notional_max if account.limited else 0)
    for asset in range(core.accounts.assets):
        out.put(balance_of(&core.accounts, index, asset).available)
        out.put(balance_of(&core.accounts, index, asset).held)
    out.put(account.open)
    while slot:
        write_order(core, out, slot)
        slot = core.orders.order[slot].later


cdef object read_account(Core* core, Reader source):
    cdef uint32_t asset, index = core.accounts.count
    cdef Account* account
    cdef Limits* limits
    cdef uint64_t i
    add_account(&core.accounts)
    account = &core.accounts.account[index]
    account.tier = source.below(TIERS)
    account.self_trade = source.below(256)
    limits = new_limits(&core.accounts, index)
    limits.group = source.below(<uint64_t>1 << 32)
    limits.orders_max = source.below(<uint64_t>1 << 32)
    limits.size_max = source.get()
    limits.notional_max = source.get()
    account.grouped = limits.group != 0
    account.limited = limits.orders_max != 0 or limits.size_max != 0 or limits.notional_max != 0
    for asset in range(core.accounts.assets):
        balance_of(&core.accounts, index, asset).available = source.get()
        balance_of(&core.accounts, index, asset).held = source.get()
    for i in range(source.below(core.orders.top + 1)):
        read_order(core, source, index)


# Books


cdef int write_queues(Core* core, Writer out, Levels* levels) except -1:
    """Each level's price and its orders by priority, bids and then asks from the best on."""
    cdef int side
    cdef uint32_t index, slot
    for side in range(2):
        index = levels.ladders[side].best
        while index:
            out.put(levels.level[index].count)
            out.put(levels.level[index].price)
            slot = levels.level[index].queue.head
            while slot:
                out.put(slot)
                slot = core.orders.order[slot].newer
            index = next_worse(levels, side, levels.level[index].price)
        out.put(0)


cdef object read_queues(Core* core, Reader source, uint32_t book, Levels* levels):
    cdef int side
    cdef uint32_t index, slot
    cdef uint64_t count, i
    cdef Level* level
    for side in range(2):
        while True:
            count = source.below(core.orders.top + 1)
            if not count:
                break
            index = find_or_add(levels, side, source.below(PRICE_MAX))
            level = &levels.level[index]
            source.expect(level.count == 0, "a level of another price")
            for i in range(count):
                slot = source.below(core.orders.top + 1)
                source.expect(core.orders.order[slot].tag != 0 and core.orders.order[slot].level == 0, "an order that is in no other queue")
                core.orders.order[slot].level = index
                join_queue(&core.orders, &level.queue, level.queue.tail, slot)
                level.size += core.orders.order[slot].remaining
                level.special |= core.orders.order[slot].tag & SPECIAL != 0
                core.book[book].open += 1
                core.book[book].waiting += core.orders.order[slot].tag & WAITS != 0
            level.count = count
            level.touched = levels != core.book[book].published
            came_alive(levels, index)


cdef int write_chain(Writer out, Levels* levels, uint32_t newest) except -1:
    cdef uint32_t index = newest
    cdef uint64_t count = 0
    while index:
        count += 1
        index = levels.level[index].older
    out.put(count)
    index = newest
    while index:
        out.put(levels.level[index].price << 1 | levels.level[index].side)
        out.put(levels.level[index].seq)
        index = levels.level[index].older


cdef object read_chain(Reader source, Levels* levels, Chain* chain):
    """Whatever has a size by now is published with it."""
    cdef uint64_t i, count = source.get()
    cdef list members = [(source.below(2 * PRICE_MAX), source.get()) for i in range(count)]
    cdef uint32_t index
    cdef Level* level
    for place, seq in reversed(members):
        index = find_or_add(levels, place & 1, place >> 1)
        level = &levels.level[index]
        source.expect(level.seq == 0 and seq != 0 and (level.size != 0) == (chain == &levels.changed), "levels that are on one chain once")
        level.seq = seq
        level.published = level.size
        level.term = mix(level.side, level.price, level.size) if level.size else 0
        levels.digest += level.term
        levels.tombstones += not level.size
        chain_newest(levels, chain, index)


cdef int write_book(Core* core, Writer out, Book* book) except -1:
    cdef int i
    cdef uint32_t slot
    out.put(book.phase)
    out.put(book.levels != book.published)
    out.put(book.last)
    out.put(book.reference)
    for i in range(TIERS):
        out.put(book.rates[i].maker)
        out.put(book.rates[i].taker)
    out.put(book.published.seq)
    out.put(book.published.floor)
    out.put(book.published.changes)
    write_queues(core, out, book.levels)
    write_chain(out, book.published, book.published.changed.newest)
    write_chain(out, book.published, book.published.emptied.newest)
    out.put(book.stops != NULL)
    if book.stops != NULL:
        write_queues(core, out, book.stops)
        for i in range(2):
            slot = book.trailing[i]
            while slot:
                out.put(slot)
                slot = core.orders.special[slot].farther
            out.put(0)


cdef object read_trailing(Core* core, Reader source, uint32_t* nearest):
    cdef uint32_t slot, last = 0
    while True:
        slot = source.below(core.orders.top + 1)
        source.expect(slot == 0 or (core.orders.order[slot].tag & WAITS and core.orders.special[slot].nearer == 0 and slot != nearest[0]), "a stop that trails")
        if last:
            core.orders.special[last].farther = slot
        else:
            nearest[0] = slot
        if not slot:
            break
        core.orders.special[slot].nearer = last
        last = slot


cdef object read_book(Core* core, Reader source, uint32_t index):
    cdef Book* book = &core.book[index]
    cdef int i
    book.phase = source.below(256)
    if source.below(2):
        collect(core, index)
    book.last = source.below(PRICE_MAX)
    book.reference = source.below(PRICE_MAX)
    for i in range(TIERS):
        book.rates[i].maker = source.below(1 << 20)
        book.rates[i].taker = source.below(1 << 20)
    book.published.seq = source.get()
    book.published.floor = source.get()
    book.published.changes = source.get()
    read_queues(core, source, index, book.levels)
    read_chain(source, book.published, &book.published.changed)
    read_chain(source, book.published, &book.published.emptied)
    if source.below(2):
        book.stops = <Levels*>grown(NULL, 0, sizeof(Levels))
        read_queues(core, source, index, book.stops)
        for i in range(2):
            read_trailing(core, source, &book.trailing[i])


# All of it


cdef int write_done(ClientIds* ids, Writer out) except -1:
    cdef uint32_t i
    cdef uint64_t row
    out.put(ids.done_count)
    for i in range(ids.done_count):
        row = (<uint64_t>ids.done_first + i) % ids.done_max
        out.put(ids.done[row].account)
        out.put(ids.done[row].client_id)
        out.put(find_client_id(ids, ids.done[row].account, ids.done[row].client_id))


cdef object read_done(Core* core, Reader source):
    cdef uint64_t i, account, client_id
    for i in range(source.below(<uint64_t>core.client_ids.done_max + 1)):
        account = source.below(core.accounts.count)
        client_id = source.get()
        remember(&core.client_ids, account, client_id, source.get())
        mark_done(&core.client_ids, account, client_id)


cdef object write_state(Core* core, Writer out):
    cdef uint32_t i
    out.put(core.events.seq)
    out.put(core.clock)
    out.put(core.orders.number)
    write_slots(core, out)
    for i in range(core.accounts.assets):
        out.put(core.accounts.fees[i])
        out.put(core.accounts.supply[i])
    out.put(core.accounts.count)
    for i in range(core.accounts.count):
        write_account(core, out, i)
    for i in range(core.books):
        write_book(core, out, &core.book[i])
    write_done(&core.client_ids, out)


cdef object read_state(Core* core, Reader source):
    """Fill a core that has its assets and instruments, and nothing else."""
    cdef uint64_t i
    core.events.seq = source.get()
    core.clock = source.get()
    core.orders.number = source.get()
    read_slots(core, source)
    for i in range(core.accounts.assets):
        core.accounts.fees[i] = source.get()
        core.accounts.supply[i] = source.get()
    for i in range(source.below(<uint64_t>core.accounts.count_max + 1)):
        read_account(core, source)
    for i in range(core.books):
        read_book(core, source, i)
    read_done(core, source)
