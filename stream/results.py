"""What became of a command: as its client is told, and as it is remembered for a client that asks again.

Pure: a live engine and the replay of its journal give the same, so an answer survives a crash.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import msgspec

from engine import Event, EventKind, Exchange, OrderType

ORDER_KINDS = frozenset({
    EventKind.ACCEPTED, EventKind.WAITING, EventKind.TRIGGERED, EventKind.DISPLAYED, EventKind.FILLED, EventKind.CANCELLED, EventKind.REDUCED,
    EventKind.REPLACED,
})

OF_ORDERS = sum(1 << kind for kind in ORDER_KINDS)
EVERY_KIND = (1 << 32) - 1

RESULTS_KEPT = 1 << 16
"""Results of requests with a key that are remembered, over all accounts."""

Status = Literal["open", "waiting", "filled", "cancelled"]


class Result(msgspec.Struct, frozen=True, array_like=True):
    """What became of a command. `reason` is the engine's, 0 where it was carried out; `count` the orders that a cancel-all cancelled."""

    seq: int
    reason: int
    order: int
    client_id: int = 0
    status: Status = "open"
    remaining: int = 0
    filled: int = 0
    value: int = 0
    count: int = 0


Reply = Callable[[Result | None, Event | None], None]
"""Called with what became of a command, and its outcome unless that was long ago; with nothing if the journal failed before it was known."""


class Keyed(NamedTuple):
    """A command that came with a key of its client's: its place in the group, the account, the key."""

    place: int
    account: int
    key: int


def result_of(exchange: Exchange, index: int) -> Result:
    """What became of command `index` of the exchange's latest call. O(its events), in C."""
    events = exchange.events
    outcome, last = events.outcome(index), events.last(index, EVERY_KIND)
    assert last
    if outcome.kind == EventKind.REJECTED:
        return Result(last.seq, outcome.reason, outcome.order)
    cancelled = events.last(index, 1 << EventKind.ALL_CANCELLED)
    if cancelled:
        return Result(last.seq, 0, 0, count=cancelled.size)
    order = events.last(index, OF_ORDERS, outcome.order)
    if order:
        return Result(last.seq, 0, order.order, order.other, _status(exchange, order), order.remaining, order.filled, order.value)
    return Result(last.seq, 0, outcome.order)


def _status(exchange: Exchange, last: Event) -> Status:
    """What a command made of an order, by the order's last event in it."""
    if not last.remaining:
        return "cancelled" if last.kind == EventKind.CANCELLED else "filled"
    order = exchange.order(last.order)
    return "waiting" if last.kind == EventKind.WAITING or (order and order.type != OrderType.LIMIT) else "open"


class Results(dict[tuple[int, int], Result]):
    """The latest RESULTS_KEPT results of requests with a key, by account and key."""

    def take(self, exchange: Exchange, keyed: list[Keyed]) -> None:
        """Take in what became of these, of the group that has just run."""
        for place, account, key in keyed:
            if len(self) == RESULTS_KEPT:
                del self[next(iter(self))]
            self[account, key] = result_of(exchange, place)
