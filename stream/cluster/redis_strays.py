"""Handles foreign values at our keys: they are logged, and removed if they are in the way. They stop no process."""

import logging
from collections.abc import Callable
from typing import TypeVar

from redis.exceptions import ResponseError

from stream.cluster.messages import UNREADABLE, Batch, decode_batch
from stream.cluster.redis_client import FIELD, Client, Keys

log = logging.getLogger("deltabook")

WRONG_TYPE = "WRONGTYPE"

TYPES = Keys(log="stream", commands="stream", snapshot="string", beat="string", lease="string", term="string", nodes="hash", handover="string")
NONE = "none"

REMOVE = """
local term = redis.pcall('GET', KEYS[2])
if type(term) == 'string' and (tonumber(term) or 0) > tonumber(ARGV[2]) then return 0 end
local top = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 2)
if not top[1] or top[1][1] ~= ARGV[1] then return 0 end
redis.call('XDEL', KEYS[1], ARGV[1])
redis.call('XSETID', KEYS[1], top[2] and top[2][1] or ARGV[3])
return 1
"""
"""Removes the last entry of the log, and makes the one before it, or the one that was told last, its end; not if a later leader may have been there."""

Found = TypeVar("Found")


def readable(what: str, data: object, decode: Callable[[bytes], Found]) -> Found | None:
    """What was found in Redis, decoded; None if there was nothing, or if it cannot be read, which is told."""
    if data is None:
        return None
    try:
        if isinstance(data, bytes):
            return decode(data)
        reason = str(data)
    except UNREADABLE as error:
        reason = str(error)
    log.error("a value in redis cannot be read, and is skipped", extra={"what": what, "reason": reason})
    return None


async def remove_wrong_types(redis: Client, keys: Keys) -> None:
    """Remove what is of another type than ours at our keys."""
    for key, expected in zip(keys, TYPES, strict=True):
        found = (await redis.type(key)).decode()
        if found not in (expected, NONE):
            log.error("a key of ours in redis had a value of another type, which is removed", extra={"key": key, "type": found})
            await redis.unlink(key)


async def remove_stray(redis: Client, keys: Keys, term: int, told: str) -> bool:
    """Remove the last entry of the log if none of our processes can have written it: it would block all later ones. Returns whether it was there."""
    entries = await redis.xrevrange(keys.log, count=1)
    if not entries or is_ours(*entries[0]):
        return False
    id = entries[0][0].decode()
    log.error("an entry of the log is not ours, and is removed", extra={"id": id})
    return bool(await redis.eval(REMOVE, 2, keys.log, keys.term, id, term, told))


def is_ours(id: bytes, fields: dict[bytes, bytes]) -> bool:
    """Whether an entry says of itself what its id says."""
    try:
        batch: Batch = decode_batch(fields[FIELD])
    except UNREADABLE:
        return False
    return id.decode() == f"{batch.term}-{batch.position}"


def of_wrong_type(error: BaseException) -> bool:
    """Whether an error says that something of another type is at a key."""
    return isinstance(error, ResponseError) and WRONG_TYPE in str(error)
