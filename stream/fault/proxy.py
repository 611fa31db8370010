"""The proxy: sockets on both sides of a plan's faults."""

import asyncio
import ssl
import struct
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from socket import SO_LINGER, SOL_SOCKET
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from stream.fault.kinds import End, Fault, HalfClose, Steps, ToClient, ToServer, Wait
from stream.fault.plan import FaultError, Plan

READ_BYTES = 1 << 16
CONNECT_S = 5.0
PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}


class Ended(Exception):
    """A fault ends its connection."""

    def __init__(self, reset: bool) -> None:
        self.reset = reset


class ProxiedConnection:
    """The connection of one client, and the connection to the server that belongs to it."""

    def __init__(self, fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._fault = fault
        self._reader = reader
        self._client = writer
        self._server: asyncio.StreamWriter | None = None

    async def run(self, open_server: Callable[[], Coroutine[Any, Any, tuple[asyncio.StreamReader, asyncio.StreamWriter]]]) -> None:
        """Carry what comes, as the fault decides, until the end."""
        reset = False
        tasks = []
        try:
            if self._fault.reaches_server:
                there, self._server = await open_server()
                tasks.append(asyncio.create_task(self._carry(there, self._fault.down, self._fault.server_left)))
            await self._play(self._fault.begin())
            tasks.append(asyncio.create_task(self._carry(self._reader, self._fault.up, lambda: (End(),))))
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            done.pop().result()
        except Ended as end:
            reset = end.reset
        except OSError:    # a side is gone, or the server was never there
            pass
        finally:
            for task in tasks:
                task.cancel()
            self.close(reset)
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(self, source: asyncio.StreamReader, fault: Callable[[bytes], Steps], left: Callable[[], Steps]) -> None:
        with suppress(ConnectionError):
            while data := await source.read(READ_BYTES):
                await self._play(fault(data))
        await self._play(left())
        await asyncio.Event().wait()    # the other side does not learn of it

    async def _play(self, steps: Steps) -> None:
        for step in steps:
            if isinstance(step, ToClient):
                await send(self._client, step.data)
            elif isinstance(step, ToServer):
                assert self._server
                await send(self._server, step.data)
            elif isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
            elif isinstance(step, HalfClose):
                self._client.write_eof()
            else:
                raise Ended(step.reset)

    def close(self, reset: bool = False) -> None:
        """End both sides."""
        connected = self._client.get_extra_info("socket")
        if reset and connected and connected.fileno() >= 0:
            connected.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            self._client.transport.abort()
        self._client.close()
        if self._server:
            self._server.close()


async def send(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send bytes once those before them are on their way."""
    if not writer.is_closing():
        writer.write(data)
        await writer.drain()


class FaultProxy:
    """Listens on a port of this machine (0: any free port). Passes each connection on to the server at `to`, with the fault that the plan has for it.

    `seen` counts the faults of the connections, by kind. `told` is called with the number and the fault of each connection.
    """

    def __init__(self, to: str, plan: Plan, port: int = 0, told: Callable[[int, str], None] = lambda number, fault: None) -> None:
        address = urlsplit(to)
        if address.scheme not in PORTS or not address.hostname:
            raise FaultError(f"{to!r}: expected the address of a server, such as ws://127.0.0.1:8080/v1")
        self._plan = plan
        self._before = 0    # connections that were there before the plan
        self.seen: Counter[str] = Counter()
        self.port = port
        self._told = told
        self._path = address.path
        tls = ssl.create_default_context() if address.scheme in ("wss", "https") else None
        self._open_server = partial(asyncio.open_connection, address.hostname, address.port or PORTS[address.scheme], ssl=tls)
        self._listener: asyncio.Server | None = None
        self._tasks: dict[asyncio.Task[None], ProxiedConnection] = {}

    @property
    def url(self) -> str:
        """Where clients find the server behind it."""
        return f"ws://127.0.0.1:{self.port}{self._path}"

    @property
    def connections(self) -> int:
        """How many there have been."""
        return self.seen.total()

    async def __aenter__(self) -> "FaultProxy":
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._listener
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def follow(self, plan: Plan) -> None:
        """Use another plan, starting with the next connection, which is its first."""
        self._plan, self._before = plan, self.connections

    def cut(self) -> None:
        """Reset every connection."""
        for task, connection in self._tasks.items():
            connection.close(reset=True)
            task.cancel()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.connections + 1
        spec, chance = self._plan(number - self._before)
        self.seen[spec.kind] += 1
        fault = spec.fault(chance)
        self._told(number, f"{spec.kind}:{fault.amount}" if fault.unit else spec.kind)
        connection = ProxiedConnection(fault, reader, writer)
        task = asyncio.create_task(connection.run(self._open))
        self._tasks[task] = connection
        task.add_done_callback(self._tasks.pop)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(CONNECT_S):
            return await self._open_server()
