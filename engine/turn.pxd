"""The lock of an exchange: a call that runs without the interpreter's lock keeps all other threads out."""


cdef class Turn:
    cdef bint taken

    cdef int expect(self) except -1
