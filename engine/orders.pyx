"""The queues of orders, put in another order."""


cdef inline uint32_t end_run(Orders* orders, uint32_t slot) noexcept nogil:
    """Cut a list behind its first run of ever younger orders; what came after it."""
    cdef uint32_t newer = orders.order[slot].newer
    while newer and orders.order[newer].tag > orders.order[slot].tag:
        slot = newer
        newer = orders.order[slot].newer
    orders.order[slot].newer = 0
    return newer


cdef void sort_by_age(Orders* orders, Queue* queue) noexcept nogil:
    """Put a queue in the order of acceptance: a merge sort of its links, run by run. O(n) where it is in order, else O(n log n)."""
    cdef uint32_t a, b, slot, rest, older = 0, runs = 2
    cdef uint32_t* link
    while runs > 1:
        runs = 0
        rest = queue.head
        link = &queue.head
        while rest:
            a = rest
            b = end_run(orders, a)
            rest = end_run(orders, b) if b else 0
            runs += 1
            while a or b:
                if not b or (a and orders.order[a].tag < orders.order[b].tag):
                    slot = a
                    a = orders.order[a].newer
                else:
                    slot = b
                    b = orders.order[b].newer
                link[0] = slot
                link = &orders.order[slot].newer
        link[0] = 0
    slot = queue.head
    while slot:
        orders.order[slot].older = older
        older = slot
        slot = orders.order[slot].newer
    queue.tail = older
