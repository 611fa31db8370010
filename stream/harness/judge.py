"""Judges what a client says about its books, by levels or by orders. The client names a sequence and a digest. The judge follows the same books, and knows the
right digest.

A client may be late, and stand at a sequence that the judge has skipped. Between two frames of the judge, the book is one of the two if a single batch made
the difference; if there were several batches, the digest is unknown. What a client says about a sequence that the judge has not reached yet waits.
"""

from bisect import bisect_left
from collections import deque

from msgspec import Struct

from stream.wire.frames import Book, MarketByOrder

KEPT = 100_000
"""Frames of a book that the judge remembers."""

TOLD_MAX = 10
"""Wrong statements that are kept as they were."""


class Statement(Struct, forbid_unknown_fields=True):
    """What a client says of a book. The digest is decimal text, since JSON's numbers are floats to many."""

    channel: str
    epoch: int
    seq: int
    digest: str


class Case:
    """One book, and what a client said about it: how many statements were `right`, `wrong`, or `open`, because the digest is unknown."""

    def __init__(self) -> None:
        self.right = self.wrong = self.open = 0
        self.told: list[Statement] = []    # the first that were wrong
        self.right_at = -1                 # the highest sequence of which something right was said
        self._epoch = -1
        self._seqs: deque[int] = deque(maxlen=KEPT)
        self._digests: deque[str] = deque(maxlen=KEPT)
        self._single: deque[bool] = deque(maxlen=KEPT)    # whether one batch led there
        self._waiting: deque[Statement] = deque(maxlen=KEPT)

    @property
    def seq(self) -> int:
        """How far the judge has come."""
        return self._seqs[-1] if self._seqs else -1

    def hear(self, frame: Book | MarketByOrder) -> None:
        """A frame that the judge has taken."""
        if frame.epoch != self._epoch:
            self._epoch = frame.epoch
            for memory in (self._seqs, self._digests, self._single):
                memory.clear()
            self.right_at = -1
        if frame.seq > self.seq:
            self._seqs.append(frame.seq)
            self._digests.append(str(frame.digest))
            batches = frame.batches if isinstance(frame, Book) else len(frame.batches)
            self._single.append(frame.prev is not None and batches == 1)
        while self._waiting and self._waiting[0].seq <= self.seq:
            self._judge(self._waiting.popleft())

    def state(self, statement: Statement) -> None:
        """A client says something."""
        if self._waiting or (statement.epoch == self._epoch and statement.seq > self.seq):
            self._waiting.append(statement)
        else:
            self._judge(statement)

    def _judge(self, statement: Statement) -> None:
        truths = self._truths(statement)
        if truths is None:
            self.open += 1
        elif statement.digest in truths:
            self.right += 1
            self.right_at = max(self.right_at, statement.seq)
        else:
            self.wrong += 1
            if len(self.told) < TOLD_MAX:
                self.told.append(statement)

    def _truths(self, statement: Statement) -> set[str] | None:
        """The digests that a book may have had at a sequence; None if nobody knows."""
        at = bisect_left(self._seqs, statement.seq)
        if statement.epoch != self._epoch or (at == 0 and (not self._seqs or self._seqs[0] > statement.seq)):
            return None
        if self._seqs[at] == statement.seq:
            return {self._digests[at]}
        around = {self._digests[at - 1], self._digests[at]}
        return around if len(around) == 1 or self._single[at] else None
