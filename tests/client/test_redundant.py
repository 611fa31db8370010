"""One feed out of two connections: the first frame wins, none is taken twice, and one of them is enough."""

import asyncio
from typing import Any

import pytest

from engine.levels import digest_of
from stream import ClientError, Closed, Gap, Lots, RedundantFeed, RequestRefused, Ticks, connect
from stream.client import readings
from stream.client.live import LiveBook
from stream.server.server import Server
from stream.settings.config import FaultConfig
from stream.wire.codes import CloseCode, ErrorCode
from stream.wire.fields import Message
from stream.wire.frames import Book, Trade, Trades
from stream.wire.messages import Error, InForce, Stale, Subscribe, Subscribed
from stream.wire.mirror import Verdict
from tests.faulty import EPOCH, Faulty, NoDelay, Peer, faulty
from tests.setting import token
from tests.sockets import cut_all, relaying, run, serving
from tests.waiting import until

BOOK, TRADES = "orderbook:X", "trades:X"
REFUSED = "ws://127.0.0.1:1/v1"


def url(server: Server) -> str:
    return f"ws://127.0.0.1:{server.port}/v1"


def feed_of(*servers: Faulty) -> RedundantFeed:
    return RedundantFeed([server.url for server in servers], jitter=NoDelay())


def book(prev: int | None, seq: int, bids: list[int], whole: list[int] | None = None, epoch: int = EPOCH) -> Book:
    """A frame after which the bids are `whole`."""
    return Book(BOOK, epoch, prev, seq, bids, [], digest_of(bids if whole is None else whole, []), 1, 0, 0)


def trades(prev: int | None, *seqs: int, seq: int = 0) -> Trades:
    return Trades(TRADES, EPOCH, prev, seq or seqs[-1], [Trade(each, 0, 5, 1, "buy") for each in seqs], 0)


class Speaker:
    """A server that welcomes, answers its n-th subscription by the n-th of its answers, and says what a test has it say."""

    def __init__(self, *answers: list[Message], depth: int = 0) -> None:
        self.asked: list[Subscribe] = []
        self.peer: Peer
        self._answers = list(answers)
        self._depth = depth

    def __call__(self, peer: Peer, request: Any) -> None:
        self.peer = peer
        if request is None:
            peer.welcome()
        elif isinstance(request, Subscribe):
            self.asked.append(request)
            if self._answers:
                in_force = [InForce(channel, "snapshot", "new", self._depth, 0) for channel in request.channels]
                peer.say(Subscribed(request.id, EPOCH, 0, in_force), *self._answers.pop(0))


async def until_it_ends(live: LiveBook) -> None:
    """Follow a book for as long as it lasts."""
    while True:
        await live.changed()


@run
async def test_the_first_frame_wins_and_the_second_is_passed_over() -> None:
    one, other = Speaker([book(None, 1, [9, 1])]), Speaker([book(None, 2, [9, 2])])
    async with faulty(one) as first, faulty(other) as second, feed_of(first, second) as feed:
        live = await feed.orderbook("X")
        seen: list[int] = []
        live.on(lambda frame: seen.append(frame.seq))
        await until(lambda: live.seq >= 2)
        for speaker in (other, one):    # one's own frame reaches from before to where the other's has brought the book
            speaker.peer.say(book(1 if speaker is one else 2, 3, [8, 1], [9, 2, 8, 1]), book(3, 4, [7, 1], [9, 2, 8, 1, 7, 1]))
            await until(lambda: live.seq >= 4)
        one.peer.say(book(4, 5, [6, 1], [9, 2, 8, 1, 7, 1, 6, 1]))
        await until(lambda: live.seq >= 5)
        other.peer.say(book(4, 4, [], [9, 2, 8, 1, 7, 1]), book(4, 6, [6, 2], [9, 2, 8, 1, 7, 1, 6, 2]))    # a late heartbeat too is passed over
        await until(lambda: live.seq >= 6)
        assert live.mirror.depth()[0] == [9, 2, 8, 1, 7, 1, 6, 2]
        assert seen[-4:] == [3, 4, 5, 6]
        assert live.mirror.counts[Verdict.GAP] == live.mirror.counts[Verdict.MISMATCH] == 0
        assert feed.lines[1].first >= 2


@run
async def test_an_old_snapshot_takes_nothing_back() -> None:
    one, late = Speaker([book(None, 5, [9, 5])]), Speaker()
    async with faulty(one) as first, faulty(late) as second, feed_of(first, second) as feed:
        asked = asyncio.ensure_future(feed.orderbook("X"))
        await until(lambda: late.asked)
        late.peer.subscribed(late.asked[0], book(None, 3, [9, 3]), book(3, 6, [9, 6]))
        live = await asked
        await until(lambda: live.seq >= 6)
        assert live.mirror.depth()[0] == [9, 6]
        assert live.mirror.counts[Verdict.SNAPSHOT] == live.mirror.counts[Verdict.APPLIED] == 1


