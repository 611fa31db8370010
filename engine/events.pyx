"""The events of the latest call, as Python objects or as a view."""

cimport cython
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES, PyBUF_WRITABLE
from libc.stdint cimport uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free
from libc.string cimport memset

from engine.memory cimport doubled, resized
from engine.model cimport ADVANCED, ALL_CANCELLED, BALANCE, BAND_SET, FEES_SET, LEVEL, PHASE, TRADE
from engine.thresholds cimport EVENTS

from engine.records import Event as EventRecord

cdef bytes FORMAT = b"T{Q:seq:Q:order:Q:client_id:q:price:q:size:q:remaining:q:filled:q:value:I:account:H:instrument:B:kind:B:side:B:reason:B:flags:6x}"


cdef void more_events(EventBuffer* buffer) noexcept nogil:
    cdef uint32_t count = <uint32_t>(buffer.next - buffer.event)
    buffer.event = <Event*>resized(buffer.event, count * sizeof(Event), doubled(count, EVENTS) * sizeof(Event))
    buffer.next = buffer.event + count
    buffer.end = buffer.event + doubled(count, EVENTS)


cdef inline uint32_t count_of(EventBuffer* buffer):
    return <uint32_t>(buffer.next - buffer.event)


cdef object record(Event* event):
    cdef int kind = event.kind
    cdef bint trade = kind == TRADE
    cdef bint level = kind == LEVEL
    cdef bint balance = kind == BALANCE
    cdef bint phase = kind == PHASE
    cdef bint fees = kind == FEES_SET
    cdef bint band = kind == BAND_SET
    cdef bint count = kind == ALL_CANCELLED
    cdef bint clock = kind == ADVANCED
    cdef bint order = not (trade or level or balance or phase or fees or band or count or clock)
    return tuple.__new__(EventRecord, (
        event.seq, kind, event.order, event.client_id if order else 0, event.account, 0 if balance else event.instrument, event.side,
        0 if fees or band else event.price, 0 if balance or fees else event.size, event.remaining if order else 0, event.filled if order else 0,
        0 if clock else event.value, event.reason, event.flags, fee_of(event),
        event.maker if trade else 0, event.maker_fee if trade else 0, event.taker_fee if trade else 0, event.orders if level or count else 0,
        event.asset if balance else 0, event.available if balance else 0, event.held if balance else 0, event.phase if phase else 0,
        event.tier if fees else 0, event.maker_rate if fees else 0, event.taker_rate if fees else 0, event.clock if clock else 0,
        event.band if band else 0,
    ))


