"""Orders that must not outlive their owner's presence: cancel-on-disconnect, and the dead-man timer.

Both end in ordinary commands that cancel. Times are in ns.
"""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Literal, Protocol

from stream.conflation import NEVER
from stream.journal.format import Entry

DEAD_MAN, GRACE, GUARD = "dead_man", "grace", "guard"
"""The kinds of keys under which these are remembered."""

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


class Memory(Protocol):
    """What outlives a crash: values under keys, once they are on disk."""

    directory: dict[str, bytes]

    def remember(self, key: str, value: bytes, after: Callable[[bool], None] | None = None) -> None:
        """Keep a value, or with none forget the key; then call `after`, with False if that failed."""
        ...


class Deadlines:
    """When all orders of an account are to be cancelled: at the earlier of its dead-man timer and the end of its grace period.

    They outlive a crash of the server. To a guard, that is the end of its connection: with the scope `session` the grace period begins when
    the server is back, with the scope `connection` all orders of the account are cancelled then. `origin`, which ends in a dot, tells the connections
    of several servers apart; the guards of another one's are left alone until `end_guards`.
    """

    def __init__(self, memory: Memory, now: int, origin: str = "") -> None:
        self._memory = memory
        self._origin = origin
        self._due: dict[str, int] = {}    # by the key under which it is remembered
        self._heap: list[tuple[int, str]] = []
        for key, value in list(memory.directory.items()):
            self.follow(Entry(key, value))
        self.end_guards("", now)

    def follow(self, entry: Entry) -> None:
        """Take over what is remembered of a deadline, whoever set it."""
        if entry.key.partition(":")[0] in (DEAD_MAN, GRACE):
            self._set(entry.key, int.from_bytes(entry.value, "little") if entry.value else NEVER)

    def end_guards(self, origin: str, now: int) -> None:
        """The connections of a server are all gone: begin the grace periods that they asked for, unless the account is back with a guard elsewhere."""
        ended, back = [], set()
        for key, value in self._memory.directory.items():
            kind, _, rest = key.partition(":")
            account, _, connection = rest.partition(":")
            if kind == GUARD and connection.rpartition(".")[0] == origin.removesuffix("."):
                ended.append((key, int(account), int.from_bytes(value, "little")))
            elif kind == GUARD:
                back.add(int(account))
        for key, owner, grace in ended:
            self._memory.remember(key, b"")
            if not grace or owner not in back:
                self.set_grace(owner, now + grace)

    def set_dead_man(self, account: int, due: int, kept: Callable[[bool], None]) -> None:
        """Start the timer anew; NEVER stops it. Then call `kept`, with False if that is not on disk."""
        key = f"{DEAD_MAN}:{account}"
        self._set(key, due)
        self._memory.remember(key, b"" if due == NEVER else encoded(due), kept)

    def set_grace(self, account: int, due: int) -> None:
        """Begin a grace period; NEVER ends it well."""
        key = f"{GRACE}:{account}"
        if due != NEVER or key in self._due:
            self._set(key, due)
            self._memory.remember(key, b"" if due == NEVER else encoded(due))

    def keep_guard(self, account: int, connection: int, guard: Guard, kept: Callable[[bool], None]) -> None:
        """Remember what a connection has asked for; then call `kept`, with False if that is not on disk."""
        value = b"" if guard.scope == "off" else encoded(guard.grace if guard.scope == "session" else 0)
        self._memory.remember(self._guard_key(account, connection), value, kept)

    def forget_guard(self, account: int, connection: int) -> None:
        """The connection has ended, in one way or another."""
        key = self._guard_key(account, connection)
        if key in self._memory.directory:
            self._memory.remember(key, b"")

    def _guard_key(self, account: int, connection: int) -> str:
        return f"{GUARD}:{account}:{self._origin}{connection}"

    def _set(self, key: str, due: int) -> None:
        self._due.pop(key, None)
        if due != NEVER:
            self._due[key] = due
            heappush(self._heap, (due, key))

    def due(self, now: int) -> Iterator[int]:
        """The accounts whose time has come, each once for each of its deadlines."""
        while self._heap and self._heap[0][0] <= now:
            due, key = heappop(self._heap)
            if self._due.get(key) == due:
                del self._due[key]
                self._memory.remember(key, b"")
                yield int(key.partition(":")[2])

    @property
    def next(self) -> int:
        """When the next one may be due."""
        return self._heap[0][0] if self._heap else NEVER


def encoded(number: int) -> bytes:
    """A time or a length of time as it is remembered."""
    return number.to_bytes(8, "little")
