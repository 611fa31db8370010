"""One export: batches of a book by orders, out of a journal or from a channel, into a file."""

from collections.abc import Callable

from stream.export.order_events import ExportedBook
from stream.export.terms import ExportTerms, Writer
from stream.wire.frames import OrderBatch


class Exporter:
    """What a file gets: first a snapshot, then batches. `events` counts the events."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._book = ExportedBook(writer.whole)
        self.events = 0

    def take(self, batch: OrderBatch, snapshot: bool = False) -> None:
        """Write a batch. Raises ExportError if the format cannot hold it."""
        for event in self._book.take(batch, snapshot):
            self._writer.write(event, self._book.queues)
            self.events += 1

    def close(self) -> None:
        """Complete the file."""
        self._writer.close()


Make = Callable[[ExportTerms], Exporter]
"""Begins the file of an instrument, once its terms are known."""
