"""The latest snapshot in Redis: its head, which says where its parts are, and the parts, in a list of their own.

Since it is in parts, each part is written and read within the client's patience, however large the market is, and none is near the largest value of Redis.
"""

import logging
import secrets

import msgspec
from redis.exceptions import ResponseError

from stream.cluster.link import EncodedState, Wants
from stream.cluster.messages import LINK, Snapshot, encode
from stream.cluster.redis_client import Client, Keys
from stream.cluster.redis_strays import readable
from stream.cluster.state_file import decode_aside

log = logging.getLogger("deltabook")

PART_BYTES = 4 << 20

LEFTOVER_MS = 30_000
"""How long the parts of a snapshot stay after its successor, for processes that still read them. Parts of an unfinished snapshot stay as long."""


class SnapshotHead(msgspec.Struct, frozen=True, array_like=True):
    """Which snapshot it is, the key of its parts, how many there are, and their bytes in all."""

    term: int
    position: int
    parts_key: str
    parts: int
    size: int
    link: int = LINK


decode_head = msgspec.msgpack.Decoder(SnapshotHead).decode

FORGET = """
return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0
"""


async def look(redis: Client, keys: Keys) -> SnapshotHead | None:
    """The head of the latest one, if there is one that can be read."""
    return readable("the snapshot", await redis.get(keys.snapshot), decode_head)


async def write(redis: Client, keys: Keys, state: EncodedState) -> SnapshotHead | None:
    """Replace the latest snapshot. Returns the head of the new one. No process sees it before it is whole. Raises OSError if the state cannot be read."""
    before = await look(redis, keys)
    parts = range(0, state.size, PART_BYTES)
    head = SnapshotHead(state.term, state.position, f"{keys.snapshot}:{secrets.token_hex(8)}", len(parts), state.size)
    try:
        for start in parts:
            await redis.rpush(head.parts_key, (await state.part(start, PART_BYTES)).data)
            await redis.pexpire(head.parts_key, LEFTOVER_MS)
        async with redis.pipeline(transaction=True) as pipeline:
            pipeline.persist(head.parts_key)
            pipeline.set(keys.snapshot, encode(head))
            if before:
                pipeline.pexpire(before.parts_key, LEFTOVER_MS)
            await pipeline.execute()
    except ResponseError:    # there is no room for all of it
        await redis.unlink(head.parts_key)
        raise
    return before


async def read(redis: Client, keys: Keys, wants: Wants) -> Snapshot | None:
    """The latest snapshot, with its state if that is wanted. None if there is none, or if it disappeared while it was read.

    A snapshot that cannot be used is removed, so that the engine writes another one.
    """
    head = await look(redis, keys)
    if not head:
        return None
    if head.link != LINK:
        log.error("the snapshot in redis has another version, and is left as it is", extra={"snapshot": head.link, "here": LINK})
        return None
    if not wants(head.term, head.position):
        return Snapshot(head.term, head.position, None)
    snapshot = None
    data = await _joined(redis, head)
    if data is not None:
        snapshot = await decode_aside(head.term, head.position, data)
    if not snapshot and await redis.eval(FORGET, 1, keys.snapshot, encode(head)):
        log.error("the snapshot in redis cannot be used, and will be removed", extra={"parts": head.parts_key})
    return snapshot


async def _joined(redis: Client, head: SnapshotHead) -> bytearray | None:
    data = bytearray()
    for number in range(head.parts):
        try:
            part = await redis.lindex(head.parts_key, number)
        except ResponseError as error:
            log.error("the parts of a snapshot are not ours", extra={"key": head.parts_key, "reason": str(error)})
            return None
        if part is None:
            return None
        data += part
    return data


async def forget(redis: Client, keys: Keys) -> None:
    """Let Redis have the room at once."""
    head = await look(redis, keys)
    await redis.unlink(keys.snapshot, *([head.parts_key] if head else []))
