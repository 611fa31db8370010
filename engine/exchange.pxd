"""Instruments and accounts together."""

from engine.core cimport Core
from engine.events cimport Events
from engine.recipient cimport Recipient
from engine.turn cimport Turn


cdef class Exchange(Recipient):
    cdef Core core
    cdef readonly Events events
    cdef list _books
    cdef dict _by_name
    cdef dict _assets           # name -> decimals, in the order of their indices
    cdef object _tombstones
    cdef Turn turn

    cdef Core* read(self) except NULL
