"""A link through a Unix socket: between an engine and the workers that serve its clients on the same machine."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec

from stream.cluster.link import EncodedState, HearNews, Leader, Wants
from stream.cluster.messages import Ask, AskHistory, Batch, Request, Snapshot, StatePart, Status, ToldHistory, decode_news, decode_request, encode
from stream.cluster.state_file import decode_aside
from stream.system.tasks import going_on, once

log = logging.getLogger("deltabook")

BEAT_S = 0.25
AGAIN_S = 0.1
LENGTH_BYTES = 4

WAITING_BYTES_MAX = 64 << 20
"""The most bytes that wait for a worker that does not read. With more, it is cut off, and asks for a snapshot when it is back. The same for an engine."""

PART_BYTES = 1 << 20
"""A state is sent in parts of this many bytes. Each part is sent when the last one is nearly gone, so that no batch waits long behind it."""

BEHIND_BYTES_MAX = WAITING_BYTES_MAX // 2
"""Batches that are kept behind a state which is being encoded or told; with more, a later state is encoded for who asks next."""


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
        self.workers: dict[asyncio.StreamWriter, bool] = {}    # and whether it is told the batches, for its state is on the way
        self.telling: Telling | None = None
        self._askers: dict[int, asyncio.StreamWriter] = {}    # by origin
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
        self._beating = going_on("beats to the workers", partial(self._beat, leader))

    async def stop(self) -> None:
        """Hear nobody any more."""
        if self._server:
            self._server.close()
        for writer in self.workers:
            writer.transport.abort()    # which ends who serves it
        if self._beating:
            self._beating.cancel()
        await asyncio.gather(*self._tasks, *filter(None, [self._beating]), return_exceptions=True)
        self._path.unlink(missing_ok=True)

    def publish(self, batch: Batch) -> None:
        """Send a batch to all followers."""
        data = framed(encode(batch))
        if self.telling and not self.telling.keep(data):
            self.telling = None
        for writer, follows in self.workers.items():
            if follows:
                self._write(writer, data)

    def tell(self, told: ToldHistory) -> None:
        """Send an answer to the worker that has asked, if it is there."""
        writer = self._askers.get(told.asker)
        if writer in self.workers:
            self._write(writer, framed(encode(told)))

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
        self.workers[writer] = False
        telling: asyncio.Task[None] | None = None
        try:
            while True:
                request = decode_request(await read_frame(reader))
                if isinstance(request, Ask):
                    if not telling or telling.done():
                        telling = once("the state to a worker", self._tell_state(writer))
                else:
                    if isinstance(request, AskHistory):
                        self._askers[request.origin] = writer
                    self._leader.hear(request)
        except (asyncio.IncompleteReadError, OSError):
            pass
        except msgspec.MsgspecError as error:
            log.error("a worker's message cannot be read", extra={"reason": str(error)})
        except Exception:
            log.exception("a worker's message caused an error")    # the worker reconnects, and asks for the state at that time
        finally:
            if telling:
                telling.cancel()
                await asyncio.gather(telling, return_exceptions=True)
            del self.workers[writer]
            self._askers = {origin: other for origin, other in self._askers.items() if other is not writer}
            self._tasks.discard(task)
            writer.close()

    async def _tell_state(self, writer: asyncio.StreamWriter) -> None:
        """Tell a worker the state, and from then on every batch behind it."""
        assert self._leader
        self.workers[writer] = False
        while True:
            telling = self.telling = self.telling or Telling(self._leader)
            try:
                state = await telling.join()
                if telling is self.telling:
                    for start in range(0, state.size, PART_BYTES):
                        writer.write(framed(encode(await state.part(start, PART_BYTES))))
                        if not start:
                            writer.write(b"".join(telling.behind))
                            self.workers[writer] = True
                        await writer.drain()
                    return
            except ConnectionError:
                return
            except OSError as error:
                log.error("the state cannot be sent to a worker", extra={"reason": str(error)})
            except Exception:
                writer.transport.abort()    # the worker comes back, and asks again
                raise
            finally:
                if telling.leave() and telling is self.telling:
                    self.telling = None
            await asyncio.sleep(BEAT_S)

    async def _beat(self, leader: Leader) -> None:
        data = framed(encode(leader.beat()))
        for writer in self.workers:
            self._write(writer, data)
        leader.gone.clear()
        await asyncio.sleep(BEAT_S)


class Telling:
    """A state on its way to every worker that asks meanwhile, encoded once, and the batches behind it."""

    def __init__(self, leader: Leader) -> None:
        self.behind: list[bytes] = []
        self._behind_bytes = 0
        self._encoding: asyncio.Task[EncodedState] = asyncio.create_task(leader.snapshot())
        self.readers = 0

    def keep(self, data: bytes) -> bool:
        """Keep a batch for who comes later; False if that is too much."""
        self.behind.append(data)
        self._behind_bytes += len(data)
        return self._behind_bytes <= BEHIND_BYTES_MAX

    async def join(self) -> EncodedState:
        """The state, for one more worker, until it leaves. OSError if it cannot be encoded."""
        self.readers += 1
        return await asyncio.shield(self._encoding)

    def leave(self) -> bool:
        """Whether that was the last one."""
        self.readers -= 1
        if not self.readers and not self._encoding.cancel() and not self._encoding.exception():
            self._encoding.result().close()
        return not self.readers


class SocketGatewayEnd:
    """A worker's end: comes back when the engine does. Hears news for `hear`, and the states that `wants` says are wanted."""

    def __init__(self, path: Path, hear: HearNews, wants: Wants) -> None:
        self._path = path
        self._hear = hear
        self._wants = wants
        self._asked = False
        self._state = bytearray()    # what has come of one
        self._behind: list[Batch] | None = None    # the batches that came meanwhile, if any has
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.status: Callable[[], Status] | None = None

    def start(self) -> None:
        """Begin to read and to beat."""
        self._tasks = [going_on("news of the engine", self._read), going_on("beats to the engine", self._beat)]

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
        """Ask for the state of now, unless it is on its way; once there is an engine."""
        if not self._asked:
            self._asked = True
            self.send(Ask())

    async def _read(self) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, self._writer = await asyncio.open_unix_connection(self._path)
            try:
                self._behind = None
                if self._asked:
                    self.send(Ask())
                while True:
                    match decode_news(await read_frame(reader)):
                        case StatePart() as part:
                            await self._take_part(part)
                        case Batch() as batch if self._behind is not None:
                            self._behind.append(batch)
                        case news:
                            self._hear(news)
            finally:
                self._writer.close()
                self._writer = None
        await asyncio.sleep(AGAIN_S)

    async def _take_part(self, part: StatePart) -> None:
        """Take in a part of a state. When that is whole, have it heard, and what came behind it."""
        if not part.start:
            self._state, self._behind = bytearray(), []
        self._state += part.data
        if len(self._state) < part.size or self._behind is None:
            return
        state, self._state = self._state, bytearray()
        behind, self._behind = self._behind, None
        wanted = self._wants(part.term, part.position)
        snapshot = await decode_aside(part.term, part.position, state) if wanted else Snapshot(part.term, part.position, None)
        self._asked = False
        if snapshot:
            self._hear(snapshot)
            for batch in behind:
                self._hear(batch)

    async def _beat(self) -> None:
        if self.status:
            self.send(self.status())
        await asyncio.sleep(BEAT_S)
