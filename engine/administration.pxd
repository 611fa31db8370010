"""The commands that are not about orders, but about accounts, instruments and the clock."""

from engine.core cimport Core
from engine.model cimport Command


cdef int administer(Core* core, const Command* command) noexcept nogil
