"""Whose turn it is."""

cimport cython

from engine.errors import Busy


@cython.final
cdef class Turn:
    """Shared by an exchange, its events, its books and their levels."""

    cdef int expect(self) except -1:
        """Raise Busy while another thread's call is running."""
        if self.taken:
            raise Busy("another thread is in Exchange.execute: an exchange, its events and its books are for one thread at a time")
        return 0
