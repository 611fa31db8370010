"""Several readers of one channel, and callbacks that are coroutine functions: everybody gets everything, in order."""

import asyncio
from typing import Any

import pytest

import stream.client.live
from stream import Client, TooSlow
from stream.wire.frames import Book, Trade, Trades
from stream.wire.messages import Subscribe
from tests.faulty import EPOCH, Peer, client_of, faulty
from tests.sockets import run
from tests.waiting import until

BOOK, TRADES = "orderbook:X", "trades:X"


class Speaker:
    """A server that says what the test has it say."""

    peer: Peer

    def __init__(self) -> None:
        self.seq = 1

    def __call__(self, peer: Peer, request: Any) -> None:
        self.peer = peer
        if request is None:
            peer.welcome()
        elif isinstance(request, Subscribe):
            peer.subscribed(request, *(self.frame(channel, None) for channel in request.channels))

    def frame(self, channel: str, prev: int | None) -> Any:
        if channel == BOOK:
            return Book(BOOK, EPOCH, prev, self.seq, [], [], 0, 1, self.seq, 0)
        return Trades(TRADES, EPOCH, prev, self.seq, [Trade(self.seq, 0, 5, 1, "buy")] if prev else [], 0)

    def trade(self, times: int = 1) -> None:
        for _ in range(times):
            self.seq += 1
            self.peer.say(self.frame(TRADES, self.seq - 1))


async def heard(client: Client, seq: int) -> None:
    await until(lambda: client.live[TRADES].seq >= seq)


@run
async def test_every_task_that_iterates_gets_everything_however_it_iterates() -> None:
    speaker = Speaker()
    async with faulty(speaker) as server, client_of(server) as client:
        async def for_loop() -> list[int]:
            got = []
            async for trade in await client.trades("X"):
                got.append(trade.seq)
                if trade.seq == 41:
                    break
            return got

        async def broken_loop() -> list[int]:
            """Breaks off and begins again, which loses nothing."""
            got, trades = [], await client.trades("X")
            while not got or got[-1] < 41:
                async for trade in trades:
                    got.append(trade.seq)
                    break
                await asyncio.sleep(0)
            return got

        async def with_timeouts() -> list[int]:
            """Waits in another task each time, and gives up now and then, which loses nothing either."""
            got, trades = [], await client.trades("X")
            while not got or got[-1] < 41:
                try:
                    got.append((await asyncio.wait_for(anext(trades), 0.0005)).seq)
                except TimeoutError:
                    await asyncio.sleep(0)
            return got

        tasks = [asyncio.create_task(reader()) for reader in (for_loop, broken_loop, with_timeouts, for_loop)]
        await until(lambda: len(client.live.get(TRADES, speaker).readers if TRADES in client.live else ()) >= 4)
        for _ in range(40):
            speaker.trade()
            await asyncio.sleep(0.0002)
        for got in await asyncio.gather(*tasks):
            assert got == list(range(2, 42))


@run
async def test_a_task_that_ends_leaves_the_rest_to_the_next() -> None:
    speaker = Speaker()
    async with faulty(speaker) as server, client_of(server) as client:
        trades = await client.trades("X")
        speaker.trade(6)
        await heard(client, 7)

        async def one() -> int:
            return (await anext(trades)).seq

        assert [await asyncio.create_task(one()) for _ in range(3)] == [2, 3, 4]    # from the subscription on, each in a task of its own
        assert [(await anext(trades)).seq for _ in range(3)] == [5, 6, 7]
        later = asyncio.create_task(one())    # while another one reads: from now on
        await asyncio.sleep(0)
        speaker.trade()
        assert await later == 8
        assert (await anext(trades)).seq == 8


@run
async def test_every_reader_of_a_state_has_the_latest_and_no_reader_waits_for_another() -> None:
    speaker = Speaker()
    async with faulty(speaker) as server, client_of(server) as client:
        book = await client.orderbook("X")
        assert (await anext(book)).seq == 1

        async def seqs(pause: int, got: list[int]) -> None:
            async for frame in book:
                got.append(frame.seq)
                for _ in range(pause):
                    await asyncio.sleep(0)

        quick: list[int] = []
        slow: list[int] = []
        tasks = [asyncio.create_task(seqs(0, quick)), asyncio.create_task(seqs(50, slow))]
        await until(lambda: quick and slow)
        for _ in range(30):
            speaker.seq += 1
            speaker.peer.say(speaker.frame(BOOK, speaker.seq - 1))
            await until(lambda: book.seq >= speaker.seq, every_s=0)
        await until(lambda: slow[-1] >= 31 and quick[-1] >= 31)
        assert quick[-1] == slow[-1] == 31
        assert len(quick) > len(slow)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@run
