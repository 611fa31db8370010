"""Decides what is sent to whom and when: one channel at one interval and depth, with all its listeners.

A conflation flushes at once if the channel is quiet, and at most once per interval if it is busy. Its frame is encoded once for all
listeners in step with it. For any other listener (its socket is full, or it is new), the conflation remembers only a sequence. Such
a listener gets one merged frame when it can take it, and is then in step again.
"""

from stream.feed.book_frames import Window
from stream.feed.channel import Channel, Point
from stream.feed.delivery import NOWHERE, Subscription, deliver
from stream.feed.public_channels import BookChannel
from stream.settings.histogram import Histogram
from stream.wire.codec import Shared
from stream.wire.fields import Recovered, RecoveredReason
from stream.wire.frames import Gap
from stream.wire.times import MILLISECOND, NEVER

Key = tuple[str, int, int, int]
"""What distinguishes the conflations of one kind of channel: instrument, account, depth and interval."""


class Pace:
    """How often the conflations of a hub send, in ns. `floor` is the shortest interval of books and tickers while the server is
    under load; a book that has traded waits no longer than `after_trade`."""

    def __init__(self, heartbeat: int, after_trade: int) -> None:
        self.heartbeat = heartbeat
        self.after_trade = after_trade
        self.floor = 0


class Counters:
    """What all conflations of a hub have done. `waited` is how long a change was held back, by interval in ms."""

    def __init__(self) -> None:
        self.waited: dict[int, Histogram] = {}
        self.frames_made = 0
        self.heartbeats = 0
        self.merges = 0
        self.catch_ups = 0
        self.gaps = 0
        self.recovered: dict[tuple[Recovered, RecoveredReason], int] = {}


