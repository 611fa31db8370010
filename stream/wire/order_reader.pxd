"""Reads requests about single orders out of MessagePack."""

from libc.stdint cimport uint32_t, uint64_t

from engine.model cimport Command


cdef struct OrderRequest:
    uint64_t id
    const unsigned char* instrument     # of a PLACE, as the message has it
    uint32_t instrument_size
    uint64_t key
    Command command                     # all but the account, the instrument's index and the time


cdef bint read_order(const unsigned char* data, Py_ssize_t size, OrderRequest* request) noexcept nogil
