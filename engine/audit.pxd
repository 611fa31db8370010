"""Looks at a whole exchange at once, and whether its parts agree."""

from engine.core cimport Core


cdef int check_core(Core* core) except -1
