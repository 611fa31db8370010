"""What carries messages between an engine and its gateways. Two ends, and nothing promised but the form of what arrives.

An engine's end calls back with each `Request`, a gateway's end with each piece of `News`. What is given to an end may be lost, doubled or late.
"""

from collections.abc import Callable
from typing import Protocol

from stream.cluster.messages import Batch, News, Request

HearRequest = Callable[[Request], None]
HearNews = Callable[[News], None]


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
