"""A group of commands on their way to the engine: a growing buffer of fixed-size records."""

from libc.stdint cimport uint32_t

from engine.model cimport Command
from engine.recipient cimport Recipient


cdef class Commands(Recipient):
    cdef Command* command
    cdef uint32_t count
    cdef uint32_t capacity
    cdef uint32_t exports
    cdef Py_ssize_t length

    cdef Command* add(self) except NULL
