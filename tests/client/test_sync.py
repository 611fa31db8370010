"""The client for scripts and notebooks: the same verbs from any thread, frames of pandas and polars, and the notebook."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

import stream.examples
from stream import ClientError, Closed, Lots, RequestRefused, Ticks
from stream.client.errors import SignInRefused
from stream.client.readings import Trade
from stream.client.tables import library
from stream.server.market_server import MarketServer
from stream.sources.simulated import SimulatedSource
from stream.sync import Client, Loop, connect
from tests.setting import token
from tests.sockets import run, serving

NOTEBOOK = str(Path(stream.examples.__file__ or "").parent / "market.ipynb")


def scene(play: Callable[[str, MarketServer], None], **changes: Any) -> None:
    """Play a scene in a thread, against a server that runs meanwhile."""

    @run
    async def test() -> None:
        async with serving(**changes) as server:
            await asyncio.to_thread(play, f"ws://127.0.0.1:{server.port}/v1", server)

    test()


def trader(url: str, server: MarketServer) -> Client:
    return connect(url, lambda: token("alice", server.clock.now(), "market account trade"))


def test_the_verbs_are_the_same_and_wait() -> None:
    def play(url: str, server: MarketServer) -> None:
        with trader(url, server) as client:
            assert client.ping().time > 0
            terms = client.instruments()
            book, trades, orders = client.orderbook("BTC-USD", interval_ms=0), client.trades("BTC-USD"), client.orders()
            order = client.place("BTC-USD", "buy", "1.00", "0.0005").order
            update = orders.next(5)
            assert (update.order, update.price, update.remaining_lots) == (order, Decimal("1.00"), 5)
            while book.mirror.best_bid != (100, 5):
                book.next(5)
            assert book.verified
            assert book.mirror.depth() == ([100, 5], [])
            assert client.cancel(order).status == "cancelled"
            client.place("BTC-USD", "buy", Ticks(100), Lots(5), self_trade="allow")
            client.place("BTC-USD", "sell", Ticks(100), Lots(2), self_trade="allow")
            trade = next(iter(trades))
            assert isinstance(trade, Trade)
            assert (trade.price, trade.size, trade.price_ticks, trade.size_lots) == (Decimal("1.00"), Decimal("0.0002"), 100, 2)
            with pytest.raises(TimeoutError):
                trades.next(0.01)
            with pytest.raises(RequestRefused):
                client.cancel(12345)
            with pytest.raises(ValueError, match="a float"):
                client.place("BTC-USD", "buy", 0.1, Lots(1))
            with pytest.raises(AttributeError):
                client.nonsense()
            books = client.orderbooks(["BTC-USD", "ETH-USD"])
            assert [each.channel for each in books] == ["orderbook:BTC-USD", "orderbook:ETH-USD"]
            assert books[0] == book
            assert client.terms == terms
            client.unsubscribe(["trades:BTC-USD"])
            with pytest.raises(Closed, match="unsubscribed"):
                next(trades)
        with pytest.raises(Closed):
            client.ping()
        client.close()

    scene(play)


def test_threads_share_a_client_and_each_gets_everything() -> None:
    def play(url: str, server: MarketServer) -> None:
        with trader(url, server) as client:
            ready = threading.Barrier(5)
            got: dict[int, list[int]] = {}

            def read(number: int) -> None:
                trades = client.trades("BTC-USD")
                ready.wait(60)
                got[number] = [trades.next(60).seq for _ in range(20)]

            def trade(number: int) -> None:
                ready.wait(60)
                for _ in range(10):
                    client.place("BTC-USD", "buy", Ticks(100), Lots(1), self_trade="allow")
                    client.place("BTC-USD", "sell", Ticks(100), Lots(1), self_trade="allow")

            trades = client.trades("BTC-USD")    # the first reader of all is this thread
            readers = [threading.Thread(target=read, args=(number,)) for number in range(3)]
            traders = [threading.Thread(target=trade, args=(number,)) for number in range(2)]
            for thread in (*readers, *traders):
                thread.start()
            mine = [trades.next(60).seq for _ in range(20)]
            for thread in (*readers, *traders):
                thread.join(60)
            for number in range(3):
                assert got[number][-5:] == mine[-5:] or set(got[number]) & set(mine), "a reader heard of other trades"
                assert got[number] == sorted(set(got[number]))
            assert mine == sorted(set(mine))

    scene(play)


def test_what_waits_ends_when_another_thread_closes_the_client() -> None:
    def play(url: str, server: MarketServer) -> None:
        client = connect(url)
        client.open()
        trades = client.trades("BTC-USD")
        ended: Queue[BaseException] = Queue()

        def read() -> None:
            try:
                for _ in trades:
                    pass
            except BaseException as error:
                ended.put(error)

        thread = threading.Thread(target=read)
        thread.start()
        client.close()
        assert isinstance(ended.get(timeout=10), Closed)
        thread.join(10)
        assert threading.active_count() < 50

    scene(play)


def test_who_waits_for_a_thread_that_is_gone_hears_of_it() -> None:
    loop = Loop()
    inside = loop.read(asyncio.get_running_loop)
    threading.Timer(0.05, inside.call_soon_threadsafe, (inside.stop,)).start()
    with pytest.raises(Closed, match="has ended"):
        loop.run(asyncio.sleep(100))
    with pytest.raises(Closed):
        loop.run(asyncio.sleep(0))
    loop.end()
    for task in asyncio.all_tasks(inside):
        task.cancel()
    inside.run_until_complete(asyncio.sleep(0))
    inside.close()


def test_a_callback_may_not_wait_and_says_so() -> None:
    def play(url: str, server: MarketServer) -> None:
        with trader(url, server) as client:
            book = client.orderbook("BTC-USD", interval_ms=0)
            told: Queue[Any] = Queue()

            def heard(frame: Any) -> None:
                try:
                    client.ping()
                except ClientError as error:
                    told.put(error)

            end = book.on(heard)
            client.place("BTC-USD", "buy", Ticks(100), Lots(1))
            assert "a callback must not block" in str(told.get(timeout=10))
            end()

    scene(play)


def test_what_cannot_be_reached_is_an_error_and_leaves_no_thread() -> None:
    before = threading.active_count()
    with pytest.raises(ClientError, match=r"ws://127\.0\.0\.1:1/v1"), connect("ws://127.0.0.1:1/v1"):
        pass
    assert threading.active_count() == before

    def play(url: str, server: MarketServer) -> None:
        with pytest.raises(SignInRefused):
            connect(url, token("alice", 0)).open()

    scene(play)


def test_what_is_not_installed_is_named() -> None:
    with pytest.raises(ImportError, match="nonsense is not installed: pip install"):
        library("nonsense")


@pytest.mark.parametrize("which", ["pandas", "polars"])
def test_frames_of_books_and_trades(which: str) -> None:
    pytest.importorskip(which, reason=f"{which} is not installed")

    def play(url: str, server: MarketServer) -> None:
        with trader(url, server) as client:
            book, trades = client.orderbook("BTC-USD", interval_ms=0), client.trades("BTC-USD")
            client.place("BTC-USD", "buy", Ticks(100), Lots(5), self_trade="allow")
            client.place("BTC-USD", "sell", Ticks(102), Lots(3))
            client.place("BTC-USD", "sell", Ticks(100), Lots(1), self_trade="allow")
            trades.next(10)
            while book.mirror.best_bid != (100, 4):
                book.next(10)
            whole, best, traded = getattr(book, which)(), getattr(book, which)(1), getattr(trades, which)()
            assert list(whole.columns) == ["side", "price", "size", "price_ticks", "size_lots"]
            assert list(whole["price_ticks"]) == [100, 102]
            assert list(whole["side"]) == ["bid", "ask"]
            assert [str(price) for price in best["price"]] == ["1.00", "1.02"]
            assert [str(size) for size in best["size"]] == ["0.0004", "0.0003"]
            assert list(traded["side"]) == ["sell"]
            assert "2" in str(traded["time"][0])[:1]    # a time of this millennium
            assert len(getattr(client.orderbook("ETH-USD"), which)()) == 0

    scene(play)


EXECUTE = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(notebook, timeout=50, kernel_name="python3").execute()
print(notebook.cells[1].outputs[0]["data"]["text/plain"])
"""


@run
async def test_the_notebook_runs() -> None:
    for needed in ("nbclient", "ipykernel", "pandas", "polars"):
        if not find_spec(needed):
            pytest.skip(f"{needed} is not installed")
    async with serving(sources=[SimulatedSource(seed=1, rate=500)], assets={}, instruments=(), deposit={}) as server:
        environment = os.environ | {"DELTABOOK_URL": f"ws://127.0.0.1:{server.port}/v1"}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", EXECUTE, NOTEBOOK, env=environment, stdout=pipe, stderr=pipe)
        out, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        assert "'0." in out.decode()    # a tick
