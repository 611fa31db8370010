"""Hostile clients in one process, from addresses of their own on this machine: each attack goes on in several connections at once.

    python -m benchmarks.attackers WAYS SECONDS SEED CONNECTS ATTACKS TOKENS

WAYS: as JSON, name, host and port of each way to the server, which are taken by chance. ATTACKS: names, separated by commas. TOKENS: by name, as
JSON, the tokens `good` (of the account that floods), `expired` and `forged`. Prints how often each attack was made, as JSON.
"""

import asyncio
import json
import os
import socket
import struct
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import NamedTuple

import msgspec
import uvloop

from benchmarks.attacked import NICE, Way
from stream.wire.codec import MSGPACK
from stream.wire.fields import Message
from stream.wire.framing import BINARY, CONTINUATION, FIN, MASKED, PING, TEXT, head_of
from stream.wire.messages import CancelAll, CancelOnDisconnect, DeadMan, ListInstruments, Login, Place, Subscribe, Unsubscribe

PATIENCE_S = 5.0
"""How long an attacker waits for a server that takes or says nothing."""

INSTRUMENTS = ("ETH-USDT", "SOL-USDT", "XRP-USDT")
CHANNELS = [f"{kind}:{name}" for kind in ("orderbook", "trades", "ticker") for name in INSTRUMENTS]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def frame(opcode: int, payload: bytes, fin: bool = True, claimed: int = -1) -> bytes:
    """A client's frame with a key of zeros, which may claim another length than it has."""
    size = len(payload) if claimed < 0 else claimed
    return head_of((FIN if fin else 0) | opcode, size, MASKED) + bytes(4) + payload


def request(message: Message) -> bytes:
    """A protocol message as a client's frame."""
    return frame(BINARY, MSGPACK.encode(message))


class Target(NamedTuple):
    """The server, and what the attackers have."""

    ways: list[Way]
    tokens: dict[str, str]
    random: Random

    def handshake(self, token: str = "") -> bytes:
        """A request for a WebSocket, which says that it is somebody else's."""
        signed = f"Authorization: Bearer {token}\r\n" if token else ""
        return (
            "GET /v1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {MSGPACK.subprotocol}\r\n"
            f"X-Forwarded-For: 10.0.0.{self.random.randrange(256)}\r\n{signed}\r\n"
        ).encode()

    async def connect(self, receive_buffer: int = 0) -> Streams:
        """A TCP connection from one of the attackers' addresses."""
        _, host, port = self.random.choice(self.ways)
        connection = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        connection.setblocking(False)
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.bind((host if ":" in host else f"127.0.0.{self.random.randrange(2, 250)}", 0))
        await asyncio.get_running_loop().sock_connect(connection, (host, port))
        return await asyncio.open_connection(sock=connection, limit=1 << 12)

    async def open(self, token: str = "", receive_buffer: int = 0) -> Streams:
        """A WebSocket."""
        reader, writer = await self.connect(receive_buffer)
        writer.write(self.handshake(token))
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
        return reader, writer


async def pour(streams: Streams, data: bytes, times: int) -> None:
    """Send the same again and again, and read nothing."""
    for _ in range(times):
        streams[1].write(data)
        await asyncio.wait_for(streams[1].drain(), PATIENCE_S)


async def swallow(reader: asyncio.StreamReader, seconds: float = PATIENCE_S) -> None:
    """Read until the server hangs up, for so long at most."""
    async with asyncio.timeout(seconds):
        while await reader.read(1 << 16):
            pass


async def ping_flood(target: Target) -> None:
    """Pings, and nobody who reads the pongs."""
    await pour(await target.open(receive_buffer=4096), frame(PING, b"*" * 125) * 100, 200)


async def half_frames(target: Target) -> None:
    """Frames and messages that never end."""
    reader, writer = await target.open()
    beginnings = (
        frame(BINARY, b"*" * 30_000, claimed=60_000), frame(TEXT, b"", claimed=40_000), b"\x82", frame(BINARY, b"*" * 60_000, fin=False),
        frame(BINARY, b"", fin=False) + frame(CONTINUATION, b"", fin=False) * 3000,
    )
    writer.write(target.random.choice(beginnings))
    await swallow(reader, 20)


