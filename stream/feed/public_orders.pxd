"""The public numbers of orders."""

from libc.stdint cimport uint64_t

from engine.exchange cimport Exchange


cdef class PublicOrders:
    cdef Exchange exchange
    cdef readonly dict parts            # order -> how often it has displayed a part, modulo 2 ** 12
    cdef Py_ssize_t swept

    cdef uint64_t of(self, uint64_t order) except 0
    cdef int displayed(self, uint64_t order) except -1