@run
async def test_who_knows_only_a_history_that_is_over_is_not_listened_to() -> None:
    one, behind = Speaker([book(None, 50, [9, 1])]), Speaker([book(None, 50, [9, 1])])
    async with faulty(one) as first, faulty(behind) as second, feed_of(first, second) as feed:
        live = await feed.orderbook("X")
        seen: list[int] = []
        live.on(lambda frame: seen.append(frame.epoch))
        one.peer.say(book(None, 1, [3, 3], epoch=EPOCH + 1))
        await until(lambda: live.mirror.epoch != EPOCH)
        behind.peer.say(book(50, 51, [8, 1], [9, 1, 8, 1]), book(None, 52, [8, 1]))
        behind.peer.say(book(None, 2, [3, 4], epoch=EPOCH + 1))
        await until(lambda: live.seq == 2)
        assert live.mirror.resume == (EPOCH + 1, 2)
        assert seen[-2:] == [EPOCH + 1] * 2


@run
async def test_a_window_is_not_taken_by_half_steps() -> None:
    one, other = Speaker([book(None, 10, [9, 1])], depth=1), Speaker([book(None, 10, [9, 1])], [book(None, 30, [5, 5])], depth=1)
    async with faulty(one) as first, faulty(other) as second, feed_of(first, second) as feed:
        live = await feed.orderbook("X", depth=1)
        one.peer.say(book(10, 20, [9, 0, 8, 1], [8, 1]))
        await until(lambda: live.seq >= 20)
        other.peer.say(book(10, 15, [9, 0, 7, 1], [7, 1]), book(15, 25, [7, 0, 6, 1], [6, 1]), book(25, 28, [6, 0, 5, 5], [5, 5]))
        await until(lambda: live.seq >= 30)    # past 20 the other has a gap, and asks again
        assert live.mirror.depth()[0] == [5, 5]
        assert live.mirror.counts[Verdict.MISMATCH] == 0
        assert other.asked[1].resume == {BOOK: (EPOCH, 20)}


@run
async def test_a_wrong_frame_of_one_does_not_cost_the_book() -> None:
    one, liar = Speaker([book(None, 1, [9, 1])]), Speaker([book(None, 1, [9, 1])], [book(1, 2, [8, 1], [9, 1, 8, 1])])
    async with faulty(one) as first, faulty(liar) as second, feed_of(first, second) as feed:
        live = await feed.orderbook("X")
        await until(lambda: all(line.follows(BOOK) for line in feed.lines))
        liar.peer.say(book(1, 2, [8, 1], []))
        await until(lambda: live.seq >= 2)
        assert live.mirror.counts[Verdict.MISMATCH] == 1
        assert liar.asked[1].resume == {BOOK: (EPOCH, 1)}
        assert live.verified


@run
async def test_no_trade_is_missed_or_told_twice_though_each_line_has_gaps() -> None:
    one, other = Speaker([trades(None, 1)]), Speaker([trades(None, 1)])
    async with faulty(one) as first, faulty(other) as second, feed_of(first, second) as feed:
        live = await feed.trades("X")
        await until(lambda: all(line.follows(TRADES) for line in feed.lines))
        other.peer.say(Gap(TRADES, EPOCH, 1, 4), trades(None, 3, 4))    # too slow for what the first one is about to say
        other.peer.say(trades(4, 4, seq=4))
        one.peer.say(trades(1, 2, 3, 4))
        assert [(await anext(live)).seq for _ in range(3)] == [2, 3, 4]
        other.peer.say(trades(4, 5))
        assert (await anext(live)).seq == 5
        one.peer.say(trades(4, 5, 6))
        assert (await anext(live)).seq == 6


@run
async def test_when_there_is_only_one_left_its_gaps_are_told() -> None:
    one, other = Speaker([trades(None, 1)]), Speaker([trades(None, 1)])
    async with faulty(one) as first, faulty(other) as second, feed_of(first, second) as feed:
        live = await feed.trades("X")
        await until(lambda: all(line.follows(TRADES) for line in feed.lines))
        one.peer.leave(CloseCode.ABUSE)
        await until(lambda: feed.lines[0].over)
        other.peer.say(Gap(TRADES, EPOCH, 1, 4), trades(None, 3, 4), trades(4, 5))
        assert await anext(live) == Gap(TRADES, EPOCH, 1, 4)
        assert (await anext(live)).seq == 5
        other.peer.leave(CloseCode.ABUSE)
        with pytest.raises(Closed, match="4500"):
            await anext(live)


