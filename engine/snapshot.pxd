"""An exchange's state as bytes, and back."""

from libc.stdint cimport uint32_t, uint64_t

from engine.core cimport Core
from engine.ladder cimport Chain, Levels


cdef extern from *:
    """
    #define RARE UINT64_C(0xF1E2D3C4B5A69788)    /* hardly ever read: whether it is an error takes the interpreter's lock */
    """
    const uint64_t RARE


cdef class Writer:
    cdef char* data
    cdef size_t used
    cdef size_t capacity
    cdef int version

    cdef int put(self, uint64_t value) except -1 nogil
    cdef object text(self, str value)
    cdef object behind(self, size_t start)
    cdef int overwrite(self, bytes head) except -1


cdef class Reader:
    cdef const unsigned char[:] data
    cdef size_t at
    cdef int version

    cdef uint64_t get(self) except? RARE nogil
    cdef uint64_t below(self, uint64_t limit) except? RARE nogil
    cdef str text(self)
    cdef int expect(self, bint holds, const char* what) except -1 nogil


cdef int read_slots(Core* core, Reader source) except -1 nogil
cdef int read_queues(Core* core, Reader source, uint32_t book, Levels* levels) except -1 nogil
cdef int read_chain(Reader source, Levels* levels, Chain* chain) except -1 nogil
cdef int read_stops(Core* core, Reader source, uint32_t index) except -1 nogil
cdef int read_done(Core* core, Reader source) except -1 nogil
