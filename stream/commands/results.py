"""The result of a command, as its client is told, and as it is remembered in case the client asks again.

A live engine and the replay of its journal give the same results, so an answer survives a crash.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from engine import Event, EventKind, Exchange
from stream.commands.outcomes import outcome_of

ORDER_KINDS = frozenset({
    EventKind.ACCEPTED, EventKind.WAITING, EventKind.TRIGGERED, EventKind.DISPLAYED, EventKind.FILLED, EventKind.CANCELLED, EventKind.REDUCED,
    EventKind.REPLACED,
})

OF_ORDERS = sum(1 << kind for kind in ORDER_KINDS)

KEYS_MAX = 1 << 16
"""How many of its latest keys are remembered for each account. The keys of one account never displace those of another."""

KEY_TIME = 60 * 10**9
"""A key is remembered for at least this long, in ns. An account that has used KEYS_MAX keys within this time must wait before it uses another one."""

SENT_MARGIN = 5 * 10**9
"""How far the clocks of the servers may differ, in ns. By one of them a client says when it first sent a request."""

Status = Literal["open", "waiting", "filled", "cancelled"]


class Result(msgspec.Struct, frozen=True, array_like=True):
    """The result of a command. `reason` is the engine's, 0 if it was carried out. `count` is how many orders a cancel-all cancelled. `time` is in ns."""

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
"""Called with the result of a command, and with its outcome unless it ran long ago; or with None if the journal failed before the result was known."""


class Keyed(NamedTuple):
    """A command with a key of its client: its place in the group, the account, and the key."""

    place: int
    account: int
    key: int


def result_of(exchange: Exchange, index: int, time: int = 0) -> Result:
    """The result of command `index` of the exchange's latest call, at `time`. O(its events), in C."""
    return Result(*outcome_of(exchange, index), time)


class Results(dict[tuple[int, int], Result]):
    """The results of requests with a key, by account and key: the latest KEYS_MAX of each account, and all that are younger than KEY_TIME.

    `forgotten` has for each account the time of the latest request that is not remembered any more. All this follows from the commands, so it is the same in
    every replica.
    """

    def __init__(self, found: Iterable[tuple[tuple[int, int], Result]] = (), forgotten: Mapping[int, int] = {}, time: int = 0) -> None:
        """Begin with the results of a snapshot of `time`, in the order in which they came."""
        super().__init__(found)
        self.forgotten = dict(forgotten)
        self._keys: dict[int, deque[int]] = {}
        for (account, key), result in self.items():
            self._keys.setdefault(account, deque()).append(key)
            if not result.time:    # an earlier version wrote it, not later than this time
                self[account, key] = replace(result, time=time)

    def copy(self) -> "Results":
        """Another one with the same."""
        return Results(self.items(), self.forgotten)

    def take(self, exchange: Exchange, keyed: list[Keyed], time: int) -> None:
        """Take in the results of these commands, of the group that has just run, at `time`."""
        for place, account, key in keyed:
            keys = self._keys.setdefault(account, deque())
            while len(keys) >= KEYS_MAX and self[account, keys[0]].time + KEY_TIME <= time:
                self.forgotten[account] = self.pop((account, keys.popleft())).time
            if (account, key) not in self:
                keys.append(key)
            self[account, key] = result_of(exchange, place, time)

    def is_full(self, account: int, time: int) -> bool:
        """Whether an account has used as many keys as it may at the moment."""
        keys = self._keys.get(account)
        return keys is not None and len(keys) >= KEYS_MAX and self[account, keys[0]].time + KEY_TIME > time

    def may_have_had(self, account: int, sent: int) -> bool:
        """Whether a request first sent at `sent`, whose key is not here, may have been carried out and forgotten."""
        return account in self.forgotten and sent - SENT_MARGIN <= self.forgotten[account]
