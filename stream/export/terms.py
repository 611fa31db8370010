"""What is exported of which instrument, and what writes it."""

from decimal import Decimal
from typing import ClassVar, NamedTuple, Protocol

from engine import OrderQueues
from stream.export.order_events import OrderEvent


class ExportTerms(NamedTuple):
    """An instrument: its number in the market's list, its name, its tick in the quote asset and its lot in the base asset."""

    number: int    # from 1
    name: str
    tick: Decimal
    lot: Decimal


class Writer(Protocol):
    """Writes events into a file of one format."""

    whole: ClassVar[frozenset[str]]
    """Whether a MOVE and a CLEAR are told as they are."""

    def write(self, event: OrderEvent, queues: OrderQueues) -> None:
        """Write an event. The queues are as they are after it."""
        ...

    def close(self) -> None:
        """Complete the file."""
        ...