@cython.final
cdef class Events:
    """The events of the latest call of an exchange, oldest first. Batch i holds what the i-th command of the call caused.

    A view (`memoryview(events)` or `numpy.asarray(events)`) shares the memory and costs nothing. It does not change when the
    next call begins. A column of the view has the name of what an order's event holds in it; engine/REFERENCE.md says what other kinds do.
    """

    def __cinit__(self) -> None:
        self.retired = {}
        self.turn = Turn()

    def __init__(self) -> None:
        pass

    def __dealloc__(self) -> None:
        free(self.buffer.event)
        free(self.buffer.batch)

    cdef EventBuffer* told(self) except NULL:
        self.turn.expect()
        return &self.buffer

    cdef void clear(self):
        if self.exports:
            self.retired[<uintptr_t>self.buffer.event] = self.exports
            self.exports = 0
            self.buffer.event = self.buffer.end = NULL
        self.buffer.next = self.buffer.event
        self.buffer.batches = 0

    def __len__(self) -> int:
        return count_of(self.told())

    def __getitem__(self, index: int) -> EventRecord:
        cdef Py_ssize_t i = index + count_of(self.told()) if index < 0 else index
        if not 0 <= i < count_of(self.told()):
            raise IndexError(index)
        return record(&self.buffer.event[i])

    def __iter__(self):
        return iter(events_between(self.told(), 0, count_of(self.told())))

    @property
    def batches(self) -> int:
        """The number of commands in the call."""
        return self.told().batches

    def batch(self, index: int) -> list[EventRecord]:
        """The events of command `index` of the call. O(events of that command)."""
        if not 0 <= index < self.told().batches:
            raise IndexError(index)
        return events_between(self.told(), self.buffer.batch[index - 1].end // sizeof(Event) if index else 0, self.buffer.batch[index].end // sizeof(Event))

    def outcome(self, index: int) -> EventRecord:
        """The event with the outcome of command `index` of the call. It is the first event after those of orders that expired. O(1)."""
        if not 0 <= index < self.told().batches:
            raise IndexError(index)
        return record(&self.buffer.event[self.buffer.batch[index].outcome // sizeof(Event)])

    def last(self, index: int, kinds: int, order: int = 0) -> EventRecord | None:
        """The last event of command `index` whose `1 << kind` is in `kinds`, and of this `order` unless it is 0; None for none. O(events of the command)."""
        if not 0 <= index < self.told().batches:
            raise IndexError(index)
        cdef uint32_t wanted = kinds
        cdef uint64_t of_order = order
        cdef uint32_t start = self.buffer.batch[index - 1].end // sizeof(Event) if index else 0
        cdef uint32_t i = self.buffer.batch[index].end // sizeof(Event)
        cdef Event* event
        while i > start:
            i -= 1
            event = &self.buffer.event[i]
            if wanted >> event.kind & 1 and (not of_order or event.order == of_order):
                return record(event)
        return None

    def select(self, kinds: int, accounts: bytes | bytearray | None = None) -> list[EventRecord]:
        """The events whose `1 << kind` is in `kinds`. If `accounts` is given, the byte of the event's account in it must not be 0.

        Each event that is skipped costs a nanosecond or two, and each event that is returned costs a Python object.
        """
        cdef const unsigned char[:] mask = accounts if accounts is not None else b""
        cdef bint everyone = accounts is None
        cdef Py_ssize_t known = mask.shape[0]
        cdef uint32_t wanted = kinds
        cdef uint32_t i
        cdef Event* event
        cdef list chosen = []
        for i in range(count_of(self.told())):
            event = &self.buffer.event[i]
            if wanted >> event.kind & 1 and (everyone or (event.account < known and mask[event.account])):
                chosen.append(record(event))
        return chosen

    def instruments(self, kinds: int) -> list[int]:
        """The indexes of the instruments in the events whose `1 << kind` is in `kinds`, each once. O(events)."""
        cdef uint64_t seen[1024]
        cdef uint32_t wanted = kinds
        cdef uint32_t i
        cdef uint16_t index
        cdef list found = []
        memset(seen, 0, sizeof(seen))
        for i in range(count_of(self.told())):
            index = self.buffer.event[i].instrument
            if wanted >> self.buffer.event[i].kind & 1 and not seen[index >> 6] >> (index & 63) & 1:
                seen[index >> 6] |= <uint64_t>1 << (index & 63)
                found.append(index)
        return found

    def __getbuffer__(self, Py_buffer* view, int flags) -> None:
        if flags & PyBUF_WRITABLE == PyBUF_WRITABLE:
            raise BufferError("events are read-only")
        self.shape = count_of(self.told())
        self.stride = sizeof(Event)
        view.buf = self.buffer.event
        view.obj = self
        view.len = self.shape * self.stride
        view.itemsize = self.stride
        view.readonly = 1
        view.format = <char*>FORMAT if flags & PyBUF_FORMAT else NULL
        view.ndim = 1
        view.shape = &self.shape if flags & PyBUF_ND else NULL
        view.strides = &self.stride if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL
        self.exports += view.buf != NULL

    def __releasebuffer__(self, Py_buffer* view) -> None:
        cdef uintptr_t address = <uintptr_t>view.buf
        if not address:
            return
        if address == <uintptr_t>self.buffer.event:
            self.exports -= 1
        elif self.retired[address] == 1:
            del self.retired[address]
            free(view.buf)
        else:
            self.retired[address] -= 1


cdef list events_between(EventBuffer* buffer, uint32_t start, uint32_t end):
    cdef uint32_t i
    cdef list events = []
    for i in range(start, end):
        events.append(record(&buffer.event[i]))
    return events
