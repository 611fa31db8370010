"""A TCP proxy that a test can break: what is cut is gone, what is silent stays open and says nothing."""

import asyncio
from contextlib import suppress


class Proxy:
    """Forwards every connection to a port. `up` and `down` say whether bytes get through, to the server and back."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.up = self.down = True
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, to = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, to}
        for source, sink, up in ((reader, to, True), (there, writer, False)):
            task = asyncio.create_task(self._pump(source, sink, up))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, up: bool) -> None:
        with suppress(OSError):
            while data := await source.read(1 << 16):
                if self.up if up else self.down:
                    sink.write(data)
                    await sink.drain()
        sink.close()
        self._writers.discard(sink)

    def cut(self) -> None:
        """Break every connection off."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def heal(self) -> None:
        """Let everything through; connections that have lost bytes are broken off, for half a message is no message."""
        if not (self.up and self.down):
            self.cut()
        self.up = self.down = True

    async def stop(self) -> None:
        if self._server:
            self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
