"""Converts the terms of an instrument to the numbers of a book, and checks that they fit together."""

from engine.core cimport Book


cdef object checked_name(name, str what)
cdef object exact(scale, instrument)
cdef Book book_of(instrument, dict assets) except *
