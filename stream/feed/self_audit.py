"""A client inside the server. It rebuilds every book from the same bytes that are sent to clients, and raises an alarm if a book is wrong.

It also follows each book by order to which anybody listens. It compares the levels that the orders add up to with those of the book, and once an interval the
queues of the best prices with the engine's own.
"""

import logging

from engine import Side
from stream.feed.channel import Channels, Point
from stream.feed.delivery import Outbox, Traffic
from stream.feed.hub import NOBODY, Hub, Subscriptions
from stream.feed.public_channels import ByOrderChannel
from stream.wire.channels import BOOK, BY_ORDER, ChannelName, parse
from stream.wire.codec import MSGPACK
from stream.wire.frames import Book, Gap, MarketByOrder
from stream.wire.framing import payload_of
from stream.wire.messages import Subscribe
from stream.wire.mirror import BookMirror, ByOrderMirror, Verdict
from stream.wire.times import MILLISECOND

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
        self.by_order: dict[str, ByOrderMirror] = {}
        self._to_begin: set[str] = set()
        self._to_compare: set[str] = set()    # books by order that are to be compared with the engine's
        self._known = 0    # channels of the feed
        self._look_at = 0    # when to look again who listens to books by order, in ns
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
        if self._interval_ms and at.now >= self._look_at:
            self._look_at = at.now + self._interval_ms * MILLISECOND
            self._look(at)
        if self._to_begin:
            names, self._to_begin = list(map(parse, sorted(self._to_begin))), set()
            _, _, frames = self._hub.subscribe(self, self._subscriptions, names, NOBODY, Subscribe(1, [], 0, self._interval_ms), at)
            for subscription, frame, seq in frames:
                subscription.push([frame], seq)

    def _look(self, at: Point) -> None:
        """Follow the books by order that others listen to, and no others."""
        heard = {name for name, listeners in self._hub.listeners(BY_ORDER).items() if listeners > (name in self.by_order)}
        for name in self.by_order.keys() - heard:
            del self.by_order[name]
            self._to_begin.discard(name)
            self._hub.unsubscribe(self._subscriptions, [parse(name)], at)
        new = heard - self.by_order.keys()
        self.by_order |= {name: ByOrderMirror(name) for name in new}
        self._to_begin |= new
        self._to_compare = set(self.by_order)

    def put(self, frame: bytes) -> int:
        """Take in a frame as a client would."""
        told = MSGPACK.decode_answer(payload_of(frame))
        if isinstance(told, Gap):
            return 0
        assert isinstance(told, Book | MarketByOrder)
        mirror = self.by_order[told.channel] if isinstance(told, MarketByOrder) else self.mirrors[told.channel]
        verdict = mirror.receive(told)    # type: ignore[arg-type]
        self.frames += 1
        wrong = self._misplaces(mirror) if isinstance(mirror, ByOrderMirror) else mirror.levels.crossed or self._disagrees(mirror)
        if verdict in (Verdict.GAP, Verdict.MISMATCH) or wrong:
            self.failures += 1
            self._to_begin.add(told.channel)
            log.error("the server sends a wrong book", extra={"channel": told.channel, "verdict": verdict.name.lower(), "prev": told.prev, "seq": told.seq})
        return 0

    def _disagrees(self, book: BookMirror) -> bool:
        """Whether the orders that were sent, as of the same sequence, do not add up to the book."""
        name = str(ChannelName(BY_ORDER, parse(book.channel).instrument))
        mirror, channel = self.by_order.get(name), self._feed.public.get(name)
        if not mirror or not channel or mirror.epoch != book.epoch:
            return False
        whole = channel.point(Point(book.epoch, book.seq, 0, 0)).seq == book.seq and channel.seq <= mirror.seq <= book.seq
        return whole and mirror.queues.levels_digest != book.levels.digest

    def _misplaces(self, mirror: ByOrderMirror) -> bool:
        """Whether the orders are crossed, or those of a best price, if that is to be compared now, are not the engine's. O(orders at both best prices)."""
        channel = self._feed.public[mirror.channel]
        assert isinstance(channel, ByOrderChannel)
        if mirror.channel in self._to_compare and channel.seq <= mirror.seq:
            self._to_compare.discard(mirror.channel)
            for side, best in zip(Side, mirror.queues.depth(1), strict=True):
                if best and mirror.queues.queue(side, best[0]) != channel.queue(side, best[0]):
                    return True
        return mirror.queues.crossed
