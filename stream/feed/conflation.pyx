"""Decides what is sent to whom and when: one channel at one interval and depth, with all its listeners.

A conflation flushes at once if the channel is quiet, and at most once per interval if it is busy. Its frame is encoded once for all
listeners in step with it. For any other listener (its socket is full, or it is new), the conflation remembers only a sequence. Such
a listener gets one merged frame when it can take it, and is then in step again.
"""

cimport cython
from libc.stdint cimport int64_t

from stream.feed.delivery cimport Outbox, Subscription
from stream.feed.own_logs cimport OwnLog
from stream.settings.histogram cimport Histogram

from stream.feed.book_frames import Window
from stream.feed.channel import Channel, Point
from stream.feed.delivery import NOWHERE, deliver
from stream.feed.own_channels import OwnChannel
from stream.feed.public_channels import BookChannel
from stream.wire.codec import MSGPACK, Shared, Written
from stream.wire.fields import Recovered, RecoveredReason
from stream.wire.frames import Gap
from stream.wire.times import MILLISECOND, NEVER

Key = tuple[str, int, int, int]
"""What distinguishes the conflations of one kind of channel: instrument, account, depth and interval."""


@cython.final
cdef class Pace:
    """How often the conflations of a hub send, in ns. `floor` is the shortest interval of books and tickers while the server is
    under load; a book that has traded waits no longer than `after_trade`."""

    cdef readonly int64_t heartbeat
    cdef readonly int64_t after_trade
    cdef public int64_t floor

    def __init__(self, heartbeat: int, after_trade: int) -> None:
        self.heartbeat = heartbeat
        self.after_trade = after_trade
        self.floor = 0


@cython.final
cdef class Counters:
    """What all conflations of a hub have done. `waited` is how long a change was held back, by interval in ms."""

    cdef readonly dict waited       # interval -> Histogram
    cdef readonly dict recovered    # (recovered, reason) -> how often
    cdef readonly int64_t frames_made
    cdef readonly int64_t heartbeats
    cdef readonly int64_t merges
    cdef readonly int64_t catch_ups
    cdef readonly int64_t gaps

    def __init__(self) -> None:
        self.waited = {}
        self.recovered = {}
        self.frames_made = self.heartbeats = self.merges = self.catch_ups = self.gaps = 0


