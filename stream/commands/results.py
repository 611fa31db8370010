"""What became of a command: as its client is told, and as it is remembered for a client that asks again.

Pure: a live engine and the replay of its journal give the same, so an answer survives a crash.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from engine import Event, EventKind, Exchange, OrderType

ORDER_KINDS = frozenset({
    EventKind.ACCEPTED, EventKind.WAITING, EventKind.TRIGGERED, EventKind.DISPLAYED, EventKind.FILLED, EventKind.CANCELLED, EventKind.REDUCED,
    EventKind.REPLACED,
})

OF_ORDERS = sum(1 << kind for kind in ORDER_KINDS)
EVERY_KIND = (1 << 32) - 1

KEYS_MAX = 1 << 16
"""The keys of each account that are remembered: its latest. Those of one account never make another's forgotten."""

KEY_TIME = 60 * 10**9
"""In ns: a key is remembered for as long at least. An account that has used KEYS_MAX within it must wait before it uses another one."""

SENT_MARGIN = 5 * 10**9
"""In ns: how far the clocks of the servers may be apart by which a client says when it first sent a request."""

Status = Literal["open", "waiting", "filled", "cancelled"]


class Result(msgspec.Struct, frozen=True, array_like=True):
    """What became of a command. `reason` is the engine's, 0 where it was carried out; `count` the orders that a cancel-all cancelled; `time` when, in ns."""

    seq: int
    reason: int
    order: int
    client_id: int = 0
    status: Status = "open"
    remaining: int = 0
    filled: int = 0
    value: int = 0
    count: int = 0
    time: int = 0


Reply = Callable[[Result | None, Event | None], None]
"""Called with what became of a command, and its outcome unless that was long ago; with nothing if the journal failed before it was known."""


class Keyed(NamedTuple):
    """A command that came with a key of its client's: its place in the group, the account, the key."""

    place: int
    account: int
    key: int


def result_of(exchange: Exchange, index: int, time: int = 0) -> Result:
    """What became of command `index` of the exchange's latest call, at `time`. O(its events), in C."""
    events = exchange.events
    outcome, last = events.outcome(index), events.last(index, EVERY_KIND)
    assert last
    if outcome.kind == EventKind.REJECTED:
        return Result(last.seq, outcome.reason, outcome.order, time=time)
    cancelled = events.last(index, 1 << EventKind.ALL_CANCELLED)
    if cancelled:
        return Result(last.seq, 0, 0, count=cancelled.size, time=time)
    order = events.last(index, OF_ORDERS, outcome.order)
    if order:
        return Result(
            seq=last.seq, reason=0, order=order.order, client_id=order.other, status=_status(exchange, order), remaining=order.remaining,
            filled=order.filled, value=order.value, time=time,
        )
    return Result(last.seq, 0, outcome.order, time=time)


def _status(exchange: Exchange, last: Event) -> Status:
    """What a command made of an order, by the order's last event in it."""
    if not last.remaining:
        return "cancelled" if last.kind == EventKind.CANCELLED else "filled"
    order = exchange.order(last.order)
    return "waiting" if last.kind == EventKind.WAITING or (order and order.type != OrderType.LIMIT) else "open"


class Results(dict[tuple[int, int], Result]):
    """Results of requests with a key, by account and key: of each account the latest KEYS_MAX, and all that are younger than KEY_TIME.

    `forgotten` has, by account, when the latest ran of those that are not remembered any more. All follows from the log, so every replica has the same.
    """

    def __init__(self, found: Iterable[tuple[tuple[int, int], Result]] = (), forgotten: Mapping[int, int] = {}, time: int = 0) -> None:
        """With those of a snapshot of `time`, in the order in which they came."""
        super().__init__(found)
        self.forgotten = dict(forgotten)
        self._keys: dict[int, deque[int]] = {}
        for (account, key), result in self.items():
            self._keys.setdefault(account, deque()).append(key)
            if not result.time:    # an earlier version wrote it, and no later than this
                self[account, key] = replace(result, time=time)

    def copy(self) -> "Results":
        """Another one with the same."""
        return Results(self.items(), self.forgotten)

    def take(self, exchange: Exchange, keyed: list[Keyed], time: int) -> None:
        """Take in what became of these, of the group that has just run, at `time`."""
        for place, account, key in keyed:
            keys = self._keys.setdefault(account, deque())
            while len(keys) >= KEYS_MAX and self[account, keys[0]].time + KEY_TIME <= time:
                self.forgotten[account] = self.pop((account, keys.popleft())).time
            if (account, key) not in self:
                keys.append(key)
            self[account, key] = result_of(exchange, place, time)

    def is_full(self, account: int, time: int) -> bool:
        """Whether an account has used as many keys as it may for the time being."""
        keys = self._keys.get(account)
        return keys is not None and len(keys) >= KEYS_MAX and self[account, keys[0]].time + KEY_TIME > time

    def may_have_had(self, account: int, sent: int) -> bool:
        """Whether a request of a key that is not here, first sent at `sent`, may have been carried out and forgotten."""
        return account in self.forgotten and sent - SENT_MARGIN <= self.forgotten[account]
