"""Connects to Redis, and names the keys of a market there.

A client never retries by itself. Its caller decides what a failure means, and must hear of it at once.
"""

from typing import Any, NamedTuple

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError, ResponseError

from stream.cluster.redis_url import read
from stream.cluster.redis_url import without_password as without_password
from stream.settings.config import ConfigError

Client = Any
"""A client of redis-py, whose own types are unions over protocol versions that no caller can narrow."""

TIMEOUT_S = 1.0
"""A Redis that does not answer for this long counts as gone."""

BLOCK_MS = 100
"""How long a read waits for news."""

BEAT_S = 0.25
"""Signs of life, of engines and gateways, come this often."""

AGAIN_S = 0.1
"""The time before what failed is tried again."""

TROUBLE = (RedisError, RedisClusterException, OSError)
"""The exceptions of a Redis that is gone, slow, starting, full, not the master any more, or whose cluster lacks nodes: redis-py has no common one."""

FIELD = b"m"
"""The one field of each entry of a stream: an encoded message."""


class Keys(NamedTuple):
    """The keys of one market, all in one slot of a Redis Cluster."""

    log: str         # a stream of batches; ids are term-position, so that what comes twice or from a deposed leader is refused
    commands: str    # a stream of requests
    snapshot: str    # the head of the latest; its parts are in a key of their own
    beat: str        # the engine's latest
    lease: str       # who leads, as long as it lives
    term: str        # the highest ever
    nodes: str       # a hash of the gateways' and standbys' latest status, by origin
    handover: str    # exists while a planned hand-over is requested

    def answers_to(self, origin: int) -> str:
        """A list of what one gateway has asked and waits for."""
        return f"{self.nodes}:{origin}:answers"


def keys_of(market: str) -> Keys:
    """The keys of a market."""
    return Keys(*(f"{{deltabook:{market}}}:{name}" for name in Keys._fields))


def connect(url: str) -> Client:
    """A client for a URL; see the setting `redis`. ConfigError if it cannot be read."""
    where = read(url)
    timeouts: dict[str, Any] = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S}
    options = where.options | timeouts
    if where.kind == "cluster":
        return RedisCluster(startup_nodes=[ClusterNode(host, port) for host, port in where.hosts], **options)
    options["retry"] = Retry(NoBackoff(), 0)
    if where.kind == "sentinel":
        make: Any = Sentinel
        manager = make(where.hosts, sentinel_kwargs=where.sentinel | timeouts | {"retry": options["retry"]}, **timeouts)
        manager.sentinels = InOrder(manager.sentinels)
        return manager.master_for(where.master, **options)
    if "path" in options:
        return Redis(unix_socket_path=options.pop("path"), **options)
    (host, port), = where.hosts
    return Redis(host=host, port=port, **options)


class InOrder(list[Any]):
    """The clients of all sentinels. redis-py moves the one that answered to the front, and loses one if two searches for the master overlap; this does not."""

    def __setitem__(self, index: Any, value: Any) -> None:
        pass


async def close(redis: Client) -> None:
    """Close a client's connections, also those to the sentinels."""
    await redis.aclose()
    manager = getattr(getattr(redis, "connection_pool", None), "sentinel_manager", None)
    for sentinel in manager.sentinels if manager else ():
        await sentinel.aclose()


async def require_noeviction(redis: Client) -> None:
    """Raises ConfigError if the Redis may drop data when it is full. A Redis that does not allow the question is trusted."""
    try:
        found = await redis.config_get("maxmemory-policy")
    except ResponseError:
        return
    policy = found.get("maxmemory-policy", "noeviction")
    if policy != "noeviction":
        raise ConfigError(f"redis: its maxmemory-policy is {policy}: expected noeviction; otherwise it could drop orders")
