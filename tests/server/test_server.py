"""The server over real sockets."""

import asyncio
import gc

import msgspec
import pytest
import uvloop

from stream.server.connection import Connection
from stream.wire.codec import MSGPACK
from stream.wire.codes import CloseCode, ErrorCode
from stream.wire.frames import Book
from stream.wire.framing import BINARY, CLOSE, PING, PONG, TEXT
from stream.wire.messages import Done, Error, LoggedIn, Login, Ping, Place, Pong, Subscribe, Subscribed, Welcome
from tests.setting import NAMES, SECRET, messages_in, token
from tests.sockets import RawClient, get, masked, run, serving
from tests.waiting import until

CONTINUATION = 0


@run
async def test_pages() -> None:
    async with serving() as server:
        for path, status, text in (
            ("/health", "200", b"ok"), ("/ready", "200", b"ready"), ("/metrics", "200", b"deltabook_sequence 0.0"),
            ("/nothing", "404", b"/v1"), ("/../config.py", "404", b""), ("/__init__.py", "404", b""), ("/", "200", b"<!doctype html>"),
            ("/page/main.js", "200", b"import"),
        ):
            head, body = await get(server.port, path)
            assert f" {status} " in head.splitlines()[0], path
            assert text.lower() in body.lower(), path
            assert "Content-Security-Policy: default-src 'self'" in head


@run
async def test_a_browser_that_has_a_file_is_not_sent_it_again() -> None:
    async with serving() as server:
        head, body = await get(server.port, "/client/index.js")
        [tag] = [line.removeprefix("ETag: ") for line in head.splitlines() if line.startswith("ETag: ")]
        assert b"connect" in body
        head, body = await get(server.port, "/client/index.js", f"If-None-Match: \"other\", {tag}\r\n")
        assert (head.split()[1], body) == ("304", b"")
        assert f"ETag: {tag}" in head
        head, _ = await get(server.port, "/client/index.js", 'If-None-Match: "other"\r\n')
        assert head.split()[1] == "200"


@run
async def test_a_token_in_the_header_signs_in() -> None:
    async with serving() as server:
        good = token("alice", server.clock.now())
        client, head = await RawClient.open(server.port, f"Authorization: Bearer {good}\r\nSec-WebSocket-Protocol: other, deltabook.v1.msgpack\r\n")
        assert " 101 " in head
        assert "Sec-WebSocket-Protocol: deltabook.v1.msgpack" in head
        welcome = await client.message()
        assert isinstance(welcome, Welcome)
        assert welcome.subject == "alice"
        client.send(Place(1, "BTC-USD", "buy", 100, 5))
        assert isinstance(await client.message(), Done)


@run
async def test_a_bad_token_in_the_header_is_refused_at_the_door() -> None:
    async with serving() as server:
        for header in ("Bearer x.y.z", "Bearer " + token("alice", server.clock.now(), aud="other"), "Basic YTpi", "Bearer"):
            _, head = await RawClient.open(server.port, f"Authorization: {header}\r\n")
            assert " 401 " in head
            assert SECRET not in head
        assert not server.market.sessions


@run
async def test_what_is_pipelined_behind_a_refused_login_gets_nothing() -> None:
    async with serving() as server:
        client, _ = await RawClient.open(server.port)
        client.writer.write(b"".join(masked(BINARY, msgspec.msgpack.encode(message)) for message in (
            Login(1, token("alice", server.clock.now(), aud="other")), Subscribe(2, ["orders", "balances"]), Place(3, "BTC-USD", "buy", 100, 5), Ping(4),
        )))
        assert isinstance(await client.message(), Welcome)
        assert [(await client.message()).code for _ in range(3)] == [ErrorCode.BAD_TOKEN, ErrorCode.NOT_SIGNED_IN, ErrorCode.NOT_SIGNED_IN]
        assert isinstance(await client.message(), Pong)
        assert server.market.exchange.seq == 0


