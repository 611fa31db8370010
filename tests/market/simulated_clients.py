"""The clients of a simulated market: slow and obvious ones, and liars."""

from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from engine.queues import order_share
from stream.venue.venue import Venue
from stream.wire.administration import SetPhase
from stream.wire.codec import MSGPACK
from stream.wire.frames import (
    Balances,
    Book,
    BookCleared,
    Gap,
    MarketByOrder,
    OrderAdded,
    OrderDeleted,
    OrderExecuted,
    OrderMoved,
    OrderReduced,
    Orders,
    OrderUpdate,
    Ticker,
    Trades,
)
from stream.wire.messages import Cancel, Error, Login, Pacing, Ping, Stale, Subscribe, Subscribed, Welcome
from tests.setting import NAMES, digest_of, messages_in, token

if TYPE_CHECKING:
    from tests.market.simulation import World


def is_heartbeat(frame: Any) -> bool:
    """Whether a frame tells of no change."""
    parts = ["batches"] if isinstance(frame, MarketByOrder) else ["bids", "asks", "trades", "orders", "balances"]
    return not any(getattr(frame, part, None) for part in parts)


class View:
    """What a client has of one channel: the five rules of the protocol."""

    def __init__(self, depth: int = 0) -> None:
        self.depth = depth
        self.epoch = self.seq = -1
        self.told: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.open: dict[int, OrderUpdate] = {}
        self.queued: dict[int, tuple[int, int, int]] = {}    # side, price and size of each order, in the order in which they came to where they are
        self.frames = 0
        self.heard_at = 0

    def takes(self, frame: Any) -> None:
        """Follow a frame; a gap is an error here, and so is a frame that is not needed, unless it is a heartbeat."""
        if frame.prev is None:
            self.told = ({}, {})
            self.open = {}
            self.queued = {}
        else:
            assert frame.epoch == self.epoch, "another epoch without a snapshot"
            assert frame.prev <= self.seq, f"a gap on {frame.channel}: {frame.prev} after {self.seq}"
            assert frame.seq > self.seq or is_heartbeat(frame), "the client has this frame already"
        self.epoch, self.seq = frame.epoch, frame.seq
        self.frames += 1


    def change(self, change: Any) -> None:
        """Follow one change of an order in a book."""
        match change:
            case OrderAdded():
                assert change.order not in self.queued
                self.queued[change.order] = ("buy", "sell").index(change.side), change.price, change.size
            case OrderMoved():
                self.queued[change.order] = self.queued.pop(change.order)[0], change.price, change.size
            case OrderReduced() | OrderExecuted():
                side, price, size = self.queued[change.order]
                assert size >= change.size
                self.queued[change.order] = side, price, size - change.size
                if size == change.size:
                    del self.queued[change.order]
            case OrderDeleted():
                del self.queued[change.order]
            case BookCleared():
                self.queued = {}

    def listed(self) -> list[tuple[int, int, int, int]]:
        """Number, side, price and size of each order, by priority."""
        orders = [(number, *order) for number, order in self.queued.items()]
        return sorted(orders, key=lambda order: (order[1], order[2] if order[1] else -order[2]))


