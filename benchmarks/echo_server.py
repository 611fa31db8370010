"""The yardstick of the order path: picows's own echo, in Python. `python -m benchmarks.echo_server` prints its port, and serves until it is killed."""

import asyncio

import uvloop
from picows import WSFrame, WSListener, WSTransport, WSUpgradeRequest, ws_create_server


class Echo(WSListener):
    """Sends back what comes."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame has come."""
        transport.send(frame.msg_type, frame.get_payload_as_bytes())


def listener(request: WSUpgradeRequest) -> Echo:
    """Who listens to a new connection."""
    return Echo()


async def serve() -> None:
    """Serve for ever."""
    server = await ws_create_server(listener, "127.0.0.1", 0, enable_auto_pong=False)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve())
