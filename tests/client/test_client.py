"""The client over real sockets: it follows, proves, trades, and comes back where it was."""

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from stream import Client, ClientError, Closed, ConnectionLost, Gap, Lots, RequestRefused, Ticks, changes, connect
from stream.client.live import LiveBook
from stream.client.readings import OrderUpdate, Trade
from stream.server.market_server import MarketServer
from stream.wire.codes import CloseCode, ErrorCode
from stream.wire.mirror import Verdict
from tests.faulty import NoDelay
from tests.setting import token
from tests.sockets import cut, cut_all, run, serving
from tests.waiting import WAIT_S, described, until


def url(server: MarketServer) -> str:
    return f"ws://127.0.0.1:{server.port}/v1"


def trader(server: MarketServer, subject: str = "alice") -> Client:
    return connect(url(server), lambda: token(subject, server.clock.now(), "market account trade"))


class Late(random.Random):
    """Takes nothing off a delay."""

    def random(self) -> float:
        return 0.0


async def followed(live: LiveBook, holds: Callable[[], bool]) -> None:
    """Follow a book until something holds."""
    try:
        async with asyncio.timeout(WAIT_S):
            async for _ in live:
                if holds():
                    return
    except TimeoutError:
        raise AssertionError(f"followed {live.channel} for {described(holds)}") from None


async def follow(books: list[LiveBook]) -> None:
    """Look at every change."""
    async for _ in changes(*books):
        pass


async def pings_until_lost(client: Client) -> None:
    """Ask for signs of life until there are none."""
    try:
        while True:
            await client.ping()
    except ConnectionLost:
        return


@run
async def test_a_book_follows_and_proves_itself() -> None:
    async with serving() as server, trader(server) as client:
        book = await client.orderbook("BTC-USD", interval_ms=0)
        for price in range(100, 150):
            await client.place("BTC-USD", "buy", Ticks(price), Lots(5))
        await followed(book, lambda: book.seq == server.market.exchange.seq)
        assert book.verified
        assert book.mirror.best_bid == (149, 5)
        assert book.mirror.depth() == server.market.exchange.book("BTC-USD").levels.depth()
        assert book.mirror.counts[Verdict.GAP] == book.mirror.counts[Verdict.MISMATCH] == 0
        window = await client.orderbook("BTC-USD", depth=5)
        assert window is book
        await followed(book, lambda: len(book.mirror.levels) == 5)


@run
async def test_a_lost_connection_comes_back_with_a_patch() -> None:
    async with (
        serving(self_trade="allow") as server,
        Client(url(server), lambda: token("alice", server.clock.now(), "market account trade"), Late()) as client,
        Client(url(server), lambda: token("bob", server.clock.now(), "market account trade"), NoDelay()) as other,
    ):
        book = await client.orderbook("BTC-USD", interval_ms=0)
        trades, orders = await client.trades("BTC-USD"), await client.orders()
        for price in range(100, 120):
            await other.place("BTC-USD", "buy", Ticks(price), Lots(5))
        await followed(book, lambda: len(book.mirror.levels) == 20)
        cut_all(server)    # the other is back first, and trades while the client is away
        await asyncio.gather(pings_until_lost(client), pings_until_lost(other))
        await other.connected()
        await other.place("BTC-USD", "sell", Ticks(119), Lots(1))
        await followed(book, lambda: book.seq == server.market.exchange.seq)
        assert book.verified
        assert client.resumed[("merged", "patch")] >= 1
        assert book.mirror.counts[Verdict.SNAPSHOT] == 1
        trade = await anext(trades)
        assert isinstance(trade, Trade)
        assert (trade.price_ticks, trade.size_lots, trade.side) == (119, 1, "sell")
        assert orders.mirror.counts[Verdict.GAP] == 0