async def slow_handshake(target: Target) -> None:
    """A handshake byte by byte."""
    _, writer = await target.connect()
    for byte in target.handshake():
        writer.write(bytes((byte,)))
        await writer.drain()
        await asyncio.sleep(0.5)


async def connect(target: Target) -> None:
    """Come and go."""
    await target.open()


async def reset(target: Target) -> None:
    """Vanish with a RST while a snapshot is on its way."""
    _, writer = await target.open()
    writer.write(request(Subscribe(1, CHANNELS, 0, 0)))
    await writer.drain()
    await asyncio.sleep(target.random.random() / 10)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def oversize(target: Target) -> None:
    """Frames, messages and request heads that are too long, or say so."""
    reader, writer = await target.open()
    writer.write(target.random.choice((
        frame(BINARY, b"*", claimed=1 << 62), frame(BINARY, b"*" * 70_000), frame(BINARY, b"*" * 60_000, fin=False) + frame(CONTINUATION, b"*" * 60_000),
    )))
    await swallow(reader)
    _, writer = await target.connect()
    writer.write(b"GET /" + b"x" * 100_000)
    await writer.drain()


async def garbage(target: Target) -> None:
    """Noise instead of a handshake, of frames, of messages."""
    reader, writer = await target.connect()
    writer.write(target.random.randbytes(2000) + b"\r\n\r\n")
    await swallow(reader)
    for noise in (target.random.randbytes(2000), b"".join(frame(BINARY, target.random.randbytes(50)) for _ in range(100))):
        reader, writer = await target.open()
        writer.write(noise)
        await swallow(reader)


async def nesting(target: Target) -> None:
    """Arrays in arrays."""
    reader, writer = await target.open()
    writer.write(frame(BINARY, b"\x91" * 60_000) * 20 + frame(BINARY, b"\x93\xa9subscribe\x01" + b"\x91" * 60_000))
    await swallow(reader)


async def tokens(target: Target) -> None:
    """Forged and expired tokens, in the header and in messages."""
    for name in ("forged", "expired"):
        await target.open(target.tokens[name])
    reader, writer = await target.open()
    writer.write(b"".join(request(Login(id, target.tokens[target.random.choice(("forged", "expired"))])) for id in range(1, 200)))
    await swallow(reader)


async def subscriptions(target: Target) -> None:
    """Every channel, again and again, in full."""
    reader, writer = await target.open()
    flood = asyncio.create_task(pour((reader, writer), request(Subscribe(1, CHANNELS * 100, 0, 0)) + request(Unsubscribe(2, CHANNELS)), 500))
    try:
        await swallow(reader, 10)
    finally:
        flood.cancel()
        await asyncio.gather(flood, return_exceptions=True)


async def orders(target: Target) -> None:
    """Orders of one account, as fast as they are taken, at many prices."""
    reader, writer = await target.open(target.tokens["good"])
    id = target.random.randrange(1, 1 << 40)
    batches = []
    for name in INSTRUMENTS:
        prices = [target.random.randrange(1, 3000) for _ in range(100)]
        batches.append(b"".join(request(Place(id + price, name, "buy", price, 1)) for price in prices))
    flood = asyncio.create_task(pour((reader, writer), b"".join(batches), 100))
    try:
        await swallow(reader, 10)
    finally:
        flood.cancel()
        await asyncio.gather(flood, return_exceptions=True)
    if target.random.random() < 0.2:
        _, writer = await target.open(target.tokens["good"])
        writer.write(request(CancelAll(1)))
        await writer.drain()


async def never_read(target: Target) -> None:
    """Many requests with long answers, none of which is read."""
    streams = await target.open(receive_buffer=4096)
    streams[1].write(request(Subscribe(1, CHANNELS, 0, 0)))
    await pour(streams, request(ListInstruments(2)) * 50, 20)
    await asyncio.sleep(10)


