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


cdef Command place_command(account, instrument, side, price, size, order_type, time_in_force, bint post_only, client_id, time,
                           bint slide, bint quote, stop, display, min_size, expires, linked, self_trade) except *
cdef Command other_command(int kind, account, time, instrument=*, order=*, price=*, size=*, client_id=*) except *
cdef Command account_command(account, group, tier, self_trade, orders_max, size_max, notional_max, time) except *
cdef Command instrument_command(int kind, instrument, choice, price, size, time) except *
