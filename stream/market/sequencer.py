"""The one order of all commands: they gather, are journaled as a group, and run when the group is on disk.

So the engine never holds a state that is not on disk, and nothing that clients were told has to be taken back. While one group is
being synced, the next one gathers. Without a journal, a group runs at once.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import msgspec

from engine import Exchange
from stream.commands import forwarded
from stream.commands.directory import Directory, Entry
from stream.commands.forwarded import Forwarded
from stream.commands.listing import Listing, check, enlist
from stream.commands.results import Results
from stream.journal.format import Buffer, JournalError, Kind, encode_keyed
from stream.journal.recovery import mark_of
from stream.market.gathering import Gatherer, Group
from stream.market.order_entry import Waiter, answers_of, call_all

MARK_EVERY = 1 << 12
"""How many groups there are between two marks of what a replay must lead to."""

HASHED_ORDERS_MAX = 1 << 14
"""A mark has the hash of the whole state if there are at most this many open orders and accounts. That is a few milliseconds of hashing."""


log = logging.getLogger("deltabook")


class JournalFace(Protocol):
    """What the sequencer needs of a journal."""

    @property
    def durable(self) -> int:
        """The last record that is on disk."""
        ...

    @property
    def failure(self) -> JournalError | None:
        """Why nothing more is written."""
        ...

    @property
    def low(self) -> bool:
        """Whether the disk has less left than the reserve."""
        ...

    def append(self, kind: Kind, payload: Buffer, time: int) -> int:
        """Append a record. Returns its sequence. Raises JournalError if the journal takes nothing any more."""
        ...


class Sequencer(Gatherer):
    """Carries commands to the exchange. `ran` is the last record of the group that ran last."""

    def __init__(
        self, exchange: Exchange, directory: Directory, results: Results, applied: Callable[[int, Buffer, Sequence[Entry]], None],
        journal: JournalFace | None = None,
    ) -> None:
        """`applied` is called with the time of a group, its commands and its entries after it has run, and before its replies."""
        super().__init__(directory, results)
        self.ran = 0
        self.taken: Callable[[Forwarded], None] = lambda group: None    # called when a forwarded group has run
        self.listed: Callable[[], None] = lambda: None    # called when an instrument or an asset has been added
        self._exchange = exchange
        self._applied = applied
        self.journal = journal
        self._idle = Group()
        self._in_flight: Group | None = None

    @property
    def waits(self) -> bool:
        """Whether a group is on its way to the disk."""
        return self._in_flight is not None

    @property
    def failure(self) -> JournalError | None:
        """Why no command runs any more."""
        return self.journal.failure if self.journal else None

    @property
    def low(self) -> bool:
        """Whether the disk is so full that only commands that make the books smaller should run."""
        return self.journal is not None and self.journal.low

    def forward(self, group: Forwarded, listings: Sequence[Listing] = ()) -> None:
        """Run a group of another process, behind what gathers now and what that process wants to have listed."""
        self.gathering.forwarded.append(group)
        self.gathering.listings += listings

    def advance(self, now: int) -> None:
        """Run what has gathered, as far as it is on disk. What replies lead to goes into the next group."""
        while True:
            if not self._in_flight:
                if not self.gathers:
                    return
                try:
                    self._hand_over(now)
                except JournalError:
                    self._give_up(self.gathering)
                    return
            assert self._in_flight
            if self.journal and self.journal.durable < self._in_flight.last:
                if self.journal.failure:
                    self._give_up(self._in_flight)
                    self._give_up(self.gathering)
                return
            self._run()

    def _hand_over(self, now: int) -> None:
        """Give what has gathered to the journal, after what was put in front of it."""
        self.groups += 1
        if self.groups % MARK_EVERY == 0 and self.journal:    # nothing is in flight
            mark = mark_of(self._exchange, self._exchange.order_count + self._exchange.accounts <= HASHED_ORDERS_MAX)
            self.journal.append(Kind.MARK, msgspec.msgpack.encode(mark), now)
        group = self._gathered()
        group.time = now
        if group.listings:    # nothing is in flight, so the exchange says what can be
            group.listings = self._possible(group.listings)
        if self.journal:
            if group.keyed:
                group.last = self.journal.append(Kind.KEYED_COMMANDS, encode_keyed(group.keyed, group.commands), now)
            elif len(group.commands):
                group.last = self.journal.append(Kind.COMMANDS, group.commands, now)
            for entry in group.entries:
                group.last = self.journal.append(Kind.ENTRY, msgspec.msgpack.encode(entry), now)
            for listing in group.listings:
                group.last = self.journal.append(Kind.LISTING, msgspec.msgpack.encode(listing), now)
            for each in group.forwarded:
                group.last = self.journal.append(Kind.FORWARDED, msgspec.msgpack.encode(each), now)
        self._in_flight, self.gathering = group, self._idle

    def _possible(self, listings: list[Listing]) -> list[Listing]:
        """What is new in listings, without those that can no longer be."""
        possible: list[Listing] = []
        news = Listing({}, [])
        for listing in listings:
            try:
                news = check(self._exchange, *possible, listing)
                possible.append(listing)
            except ValueError as error:
                log.warning("a listing is passed over", extra={"reason": str(error)})
        return [news] if news else []

    def _run(self) -> None:
        group, self._in_flight = self._in_flight, None
        assert group
        self.executed += len(group.commands)
        self.refused += self._exchange.execute(group.commands)
        if group.keyed:
            self.results.take(self._exchange, group.keyed, group.time)
            for _, account, key in group.keyed:
                del self._under_way[account, key]
        for entry in group.entries:
            entry.change(self.directory)
        self._applied(group.time, group.commands, group.entries)
        for listing in group.listings:
            enlist(self._exchange, listing)
            self.listed()
        answers = self._answers(group) if group.replies or group.after else []
        self.ran = group.last
        others = group.forwarded
        group.clear()
        self._idle = group
        for each in others:
            self._run_forwarded(each, group.time)
        call_all(answers)

    def _run_forwarded(self, group: Forwarded, time: int) -> None:
        commands = forwarded.runnable(self.results, group)[0]
        indexes = forwarded.run(self._exchange, self.directory, self.results, group, time)
        self.executed += len(indexes)
        self._applied(time, commands, group.entries)
        self.taken(group)

    def _answers(self, group: Group) -> list[Callable[[], None] | Waiter]:
        """The calls that are due after a group has run."""
        return answers_of(self._exchange, group.replies) + [partial(after, True) for after in group.after]

    def _give_up(self, group: Group) -> None:
        """The journal has failed: tell all callers that wait for this group that its result is unknown."""
        if group is self._in_flight:
            self._in_flight, self._idle = None, Group()
        else:
            self.gathering = Group()
            self.ahead.clear()
        self._under_way.clear()
        call_all([partial(reply, None, None) for replies in group.replies.values() for reply in replies] + [partial(after, False) for after in group.after])
