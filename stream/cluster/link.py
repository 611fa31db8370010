"""A link carries messages between an engine and its gateways. It has two ends. It guarantees only the form of what arrives.

The engine's end hands each `Request` to its `Leader`; a gateway's end calls back with each piece of `News`. Messages may be lost, duplicated or late.
"""

from collections.abc import Callable
from typing import Protocol

from stream.cluster.messages import Batch, Beat, Request, Snapshot, StatePart, ToldHistory

HearNews = Callable[[Batch | Beat | Snapshot | ToldHistory], None]

Wants = Callable[[int, int], bool]
"""Whether the state at a term and a position is needed. It is costly to send and to decode."""


class EncodedState(Protocol):
    """A state at a position, which is sent in parts."""

    term: int
    position: int
    size: int

    async def part(self, start: int, size: int) -> StatePart:
        """The bytes from `start` on. Raises OSError if they cannot be read."""
        ...

    def close(self) -> None:
        """Forget it."""
        ...


class Leader(Protocol):
    """What an engine's end needs from the engine. `gone` are the origins that give no sign of life any more; the link may forget them."""

    gone: set[int]

    @property
    def term(self) -> int:
        """The leader's term."""
        ...

    @property
    def failure(self) -> str:
        """Why it cannot run anything any more, "" if it can."""
        ...

    def hear(self, request: Request) -> None:
        """Take in what a gateway tells."""
        ...

    def beat(self) -> Beat:
        """A sign of life."""
        ...

    async def snapshot(self) -> EncodedState:
        """The state at the first step of this coroutine. Raises OSError if it cannot be encoded."""
        ...


class EngineEnd(Protocol):
    """The engine's end of a link. The gateways get the batches in order, as long as nothing breaks."""

    def publish(self, batch: Batch) -> None:
        """Send a batch to all followers. Never waits: a follower that is too far behind gets a snapshot instead."""
        ...

    def tell(self, told: ToldHistory) -> None:
        """Send an answer to the gateway that has asked."""
        ...


class GatewayEnd(Protocol):
    """The end of a link at a gateway or a standby."""

    def send(self, request: Request) -> None:
        """Have the engine told. What cannot be sent is dropped: whoever needs an answer sends again."""
        ...

    def ask(self) -> None:
        """Ask for the latest snapshot."""
        ...
