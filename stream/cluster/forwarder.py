"""The sequencer of a gateway. It forwards what gathers to the engine, and answers it when it comes back among the engine's records.

A group is sent again under the same number until it has come back, so the engine runs it only once. A group that reached the engine too late comes back
without its commands. Each time, the group says how old it is by the clock of the engine that is followed at that time, so its deadline does not move.
"""

from collections.abc import Callable
from functools import partial

from engine import Exchange
from stream.cluster.messages import Forward
from stream.commands.directory import Directory, DirectoryKey, Entry
from stream.commands.forwarded import NOT_RUN, REPEATED, Forwarded, last_number
from stream.commands.results import Reply, Result, Results, result_of
from stream.market.gathering import Gatherer, Group
from stream.market.order_entry import call_all
from stream.wire.codes import ErrorCode
from stream.wire.times import MILLISECOND, NEVER

SEND_AGAIN = 1000 * MILLISECOND

UNDER_WAY_MAX = 64
"""How many groups may be on their way. If there are this many, further commands gather and are not sent yet."""

ENTRIES_AT_ONCE = 64
"""Entries that gather before those that a later one replaces are dropped."""


class Sent:
    """A group on its way: what is sent, who waits, and since when."""

    __slots__ = ("at", "forwarded", "group")

    def __init__(self, forwarded: Forwarded, group: Group, at: int) -> None:
        self.forwarded = forwarded
        self.group = group
        self.at = at


