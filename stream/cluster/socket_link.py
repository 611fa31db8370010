"""A link through a Unix socket: between an engine and the workers that serve its clients on the same machine."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from stream.cluster.link import HearNews, Leader
from stream.cluster.messages import Ask, Batch, Request, Status, decode_news, decode_request, encode

log = logging.getLogger("deltabook")

BEAT_S = 0.25
AGAIN_S = 0.1
LENGTH_BYTES = 4

WAITING_BYTES_MAX = 64 << 20
"""What waits for a worker that does not read, with more it is cut off, and asks for a snapshot when it is back; or for an engine, which is told again later."""


def framed(message: bytes) -> bytes:
    """A message behind its length."""
    return len(message).to_bytes(LENGTH_BYTES, "little") + message


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """The next message. IncompleteReadError at the end."""
    size = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "little")
    return await reader.readexactly(size)


class SocketEngineEnd:
    """Tells every worker what an engine publishes, and the engine what they ask."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._workers: dict[asyncio.StreamWriter, bool] = {}    # and whether it has a snapshot
        self._tasks: set[asyncio.Task[None]] = set()
        self._beating: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None
        self._leader: Leader | None = None

    async def start(self, leader: Leader) -> None:
        """Listen."""
        self._leader = leader
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path)
        self._path.chmod(0o600)
        self._beating = asyncio.create_task(self._beat(leader))

    async def stop(self) -> None:
        """Hear nobody any more."""
        if self._server:
            self._server.close()
        for writer in self._workers:
            writer.transport.abort()    # which ends who serves it
        if self._beating:
            self._beating.cancel()
        await asyncio.gather(*self._tasks, *filter(None, [self._beating]), return_exceptions=True)
        self._path.unlink(missing_ok=True)

    def publish(self, batch: Batch) -> None:
        """Have a batch told to everybody."""
        data = framed(encode(batch))
        for writer, follows in self._workers.items():
            if follows:
                self._write(writer, data)

    def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if writer.transport.get_write_buffer_size() > WAITING_BYTES_MAX:
            writer.transport.abort()
        else:
            writer.write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        assert self._leader
        self._tasks.add(task)
        self._workers[writer] = False
        try:
            while True:
                request = decode_request(await read_frame(reader))
                if isinstance(request, Ask):
                    self._workers[writer] = True
                    self._write(writer, framed(encode(self._leader.snapshot())))
                else:
                    self._leader.hear(request)
        except (asyncio.IncompleteReadError, OSError):
            pass
        except msgspec.MsgspecError as error:
            log.error("a worker's message cannot be read", extra={"reason": str(error)})
        finally:
            del self._workers[writer]
            self._tasks.discard(task)
            writer.close()

    async def _beat(self, leader: Leader) -> None:
        while True:
            data = framed(encode(leader.beat()))
            for writer in self._workers:
                self._write(writer, data)
            leader.gone.clear()
            await asyncio.sleep(BEAT_S)


class SocketGatewayEnd:
    """A worker's end: comes back when the engine does."""

    def __init__(self, path: Path, hear: HearNews) -> None:
        self._path = path
        self._hear = hear
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.status: Callable[[], Status] | None = None

    def start(self) -> None:
        """Begin to read and to beat."""
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._beat())]

    async def stop(self) -> None:
        """Leave."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def send(self, request: Request) -> None:
        """Have the engine told, if it is there and reads."""
        if self._writer and self._writer.transport.get_write_buffer_size() <= WAITING_BYTES_MAX:
            self._writer.write(framed(encode(request)))

    def ask(self) -> None:
        """Ask for the state of now."""
        self.send(Ask())

    async def _read(self) -> None:
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                reader, self._writer = await asyncio.open_unix_connection(self._path)
                try:
                    while True:
                        self._hear(decode_news(await read_frame(reader)))
                except (msgspec.MsgspecError, ExceptionGroup):
                    log.exception("the link caused an error")
                finally:
                    self._writer.close()
                    self._writer = None
            await asyncio.sleep(AGAIN_S)

    async def _beat(self) -> None:
        while True:
            if self.status:
                self.send(self.status())
            await asyncio.sleep(BEAT_S)