@run
async def test_a_wrong_book_is_found_out_and_fetched_again() -> None:
    async with serving() as server, trader(server) as client:
        book = await client.orderbook("BTC-USD", interval_ms=0)
        await client.place("BTC-USD", "buy", Ticks(100), Lots(5))
        await followed(book, lambda: book.mirror.best_bid == (100, 5))
        book.mirror.levels.set(0, 50, 1, book.seq)
        await client.place("BTC-USD", "buy", Ticks(99), Lots(5))
        await followed(book, lambda: book.mirror.counts[Verdict.SNAPSHOT] == 2)
        assert book.mirror.counts[Verdict.MISMATCH] == 1
        assert book.verified
        assert book.mirror.depth() == ([100, 5, 99, 5], [])


@run
async def test_a_gap_is_closed_by_a_patch() -> None:
    async with serving() as server, trader(server) as client:
        book = await client.orderbook("BTC-USD", interval_ms=0)
        await client.place("BTC-USD", "buy", Ticks(100), Lots(5))
        await followed(book, lambda: book.mirror.best_bid == (100, 5))
        book.mirror.seq -= 1
        await client.place("BTC-USD", "buy", Ticks(101), Lots(5))
        await followed(book, lambda: book.mirror.best_bid == (101, 5))
        assert book.mirror.counts[Verdict.GAP] >= 1
        assert client.resumed[("merged", "patch")] == 1
        assert book.verified


@run
async def test_two_users_trade_and_nobody_sees_the_other() -> None:
    async with serving() as server, trader(server) as alice, trader(server, "bob") as bob, connect(url(server)) as public:
        exchange = server.market.exchange
        supplies = [exchange.supply(asset) for asset in range(3)]
        book, trades, ticker = (await public.subscribe(["orderbook:BTC-USD", "trades:BTC-USD", "ticker:BTC-USD"], 0, 0))
        own = [(await client.orders(), await client.balances()) for client in (alice, bob)]
        for _, balances in own:
            while len(balances.mirror.assets) < 3:
                await balances.changed()
        resting = await alice.place("BTC-USD", "sell", price="200.00", size="0.5")
        assert (resting.status, resting.remaining, resting.remaining_lots) == ("open", Decimal("0.5000"), 5000)
        taken = await bob.place("BTC-USD", "buy", price="210.00", size="0.2")
        assert (taken.status, taken.filled_lots, taken.value_units) == ("filled", 2000, 40 * 10**6)
        updates = [[await anext(orders) for _ in range(2)] for orders, _ in own]
        mine, theirs = ([update for update in side if isinstance(update, OrderUpdate)] for side in updates)
        assert [(update.event, update.order) for update in mine] == [("accepted", resting.order), ("filled", resting.order)]
        assert [(update.event, update.order) for update in theirs] == [("accepted", taken.order), ("filled", taken.order)]
        assert (mine[1].liquidity, mine[1].fee_units, theirs[1].liquidity, theirs[1].fee_units) == ("maker", 4_000, "taker", 12_000)
        for account, (orders, balances) in enumerate(own):
            while balances.seq < taken.seq:
                await balances.changed()
            told = {name: (balance.available, balance.held) for name, balance in balances.mirror.assets.items()}
            assert told == dict(zip(("BTC", "ETH", "USD"), exchange.balances(account), strict=True))
            assert orders.mirror.open.keys() == ({resting.order} if account == 0 else set())
        for live in (book, trades, ticker):
            while live.seq < taken.seq:
                await live.changed()
        assert book.mirror.best_ask == (20_000, 3_000)
        assert (ticker.mirror.frame.ask, ticker.mirror.frame.ask_size, ticker.mirror.frame.last) == (20_000, 3_000, 20_000)
        assert [(trade.price, trade.size) for trade in trades.mirror.latest] == [(20_000, 2_000)]
        assert book.seq == trades.seq == ticker.seq == exchange.seq
        exchange.check()
        assert [exchange.supply(asset) for asset in range(3)] == supplies
        with pytest.raises(RequestRefused) as refused:
            await bob.cancel(resting.order)
        assert refused.value.code == ErrorCode.UNKNOWN_ORDER
        with pytest.raises(RequestRefused) as refused:
            await public.subscribe(["orders"])
        assert refused.value.code == ErrorCode.NOT_SIGNED_IN


