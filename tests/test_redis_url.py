"""What a Redis URL says, and that real servers hear it."""

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stream.cluster.redis_client import close, connect
from stream.cluster.redis_url import read, without_password
from stream.config import ConfigError
from tests.redis_servers import RedisServer, free_port, needs_redis


@pytest.mark.parametrize(("url", "said"), [
    ("http://h", "unknown scheme"), ("redis", "unknown scheme"), ("redis://", "host is missing"), ("redis://h:x", "a port"), ("redis://h:70000", "a port"),
    ("redis://h/first", "no number of a database"), ("redis+cluster://h/1", "no databases"), ("redis+cluster://h?db=1", "no databases"),
    ("redis+sentinel://h", "name of the master"), ("redis://h?nothing=1", "unknown option 'nothing'"), ("redis://a,b", "several hosts"),
    ("redis://::1:6379", "brackets"), ("redis://[::1", "brackets"), ("redis://h?ssl_ca_certs=x", "without TLS"), ("redis://u:secret/part@h", ""),
    ("redis+sentinel://u:secret@h", "name of the master"), ("redis+sentinel://h?sentinel_password=secret", "name of the master"), ("unix://", "path"),
])
def test_what_cannot_be_read_is_said_without_a_password(url: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(url)
    assert said in str(error.value)
    assert "secret" not in str(error.value)


def test_each_part_is_read() -> None:
    found = read("rediss+sentinel://app:p%40ss%2F@[::1]:1,h/my/2?sentinel_username=s&sentinel_password=x%26&sentinel_ssl=yes&ssl_ca_certs=/ca")
    assert (found.kind, found.hosts, found.master) == ("sentinel", [("::1", 1), ("h", 26379)], "my")
    assert found.options == {"username": "app", "password": "p@ss/", "db": 2, "ssl": True, "ssl_ca_certs": "/ca"}
    assert found.sentinel == {"username": "s", "password": "x&", "ssl": True, "ssl_ca_certs": "/ca"}
    assert without_password("redis://a:secret@h/1?sentinel_password=secret&db=1") == "redis://h/1?db=1"


@needs_redis
def test_real_servers_hear_user_database_and_ipv6(tmp_path: Path) -> None:
    master = RedisServer(tmp_path / "r", free_port(), "--bind", "127.0.0.1", "-::1", "--user", "app", "on", ">p@ss/", "+@all", "~*", "&*").start()
    sentinel = RedisServer(tmp_path / "s", free_port())
    (sentinel.folder / "s.conf").write_text(
        f"port {sentinel.port}\nbind 127.0.0.1 -::1\ndir {sentinel.folder}\nsentinel monitor my 127.0.0.1 {master.port} 1\n"
        "user default off\nuser watch on >own +@all ~* &*\n")
    sentinel.process = subprocess.Popen(["redis-server", str(sentinel.folder / "s.conf"), "--sentinel"], stdout=subprocess.DEVNULL)

    async def who(url: str) -> list[Any]:
        for _ in range(500):
            client = connect(url)
            try:
                found = await client.client_info()
                return [found["user"], found["db"]]
            except Exception as error:
                trouble = error
                await asyncio.sleep(0.01)
            finally:
                await close(client)
        raise trouble
    try:
        own = "sentinel_username=watch&sentinel_password=own"
        for url, expected in ((f"redis://app:p%40ss%2F@127.0.0.1:{master.port}/2", ["app", 2]), (f"redis://127.0.0.1:{master.port}", ["default", 0]),
                              (f"redis+sentinel://app:p%40ss%2F@127.0.0.1:{sentinel.port}/my/3?{own}", ["app", 3]),
                              (f"redis+sentinel://[::1]:{sentinel.port}/my?{own}", ["default", 0])):
            assert asyncio.run(who(url)) == expected
    finally:
        sentinel.stop()
        master.stop()
