"""Handshakes and connections that end in any way there is: each is one more failed attempt, and nobody waits for ever."""

import asyncio
import logging
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import which
from typing import cast

import msgspec
import pytest

import stream.client.kept_connection
from stream import Client, ClientError, Closed, RedundantFeed, connect
from stream.client.errors import SignInRefused
from stream.client.handshake import shown
from stream.server.server import Server
from stream.wire.framing import BINARY, CONTINUATION, PING, framed
from stream.wire.messages import ListSubscriptions, Ping, Pong, Subscriptions, Welcome
from tests.faulty import NoDelay
from tests.proxy import Proxy
from tests.setting import token
from tests.sockets import RawClient, cut, masked, relaying, run, serving
from tests.waiting import until

Ending = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


async def closed_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept, and close."""


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def closed_after_the_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def reset_after_the_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


def saying(said: bytes) -> Ending:
    """Says something to the request, and closes."""

    async def ending(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)

    return ending


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


ENDINGS: dict[str, Ending] = {
    "closed at once": closed_at_once, "reset": reset, "closed after the request": closed_after_the_request, "reset after the request": reset_after_the_request,
    "half a status line": saying(b"HTTP/1.1 10"), "half a head": saying(ANSWER), "garbage": saying(bytes(range(256)) * 9), "zeros": saying(bytes(70_000)),
    "TLS's alert": saying(bytes.fromhex("15030100020246")), "another protocol": saying(b"SSH-2.0-OpenSSH_9.6\r\n"), "a page": saying(
        b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n<html>\n<p>\n</html>"),
    "no service": saying(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nlater"), "a bad status": saying(b"HTTP/1.1 99999 \r\n\r\n"),
    "a redirect": saying(b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/v1\r\n\r\n"), "a wrong key": saying(
        ANSWER + b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"), "not UTF-8": saying(ANSWER + b"X-\xff\xfe: \xff\r\n\r\n"), "silent": silent,
}


class Front(Proxy):
    """A balancer: what comes while `ending` is set, ends in that way. `ended` counts."""

    ending: Ending | None = None
    ended = open = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.ending:
            return await super()._accept(reader, writer)
        self.open += 1
        try:
            await self.ending(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            self.ended += 1
            writer.close()


@asynccontextmanager
async def front_of(port: int, ending: Ending | None = None) -> AsyncIterator[Front]:
    """A balancer in front of a port."""
    front = Front(port)
    front.ending = ending
    await front.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream.client.kept_connection, "OPEN_S", 0.3)
        patch.setattr(stream.client.kept_connection, "DELAY_S_FIRST", 0.001)
        try:
            yield front
        finally:
            await front.stop()


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_an_ending_is_one_more_failed_attempt(ending: Ending) -> None:
    @run
    async def test() -> None:
        async with serving() as server, front_of(server.port, ending) as front:
            with pytest.raises(ClientError, match=r"^ws://127\.0\.0\.1:\d+/v1: \S"):
                await connect(front.url).open()
            front.ending = None
            told: list[ClientError | None] = []
            async with Client(front.url, jitter=NoDelay()) as client:
                client.on_connection(told.append)
                book = await client.orderbook("BTC-USD")
                front.ending = ending
                front.cut()
                await until(lambda: len(told) >= 3)    # lost, and two attempts
                assert all(isinstance(why, ClientError) and str(why) for why in told)
                front.ending = None
                heard = book.mirror.frame
                await until(lambda: book.mirror.frame is not heard)
                assert told[-1] is None

    test()


@run
async def test_a_feed_and_a_relay_outlive_every_ending() -> None:
    endings = iter(ENDINGS.values())

    async def each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """All endings, one behind the other, twice: whoever comes next gets the next one."""
        await next(endings, closed_at_once)(reader, writer)

    async with (
        serving(heartbeat_ms=100) as server, front_of(server.port) as front, relaying(cast(Server, front), upstream_stale_ms=100) as relay,
        RedundantFeed([front.url, "ws://127.0.0.1:1/v1"], jitter=NoDelay()) as feed,
    ):
        book = await feed.orderbook("BTC-USD")
        for keeper in (*feed.lines, *relay.links.values()):
            keeper.delay_s_max = 0.01
        front.ending = each
        front.cut()
        await until(lambda: front.ended > len(ENDINGS))
        assert not relay.relay.failure
        endings = iter(ENDINGS.values())
        await until(lambda: front.ended > 2 * len(ENDINGS))
        front.ending = None
        heard = book.mirror.frame
        await until(lambda: book.mirror.frame is not heard)
        await until(lambda: not relay.relay.stale_since)
        assert not relay.relay.failure


class Breaking(Client):
    """A client that cannot return, and whose connection may be kept no longer."""

    async def _returned(self) -> None:
        raise ZeroDivisionError

    def cancel(self) -> None:
        """Cancel the task that keeps the connection."""
        assert self._keeper
        self._keeper.cancel()


@run
async def test_whatever_ends_the_keeping_task_every_waiter_hears_of_it() -> None:
    async with serving() as server:
        for end in ("raise", "cancel"):
            client = Breaking(f"ws://127.0.0.1:{server.port}/v1")
            told: list[ClientError | None] = []
            caught: list[str] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context, caught=caught: caught.append(context["message"]))
            async with client:
                client.on_connection(told.append)
                trades = await client.trades("BTC-USD")
                waiters = [asyncio.ensure_future(anext(trades)), asyncio.ensure_future(trades.changed())]
                if end == "raise":
                    cut(client)
                else:
                    client.cancel()
                for outcome in await asyncio.gather(*waiters, return_exceptions=True):
                    assert isinstance(outcome, Closed)
                    assert ("ZeroDivisionError" if end == "raise" else "cancelled") in str(outcome)
                assert isinstance(told[-1], Closed)
                with pytest.raises(Closed, match="ZeroDivision" if end == "raise" else "cancelled"):
                    await client.ping()
            assert caught == (["what keeps a connection has failed"] if end == "raise" else [])


@run
async def test_a_cancelled_connect_leaves_no_socket() -> None:
    async def upgraded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The handshake, and then nothing."""
        there, to = await asyncio.open_connection("127.0.0.1", server.port)
        to.write(await reader.readuntil(b"\r\n\r\n"))
        writer.write(await there.readuntil(b"\r\n\r\n"))
        await reader.read()
        to.close()

    async with serving() as server, front_of(server.port) as front:
        for ending in (silent, upgraded):
            front.ending, ended = ending, front.ended
            opening = asyncio.create_task(connect(front.url).open())
            await until(lambda: front.open)
            await asyncio.sleep(0)
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            await until(lambda: front.ended > ended)    # noqa: B023 - it is waited for