@run
async def test_every_request_has_its_method() -> None:
    async with serving() as server, trader(server) as client:
        assert list(await client.instruments()) == ["BTC-USD", "ETH-USD"]
        assert (await client.ping()).time > 0
        done = await client.place("BTC-USD", "buy", Ticks(100), Lots(50), post_only=True, client_id=4)
        assert (await client.reduce(done.order, Lots(10))).remaining_lots == 40
        assert (await client.replace(done, "1.01", "0.0060")).remaining == Decimal("0.0060")
        assert (await client.reduce(done.order, "0.0010", instrument="BTC-USD")).remaining_lots == 50
        with pytest.raises(ValueError, match=r"by='0.1': expected by=Lots.*, or the order itself"):
            await client.reduce(done.order, "0.1")
        assert (await client.cancel(client_id=4)).status == "cancelled"
        assert (await client.place("BTC-USD", "buy", size=Lots(5), type="market")).status == "cancelled"
        await client.place("ETH-USD", "buy", Ticks(100), Lots(50))
        assert await client.cancel_all("BTC-USD") == 0
        assert await client.cancel_all() == 1
        assert (await client.login(token("alice", server.clock.now()))).subject == "alice"
        await client.orderbook("BTC-USD")
        await client.unsubscribe(["orderbook:BTC-USD"])
        assert not client.live
        for bad in ("100.005", "x", "1e400"):
            with pytest.raises(ValueError, match="expected"):
                await client.place("BTC-USD", "buy", bad, Lots(5))
        order = "BTC-USD", "buy", Ticks(-1), Lots(5)
        for place in (client.place("BTC-USD", "up", Ticks(100), Lots(5)), client.place(*order), client.orderbook("BTC-USD", depth=-1)):
            with pytest.raises(RequestRefused) as refused:
                await place
            assert refused.value.code == ErrorCode.MALFORMED
        with pytest.raises(RequestRefused, match="no instrument of that name"):
            await client.orderbook("NO-SUCH")


