"""Whose turn it is: a call that runs without the interpreter's lock keeps all other threads out of an exchange."""


cdef class Turn:
    cdef bint taken

    cdef int expect(self) except -1
