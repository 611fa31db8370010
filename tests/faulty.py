"""A server that does what the real one never would: every word of it is a test's."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

from stream import Client
from stream.wire.fields import Message
from stream.wire.messages import InForce, Request, Subscribe, Subscribed, Welcome

EPOCH = 7
decode = msgspec.msgpack.Decoder(Request).decode


class Peer(WSListener):
    """One connection of the server; `number` counts them from 1. What it does is the test's `script`."""

    def __init__(self, number: int, script: "Script", goodbyes: list[int]) -> None:
        self.number = number
        self._script = script
        self._goodbyes = goodbyes

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self._script(self, None)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.BINARY:
            self._script(self, decode(frame.get_payload_as_bytes()))
        elif frame.msg_type is WSMsgType.CLOSE:
            self._goodbyes.append(int(frame.get_close_code()))
            transport.disconnect()

    def say(self, *messages: Message) -> None:
        for message in messages:
            self.transport.send(WSMsgType.BINARY, msgspec.msgpack.encode(message))

    def welcome(self) -> None:
        self.say(Welcome("faulty", EPOCH, 0, 0, 500, None))

    def subscribed(self, request: Subscribe, *frames: Message) -> None:
        in_force = [InForce(channel, "snapshot", "new", 0, 0) for channel in request.channels]
        self.say(Subscribed(request.id, EPOCH, 0, in_force), *frames)

    def hang_up(self) -> None:
        """Cut the connection once all that was said has left."""
        self.transport.disconnect()

    def leave(self, code: int) -> None:
        self.transport.send_close(WSCloseCode(code) if code < 4000 else code, b"enough")    # type: ignore[arg-type]
        self.transport.disconnect()


Script = Callable[[Peer, Any], None]


class Faulty:
    """A server whose every word is the test's."""

    url: str

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.goodbyes: list[int] = []


@asynccontextmanager
async def faulty(script: Script) -> AsyncIterator[Faulty]:
    """Serve a script on a free port: it is called with None when a client has come, then with each of its requests."""
    faults = Faulty()

    def listener(_: Any) -> Peer:
        faults.peers.append(Peer(len(faults.peers) + 1, script, faults.goodbyes))
        return faults.peers[-1]

    server = await ws_create_server(listener, "127.0.0.1", 0)
    faults.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield faults
    finally:
        server.close()


class NoDelay(random.Random):
    """Takes off the most that a delay allows."""

    def random(self) -> float:
        return 1.0


def client_of(server: Faulty, **options: Any) -> Client:
    return Client(server.url, jitter=NoDelay(), **options)