@run
async def test_every_kind_of_order_is_placed_in_decimal_text() -> None:
    async with serving() as server, trader(server) as alice, trader(server, "bob") as bob:
        orders = await alice.orders()
        while orders.seq < 0:
            await orders.changed()

        async def events(count: int) -> list[tuple[str, int, str]]:
            updates = [await anext(orders) for _ in range(count)]
            return [(update.event, int(update.remaining_lots), update.reason) for update in updates if isinstance(update, OrderUpdate)]

        iceberg = await alice.place("BTC-USD", "sell", "10.00", "0.0050", display="0.0020", post_only=True, slide=True)
        assert await events(2) == [("accepted", 50, ""), ("displayed", 50, "")]
        assert orders.mirror.open[iceberg.order].displayed == 20
        spent = await bob.place("BTC-USD", "buy", None, "0.012", "market", "ioc", quote=True)
        assert (spent.filled_lots, spent.value_units) == (11, 11_000)
        assert await events(1) == [("filled", 39, "")]
        with pytest.raises(RequestRefused, match="min_size"):
            await bob.place("BTC-USD", "buy", "10.00", "0.0050", min_size="0.0040")
        own = await alice.place("BTC-USD", "buy", "10.00", "0.0010", time_in_force="ioc", self_trade="cancel_oldest")
        assert own.status == "cancelled"
        assert await events(3) == [("accepted", 10, ""), ("cancelled", 0, "self_trade"), ("cancelled", 0, "unfilled")]
        stop = await alice.place("BTC-USD", "sell", "9.00", "0.0010", "stop_limit", stop="9.50")
        pair = await alice.place("BTC-USD", "sell", "11.00", "0.0010", linked=stop.order)
        assert (stop.status, pair.status) == ("waiting", "open")
        assert await events(3) == [("accepted", 10, ""), ("waiting", 10, ""), ("accepted", 10, "")]
        assert [(each.type, each.stop, each.linked) for each in orders.mirror.open.values()] == [("stop_limit", 950, 0), ("limit", 0, stop.order)]
        assert (await alice.replace(stop.order, Ticks(900), Lots(10), stop=Ticks(960))).status == "waiting"
        assert await alice.cancel_all("BTC-USD", "buy") == 0
        assert await alice.cancel_all(side="sell") == 2
        assert await events(4) == [("replaced", 10, ""), ("waiting", 10, ""), ("cancelled", 0, "requested"), ("cancelled", 0, "linked")]
        soon = datetime.fromtimestamp(server.clock.now() // 10**9 + 2, UTC)
        await alice.place("BTC-USD", "buy", "9.00", "0.0010", time_in_force="gtd", expires=soon)
        assert await events(2) == [("accepted", 10, ""), ("cancelled", 0, "expired")]
        with pytest.raises(TypeError, match="offset-naive"):
            await alice.place("BTC-USD", "buy", "9.00", "0.0010", time_in_force="gtd", expires=soon.replace(tzinfo=None))
        server.market.exchange.check()


@run
async def test_what_cannot_be_reached_is_an_error() -> None:
    async with serving() as server:
        dead = url(server)
        with pytest.raises(ClientError, match="this is not a token: expected a JSON Web Token"):
            await connect(dead, "x.y.z").open()
        with pytest.raises(ClientError, match="not signed with the server's key"):
            await connect(dead, f"{token('alice', server.clock.now())[:-2]}AA").open()
        for path, words in (("/", "is the path right"), ("/metrics", "is the path right"), ("/v2", "endpoint is /v1")):
            with pytest.raises(ClientError, match=words) as failed:
                await connect(dead.replace("/v1", path)).open()
            assert "\n" not in str(failed.value)
    with pytest.raises(ClientError, match="Connect"):
        await connect(dead).open()
    with pytest.raises(ClientError):
        await connect("http://nonsense").open()


@run
async def test_a_final_close_code_ends_the_client() -> None:
    async with serving() as server, connect(url(server)) as client:
        book = await client.orderbook("BTC-USD")
        await anext(book)
        for session in server.market.sessions:
            session.close(CloseCode.ABUSE, "enough")
        server.wake()
        with pytest.raises(Closed, match="4500"):
            await anext(book)
        with pytest.raises(Closed):
            await client.ping()


@run
async def test_a_client_that_is_closed_ends_its_iterations() -> None:
    async with serving() as server:
        client = connect(url(server))
        await client.open()
        trades = await client.trades("BTC-USD")
        waiting = asyncio.ensure_future(anext(trades))
        await client.close()
        with pytest.raises(Closed):
            await waiting


@run
async def test_lost_trades_come_as_a_gap() -> None:
    async with serving(trades_kept=3, self_trade="allow") as server, trader(server) as client, connect(url(server)) as watcher:
        trades = await watcher.trades("BTC-USD")
        while trades.seq < 0:
            await trades.changed()
        (session,) = [session for session in server.market.sessions if session.subscriptions]
        session.pause_writing(server.clock.now())
        for _ in range(5):
            await client.place("BTC-USD", "sell", Ticks(100), Lots(1))
            await client.place("BTC-USD", "buy", Ticks(100), Lots(1))
        session.resume_writing(server.clock.now())
        server.wake()
        assert isinstance(await anext(trades), Gap)
        while len(trades.mirror.latest) < 3:
            await trades.changed()


@run
async def test_many_books_on_one_connection() -> None:
    async with serving() as server, trader(server) as client:
        books = await client.orderbooks(["BTC-USD", "ETH-USD"], interval_ms=0)
        await client.place("ETH-USD", "buy", Ticks(100), Lots(5))
        await client.place("BTC-USD", "buy", Ticks(50), Lots(5))
        best = {}
        async for book in changes(*books):
            best[book.channel] = book.mirror.best_bid
            if all(best.values()) and len(best) == 2:
                break
        assert best == {"orderbook:BTC-USD": (50, 5), "orderbook:ETH-USD": (100, 5)}
        once = changes(*books)
        await client.place("BTC-USD", "buy", Ticks(51), Lots(5))
        await anext(once)
        await once.aclose()
        assert not any(book.watchers for book in books)
        following = asyncio.ensure_future(follow(books))
        await asyncio.sleep(0)
        await client.unsubscribe(["orderbook:ETH-USD"])
        with pytest.raises(Closed, match="unsubscribed"):
            await following


@run
async def test_levels_as_arrays() -> None:
    numpy = pytest.importorskip("numpy")
    async with serving() as server, trader(server) as client:
        book = await client.orderbook("BTC-USD", interval_ms=0)
        for price in (100, 101):
            await client.place("BTC-USD", "buy", Ticks(price), Lots(price - 95))
        await followed(book, lambda: len(book.mirror.levels) == 2)
        bids, asks = book.ticks_and_lots()
        assert (bids.dtype, bids.tolist(), asks.shape) == (numpy.int64, [[101, 6], [100, 5]], (0, 2))
        assert book.ticks_and_lots(1)[0].tolist() == [[101, 6]]


@run
async def test_callbacks_are_called_until_they_are_ended_and_may_fail() -> None:
    failures: list[BaseException | None] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: failures.append(about.get("exception")))
    async with serving() as server, trader(server) as client:
        book = await client.orderbook("BTC-USD", interval_ms=0)
        seen: list[int] = []
        end = book.on(lambda frame: seen.append(frame.seq))
        book.on(lambda frame: [].remove(frame.seq))
        await client.place("BTC-USD", "buy", Ticks(100), Lots(5))
        await followed(book, lambda: book.mirror.best_bid == (100, 5))
        end()
        heard = len(seen)
        assert heard == len(failures) >= 1
        assert {type(failure) for failure in failures} == {ValueError}
        await client.place("BTC-USD", "buy", Ticks(101), Lots(5))
        await followed(book, lambda: book.mirror.best_bid == (101, 5))
        assert len(seen) == heard < len(failures)
        assert client.connections == 1


