"""Finds the records in the bytes of a journal, which `stream.journal.format` describes: what reading costs a record, compiled."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from stream.journal.crc32c cimport checksum

from stream.journal.format import Record

cdef struct Header:
    uint32_t crc
    uint32_t length
    uint32_t previous
    uint16_t kind
    uint16_t place
    uint64_t seq
    int64_t time

cdef object new_tuple = tuple.__new__


cdef Py_ssize_t find(const uint8_t* data, Py_ssize_t size, Py_ssize_t offset, uint32_t seed, Header* header) noexcept nogil:
    """The end of the record at an offset; 0 if none is valid there."""
    if offset + <Py_ssize_t>sizeof(Header) > size:
        return 0
    memcpy(header, data + offset, sizeof(Header))
    cdef Py_ssize_t end = offset + <Py_ssize_t>sizeof(Header) + header.length + (-<Py_ssize_t>header.length & 7)
    if not header.seq or end > size or header.crc != checksum(data + offset + 4, end - offset - 4, seed):
        return 0
    return end


cdef object made(object data, Py_ssize_t offset, Py_ssize_t end, Header* header):
    cdef Py_ssize_t start = offset + <Py_ssize_t>sizeof(Header)
    fields = header.seq, header.kind, header.time, data[start : start + header.length], header.place, header.crc, offset, end
    return new_tuple(Record, fields)


def decode_record(data: memoryview, offset: int, seed: int) -> Record | None:
    """The record at an offset of a segment, whose header's CRC is `seed`; None if none is valid there."""
    cdef Py_buffer view
    cdef Header header
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    cdef Py_ssize_t at = offset, end = find(<const uint8_t*>view.buf, view.len, at, seed, &header)
    PyBuffer_Release(&view)
    return made(data, at, end, &header) if end else None


def records_from(data: memoryview, offset: int, seed: int, seq: int, crc: int, count: int) -> list[Record]:
    """Up to `count` records from an offset on, which follow record `seq`, whose CRC is `crc`, and one another."""
    cdef Py_buffer view
    cdef Header header
    cdef Py_ssize_t at = offset, end, left = count
    cdef uint32_t segment = seed, previous = crc
    cdef uint64_t last = seq
    cdef list found = []
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        while left > 0:
            end = find(<const uint8_t*>view.buf, view.len, at, segment, &header)
            if not end or header.seq != last + 1 or header.previous != previous:
                break
            found.append(made(data, at, end, &header))
            last, previous, at = header.seq, header.crc, end
            left -= 1
    finally:
        PyBuffer_Release(&view)
    return found
