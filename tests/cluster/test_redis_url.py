"""What a Redis URL says, and that real servers hear it."""

import asyncio
import logging
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stream.cluster.redis_client import TROUBLE, close, connect, keys_of
from stream.cluster.redis_gateway import RedisGatewayEnd
from stream.cluster.redis_url import read, without_password
from stream.settings.config import ConfigError
from tests.redis_servers import RedisServer, cluster_agrees, free_port, needs_redis
from tests.sockets import run
from tests.waiting import until


@pytest.mark.parametrize(("url", "said"), [
    ("http://h", "unknown scheme"), ("redis", "unknown scheme"), ("redis://", "host is missing"), ("redis://h:x", "the port"), ("redis://h:70000", "the port"),
    ("redis://h/first", "not the number of a database"), ("redis+cluster://h/1", "no databases"), ("redis+cluster://h?db=1", "no databases"),
    ("redis+sentinel://h", "name of the master"), ("redis://h?nothing=1", "unknown option 'nothing'"), ("redis://a,b", "several hosts"),
    ("redis://::1:6379", "brackets"), ("redis://[::1", "brackets"), ("redis://h?ssl_ca_certs=x", "no TLS"), ("redis://u:secret/part@h", ""),
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


USER = ("--user", "app", "on", ">p@ss/", "+@all", "~*", "&*")
APP, OWN = "app:p%40ss%2F", "sentinel_username=watch&sentinel_password=own"
BOTH = ("--bind", "127.0.0.1", "-::1")


class Servers(NamedTuple):
    """Ports: of a Redis, of its sentinels, of one node of a cluster of two; and the same with TLS, where the cluster wants to see a certificate."""

    plain: int
    tls: int
    sentinel: int
    sentinel_tls: int
    cluster: int
    cluster_tls: int
    folder: Path


def make_certificates(folder: Path) -> None:
    """An authority of our own, and a certificate by it."""
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,IP:::1")
    new = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    for command in (
        f"req -x509 {new} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority", f"req {new} -keyout key.pem -out request.pem -subj /CN=server",
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out certificate.pem -days 2 -extfile names",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("servers")
    make_certificates(folder)
    files = {"tls-cert-file": folder / "certificate.pem", "tls-key-file": folder / "key.pem", "tls-ca-cert-file": folder / "ca.pem"}
    tls = [str(part) for name, path in files.items() for part in (f"--{name}", path)]
    with ExitStack() as stack:
        def redis(name: str, *options: str) -> RedisServer:
            server = RedisServer(folder / name, free_port(), *BOTH, *USER, *options)
            stack.callback(server.stop)
            return server.start()

        def sentinel(name: str, port: int, *lines: str) -> int:
            server = RedisServer(folder / name, free_port())
            (server.folder / "s.conf").write_text("\n".join((
                "bind 127.0.0.1 -::1", f"dir {server.folder}", f"sentinel monitor my 127.0.0.1 {port} 1", "user default off",
                "user watch on >own +@all ~* &*", *(line.format(server.port) for line in lines))) + "\n")
            server.process = subprocess.Popen(["redis-server", str(server.folder / "s.conf"), "--sentinel"], stdout=subprocess.DEVNULL)
            stack.callback(server.stop)
            return server.port

        ports = free_port(), free_port()
        master = redis("master", "--tls-port", str(ports[0]), "--tls-auth-clients", "no", *tls)
        alone = redis("alone", "--cluster-enabled", "yes", "--tls-cluster", "yes", "--tls-port", str(ports[1]), *tls)
        nodes = [redis(f"node{number}", "--cluster-enabled", "yes") for number in range(2)]
        alone.client().execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        nodes[0].client().execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 5000)
        nodes[1].client().execute_command("CLUSTER", "ADDSLOTSRANGE", 5001, 16383)
        nodes[0].client().execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[1].port)
        asyncio.run(cluster_agrees([alone]))
        asyncio.run(cluster_agrees(nodes))
        lines = [f"{name} {path}" for name, path in files.items()]
        yield Servers(
            master.port, ports[0], sentinel("sentinel", master.port, "port {}"),
            sentinel("sentinel_tls", ports[0], "port 0", "tls-port {}", "tls-auth-clients no", "tls-replication yes", *lines),
            nodes[0].port, ports[1], folder,
        )


async def who(url: str) -> list[Any]:
    """The user and the database that a server has for a client of a URL."""
    for _ in range(300):
        client = connect(url)
        try:
            if "cluster" in url:
                await client.set("{deltabook:market}:x", "1")
                return [await client.execute_command("ACL WHOAMI", target_nodes="random"), 0]
            found = await client.client_info()
            return [found["user"], found["db"]]
        except TROUBLE as error:
            trouble = error
            await asyncio.sleep(0.02)
        finally:
            await close(client)
    raise trouble


@needs_redis
@pytest.mark.parametrize(("url", "expected"), [
    ("redis://127.0.0.1:{0.plain}", ["default", 0]), (f"redis://{APP}@127.0.0.1:{{0.plain}}/2", ["app", 2]),
    (f"redis://{APP}@[::1]:{{0.plain}}?db=3", ["app", 3]),
    (f"rediss://{APP}@127.0.0.1:{{0.tls}}/1?ssl_ca_certs={{0.folder}}/ca.pem", ["app", 1]),
    ("rediss://[::1]:{0.tls}?ssl_ca_certs={0.folder}/ca.pem", ["default", 0]),
    (f"redis+sentinel://{APP}@127.0.0.1:{{0.sentinel}}/my/3?{OWN}", ["app", 3]), (f"redis+sentinel://[::1]:{{0.sentinel}}/my?{OWN}", ["default", 0]),
    (f"redis+sentinel://{APP}@127.0.0.1:1,127.0.0.1:{{0.sentinel}}/my?{OWN}", ["app", 0]),
    (f"rediss+sentinel://{APP}@127.0.0.1:{{0.sentinel_tls}}/my/4?{OWN}&sentinel_ssl=yes&ssl_ca_certs={{0.folder}}/ca.pem", ["app", 4]),
    (f"redis+cluster://{APP}@127.0.0.1:{{0.cluster}}", ["app", 0]), (f"redis+cluster://{APP}@127.0.0.1:1,127.0.0.1:{{0.cluster}}", ["app", 0]),
    (f"rediss+cluster://{APP}@127.0.0.1:{{0.cluster_tls}}?ssl_ca_certs={{0.folder}}/ca.pem&ssl_certfile={{0.folder}}/certificate.pem"
     "&ssl_keyfile={0.folder}/key.pem", ["app", 0]),
])
def test_real_servers_hear_every_part(servers: Servers, url: str, expected: list[Any]) -> None:
    assert asyncio.run(who(url.format(servers))) == expected


@needs_redis
@pytest.mark.parametrize("url", [
    "redis://app:sesame@127.0.0.1:{0.plain}", "rediss://app:sesame@127.0.0.1:{0.tls}?ssl_ca_certs={0.folder}/ca.pem",
    "rediss://app:sesame@127.0.0.1:{0.tls}", "rediss://app:sesame@127.0.0.1:{0.plain}",
    "redis+sentinel://app:sesame@127.0.0.1:{0.sentinel}/my?sentinel_username=watch&sentinel_password=sesame",
], ids=["password", "password with TLS", "authority", "no TLS there", "sentinel"])
def test_who_is_not_let_in_is_told_so_and_no_log_has_the_password(servers: Servers, url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    @run
    async def scene() -> None:
        end = RedisGatewayEnd(connect(url.format(servers)), keys_of("market"), lambda news: None, lambda term, position: True)
        end.start()
        await until(lambda: any("redis fails" in record.message for record in caplog.records))
        await end.stop()
    scene()
    assert "sesame" not in "".join(str(vars(record)) for record in caplog.records)
