"""All sizes at which the engine takes another path or a table grows, in one table.

A checked build has smaller sizes, so that small tests reach both sides of each, and it counts how often it did. Other sizes are
arguments of the Exchange (tombstones, client ids of done orders, orders, accounts), or follow from the prices (the height of a tree).
"""

from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #ifdef DELTABOOK_CHECKED
    #define CHECKED_BUILD 1
    #define SIZE_OF_THIS_BUILD(name, usual, checked) checked,
    #else
    #define CHECKED_BUILD 0
    #define SIZE_OF_THIS_BUILD(name, usual, checked) usual,
    #endif
    #define NAME_ALONE(name, usual, checked) name,

    #define FOR_EACH_THRESHOLD(ROW)                                                              \\
        /*  name                usual           in a checked build */                           \\
        ROW(HUGE_PAGE,          2 << 20,        4096)   /* bytes: a larger table asks for them */\\
        ROW(LOOKAHEAD,          16384,          24)     /* open orders: below, all is cached */  \\
        ROW(FEE_AMOUNT,         1ULL << 44,     1024)   /* times a rate: less than 2 ** 64 */    \\
        /* What tables begin with; they double. Where place 0 is unused, no less than 2. */      \\
        ROW(COMMANDS,           16,             1)                                               \\
        ROW(EVENTS,             256,            1)                                               \\
        ROW(BATCHES,            64,             1)                                               \\
        ROW(TOUCHED_LEVELS,     64,             1)                                               \\
        ROW(TOUCHED_BALANCES,   64,             1)                                               \\
        ROW(ACCOUNTS,           16,             1)                                               \\
        ROW(CLIENT_IDS,         64,             2)                                               \\
        ROW(LEVELS,             64,             2)                                               \\
        ROW(NODES,              8,              2)                                               \\
        ROW(EXPIRIES,           64,             2)                                               \\
        ROW(QUEUED_ORDERS,      64,             2)                                               \\
        ROW(SNAPSHOT_BYTES,     4096,           8)

    enum Threshold {FOR_EACH_THRESHOLD(NAME_ALONE) THRESHOLD_COUNT};

    static inline uint64_t threshold_size(int which) {
        static const uint64_t size[] = {FOR_EACH_THRESHOLD(SIZE_OF_THIS_BUILD)};
        return size[which];
    }
    """
    const bint CHECKED_BUILD
    cpdef enum Threshold:
        HUGE_PAGE
        LOOKAHEAD
        FEE_AMOUNT
        COMMANDS
        EVENTS
        BATCHES
        TOUCHED_LEVELS
        TOUCHED_BALANCES
        ACCOUNTS
        CLIENT_IDS
        LEVELS
        NODES
        EXPIRIES
        QUEUED_ORDERS
        SNAPSHOT_BYTES
    enum:
        THRESHOLD_COUNT
    uint64_t threshold_size(int which) noexcept nogil


cdef void count_side(int which, bint reached) noexcept nogil


cdef inline bint reaches(int which, uint64_t size) noexcept nogil:
    """Whether a size is at a threshold or above."""
    cdef bint reached = size >= threshold_size(which)
    if CHECKED_BUILD:
        count_side(which, reached)
    return reached
