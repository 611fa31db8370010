"""An engine's end of a link through Redis, and the lease that says which engine leads.

The ids of a leader's batches begin with its term, and the log takes no id that is not above its last one. So as soon as a new leader has written its first
entry, nothing from an older leader gets in, and no client is told that such a command was done. The lease only says when to try.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from redis.exceptions import ResponseError

from stream.cluster import redis_snapshot
from stream.cluster.link import EncodedState, Leader
from stream.cluster.messages import Batch, ToldHistory, decode_request, decode_status, encode, merged, parts, size_of
from stream.cluster.redis_client import BEAT_S, BLOCK_MS, FIELD, TROUBLE, Client, Keys
from stream.cluster.redis_gateway import Deposed, Step, cancelled, persist
from stream.cluster.redis_strays import of_wrong_type, readable, remove_stray, remove_wrong_types

log = logging.getLogger("deltabook")

REQUESTS_AT_ONCE = 500

ENTRY_BYTES = 1 << 17
"""Waiting batches are written as entries of about this many bytes, so that Redis can take and return each one in time."""

LOG_BYTES_MAX = 256 << 20
"""If there are more bytes than this in the log since the last snapshot, a new snapshot is written, so that Redis can drop what is older."""

LINGER_S = 0.001
"""After an entry. What comes meanwhile is one entry: four times fewer at 5,000 commands a second, and as much less work for Redis and each gateway."""

LAST_WORDS_S = 2.0
ANSWERS_MS = 10_000
"""How long an answer waits for a gateway that may be gone."""

POSITION_MAX = (1 << 64) - 1
REFUSED = "equal or smaller"
FULL = "used memory > 'maxmemory'"

ADD = """
local top, info = '0-0', redis.pcall('XINFO', 'STREAM', KEYS[1])
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then top = info[i + 1] end
end
if ARGV[2] ~= '' and top == ARGV[1] then redis.call('XADD', KEYS[1], ARGV[2], ARGV[3], ARGV[4]) end
return top
"""
"""Adds an entry if the log ends with the one that was told last; the id with which the log ended."""

NUMBER = """
local function number(key)
  local found = redis.pcall('GET', key)
  found = type(found) == 'string' and tonumber(found) or 0
  return found >= 0 and found < 2^53 and math.floor(found) or 0
end
"""
"""The number at a key; 0 if there is none."""

ACQUIRE = NUMBER + """
if redis.call('EXISTS', KEYS[1]) == 1 then
  if redis.call('PTTL', KEYS[1]) == -1 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
  return 0
end
local followed = tonumber(ARGV[4])
if followed > 0 and number(KEYS[2]) == 0 then
  redis.call('SET', KEYS[2], ARGV[4])
  redis.call('SET', KEYS[1], '', 'PX', ARGV[3])
  return 0
