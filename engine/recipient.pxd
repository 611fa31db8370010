"""Whoever is told commands, by a method for each kind."""

from engine.model cimport Command


cdef class Recipient:
    cdef object receive(self, Command* command)