class Conflation:
    """One channel at one interval. `planned` is when the hub will flush it."""

    def __init__(self, key: Key, channel: Channel, pace: Pace, counters: Counters, at: Point) -> None:
        self.key = key
        self.channel = channel
        self.depth = key[2]
        self.interval_ms = key[3]
        self.subscriptions: dict[Subscription, None] = {}
        self.counters = counters
        self.planned = NEVER
        at = channel.point(at)
        self._pace = pace
        self._epoch = at.epoch
        self._waited = counters.waited.setdefault(self.interval_ms, Histogram())
        self.sent = at.seq             # where the last frame ended
        self._sent_at = at.now
        self._seen = at.seq             # how far the channel was looked at
        self._seen_at = at.now - self.interval_ms * MILLISECOND
        self._changed_at = at.now
        self._batches = self._batches_of_book()

    def adopt(self, channel: Channel) -> None:
        """Go on with another channel of the same name."""
        self.channel = channel
        self._batches = self._batches_of_book()

    def _batches_of_book(self) -> int:
        return self.channel.batches if isinstance(self.channel, BookChannel) else 0

    def _point(self, at: Point) -> Point:
        """Where the channel stands. In another history, or in one that has lost its end, nobody has anything yet."""
        at = self.channel.point(at)
        if at.epoch != self._epoch or at.seq < self.sent:
            self._epoch = at.epoch
            self.sent = self._seen = NOWHERE
            for subscription in self.subscriptions:
                subscription.seq = NOWHERE
        return at

    @property
    def current(self) -> bool:
        """Whether nothing waits for the next flush."""
        return self.channel.seq <= self._seen

    @property
    def due(self) -> int:
        """When the changes that wait are to be sent, in ns."""
        if self.channel.lossless:
            return self._seen_at
        interval = max(self.interval_ms * MILLISECOND, self._pace.floor)
        if self._pace.after_trade < interval and isinstance(self.channel, BookChannel) and self.channel.traded > self._seen:
            interval = max(self._pace.after_trade, self._pace.floor)
        return self._seen_at + interval

    @property
    def heartbeat_due(self) -> int:
        """When a frame is to be sent even though nothing changes, in ns."""
        return self._sent_at + self._pace.heartbeat

    def changed(self, at: Point) -> None:
        """The channel changes, for the first time since the last flush."""
        self._changed_at = at.now

    def flush(self, at: Point) -> None:
        """Send what happened since the last frame, or a heartbeat."""
        at = self._point(at)
        heartbeat = self.current
        self._send(self._missed(self.sent, at, self._look(at)), at, heartbeat)

    def _look(self, at: Point) -> int:
        """Note that the channel is looked at. Returns how many batches changed its book since the last frame."""
        if not self.current:
            self._waited.observe(at.now - self._changed_at)
        self._seen, self._seen_at = at.seq, at.now
        return self._batches_of_book() - self._batches

    def _missed(self, prev: int, at: Point, batches: int = 0) -> list[Shared]:
        """What brings a listener from `prev` up to date: one frame, or a snapshot if that past is forgotten."""
        frame = self.channel.since(prev, at, batches) if prev != NOWHERE else None
        if frame is not None:
            return [frame]
        if prev == NOWHERE or not self.channel.lossless:
            return [self.channel.snapshot(at)]
        self.counters.gaps += 1
        return [Shared(Gap(self.channel.name, at.epoch, prev, at.seq)), self.channel.snapshot(at)]

    def _send(self, frame: list[Shared], at: Point, heartbeat: bool) -> None:
        """Send a frame to all listeners in step. Send the others what they missed, encoded once for all that stand at the same point."""
        missed: dict[int, list[Shared]] = {}
        for subscription in deliver(self.subscriptions, frame, at.seq):
            if not subscription.listener.takes_frames:
                subscription.in_step = False
            elif subscription.seq < at.seq or (heartbeat and subscription.seq == at.seq):
                if subscription.seq not in missed:
                    missed[subscription.seq] = self._missed(subscription.seq, at)
                subscription.push(missed[subscription.seq], at.seq)
                subscription.in_step = True
                subscription.catch_ups += 1
                self.counters.catch_ups += 1
            else:
                subscription.in_step = subscription.seq == at.seq
        batches = self._batches_of_book()
        self.counters.merges += batches - self._batches > 1
        self.counters.frames_made += 1
        self.counters.heartbeats += heartbeat
        self._batches = batches
        self.sent, self._sent_at = at.seq, at.now

    def catch_up(self, subscription: Subscription, at: Point) -> None:
        """Send one listener all that it missed as one frame."""
        at = self._point(at)
        subscription.push(self._missed(subscription.seq, at), at.seq)
        subscription.in_step = self.current
        subscription.catch_ups += 1
        self.counters.catch_ups += 1

    def join(self, subscription: Subscription, resume: tuple[int, int] | None, at: Point) -> tuple[Shared | None, Recovered, RecoveredReason]:
        """Add a listener. Returns the smallest frame that brings it up to date from where it stands, and the reason for this frame."""
        at = self._point(at)
        self.subscriptions[subscription] = None
        frame, recovered, reason = self._recovery(resume, at)
        if resume and recovered != "snapshot":
            subscription.seq = resume[1]
        subscription.in_step = self.current and (frame is not None or self.sent <= subscription.seq <= at.seq)
        self.counters.recovered[recovered, reason] = self.counters.recovered.get((recovered, reason), 0) + 1
        return frame, recovered, reason

    def _recovery(self, resume: tuple[int, int] | None, at: Point) -> tuple[Shared | None, Recovered, RecoveredReason]:
        channel = self.channel
        if resume is None:
            return channel.snapshot(at), "snapshot", "new"
        epoch, seq = resume
        if epoch != at.epoch:
            return channel.snapshot(at), "snapshot", "epoch"
        if seq > at.seq:
            return (None, "none", "ahead") if channel.relayed else (channel.snapshot(at), "snapshot", "ahead")
        if channel.seq <= seq:
            return None, "none", "current"
        patch = channel.since(seq, at)
        if patch is None:
            return channel.snapshot(at), "snapshot", "forgotten"
        if isinstance(channel, BookChannel) and channel.is_longer(seq):
            return channel.snapshot(at), "snapshot", "larger"
        return patch, "merged", "patch"


class WindowConflation(Conflation):
    """The best `depth` levels of a book. A frame says how the window changed between two flushes.

    A level can enter or leave the window without a change of its own, so only a listener that has the window of the last flush can
    take the next frame. Any other one gets a snapshot, and another one at the next flush if the book has changed since the last.
    """

    channel: BookChannel

    def __init__(self, key: Key, channel: BookChannel, pace: Pace, counters: Counters, at: Point) -> None:
        super().__init__(key, channel, pace, counters, at)
        self._window = Window(channel.levels, self.depth)

    def _snapshot(self, at: Point) -> Shared:
        return self.channel.window(Window(self.channel.levels, self.depth), at)

    def flush(self, at: Point) -> None:
        at = self._point(at)
        heartbeat = self.current or at.now >= self.heartbeat_due    # a busy book may have a quiet window
        batches = self._look(at)
        before, self._window = self._window, Window(self.channel.levels, self.depth)
        if self.sent == NOWHERE:
            self._send([self.channel.window(self._window, at)], at, heartbeat)
        elif heartbeat or not self._window.equals(before) or any(not subscription.in_step for subscription in self.subscriptions):
            self._send([self.channel.window_since(before, self._window, self.sent, at, batches)], at, heartbeat)

    def _missed(self, prev: int, at: Point, batches: int = 0) -> list[Shared]:
        return [self._snapshot(at)]

    def _recovery(self, resume: tuple[int, int] | None, at: Point) -> tuple[Shared | None, Recovered, RecoveredReason]:
        return self._snapshot(at), "snapshot", "new" if resume is None else "window"
