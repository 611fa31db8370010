"""What is sent to whom, when: one channel at one interval and depth, and everybody who listens to it so.

A conflation flushes at once when quiet and at most once an interval when busy, and its frame is encoded once for everybody
who is in step with it. Of anybody else, a client whose socket is full or that has just come, only its sequence is
remembered: it gets one merged frame when it can take it, and is in step again.
"""

from typing import Protocol

from stream.book_frames import Window
from stream.feed import BookChannel, Channel, Point
from stream.messages import Gap, InForce, Recovered, RecoveredReason
from stream.wire import Shared

MILLISECOND = 1_000_000

Key = tuple[str, int, int, int]
"""What tells conflations of one kind of channel apart: instrument, account, depth, interval."""


class Listener(Protocol):
    """Who subscribes: a session."""

    @property
    def writable(self) -> bool:
        """Whether its socket takes more."""
        ...

    def push(self, message: Shared) -> None:
        """Send a message with the next write."""


class Subscription:
    """One listener on one conflation. `seq` is how far the listener has been brought; `in_step` is whether what the conflation
    has to say next is just what the listener does not know."""

    __slots__ = ("conflation", "in_force", "in_step", "listener", "seq")

    in_force: InForce    # what the client was told

    def __init__(self, listener: Listener, conflation: "Conflation", seq: int) -> None:
        self.listener = listener
        self.conflation = conflation
        self.seq = seq
        self.in_step = True

    @property
    def behind(self) -> bool:
        """Whether something happened that the listener was not sent."""
        return self.conflation.channel.seq > self.seq

    def push(self, messages: list[Shared], seq: int) -> None:
        """Send messages that bring the listener to `seq`."""
        for message in messages:
            self.listener.push(message)
        self.seq = seq


class Counters:
    """What all conflations of a hub have done."""

    def __init__(self) -> None:
        self.frames_made = 0
        self.heartbeats = 0
        self.merges = 0
        self.catch_ups = 0
        self.gaps = 0
        self.recovered: dict[tuple[Recovered, RecoveredReason], int] = {}


class Conflation:
    """One channel at one interval."""

    def __init__(self, key: Key, channel: Channel, heartbeat_ns: int, counters: Counters, at: Point) -> None:
        self.key = key
        self.channel = channel
        self.depth = key[2]
        self.interval_ms = key[3]
        self.subscriptions: set[Subscription] = set()
        self.counters = counters
        self._heartbeat_ns = heartbeat_ns
        self._sent = at.seq             # where the last frame ended
        self._sent_at = at.now
        self._seen = at.seq             # how far the channel was looked at
        self._seen_at = at.now - self.interval_ms * MILLISECOND
        self._changes = self._changes_of_book()

    def _changes_of_book(self) -> int:
        return self.channel.levels.changes if isinstance(self.channel, BookChannel) else 0

    @property
    def current(self) -> bool:
        """Whether nothing waits for the next flush."""
        return self.channel.seq <= self._seen

    @property
    def due(self) -> int:
        """When there is something to send, in ns."""
        return self._sent_at + self._heartbeat_ns if self.current else self._seen_at + self.interval_ms * MILLISECOND

    def flush(self, at: Point) -> None:
        """Send what happened since the last frame, or a heartbeat."""
        heartbeat = self.current
        self._send(self._missed(self._sent, at, self._look(at)), at, heartbeat)

    def _look(self, at: Point) -> int:
        """Note that the channel is looked at; how many batches changed its book since the last frame."""
        self._seen, self._seen_at = at.seq, at.now
        return self._changes_of_book() - self._changes

    def _missed(self, prev: int, at: Point, batches: int = 0) -> list[Shared]:
        """What brings a listener from `prev` to now: one frame, or a snapshot where that past is forgotten."""
        frame = self.channel.since(prev, at, batches)
        if frame is not None:
            return [frame]
        if not self.channel.lossless:
            return [self.channel.snapshot(at)]
        self.counters.gaps += 1
        return [Shared(Gap(self.channel.name, at.epoch, prev, at.seq)), self.channel.snapshot(at)]

    def _send(self, frame: list[Shared], at: Point, heartbeat: bool) -> None:
        """Send a frame to everybody in step, and to the others what they missed: once for all who stand at the same point."""
        missed: dict[int, list[Shared]] = {}
        for subscription in self.subscriptions:
            if not subscription.listener.writable:
                subscription.in_step = False
            elif subscription.in_step:
                subscription.push(frame, at.seq)
            elif subscription.seq < at.seq or heartbeat:
                if subscription.seq not in missed:
                    missed[subscription.seq] = self._missed(subscription.seq, at)
                subscription.push(missed[subscription.seq], at.seq)
                subscription.in_step = True
                self.counters.catch_ups += 1
            else:
                subscription.in_step = True
        changes = self._changes_of_book()
        self.counters.merges += changes - self._changes > 1
        self.counters.frames_made += 1
        self.counters.heartbeats += heartbeat
        self._changes = changes
        self._sent, self._sent_at = at.seq, at.now

    def catch_up(self, subscription: Subscription, at: Point) -> None:
        """Send one listener all that it missed as one frame."""
        subscription.push(self._missed(subscription.seq, at), at.seq)
        subscription.in_step = self.current
        self.counters.catch_ups += 1

    def join(self, subscription: Subscription, resume: tuple[int, int] | None, at: Point) -> tuple[Shared | None, Recovered, RecoveredReason]:
        """Add a listener. Returns the frame that brings it up to now by as little as its past allows, and why that one."""
        self.subscriptions.add(subscription)
        frame, recovered, reason = self._recovery(resume, at)
        subscription.seq = at.seq if frame or resume is None else resume[1]
        subscription.in_step = self.current and subscription.seq >= self._sent
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
            return channel.snapshot(at), "snapshot", "ahead"
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

    A level can enter or leave the window without a change of its own, so only who holds the window of the last flush can take
    the next frame. Anybody else gets a snapshot, and another one at the next flush if the book has changed since the last.
    """

    channel: BookChannel

    def __init__(self, key: Key, channel: BookChannel, heartbeat_ns: int, counters: Counters, at: Point) -> None:
        super().__init__(key, channel, heartbeat_ns, counters, at)
        self._window = Window(channel.levels, self.depth)

    def _snapshot(self, at: Point) -> Shared:
        return self.channel.window(Window(self.channel.levels, self.depth), at)

    def flush(self, at: Point) -> None:
        heartbeat = self.current or at.now - self._sent_at >= self._heartbeat_ns    # a busy book may have a quiet window
        batches = self._look(at)
        before, self._window = self._window, Window(self.channel.levels, self.depth)
        if heartbeat or not self._window.equals(before) or any(not subscription.in_step for subscription in self.subscriptions):
            self._send([self.channel.window_since(before, self._window, self._sent, at, batches)], at, heartbeat)

    def _missed(self, prev: int, at: Point, batches: int = 0) -> list[Shared]:
        return [self._snapshot(at)]

    def _recovery(self, resume: tuple[int, int] | None, at: Point) -> tuple[Shared | None, Recovered, RecoveredReason]:
        return self._snapshot(at), "snapshot", "new" if resume is None else "window"
