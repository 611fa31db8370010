"""What became of each command of an exchange's latest call, out of its events."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from engine.book cimport OpenOrder, find_open
from engine.events cimport EventBuffer
from engine.exchange cimport Exchange
from engine.model cimport (
    ACCEPTED, ALL_CANCELLED, DISPLAYED, LIMIT, REDUCED, REJECTED, REPLACED, TRIGGERED, Event,
    CANCELLED as EVENT_CANCELLED, FILLED as EVENT_FILLED, WAITING as EVENT_WAITING,
)

STATUSES = "open", "waiting", "filled", "cancelled"

cdef uint32_t OF_ORDERS = (
    1 << <int>ACCEPTED | 1 << <int>EVENT_WAITING | 1 << <int>TRIGGERED | 1 << <int>DISPLAYED | 1 << <int>EVENT_FILLED | 1 << <int>EVENT_CANCELLED
    | 1 << <int>REDUCED | 1 << <int>REPLACED
)


cdef int find_outcome(Exchange exchange, uint32_t index, Outcome* outcome) except -1:
    """What became of command `index`. O(its events)."""
    cdef EventBuffer* events = exchange.events.told()
    cdef Event* first
    cdef Event* begin
    cdef Event* at
    cdef Event* event
    cdef OpenOrder found
    if index >= events.batches:
        raise IndexError(index)
    begin = <Event*>(<char*>events.event + (events.batch[index - 1].end if index else 0))
    first = <Event*>(<char*>events.event + events.batch[index].outcome)
    at = <Event*>(<char*>events.event + events.batch[index].end) - 1
    memset(outcome, 0, sizeof(Outcome))
    outcome.seq = at.seq
    outcome.order = first.order
    if first.kind == REJECTED:
        outcome.reason = first.reason
        return 0
    event = NULL
    while at >= begin:
        if at.kind == ALL_CANCELLED:
            outcome.order = 0
            outcome.count = at.orders
            return 0
        if event == NULL and OF_ORDERS >> at.kind & 1 and (not first.order or at.order == first.order):
            event = at
        at -= 1
    if event == NULL:
        return 0
    outcome.order, outcome.client_id = event.order, event.client_id
    outcome.remaining, outcome.filled, outcome.value = event.remaining, event.filled, event.value
    if not event.remaining:
        outcome.status = CANCELLED if event.kind == EVENT_CANCELLED else FILLED
    elif event.kind == EVENT_WAITING or (find_open(&exchange.core, event.order, &found) and found.type != LIMIT):
        outcome.status = WAITING
    return 0


def outcome_of(exchange: Exchange, index: int) -> tuple[int, int, int, int, str, int, int, int, int]:
    """The fields of a `Result`, but for the time."""
    cdef Outcome outcome
    find_outcome(exchange, index, &outcome)
    return (outcome.seq, outcome.reason, outcome.order, outcome.client_id, STATUSES[outcome.status], outcome.remaining, outcome.filled, outcome.value,
            outcome.count)
