"""Looks at a whole exchange at once, and whether its parts agree."""

from libc.stdint cimport int64_t, uint32_t

from engine.accounts cimport Balance, balance_of
from engine.core cimport awaited, held_asset, held_by
from engine.expiry cimport expires_before
from engine.ladder cimport Levels, next_worse
from engine.orders cimport SPECIAL, WAITS, Order, Special, instrument_of, partner_of, side_of

from engine.errors import Inconsistent


cdef int expect(bint holds, str what, object where) except -1:
    if not holds:
        raise Inconsistent(f"exchange: expected that {what} ({where})")
    return 0


cdef int check_queues(Core* core, uint32_t book, Levels* levels, bint waiting, set slots) except -1:
    cdef uint32_t index, slot, older, count
    cdef int side
    cdef int64_t size
    cdef Order* order
    for side in range(2):
        index = levels.ladders[side].best
        while index:
            size = count = older = 0
            slot = levels.level[index].queue.head
            while slot:
                order = &core.orders.order[slot]
                expect(order.tag != 0 and order.remaining > 0, "a queued order is open", slot)
                expect(order.older == older and order.level == index, "a queue's links agree", slot)
                expect(instrument_of(order) == book, "an order is in its own book", slot)
                expect((awaited(core.orders.special[slot].type, side_of(order)) if waiting else side_of(order)) == side, "an order is on its own side", slot)
                expect(slot not in slots, "an order is queued once", slot)
                expect((order.tag & WAITS != 0) == waiting, "only stops wait", slot)
                if waiting:
                    expect(core.orders.special[slot].stop == levels.level[index].price, "a stop waits at its trigger", slot)
                elif order.tag & SPECIAL:
                    expect(core.orders.special[slot].price == levels.level[index].price, "a special order knows its price", slot)
                    expect(levels.level[index].special, "a level knows of its special orders", slot)
                slots.add(slot)
                size += order.remaining
                count += 1
                older = slot
                slot = order.newer
            expect(levels.level[index].queue.tail == older, "a queue ends at its tail", index)
            expect(count == levels.level[index].count, "a level counts its orders", index)
            expect(waiting or size == levels.level[index].size, "a level is the sum of its orders", index)
            index = next_worse(levels, side, levels.level[index].price)
    return 0


cdef int check_trailing(Core* core, uint32_t book, set slots) except -1:
    cdef uint32_t slot, nearer, count = 0
    cdef int side
    cdef list waiting = [slot for slot in slots if instrument_of(&core.orders.order[slot]) == book and core.orders.order[slot].tag & WAITS]
    cdef Special* special
    for side in range(2):
        nearer = 0
        slot = core.book[book].trailing[side]
        while slot:
            special = &core.orders.special[slot]
            expect(slot in slots and special.trail > 0 and special.nearer == nearer, "the links of stops that trail agree", slot)
            count += 1
            nearer = slot
            slot = special.farther
    expect(count == len([slot for slot in waiting if core.orders.special[slot].trail]), "all stops that trail are listed", book)
    expect(core.book[book].waiting == len(waiting), "a book counts its stops", book)
    return 0


cdef int check_orders(Core* core, uint32_t account, set slots, list held) except -1:
    """The account's own list, and what its orders hold."""
    cdef uint32_t slot = core.accounts.account[account].earliest
    cdef uint32_t earlier = 0, partner, count = 0
    cdef Order* order
    cdef int64_t hold
    while slot:
        order = &core.orders.order[slot]
        expect(slot in slots and order.account == account, "an account lists its own open orders", slot)
        expect(order.earlier == earlier and (not earlier or core.orders.order[earlier].tag < order.tag), "an account's list is in the order of acceptance", slot)
        partner = partner_of(&core.orders, slot)
        hold = held_by(core, slot)
        if partner:
            expect(partner_of(&core.orders, partner) == slot and core.orders.order[partner].account == account, "pairs are mutual", slot)
            hold = max(hold, held_by(core, partner)) if slot < partner else 0
        held[held_asset(&core.book[instrument_of(order)], side_of(order))] += hold
        if order.tag & SPECIAL and core.orders.special[slot].expires:
            expect(core.expiries.slot[core.orders.special[slot].expiry] == slot, "an order knows its place among the expiries", slot)
            expect(core.orders.special[slot].expires > core.clock, "nothing open has expired", slot)
        slots.discard(slot)
        count += 1
        earlier = slot
        slot = order.later
    expect(core.accounts.account[account].latest == earlier, "an account's list ends at its latest", account)
    expect(core.accounts.account[account].open == count, "an account counts its orders", account)
    return 0


cdef int check_expiries(Core* core) except -1:
    cdef uint32_t place
    for place in range(2, core.expiries.count + 1):
        expect(expires_before(core, core.expiries.slot[place // 2], core.expiries.slot[place]), "expiries are a heap", place)
    return 0


cdef int check_core(Core* core) except -1:
    """Check that orders, queues, accounts and supply agree. Raises Inconsistent if they do not. O(the whole state)."""
    cdef uint32_t i, slot, free = 0, open = 0
    cdef int asset
    cdef Balance* balance
    cdef set slots = set()
    cdef list held
    cdef list total = [core.accounts.fees[asset] for asset in range(core.accounts.assets)]
    for i in range(core.books):
        check_queues(core, i, core.book[i].levels, False, slots)
        if core.book[i].stops != NULL:
            check_queues(core, i, core.book[i].stops, True, slots)
            check_trailing(core, i, slots)
        expect(core.book[i].levels == core.book[i].published or not core.book[i].published.count, "nothing is published while it is collected", i)
        open += core.book[i].open
    expect(len(slots) == core.orders.count == open, "every open order is queued", len(slots))
    expect(not core.triggered.head and not core.first_price, "no stop is about to enter", core.triggered.head)
    check_expiries(core)
    for i in range(core.accounts.count):
        held = [0] * core.accounts.assets
        check_orders(core, i, slots, held)
        for asset in range(core.accounts.assets):
            balance = balance_of(&core.accounts, i, asset)
            expect(balance.available >= 0, "nobody has less than nothing", (i, asset))
            expect(balance.held == held[asset], "what is held is what the open orders need", (i, asset))
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
