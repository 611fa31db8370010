"""What each connection has to say with its next write."""

from libc.stdint cimport int64_t, uint64_t


cdef class Traffic:
    cdef readonly dict waiting          # Outbox -> None
    cdef readonly uint64_t writes
    cdef readonly uint64_t bytes_written
    cdef public int64_t unanswered
    cdef list recent                    # pairs of frames and the bytes that they make

    cdef bytes joined(self, list frames)


cdef class Outbox:
    cdef Traffic traffic
    cdef readonly object codec
    cdef object said                    # a frame, or a list of them, or None
    cdef readonly Py_ssize_t out_bytes
    cdef Py_ssize_t bytes_max
    cdef public bint writable
    cdef public bint takes_frames
    cdef public object closed
    cdef public object writer

    cpdef int put(self, bytes frame) except -1
    cpdef bytes take_out(self)


cdef class Subscription:
    cdef readonly Outbox listener
    cdef readonly object conflation
    cdef public object in_force
    cdef public int64_t seq
    cdef public bint in_step
    cdef public uint64_t catch_ups
