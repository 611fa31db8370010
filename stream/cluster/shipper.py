"""The journal of an engine that has followers: each record is kept until it has run, and then told."""

from collections import deque

from stream.cluster.messages import ShippedRecord
from stream.journal.format import Buffer, JournalError, Kind
from stream.market.sequencer import JournalFace


class Shipper:
    """Stands in front of a journal, or of none, and keeps what is written for others. Without a journal the records are numbered here."""

    def __init__(self, journal: JournalFace | None, position: int) -> None:
        self.journal = journal
        self.last = position
        self._records: deque[ShippedRecord] = deque()

    @property
    def durable(self) -> int:
        """The last record that is on disk, or that was written where there is none."""
        return self.journal.durable if self.journal else self.last

    @property
    def failure(self) -> JournalError | None:
        """Why nothing more is written."""
        return self.journal.failure if self.journal else None

    @property
    def low(self) -> bool:
        """Whether the disk has less left than the reserve."""
        return self.journal is not None and self.journal.low

    def append(self, kind: Kind, payload: Buffer, time: int) -> int:
        """Append a record. Returns its sequence. Raises JournalError if the journal takes nothing any more."""
        self.last = self.journal.append(kind, payload, time) if self.journal else self.last + 1
        self._records.append(ShippedRecord(self.last, kind, time, bytes(payload)))
        return self.last

    def take(self, position: int) -> list[ShippedRecord]:
        """The records up to a position, each once."""
        taken = []
        while self._records and self._records[0].seq <= position:
            taken.append(self._records.popleft())
        return taken
