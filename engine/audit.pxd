"""Looks at a whole exchange at once: its hash, and whether its parts agree."""

from libc.stdint cimport uint64_t

from engine.core cimport Core


cdef uint64_t hash_of(Core* core) noexcept nogil
cdef int check_core(Core* core) except -1
