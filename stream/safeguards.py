"""Orders that must not outlive their owner's presence: cancel-on-disconnect, and the dead-man timer.

Both end in ordinary commands that cancel. Times are in ns.
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Literal

from stream.conflation import NEVER

Scope = Literal["off", "connection", "session"]


class Guard:
    """What one connection has asked for. `orders` are those that it placed since, with the scope `connection`."""

    __slots__ = ("grace", "orders", "scope")

    def __init__(self) -> None:
        self.scope: Scope = "off"
        self.grace = 0
        self.orders: set[int] = set()

    def set(self, scope: Scope, grace: int) -> None:
        """Change what happens when the connection ends."""
        self.scope, self.grace = scope, grace
        self.orders.clear()


class Deadlines:
    """When all orders of an account are to be cancelled: at the earlier of its dead-man timer and the end of its grace period."""

    def __init__(self) -> None:
        self._dead_man: dict[int, int] = {}
        self._grace: dict[int, int] = {}
        self._heap: list[tuple[int, int]] = []

    def set_dead_man(self, account: int, due: int) -> None:
        """Start the timer anew; NEVER stops it."""
        self._set(self._dead_man, account, due)

    def set_grace(self, account: int, due: int) -> None:
        """Begin a grace period; NEVER ends it well."""
        self._set(self._grace, account, due)

    def _set(self, of: dict[int, int], account: int, due: int) -> None:
        of.pop(account, None)
        if due != NEVER:
            of[account] = due
            heappush(self._heap, (due, account))

    def due(self, now: int) -> Iterator[int]:
        """The accounts whose time has come, each once."""
        while self._heap and self._heap[0][0] <= now:
            due, account = heappop(self._heap)
            for of in (self._dead_man, self._grace):
                if of.get(account) == due:
                    del of[account]
                    yield account

    @property
    def next(self) -> int:
        """When the next one may be due."""
        return self._heap[0][0] if self._heap else NEVER
