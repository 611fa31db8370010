"""The batches of a book by orders from a live server's channel. What the client missed for good becomes a snapshot."""

import asyncio
from decimal import Decimal

from stream.client.client import Client
from stream.client.live import LiveByOrder
from stream.export.errors import ExportError
from stream.export.exporter import Exporter, Make
from stream.export.order_events import snapshot_of
from stream.export.terms import ExportTerms
from stream.wire.frames import Gap, MarketByOrder


async def export_channel(client: Client, instrument: str, end: int | None, seconds: float | None, make: Make) -> int:
    """Export a channel from now on, until `end` in ns since 1970, or for so many seconds, or until it is cancelled. Returns the number of events.

    Raises ExportError if the server does not have the instrument or the format cannot hold an event, and ClientError if the channel ends.
    """
    terms = await client.instruments()
    if instrument not in terms:
        raise ExportError(f"the server has no instrument {instrument!r}; expected one of {', '.join(terms)}")
    live = await client.market_by_order(instrument)
    exporter = make(ExportTerms(list(terms).index(instrument) + 1, instrument, Decimal(terms[instrument].tick), Decimal(terms[instrument].lot)))
    try:
        listener = _Listener(live, end, exporter)
        stop = live.on(listener.hear)
        try:
            async with asyncio.timeout(seconds):
                while not listener.ended:
                    await live.changed()
        except TimeoutError:
            pass
        finally:
            stop()
        if listener.failure:
            raise listener.failure
    finally:
        exporter.close()
    return exporter.events


class _Listener:
    """Exports what a channel says. `ended`: there is no more to export."""

    def __init__(self, live: LiveByOrder, end: int | None, exporter: Exporter) -> None:
        self.ended = False
        self.failure: ExportError | None = None
        self._live = live
        self._end = end
        self._exporter = exporter
        assert live.mirror.frame
        self._begin(live.mirror.frame)

    def _begin(self, frame: MarketByOrder) -> None:
        """Export the book as it is after a frame."""
        self._exporter.take(snapshot_of(self._live.mirror.queues, self._live.seq, frame.engine_time), snapshot=True)

    def hear(self, message: MarketByOrder | Gap) -> None:
        """Export a frame."""
        if self.ended or isinstance(message, Gap):    # the snapshot comes next
            return
        try:
            if message.prev is None:
                self._begin(message)
            for batch in message.batches if message.prev is not None else ():
                self.ended = self.ended or (self._end is not None and batch.time > self._end)
                if not self.ended:
                    self._exporter.take(batch)
        except ExportError as failure:
            self.ended, self.failure = True, failure
