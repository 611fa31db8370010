"""What an instrument's terms come to in a book, and whether they fit together."""

from engine.core cimport Book


cdef object checked_name(name, str what)
cdef object exact(scale, instrument)
cdef Book book_of(instrument, dict assets) except *
