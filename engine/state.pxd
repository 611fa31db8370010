"""All that is the state of an exchange, listed once: written, read and hashed."""

from libc.stdint cimport uint64_t

from engine.core cimport Core
from engine.snapshot cimport Reader, Writer


cdef int write_state(Core* core, Writer out) except -1 nogil
cdef int read_state(Core* core, Reader source) except -1 nogil
cdef uint64_t hash_of(Core* core) noexcept nogil
