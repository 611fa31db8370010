"""The events of the latest call: a growing buffer of fixed-size records, emptied by the next call."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from engine.memory cimport doubled, resized
from engine.model cimport FILLED, LAST, TAKER, Event
from engine.thresholds cimport BATCHES
from engine.turn cimport Turn


cdef struct Batch:              # what one command caused, in bytes from the first event of the call on
    uint64_t outcome            # the first event of the command itself; before it are orders that expired
    uint64_t end                # one after its last event


cdef struct EventBuffer:
    Event* event
    Event* next                 # where the next one goes
    Event* end                  # of the memory
    Batch* batch
    uint32_t batches
    uint32_t batches_capacity
    uint64_t outcome            # of the running command
    uint64_t seq                # of the last event ever emitted


cdef void more_events(EventBuffer* buffer) noexcept nogil


cdef inline uint64_t bytes_of(EventBuffer* buffer) noexcept nogil:
    return <uint64_t>(<char*>buffer.next - <char*>buffer.event)


cdef inline Event* emit(EventBuffer* buffer, int kind) noexcept nogil:
    """A new event, zero but for its kind and sequence. The pointer holds until the next one."""
    cdef Event* event
    if buffer.next == buffer.end:
        more_events(buffer)
    event = buffer.next
    memset(event, 0, sizeof(Event))
    buffer.next += 1
    buffer.seq += 1
    event.seq = buffer.seq
    event.kind = kind
    return event


cdef inline void end_batch(EventBuffer* buffer) noexcept nogil:
    if buffer.batches == buffer.batches_capacity:
        buffer.batch = <Batch*>resized(buffer.batch, buffer.batches_capacity * sizeof(Batch), doubled(buffer.batches_capacity, BATCHES) * sizeof(Batch))
        buffer.batches_capacity = doubled(buffer.batches_capacity, BATCHES)
    buffer.batch[buffer.batches].outcome = buffer.outcome
    buffer.batch[buffer.batches].end = bytes_of(buffer)
    buffer.batches += 1
    (buffer.next - 1).flags |= LAST


cdef inline int64_t fee_of(const Event* event) noexcept nogil:
    """What a fill costs its order; 0 for any other event. The trade comes first, then the maker's fill, then the taker's."""
    if event.kind != FILLED:
        return 0
    return (event - 2).taker_fee if event.flags & TAKER else (event - 1).maker_fee


cdef class Events:
    cdef EventBuffer buffer
    cdef Turn turn
    cdef uint32_t exports       # views of the current memory
    cdef dict retired           # views of earlier memory, by address
    cdef Py_ssize_t shape
    cdef Py_ssize_t stride

    cdef EventBuffer* told(self) except NULL
    cdef void clear(self)
