"""The client ids of the accounts."""

from libc.stdlib cimport free

from engine.memory cimport doubled, resized
from engine.sip cimport sip_hash
from engine.thresholds cimport CLIENT_IDS


cdef inline uint64_t home_of(ClientIds* ids, uint32_t account, uint64_t client_id) noexcept nogil:
    """The hash of the client id and the account, 12 bytes. Without the key, nobody can choose ids that collide."""
    return sip_hash(ids.key, client_id, account, 12) & (ids.capacity - 1)


cdef inline uint64_t place_of(ClientIds* ids, uint32_t account, uint64_t client_id) noexcept nogil:
    """Where the entry is, or where it would go."""
    cdef uint64_t i = home_of(ids, account, client_id)
    while ids.entry[i].client_id and (ids.entry[i].client_id != client_id or ids.entry[i].account != account):
        i = (i + 1) & (ids.capacity - 1)
    return i


cdef uint64_t find_client_id(ClientIds* ids, uint32_t account, uint64_t client_id) noexcept nogil:
    """The order that has the client id, open or done; 0 if the id is unknown."""
    if not ids.count:
        return 0
    return ids.entry[place_of(ids, account, client_id)].order


cdef void grow(ClientIds* ids) noexcept nogil:
    cdef ClientId* old = ids.entry
    cdef uint64_t i, capacity = ids.capacity
    ids.capacity = doubled(capacity, CLIENT_IDS)
    ids.entry = <ClientId*>resized(NULL, 0, ids.capacity * sizeof(ClientId))
    for i in range(capacity):
        if old[i].client_id:
            ids.entry[place_of(ids, old[i].account, old[i].client_id)] = old[i]
    free(old)


cdef void remember(ClientIds* ids, uint32_t account, uint64_t client_id, uint64_t order) noexcept nogil:
    cdef ClientId* entry
    if ids.count * 2 >= ids.capacity:
        grow(ids)
    entry = &ids.entry[place_of(ids, account, client_id)]
    entry.client_id = client_id
    entry.account = account
    entry.order = order
    ids.count += 1


cdef void drop(ClientIds* ids, uint32_t account, uint64_t client_id) noexcept nogil:
    """Remove an entry and close the gap that it leaves in its run."""
    cdef uint64_t mask = ids.capacity - 1
    cdef uint64_t gap = place_of(ids, account, client_id)
    cdef uint64_t i = (gap + 1) & mask
    while ids.entry[i].client_id:
        if ((i - home_of(ids, ids.entry[i].account, ids.entry[i].client_id)) & mask) >= ((i - gap) & mask):
            ids.entry[gap] = ids.entry[i]
            gap = i
        i = (i + 1) & mask
    ids.entry[gap].client_id = 0
    ids.entry[gap].order = 0
    ids.count -= 1


cdef void mark_done(ClientIds* ids, uint32_t account, uint64_t client_id) noexcept nogil:
    """The order is done: its client id is remembered until `done_max` later orders are done."""
    cdef ClientId* done
    if not ids.done_max:
        drop(ids, account, client_id)
        return
    done = &ids.done[(<uint64_t>ids.done_first + ids.done_count) % ids.done_max]
    if ids.done_count == ids.done_max:
        drop(ids, done.account, done.client_id)
        ids.done_first = (ids.done_first + 1) % ids.done_max
    else:
        ids.done_count += 1
    done.account = account
    done.client_id = client_id