cdef class Conflation:
    """One channel at one interval. `planned` is when the hub will flush it."""

    cdef readonly tuple key
    cdef readonly object channel
    cdef readonly object depth
    cdef readonly int64_t interval_ms
    cdef readonly dict subscriptions    # Subscription -> None
    cdef readonly Counters counters
    cdef public int64_t planned
    cdef OwnLog log                     # of an own channel
    cdef readonly bint lossless
    cdef Pace pace
    cdef Histogram waited
    cdef int64_t epoch
    cdef readonly int64_t sent          # where the last frame ended
    cdef int64_t sent_at
    cdef int64_t seen                   # how far the channel was looked at
    cdef int64_t seen_at
    cdef int64_t changed_at
    cdef int64_t batches

    def __init__(self, key: Key, channel: Channel, pace: Pace, counters: Counters, at: Point) -> None:
        self.key = key
        self.depth = key[2]
        self.interval_ms = key[3]
        self.subscriptions = {}
        self.counters = counters
        self.planned = NEVER
        at = channel.point(at)
        self.pace = pace
        self.epoch = at.epoch
        self.waited = counters.waited.setdefault(self.interval_ms, Histogram())
        self.sent = self.seen = at.seq
        self.sent_at = self.changed_at = at.now
        self.seen_at = at.now - self.interval_ms * MILLISECOND
        self.adopt(channel)

    def adopt(self, channel: Channel) -> None:
        """Go on with another channel of the same name."""
        self.channel = channel
        self.lossless = channel.lossless
        self.log = channel.log if isinstance(channel, OwnChannel) else None
        self.batches = self.batches_of_book()

    cdef int64_t batches_of_book(self) except -1:
        return self.channel.batches if isinstance(self.channel, BookChannel) else 0

    cdef object point_of(self, at):
        """Where the channel stands. In another history, or in one that has lost its end, nobody has anything yet."""
        at = self.channel.point(at)
        if at.epoch != self.epoch or at.seq < self.sent:
            self.epoch = at.epoch
            self.sent = self.seen = NOWHERE
            for subscription in self.subscriptions:
                subscription.seq = NOWHERE
        return at

    @property
    def current(self) -> bool:
        """Whether nothing waits for the next flush."""
        return self.channel.seq <= self.seen

    @property
    def due(self) -> int:
        """When the changes that wait are to be sent, in ns."""
        if self.lossless:
            return self.seen_at
        interval = max(self.interval_ms * MILLISECOND, self.pace.floor)
        if self.pace.after_trade < interval and isinstance(self.channel, BookChannel) and self.channel.traded > self.seen:
            interval = max(self.pace.after_trade, self.pace.floor)
        return self.seen_at + interval

    @property
    def heartbeat_due(self) -> int:
        """When a frame is to be sent even though nothing changes, in ns."""
        return self.sent_at + self.pace.heartbeat

    def changed(self, at: Point) -> None:
        """The channel changes, for the first time since the last flush."""
        self.changed_at = at.now

    def flush(self, at: Point) -> None:
        """Send what happened since the last frame, or a heartbeat."""
        at = self.point_of(at)
        if self.log is not None and self.tell(at[0], at[1], at[3]):
            return
        heartbeat = self.current
        self.send(self.missed(self.sent, at, self.look(at)), at, heartbeat)

    cdef bint tell(self, int64_t epoch, int64_t seq, int64_t now) except -1:
        """Send what an own channel has to say, the short way. False, and nothing is sent, if not every listener can take just that."""
        cdef Subscription subscription
        cdef bytes frame
        cdef bint heartbeat = self.log.seq <= self.seen
        for subscription in self.subscriptions:
            if not subscription.in_step or not subscription.listener.takes_frames or subscription.listener.codec is not MSGPACK:
                return False
        frame = self.log.frame_since(self.sent, epoch, seq, now)
        if frame is None:
            return False
        self.seen, self.seen_at = seq, now
        for subscription in self.subscriptions:
            subscription.listener.put(frame)
            subscription.seq = seq
        if not heartbeat:
            self.waited.observe(now - self.changed_at)
        self.counters.frames_made += 1
        self.counters.heartbeats += heartbeat
        self.sent, self.sent_at = seq, now
        return True

    cdef int64_t look(self, at) except -1:
        """Note that the channel is looked at. Returns how many batches changed its book since the last frame."""
        if not self.current:
            self.waited.observe(at.now - self.changed_at)
        self.seen, self.seen_at = at.seq, at.now
        return self.batches_of_book() - self.batches

    cdef list missed(self, int64_t prev, at, int64_t batches=0):
        """What brings a listener from `prev` up to date: one frame, or a snapshot if that past is forgotten."""
        frame = self.channel.since(prev, at, batches) if prev != NOWHERE else None
        if frame is not None:
            return [frame]
        if prev == NOWHERE or not self.lossless:
            return [self.channel.snapshot(at)]
        self.counters.gaps += 1
        return [Shared(Gap(self.channel.name, at.epoch, prev, at.seq)), self.channel.snapshot(at)]

    cdef int send(self, list frame, at, bint heartbeat) except -1:
        """Send a frame to all listeners in step. Send the others what they missed, encoded once for all that stand at the same point."""
        cdef Subscription subscription
        cdef dict missed = {}
        cdef int64_t batches
        for subscription in deliver(self.subscriptions, frame, at.seq):
            if not subscription.listener.takes_frames:
                subscription.in_step = False
            elif subscription.seq < at.seq or (heartbeat and subscription.seq == at.seq):
                if subscription.seq not in missed:
                    missed[subscription.seq] = self.missed(subscription.seq, at)
                subscription.push(missed[subscription.seq], at.seq)
                subscription.in_step = True
                subscription.catch_ups += 1
                self.counters.catch_ups += 1
            else:
                subscription.in_step = subscription.seq == at.seq
        batches = self.batches_of_book()
        self.counters.merges += batches - self.batches > 1
        self.counters.frames_made += 1
        self.counters.heartbeats += heartbeat
        self.batches = batches
        self.sent, self.sent_at = at.seq, at.now
        return 0

    def catch_up(self, subscription: Subscription, at: Point) -> None:
        """Send one listener all that it missed as one frame."""
        at = self.point_of(at)
        subscription.push(self.missed(subscription.seq, at), at.seq)
        subscription.in_step = self.current
        subscription.catch_ups += 1
        self.counters.catch_ups += 1

    def join(self, subscription: Subscription, resume: tuple[int, int] | None, at: Point) -> tuple[Shared | None, Recovered, RecoveredReason]:
        """Add a listener. Returns the smallest frame that brings it up to date from where it stands, and the reason for this frame."""
        at = self.point_of(at)
        self.subscriptions[subscription] = None
        frame, recovered, reason = self.recovery(resume, at)
        if resume and recovered != "snapshot":
            subscription.seq = resume[1]
        subscription.in_step = self.current and (frame is not None or self.sent <= subscription.seq <= at.seq)
        self.counters.recovered[recovered, reason] = self.counters.recovered.get((recovered, reason), 0) + 1
        return frame, recovered, reason

    cdef tuple recovery(self, resume, at):
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


cdef class WindowConflation(Conflation):
    """The best `depth` levels of a book. A frame says how the window changed between two flushes.

    A level can enter or leave the window without a change of its own, so only a listener that has the window of the last flush can
    take the next frame. Any other one gets a snapshot, and another one at the next flush if the book has changed since the last.
    """

    cdef object window

    def __init__(self, key: Key, channel: BookChannel, pace: Pace, counters: Counters, at: Point) -> None:
        super().__init__(key, channel, pace, counters, at)
        self.window = Window(channel.levels, self.depth)

    cdef object snapshot(self, at):
        return self.channel.window(Window(self.channel.levels, self.depth), at)

    def flush(self, at: Point) -> None:
        at = self.point_of(at)
        heartbeat = self.current or at.now >= self.heartbeat_due    # a busy book may have a quiet window
        batches = self.look(at)
        before, self.window = self.window, Window(self.channel.levels, self.depth)
        if self.sent == NOWHERE:
            self.send([self.channel.window(self.window, at)], at, heartbeat)
        elif heartbeat or not self.window.equals(before) or any(not subscription.in_step for subscription in self.subscriptions):
            self.send([self.channel.window_since(before, self.window, self.sent, at, batches)], at, heartbeat)

    cdef list missed(self, int64_t prev, at, int64_t batches=0):
        return [self.snapshot(at)]

    cdef tuple recovery(self, resume, at):
        return self.snapshot(at), "snapshot", "new" if resume is None else "window"
