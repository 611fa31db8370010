"""Encodes the frames of a book directly from its levels. The bytes are those of `MSGPACK.frame` for a `Book`, but no `Book` is made."""

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcmp

from engine.ladder cimport Level, Levels, next_worse
from engine.levels cimport PriceLevels, mix
from engine.memory cimport resized
from engine.model cimport BUY, SELL
from stream.wire.packing cimport ARRAY_MAX, HEADER_MAX, NIL, NUMBER_MAX, put_array, put_bytes, put_header, put_number

from collections.abc import Sequence

import msgspec

from stream.wire.frames import Book

cdef extern from "Python.h":
    bytes PyBytes_FromStringAndSize(const char* data, Py_ssize_t size)
    char* PyBytes_AS_STRING(bytes data)

cdef enum:
    CAPACITY_MIN = 4096


cdef struct Encoded:            # the levels of one side
    unsigned char* data
    size_t size
    size_t capacity
    uint32_t count              # levels


cdef struct WindowLevel:              # a level of a window
    int64_t price
    int64_t size


cdef Encoded sides[2]           # of the frame that is being made; as large as the largest one so far


cdef inline void put_level(int side, int64_t price, int64_t size) noexcept nogil:
    cdef Encoded* encoded = &sides[side]
    cdef size_t wanted
    if encoded.capacity - encoded.size < 2 * NUMBER_MAX:
        wanted = 2 * encoded.capacity + CAPACITY_MIN
        encoded.data = <unsigned char*>resized(encoded.data, encoded.capacity, wanted)
        encoded.capacity = wanted
    encoded.size = put_number(put_number(encoded.data + encoded.size, price), size) - encoded.data
    encoded.count += 1


cdef inline void begin() noexcept nogil:
    cdef int side
    for side in range(2):
        sides[side].size = 0
        sides[side].count = 0


cdef void put_changes(Levels* book, uint32_t index, uint64_t since) noexcept nogil:
    """The levels of a chain that changed after `since`."""
    cdef Level* level
    while index:
        level = &book.level[index]
        if level.seq <= since:
            break
        put_level(level.side, level.price, level.published)
        index = level.older


cdef void put_side(Levels* book, int side) noexcept nogil:
    """All levels of a side, best first."""
    cdef Level* level
    cdef uint32_t index = book.ladders[side].best
    while index:
        level = &book.level[index]
        put_level(side, level.price, level.size)
        index = next_worse(book, side, level.price)


@cython.final
cdef class Window:
    """The best levels of a book at one moment, at most `depth` a side. O(depth)."""

    cdef WindowLevel* entries[2]      # best first
    cdef uint32_t counts[2]
    cdef readonly uint64_t digest

    def __cinit__(self, *_: object, **__: object) -> None:
        self.entries[0] = self.entries[1] = NULL

    def __init__(self, levels: PriceLevels, depth: int) -> None:
        cdef Levels* book = levels.read()
        cdef WindowLevel* entry
        cdef uint32_t index, room = min(depth, book.count)
        cdef int side
        self.digest = 0
        for side in range(2):
            self.entries[side] = <WindowLevel*>resized(self.entries[side], 0, (room + 1) * sizeof(WindowLevel))
            self.counts[side] = 0
            index = book.ladders[side].best
            while index and self.counts[side] < room:
                entry = &self.entries[side][self.counts[side]]
                entry.price = book.level[index].price
                entry.size = book.level[index].size
                self.digest += mix(side, entry.price, entry.size)
                self.counts[side] += 1
                index = next_worse(book, side, entry.price)

    def __dealloc__(self) -> None:
        free(self.entries[0])
        free(self.entries[1])

    def equals(self, other: Window) -> bool:
        """Whether the levels are the same."""
        cdef int side
        for side in range(2):
            if self.counts[side] != other.counts[side]:
                return False
            if memcmp(self.entries[side], other.entries[side], self.counts[side] * sizeof(WindowLevel)):
                return False
        return True

    cdef void put(self) noexcept:
        cdef int side
        cdef uint32_t i
        for side in range(2):
            for i in range(self.counts[side]):
                put_level(side, self.entries[side][i].price, self.entries[side][i].size)

    cdef void put_changes_from(self, Window before) noexcept:
        """What makes this window out of an earlier one: levels that left, as removals, and those that entered or changed."""
        cdef int side
        cdef WindowLevel* old
        cdef WindowLevel* old_end
        cdef WindowLevel* new
        cdef WindowLevel* new_end
        for side in range(2):
            old, new = before.entries[side], self.entries[side]
            old_end, new_end = old + before.counts[side], new + self.counts[side]
            while old < old_end or new < new_end:
                if new == new_end or (old < old_end and old.price != new.price and (old.price > new.price) == (side == BUY)):
                    put_level(side, old.price, 0)
                    old += 1
                elif old == old_end or old.price != new.price:
                    put_level(side, new.price, new.size)
                    new += 1
                else:
                    if old.size != new.size:
                        put_level(side, new.price, new.size)
                    old += 1
                    new += 1


