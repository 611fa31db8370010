"""An exchange's whole state as bytes, and back."""

from libc.stdint cimport int64_t, uint64_t

from engine.core cimport Core


cdef class Writer:
    cdef char* data
    cdef size_t used
    cdef size_t capacity

    cdef int put(self, uint64_t value) except -1
    cdef object text(self, str value)
    cdef object behind(self, size_t start)
    cdef int overwrite(self, bytes head) except -1


cdef class Reader:
    cdef const unsigned char[:] data
    cdef size_t at
    cdef int version

    cdef uint64_t get(self) except? 0
    cdef uint64_t below(self, uint64_t limit) except? 0
    cdef str text(self)
    cdef int expect(self, bint holds, str what) except -1


cdef object write_state(Core* core, Writer out)
cdef object read_state(Core* core, Reader source)
