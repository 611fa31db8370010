"""Prefetches the memory that the next commands will need, while earlier ones run."""

from libc.stdint cimport uint32_t

from engine.accounts cimport balance_of
from engine.core cimport Book, held_asset, levels_of
from engine.execution cimport run
from engine.ladder cimport Level, Levels, find
from engine.model cimport CANCEL, PLACE, REPLACE, SELL
from engine.orders cimport SLOT_MASK, Order, instrument_of, side_of, slot_of
from engine.thresholds cimport LOOKAHEAD, reaches

cdef extern from *:
    void prefetch "__builtin_prefetch"(const void*, int write) noexcept nogil

cdef enum:
    STRIDE = 6                  # commands between two steps
    NEAR = 2                    # the same where little is out of the cache


cdef inline void find_order(Core* core, const Command* command) noexcept nogil:
    """First step: what a command names."""
    cdef uint32_t slot = command.order & SLOT_MASK
    if command.account < core.accounts.count:
        prefetch(&core.accounts.account[command.account], 1)
        if command.kind == PLACE and command.instrument < core.books:
            prefetch(balance_of(&core.accounts, command.account, core.book[command.instrument].base), 1)
            prefetch(balance_of(&core.accounts, command.account, core.book[command.instrument].quote), 1)
    if CANCEL <= command.kind <= REPLACE and slot <= core.orders.top:
        prefetch(&core.orders.order[slot], 1)


cdef inline uint32_t level_of(Core* core, const Command* command, Levels** levels) noexcept nogil:
    """The level that a command will touch first, 0 for none, and among which levels it is."""
    cdef uint32_t slot
    if command.kind == PLACE:
        if command.instrument >= core.books or command.side > SELL or command.price <= 0:
            return 0
        levels[0] = core.book[command.instrument].levels
        return find(levels[0], command.side, command.price)
    if not CANCEL <= command.kind <= REPLACE:
        return 0
    slot = slot_of(&core.orders, command.order)
    if not slot:
        return 0
    levels[0] = levels_of(core, &core.orders.order[slot])
    return core.orders.order[slot].level


cdef inline void find_level(Core* core, const Command* command) noexcept nogil:
    """Second step: the level, and the order's neighbours."""
    cdef Levels* levels
    cdef Book* book
    cdef Order* order
    cdef uint32_t level = level_of(core, command, &levels)
    cdef uint32_t slot
    if level:
        prefetch(&levels.level[level], 1)
    if command.kind == PLACE:
        if command.account < core.accounts.count:
            prefetch(&core.orders.order[core.accounts.account[command.account].latest], 1)
    elif level:
        slot = slot_of(&core.orders, command.order)
        order = &core.orders.order[slot]
        book = &core.book[instrument_of(order)]
        prefetch(&core.orders.order[order.older], 1)
        prefetch(&core.orders.order[order.newer], 1)
        prefetch(&core.orders.order[order.earlier], 1)
        prefetch(&core.orders.order[order.later], 1)
        prefetch(balance_of(&core.accounts, order.account, book.quote), 1)
        prefetch(balance_of(&core.accounts, order.account, book.base), 1)


cdef inline void find_neighbours(Core* core, const Command* command) noexcept nogil:
    """Third step: the level's neighbours on the chain of changes, and the end of its queue."""
    cdef Levels* levels
    cdef Level* level
    cdef uint32_t index = level_of(core, command, &levels)
    if index:
        level = &levels.level[index]
        prefetch(&levels.level[level.newer], 1)
        prefetch(&levels.level[level.older], 1)
        if command.kind == PLACE:
            prefetch(&core.orders.order[level.queue.tail], 1)


cdef inline void find_balance(Core* core, const Command* command) noexcept nogil:
    """Second step where the books are in the cache: the balance behind an order that is named."""
    cdef uint32_t slot
    cdef Order* order
    if CANCEL <= command.kind <= REPLACE:
        slot = slot_of(&core.orders, command.order)
        if slot:
            order = &core.orders.order[slot]
            prefetch(balance_of(&core.accounts, order.account, held_asset(&core.book[instrument_of(order)], side_of(order))), 1)


cdef void run_all(Core* core, const Command* commands, Py_ssize_t count, Py_ssize_t* refused) noexcept nogil:
    """Run commands in order; adds the number of refused ones."""
    cdef Py_ssize_t i
    if not reaches(LOOKAHEAD, core.orders.count):
        for i in range(-2 * NEAR, count):
            if i + 2 * NEAR < count:
                find_order(core, &commands[i + 2 * NEAR])
            if 0 <= i + NEAR < count:
                find_balance(core, &commands[i + NEAR])
            if i >= 0:
                refused[0] += run(core, &commands[i]) != 0
        return
    for i in range(-3 * STRIDE, count):
        if i + 3 * STRIDE < count:
            find_order(core, &commands[i + 3 * STRIDE])
        if 0 <= i + 2 * STRIDE < count:
            find_level(core, &commands[i + 2 * STRIDE])
        if 0 <= i + STRIDE < count:
            find_neighbours(core, &commands[i + STRIDE])
        if i >= 0:
            refused[0] += run(core, &commands[i]) != 0
