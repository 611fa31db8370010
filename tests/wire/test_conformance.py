"""RFC 6455 over real sockets, case by case: what a server must take, and what it must refuse and how.

The messages go back as they came, from the server's own message layer. `make autobahn` asks the same of it with the Autobahn suite.
"""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

import stream.server.server
from stream.wire.codes import CloseCode
from stream.wire.framing import BINARY, CLOSE, PING, PONG, TEXT
from tests.sockets import RawClient, masked, run, serving
from tests.wire.autobahn import EchoConnection

CONTINUATION = 0
SENTENCE = "Grüße, κόσμε, 日本, 🜁".encode()
UNREADABLE = {
    "a byte that begins nothing": b"ok \xff", "a continuation alone": b"\x80", "a character too long for itself": b"\xc0\xaf", "a surrogate": b"\xed\xa0\x80",
    "beyond the last character": b"\xf4\x90\x80\x80", "cut at the end": b"\xe2\x82",
}
Frames = list[tuple[int, bytes]]


@pytest.fixture(autouse=True)
def echoes(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The server echoes, and no peer can write errors into its log."""
    monkeypatch.setattr(stream.server.server, "Connection", EchoConnection)
    yield
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@asynccontextmanager
async def connections(**changes: int) -> AsyncIterator[int]:
    """The port of an echo that takes messages of up to 100,000 bytes."""
    async with serving(**{"message_bytes_max": 100_000, "anonymous_message_bytes_max": 100_000, "close_timeout_s": 1} | changes) as server:
        yield server.port


async def answers(port: int, data: bytes) -> Frames:
    """What comes back for these bytes and a close of ours behind them, up to the server's close; the connection then ends."""
    client, _ = await RawClient.open(port)
    client.writer.write(data + masked(CLOSE, (1000).to_bytes(2)))
    frames = []
    while not frames or frames[-1][0] != CLOSE:
        frames.append(await client.frame())
    await client.ended()
    return frames


async def closed_with(port: int, data: bytes) -> int:
    """The code of the close frame that is the only answer to these bytes."""
    client, _ = await RawClient.open(port)
    client.writer.write(data)
    opcode, payload = await client.frame()
    assert opcode == CLOSE, (opcode, payload[:100])
    client.writer.write(masked(CLOSE, b""))
    await client.ended()
    return int.from_bytes(payload[:2])


def in_pieces(opcode: int, payload: bytes, size: int, between: bytes = b"") -> bytes:
    """A message in fragments of so many bytes, with other frames between them."""
    cuts = [*range(0, max(1, len(payload)), size), len(payload)]
    last = len(cuts) - 2
    return between.join(masked(CONTINUATION if i else opcode, payload[a:b], fin=i == last) for i, (a, b) in enumerate(pairwise(cuts)))


@run
async def test_messages_of_every_length_encoding_come_back() -> None:
    async with connections() as port:
        for size in (0, 1, 125, 126, 127, 128, 65_535, 65_536, 100_000):
            for opcode in (TEXT, BINARY):
                assert (await answers(port, masked(opcode, b"*" * size)))[0] == (opcode, b"*" * size)


@run
async def test_fragments_are_one_message_however_they_are_cut() -> None:
    async with connections() as port:
        for size in (1, 2, 5, 1000):
            assert (await answers(port, in_pieces(TEXT, SENTENCE, size)))[0] == (TEXT, SENTENCE)
        empty = masked(TEXT, b"", fin=False) + masked(CONTINUATION, b"", fin=False) + masked(CONTINUATION, b"")
        assert (await answers(port, empty))[0] == (TEXT, b"")


@run
async def test_pings_are_answered_in_order_and_between_fragments() -> None:
    async with connections() as port:
        for payload in (b"", b"Hi", bytes(range(125))):
            assert (await answers(port, masked(PING, payload)))[0] == (PONG, payload)
        assert [payload for _, payload in (await answers(port, b"".join(masked(PING, b"%d" % i) for i in range(10))))[:-1]] == [b"%d" % i for i in range(10)]
        frames = await answers(port, in_pieces(TEXT, b"abc", 1, between=masked(PING, b"!")))
        assert frames[:-1] == [(PONG, b"!"), (PONG, b"!"), (TEXT, b"abc")]


@run
async def test_pongs_that_nobody_asked_for_are_passed_over() -> None:
    async with connections() as port:
        assert [opcode for opcode, _ in await answers(port, masked(PONG, b"") + masked(PONG, b"x") + masked(PING, b""))] == [PONG, CLOSE]


@run
async def test_frames_that_break_the_protocol_end_the_connection() -> None:
    async with connections() as port:
        for reserved in range(1, 8):
            for opcode in (TEXT, BINARY, PING, CLOSE):
                assert await closed_with(port, masked(opcode, b"", reserved=reserved)) == 1002, (reserved, opcode)
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
            assert await closed_with(port, masked(opcode, b"")) == 1002, opcode
        for opcode in (PING, PONG, CLOSE):
            assert await closed_with(port, masked(opcode, b"", fin=False)) == 1002, opcode
            assert await closed_with(port, masked(opcode, b"*" * 126)) == 1002, opcode
        for data in (masked(CONTINUATION, b""), masked(CONTINUATION, b"", fin=False), masked(TEXT, b"a", fin=False) + masked(TEXT, b"b")):
            assert await closed_with(port, data) == 1002


@run
async def test_text_is_utf_8_or_refused_as_soon_as_a_fragment_cannot_be() -> None:
    async with connections() as port:
        for text in (SENTENCE, b"\x00", "\U0010ffff".encode(), "\ufffe".encode()):
            assert (await answers(port, masked(TEXT, text)))[0] == (TEXT, text)
        for name, text in UNREADABLE.items():
            assert await closed_with(port, masked(TEXT, text)) == 1007, name
            assert await closed_with(port, in_pieces(TEXT, text, 1)) == 1007, name
            assert (await answers(port, masked(BINARY, text)))[0] == (BINARY, text), name
        assert await closed_with(port, masked(TEXT, b"\xff", fin=False)) == 1007, "the message is not over yet"


@run
async def test_a_goodbye_is_answered_with_its_code_or_refused() -> None:
    async with connections() as port:
        assert await closed_with(port, masked(CLOSE, b"")) == 1000
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
            assert await closed_with(port, masked(CLOSE, code.to_bytes(2) + b"x" * 123)) == code
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535):
            assert await closed_with(port, masked(CLOSE, code.to_bytes(2))) == 1002
        assert await closed_with(port, masked(CLOSE, b"\x03")) == 1002
        assert await closed_with(port, masked(CLOSE, (1000).to_bytes(2) + b"\xff")) == 1007


