"""What Redis knows of a market: who leads, and how far everybody is."""

import asyncio
from typing import NamedTuple

import msgspec

from stream.cluster import redis_snapshot
from stream.cluster.messages import Beat, Status, decode_news
from stream.cluster.redis_client import BEAT_S, Client, Keys


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
    """What there is now. Takes two beats, to see who gives a sign of life. RedisError if Redis does not answer."""
    before = await _nodes(redis, keys)
    await asyncio.sleep(2 * BEAT_S)
    nodes = await _nodes(redis, keys)
    async with redis.pipeline(transaction=False) as pipeline:
        pipeline.get(keys.lease)
        pipeline.get(keys.beat)
        pipeline.xlen(keys.log)
        pipeline.xlen(keys.commands)
        lease, beat, batches, requests = await pipeline.execute()
    snapshot = await redis_snapshot.look(redis, keys)
    found = decode_news(beat) if beat else Beat(0, 0, 0, 0)
    assert isinstance(found, Beat)
    silent = {origin for origin, status in nodes.items() if origin in before and before[origin].beat == status.beat}
    leader = lease.decode().partition(" ")[2] if lease else ""
    return Overview(leader, found, list(nodes.values()), silent, batches, requests, snapshot.size if snapshot else 0)


async def _nodes(redis: Client, keys: Keys) -> dict[int, Status]:
    found = await redis.hgetall(keys.nodes)
    return {status.origin: status for status in (msgspec.msgpack.decode(each, type=Status) for each in found.values())}


async def hand_over(redis: Client, keys: Keys, patience_s: float) -> str:
    """Have the leader leave, once there is another node that can lead; the one that does then, "" if that took too long. ValueError if it cannot be."""
    there = await look(redis, keys)
    if not there.leader:
        raise ValueError("nobody leads")
    if not any(each.role == "standby" and each.origin not in there.silent for each in there.nodes):
        raise ValueError("there is no standby that could lead")
    await redis.set(keys.handover, there.leader, px=int(patience_s * 1000))
    for _ in range(int(patience_s / BEAT_S)):
        await asyncio.sleep(BEAT_S)
        lease = await redis.get(keys.lease)
        leader = lease.decode().partition(" ")[2] if lease else ""
        if leader not in ("", there.leader):
            return str(leader)
    await redis.delete(keys.handover)
    return ""
