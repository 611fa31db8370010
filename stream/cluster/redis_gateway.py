"""A gateway's end of a link through Redis. Anything that fails is tried again. The replica and the forwarder notice what is lost meanwhile."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

from stream.cluster import redis_snapshot
from stream.cluster.link import HearNews, Wants
from stream.cluster.messages import AskHistory, Request, Status, decode_batch, decode_beat, decode_told, encode
from stream.cluster.redis_client import AGAIN_S, BEAT_S, BLOCK_MS, FIELD, TROUBLE, Client, Keys, close
from stream.cluster.redis_strays import readable

log = logging.getLogger("deltabook")

COMMANDS_KEPT = 100_000
"""Requests that wait in Redis for an engine, at most; an engine that lives takes them at once."""

BATCHES_AT_ONCE = 50

PENDING_BYTES_MAX = 16 << 20
"""Requests that wait here for Redis."""

OF_PIPELINE = "of pipeline caused error: "
"""What the client puts before an error of a pipeline, behind the command, whose bytes are nothing to read."""

ANSWERS_S = 10.0
"""So long after its last question a gateway looks for answers."""

Step = Callable[[], Coroutine[Any, Any, None]]


class Deposed(Exception):
    """Another engine leads now."""


async def persist(what: str, step: Step) -> None:
    """Do something again and again, until Deposed. Log once when Redis begins to fail, and once when it works again."""
    failing, task = False, asyncio.current_task()
    while task and not task.cancelling():    # the client can take a cancellation for a timeout of its own
        try:
            await step()
            if failing:
                log.warning("redis works again", extra={"what": what})
            failing = False
        except TROUBLE as error:
            if not failing:
                log.warning("redis fails", extra={"what": what, "reason": str(error).rpartition(OF_PIPELINE)[2] or type(error).__name__})
            failing = True
            await asyncio.sleep(AGAIN_S)
        except Deposed:
            raise
        except (Exception, asyncio.CancelledError):
            if task.cancelling():
                raise
            log.exception("the link caused an error", extra={"what": what})
            await asyncio.sleep(AGAIN_S)


async def cancelled(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class RedisGatewayEnd:
    """Hears news for `hear`, and the states that `wants` says are wanted. `status` is asked for what to tell of itself. Closes its Redis client in the end."""

    def __init__(self, redis: Client, keys: Keys, hear: HearNews, wants: Wants) -> None:
        self._redis = redis
        self._keys = keys
        self._hear = hear
        self._wants = wants
        self._wanted = False
        self._last = "0-0"
        self.pending: list[bytes] = []
        self._pending_bytes = 0
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.status: Callable[[], Status] | None = None
        self._asked = asyncio.Event()    # set while answers may come
        self._asker = 0
        self._asked_at = 0.0

    def start(self) -> None:
        """Begin to read, to send and to beat."""
        steps: dict[str, Step] = {"the log": self._read_news, "requests": self._send, "answers": self._read_answers, "beats": self._beat}
        self._tasks = [asyncio.create_task(persist(what, step)) for what, step in steps.items()]

    async def stop(self) -> None:
        """Say goodbye."""
        await cancelled(self._tasks)
        if self.status:
            with suppress(*TROUBLE):
                await self._redis.hdel(self._keys.nodes, str(self.status().origin))
        await close(self._redis)

    def send(self, request: Request) -> None:
        """Send a request to the engine. If too much already waits for a Redis that is away, it is dropped; it will be sent again."""
        if isinstance(request, AskHistory):
            self._asker, self._asked_at = request.origin, asyncio.get_running_loop().time()
            self._asked.set()
        if self._pending_bytes <= PENDING_BYTES_MAX:
            self.pending.append(encode(request))
            self._pending_bytes += len(self.pending[-1])
            self._news.set()

    def ask(self) -> None:
        """Ask for the latest snapshot."""
        self._wanted = True

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be sent."""
        return not self.pending

    async def _read_news(self) -> None:
        if self._wanted:
            await self.read_snapshot()
            self._wanted = False    # also what was asked for meanwhile
        await self.read_log(BLOCK_MS)

    async def read_snapshot(self) -> None:
        """Read the latest snapshot, if there is one; the log is read from there."""
        snapshot = await redis_snapshot.read(self._redis, self._keys, self._wants)
        if snapshot:
            self._last = f"{snapshot.term}-{snapshot.position}"
            self._hear(snapshot)

    async def read_log(self, block_ms: int | None) -> int:
        """Read what is behind the last batch, at most so many; how many there were.

        What cannot be read is passed over when a batch follows it; if none does, it is in the engine's way too, which removes it.
        """
        streams = await self._redis.xread({self._keys.log: self._last}, BATCHES_AT_ONCE, block_ms)
        entries = streams[0][1] if streams else []
        before = self._last
        for id, fields in entries:
            batch = readable(f"entry {id.decode()} of the log", fields.get(FIELD, b""), decode_batch)
            if batch:
                self._last = id.decode()
                self._hear(batch)
        if len(entries) == BATCHES_AT_ONCE and self._last == before:
            self._last = entries[-1][0].decode()
        elif entries and self._last == before:
            await asyncio.sleep(AGAIN_S)
        return len(entries)

    async def _send(self) -> None:
        await self._news.wait()
        self._news.clear()
        pending, self.pending, self._pending_bytes = self.pending, [], 0    # if this fails, the forwarder sends them again
        async with self._redis.pipeline(transaction=False) as pipeline:
            for request in pending:
                pipeline.xadd(self._keys.commands, {FIELD: request}, maxlen=COMMANDS_KEPT, approximate=True)
            await pipeline.execute()

    async def _read_answers(self) -> None:
        await self._asked.wait()
        found = await self._redis.blpop([self._keys.answers_to(self._asker)], timeout=BLOCK_MS / 1000)
        told = found and readable("an answer", found[1], decode_told)
        if told:
            self._hear(told)
        elif asyncio.get_running_loop().time() - self._asked_at > ANSWERS_S:
            self._asked.clear()

    async def _beat(self) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.get(self._keys.beat)
            if self.status:
                status = self.status()
                pipeline.hset(self._keys.nodes, str(status.origin), encode(status))
            beat = (await pipeline.execute())[0]
        found = readable("the engine's beat", beat, decode_beat)
        if found:
            self._hear(found)
        await asyncio.sleep(BEAT_S)
