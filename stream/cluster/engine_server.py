"""A node that can run a market's orders. It follows the leader until it may lead itself, and then has an engine."""

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from stream.access.keys import Key
from stream.cluster.engine import Engine
from stream.cluster.messages import STANDBY, Batch, Beat, Request, Snapshot, Status, ToldHistory
from stream.cluster.overview import follower_of
from stream.cluster.redis_client import AGAIN_S, BEAT_S, TIMEOUT_S, TROUBLE, close, connect, keys_of, require_noeviction
from stream.cluster.redis_engine import Lease, RedisEngineEnd, fence
from stream.cluster.redis_gateway import RedisGatewayEnd
from stream.cluster.redis_strays import of_wrong_type, remove_wrong_types
from stream.cluster.replica import Replica
from stream.cluster.state_file import StateFile, encode_aside, newest_in
from stream.cluster.succession import Inheritance, end_of, has_journal, inherit
from stream.journal.files import Disk
from stream.market.history import check_terms
from stream.server.market_server import ArchivedServer
from stream.settings.config import Config
from stream.sources import Source
from stream.system.clock import Clock
from stream.system.tasks import going_on, once
from stream.wire.times import MILLISECOND

log = logging.getLogger("deltabook")

CAUGHT_UP_S = 1.0
"""How long a follower has to read the rest of the log before it leads."""


class EngineServer(ArchivedServer):
    """An engine, and its pages on a TCP port: health and metrics."""

    def __init__(
        self, config: Config, keys: Sequence[Key], sources: Sequence[Source], clock: Clock, inheritance: Inheritance, term: int,
        publish: Callable[[Batch], None], tell: Callable[[ToldHistory], None],
    ) -> None:
        archive, history = inheritance.archive, inheritance.history
        clock = Clock(history.time)
        self.engine = Engine(
            config=config, keys=list(keys), sources=sources, now=clock.now(), history=history, journal=archive.journal if archive else None,
            position=inheritance.position, began=inheritance.began, term=term, publish=publish, tell=tell,
        )
        super().__init__(config, self.engine, clock, archive)
        self.gone = self.engine.gone

    @property
    def term(self) -> int:
        """The term in which it leads."""
        return self.engine.term

    @property
    def failure(self) -> str:
        """Why it cannot run anything any more, "" if it can."""
        return self.engine.failure

    def hear(self, request: Request) -> None:
        """Take in what a gateway tells, and tick soon."""
        self.engine.receive(request, self.clock.now())
        self.wake()

    def beat(self) -> Beat:
        """A sign of life, to be sent to all gateways now and then."""
        return self.engine.beat(self.clock.now())

    async def snapshot(self) -> StateFile:
        """The state at the first step of this coroutine. Raises OSError if it cannot be encoded."""
        return await encode_aside(self.term, self.engine.position, lambda: self.engine.pieces(self.clock.now()))


