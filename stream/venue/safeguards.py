"""Orders that must not outlive their owner's presence: cancel-on-disconnect, and the dead-man timer.

Both lead to ordinary commands that cancel orders. Times are in ns.

Three things are remembered in the directory, among the commands: where an account is signed in; what its connections have asked for (their guards); and that a
guarded connection has ended, until the commands that follow from it are written too. So the next leader of the market draws the same conclusions.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Protocol

from stream.commands.directory import DeadManTimer, Directory, DirectoryKey, EndedConnection, Entry, GracePeriod, GuardedConnection, Present, Value
from stream.wire.messages import Scope
from stream.wire.times import NEVER

Timer = DeadManTimer | GracePeriod

KINDS = DeadManTimer, GracePeriod, Present, GuardedConnection, EndedConnection
"""The kinds of keys under which these are remembered. Of what a process finds when it starts, each is looked at before those behind it."""

PASSED_MAX = 64
"""Deadlines that were postponed or cancelled, and orders that are gone, are kept until there are this many of them, and more of them than of the others."""


class Guard:
    """What one connection has asked for. With the scope `connection`, `orders` are those that it has placed since, and `under_way` counts those on their way.

    `unsure` says whether the result of any of its orders is unknown.
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
        """Take in an order that was placed. Now and then this forgets orders that are gone. O(1) per order."""
        self.orders.add(order)
        if len(self.orders) > self._room:
            self.orders = {each for each in self.orders if is_open(each)}
            self._room = 2 * len(self.orders) + PASSED_MAX


class Store(Protocol):
    """A store that survives a crash: values under keys, once they are on disk."""

    directory: Directory

    def remember(self, key: DirectoryKey, value: Value | None, after: Callable[[bool], None] | None = None) -> None:
        """Keep a value, or with None forget the key; then call `after`, with False if that failed."""
        ...


