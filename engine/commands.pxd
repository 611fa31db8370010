"""A group of commands on their way to the engine: a growing buffer of fixed-size records."""

from libc.stdint cimport uint32_t

from engine.model cimport Command


cdef class Commands:
    cdef Command* command
    cdef uint32_t count
    cdef uint32_t capacity
    cdef uint32_t exports
    cdef Py_ssize_t length

    cdef Command* add(self) except NULL


cdef Command place_command(account, instrument, side, price, size, order_type, time_in_force, post_only, client_id, time) except *
cdef Command other_command(int kind, account, time, instrument=*, order=*, price=*, size=*, client_id=*) except *
