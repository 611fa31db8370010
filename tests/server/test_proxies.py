"""Behind the proxies that are really there, HAProxy and nginx: whom they speak for, and that they find the server well."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from benchmarks.attacked import HAPROXY, held
from stream.server.market_server import MarketServer
from stream.wire.messages import Welcome
from tests.server.test_door import connect, handshake, has_ipv6
from tests.sockets import run, serving
from tests.waiting import until

NGINX = shutil.which("nginx")

HAPROXY_SETTINGS = """
global
    stats socket {folder}/stats
defaults
    mode http
    timeout connect 5s
    timeout client 1m
    timeout server 1m
    option httpchk
frontend one
    bind {places[0]}
    option forwardfor
    default_backend market
frontend two
    bind {places[1]}
    http-request add-header Forwarded "for=\\"[%[src]]:4711\\"" if {{ src ::1 }}
    http-request add-header Forwarded for=%[src] if !{{ src ::1 }}
    default_backend market
backend market
    server here 127.0.0.1:{port} check inter 100ms
"""

NGINX_SETTINGS = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3; uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    proxy_http_version 1.1;
    map $remote_addr $element {{ ~: '"[$remote_addr]"'; default $remote_addr; }}
    server {{
        listen {places[0]} reuseport;
        location / {{
            proxy_pass http://127.0.0.1:{port};
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}
    server {{
        listen {places[1]} reuseport;
        location / {{
            proxy_pass http://127.0.0.1:{port};
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_set_header Forwarded "$http_forwarded, for=$element;proto=http";
        }}
    }}
}}
"""


@asynccontextmanager
async def proxy(kind: str, ip: str, server: MarketServer, folder: Path) -> AsyncIterator[tuple[int, int]]:
    """A proxy before a server: its port that adds X-Forwarded-For, and the one that adds Forwarded."""
    with held(ip) as first, held(ip) as second:
        ports = [each.getsockname()[1] for each in (first, second)]
        places = [f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" for port in ports]
        template, command = {"haproxy": (HAPROXY_SETTINGS, [HAPROXY, "-f"]), "nginx": (NGINX_SETTINGS, [NGINX, "-p", str(folder), "-c"])}[kind]
        (folder / "settings").write_text(template.format(folder=folder, port=server.port, places=places))
        with (folder / "log").open("w") as log:
            process = await asyncio.create_subprocess_exec(*(word or "" for word in command), str(folder / "settings"), stdout=log, stderr=log)
        try:
            for port in ports:
                await listens(ip, port, process)
            yield ports[0], ports[1]
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def listens(ip: str, port: int, process: asyncio.subprocess.Process) -> None:
    """Wait until a process does."""
    while process.returncode is None:
        try:
            _, writer = await asyncio.open_connection(ip, port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return
    raise AssertionError("the proxy has ended")


async def address_of(server: MarketServer, port: int, source: str, ip: str, *headers: str) -> str:
    """As whom the server counts a client of the proxy that sends these headers itself."""
    client = await connect(port, source, ip)
    client.writer.write(handshake(*headers).encode())
    assert b" 101 " in await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), 10)
    assert isinstance(await client.message(), Welcome)
    [session] = server.market.sessions
    client.close()
    await until(lambda: not server.market.sessions)
    return session.address


KINDS = [
    pytest.param("haproxy", marks=pytest.mark.skipif(not HAPROXY, reason="haproxy is not installed")),
    pytest.param("nginx", marks=pytest.mark.skipif(not NGINX, reason="nginx is not installed")),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ip", ["127.0.0.1", pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6"))])
def test_a_proxy_speaks_for_its_clients_and_they_cannot(kind: str, ip: str, tmp_path: Path) -> None:
    @run
    async def go() -> None:
        async with serving(trusted_proxies=("127.0.0.1",)) as server, proxy(kind, ip, server, tmp_path) as (adds_x, adds_rfc):
            source = ip if ":" in ip else "127.0.0.5"
            assert await address_of(server, adds_x, source, ip) == source
            assert await address_of(server, adds_x, source, ip, "X-Forwarded-For: 6.6.6.6") == source
            assert await address_of(server, adds_x, source, ip, "X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 7.7.7.7, 127.0.0.1") == source
            assert await address_of(server, adds_x, source, ip, "X-Forwarded-For: " + "junk " * 300) == source
            assert await address_of(server, adds_rfc, source, ip) == source
            assert await address_of(server, adds_rfc, source, ip, "Forwarded: for=6.6.6.6;proto=https", "Forwarded: for=127.0.0.1") == source
            assert await address_of(server, adds_rfc, source, ip, 'Forwarded: for="[6::6]:6", for=_x, for="unknown') in (source, "127.0.0.1")
            # the header that this one does not write: neither is believed, nor what the client would like
            assert await address_of(server, adds_x, source, ip, "Forwarded: for=6.6.6.6") == "127.0.0.1"
            assert await address_of(server, adds_rfc, source, ip, "X-Forwarded-For: 6.6.6.6") == "127.0.0.1"

    go()


@pytest.mark.skipif(not HAPROXY, reason="haproxy is not installed")
def test_haproxy_finds_the_server_well(tmp_path: Path) -> None:
    async def checked(server: MarketServer) -> str:
        """What HAProxy's own check, of HTTP/1.0, has come to."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(tmp_path / "stats")
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.write(b"show stat\n")
            names, *lines = (await reader.read()).decode().lstrip("# ").splitlines()
            writer.close()
            row = next(dict(zip(names.split(","), line.split(","), strict=False)) for line in lines if line.startswith("market,here"))
            status = row["check_status"].removeprefix("* ")    # which says that the next check is going on
            if status not in ("", "INI"):
                return f"{status} {row['check_code']}"
            await asyncio.sleep(0.02)

    @run
    async def go() -> None:
        async with serving(trusted_proxies=("127.0.0.1",)) as server, proxy("haproxy", "127.0.0.1", server, tmp_path) as (port, _):
            assert await checked(server) == "L7OK 204"
            client = await connect(port)
            client.writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await client.reader.read()).endswith(b"\r\n\r\nok\n")
            assert not server.market.limits.hit

    go()