class Client:
    """One simulated client and its socket: a kernel that holds so many bytes, and a reader that may stop."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.subject = f"user{number}" if number % 2 else ""
        self.views: dict[str, View] = {}
        self.capacity = world.random.choice((2_000, 20_000, 200_000))
        self.id = 0
        self.answered: set[int] = set()
        self.asked: set[int] = set()
        self.connect()

    def home(self) -> Venue:
        """The server to connect to."""
        return self.world.market

    def connect(self) -> None:
        """Open a connection, sign in, and subscribe again to what was subscribed, from where it was."""
        self.node = self.home()
        self.session = self.node.connect(MSGPACK, self.world.now)
        self.session.begin(self.world.now, None)
        self.kernel: deque[bytes] = deque()
        self.kernel_bytes = 0
        self.reading = True
        self.stale_since = 0
        self.asked.clear()
        self.answered.clear()
        if self.subject:
            self.send(Login(self.next_id(), token(self.subject, self.world.now)))
        self.pending_resume: dict[int, dict[str, View]] = {}
        groups: dict[int, dict[str, View]] = {}
        for channel, view in self.views.items():
            groups.setdefault(view.depth, {})[channel] = view
        for depth, views in groups.items():
            resume = {channel: (view.epoch, view.seq) for channel, view in views.items() if view.seq >= 0}
            self.subscribe(list(views), depth, resume)

    def vanish(self) -> None:
        """Lose the connection with all that was under way."""
        self.node.disconnect(self.session, self.world.now)

    def next_id(self) -> int:
        self.id += 1
        self.asked.add(self.id)
        return self.id

    def send(self, message: Any) -> None:
        payload = msgspec.msgpack.encode(message)
        over = self.session.charge(len(payload), self.world.now)
        if self.session.admit(payload):
            self.session.ended()
            self.session.receive(payload, self.world.now, over)

    def subscribe(self, channels: list[str], depth: int, resume: dict[str, tuple[int, int]]) -> None:
        interval = self.world.random.choice((None, 0, 10, 100, 250))
        for channel in channels:
            if channel not in resume:
                self.views[channel] = View(depth)
        self.send(Subscribe(self.next_id(), channels, depth, interval, resume))

    # The socket

    def write(self) -> None:
        """What the server does after a tick: one write, if the socket takes it."""
        if self.session.writable and self.session.out:
            data = self.session.take_out()
            self.kernel.append(data)
            self.kernel_bytes += len(data)
            if self.kernel_bytes > self.capacity:
                self.session.pause_writing(self.world.now)

    def read(self) -> None:
        """What the client does when it reads: take all, and let the server write again."""
        if not self.reading:
            return
        while self.kernel:
            data = self.kernel.popleft()
            self.kernel_bytes -= len(data)
            for message in messages_in(data):
                self.take(message)
        if not self.session.writable:
            self.session.resume_writing(self.world.now)
            for view in self.views.values():
                view.heard_at = self.world.now

    # The protocol

    def take(self, message: Any) -> None:
        match message:
            case Book():
                self.take_book(message)
            case MarketByOrder():
                self.take_orders(message)
            case Trades() | Orders() | Balances():
                self.take_log(message)
            case Ticker():
                self.views[message.channel].takes(message)
            case Gap():
                assert message.seq >= self.views[message.channel].seq
            case Subscribed():
                self.answer(message.id)
                for entry in message.channels:
                    assert entry.recovered != "none" or self.views[entry.channel].seq >= 0
                    self.views[entry.channel].heard_at = self.world.now
            case Stale():
                self.stale_since = message.since
            case Error(id=0) | Welcome() | Pacing():
                pass
            case _:
                self.answer(message.id)
        self.world.acknowledged = max(self.world.acknowledged, getattr(message, "seq", 0))
        channel = getattr(message, "channel", None)
        if channel in self.views:
            self.views[channel].heard_at = self.world.now

    def answer(self, id: int) -> None:
        assert id in self.asked, "an answer to something that was not asked"
        assert id not in self.answered, "a second answer"
        self.answered.add(id)

    def take_book(self, frame: Book) -> None:
        view = self.views[frame.channel]
        view.takes(frame)
        for told, levels in zip(view.told, (frame.bids, frame.asks), strict=True):
            for price, size in zip(levels[::2], levels[1::2], strict=True):
                if frame.batches == 1 and frame.prev is not None:
                    assert told.get(price, 0) != size, "a change of one batch that changes nothing"
                if size:
                    told[price] = size
                else:
                    told.pop(price, None)
        bids, asks = view.told
        assert not bids or not asks or max(bids) < min(asks), "a crossed book"
        assert digest_of(bids, asks) == frame.digest, "the digest differs"
        expected = self.world.history(frame.epoch).books[frame.seq][NAMES.index(frame.channel.partition(":")[2])]
        if view.depth:
            expected = (
                {price: expected[0][price] for price in sorted(expected[0], reverse=True)[: view.depth]},
                {price: expected[1][price] for price in sorted(expected[1])[: view.depth]},
            )
        assert view.told == expected, "the book differs from the engine's"

    def take_orders(self, frame: MarketByOrder) -> None:
        view = self.views[frame.channel]
        had = view.seq if frame.prev is not None else -1
        view.takes(frame)
        for batch in frame.batches:
            if batch.seq > had:
                for change in batch.changes:
                    view.change(change)
        expected = self.world.history(frame.epoch).queues[frame.seq][NAMES.index(frame.channel.partition(":")[2])]
        assert view.listed() == expected, "the queues differ from the engine's"
        digest, last = 0, (-1, -1, 0)
        for number, side, price, size in view.listed():
            digest += order_share(number, last[2] if last[:2] == (side, price) else 0, side, price, size)
            last = side, price, number
        assert digest % (1 << 64) == frame.digest, "the digest differs"

    def take_log(self, frame: Trades | Orders | Balances) -> None:
        view = self.views[frame.channel]
        view.takes(frame)
        if isinstance(frame, Orders):
            for update in frame.orders:
                if update.remaining:
                    view.open[update.order] = update
                else:
                    view.open.pop(update.order, None)
        if frame.prev is None:
            return
        if isinstance(frame, Trades):
            all_trades = self.world.history(frame.epoch).trades.get(NAMES.index(frame.channel.partition(":")[2]), [])
            expected = [trade for trade in all_trades if frame.prev < trade[0] <= frame.seq]
            assert [(trade.seq, trade.price, trade.size) for trade in frame.trades] == expected
        else:
            seqs = [seq for seq in self.world.market.own.get((frame.channel, self.session.account), []) if frame.prev < seq <= frame.seq]
            if isinstance(frame, Orders):
                assert [update.seq for update in frame.orders] == seqs
            else:
                assert len(frame.balances) == len(seqs)


class Liar(Client):
    """One who lies about where he is and who he is, babbles, floods, and believes nothing that he is told."""

    def take(self, message: Any) -> None:
        """So what."""

    def misbehave(self) -> None:
        """One lie, or many at once."""
        random, now = self.world.random, self.world.now
        at = self.world.market.point(now)
        channels = [f"orderbook:{name}" for name in NAMES]
        match random.randrange(8):
            case 0:
                where = [(random.choice((at.epoch, at.epoch - 1, 0)), random.choice((0, at.seq, at.seq + 1000, 1 << 62))) for _ in channels]
                self.send(Subscribe(self.next_id(), channels, random.choice((0, 5)), 0, dict(zip(channels, where, strict=True))))
            case 1:
                forged = random.choice((
                    token("user1", now)[:-4] + "AAAA", token("user1", now - 10**15), token("user1", now, aud="another"), token("", now), "x.y.z", "",
                ))
                self.send(Login(self.next_id(), forged))
            case 2:
                for _ in range(random.choice((10, 1000))):
                    self.send(Ping(self.next_id()))
            case 3:
                payload = random.randbytes(random.randrange(200))
                self.session.receive(payload, now, self.session.charge(len(payload), now))
            case 4:
                self.send(Cancel(self.next_id(), random.choice(list(self.world.orders()) or [1])))
            case 5:
                self.send(Subscribe(self.next_id(), [*channels, "orders", "balances", "trades:NO-SUCH"]))
            case 6:
                self.send(SetPhase(self.next_id(), NAMES[0], "halt"))
            case 7:
                for _ in range(20):
                    self.send(Subscribe(self.next_id(), channels, 0, 0))
