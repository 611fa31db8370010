"""The engine's state in another process: a snapshot, then every record after it. Takes messages and the time, never a socket.

If a record is missing, if the state differs from a mark, or if a leader began before the state that is here, the replica asks for a snapshot. Until that
comes, nothing counts as complete.
"""

import logging
from collections import deque
from collections.abc import Callable

import msgspec

from engine import BadSnapshot
from stream.cluster.messages import LINK, Batch, Beat, ShippedRecord, Snapshot
from stream.commands import forwarded
from stream.commands.forwarded import Forwarded
from stream.feed.feed import Feed
from stream.journal.entries import OF_GROUPS, group_in
from stream.journal.format import Record
from stream.journal.recovery import apply, mark_of
from stream.journal.snapshots import State
from stream.market.history import follow, restore_channels
from stream.settings.config import Config
from stream.wire.times import MILLISECOND, NEVER

log = logging.getLogger("deltabook")

ASK_AGAIN = 500 * MILLISECOND
"""The shortest time between two requests for a snapshot. Also how long no record may come while a beat is ahead, before a snapshot is requested."""

BEATS = 16
"""Beats from which the engine's time is taken: the one that came quickest."""

Ran = Callable[[Record, Forwarded | None, list[int]], None]
"""Called after each record that was applied; with the group and its commands' indexes if it is a forwarded one."""


