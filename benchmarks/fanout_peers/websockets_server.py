"""websockets, on uvloop: its `broadcast`."""

import asyncio
import sys
import time

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve


async def main(size: int, period: int) -> None:
    """Serve for ever."""
    connections: set[ServerConnection] = set()

    async def handle(connection: ServerConnection) -> None:
        connections.add(connection)
        await connection.wait_closed()
        connections.discard(connection)

    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        payload = bytes(size - 8)
        due = time.monotonic_ns()
        while True:
            due += period
            await asyncio.sleep(max(0, due - time.monotonic_ns()) / 10**9)
            broadcast(connections, payload + time.monotonic_ns().to_bytes(8))


uvloop.run(main(*map(int, sys.argv[1:])))
