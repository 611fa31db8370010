"""FastAPI by uvicorn, on uvloop and httptools: it answers an order with a text, and sends a text to all who follow, so often. There is no engine behind it.

    python benchmarks/fastapi_server.py ANSWER UPDATE PERIOD_NS

It prints its port, and serves until it is killed.
"""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import uvicorn
from fastapi import FastAPI, Header, Query, WebSocket, WebSocketDisconnect


def main(answer: str, update: str, period: str) -> None:
    """Serve for ever."""
    answered, followers = json.loads(answer), set[WebSocket]()

    async def tell() -> None:
        while True:
            await asyncio.sleep(int(period) / 10**9)
            for follower in list(followers):
                await follower.send_text(update)

    @asynccontextmanager
    async def telling(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(tell())
        yield
        task.cancel()

    application = FastAPI(lifespan=telling)

    @application.post("/api/v3/order")
    async def place(
        symbol: str, side: str, type: str, quantity: Decimal, price: Decimal, timestamp: int, signature: str, x_mbx_apikey: str = Header(),
        window: int = Query(5000, alias="recvWindow"), time_in_force: str = Query("GTC", alias="timeInForce"),
    ) -> Any:
        return answered

    @application.websocket("/ws/{name}")
    async def follow(websocket: WebSocket) -> None:
        await websocket.accept()
        followers.add(websocket)
        try:
            while True:
                await websocket.receive_text()
        except WebSocketDisconnect:
            followers.discard(websocket)

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(application, loop="uvloop", http="httptools", log_level="error")).run([listener])


if __name__ == "__main__":
    main(*sys.argv[1:])
