"""The client against a server that does what the real one never would."""

import asyncio
from typing import Any

import pytest
from picows import WSCloseCode, WSMsgType

import stream.client.kept_connection
import stream.client.live
from stream import Client, ClientError, Closed, ConnectionLost, Gap, RequestRefused, TooSlow, connect
from stream.wire.codes import CloseCode, ErrorCode
from stream.wire.frames import Book, Trade, Trades
from stream.wire.messages import Error, Ping, Pong, Request, Subscribe
from stream.wire.mirror import Verdict
from tests.faulty import EPOCH, NoDelay, Peer, client_of, faulty
from tests.sockets import cut_all, run, serving
from tests.waiting import until

BOOK, TRADES = "orderbook:X", "trades:X"


def trades(prev: int | None, *seqs: int, epoch: int = EPOCH) -> Trades:
    """A frame with one trade at each of these sequences."""
    return Trades(TRADES, epoch, prev, seqs[-1], [Trade(seq, 0, 5, 1, "buy") for seq in seqs] if prev is not None else [], 0)


@run
async def test_a_server_that_leaves_before_it_welcomes_is_an_error() -> None:
    async with faulty(lambda peer, request: peer.hang_up()) as server:
        with pytest.raises(ConnectionLost):
            await client_of(server).open()
    async with faulty(lambda peer, request: peer.leave(CloseCode.ABUSE)) as server:
        with pytest.raises(Closed, match="4500 enough"):
            await client_of(server).open()


@run
async def test_a_server_that_never_welcomes_is_an_error() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream.client.kept_connection, "OPEN_S", 0.2)
        async with faulty(lambda peer, request: None) as server:
            with pytest.raises(ClientError, match=r"waited 0\.2 seconds for a welcome"):
                await client_of(server).open()


@run
async def test_a_connection_that_is_lost_while_it_resumes_is_made_again() -> None:
    def script(peer: Peer, request: Request | None) -> None:
        if request is None:
            peer.welcome()
        elif isinstance(request, Subscribe):
            if peer.number == 1:
                peer.subscribed(request, trades(None, 1))
            if peer.number == 3:
                assert request.resume == {TRADES: (EPOCH, 1)}
                peer.subscribed(request, trades(1, 2))
            else:
                peer.hang_up()

    async with faulty(script) as server, client_of(server) as client:
        assert (await anext(await client.trades("X"))).wire == Trade(2, 0, 5, 1, "buy")
        assert client.connections == 3


@run
async def test_a_request_that_was_under_way_is_not_sent_again() -> None:
    heard = []

    def script(peer: Peer, request: Request | None) -> None:
        if request is None:
            peer.welcome()
        else:
            heard.append(request)
            peer.hang_up()

    async with faulty(script) as server, client_of(server) as client:
        with pytest.raises(ConnectionLost):
            await client.ping()
        await until(lambda: client.connections >= 2)
        await client.connected()
        assert heard == [Ping(1)]


@run
async def test_requests_that_overlap_each_get_their_own_answer() -> None:
    held: list[int] = []

    def script(peer: Peer, request: Request | None) -> None:
        if request is None:
            peer.welcome()
        elif isinstance(request, Ping):
            peer.say(*(Pong(id, id) for id in held))
            held[:] = [request.id]

    async with faulty(script) as server, client_of(server) as client:
        first = asyncio.ensure_future(client.ping())
        await until(lambda: held)
        second = asyncio.ensure_future(client.ping())
        assert await first == Pong(1, 1)
        last = asyncio.ensure_future(client.ping())
        assert await second == Pong(2, 2)
        last.cancel()


