"""Lists the connections to all gateways of a market. Questions and answers go through the engine's log, which every gateway reads anyway."""

import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from stream.commands.directory import AskedConnections, DirectoryKey, Entry, GatewayName, ToldConnections
from stream.venue.safeguards import Store
from stream.wire.administration import ListConnections
from stream.wire.messages import ConnectionStatus
from stream.wire.times import NEVER

log = logging.getLogger("deltabook")

ANSWER_BYTES_MAX = 1 << 20
"""The longest answer of one gateway."""

Listed = Callable[[list[ConnectionStatus], list[str]], None]


class GatewayAnswer(msgspec.Struct, frozen=True, array_like=True):
    """One gateway's answer: its first connections, and whether these are all that were asked for."""

    connections: list[ConnectionStatus]
    whole: bool = True


class Question(msgspec.Struct, frozen=True, array_like=True):
    """Which connections: so many, from the first number above `after`."""

    after: int
    count: int


_decode_answer = msgspec.msgpack.Decoder(GatewayAnswer).decode
_decode_question = msgspec.msgpack.Decoder(Question).decode


def answer_of(connections: list[ConnectionStatus]) -> bytes:
    """An answer, which is cut off where it would be too long."""
    encoded = msgspec.msgpack.encode(GatewayAnswer(connections))
    while len(encoded) > ANSWER_BYTES_MAX:
        connections = connections[: len(connections) // 2]
        encoded = msgspec.msgpack.encode(GatewayAnswer(connections, whole=False))
    return encoded


def merged(answers: list[GatewayAnswer], count: int) -> list[ConnectionStatus]:
    """The first connections of all answers, as far as nothing can be missing between them."""
    end = min((answer.connections[-1].connection if answer.connections else 0 for answer in answers if not answer.whole), default=NEVER)
    found = sorted((each for answer in answers for each in answer.connections), key=lambda each: each.connection)
    return [each for each in found if each.connection <= end][:count]


class Call:
    """A question that is not answered yet: the answers, and by their numbers the names of the gateways that owe one."""

    def __init__(self, request: ListConnections, listed: Listed, unheard: dict[int, str], due: int) -> None:
        self.request = request
        self.listed = listed
        self.unheard = unheard
        self.due = due
        self.answers: list[GatewayAnswer] = []


class Host(Protocol):
    """The gateway that asks and answers."""

    def connections(self, after: int, count: int) -> list[ConnectionStatus]:
        """Who is connected to it."""
        ...


class RollCall:
    """Asks and answers for one gateway, whose number is `origin`. Waits no longer than `patience`, in ns."""

    def __init__(self, gateway: Host, store: Store, origin: int, patience: int) -> None:
        self._gateway = gateway
        self._store = store
        self._origin = origin
        self._patience = patience
        self._calls: dict[int, Call] = {}
        self._number = 0

    def ask(self, request: ListConnections, now: int, listed: Listed) -> None:
        """Ask every gateway; `listed` gets what they say, and the names of those that did not."""
        directory = self._store.directory
        names = {key.origin: name.decode(errors="replace") for key, name in directory.items() if isinstance(key, GatewayName) and isinstance(name, bytes)}
        names.pop(self._origin, None)
        self._number += 1
        self._calls[self._number] = Call(request, listed, names, now + self._patience)
        if names:
            self._pass_by(AskedConnections(self._origin, self._number), msgspec.msgpack.encode(Question(request.after, request.count)))

    def _pass_by(self, key: DirectoryKey, value: bytes) -> None:
        """Have every gateway read it. It is forgotten with the group that it comes in."""
        self._store.remember(key, value)
        self._store.remember(key, None)

    def follow(self, entry: Entry) -> None:
        """Take in a question or an answer of another gateway. One that cannot be read, since that is of another version, is passed over and told."""
        try:
            match entry:
                case Entry(AskedConnections(asker, number), bytes(value)) if asker != self._origin:
                    question = _decode_question(value)
                    answer = answer_of(self._gateway.connections(question.after, question.count))
                    self._pass_by(ToldConnections(asker, number, self._origin), answer)
                case Entry(ToldConnections(self._origin, number, teller), bytes(value)) if number in self._calls and teller in self._calls[number].unheard:
                    self._calls[number].answers.append(_decode_answer(value))
                    del self._calls[number].unheard[teller]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            log.warning("a message from another gateway cannot be read", extra={"entry": str(entry.key), "why": str(error)})

    def tick(self, now: int) -> int:
        """Answer what has been waiting long enough; when there is more to do, in ns."""
        for number, call in list(self._calls.items()):
            if not call.unheard or call.due <= now:
                del self._calls[number]
                here = GatewayAnswer(self._gateway.connections(call.request.after, call.request.count))
                call.listed(merged([here, *call.answers], call.request.count), sorted(call.unheard.values()))
        return min((call.due for call in self._calls.values()), default=NEVER)
