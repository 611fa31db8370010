"""What a Redis URL says: servers, user, password, database, TLS, and how to sign in at the sentinels.

redis-py reads each part that it can read; what it would pass over in silence is an error here. No text of an error holds a password.
"""

from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.connection import parse_url as _parse_url

from stream.settings.config import ConfigError

parse_url: Callable[[str], dict[str, Any]] = _parse_url

KINDS = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname")
SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password", "sentinel_ssl")
SENTINEL_PORT = 26379
PORT = 6379


class RedisUrl(NamedTuple):
    """One URL, read."""

    kind: str                       # "", "sentinel" or "cluster"
    hosts: list[tuple[str, int]]    # none for a socket in the file system
    master: str                     # the sentinels' name for it
    options: dict[str, Any]         # of a connection to the Redis: username, password, db, ssl, path
    sentinel: dict[str, Any]        # of a connection to a sentinel


def without_password(url: str) -> str:
    """A URL as it may be shown."""
    scheme, _, rest = url.partition("://")
    rest, mark, query = rest.partition("?") if rest.rpartition("@")[2] == rest else rest.rpartition("@")[2].partition("?")
    shown = urlencode([(name, value) for name, value in parse_qsl(query) if "password" not in name], safe="/:")
    return f"{scheme}://{rest}{mark if shown else ''}{shown}"


def read(url: str) -> RedisUrl:
    """Read a URL of any kind in KINDS. ConfigError that says what is wrong, without a password."""
    try:
        return _read(url)
    except ValueError as error:
        raise ConfigError(f"redis {without_password(url)}: {error}; expected an address such as redis://user:password@127.0.0.1:6379/0") from None


def _read(url: str) -> RedisUrl:
    scheme = url.partition("://")[0]
    if scheme not in KINDS or "://" not in url:
        raise ValueError(f"an unknown scheme, expected one of {', '.join(KINDS)}")
    plain, _, kind = scheme.partition("+")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("the host cannot be read: write an IPv6 address in brackets") from None
    if parts.fragment:
        raise ValueError("a # must be written as %23")
    user, at, places = parts.netloc.rpartition("@")
    path = parts.path.strip("/")
    master, _, database = path.partition("/") if kind == "sentinel" else ("", "", path)
    query = _query(parts.query, plain == "rediss", kind)
    options = {name: value for name, value in query.items() if name not in SENTINEL_OPTIONS}
    if at:
        name, _, password = user.partition(":")
        options |= {key: unquote(value) for key, value in (("username", name), ("password", password)) if value}
    if plain == "unix":
        if places or not path:
            raise ValueError("the path of the socket is missing, expected an address such as unix:///run/redis.sock")
        return RedisUrl(kind, [], "", options | {"path": unquote(parts.path)}, {})
    if database and not (database.isascii() and database.isdigit()):
        raise ValueError("what follows the host is not the number of a database")
    if kind == "cluster" and (database or options.pop("db", 0)):
        raise ValueError("a Redis Cluster has no databases")
    if kind == "sentinel" and not master:
        raise ValueError("the name of the master is missing, expected an address such as redis+sentinel://host:26379/mymaster/0")
    if database:
        options["db"] = int(database)
    hosts = [_host(place, SENTINEL_PORT if kind == "sentinel" else PORT) for place in places.split(",")]
    if not kind and len(hosts) > 1:
        raise ValueError("there are several hosts, which only sentinels and a cluster may have")
    tls = {name: value for name, value in options.items() if name in TLS_OPTIONS}
    sentinel: dict[str, Any] = {name.partition("_")[2]: query[name] for name in SENTINEL_OPTIONS if name in query}
    sentinel |= tls if sentinel.get("ssl") else {}
    return RedisUrl(kind, hosts, unquote(master), options | ({"ssl": True} if plain == "rediss" else {}), sentinel)


def _query(text: str, tls: bool, kind: str) -> dict[str, Any]:
    query: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        known = name == "db" or (kind == "sentinel" and name in SENTINEL_OPTIONS) or name in TLS_OPTIONS
        if not known:
            raise ValueError(f"an unknown option {name[:30]!r}, expected {', '.join((*TLS_OPTIONS, *SENTINEL_OPTIONS, 'db'))}")
        query[name] = value
    if "sentinel_ssl" in query:
        if query["sentinel_ssl"] not in ("yes", "no"):
            raise ValueError("sentinel_ssl is neither yes nor no")
        query["sentinel_ssl"] = query["sentinel_ssl"] == "yes"
    if not tls and not query.get("sentinel_ssl") and any(name in query for name in TLS_OPTIONS):
        raise ValueError("there is an option for TLS, but no TLS: expected the scheme rediss")
    plain = {name: value for name, value in query.items() if name in ("db", "ssl_check_hostname")}
    return query | {name: value for name, value in parse_url(f"redis://host?{urlencode(plain)}").items() if name in plain}


def _host(place: str, port: int) -> tuple[str, int]:
    if place.rpartition("]")[2].count(":") > 1:
        raise ValueError("write an IPv6 address in brackets")
    try:
        found = parse_url(f"redis://{place}")
    except ValueError:
        raise ValueError("the port is not a number from 1 to 65535") from None
    if not found.get("host"):
        raise ValueError("the host is missing")
    return found["host"], found.get("port", port)
