"""What carries messages between an engine and its gateways. Two ends, and nothing promised but the form of what arrives.

An engine's end tells its `Leader` each `Request`, a gateway's end calls back with each piece of `News`. What is given to an end may be lost, doubled or late.
"""

from collections.abc import Callable
from typing import Protocol

from stream.cluster.messages import Batch, Beat, Part, Request, Snapshot

HearNews = Callable[[Batch | Beat | Snapshot], None]

Wants = Callable[[int, int], bool]
"""Whether the state at a term and a position would help, which is much to send and to decode."""


class EncodedState(Protocol):
    """A state at a position, to be told in parts."""

    term: int
    position: int
    size: int

    async def part(self, start: int, size: int) -> Part:
        """The bytes from `start` on. OSError if they cannot be read."""
        ...

    def close(self) -> None:
        """Forget it."""
        ...


class Leader(Protocol):
    """What an engine's end needs of the engine. `gone` are the origins that give no sign of life any more, for the link to forget."""

    gone: set[int]

    @property
    def term(self) -> int:
        """The leader's term."""
        ...

    @property
    def failure(self) -> str:
        """Why it can run nothing any more; "" while all is well."""
        ...

    def hear(self, request: Request) -> None:
        """Take in what a gateway tells."""
        ...

    def beat(self) -> Beat:
        """A sign of life."""
        ...

    async def snapshot(self) -> EncodedState:
        """The state as it is at the first step of this. OSError if it cannot be encoded."""
        ...


class EngineEnd(Protocol):
    """What an engine does with a link. Its gateways get the batches in order, as long as nothing breaks."""

    def publish(self, batch: Batch) -> None:
        """Have a batch told to everybody."""
        ...


class GatewayEnd(Protocol):
    """What a gateway, or a standby, does with a link."""

    def send(self, request: Request) -> None:
        """Have the engine told."""
        ...

    def ask(self) -> None:
        """Ask for the latest snapshot."""
        ...