end
local term = math.max(number(KEYS[2]), tonumber(ARGV[2])) + 1
redis.call('SET', KEYS[2], term)
redis.call('SET', KEYS[1], term .. ' ' .. ARGV[1], 'PX', ARGV[3])
return term
"""

"""A lease without an expiry, such as a stray one, gets one. A leader whose term Redis may have lost gets time to renew."""

RENEW = NUMBER + """
local held = redis.pcall('GET', KEYS[1])
local another = type(held) == 'string' and held:find('^%d+ ') and held ~= ARGV[1] .. ' ' .. ARGV[2]
if another and redis.call('PTTL', KEYS[1]) ~= -1 then return 0 end
if number(KEYS[2]) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[2], ARGV[1])
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3])
return 1
"""

RELEASE = """
if redis.pcall('GET', KEYS[1]) == ARGV[1] .. ' ' .. ARGV[2] then redis.call('DEL', KEYS[1]) end
redis.call('DEL', KEYS[3])
return 0
"""


class Lease:
    """The right to try to lead, for a node."""

    def __init__(self, redis: Client, keys: Keys, node: str, lease_ms: int) -> None:
        self._redis = redis
        self._keys = keys.lease, keys.term, keys.handover
        self.node = node
        self._lease_ms = lease_ms

    async def acquire(self, known: int, followed: int) -> int:
        """A term above all that Redis or this node knows; 0 if another node leads. `followed`: the term of a leader that may exist, 0 for a new market."""
        return int(await self._redis.eval(ACQUIRE, 3, *self._keys, self.node, known, self._lease_ms, followed))

    async def renew(self, term: int) -> bool:
        """Renew the lease. Returns whether this node still leads."""
        return bool(await self._redis.eval(RENEW, 3, *self._keys, term, self.node, self._lease_ms))

    async def release(self, term: int) -> None:
        """Lead no longer."""
        await self._redis.eval(RELEASE, 3, *self._keys, term, self.node)


def id_of(term: int, position: int) -> str:
    """The id of a batch in the log."""
    return f"{term}-{position}"


def parsed(id: bytes) -> tuple[int, int]:
    """The term and the position of an id."""
    term, _, position = id.decode().partition("-")
    return int(term), int(position)


async def fence(redis: Client, keys: Keys, term: int) -> bool:
    """Let no batches of an older term into the log any more. Returns False if a later term has already begun."""
    try:
        await redis.xadd(keys.log, {FIELD: encode(Batch(term, 0, 0, 0, []))}, id_of(term, 0))
    except ResponseError as error:
        if REFUSED not in str(error):
            raise
        return await remove_stray(redis, keys, term, id_of(term - 1, POSITION_MAX)) and await fence(redis, keys, term)
    return True


class RedisEngineEnd:
    """Writes what an engine publishes, and reads requests for it. `ended` is called with the reason why it must not lead any more, "" for a hand-over."""

    def __init__(self, redis: Client, keys: Keys, lease: Lease, leader: Leader, bytes_kept: int, ended: Callable[[str], None]) -> None:
        self._redis = redis
        self._keys = keys
        self._lease = lease
        self._leader = leader
        self._term = leader.term
        self._bytes_kept = bytes_kept
        self._hears = True
        self._ended = ended
        self.pending: deque[Batch] = deque()
        self.pending_size = 0
        self._entries: deque[tuple[Batch, bytes]] = deque()    # what is next to be told
        self._news = asyncio.Event()
        self._all_told = asyncio.Event()
        self._all_told.set()
        self._kept: deque[tuple[Batch, bytes]] = deque()    # told already, to be told again if Redis forgets
        self._kept_size = 0
        self._last_command = "0-0"
        self._owes_snapshot = True
        self._snapshot_from = 0    # an older one would leave a hole between itself and the log
        self._snapshot_due = asyncio.Event()
        self._offering = asyncio.Lock()
        self._log_size = 0         # since the last snapshot
        self._told = self._term, 0    # the last id that Redis took
        self._answers: list[ToldHistory] = []
        self._answers_due = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to tell, the state of now first."""
        steps = {"the log": self._send, "the snapshot": self._tell_state, "requests": self._read, "answers": self._answer, "the lease": self._beat}
        self._tasks = [asyncio.create_task(self.persist(what, step)) for what, step in steps.items()]

    async def persist(self, what: str, step: Step) -> None:
        """Do a step again and again, whatever it raises. If another node leads, tell that instead and return. `what` it does is for the log."""
        async def step_with_room() -> None:
            try:
                await step()
            except ResponseError as error:
                if FULL in str(error):
                    await self._make_room()
                elif of_wrong_type(error):
                    await remove_wrong_types(self._redis, self._keys)
                raise

        try:
            await persist(what, step_with_room)
        except Deposed as deposed:
            self._ended(str(deposed))

    def stop_hearing(self) -> None:
        """Take in no more requests: they are for the next leader."""
        self._hears = False

    async def stop(self) -> None:
        """Write what is still waiting, as long as Redis answers, and give the lease back."""
        try:
            await asyncio.wait_for(self._all_told.wait(), LAST_WORDS_S)
        except TimeoutError:
            log.error("redis did not take all records before this node ended")
        await cancelled(self._tasks)
        try:
            await self._lease.release(self._term)
        except TROUBLE as error:
            log.warning("the lease could not be given back", extra={"reason": str(error)})

    def publish(self, batch: Batch) -> None:
        """Send a batch to all followers. If too much waits because Redis is away, a snapshot will replace it."""
        self.pending.extend(parts(batch, ENTRY_BYTES))
        self.pending_size += size_of(batch)
        if self.pending_size > self._bytes_kept:
            self.pending.clear()
            self.pending_size = 0
            self._owe_snapshot(batch.position)
        self._news.set()
        self._all_told.clear()

    def tell(self, told: ToldHistory) -> None:
        """Send an answer to the gateway that has asked. If Redis is away it is lost, and asked for again."""
        self._answers.append(told)
        self._answers_due.set()

    def _owe_snapshot(self, position: int) -> None:
        self._owes_snapshot = True
        self._snapshot_from = max(self._snapshot_from, position)

    # The log

    async def _send(self) -> None:
        """Add what is next as one entry after the last one, or only check that the last one is still there."""
        await self._news.wait()
        if not self._entries and self.pending:
            self._entries.append(self._gathered())
        entry = self._entries[0] if self._entries else None
        batch, data = entry or (None, b"")
        id = id_of(batch.term, batch.position) if batch else ""
        top = parsed(await self._redis.eval(ADD, 1, self._keys.log, id_of(*self._told), id, FIELD, data))
        if top > self._told and await remove_stray(self._redis, self._keys, self._term, id_of(*self._told)):
            return
        if top[0] > self._term:
            raise Deposed(f"the leader of term {top[0]} has written to the log")
        if entry and (top == self._told or id == id_of(*top)):    # now, or before, when the answer was lost
            self._note_told(*entry)
        elif top > self._told:
            raise Deposed(f"another leader has written to the log in term {top[0]}")
        elif top < self._told:
            self._tell_again(top)
        if not self._entries and not self.pending:
            self._news.clear()
            self._all_told.set()
        await asyncio.sleep(LINGER_S)

    def _gathered(self) -> tuple[Batch, bytes]:
        batches, size = [], 0
        while self.pending and size < ENTRY_BYTES:
            batches.append(self.pending.popleft())
            size += size_of(batches[-1])
        self.pending_size -= size
        batch = merged(batches)
        return batch, encode(batch)

    def _note_told(self, batch: Batch, data: bytes) -> None:
        self._entries.popleft()
        self._told = batch.term, batch.position
        self._log_size += len(data)
        self._kept.append((batch, data))
        self._kept_size += len(data)
        while self._kept_size > self._bytes_kept:
            self._kept_size -= len(self._kept.popleft()[1])

    def _tell_again(self, top: tuple[int, int]) -> None:
        """Redis has lost the end of the log, or all of it: write again what is kept of it."""
        log.warning("redis has lost a part of the log; writing it again", extra={"last": id_of(*top), "expected": id_of(*self._told)})
        while self._kept and (self._kept[-1][0].term, self._kept[-1][0].position) > top:
            self._kept_size -= len(self._kept[-1][1])
            self._entries.appendleft(self._kept.pop())
        if not self._entries or self._entries[0][0].prev > top[1]:
            self._owe_snapshot(self._told[1])
        self._told = top

    async def _tell_state(self) -> None:
        """Write the present state, in the background: a large one takes a while."""
        await self._snapshot_due.wait()
        state = await self._leader.snapshot()
        try:
            await self.offer(state)
        finally:
            state.close()
        self._snapshot_due.clear()

    async def offer(self, state: EncodedState) -> None:
        """Tell a state, and forget the log from before the one that was told last."""
        async with self._offering:
            if state.position < self._snapshot_from:
                return
            self._owe_snapshot(state.position)
            before = await redis_snapshot.write(self._redis, self._keys, state)
            self._owes_snapshot, self._log_size = state.position < self._snapshot_from, 0
            if before:
                await self._redis.xtrim(self._keys.log, minid=id_of(before.term, before.position), approximate=True)

    async def _make_room(self) -> None:
        """Redis is full, perhaps with our records: remove them there, and begin again with a snapshot."""
        log.error("redis is full: the records in it are removed; give it more memory, or lower journal_snapshot_commands")
        await self._redis.xtrim(self._keys.log, maxlen=0, approximate=False)
        await self._redis.xtrim(self._keys.commands, minid=self._last_command, approximate=False)
        await redis_snapshot.forget(self._redis, self._keys)
        self._owe_snapshot(self._told[1])

    # Requests

    async def _read(self) -> None:
        streams = await self._redis.xread({self._keys.commands: self._last_command}, REQUESTS_AT_ONCE, BLOCK_MS)
        if not self._hears:
            return
        for id, fields in streams[0][1] if streams else []:
            self._last_command = id.decode()
            request = readable(f"request {self._last_command}", fields.get(FIELD, b""), decode_request)
            if request:
                self._leader.hear(request)

    async def _answer(self) -> None:
        await self._answers_due.wait()
        self._answers_due.clear()
        answers, self._answers = self._answers, []
        async with self._redis.pipeline(transaction=False) as pipeline:
            for told in answers:
                pipeline.rpush(self._keys.answers_to(told.asker), encode(told))
                pipeline.pexpire(self._keys.answers_to(told.asker), ANSWERS_MS)
            await pipeline.execute()

    # Signs of life

    async def _beat(self) -> None:
        """Renew the lease, say where the engine is, look after Redis."""
        began = asyncio.get_running_loop().time()
        if self._leader.failure:
            raise Deposed(self._leader.failure)
        if not await self._lease.renew(self._term):
            raise Deposed("another node has the lease")
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.set(self._keys.beat, encode(self._leader.beat()))
            pipeline.hdel(self._keys.nodes, "", *(str(origin) for origin in self._leader.gone))
            pipeline.hgetall(self._keys.nodes)
            pipeline.xrevrange(self._keys.commands, count=1)
            pipeline.get(self._keys.snapshot)
            pipeline.get(self._keys.handover)
            pipeline.xtrim(self._keys.commands, minid=self._last_command)
            _, _, nodes, asked, offered, handover, _ = await pipeline.execute()
        self._leader.gone.clear()
        for field, data in nodes.items():
            status = readable("a node's status", data, decode_status)
            if status:
                self._leader.hear(status)
            else:
                await self._redis.hdel(self._keys.nodes, field)
        self._news.set()    # so that the log is looked at
        if self._owes_snapshot or not readable("the snapshot", offered, redis_snapshot.decode_head) or self._log_size > LOG_BYTES_MAX:
            self._snapshot_due.set()
        if asked and parsed(asked[0][0]) < parsed(self._last_command.encode()):
            self._last_command = "0-0"    # another stream, whose clock is behind
        if handover == self._lease.node.encode():
            self._ended("")
        elif handover:
            log.error("a hand-over was requested from a node that does not lead", extra={"node": handover.decode(errors="replace")})
            await self._redis.delete(self._keys.handover)
        await asyncio.sleep(max(0, began + BEAT_S - asyncio.get_running_loop().time()))
