"""The short way of a request about an order: from its bytes to the command in the group, and from the engine's events to the frame of the answer.

It takes what needs no more than a look at the account's allowance. All else goes the long way, through `venue.requests`, with the same outcome.
"""

cimport cython
from libc.stdint cimport int64_t, uint64_t

from engine.commands cimport Commands
from engine.exchange cimport Exchange
from engine.model cimport CANCEL, PLACE, Command
from stream.commands.outcomes cimport Outcome, find_outcome
from stream.venue.trader cimport Trader
from stream.wire.bucket cimport Bucket
from stream.wire.order_reader cimport OrderRequest, read_order
from stream.wire.packing cimport HEADER_MAX, NUMBER_MAX, put_bytes, put_header, put_number

from collections.abc import Callable, Iterable
from functools import partial

import msgspec

from engine import Event
from stream.commands.outcomes import STATUSES
from stream.commands.results import Result, result_of
from stream.wire.messages import Done

cdef extern from "Python.h":
    bytes PyBytes_FromStringAndSize(const char* data, Py_ssize_t size)
    char* PyBytes_AS_STRING(bytes data)

cdef enum:
    TEXT_MAX = 16               # bytes of a status, or of the beginning of an answer

cdef bytes DONE = bytes((0x90 | len(Done.__struct_fields__) + 1,)) + msgspec.msgpack.encode(Done.__struct_config__.tag)
cdef list PACKED_STATUSES = [msgspec.msgpack.encode(status) for status in STATUSES]


cdef bytes done_frame(uint64_t id, const Outcome* outcome):
    """The frame of a `Done`, as `MSGPACK.frame` makes it."""
    cdef unsigned char payload[7 * NUMBER_MAX + 2 * TEXT_MAX]
    cdef unsigned char header[HEADER_MAX]
    cdef bytes status = PACKED_STATUSES[outcome.status]
    cdef unsigned char* to = put_bytes(payload, PyBytes_AS_STRING(DONE), len(DONE))
    cdef size_t size, header_size
    cdef bytes frame
    to = put_number(put_number(put_number(put_number(to, id), outcome.seq), outcome.order), outcome.client_id)
    to = put_bytes(to, PyBytes_AS_STRING(status), len(status))
    to = put_number(put_number(put_number(to, outcome.remaining), outcome.filled), outcome.value)
    size = to - payload
    header_size = put_header(header, size) - header
    frame = PyBytes_FromStringAndSize(NULL, header_size + size)
    put_bytes(put_bytes(<unsigned char*>PyBytes_AS_STRING(frame), header, header_size), payload, size)
    return frame


@cython.final
@cython.freelist(1024)
cdef class Waiter:
    """A request on its way to the engine, and who waits for the answer. It is called with what any other Reply is called with."""

    cdef Trader trader
    cdef bytes payload
    cdef OrderEntry entry
    cdef uint64_t id
    cdef bytes frame

    def __call__(self, result: Result | None, outcome: Event | None) -> None:
        """Answer, the long way."""
        self.trader.ended()
        self.entry.answer(self.trader, self.trader.codec.read_request(self.payload), result, outcome)

    cdef int say(self) except -1:
        """Answer by the frame."""
        self.trader.ended()
        self.trader.put(self.frame)
        return 0


@cython.final
cdef class OrderEntry:
    """Takes requests to an exchange. `answer` tells a client what became of one that was refused, or of which nobody knows."""

    cdef Exchange exchange
    cdef dict indexes           # of the instruments that have been named, by name
    cdef object answer

    def __init__(self, exchange: Exchange, answer: Callable[[Trader, object, Result | None, Event | None], None]) -> None:
        self.exchange = exchange
        self.indexes = {}
        self.answer = answer

    def take(self, Commands commands, dict replies, Trader trader, bytes payload, int64_t now) -> bool:
        """Put a request's command into the group, and its sender among those who wait; False if it has to go the long way. O(1)."""
        cdef OrderRequest request
        cdef Command* command
        cdef Bucket bucket
        cdef Waiter waiter
        cdef int index = 0
        if not read_order(payload, len(payload), &request) or request.key:
            return False
        if request.command.kind == PLACE:
            index = self.index_of(request.instrument[: request.instrument_size])
            if index < 0 or trader.guard.scope == "connection":
                return False
        bucket = trader.quota.cancels if request.command.kind == CANCEL else trader.quota.orders
        if not bucket.take(now):
            return False
        command = commands.add()
        command[0] = request.command
        command.account, command.instrument, command.time = trader.account, index, now
        waiter = Waiter.__new__(Waiter)
        waiter.trader, waiter.payload, waiter.entry, waiter.id = trader, payload, self, request.id
        trader.began()
        replies[commands.count - 1] = [waiter]
        return True

    cdef int index_of(self, bytes name) except -2:
        """An instrument's index; -1 if there is none of that name."""
        index = self.indexes.get(name)
        if index is None:
            try:
                index = self.indexes[name] = self.exchange.book(name.decode()).index
            except KeyError:
                return -1
        return index


def answers_of(exchange: Exchange, replies: dict[int, list[object]]) -> list[object]:
    """The answers to commands of the exchange's latest call, by their indexes, in that order, for `call_all`."""
    cdef Outcome outcome
    cdef Waiter waiter
    cdef list answers = []
    cdef list each
    for index, each in replies.items():
        if len(each) == 1 and type(each[0]) is Waiter:
            find_outcome(exchange, index, &outcome)
            if not outcome.reason:
                waiter = each[0]
                waiter.frame = done_frame(waiter.id, &outcome)
                answers.append(waiter)
                continue
        result, event = result_of(exchange, index), exchange.events.outcome(index)
        answers += [partial(reply, result, event) for reply in each]
    return answers


def call_all(calls: Iterable[object]) -> None:
    """Call each of them, even if others raise: an error in the answer to one client must not affect the others."""
    errors = []
    for call in calls:
        try:
            if type(call) is Waiter:
                (<Waiter>call).say()
            else:
                call()
        except Exception as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup("answers to commands", errors)