@run
async def test_a_channel_that_is_no_longer_granted_ends_and_the_others_go_on() -> None:
    def script(peer: Peer, request: Request | None) -> None:
        if request is None:
            peer.welcome()
        elif isinstance(request, Subscribe):
            if peer.number == 1:
                peer.subscribed(request, Trades(request.channels[0], EPOCH, None, 1, [], 0))
                if request.channels == ["trades:Y"]:
                    peer.hang_up()
            elif "trades:Y" in request.channels:
                peer.say(Error(request.id, ErrorCode.UNKNOWN_INSTRUMENT, "no Y"))
            else:
                peer.subscribed(request, trades(1, 2))

    async with faulty(script) as server, client_of(server) as client:
        stays, goes = await client.trades("X"), await client.trades("Y")
        with pytest.raises(RequestRefused, match="no Y"):
            await anext(goes)
        assert (await anext(stays)).wire == Trade(2, 0, 5, 1, "buy")
        assert list(client.live) == [TRADES]


@run
async def test_a_final_code_while_returning_ends_the_client() -> None:
    def script(peer: Peer, request: Request | None) -> None:
        if peer.number == 2:
            peer.leave(CloseCode.ABUSE)
        elif request is None:
            peer.welcome()
        elif isinstance(request, Subscribe):
            peer.subscribed(request)
            peer.hang_up()

    async with faulty(script) as server, client_of(server) as client:
        live = await client.trades("X")
        with pytest.raises(Closed, match="4500"):
            await anext(live)
        with pytest.raises(Closed, match="4500"):
            await live.changed()
        with pytest.raises(Closed):
            await client.connected()


@run
async def test_what_cannot_be_read_costs_the_connection_and_no_more() -> None:
    def script(peer: Peer, request: Request | None) -> None:
        if request is None:
            peer.welcome()
        elif isinstance(request, Ping):
            peer.transport.send(WSMsgType.BINARY, b"\xc1")
        elif isinstance(request, Subscribe):
            peer.subscribed(request, Book(BOOK, EPOCH, None, 1, [], [], 0, 0, 0, 0))

    async with faulty(script) as server, client_of(server) as client:
        with pytest.raises(ConnectionLost, match="cannot be read"):
            await client.ping()
        await until(lambda: client.connections >= 2)
        await client.connected()
        book = await client.orderbook("X")
        await anext(book)
        assert book.verified


@run
async def test_a_token_that_cannot_be_had_is_asked_for_again() -> None:
    answers = iter(["first", RuntimeError("the vault is closed"), "second"])

    def token() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def script(peer: Peer, request: Request | None) -> None:
        peer.welcome()
        if peer.number == 1:
            peer.hang_up()

    async with faulty(script) as server, client_of(server, token=token) as client:
        await until(lambda: client.connections >= 2)
        await client.connected()
        assert not list(answers)


@run
async def test_a_snapshot_in_the_middle_is_told_to_who_wants_every_trade() -> None:
    def script(peer: Peer, request: Request | None) -> None:
        if request is None:
            peer.welcome()
        elif isinstance(request, Subscribe):
            if peer.number == 1:
                peer.subscribed(request, trades(None, 1), trades(None, 1), trades(1, 2, 3), trades(1, 2, 3))
                peer.hang_up()
            else:
                peer.subscribed(request, trades(None, 50, epoch=EPOCH + 1), trades(50, 51, epoch=EPOCH + 1))
                peer.say(Gap(TRADES, EPOCH + 1, 51, 60), trades(None, 60, epoch=EPOCH + 1))

    async with faulty(script) as server, client_of(server) as client:
        live = await client.trades("X")
        seen = [await anext(live) for _ in range(5)]
        assert [item.seq for item in seen] == [2, 3, 50, 51, 60]
        assert [item for item in seen if isinstance(item, Gap)] == [Gap(TRADES, EPOCH + 1, 3, 50), Gap(TRADES, EPOCH + 1, 51, 60)]
        assert live.mirror.counts[Verdict.DROPPED] == 1


