"""A gateway's sequencer: what gathers is forwarded to the engine, and answered when it comes back among the engine's records.

A group is sent again until it has come back, under the same number, so the engine runs it once; one that came too late for the engine comes
back without its commands.
"""

from collections.abc import Callable
from functools import partial

from engine import Exchange
from stream.cluster.messages import Forward
from stream.codes import ErrorCode
from stream.conflation import MILLISECOND, NEVER
from stream.forwarded import NOT_RUN, REPEATED, Forwarded, last_number
from stream.gathering import Group, call_all
from stream.results import Reply, Result, Results, result_of
from stream.sequencer import Sequencer

SEND_AGAIN = 1000 * MILLISECOND


class Sent:
    """A group on its way: its message, and who waits."""

    __slots__ = ("at", "group", "message")

    def __init__(self, message: Forward, group: Group, at: int) -> None:
        self.message = message
        self.group = group
        self.at = at


class Forwarder(Sequencer):
    """Forwards groups as those of `origin`. What waits for longer than `patience`, in ns, is told that nobody knows what became of it.

    `engine_time` says what the engine's clock says at a time of ours.
    """

    def __init__(
        self, exchange: Exchange, directory: dict[str, bytes], results: Results, origin: int, send: Callable[[Forward], None], patience: int,
        engine_time: Callable[[int], int],
    ) -> None:
        super().__init__(exchange, directory, results, lambda time: None)
        self.origin = origin
        self._send = send
        self._patience = patience
        self._engine_time = engine_time
        self._number = 0
        self._sent: dict[int, Sent] = {}
        self._send_again_at = NEVER

    def adopt(self, exchange: Exchange, directory: dict[str, bytes], results: Results) -> None:
        """Go on with another state. Groups that it has run already are answered by what it remembers of them.

        If it lacks some that had come back, their numbers are sent without commands, or the engine would wait for them for ever.
        """
        self._exchange, self.directory, self.results = exchange, directory, results
        ran = last_number(directory, self.origin)
        for number in [number for number in self._sent if number <= ran]:
            call_all(self._recalled(self._sent.pop(number).group))
        if len(self._sent) < self._number - ran:
            self._sent = {number: self._sent.get(number) or self._without_commands(number) for number in range(ran + 1, self._number + 1)}
            self._send_again_at = 0

    def _without_commands(self, number: int) -> Sent:
        return Sent(Forward(Forwarded(self.origin, number, b"", [], []), 0), Group(), 0)

    @property
    def waits(self) -> bool:
        """Whether anything has not come back."""
        return bool(self._sent or self._gathering.entries or len(self.commands))

    @property
    def next_due(self) -> int:
        """When `advance` is to be called though nothing gathers, in ns."""
        return self._send_again_at

    def advance(self, now: int) -> None:
        """Forward what has gathered, and again what has not come back."""
        if self._gathering.entries or len(self.commands):
            group, self._gathering = self._gathering, Group()
            self._number += 1
            self.groups += 1
            message = Forward(Forwarded(self.origin, self._number, bytes(group.commands), group.keyed, group.entries), self._engine_time(now))
            self._sent[self._number] = Sent(message, group, now)
            self._send(message)
            if self._send_again_at == NEVER:
                self._send_again_at = now + SEND_AGAIN
        elif now >= self._send_again_at:
            self.send_again(now)

    def send_again(self, now: int) -> None:
        """Send everything that has not come back, in order; who has waited too long is told."""
        for sent in self._sent.values():
            self._send(sent.message)
        self._send_again_at = now + SEND_AGAIN if self._sent else NEVER
        for sent in self._sent.values():
            if now - sent.at >= self._patience:
                self._give_up(sent.group)
                sent.group.replies, sent.group.after = {}, []

    def came_back(self, group: Forwarded, indexes: list[int]) -> None:
        """The engine has run a group of ours; the exchange's latest call is that group."""
        for number in [number for number in self._sent if number <= group.number]:
            sent = self._sent.pop(number).group
            call_all(self._outcomes(sent, indexes, group.refused) if number == group.number else self._recalled(sent))
        if not self._sent:
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
        """The answers to a group that has run, we did not see how: what is remembered under the keys, and for the others that nobody knows."""
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

    def _give_up(self, group: Group) -> None:
        self._forget_keys(group)
        call_all([partial(reply, None, None) for replies in group.replies.values() for reply in replies] + [partial(after, False) for after in group.after])
