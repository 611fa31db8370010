"""The client ids of the accounts: those of all open orders, and the latest ones of orders that are done."""

from libc.stdint cimport uint32_t, uint64_t


cdef struct ClientId:
    uint64_t client_id          # 0: free
    uint64_t order
    uint32_t account
    uint32_t spare


cdef struct ClientIds:
    ClientId* entry             # open addressing, linear probing
    uint64_t capacity           # a power of two
    uint64_t key[2]             # of the hash
    uint64_t count
    ClientId* done              # ring, oldest first
    uint32_t done_first
    uint32_t done_count
    uint32_t done_max


cdef uint64_t find_client_id(ClientIds* ids, uint32_t account, uint64_t client_id) noexcept nogil
cdef void remember(ClientIds* ids, uint32_t account, uint64_t client_id, uint64_t order) noexcept nogil
cdef void mark_done(ClientIds* ids, uint32_t account, uint64_t client_id) noexcept nogil