async def silence(target: Target) -> None:
    """A connection without a handshake, or with a part of one."""
    reader, writer = await target.connect()
    writer.write(target.handshake()[: target.random.choice((0, 0, 10, 100))])
    await swallow(reader, 20)


async def header_sign_ins(target: Target) -> None:
    """Forged tokens, each in the handshake of a connection of its own."""
    for _ in range(50):
        _, writer = await target.open(target.tokens["forged"])
        writer.transport.abort()


async def pages(target: Target) -> None:
    """Pages and metrics, which are not read."""
    reader, writer = await target.connect(receive_buffer=4096)
    writer.write(b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % target.random.choice((b"/", b"/metrics", b"/page.js", b"/health")))
    await asyncio.sleep(target.random.random() * 6)
    await swallow(reader)


async def keys(target: Target) -> None:
    """Requests of one account, each with a key that is to be remembered."""
    streams = await target.open(target.tokens["good"])
    batch = b"".join(request(Place(id, INSTRUMENTS[0], "buy", 1, 1, key=target.random.randrange(1, 1 << 60))) for id in range(1, 200))
    flood = asyncio.create_task(pour(streams, batch + request(CancelAll(200)), 100))
    try:
        await swallow(streams[0], 10)
    finally:
        flood.cancel()
        await asyncio.gather(flood, return_exceptions=True)


async def guards(target: Target) -> None:
    """Guards of orders, dead-man timers, and no goodbye."""
    _, writer = await target.open(target.tokens["good"])
    for id in range(1, 40, 4):
        writer.write(
            request(CancelOnDisconnect(id, target.random.choice(("connection", "session")), 5000)) + request(DeadMan(id + 1, 60_000))
            + request(Place(id + 2, INSTRUMENTS[0], "buy", 1, 1))
        )
    await writer.drain()
    await asyncio.sleep(target.random.random() / 5)


ATTACKS: dict[Callable[[Target], Awaitable[None]], int] = {
    ping_flood: 3, half_frames: 20, slow_handshake: 100, connect: 12, reset: 3, oversize: 8, garbage: 12, nesting: 8, tokens: 12, subscriptions: 6, orders: 6,
    never_read: 20, silence: 300, header_sign_ins: 8, pages: 30, keys: 4, guards: 8,
}
"""Every attack, and in how many connections at once."""


async def attack(target: Target, seconds: float, connects: int, names: list[str]) -> Counter[str]:
    """All of them; how often each was begun, and with `!` how often the server cut it short."""
    counts: Counter[str] = Counter()
    clock = asyncio.get_running_loop().time
    end = clock() + seconds

    async def repeat(kind: Callable[[Target], Awaitable[None]], pause_s: float) -> None:
        opened: list[asyncio.StreamWriter] = []

        class Remembering(Target):
            async def connect(self, receive_buffer: int = 0) -> Streams:
                reader, writer = await super().connect(receive_buffer)
                opened.append(writer)
                return reader, writer

        while clock() < end:    # a cancellation can get lost in wait_for
            counts[kind.__name__] += 1
            try:
                await kind(Remembering(*target))
            except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError, RuntimeError):    # the last is uvloop's for a connection that is gone
                counts[f"{kind.__name__}!"] += 1
            finally:
                while opened:
                    opened.pop().transport.abort()
            await asyncio.sleep(pause_s)

    pauses = {connect: seconds * 10 / connects}    # twelve at once then come often enough
    chosen = {kind: count for kind, count in ATTACKS.items() if kind.__name__ in names}
    tasks = [asyncio.create_task(repeat(kind, pauses.get(kind, 0.01))) for kind, count in chosen.items() for _ in range(count)]
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in tasks:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    if failures:
        raise ExceptionGroup("attackers", failures)
    return counts


def main() -> None:
    """The command line."""
    ways, seconds, seed, connects, names, granted = sys.argv[1:]
    os.nice(NICE)
    target = Target(msgspec.json.decode(ways, type=list[Way]), msgspec.json.decode(granted, type=dict[str, str]), Random(seed))
    print(json.dumps(uvloop.run(attack(target, float(seconds), int(connects), names.split(",")))))


if __name__ == "__main__":
    main()