@run
async def test_what_comes_after_the_close_is_not_looked_at() -> None:
    async with serving() as server:
        client, _ = await RawClient.open(server.port, f"Authorization: Bearer {token('alice', server.clock.now())}\r\n")
        client.writer.write(masked(CLOSE, (1000).to_bytes(2)) + masked(BINARY, msgspec.msgpack.encode(Place(1, "BTC-USD", "buy", 100, 5))))
        assert await client.close_code() == 1000
        await client.ended()
        assert server.market.exchange.order_count == 0


@run
async def test_firefox_shakes_hands() -> None:
    async with serving() as server:
        _, head = await RawClient.open(server.port, connection="keep-alive, Upgrade")
        assert " 101 " in head


@run
async def test_fragments_pings_and_violations() -> None:
    async with serving() as server:
        client, _ = await RawClient.open(server.port)
        await client.message()
        payload = msgspec.msgpack.encode(Ping(7))
        client.writer.write(masked(BINARY, payload[:2], fin=False) + masked(PING, b"there?") + masked(CONTINUATION, payload[2:]))
        assert await client.frame() == (PONG, b"there?")
        assert (await client.message()).id == 7
        for data, code in (
            (masked(BINARY, b"x", reserved=4), 1002), (masked(CONTINUATION, b"x"), 1002), (masked(TEXT, b"\xff\xff"), 1007), (masked(TEXT, b"[]"), 1003),
            (masked(CLOSE, b"\x03"), 1002), (masked(BINARY, b"x" * 40_000, fin=False) + masked(CONTINUATION, b"x" * 40_000), 1009),
        ):
            client, _ = await RawClient.open(server.port)
            client.writer.write(data)
            assert await client.close_code() == code


@run
async def test_connections_are_counted() -> None:
    async with serving(connections_max=2) as server:
        one, _ = await RawClient.open(server.port)
        two, _ = await RawClient.open(server.port)
        for client in (one, two):
            await client.message()
        _, head = await RawClient.open(server.port)
        assert " 503 " in head
        one.close()
        await until(lambda: len(server.market.sessions) <= 1)
        _, head = await RawClient.open(server.port)
        assert " 101 " in head


@run
async def test_a_server_that_leaves_says_so() -> None:
    async with serving() as server:
        client, _ = await RawClient.open(server.port)
        stopping = asyncio.create_task(server.stop())
        assert await client.close_code() == CloseCode.SHUTTING_DOWN
        client.writer.write(masked(CLOSE, CloseCode.SHUTTING_DOWN.to_bytes(2)))
        await stopping
        assert not server.market.sessions


