"""Looks at a whole exchange at once: its hash, and whether its parts agree."""

from libc.stdint cimport int64_t, uint32_t

from engine.accounts cimport Balance, balance_of
from engine.client_ids cimport ClientIds, find_client_id
from engine.core cimport Book, held_asset, hold
from engine.ladder cimport Level, Levels, next_worse
from engine.model cimport BUY
from engine.orders cimport Order, Orders, instrument_of, order_id, side_of

from engine.errors import Inconsistent


cdef inline uint64_t stirred(uint64_t h, uint64_t value) noexcept nogil:
    h = (h ^ value) * <uint64_t>0x9E3779B97F4A7C15
    return h ^ (h >> 32)


cdef uint64_t hash_of(Core* core) noexcept nogil:
    """One number for books with their queues, accounts, names, free slots and the sequence. O(all of it)."""
    cdef uint64_t h = stirred(0, core.events.seq)
    cdef uint32_t i, index, slot
    cdef int side
    cdef Levels* levels
    cdef Order* order
    cdef Balance* balance
    cdef uint64_t row
    h = stirred(h, core.orders.number)
    for i in range(core.books):
        levels = core.book[i].levels
        h = stirred(h, levels.digest)
        for side in range(2):
            index = levels.ladders[side].best
            while index:
                slot = levels.level[index].head
                while slot:
                    order = &core.orders.order[slot]
                    h = stirred(stirred(stirred(h, order.tag), slot), order.account)
                    h = stirred(stirred(stirred(stirred(h, order.remaining), order.filled), order.value), order.client_id)
                    slot = order.newer
                index = next_worse(levels, side, levels.level[index].price)
    for i in range(core.accounts.count):
        slot = core.accounts.account[i].earliest
        while slot:
            h = stirred(h, slot)
            slot = core.orders.order[slot].later
    for row in range(<uint64_t>core.accounts.count * core.accounts.assets):
        balance = &core.accounts.balance[row]
        h = stirred(stirred(h, balance.available), balance.held)
    for i in range(core.accounts.assets):
        h = stirred(stirred(h, core.accounts.fees[i]), core.accounts.supply[i])
    slot = core.orders.free
    h = stirred(h, core.orders.top)
    while slot:
        h = stirred(h, slot)
        slot = core.orders.order[slot].newer
    for i in range(core.client_ids.done_count):
        row = (<uint64_t>core.client_ids.done_first + i) % core.client_ids.done_max
        h = stirred(stirred(h, core.client_ids.done[row].client_id), core.client_ids.done[row].account)
    return h


cdef int expect(bint holds, str what, object where) except -1:
    if not holds:
        raise Inconsistent(f"exchange: expected that {what} ({where})")
    return 0


cdef int check_queues(Core* core, uint32_t book, list held, set slots) except -1:
    cdef Levels* levels = core.book[book].levels
    cdef uint32_t index, slot, older, count
    cdef int side
    cdef int64_t size
    cdef Order* order
    for side in range(2):
        index = levels.ladders[side].best
        while index:
            size = count = older = 0
            slot = levels.level[index].head
            while slot:
                order = &core.orders.order[slot]
                expect(order.tag != 0 and order.remaining > 0, "a queued order is open", slot)
                expect(order.older == older and order.level == index, "a queue's links agree", slot)
                expect(side_of(order) == side and instrument_of(order) == book, "an order is in its own book and side", slot)
                expect(slot not in slots, "an order is queued once", slot)
                slots.add(slot)
                held[order.account][held_asset(&core.book[book], side)] += hold(&core.book[book], side, levels.level[index].price, order.remaining)
                size += order.remaining
                count += 1
                older = slot
                slot = order.newer
            expect(levels.level[index].tail == older, "a queue ends at its tail", index)
            expect(size == levels.level[index].size and count == levels.level[index].count, "a level is the sum of its orders", index)
            index = next_worse(levels, side, levels.level[index].price)
    return 0


cdef int check_core(Core* core) except -1:
    """Compare orders, queues, accounts and supply with each other; raises Inconsistent. O(everything)."""
    cdef uint32_t i, slot, earlier, free = 0
    cdef int asset
    cdef Balance* balance
    cdef set slots = set()
    cdef list held = [[0] * core.accounts.assets for i in range(core.accounts.count)]
    cdef list total = [core.accounts.fees[asset] for asset in range(core.accounts.assets)]
    for i in range(core.books):
        check_queues(core, i, held, slots)
    expect(len(slots) == core.orders.count, "every open order is queued", len(slots))
    for i in range(core.accounts.count):
        earlier = 0
        slot = core.accounts.account[i].earliest
        while slot:
            expect(slot in slots and core.orders.order[slot].account == i, "an account lists its own open orders", slot)
            expect(core.orders.order[slot].earlier == earlier, "an account's links agree", slot)
            slots.discard(slot)
            earlier = slot
            slot = core.orders.order[slot].later
        expect(core.accounts.account[i].latest == earlier, "an account's list ends at its latest", i)
        for asset in range(core.accounts.assets):
            balance = balance_of(&core.accounts, i, asset)
            expect(balance.available >= 0, "nobody has less than nothing", (i, asset))
            expect(balance.held == held[i][asset], "what is held is what the open orders need", (i, asset))
            total[asset] += balance.available + balance.held
    expect(not slots, "every open order is in its account's list", slots)
    for asset in range(core.accounts.assets):
        expect(total[asset] == core.accounts.supply[asset], "nothing is created or lost", asset)
    slot = core.orders.free
    while slot:
        expect(core.orders.order[slot].tag == 0, "a free slot has no order", slot)
        free += 1
        slot = core.orders.order[slot].newer
    expect(free + core.orders.count == core.orders.top, "every slot is open or free", free)
    return 0
