"""aiohttp, on uvloop: `send_bytes` to each connection."""

import asyncio
import sys
import time
from contextlib import suppress

import uvloop
from aiohttp import web


async def main(size: int, period: int) -> None:
    """Serve for ever."""
    connections: set[web.WebSocketResponse] = set()

    async def handle(request: web.Request) -> web.WebSocketResponse:
        connection = web.WebSocketResponse(compress=False)
        await connection.prepare(request)
        connections.add(connection)
        async for _ in connection:
            pass
        connections.discard(connection)
        return connection

    application = web.Application()
    application.router.add_get("/", handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    payload = bytes(size - 8)
    due = time.monotonic_ns()
    while True:
        due += period
        await asyncio.sleep(max(0, due - time.monotonic_ns()) / 10**9)
        frame = payload + time.monotonic_ns().to_bytes(8)
        for connection in tuple(connections):
            with suppress(ConnectionError):
                await connection.send_bytes(frame)


uvloop.run(main(*map(int, sys.argv[1:])))
