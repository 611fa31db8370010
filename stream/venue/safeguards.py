"""Orders that must not outlive their owner's presence: cancel-on-disconnect, and the dead-man timer.

Both end in ordinary commands that cancel. Times are in ns.

What is remembered, in the log of all commands: where an account is signed in, what its connections have asked for (their guards), and that a
guarded connection has ended, until what follows from that is written down too. So whoever leads the market next draws the same conclusions.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import Protocol

from stream.commands.entry import Entry
from stream.wire.messages import Scope
from stream.wire.times import NEVER

DEAD_MAN, GRACE, PRESENT, GUARD, ENDED = KINDS = "dead_man", "grace", "present", "guard", "ended"
"""The kinds of keys under which these are remembered. Of what a process finds when it starts, each is looked at before those behind it."""

PASSED_MAX = 64
"""Deadlines that have been put off or called off, and orders that are gone, are kept until there are so many, and more of them than of the others."""



class Guard:
    """What one connection has asked for. `orders` are those that it placed since, with the scope `connection`, and `under_way` how many it is placing.

    `unsure` is whether it placed any of which nobody knows what became.
    """

    __slots__ = ("_room", "grace", "orders", "scope", "under_way", "unsure")

    def __init__(self, scope: Scope = "off", grace: int = 0) -> None:
        self.scope: Scope = scope
        self.grace = grace
        self.orders: set[int] = set()
        self.under_way = 0
        self.unsure = False
        self._room = PASSED_MAX

    def add(self, order: int, is_open: Callable[[int], bool]) -> None:
        """Take in an order that was placed. Forgets those that are gone, now and then: O(1) an order."""
        self.orders.add(order)
        if len(self.orders) > self._room:
            self.orders = {each for each in self.orders if is_open(each)}
            self._room = 2 * len(self.orders) + PASSED_MAX


class Memory(Protocol):
    """What outlives a crash: values under keys, once they are on disk."""

    directory: dict[str, bytes]

    def remember(self, key: str, value: bytes, after: Callable[[bool], None] | None = None) -> None:
        """Keep a value, or with none forget the key; then call `after`, with False if that failed."""
        ...


class Deadlines:
    """When all orders of an account are to be cancelled: at the earlier of its dead-man timer and the end of its grace period.

    A grace period begins when a connection with a guard of the scope `session` ends and the account is signed in nowhere, at no process of the market; it
    ends well when the account signs in anywhere. All that outlives a crash of the server. To a guard, that is the end of its connection: with the scope
    `session` the grace period begins when the server is back, with the scope `connection` all orders of the account are cancelled then.
    `origin`, which ends in a dot, tells the connections of several processes apart.
    """

    origin = ""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._due: dict[str, int] = {}    # by the key under which it is remembered
        self._heap: list[tuple[int, str]] = []
        self._guards: set[str] = set()    # of connections to this process
        self._here: Counter[int] = Counter()    # an account's connections to this process
        self._elsewhere: dict[int, set[str]] = {}    # the other processes where an account is signed in

    def recover(self, now: int, alone: bool = True) -> None:
        """Go on with what is remembered. The connections to this process are gone, and if it is `alone` those to all others."""
        found = [Entry(key, value) for key, value in self._memory.directory.items() if kind_of(key) in KINDS]
        for entry in sorted(found, key=lambda entry: KINDS.index(kind_of(entry.key))):
            self.follow(entry, now)
        for origin in processes_of(self._memory.directory) if alone else {""}:
            self.end_process(origin, now)

    def follow(self, entry: Entry, now: int) -> None:
        """Take in what is remembered from now on, whoever has said so, and do what follows from it."""
        kind, _, rest = entry.key.partition(":")
        account, _, where = rest.partition(":")
        if kind in (DEAD_MAN, GRACE):
            self._set(entry.key, int.from_bytes(entry.value, "little") if entry.value else NEVER)
        elif kind == PRESENT and entry.value:
            self._elsewhere.setdefault(int(account), set()).add(where)
            self._end_grace(int(account))
        elif kind == PRESENT:
            self._no_longer(int(account), where)
        elif kind == ENDED and entry.value:
            self._memory.remember(entry.key, b"")
            self._begin_grace(int(account), now + int.from_bytes(entry.value, "little"))

    def end_process(self, origin: str, now: int) -> None:
        """The connections to a process are all gone: do what they have asked for in that case."""
        guards: list[tuple[int, int]] = []
        for key, value in self._memory.directory.items():
            kind, _, rest = key.partition(":")
            account, _, where = rest.partition(":")
            if kind == GUARD and where.rpartition(".")[0] == origin:
                guards.append((int(account), int.from_bytes(value, "little")))
                self._memory.remember(key, b"")
            elif kind == PRESENT and where == origin:
                self._memory.remember(key, b"")
                self._no_longer(int(account), where)
        for owner, grace in guards:
            if grace:
                self._begin_grace(owner, now + grace)
            else:
                self._set_grace(owner, now)

    # What connections to this process say

    def sign_in(self, account: int) -> None:
        """Another connection is the account's."""
        self._here[account] += 1
        if self._here[account] == 1:
            self._come(account)

    def sign_out(self, account: int) -> None:
        """A connection is the account's no longer."""
        self._here[account] -= 1
        if not self._here[account]:
            del self._here[account]
            self._go(account)

    def has_dead_man(self, account: int) -> bool:
        """Whether a dead-man timer of an account is on disk."""
        return f"{DEAD_MAN}:{account}" in self._memory.directory

    def has_guard(self, account: int, connection: int) -> bool:
        """Whether what a connection has asked for is on disk."""
        return self._guard_key(account, connection) in self._memory.directory

    def set_dead_man(self, account: int, due: int, kept: Callable[[bool], None]) -> None:
        """Start the timer anew; NEVER stops it. Then call `kept`, with False if that is not on disk."""
        key = f"{DEAD_MAN}:{account}"
        self._set(key, due)
        self._memory.remember(key, b"" if due == NEVER else encoded(due), kept)

    def keep_guard(self, account: int, connection: int, guard: Guard, kept: Callable[[bool], None]) -> None:
        """Remember what a connection has asked for; then call `kept`, with False if that is not on disk."""
        key = self._guard_key(account, connection)
        value = value_of(guard)
        if value:
            self._guards.add(key)
        else:
            self._guards.discard(key)
        self._memory.remember(key, value, kept)

    def forget_guard(self, account: int, connection: int) -> None:
        """The connection has taken back what it asked for. What of that is not on disk yet is taken back behind it."""
        key = self._guard_key(account, connection)
        if key in self._guards:
            self._guards.remove(key)
            self._memory.remember(key, b"")

    def end_guard(self, account: int, connection: int, guard: Guard, now: int) -> None:
        """The connection has ended: do what it has asked for."""
        self.forget_guard(account, connection)
        if guard.scope == "connection" and guard.unsure:    # one that ran unseen has no number here: then it is with all of the account's
            self.set_dead_man(account, now, lambda kept: None)
        elif guard.scope == "session":
            self._end_session(account, connection, guard.grace, now)
        guard.scope = "off"

    def _guard_key(self, account: int, connection: int) -> str:
        return f"{GUARD}:{account}:{self.origin}{connection}"

    def _come(self, account: int) -> None:
        self._end_grace(account)

    def _go(self, account: int) -> None:
        """Nothing is remembered of who is signed in here: that ends with the process."""

    def _end_session(self, account: int, connection: int, grace: int, now: int) -> None:
        self._begin_grace(account, now + grace)

    # Grace periods, and what is due

    def _no_longer(self, account: int, where: str) -> None:
        places = self._elsewhere.get(account, set())
        places.discard(where)
        if not places:
            self._elsewhere.pop(account, None)

    def _begin_grace(self, account: int, due: int) -> None:
        if account not in self._here and account not in self._elsewhere:
            self._set_grace(account, min(due, self._due.get(f"{GRACE}:{account}", NEVER)))

    def _set_grace(self, account: int, due: int) -> None:
        key = f"{GRACE}:{account}"
        self._set(key, due)
        self._memory.remember(key, encoded(due))

    def _end_grace(self, account: int) -> None:
        key = f"{GRACE}:{account}"
        if key in self._due:
            self._set(key, NEVER)
            self._memory.remember(key, b"")

    def _set(self, key: str, due: int) -> None:
        self._due.pop(key, None)
        if due != NEVER:
            self._due[key] = due
            heappush(self._heap, (due, key))
        if len(self._heap) > 2 * len(self._due) + PASSED_MAX:
            self._heap = [(due, key) for key, due in self._due.items()]
            heapify(self._heap)

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