@run
async def test_who_wants_to_know_hears_of_each_loss_and_return() -> None:
    told: list[str] = []
    async with serving() as server:
        client = trader(server)
        client.on_connection(lambda error: told.append(type(error).__name__))
        async with client:
            await client.ping()
            cut_all(server)
            await pings_until_lost(client)
            await client.connected()
        assert told == ["NoneType", "ConnectionLost", "NoneType", "Closed"]


@run
async def test_a_subscription_that_was_given_up_leaves_the_terms_of_others() -> None:
    async with serving() as server, trader(server) as client:
        book = await client.orderbook("BTC-USD", interval_ms=0)
        for price in range(100, 120):
            await client.place("BTC-USD", "buy", Ticks(price), Lots(5))
        await followed(book, lambda: len(book.mirror.levels) == 20)
        for turns in range(4):
            window = asyncio.create_task(client.orderbook("BTC-USD", depth=5))
            for _ in range(turns):
                await asyncio.sleep(0)
            window.cancel()
            await asyncio.gather(window, return_exceptions=True)
            await until(lambda: client.idle)
            cut(client)
            await until(lambda: client.connections >= turns + 2 and client.follows(book.channel))    # noqa: B023 - it is waited for
            await client.place("BTC-USD", "buy", Ticks(50 + turns), Lots(5))
            await followed(book, lambda: len(book.mirror.levels) == 21 + turns)    # noqa: B023 - it is waited for
            assert book.mirror.depth() == server.market.exchange.book("BTC-USD").levels.depth()
