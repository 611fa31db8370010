"""What Redis knows of a market: which node leads, and how far each process is."""

import asyncio
from typing import NamedTuple

from redis.exceptions import ResponseError

from stream.cluster import redis_snapshot
from stream.cluster.messages import STANDBY, Beat, Status, decode_beat, decode_status
from stream.cluster.redis_client import BEAT_S, Client, Keys
from stream.cluster.redis_strays import readable


class Overview(NamedTuple):
    """`leader` is the node that leads, "" for none; `nodes` are the others, those in `silent` without a sign of life; the rest is what Redis holds."""

    leader: str
    beat: Beat
    nodes: list[Status]
    silent: set[int]
    batches: int
    requests: int
    snapshot_bytes: int


async def look(redis: Client, keys: Keys) -> Overview:
    """The present state of the market in Redis. It waits for two beats, to see which processes are alive. Raises RedisError if Redis does not answer."""
    before = await nodes_of(redis, keys)
    await asyncio.sleep(2 * BEAT_S)
    nodes = await nodes_of(redis, keys)
    async with redis.pipeline(transaction=False) as pipeline:
        pipeline.get(keys.beat)
        pipeline.get(keys.snapshot)
        pipeline.xlen(keys.log)
        pipeline.xlen(keys.commands)
        beat, head, batches, requests = await pipeline.execute(raise_on_error=False)
    snapshot = readable("the snapshot", head, redis_snapshot.decode_head)
    found = readable("the engine's beat", beat, decode_beat) or Beat(0, 0, 0, 0)
    batches, requests = (readable(what, count, len) or 0 if isinstance(count, ResponseError) else count for what, count in
                         (("the log", batches), ("the commands", requests)))
    silent = {origin for origin, status in nodes.items() if origin in before and before[origin].beat == status.beat}
    return Overview(
        leader=await _leader(redis, keys), beat=found, nodes=list(nodes.values()), silent=silent, batches=batches, requests=requests,
        snapshot_bytes=snapshot.size if snapshot else 0,
    )


async def nodes_of(redis: Client, keys: Keys) -> dict[int, Status]:
    """The last status of each gateway and standby, by origin. Some of them may be gone."""
    async with redis.pipeline(transaction=False) as pipeline:
        pipeline.hgetall(keys.nodes)
        [found] = await pipeline.execute(raise_on_error=False)
    if not isinstance(found, dict):
        readable("the nodes", found, decode_status)
        return {}
    nodes = [readable("a node's status", each, decode_status) for each in found.values()]
    return {status.origin: status for status in nodes if status}


async def _leader(redis: Client, keys: Keys) -> str:
    """The node that has the lease, "" for none."""
    async with redis.pipeline(transaction=False) as pipeline:
        pipeline.get(keys.lease)
        [lease] = await pipeline.execute(raise_on_error=False)
    return readable("the lease", lease, holder) or ""


def holder(lease: bytes) -> str:
    """The node in a lease. Raises ValueError if the text is not a lease."""
    term, _, node = lease.decode().partition(" ")
    int(term or 0)
    return node


async def follower_of(redis: Client, keys: Keys, origin: int) -> str:
    """A standby, other than `origin`, that has the market's state and gives signs of life; "" for none. Takes two beats if there may be one."""

    def having_it(nodes: dict[int, Status]) -> dict[int, Status]:
        return {each.origin: each for each in nodes.values() if each.role == STANDBY and each.position and each.origin != origin}

    before = having_it(await nodes_of(redis, keys))
    if not before:
        return ""
    await asyncio.sleep(2 * BEAT_S)
    after = having_it(await nodes_of(redis, keys))
    return next((each.name for each in after.values() if each.origin in before and before[each.origin].beat != each.beat), "")


async def hand_over(redis: Client, keys: Keys, patience_s: float) -> str:
    """Make the leader leave once another node can lead. Returns the new leader, "" if that took too long. Raises ValueError if it is not possible."""
    there = await look(redis, keys)
    if not there.leader:
        raise ValueError("no process leads this market")
    if not any(each.role == STANDBY and each.origin not in there.silent for each in there.nodes):
        raise ValueError("there is no standby that could lead this market")
    await redis.set(keys.handover, there.leader, px=int(patience_s * 1000))
    for _ in range(int(patience_s / BEAT_S)):
        await asyncio.sleep(BEAT_S)
        leader = await _leader(redis, keys)
        if leader not in ("", there.leader):
            return leader
    await redis.delete(keys.handover)
    return ""
