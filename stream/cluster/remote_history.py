"""The history of accounts, at a gateway: each question goes to the engine, whose process keeps it, and again until there is an answer."""

from collections.abc import Callable
from typing import NamedTuple

from stream.account_history.recorder import Question
from stream.cluster.messages import AskHistory, ToldHistory
from stream.feed.hub import Refused
from stream.wire.codes import ErrorCode
from stream.wire.times import MILLISECOND, NEVER

SEND_AGAIN = 1000 * MILLISECOND

QUESTIONS_MAX = 64
"""The most questions that wait for their answer. An answer may have a thousand orders."""


class Asked(NamedTuple):
    """A question that has no answer yet, and when to give up."""

    question: Question
    message: AskHistory
    until: int


class RemoteHistory:
    """Asks for the process `origin`; `send` tells the engine something, which may get lost. Waits no longer than `patience`, in ns."""

    def __init__(self, origin: int, send: Callable[[AskHistory], None], patience: int) -> None:
        self._origin = origin
        self._send = send
        self._patience = patience
        self._number = 0
        self._asked: dict[int, Asked] = {}
        self._send_again_at = NEVER

    def ask(self, question: Question) -> None:
        """Ask. Raises Refused if too many wait."""
        if len(self._asked) >= QUESTIONS_MAX:
            raise Refused(ErrorCode.TOO_MANY_WAITING)
        self._number += 1
        message = AskHistory(self._origin, self._number, question.trades, question.wanted)
        self._asked[self._number] = Asked(question, message, 0)
        self._send(message)

    def take(self, told: ToldHistory) -> None:
        """The engine has answered. Another answer to the same question is dropped."""
        asked = self._asked.pop(told.number, None)
        if asked:
            found = told.trades if asked.question.trades else told.orders
            asked.question.answered(ErrorCode(told.refused) if told.refused else found, told.since)

    def tick(self, now: int) -> int:
        """Ask again what has no answer, and give up what has waited too long. Returns when the next tick is due, in ns."""
        if not self._asked:
            self._send_again_at = NEVER
        elif self._send_again_at == NEVER:
            self._send_again_at = now + SEND_AGAIN
        elif now >= self._send_again_at:
            self._send_again_at = now + SEND_AGAIN
            for number, asked in list(self._asked.items()):
                if not asked.until:
                    self._asked[number] = asked._replace(until=now + self._patience)
                elif now >= asked.until:
                    del self._asked[number]
                    asked.question.answered(ErrorCode.NO_ENGINE, 0)
                    continue
                self._send(asked.message)
        return self._send_again_at