@run
async def test_nothing_is_answered_behind_a_goodbye() -> None:
    async with connections() as port:
        goodbye = masked(CLOSE, (1000).to_bytes(2))
        for data in (masked(TEXT, b"late"), masked(PING, b""), masked(CONTINUATION, b"")):
            assert await closed_with(port, goodbye + data) == 1000


@run
async def test_the_limit_is_on_the_message_in_however_many_frames() -> None:
    async with connections() as port:
        assert (await answers(port, in_pieces(BINARY, b"*" * 100_000, 30_000)))[0] == (BINARY, b"*" * 100_000)
        assert await closed_with(port, in_pieces(BINARY, b"*" * 100_001, 30_000)) == 1009
        assert await closed_with(port, in_pieces(BINARY, b"*" * 20_000, 1)) == 1009, "too many fragments"


@run
async def test_every_frame_costs_as_much_as_a_message() -> None:
    """So that nobody sends more by cutting it small."""
    async with connections(messages_burst=50, messages_per_s=1, errors_max=10) as port:
        assert (await answers(port, in_pieces(BINARY, b"*" * 50, 1)))[0] == (BINARY, b"*" * 50)
        for flood in (in_pieces(BINARY, b"*" * 100, 1), masked(PONG, b"") * 100, masked(BINARY, b"", fin=False) + masked(PONG, b"") * 100):
            assert await closed_with(port, flood) == CloseCode.ABUSE
        pings = await answers(port, masked(PING, b"") * 55)
        assert [opcode for opcode, _ in pings] == [PONG] * 50 + [CLOSE]
