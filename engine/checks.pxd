"""Why a command may not be carried out."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from engine.core cimport Core
from engine.model cimport Command


cdef struct Intent:             # what a PLACE comes to
    int64_t price               # after sliding
    int64_t size                # lots, also if it came as money
    int64_t stop                # the trigger of one that waits, also if it came as a distance
    int64_t expires
    int64_t held                # what it holds by itself
    uint32_t partner            # slot
    int mode                    # self-trade prevention
    bint stays                  # what does not match rests


cdef int check_place(Core* core, const Command* command, Intent* intent, uint64_t* concerned) noexcept nogil
cdef int check_replace(Core* core, const Command* command, uint32_t slot) noexcept nogil