@run
async def test_an_expired_token_closes_the_connection() -> None:
    async with serving() as server:
        client, _ = await RawClient.open(server.port)
        await client.message()
        client.send(Login(1, token("alice", server.clock.now(), exp=server.clock.now() // 10**9 + 1)))
        assert isinstance(await client.message(), LoggedIn)
        assert await client.close_code() == CloseCode.TOKEN_EXPIRED


@run
async def test_one_turn_of_the_loop_is_one_write() -> None:
    async with serving() as server:
        client, _ = await RawClient.open(server.port, f"Authorization: Bearer {token('alice', server.clock.now())}\r\n")
        channels = [f"{kind}:{name}" for kind in ("orderbook", "trades", "ticker") for name in NAMES]
        client.send(Subscribe(1, [*channels, "orders", "balances"], 0, 0))
        while not isinstance(message := await client.message(), Subscribed):
            pass
        frames = [await client.message() for _ in message.channels]
        assert {frame.seq for frame in frames} == {message.seq}
        writes = server.market.traffic.writes
        client.writer.write(b"".join(masked(BINARY, msgspec.msgpack.encode(Place(id, "BTC-USD", "buy", 100 + id, 5))) for id in range(2, 12)))
        done = set()
        while len(done) < 10:
            message = await client.message()
            if isinstance(message, Done):
                done.add(message.id)
        assert server.market.traffic.writes - writes <= 3


@run
async def test_a_client_that_stops_reading_costs_its_last_write_and_gets_one_merged_frame() -> None:
    async with serving(send_buffer_bytes=4096) as server:
        stalled, _ = await RawClient.open(server.port, receive_buffer=4096)
        trader, _ = await RawClient.open(server.port, f"Authorization: Bearer {token('alice', server.clock.now())}\r\n")
        stalled.send(Subscribe(1, ["orderbook:BTC-USD"], 0, 0))
        while not isinstance(await stalled.message(), Book):
            pass
        stalled.writer.transport.pause_reading()    # type: ignore[attr-defined]
        session = next(session for session in server.market.sessions if session.subscriptions)
        id = missed = 0
        while missed < 500:
            id, missed = id + 1, 0 if session.writable else missed + 1
            trader.send(Place(id, "BTC-USD", "buy", 1 + id % 900, 1))
            while not isinstance(await trader.message(), Done):
                pass
        assert session.out == []
        stalled.writer.transport.resume_reading()    # type: ignore[attr-defined]
        levels: dict[int, int] = {}
        book = server.market.exchange.book("BTC-USD").levels
        merged = 0
        while True:
            frame = await stalled.message()
            merged = max(merged, len(frame.bids) // 2)
            levels |= dict(zip(frame.bids[::2], frame.bids[1::2], strict=True))
            if frame.seq == server.market.exchange.seq:
                break
        assert len(levels) == len(book)
        assert merged >= 500, "what was missed came as one frame"
        assert frame.digest == book.digest
        assert server.market.hub.counters.catch_ups


@run
async def test_garbage_does_not_trouble_the_others() -> None:
    async with serving(errors_max=20) as server:
        good, _ = await RawClient.open(server.port)
        await good.message()
        for data in (b"\x00" * 1000, b"GET / HTTP/1.1\r\n\r\n", masked(BINARY, b"\xc1" * 100), b"\xff" * 100):
            bad, _ = await RawClient.open(server.port)
            bad.writer.write(data)
            bad.close()
        for number in range(1, 50):
            good.send(Ping(number))
            assert isinstance(await good.message(), Pong)
        bad, _ = await RawClient.open(server.port)
        bad.writer.write(masked(BINARY, b"junk") * 100)
        assert isinstance(await bad.message(), Welcome)
        assert isinstance(await bad.message(), Error)
        assert await bad.close_code() == CloseCode.ABUSE


def test_a_port_that_is_taken_is_an_error() -> None:
    async def second() -> None:
        async with serving() as server:
            with pytest.raises(OSError, match="in use"):
                async with serving(port=server.port):
                    pass

    uvloop.run(second())


class Full:
    """A transport that still holds the answer to the handshake, as uvloop's before 0.23 does."""

    def __init__(self, connection: Connection) -> None:
        self.underlying_transport = self
        self.written = b""
        self._connection = connection
        self._size = 1

    def get_extra_info(self, name: str) -> object:
        return {"peername": ("127.0.0.1", 1), "ssl_object": self}.get(name)

    def set_write_buffer_limits(self, high: int) -> None:
        if self._size > high:
            self._connection.pause_writing()

    def get_write_buffer_size(self) -> int:
        return self._size

    def write(self, data: bytes) -> None:
        self.written += data

    def drain(self) -> None:
        """The kernel takes all."""
        self._size = 0
        self._connection.resume_writing()


@run
async def test_a_connection_may_begin_before_the_handshake_has_left() -> None:
    async with serving() as server:
        connection = Connection(server, MSGPACK, None, "", next(iter(server.doors)))
        transport = Full(connection)
        connection.on_ws_connected(transport)    # type: ignore[arg-type]
        server.tick()
        assert transport.written == b""
        transport.drain()
        server.tick()
        (welcome,) = messages_in(transport.written)
        assert isinstance(welcome, Welcome)
        connection.on_ws_disconnected(transport)    # type: ignore[arg-type]


@run
async def test_a_connection_that_is_gone_waits_for_no_garbage_collector() -> None:
    async with serving() as server:
        gc.collect()
        gc.disable()
        try:
            for headers in ("", f"Authorization: Bearer {token('alice', server.clock.now())}\r\n"):
                client, _ = await RawClient.open(server.port, headers)
                await client.message()
                client.send(Place(1, "BTC-USD", "buy", 100, 5))
                await client.message()
                client.close()
            await until(lambda: not server.connections)
            await until(lambda: not any(isinstance(each, Connection) for each in gc.get_objects()))
        finally:
            gc.enable()
