"""The commands: what is checked, and what each does."""

from engine.core cimport Core
from engine.model cimport Command


cdef int run(Core* core, const Command* command) noexcept nogil