@run
async def test_a_cancelled_subscribe_leaves_no_subscription() -> None:
    async with serving() as server, connect(f"ws://127.0.0.1:{server.port}/v1") as client:
        async def listed() -> list[str]:
            return [entry.channel for entry in (await client.request(ListSubscriptions, Subscriptions)).channels]

        for turns in range(4):
            asking = asyncio.create_task(client.orderbooks(["BTC-USD", "ETH-USD"]))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await until(lambda: client.idle)
            assert not client.live
            assert await listed() == []
        asking = asyncio.create_task(client.orderbook("BTC-USD"))
        await asyncio.sleep(0)
        wanted = asyncio.create_task(client.orderbook("BTC-USD"))    # somebody else has asked for it meanwhile
        await asyncio.sleep(0)
        asking.cancel()
        book = await wanted
        await until(lambda: client.idle)
        assert client.live == {book.channel: book}
        assert await listed() == [book.channel]
        leaving = asyncio.create_task(client.unsubscribe([book.channel]))
        await asyncio.sleep(0)
        leaving.cancel()
        await until(lambda: client.idle)
        assert await listed() == []


def fragments(opcode: int, payload: bytes, count: int) -> list[bytes]:
    """A message in so many pieces, the last of which may be empty: unmasked frames without their heads' FIN."""
    size = max(1, len(payload) // (count - 1))
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)] + [b""]
    frames = [bytearray(framed(CONTINUATION if number else opcode, piece)) for number, piece in enumerate(pieces)]
    for frame in frames[:-1]:
        frame[0] &= 0x7F
    return [bytes(frame) for frame in frames]