class Replica:
    """A state that follows that of an engine. `complete_at` is when it was last complete, in ns. `term` is the term of the leader that it follows."""

    def __init__(self, config: Config, ask: Callable[[], None], now: int) -> None:
        self._config = config
        self._ask = ask
        self._patience = config.link_stale_ms * MILLISECOND
        self.state: State | None = None
        self.feed: Feed | None = None
        self.term = 0
        self.complete_at = now - self._patience    # it never was: there may be much to read behind the first snapshot
        self.snapshots = self.batches = 0
        self.ran: Ran = lambda record, group, indexes: None
        self.restored: Callable[[], None] = lambda: None
        self.lost = True           # whether only a snapshot helps
        self._diverged = False     # whether even an older one does
        self._wanted_term = 0      # the oldest leader whose snapshot does
        self._followed = 0         # the leader whose batches were applied last
        self.low = False    # whether the engine's disk is nearly full
        self._behind_since = NEVER
        self._asked_at = now - ASK_AGAIN
        self._link = LINK          # the version of the engine's messages
        self.told = (0, 0)         # the term and the position of the last records that were heard of, whether they could be applied or not
        self._beat = (0, 0)
        self._ahead: deque[int] = deque(maxlen=BEATS)    # of our clock is the engine's, less the time that a beat took

    @property
    def position(self) -> int:
        """The last record that is here; 0 before the first snapshot."""
        return self.state.seq if self.state else 0

    def stale(self, now: int) -> bool:
        """Whether this may have fallen behind the engine."""
        return now - self.complete_at >= self._patience

    def engine_time(self, now: int) -> int:
        """The engine's clock at a time of our clock; a little less, since a beat takes time to arrive."""
        return now + max(self._ahead, default=0)

    def wants(self, term: int, position: int) -> bool:
        """Whether the state at a position is needed; otherwise the log behind it will do."""
        return self.lost and self._link == LINK and term >= self._wanted_term and (not self.state or position > self.position or self._diverged)

    def receive(self, news: Batch | Beat | Snapshot, now: int) -> None:
        """Take in what the engine tells, if it is of a version that can be followed."""
        if not isinstance(news, Snapshot) and news.term >= self.term:
            self._compare_versions(news.term, news.link)
        if self._link != LINK:
            return
        match news:
            case Snapshot():
                self._restore(news)
            case Batch():
                before = self.position
                self._take(news)
                if self.position > before and self._behind_since != NEVER:
                    self._behind_since = now    # behind, but on the way
            case Beat() if news.term >= self.term and (news.term, news.number) != self._beat:
                if news.term != self._beat[0]:
                    self._ahead.clear()
                self._beat = news.term, news.number
                self.low = news.low
                self._ahead.append(news.time - now)
                self._compare(news, now)
        self.tick(now)

    def tick(self, now: int) -> int:
        """Ask for a snapshot if there is need, or say when to look again, in ns."""
        if now - self._behind_since >= ASK_AGAIN:
            self.lost = True
        if self.lost and self._link == LINK and now - self._asked_at >= ASK_AGAIN:
            self._asked_at = now
            self._ask()
        stale_at = self.complete_at + self._patience
        again = self._asked_at + ASK_AGAIN if self.lost else NEVER
        return min(stale_at if stale_at > now else NEVER, again)

    def _compare_versions(self, term: int, link: int) -> None:
        if link != LINK:
            self.term = term    # so that nothing of a leader before counts any more
        if link != self._link:
            self._link = link
            if link != LINK:
                log.error("the engine is of another version: this process does not follow it; see the documentation on upgrades",
                          extra={"engine": link, "here": LINK})
                self._lose("it is of another version")

    def _compare(self, beat: Beat, now: int) -> None:
        if beat.position <= self.position and not self.lost:
            self.complete_at = now
            self._behind_since = NEVER
        elif self._behind_since == NEVER:
            self._behind_since = now

    def _restore(self, snapshot: Snapshot) -> None:
        """Begin anew with a snapshot, and with the log behind it, which is told again from there."""
        if not self.lost or snapshot.term < self._wanted_term:
            return
        if not self.wants(snapshot.term, snapshot.position):
            self._follow_from(snapshot)
            return
        state = snapshot.state
        if not state:
            return
        feed = Feed(state.exchange, self._config, replicated=True)
        restore_channels(feed, state.directory)
        self.state, self.feed = state, feed
        self._followed = snapshot.term
        self._follow_from(snapshot)
        self.snapshots += 1
        self.restored()

    def _follow_from(self, snapshot: Snapshot) -> None:
        self.term = snapshot.term    # so that a later one counts when the log has come to it again
        self.lost = self._diverged = False
        self._behind_since = NEVER

    def _take(self, batch: Batch) -> None:
        """Apply the records of a batch that are not here yet, if nothing before them is missing."""
        if batch.term < self.term:
            return
        if batch.records:
            self.told = max(self.told, (batch.term, batch.position))
        self.term = batch.term
        if not self.state or not batch.position:
            return
        if batch.term > self._followed and batch.began < self.position:
            self._wanted_term = batch.term
            self._lose("the new leader began before what is here", diverged=True)
        if self.lost:
            return
        self._followed = max(self._followed, batch.term)
        if batch.prev > self.position:
            self._lose(f"records {self.position + 1} to {batch.prev} are missing")
            return
        self.batches += 1
        try:
            for record in batch.records:
                if record.seq > self.state.seq:
                    self._apply(record)
            if batch.mark and batch.position == self.state.seq and mark_of(self.state.exchange, False) != batch.mark:
                raise ValueError(f"the records lead to {mark_of(self.state.exchange, False)}: expected {batch.mark}")
        except (BadSnapshot, ValueError, msgspec.MsgspecError) as error:
            self._lose(str(error), diverged=True)

    def _apply(self, shipped: ShippedRecord) -> None:
        assert self.state
        assert self.feed
        record = Record(shipped.seq, shipped.kind, shipped.time, memoryview(shipped.payload), 0, 0, 0, 0)
        group, indexes = None, []
        if shipped.kind in OF_GROUPS:
            group = group_in(record)
            indexes = forwarded.run(self.state.exchange, self.state.directory, self.state.results, group, shipped.time)
            self.state.seq, self.state.time = shipped.seq, max(self.state.time, shipped.time)
        else:
            apply(self.state, record)
        follow(self.feed, record)
        self.ran(record, group, indexes)

    def _lose(self, why: str, diverged: bool = False) -> None:
        if not self.lost:
            log.warning("the records of the engine cannot be followed; asking for a snapshot", extra={"reason": why, "position": self.position})
        self.lost = True
        self._diverged = self._diverged or diverged