class Node:
    """One process of a market that could lead. `sources` is called when it begins to lead."""

    def __init__(self, config: Config, keys: Sequence[Key], sources: Callable[[], Sequence[Source]], stopped: asyncio.Event) -> None:
        self.name = config.node or f"{socket.gethostname()}-{os.getpid()}"
        self._config = config
        self._keys = keys
        self._sources = sources
        self._stopped = stopped
        self._redis = connect(config.redis)
        self.redis_keys = keys_of(config.cluster)
        self.lease = Lease(self._redis, self.redis_keys, self.name, config.lease_ms)
        self._clock = Clock()
        self.origin = secrets.randbits(63)
        self._beats = 0
        self._end = RedisGatewayEnd(connect(config.redis), self.redis_keys, self._hear, self._wants)
        self.replica = Replica(config, self._end.ask, self._clock.now())
        self._end.status = self._status
        self.link: RedisEngineEnd | None = None
        self._server: EngineServer | None = None
        self.offering: asyncio.Task[None] | None = None
        self._has_journal = has_journal(Disk(), config.journal)
        self._checked = 0    # snapshots whose terms have been compared with the configuration's
        self._fit = False    # whether the Redis has been looked at
        self.term = 0
        self.failure = ""    # why it led no longer, unless that was wanted

    def _hear(self, news: Batch | Beat | Snapshot | ToldHistory) -> None:
        if not isinstance(news, ToldHistory):
            self.replica.receive(news, self._clock.now())

    def _wants(self, term: int, position: int) -> bool:
        return self.replica.wants(term, position)

    def _status(self) -> Status:
        self._beats += 1
        behind_ms = max(0, self._clock.now() - self.replica.complete_at) // MILLISECOND
        return Status(
            origin=self.origin, role=STANDBY, name=self.name, beat=self._beats, term=self.replica.term, position=self.replica.position,
            connections=0, behind_ms=behind_ms,
        )

    async def follow(self) -> EngineServer | None:
        """Follow until this node leads. Returns its engine, or None if it was stopped before."""
        self._end.start()
        failing, not_before, loop = False, 0.0, asyncio.get_running_loop()
        try:
            while not self._stopped.is_set():
                self.replica.tick(self._clock.now())
                self._check()
                may_lead = False
                try:
                    if loop.time() < not_before:
                        await self._redis.ping()    # the leader renews its lease first, and tells again what Redis may have lost
                    else:
                        may_lead = await self._may_lead()
                    failing = False
                except TROUBLE as error:
                    if of_wrong_type(error):
                        with suppress(*TROUBLE):
                            await remove_wrong_types(self._redis, self.redis_keys)
                    if not failing:
                        log.warning("redis fails", extra={"what": "the lease", "reason": str(error)})
                    failing = True
                    not_before = loop.time() + self._config.lease_ms / 1000 + TIMEOUT_S
                except (AttributeError, RuntimeError):    # redis-py's client of a cluster that changes: it closes connections that another task writes to
                    log.exception("the link caused an error", extra={"what": "the lease"})
                if may_lead:
                    return await self._begin()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopped.wait(), AGAIN_S)
        except BaseException:
            if self.term:
                with suppress(*TROUBLE):
                    await self.lease.release(self.term)
            await self._leave()
            raise
        await self._leave()
        return None

    def _check(self) -> None:
        """ConfigError if this node could not lead the market that it follows, now rather than when it must."""
        if self.replica.state and self._checked != self.replica.snapshots:
            self._checked = self.replica.snapshots
            check_terms(self.replica.state.exchange, self._config, self._sources())

    async def _leave(self) -> None:
        await self._end.stop()
        await close(self._redis)

    async def _may_lead(self) -> bool:
        """Get the lease, and read everything that was published."""
        if not self._fit:
            await require_noeviction(self._redis)
            self._fit = True
        if not self.replica.state:
            other = await follower_of(self._redis, self.redis_keys, self.origin)
            if other:    # it is for that one to lead, rather than for a journal that may have ended long ago
                return False
        known = self.replica.term
        self.term = await self.lease.acquire(max(known, int(time.time())), known or int(self._has_journal))
        if not self.term:
            return False
        log.info("this node may lead now", extra={"node": self.name, "term": self.term})
        if await self._catch_up():
            return True
        await self.lease.release(self.term)
        await asyncio.sleep(self._config.lease_ms / 1000)
        return False

    async def _catch_up(self) -> bool:
        """Keep older leaders out, and read what they have written. Returns False if this node should not lead."""
        if not await fence(self._redis, self.redis_keys, self.term):
            return False
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CAUGHT_UP_S
        there = await self._redis.exists(self.redis_keys.snapshot) or self.replica.state
        while self.replica.term != self.term or (there and self.replica.lost):
            if loop.time() > deadline:
                log.critical("a part of the history is missing here: this node does not lead", extra={"position": self.replica.position})
                return False
            self.replica.tick(self._clock.now())
            await asyncio.sleep(0.01)
        if self._has_journal and not self.replica.state and await self._ends_early():
            log.critical("a part of the history is missing here: this node does not lead", extra={"told": self.replica.told})
            return False
        if self.replica.state or self._has_journal or self._config.role == "engine":
            return True
        log.warning("there is no market yet, and a standby does not begin one: start a node with the role engine")
        return False

    async def _ends_early(self) -> bool:
        """Whether the journal here ends earlier than what a leader has published, according to Redis."""
        renewing = going_on("the lease", self.renew)
        try:
            return await asyncio.to_thread(end_of, Disk(), self._config.journal) < self.replica.told
        finally:
            renewing.cancel()

    async def _begin(self) -> EngineServer:
        """Lead."""
        await self._end.stop()
        sources = self._sources()
        renewing = going_on("the lease", self.renew)
        try:
            inheritance = await asyncio.to_thread(
                inherit, Disk(), self._config, sources, self.replica, self._clock.now(), self._wake_from_thread, self.offer,
            )
        finally:
            renewing.cancel()
        server = self._server = EngineServer(self._config, self._keys, sources, self._clock, inheritance, self.term, self._publish, self._tell)
        self.link = RedisEngineEnd(self._redis, self.redis_keys, self.lease, server, self._config.link_bytes_kept, self._ended)
        if inheritance.records is not None and inheritance.position > inheritance.began:
            self.link.publish(Batch(self.term, inheritance.began, inheritance.began, inheritance.position, inheritance.records))
        await server.start()
        self.link.start()
        log.info("this node leads", extra={"node": self.name, "term": self.term, "position": inheritance.position, "epoch": server.engine.point(0).epoch})
        return server

    async def renew(self) -> None:
        """Keep the lease while a journal is read, which may take long."""
        await asyncio.sleep(BEAT_S)
        with suppress(*TROUBLE):
            await self.lease.renew(self.term)

    def _publish(self, batch: Batch) -> None:
        if self.link:
            self.link.publish(batch)

    def _tell(self, told: ToldHistory) -> None:
        if self.link:
            self.link.tell(told)

    def _wake_from_thread(self) -> None:
        if self._server:
            self._server.wake_from_thread()

    def offer(self) -> None:
        """There is a new snapshot in the journal's folder: publish it."""
        self.offering = once("the offer of a snapshot", self._offer_newest())

    async def _offer_newest(self) -> None:
        with suppress(*TROUBLE):
            state = await asyncio.to_thread(newest_in, self._config.journal, self.term)
            try:
                if self.link:
                    await self.link.offer(state)
            finally:
                state.close()

    def _ended(self, why: str) -> None:
        """This node must not lead any longer."""
        if why:
            log.critical("this node does not lead any more", extra={"node": self.name, "term": self.term, "reason": why})
            self.failure = why
        self._stopped.set()

    async def stop(self) -> None:
        """Run what has been taken in, tell it to the gateways, give the lease back, and close everything. Waits a few seconds for Redis at most."""
        assert self._server
        assert self.link
        self.link.stop_hearing()
        await self._server.run_what_has_gathered()
        await self.link.stop()
        await self._server.stop()
        await close(self._redis)