@cython.final
cdef class BookFrames:
    """Writes the frames of one book's channel. `at` is a Point: epoch, seq, engine_time, server_time."""

    cdef PriceLevels levels
    cdef bytes head             # of every payload: up to the channel's name

    def __init__(self, levels: PriceLevels, channel: str) -> None:
        self.levels = levels
        self.head = bytes((0x90 | len(Book.__struct_fields__) + 1,)) + msgspec.msgpack.encode("book") + msgspec.msgpack.encode(channel)

    def snapshot(self, at: Sequence[int]) -> bytes:
        """The whole book. O(levels)."""
        begin()
        put_side(self.levels.read(), BUY)
        put_side(self.levels.read(), SELL)
        return self._frame(None, at, self.levels.read().digest, 0)

    def since(self, prev: int, at: Sequence[int], batches: int) -> bytes | None:
        """What changed after `prev`, None when that is forgotten. O(levels in it)."""
        cdef Levels* book = self.levels.read()
        cdef uint64_t since = prev
        if since < book.floor:
            return None
        begin()
        put_changes(book, book.changed.newest, since)
        put_changes(book, book.emptied.newest, since)
        return self._frame(prev, at, book.digest, batches)

    def window(self, window: Window, at: Sequence[int]) -> bytes:
        """A window."""
        begin()
        window.put()
        return self._frame(None, at, window.digest, 0)

    def window_since(self, before: Window, window: Window, prev: int, at: Sequence[int], batches: int) -> bytes:
        """How a window differs from what it was at `prev`: levels that left, as removals, and those that entered or changed."""
        begin()
        window.put_changes_from(before)
        return self._frame(prev, at, window.digest, batches)

    cdef bytes _frame(self, prev, at, uint64_t digest, batches):
        """The levels that were put, as a frame."""
        cdef unsigned char start[4 * NUMBER_MAX + ARRAY_MAX]
        cdef unsigned char middle[ARRAY_MAX]
        cdef unsigned char end[4 * NUMBER_MAX]
        cdef unsigned char header[HEADER_MAX]
        cdef unsigned char* to = put_number(start, at[0])
        cdef size_t header_size, start_size, middle_size, end_size, payload
        cdef bytes frame
        if prev is None:
            to[0] = NIL
            to += 1
        else:
            to = put_number(to, prev)
        start_size = put_array(put_number(to, at[1]), 2 * sides[<int>BUY].count) - start
        middle_size = put_array(middle, 2 * sides[<int>SELL].count) - middle
        end_size = put_number(put_number(put_number(put_number(end, digest), batches), at[2]), at[3]) - end
        payload = len(self.head) + start_size + sides[<int>BUY].size + middle_size + sides[<int>SELL].size + end_size
        header_size = put_header(header, payload) - header
        frame = PyBytes_FromStringAndSize(NULL, header_size + payload)
        to = put_bytes(<unsigned char*>PyBytes_AS_STRING(frame), header, header_size)
        to = put_bytes(to, PyBytes_AS_STRING(self.head), len(self.head))
        to = put_bytes(to, start, start_size)
        to = put_bytes(to, sides[<int>BUY].data, sides[<int>BUY].size)
        to = put_bytes(to, middle, middle_size)
        to = put_bytes(to, sides[<int>SELL].data, sides[<int>SELL].size)
        put_bytes(to, end, end_size)
        return frame
