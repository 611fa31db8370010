"""A client inside the server. It rebuilds every book from the same bytes that are sent to clients, and raises an alarm if a book is wrong."""

import logging

from stream.feed.channel import Channels, Point
from stream.feed.delivery import Outbox, Traffic
from stream.feed.hub import NOBODY, Hub, Subscriptions
from stream.wire.channels import BOOK, parse
from stream.wire.codec import MSGPACK
from stream.wire.frames import Book
from stream.wire.framing import payload_of
from stream.wire.messages import Subscribe
from stream.wire.mirror import BookMirror, Verdict

log = logging.getLogger("deltabook")


class SelfAudit(Outbox):
    """A listener to full books. If a book is wrong, this is logged and counted in `failures`, and the book starts again from a snapshot."""

    def __init__(self, hub: Hub, feed: Channels, interval_ms: int) -> None:
        """With an interval of 0 it does nothing."""
        super().__init__(Traffic(), MSGPACK, 0)
        self._hub = hub
        self._feed = feed
        self._interval_ms = interval_ms
        self._subscriptions: Subscriptions = {}
        self.mirrors: dict[str, BookMirror] = {}
        self._to_begin: set[str] = set()
        self._known = 0    # channels of the feed
        self.frames = 0
        self.failures = 0

    def adopt(self, feed: Channels) -> None:
        """Go on with another feed, which tells of the same market."""
        self._feed = feed

    def tick(self, at: Point) -> None:
        """Subscribe to what is new, or was wrong."""
        if self._interval_ms and self._known != len(self._feed.public):
            self._known = len(self._feed.public)
            new = {name for name in self._feed.public if parse(name).kind == BOOK} - self.mirrors.keys()
            self.mirrors |= {name: BookMirror(name) for name in new}
            self._to_begin |= new
        if self._to_begin:
            names, self._to_begin = list(map(parse, sorted(self._to_begin))), set()
            _, _, frames = self._hub.subscribe(self, self._subscriptions, names, NOBODY, Subscribe(1, [], 0, self._interval_ms), at)
            for subscription, frame, seq in frames:
                subscription.push([frame], seq)

    def put(self, frame: bytes) -> int:
        """Take in a frame as a client would."""
        book = MSGPACK.decode_answer(payload_of(frame))
        assert isinstance(book, Book)
        mirror = self.mirrors[book.channel]
        verdict = mirror.receive(book)
        self.frames += 1
        if verdict in (Verdict.GAP, Verdict.MISMATCH) or mirror.levels.crossed:
            self.failures += 1
            self._to_begin.add(book.channel)
            log.error("the server sends a wrong book", extra={"channel": book.channel, "verdict": verdict.name.lower(), "prev": book.prev, "seq": book.seq})
        return 0
