"""Real Redis servers for tests: each with a folder of its own, on a socket in it or on ports that the kernel says are free."""

import asyncio
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.waiting import until

MISSING = shutil.which("redis-server") is None
needs_redis = pytest.mark.skipif(MISSING, reason="redis-server is not installed")


BUS = 10_000
"""A server of a Redis Cluster listens on this many ports above its own, too."""


def free_port() -> int:
    """A port that nobody has at the moment, nor the one of its cluster bus."""
    while True:
        with socket.socket() as probe, socket.socket() as bus:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
            with suppress(OSError, OverflowError):
                bus.bind(("127.0.0.1", port - BUS))
                return port - BUS


class RedisServer:
    """One server. `port` 0 is a socket in the folder."""

    def __init__(self, folder: Path, port: int = 0, *options: str) -> None:
        self.folder = folder
        self.port = port
        self.path = folder / "redis.sock"
        self.options = options
        self.url = f"redis://127.0.0.1:{port}/0" if port else f"unix://{self.path}"
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def client(self) -> "Redis":
        """A client that waits for its answers."""
        return Redis.from_url(self.url, socket_timeout=5)

    def start(self) -> "RedisServer":
        """Start it, with what it had saved, and wait until it answers."""
        listen = ["--port", str(self.port), "--bind", "127.0.0.1"] if self.port else ["--port", "0", "--unixsocket", str(self.path)]
        kept = ["--dir", str(self.folder), "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(["redis-server", *listen, *kept, *self.options], stdout=subprocess.DEVNULL)
        while True:
            try:
                self.client().ping()
                return self
            except RedisError:
                assert self.process.poll() is None, "redis-server ended"

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process
        self.process.send_signal(number)

    def kill(self) -> None:
        """As when the machine dies."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """End it, however it is."""
        if self.process:
            self.signal(signal.SIGCONT)
        self.kill()


class Sentinels:
    """A master, its replica, and three sentinels that watch them."""

    def __init__(self, folder: Path) -> None:
        self.master = RedisServer(folder / "master", free_port()).start()
        self.replica = RedisServer(folder / "replica", free_port(), "--replicaof", "127.0.0.1", str(self.master.port)).start()
        self.sentinels = []
        for number in range(3):
            server = RedisServer(folder / f"sentinel{number}", free_port())
            configuration = server.folder / "sentinel.conf"
            configuration.write_text(
                f"port {server.port}\nbind 127.0.0.1\ndir {server.folder}\nsentinel monitor market 127.0.0.1 {self.master.port} 2\n"
                "sentinel down-after-milliseconds market 500\nsentinel failover-timeout market 3000\n"
            )
            server.process = subprocess.Popen(["redis-server", str(configuration), "--sentinel"], stdout=subprocess.DEVNULL)
            self.sentinels.append(server)
        self.url = f"redis+sentinel://{','.join(f'127.0.0.1:{each.port}' for each in self.sentinels)}/market"

    async def ready(self) -> None:
        """Wait until the sentinels know the replica and each other."""
        for sentinel in self.sentinels:
            client = sentinel.client()
            while True:
                try:
                    state = client.sentinel_master("market")
                    if state["num-slaves"] == 1 and state["num-other-sentinels"] == 2:
                        break
                except RedisError:
                    pass
                await asyncio.sleep(0.02)

    async def promote(self) -> None:
        """Have the replica be the master, when the sentinels are ready to."""
        while True:
            try:
                self.sentinels[0].client().execute_command("SENTINEL", "FAILOVER", "market")
                return
            except RedisError:
                await asyncio.sleep(0.05)

    def stop(self) -> None:
        for server in (*self.sentinels, self.replica, self.master):
            server.stop()


async def cluster_agrees(servers: list[RedisServer]) -> None:
    """Wait until all nodes of a cluster know where all slots are."""
    await until(lambda: all(b"cluster_state:ok" in server.client().execute_command("CLUSTER", "INFO") for server in servers), every_s=0.02)


class RedisCluster:
    """Three masters with all slots."""

    def __init__(self, folder: Path) -> None:
        self.servers = [RedisServer(folder / f"node{number}", free_port(), "--cluster-enabled", "yes").start() for number in range(3)]
        nodes = [f"127.0.0.1:{server.port}" for server in self.servers]
        subprocess.run(["redis-cli", "--cluster", "create", *nodes, "--cluster-yes"], check=True, stdout=subprocess.DEVNULL, timeout=30)
        self.url = f"redis+cluster://{nodes[0]}"

    async def ready(self) -> None:
        """Wait until all of them know of all slots."""
        await cluster_agrees(self.servers)

    def stop(self) -> None:
        for server in self.servers:
            server.stop()
