"""The way of a frame to its clients: who gets what, in which bytes, and what becomes of what a socket does not take."""

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest
import uvloop

from stream.feed.delivery import Outbox, Subscription, Traffic, deliver
from stream.server.socket_writer import SocketWriter, write_all
from stream.wire.codec import JSON, MSGPACK, Codec, Shared
from stream.wire.codes import CloseCode
from stream.wire.messages import Pong
from tests.waiting import until

CLOSED = CloseCode.SHUTTING_DOWN, ""


class Box(Outbox):
    """An outbox that notes when it overflows."""

    def __init__(self, traffic: Traffic | None = None, codec: Codec = MSGPACK, bytes_max: int = 1 << 20) -> None:
        super().__init__(traffic or Traffic(), codec, bytes_max)
        self.overflows = 0

    def overflow(self) -> None:
        self.overflows += 1


def test_an_outbox_asks_to_be_written_and_counts_what_was() -> None:
    traffic = Traffic()
    first, second = Box(traffic), Box(traffic)
    for box, frame in ((second, b"a"), (first, b"bc"), (second, b"d")):
        box.put(frame)
    assert list(traffic.take_waiting()) == [second, first]
    assert not traffic.waiting
    assert (second.out_bytes, second.take_out(), first.take_out()) == (2, b"ad", b"bc")
    assert (second.out, second.out_bytes, traffic.writes, traffic.bytes_written) == ([], 0, 2, 4)


def test_a_closed_outbox_takes_nothing() -> None:
    box = Box()
    box.closed = CLOSED
    box.put(b"a")
    assert box.out == []


def test_an_outbox_says_when_it_overflows() -> None:
    box = Box(bytes_max=3)
    for overflows in (0, 1, 2):
        box.put(b"ab")
        assert box.overflows == overflows


def test_outboxes_with_the_same_frames_share_their_bytes() -> None:
    traffic = Traffic()
    frames = [bytes([i]) * 10 for i in range(3)]
    boxes = [Box(traffic) for _ in range(4)]
    for box in boxes[:3]:
        for frame in frames[: 2 + (box is boxes[2])]:
            box.put(frame)
    for frame in (frames[1], frames[0]):
        boxes[3].put(frame)
    pieces = [box.take_out() for box in boxes]
    assert pieces[0] is pieces[1]
    assert pieces == [b"".join(frames[:2]), b"".join(frames[:2]), b"".join(frames), frames[1] + frames[0]]


def test_shared_bytes_are_never_those_of_other_frames() -> None:
    random, traffic = Random(1), Traffic()
    frames = [bytes([i]) * random.randrange(1, 5) for i in range(12)]
    for _ in range(5_000):
        chosen = random.sample(frames, random.randrange(1, 4))
        box = Box(traffic)
        for frame in chosen:
            box.put(frame)
        assert box.take_out() == b"".join(chosen)


def test_a_message_goes_to_everybody_in_step_in_the_words_of_each() -> None:
    message = Shared(Pong(1, 2))
    in_step = [Subscription(Box(codec=codec), None) for codec in (MSGPACK, JSON, MSGPACK)]    # type: ignore[arg-type]
    late, full = (Subscription(Box(), None) for _ in range(2))    # type: ignore[arg-type]
    for subscription in (*in_step, full):
        subscription.in_step = True
    full.listener.takes_frames = False
    assert deliver([late, *in_step, full], [message, message], 7) == [late, full]
    assert [subscription.listener.out for subscription in in_step] == [[message.frame(codec)] * 2 for codec in (MSGPACK, JSON, MSGPACK)]
    assert [subscription.seq for subscription in in_step] == [7, 7, 7]
    assert late.seq == full.seq == -1
    assert late.listener.out == full.listener.out == []