class RemoteDeadlines(Deadlines):
    """Of a process that has its commands run elsewhere, and tells there what its connections do and ask for: there, deadlines are kept.

    What it has said of connections that are still there it says again if it is forgotten, for who leads the market took this process for gone.
    """

    def __init__(self, memory: Memory, origin: int, engine_time: Callable[[int], int]) -> None:
        """`engine_time` says what the engine's clock says at a time of ours."""
        super().__init__(memory)
        self.origin = f"{origin}."
        self._place = str(origin)
        self._engine_time = engine_time
        self._said: dict[str, bytes] = {}

    def say(self, key: str, value: bytes, kept: Callable[[bool], None] | None = None) -> None:
        """Have something remembered, with none forgotten, as long as this process is there."""
        if value:
            self._said[key] = value
        else:
            self._said.pop(key, None)
        self._memory.remember(key, value, kept)

    def repeat(self) -> None:
        """Say again what is not remembered."""
        for key, value in self._said.items():
            if self._memory.directory.get(key) != value:
                self._memory.remember(key, value)

    def follow(self, entry: Entry, now: int) -> None:
        if entry.key in self._said and not entry.value:
            self._memory.remember(entry.key, self._said[entry.key])

    def set_dead_man(self, account: int, due: int, kept: Callable[[bool], None]) -> None:
        self._memory.remember(f"{DEAD_MAN}:{account}", b"" if due == NEVER else encoded(self._engine_time(due)), kept)

    def keep_guard(self, account: int, connection: int, guard: Guard, kept: Callable[[bool], None]) -> None:
        self.say(self._guard_key(account, connection), value_of(guard), kept)

    def forget_guard(self, account: int, connection: int) -> None:
        key = self._guard_key(account, connection)
        if key in self._said:
            self.say(key, b"")

    def _come(self, account: int) -> None:
        self.say(f"{PRESENT}:{account}:{self._place}", b"1")

    def _go(self, account: int) -> None:
        self.say(f"{PRESENT}:{account}:{self._place}", b"")

    def _end_session(self, account: int, connection: int, grace: int, now: int) -> None:
        self._memory.remember(f"{ENDED}:{account}:{self.origin}{connection}", encoded(max(1, grace)))


def processes_of(directory: Iterable[str]) -> set[str]:
    """The processes whose connections are remembered; "" is the market's own."""
    found = {""}
    for key in directory:
        kind, _, rest = key.partition(":")
        where = rest.partition(":")[2]
        if kind == PRESENT:
            found.add(where)
        elif kind == GUARD:
            found.add(where.rpartition(".")[0])
    return found


def kind_of(key: str) -> str:
    """What a key of the directory is about."""
    return key.partition(":")[0]


def value_of(guard: Guard) -> bytes:
    """A guard as it is remembered: its grace period, at least 1 ns, with the scope `session`; 0 with the scope `connection`."""
    return b"" if guard.scope == "off" else encoded(max(1, guard.grace) if guard.scope == "session" else 0)


def encoded(number: int) -> bytes:
    """A time or a length of time as it is remembered."""
    return number.to_bytes(8, "little")