@run
async def test_a_channel_ends_when_nobody_grants_it() -> None:
    def script(peer: Peer, request: Any) -> None:
        if request is None:
            peer.welcome()
        else:
            peer.say(Error(request.id, ErrorCode.UNKNOWN_INSTRUMENT, "no X"))

    granting = Speaker([book(None, 1, [9, 1])])
    async with faulty(script) as first, faulty(script) as second, faulty(granting) as third:
        async with feed_of(first, second) as feed:
            with pytest.raises(RequestRefused, match="no X"):
                await feed.orderbook("X")
            assert feed.live == {}
        async with feed_of(first, third) as feed:
            assert (await anext(await feed.orderbook("X"))).seq == 1


@run
async def test_a_channel_lasts_while_one_server_grants_it() -> None:
    def script(peer: Peer, request: Any) -> None:
        if request is None:
            peer.welcome()
        elif peer.number > 1:
            peer.say(Error(request.id, ErrorCode.UNKNOWN_INSTRUMENT, "no X any more"))
        else:
            peer.subscribed(request, book(None, 1, [9, 1]))

    async with faulty(script) as first, faulty(script) as second, feed_of(first, second) as feed:
        live = await feed.orderbook("X")
        second.peers[0].hang_up()
        await until(lambda: feed.lines[1].refused)
        first.peers[0].say(book(1, 2, [8, 1], [9, 1, 8, 1]))
        while live.seq < 2:
            await live.changed()
        first.peers[0].hang_up()
        with pytest.raises(RequestRefused, match="no X any more"):
            await until_it_ends(live)


@run
async def test_a_feed_is_stale_when_all_its_servers_are() -> None:
    one, other = Speaker(), Speaker()
    async with faulty(one) as first, faulty(other) as second, feed_of(first, second) as feed:
        one.peer.say(Stale(7))
        await until(lambda: feed.lines[0].stale_since)
        assert feed.stale_since == 0
        other.peer.say(Stale(9))
        await until(lambda: feed.stale_since)
        assert feed.stale_since == 9


@run
async def test_a_server_that_comes_later_is_listened_to() -> None:
    listening = [False]

    def late(peer: Peer, request: Any) -> None:
        if not listening[0]:
            peer.hang_up()
        elif request is None:
            peer.welcome()
        else:
            assert request.resume == {BOOK: (EPOCH, 1)}
            peer.subscribed(request, book(1, 2, [8, 1], [9, 1, 8, 1]))

    one = Speaker([book(None, 1, [9, 1])])
    async with faulty(one) as first, faulty(late) as second, feed_of(first, second) as feed:
        live = await feed.orderbook("X")
        await anext(live)
        listening[0] = True
        assert (await anext(live)).seq == 2
        assert feed.lines[1].first == 1


@run
async def test_one_server_is_enough_to_begin_with() -> None:
    with pytest.raises(ClientError, match=REFUSED):
        await RedundantFeed([REFUSED, REFUSED]).open()
    async with serving() as server, RedundantFeed([REFUSED, url(server)]) as feed:
        assert (await anext(await feed.orderbook("BTC-USD"))).seq == 0
        with pytest.raises(ValueError, match="expected public channels"):
            await feed.subscribe(["orders"])
        waiting = asyncio.ensure_future(anext(await feed.trades("BTC-USD")))
        await asyncio.sleep(0)
        await feed.unsubscribe(["trades:BTC-USD"])
        with pytest.raises(Closed, match="unsubscribed"):
            await waiting


@pytest.mark.parametrize("faults", [None, FaultConfig(drop=0.05, duplicate=0.05, reorder=0.05, corrupt=0.05)], ids=["whole", "faulty"])
def test_a_market_and_its_relay_are_one_feed(faults: FaultConfig | None) -> None:
    """Over good lines and over bad ones: every trade comes once and in order, and the book is right, though all lines are cut in turn."""

    @run
    async def test() -> None:
        settings: Any = {"self_trade": "allow", "heartbeat_ms": 100, "trades_kept": 1000, "faults": faults}
        async with serving(**settings) as server, relaying(server, **settings) as relay:
            alice = connect(url(server), token("alice", server.clock.now(), "account trade"))
            async with alice, RedundantFeed([url(server), url(relay)], jitter=NoDelay()) as feed:
                book, trades = await feed.orderbook("BTC-USD", interval_ms=0), await feed.trades("BTC-USD")
                for i in range(300):
                    if i % 50 == 25:
                        await until(lambda: all(line.follows("trades:BTC-USD") for line in feed.lines))
                        cut_all((server, relay)[i // 50 % 2], "")
                    await alice.place("BTC-USD", "buy", Ticks(50 + i % 9), Lots(1))
                    await alice.place("BTC-USD", "sell", Ticks(100 + i % 7), Lots(1 + i))
                    await alice.place("BTC-USD", "buy", Ticks(100 + i % 7), Lots(1 + i))
                told = [await anext(trades) for _ in range(300)]
                assert [each.size_lots for each in told if isinstance(each, readings.Trade)] == list(range(1, 301))
                await until(lambda: book.mirror.depth() == server.market.exchange.book("BTC-USD").levels.depth())
                assert all(line.connections > 1 for line in feed.lines)

    test()