class Peer(asyncio.Protocol):
    """The server's end of a connection, and a bare socket at the other."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.lost = asyncio.Event()

    @classmethod
    async def connect(cls, buffer: int = 1 << 16) -> "Peer":
        loop, peer = asyncio.get_running_loop(), cls()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
            peer.client = socket.socket()
            peer.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            peer.client.connect(listener.getsockname())
            accepted, _ = listener.accept()
        accepted.setblocking(False)
        peer.client.setblocking(False)
        await loop.create_connection(lambda: peer, sock=accepted)
        return peer

    client: socket.socket
    transport: Any

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.writer = SocketWriter(transport)

    def pause_writing(self) -> None:
        self.writer.pause()
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, exception: Exception | None) -> None:
        self.calls.append("lost")
        self.writer.detach()
        self.lost.set()

    async def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            got = await asyncio.get_running_loop().sock_recv(self.client, 1 << 16)
            assert got
            data += got
        return data

    async def close(self) -> None:
        self.client.close()
        self.transport.abort()
        await self.lost.wait()


LOOPS = pytest.mark.parametrize("new_loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])


def run(new_loop: Callable[[], asyncio.AbstractEventLoop], test: Callable[[Peer], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        peer = await Peer.connect()
        try:
            await test(peer)
        finally:
            await peer.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(asyncio.wait_for(main(), 20))


@LOOPS
def test_a_write_reaches_the_socket_at_once(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def test(peer: Peer) -> None:
        peer.writer.write(b"abc")
        assert peer.client.recv(100) == b"abc"    # the loop has not turned
        assert peer.transport.get_write_buffer_size() == 0

    run(new_loop, test)


@LOOPS
def test_what_the_kernel_does_not_take_follows_in_order(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def test(peer: Peer) -> None:
        peer.transport.set_write_buffer_limits(high=0)
        pieces = [Random(i).randbytes(1 << 18) for i in range(8)]
        for piece in pieces:
            peer.writer.write(piece)
        assert 0 < peer.transport.get_write_buffer_size() < sum(map(len, pieces))
        peer.writer.write(b"the end")
        assert await peer.read(8 * (1 << 18) + 7) == b"".join(pieces) + b"the end"
        await until(lambda: "resume" in peer.calls)
        assert peer.calls == ["pause", "resume"]
        peer.writer.write(b"again")
        assert await peer.read(5) == b"again"

    run(new_loop, test)


@LOOPS
def test_a_write_does_not_overtake_what_the_transport_holds(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def test(peer: Peer) -> None:
        peer.transport.write(b"first")
        peer.writer.write(b"second")
        assert await peer.read(11) == b"firstsecond"

    run(new_loop, test)


@LOOPS
def test_a_peer_that_is_gone_is_found_out_by_the_transport(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def test(peer: Peer) -> None:
        peer.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.client.close()    # resets
        while not peer.lost.is_set():
            peer.writer.write(b"abc")
            await asyncio.sleep(0)
        peer.writer.write(b"abc")
        assert peer.calls[-1] == "lost"

    run(new_loop, test)


@LOOPS
def test_a_detached_writer_never_writes_to_a_number_that_is_anothers_now(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def test(peer: Peer) -> None:
        number = peer.transport.get_extra_info("socket").fileno()
        mine, other = socket.socketpair()
        other.setblocking(False)
        peer.transport.abort()
        await peer.lost.wait()
        await until(lambda: not is_open(number))
        os.dup2(mine.fileno(), number)
        with mine, other, socket.socket(fileno=number):
            peer.writer.write(b"secret")
            with pytest.raises(BlockingIOError):
                other.recv(10)

    run(new_loop, test)


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


class FakeTransport:
    """A transport that only notes what is written; `secure` is whether it encrypts."""

    def __init__(self, number: int, secure: bool = False, held: int = 0) -> None:
        self.socket = socket.socket(fileno=number) if number >= 0 else None
        self.secure = secure
        self.held = held
        self.written: list[bytes] = []

    def get_extra_info(self, name: str) -> object:
        return {"socket": self.socket, "ssl_object": self if self.secure else None}[name]

    def get_write_buffer_size(self) -> int:
        return self.held

    def write(self, data: bytes) -> None:
        self.written.append(data)


def test_what_is_to_be_encrypted_goes_through_the_transport() -> None:
    mine, other = socket.socketpair()
    with mine, other:
        transport = FakeTransport(mine.detach(), secure=True)
        SocketWriter(transport).write(b"abc")    # type: ignore[arg-type]
        assert transport.written == [b"abc"]
        assert transport.socket
        transport.socket.close()
        assert other.recv(10) == b""


def test_one_turn_writes_what_everybody_says_who_can_be_written_to() -> None:
    traffic = Traffic()
    boxes = [Box(traffic) for _ in range(5)]
    pairs = [socket.socketpair() for _ in boxes]
    transports = [FakeTransport(mine.detach()) for mine, _ in pairs]
    for i, (box, transport) in enumerate(zip(boxes, transports, strict=True)):
        box.writer = SocketWriter(transport)    # type: ignore[arg-type]
        box.put(b"a%d" % i)
        box.put(b"b")
    full, closed, unattached = boxes[1], boxes[2], boxes[3]
    full.writable = False
    closed.closed = CLOSED
    unattached.writer = None
    assert write_all(traffic) == [closed]
    assert [bool(box.out) for box in boxes] == [False, True, True, True, False]
    assert traffic.writes == 2
    for i, ((_, other), transport) in enumerate(zip(pairs, transports, strict=True)):
        other.setblocking(False)
        if i in (0, 4):
            assert other.recv(10) == b"a%db" % i
        else:
            with pytest.raises(BlockingIOError):
                other.recv(10)
        other.close()
        assert transport.socket
        transport.socket.close()
    assert write_all(traffic) == []