async def test_a_slow_reader_is_told_and_the_others_go_on() -> None:
    speaker = Speaker()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream.client.live, "ITEMS_MAX", 5)
        async with faulty(speaker) as server, client_of(server) as client:
            trades = await client.trades("X")
            got: list[int] = []

            async def quick() -> None:
                async for trade in trades:
                    got.append(trade.seq)    # noqa: PERF401 - it is looked at meanwhile

            reading = asyncio.create_task(quick())
            await asyncio.sleep(0)
            first = asyncio.ensure_future(anext(trades))    # another reader
            speaker.trade()
            assert (await first).seq == 2
            for seq in range(3, 12):
                speaker.trade()
                await heard(client, seq)
                await asyncio.sleep(0)
            with pytest.raises(TooSlow):
                await anext(trades)
            assert got == list(range(2, 12))
            reading.cancel()


@run
async def test_an_async_callback_is_awaited_before_it_is_called_again() -> None:
    speaker = Speaker()
    caught: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: caught.append(context["exception"]))
    async with faulty(speaker) as server, client_of(server) as client:
        trades = await client.trades("X")
        order: list[str] = []

        async def slow(frame: Any) -> None:
            order.append(f"begin {frame.seq}")
            await asyncio.sleep(0.001)
            order.append(f"end {frame.seq}")
            if frame.seq == 3:
                raise ZeroDivisionError

        end = trades.on(slow)
        told: list[Any] = []

        async def connection(why: Any) -> None:
            await asyncio.sleep(0)
            told.append(why)

        client.on_connection(connection)
        speaker.trade(4)
        await until(lambda: len(order) >= 8)
        assert order == [f"{what} {seq}" for seq in range(2, 6) for what in ("begin", "end")]
        assert [type(error) for error in caught] == [ZeroDivisionError]
        end()
        speaker.trade()
        await heard(client, 6)
        assert len(order) == 8
        speaker.peer.hang_up()
        await until(lambda: None in told)


@run
async def test_an_async_callback_that_never_ends_is_told_of() -> None:
    speaker = Speaker()
    caught: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: caught.append(context["exception"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream.client.live, "ITEMS_MAX", 3)
        async with faulty(speaker) as server, client_of(server) as client:
            trades = await client.trades("X")
            forever = asyncio.Event()

            async def stuck(frame: Any) -> None:
                await forever.wait()

            trades.on(stuck)
            speaker.trade(9)
            await heard(client, 10)
            assert [type(error) for error in caught] == [TooSlow]
            forever.set()


@run
async def test_what_is_not_supported_raises_at_once() -> None:
    client = Client("ws://127.0.0.1:1/v1")
    for use in (client.ping(), client.trades("X"), client.connected(), client.unsubscribe(["trades:X"])):
        with pytest.raises(stream.client.live.ClientError, match="not open: use `async with"):
            await use
    async with faulty(Speaker()) as server, client_of(server) as opened:
        trades = await opened.trades("X")
        for wrong in (None, 5, "x"):
            with pytest.raises(TypeError, match="expected a function or a coroutine function"):
                trades.on(wrong)    # type: ignore[arg-type]
            with pytest.raises(TypeError, match="expected a function or a coroutine function"):
                opened.on_connection(wrong)    # type: ignore[arg-type]
        for channels in ([], "trades:X"):
            with pytest.raises(ValueError, match="expected a list of names such as"):
                await opened.subscribe(channels)    # type: ignore[arg-type]
        with pytest.raises(stream.client.live.ClientError, match="opened before"):
            await opened.open()
        with pytest.raises(stream.client.live.ClientError, match=r"another event loop: .*stream\.sync"):
            await asyncio.to_thread(lambda: asyncio.run(opened.ping()))