@run
async def test_a_slow_consumer_of_trades_is_told_and_sees_nothing_after_it() -> None:
    def script(peer: Peer, request: Request | None) -> None:
        if request is None:
            peer.welcome()
        elif isinstance(request, Subscribe):
            peer.subscribed(request, trades(None, 1), *(trades(seq - 1, seq) for seq in range(2, 20)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream.client.live, "ITEMS_MAX", 10)
        async with faulty(script) as server, client_of(server) as client:
            live = await client.trades("X")
            await until(lambda: live.seq >= 19)
            for _ in range(2):
                with pytest.raises(TooSlow):
                    await anext(live)
            heard: list[Any] = []
            live.on(heard.append)
            server.peers[0].say(trades(19, 20), trades(18, 20, 21))
            while live.seq < 21:
                await live.changed()
            assert [trade.seq for frame in heard for trade in frame.trades] == [20, 21]


@run
async def test_a_server_that_is_always_wrong_is_not_flooded() -> None:
    asked = []

    def script(peer: Peer, request: Request | None) -> None:
        if request is None:
            peer.welcome()
        elif isinstance(request, Subscribe):
            asked.append(request)
            peer.subscribed(request, Book(BOOK, EPOCH, None, 5, [5, 5], [], 1, 0, 0, 0))
        elif isinstance(request, Ping):
            peer.say(Error(request.id, ErrorCode.INTERNAL, "no"))

    async with faulty(script) as server, client_of(server) as client:
        book = await client.orderbook("X")
        await until(lambda: book.mirror.counts[Verdict.MISMATCH] >= 2)
        for _ in range(100):
            with pytest.raises(RequestRefused):
                await client.ping()
        assert len(asked) == 2
        assert not any(request.resume for request in asked)
        assert not book.verified


@run
async def test_a_client_says_goodbye() -> None:
    async with faulty(lambda peer, request: peer.welcome()) as server:
        async with client_of(server):
            pass
        await until(lambda: server.goodbyes)
        assert server.goodbyes == [WSCloseCode.OK]


@run
async def test_a_redirect_does_not_carry_the_token_away() -> None:
    elsewhere = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {target.url}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    async with faulty(lambda peer, request: elsewhere.append(peer)) as target:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        with pytest.raises(ClientError):
            await connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", "secret").open()
        server.close()
        assert elsewhere == []


@run
async def test_a_channel_keeps_the_terms_it_was_last_asked_for() -> None:
    async with serving() as server, Client(f"ws://127.0.0.1:{server.port}/v1", jitter=NoDelay()) as client:
        await client.orderbook("BTC-USD")
        book = await client.orderbook("BTC-USD", depth=5)
        cut_all(server)
        await until(lambda: sum(client.resumed.values()) >= 3)
        assert book.in_force
        assert book.in_force.depth == 5


@run
async def test_a_copy_is_no_point_to_resume_from_on_other_terms() -> None:
    """The line is cut between the answer to a subscription on another depth and its snapshot."""
    resumes = []

    def script(peer: Peer, request: Any) -> None:
        if request is None:
            peer.welcome()
        elif isinstance(request, Subscribe):
            resumes.append((request.depth, request.resume))
            if len(resumes) == 1:
                peer.subscribed(request, Book(BOOK, EPOCH, None, 5, [], [], 0, 0, 0, 0))
            else:
                peer.subscribed(request)
                if len(resumes) == 2:
                    peer.hang_up()

    async with faulty(script) as server, client_of(server) as client:
        book = await client.orderbook("X")
        await until(lambda: book.seq >= 0)
        await client.orderbook("X", depth=5)
        await until(lambda: len(resumes) >= 3)
    assert resumes == [(None, {}), (5, {}), (5, {})]


@run
async def test_an_iteration_over_an_unsubscribed_channel_ends() -> None:
    async with serving() as server, Client(f"ws://127.0.0.1:{server.port}/v1") as client:
        waiting = asyncio.ensure_future(anext(await client.trades("BTC-USD")))
        await asyncio.sleep(0)
        await client.unsubscribe(["trades:BTC-USD"])
        with pytest.raises(Closed, match="unsubscribed"):
            await waiting