class Forwarder(Gatherer):
    """Forwards groups as those of `origin`. What waits for longer than `patience`, in ns, is told that nobody knows what became of it.

    `engine_time` says what the engine's clock says at a time of ours, `low` whether its disk is nearly full.
    """

    def __init__(
        self, exchange: Exchange, directory: Directory, results: Results, origin: int, send: Callable[[Forward], None], patience: int,
        engine_time: Callable[[int], int], low: Callable[[], bool],
    ) -> None:
        super().__init__(directory, results)
        self._exchange = exchange
        self.origin = origin
        self.send = send
        self._patience = patience
        self._engine_time = engine_time
        self._low = low
        self._number = 0
        self.sent_groups: dict[int, Sent] = {}
        self._send_again_at = NEVER
        self._commands_sent = 0
        self._since = 0    # when what gathers began to, if it could not be sent
        self._entries_max = ENTRIES_AT_ONCE

    def adopt(self, exchange: Exchange, directory: Directory, results: Results) -> None:
        """Go on with another state. Groups that it has run already are answered by what it remembers of them.

        If it lacks groups that had come back, their numbers are sent without commands; otherwise the engine would wait for them for ever.
        """
        self._exchange, self.directory, self.results = exchange, directory, results
        ran = last_number(directory, self.origin)
        for number in [number for number in self.sent_groups if number <= ran]:
            call_all(self._recalled(self.sent_groups.pop(number).group))
        if len(self.sent_groups) < self._number - ran:
            self.sent_groups = {number: self.sent_groups.get(number) or self._without_commands(number) for number in range(ran + 1, self._number + 1)}
            self._send_again_at = 0
        self._count()

    def _without_commands(self, number: int) -> Sent:
        return Sent(Forwarded(self.origin, number, b"", [], []), Group(), 0)

    @property
    def failure(self) -> None:
        """The engine's journal may fail, and nothing is known of it here but that no answer comes."""
        return None

    @property
    def low(self) -> bool:
        """Whether the engine's disk is nearly full, as far as is known here."""
        return self._low()

    @property
    def waits(self) -> bool:
        """Whether anything has not come back."""
        return bool(self.sent_groups or self.gathers)

    @property
    def next_due(self) -> int:
        """When `advance` is to be called though nothing gathers, in ns."""
        return self._send_again_at

    def advance(self, now: int) -> None:
        """Forward what has gathered, and once more what has not come back, at `now` in ns. At most UNDER_WAY_MAX groups are on their way."""
        gathers = self.gathers
        if gathers and len(self.sent_groups) < UNDER_WAY_MAX:
            group, self.gathering = self._gathered(), Group()
            self._number += 1
            self.groups += 1
            sent = Sent(Forwarded(self.origin, self._number, bytes(group.commands), group.keyed, group.entries), group, self._since or now)
            self.sent_groups[self._number], self._since = sent, 0
            self._count()
            self._send_out(sent)
            if self._send_again_at == NEVER:
                self._send_again_at = now + SEND_AGAIN
        elif now >= self._send_again_at:
            self.send_again(now)
        if gathers and len(self.sent_groups) == UNDER_WAY_MAX:
            self._keep_waiting(now)

    def _send_out(self, sent: Sent) -> None:
        self.send(Forward(sent.forwarded, self._engine_time(sent.at), listings=sent.group.listings))

    def _keep_waiting(self, now: int) -> None:
        """What has gathered cannot be sent yet: keep as little of it as possible, and tell callers that have waited too long."""
        self._since = self._since or now
        if now - self._since >= self._patience:
            self._tell_unknown(self.gathering)
        if len(self.gathering.entries) > self._entries_max:
            latest: dict[DirectoryKey, Entry] = {}
            for entry in self.gathering.entries:
                latest.pop(entry.key, None)
                latest[entry.key] = entry
            self.gathering.entries = list(latest.values())
            self._entries_max = 2 * len(latest) + ENTRIES_AT_ONCE

    @property
    def unanswered(self) -> int:
        """Commands that gather here or have not come back."""
        return len(self.commands) + self._commands_sent

    def _count(self) -> None:
        self._commands_sent = sum(len(sent.group.commands) for sent in self.sent_groups.values())

    def send_again(self, now: int) -> None:
        """Send everything that has not come back, in order, and tell callers that have waited too long."""
        for sent in self.sent_groups.values():
            self._send_out(sent)
        self._send_again_at = now + SEND_AGAIN if self.sent_groups else NEVER
        for sent in self.sent_groups.values():
            if now - sent.at >= self._patience:
                self._tell_unknown(sent.group)

    def came_back(self, group: Forwarded, indexes: list[int]) -> None:
        """The engine has run a group of ours. `indexes` are the places of its commands in the latest call of the exchange, where the outcomes are."""
        for number in [number for number in self.sent_groups if number <= group.number]:
            sent = self.sent_groups.pop(number).group
            call_all(self._outcomes(sent, indexes, group.refused) if number == group.number else self._recalled(sent))
        self._count()
        if not self.sent_groups:
            self._send_again_at = NEVER

    def _outcomes(self, sent: Group, indexes: list[int], refused: int) -> list[Callable[[], None]]:
        self.executed += sum(index >= 0 for index in indexes)
        calls: list[Callable[[], None]] = []
        keys = {place: (account, key) for place, account, key in sent.keyed}
        indexes = indexes or [NOT_RUN] * len(sent.commands)
        for place, replies in sent.replies.items():
            if indexes[place] == NOT_RUN:
                calls += [partial(reply, Result(0, refused - 400, 0), None) for reply in replies]
            elif indexes[place] == REPEATED:
                calls += [partial(reply, self.results.get(keys[place]), None) for reply in replies]
            else:
                calls += self._outcome(replies, indexes[place])
        self._forget_keys(sent)
        return calls + [partial(after, refused != ErrorCode.BAD_GROUP) for after in sent.after]

    def _outcome(self, replies: list[Reply], index: int) -> list[Callable[[], None]]:
        result, outcome = result_of(self._exchange, index), self._exchange.events.outcome(index)
        self.refused += bool(result.reason)
        return [partial(reply, result, outcome) for reply in replies]

    def _recalled(self, sent: Group) -> list[Callable[[], None]]:
        """Answer a group that has run unseen: with the results remembered under the keys; for the other commands the result is unknown."""
        keys = {place: (account, key) for place, account, key in sent.keyed}
        self._forget_keys(sent)
        calls: list[Callable[[], None]] = []
        for place, replies in sent.replies.items():
            result = self.results.get(keys[place]) if place in keys else None
            calls += [partial(reply, result, None) for reply in replies]
        return calls + [partial(after, True) for after in sent.after]

    def _forget_keys(self, sent: Group) -> None:
        for _, account, key in sent.keyed:
            self._under_way.pop((account, key), None)

    def _tell_unknown(self, group: Group) -> None:
        """Tell the callers that wait for a group that its result is unknown."""
        self._forget_keys(group)
        replies, after = group.replies, group.after
        group.replies, group.after = {}, []
        call_all([partial(reply, None, None) for each in replies.values() for reply in each] + [partial(each, False) for each in after])