@run
async def test_fragments_with_control_frames_between_are_understood() -> None:
    async def fragmenting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to = await asyncio.open_connection("127.0.0.1", server.port)
        to.write(await reader.readuntil(b"\r\n\r\n"))
        writer.write(await there.readuntil(b"\r\n\r\n"))
        to.close()
        encode = msgspec.msgpack.encode
        answers = [encode(Welcome("a", 1, 1, 1, 1000, None))] + [encode(Pong(id, id * 1000)) for id in (1, 2, 3)]
        for count, answer in enumerate(answers, 2):
            for fragment in fragments(BINARY, answer, count):
                writer.write(fragment + framed(PING, b"between"))
                await writer.drain()
            await reader.read(1 << 16)

    async with serving() as server, front_of(server.port, fragmenting) as front, connect(front.url) as client:
        assert [(await client.ping()).time for _ in range(3)] == [1000, 2000, 3000]


@run
async def test_the_server_understands_fragments_with_control_frames_between() -> None:
    async with serving() as server:
        client, _ = await RawClient.open(server.port)
        await client.message()
        payload = msgspec.msgpack.encode(Ping(7))
        for at, byte in enumerate(payload):
            client.writer.write(masked(CONTINUATION if at else BINARY, bytes([byte]), fin=at == len(payload) - 1) + masked(PING, b"%d" % at))
        frames = [await client.frame() for _ in range(len(payload) + 1)]
        assert sum(opcode == 0xA for opcode, _ in frames) == len(payload)
        assert [msgspec.msgpack.decode(told)[:2] for opcode, told in frames if opcode == BINARY] == [["pong", 7]]


@run
async def test_no_text_and_no_log_holds_a_token() -> None:
    secret = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.VerySecretSignature"
    records: list[str] = []
    handler = logging.Handler(0)
    handler.emit = lambda record: records.append(record.getMessage() + str(record.exc_info))    # type: ignore[method-assign]
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(0)
    try:
        async with serving() as server, front_of(server.port) as front:
            for ending in (None, *ENDINGS.values()):
                front.ending = ending
                for bad in (secret, f"{secret}\n", f" {secret}\r\n", f"{secret}\r\nX: y", f"{secret} x", f"{secret}é", secret.encode()):
                    for given in (bad, lambda bad=bad: bad):
                        with pytest.raises(ClientError) as caught:
                            await connect(front.url, given).open()    # type: ignore[arg-type]
                        error: BaseException | None = caught.value
                        while error:
                            assert "Secret" not in f"{error!r}{error}"
                            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
                    if ending is silent:
                        break    # each of these takes its time
            with pytest.raises(ClientError, match=r"ws://127\.0\.0\.1:1/v1: ") as caught:
                await connect("ws://me:VerySecret@127.0.0.1:1/v1?token=VerySecret").open()
            assert "Secret" not in str(caught.value)
        assert not [record for record in records if "Secret" in record]
        assert shown("wss://a:b@host:1/v1?x=y#z") == "wss://host:1/v1"
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


@pytest.mark.parametrize("url", ["", "http://a/v1", "ws://", "ws:///v1", "localhost:8080", "ws://a:99999/v1", "ws://a:0/v1", "ws://a:x/v1", None, 5])
def test_what_cannot_be_an_address_is_told_at_once(url: str) -> None:
    with pytest.raises(ClientError, match="expected ws:// or wss://, a host"):
        connect(url)


@run
async def test_tls_to_a_plain_port_says_so() -> None:
    async with serving(handshake_timeout_s=1) as server, front_of(server.port) as front:
        with pytest.raises(ClientError, match=r"^wss://127\.0\.0\.1:\d+/v1: .*(TLS|does it expect ws://)"):
            await connect(front.url.replace("ws:", "wss:")).open()
        front.ending = closed_at_once
        with pytest.raises(ClientError, match=r"TLS failed.*does it expect ws://\?"):
            await connect(front.url.replace("ws:", "wss:")).open()


def test_a_certificate_that_is_not_trusted_is_named(tmp_path: Path) -> None:
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    if not which("openssl"):
        pytest.skip("no openssl")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", certificate,
                    "-days", "1", "-subj", "/CN=localhost"], capture_output=True, check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    @run
    async def test() -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        try:
            with pytest.raises(ClientError, match="certificate is not trusted: self-signed"):
                await connect(f"wss://127.0.0.1:{port}/v1").open()
            with pytest.raises(ClientError, match=r"does it expect wss://"):
                await connect(f"ws://127.0.0.1:{port}/v1").open()
        finally:
            server.close()

    test()


@run
async def test_a_refused_token_is_a_refused_sign_in() -> None:
    async with serving() as server:
        with pytest.raises(SignInRefused, match="expired"):
            await connect(f"ws://127.0.0.1:{server.port}/v1", token("alice", 0)).open()