class NoStore:
    """What is there already, and nothing more: no command will follow."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory

    def remember(self, key: DirectoryKey, value: Value | None, after: Callable[[bool], None] | None = None) -> None:
        """Forget it."""


class Deadlines:
    """Decides when all orders of an account are cancelled: when its dead-man timer or its grace period ends, whichever is earlier.

    A grace period begins when a connection with a guard of the scope `session` ends and the account is signed in nowhere, at no process of the market; it
    ends well when the account signs in anywhere. Where a process is cut off, it is heard late that an account has left it, perhaps after the end of a
    guarded connection elsewhere: so that end is remembered until it is known which of them was the last. It is heard late of sign-ins, too: those that
    were before that end are no return. All that outlives a crash of the server. To a guard, that is the end of its connection: with the scope `session` the
    grace period begins when the server is back, with the scope `connection` all orders of the account are cancelled then.
    `origin` tells the connections of several processes apart.
    """

    origin = 0

    def __init__(self, store: Store) -> None:
        self._store = store
        self._due: dict[Timer, int] = {}    # by the key under which it is remembered
        self._heap: list[tuple[int, int, Timer]] = []    # of those that are due at one time, the one that was set first
        self._set_before = count()
        self._guards: set[GuardedConnection] = set()    # of connections to this process
        self._here: Counter[int] = Counter()    # an account's connections to this process
        self._elsewhere: dict[int, set[int]] = {}    # the other processes where an account is signed in
        self._ended: dict[int, dict[EndedConnection, tuple[int, int]]] = {}    # by account, until it is decided: since when, and the grace period

    def recover(self, now: int, alone: bool = True) -> None:
        """Go on with what is remembered. The connections to this process are gone, and if it is `alone` those to all others."""
        found = [Entry(key, value) for key, value in self._store.directory.items() if isinstance(key, KINDS)]
        for entry in sorted(found, key=lambda entry: KINDS.index(type(entry.key))):
            self.follow(entry, now)
        for origin in processes_of(self._store.directory) if alone else {0}:
            self.end_process(origin, now, now)

    def follow(self, entry: Entry, now: int, since: int = NEVER) -> None:
        """Take in what is remembered from now on, whoever has said so, and do what follows from it. It has been so since a time, if that is before now."""
        match entry:
            case Entry(DeadManTimer() | GracePeriod() as timer, due):
                self._set(timer, due if isinstance(due, int) else NEVER)
            case Entry(Present(account, origin), None):
                self._no_longer(account, origin, min(since, now), now)
            case Entry(Present(account, origin)):
                self._elsewhere.setdefault(account, set()).add(origin)
                self._come_back(account, origin, min(since, now))
            case Entry(EndedConnection() as ended, int(grace)):
                self._session_ended(ended, grace, min(since, now), now)

    def end_process(self, origin: int, seen: int, now: int) -> None:
        """The connections to a process, which was last heard of at `seen`, are all gone: do what they have asked for in that case."""
        guards: list[tuple[GuardedConnection, int]] = []
        for key, value in list(self._store.directory.items()):
            if isinstance(key, GuardedConnection) and key.origin == origin and isinstance(value, int):
                guards.append((key, value))
                self._store.remember(key, None)
            elif isinstance(key, Present) and key.origin == origin:
                self._store.remember(key, None)
                self._no_longer(key.account, origin, seen, now)
        for guarded, grace in guards:
            if grace:
                self._session_ended(EndedConnection(guarded.account, origin, guarded.connection), grace, now, now)
            else:
                self._set_grace(guarded.account, now)

    # What connections to this process say

    def sign_in(self, account: int) -> None:
        """The account has one more connection."""
        self._here[account] += 1
        if self._here[account] == 1:
            self._come(account)

    def sign_out(self, account: int) -> None:
        """A connection does not belong to the account any more."""
        self._here[account] -= 1
        if not self._here[account]:
            del self._here[account]
            self._go(account)

    def has_dead_man(self, account: int) -> bool:
        """Whether a dead-man timer of an account is on disk."""
        return DeadManTimer(account) in self._store.directory

    def has_guard(self, account: int, connection: int) -> bool:
        """Whether the guard of a connection is on disk."""
        return self._guard_key(account, connection) in self._store.directory

    def set_dead_man(self, account: int, due: int, kept: Callable[[bool], None]) -> None:
        """Start the timer anew; NEVER stops it. Then call `kept`, with False if that is not on disk."""
        timer = DeadManTimer(account)
        self._set(timer, due)
        self._store.remember(timer, None if due == NEVER else due, kept)

    def keep_guard(self, account: int, connection: int, guard: Guard, kept: Callable[[bool], None]) -> None:
        """Remember what a connection has asked for. Then call `kept`, with False if that could not be written to disk."""
        key = self._guard_key(account, connection)
        value = value_of(guard)
        if value is None:
            self._guards.discard(key)
        else:
            self._guards.add(key)
        self._store.remember(key, value, kept)

    def forget_guard(self, account: int, connection: int) -> None:
        """The connection has withdrawn what it asked for. If that is still on its way to the disk, the withdrawal follows it."""
        key = self._guard_key(account, connection)
        if key in self._guards:
            self._guards.remove(key)
            self._store.remember(key, None)

    def end_guard(self, account: int, connection: int, guard: Guard, now: int) -> None:
        """The connection has ended: carry out what it asked for."""
        self.forget_guard(account, connection)
        if guard.scope == "connection" and guard.unsure:    # an order whose result was not seen has no id here: then all orders of the account are cancelled
            self.set_dead_man(account, now, lambda kept: None)
        elif guard.scope == "session":
            self._end_session(account, connection, guard.grace, now)
        guard.scope = "off"

    def _guard_key(self, account: int, connection: int) -> GuardedConnection:
        return GuardedConnection(account, self.origin, connection)

    def _come(self, account: int) -> None:
        self._end_grace(account)

    def _go(self, account: int) -> None:
        """It is not remembered who is signed in at this process: that ends with the process."""

    def _end_session(self, account: int, connection: int, grace: int, now: int) -> None:
        self._begin_grace(account, now + grace)

    # Grace periods, and what is due

    def _no_longer(self, account: int, origin: int, since: int, now: int) -> None:
        origins = self._elsewhere.get(account, set())
        origins.discard(origin)
        if not origins:
            self._elsewhere.pop(account, None)
            for ended, (at, grace) in list(self._ended.get(account, {}).items()):
                self._store.remember(ended, None)
                if is_later(origin, since, ended, at):    # the last to go has decided
                    self._forget_ended(ended)
                else:
                    self._begin_grace(account, now + grace)

    def _come_back(self, account: int, origin: int, since: int) -> None:
        """An account has signed in at another process, as is heard now."""
        self._end_grace(account)
        for ended, (at, grace) in list(self._ended.get(account, {}).items()):
            if is_later(origin, since, ended, at):
                self._store.remember(ended, None)
                self._forget_ended(ended)
            else:
                self._store.remember(ended, grace)

    def _forget_ended(self, ended: EndedConnection) -> None:
        del self._ended[ended.account][ended]
        if not self._ended[ended.account]:
            del self._ended[ended.account]

    def _session_ended(self, ended: EndedConnection, grace: int, since: int, now: int) -> None:
        """A connection with a guard of the scope `session` has ended: the grace period begins, unless the account seems to be signed in somewhere."""
        self._ended.setdefault(ended.account, {})[ended] = since, grace
        if ended.account in self._elsewhere:
            self._store.remember(ended, grace)
        else:
            self._store.remember(ended, None)
            self._begin_grace(ended.account, now + grace)

    def _begin_grace(self, account: int, due: int) -> None:
        if account not in self._here and account not in self._elsewhere:
            self._set_grace(account, min(due, self._due.get(GracePeriod(account), NEVER)))

    def _set_grace(self, account: int, due: int) -> None:
        self._set(GracePeriod(account), due)
        self._store.remember(GracePeriod(account), due)

    def _end_grace(self, account: int) -> None:
        period = GracePeriod(account)
        if period in self._due:
            self._set(period, NEVER)
            self._store.remember(period, None)

    def _set(self, timer: Timer, due: int) -> None:
        self._due.pop(timer, None)
        if due != NEVER:
            self._due[timer] = due
            heappush(self._heap, (due, next(self._set_before), timer))
        if len(self._heap) > 2 * len(self._due) + PASSED_MAX:
            self._heap = [(due, next(self._set_before), timer) for timer, due in self._due.items()]
            heapify(self._heap)

    def due(self, now: int) -> Iterator[int]:
        """The accounts whose deadline has come, once for each deadline."""
        while self._heap and self._heap[0][0] <= now:
            due, _, timer = heappop(self._heap)
            if self._due.get(timer) == due:
                del self._due[timer]
                self._store.remember(timer, None)
                if isinstance(timer, GracePeriod):
                    self._ended.pop(timer.account, None)
                yield timer.account

    @property
    def next(self) -> int:
        """When the next deadline may come."""
        return self._heap[0][0] if self._heap else NEVER


class RemoteDeadlines(Deadlines):
    """For a process whose commands run elsewhere. It reports there what its connections do and ask for; the deadlines are kept there.

    If a report about an open connection is forgotten, it is sent again: the leader of the market has taken this process for dead.
    """

    def __init__(self, store: Store, origin: int, engine_time: Callable[[int], int]) -> None:
        """`engine_time` converts a time of our clock to the engine's clock."""
        super().__init__(store)
        self.origin = origin
        self._engine_time = engine_time
        self._said: Directory = {}

    def say(self, key: DirectoryKey, value: Value | None, kept: Callable[[bool], None] | None = None) -> None:
        """Have something remembered, with None forgotten, as long as this process is there."""
        Entry(key, value).change(self._said)
        self._store.remember(key, value, kept)

    def repeat(self) -> None:
        """Report again what is not remembered."""
        for key, value in self._said.items():
            if self._store.directory.get(key) != value:
                self._store.remember(key, value)

    def follow(self, entry: Entry, now: int, since: int = NEVER) -> None:
        if entry.key in self._said and entry.value is None:
            self._store.remember(entry.key, self._said[entry.key])

    def set_dead_man(self, account: int, due: int, kept: Callable[[bool], None]) -> None:
        self._store.remember(DeadManTimer(account), None if due == NEVER else self._engine_time(due), kept)

    def keep_guard(self, account: int, connection: int, guard: Guard, kept: Callable[[bool], None]) -> None:
        self.say(self._guard_key(account, connection), value_of(guard), kept)

    def forget_guard(self, account: int, connection: int) -> None:
        key = self._guard_key(account, connection)
        if key in self._said:
            self.say(key, None)

    def _come(self, account: int) -> None:
        self.say(Present(account, self.origin), True)

    def _go(self, account: int) -> None:
        self.say(Present(account, self.origin), None)

    def _end_session(self, account: int, connection: int, grace: int, now: int) -> None:
        self._store.remember(EndedConnection(account, self.origin, connection), max(1, grace))


def is_later(origin: int, since: int, ended: EndedConnection, at: int) -> bool:
    """Whether what a process says of a time came after the end of a connection. What one process says is heard in order."""
    return origin == ended.origin or since > at


def processes_of(keys: Iterable[DirectoryKey]) -> set[int]:
    """The processes whose connections are remembered; 0 is the market's own."""
    return {0} | {key.origin for key in keys if isinstance(key, Present | GuardedConnection)}


def value_of(guard: Guard) -> int | None:
    """A guard as it is remembered: its grace period, at least 1 ns, with the scope `session`; 0 with the scope `connection`."""
    return None if guard.scope == "off" else max(1, guard.grace) if guard.scope == "session" else 0
