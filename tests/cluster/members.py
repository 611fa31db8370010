"""The processes of a market, each kept running, with a proxy between it and Redis and a clock of its own."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import msgspec

from tests.proxy import Proxy
from tests.setting import CONFIG, SECRET
from tests.wall_clock import WallClock

ORDERS_MAX = 1 << 21


class Member:
    """One process of ours, with its proxy and its folder."""

    def __init__(self, name: str, role: str, folder: Path, redis_port: int) -> None:
        self.name = name
        self.role = role
        self.port = 0
        self.url = ""
        self.proxy = Proxy(redis_port)
        self.clock = WallClock(folder, name)
        self.journal = folder / name
        self.ends: list[int] = []
        self.log = folder / f"{name}.log"
        self._keeper: asyncio.Task[None] | None = None
        self._process: Process | None = None
        self._ready = asyncio.Event()

    async def start(self) -> None:
        """Begin to keep it running."""
        await self.proxy.start()
        self._keeper = asyncio.create_task(self._keep())

    async def ready(self) -> None:
        """Wait until it serves; of a node, until it runs."""
        await self._ready.wait()

    def _command(self) -> tuple[list[str], dict[str, str]]:
        settings = {"keys": [{"algorithm": "HS256", "key": SECRET}], "deposit": CONFIG.deposit, "assets": CONFIG.assets, "node": self.name}
        settings |= {"orders_max": ORDERS_MAX}
        settings |= {"instruments": [msgspec.to_builtins(each, str_keys=True) for each in CONFIG.instruments], "orders_per_s": 100_000, "orders_burst": 100_000}
        settings |= {"handshakes_per_s": 10_000, "sign_ins_per_s": 10_000, "messages_per_s": 100_000, "journal_reserve_bytes": 0, "journal": str(self.journal)}
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in settings.items()}
        environment = os.environ | self.clock.environment() | {f"DELTABOOK_{name.upper()}": text for name, text in texts.items()}
        address = ["--port", str(self.port), "--role", self.role, "--redis", f"redis://127.0.0.1:{self.proxy.port}"]
        return [sys.executable, "-u", "-m", "stream", "serve", *address, "--source", "none"], environment

    async def _keep(self) -> None:
        while True:
            command, environment = self._command()
            with self.log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, stderr=log)
            assert self._process.stdout
            async for line in self._process.stdout:
                if b"ws://" in line and not self.url:
                    self.url = line.decode().split()[1]
                    self.port = int(self.url.rpartition(":")[2].partition("/")[0])
                if b"ws://" in line or b"follows" in line:
                    self._ready.set()
            self.ends.append(await self._process.wait())
            self._ready.clear()
            self.role = "standby" if self.role == "engine" else self.role    # it must not begin another market

    def signal(self, number: int) -> None:
        """Send it a signal."""
        if self._process and self._process.returncode is None:
            self._process.send_signal(number)

    async def stop(self) -> None:
        """End it for good."""
        assert self._keeper
        self._keeper.cancel()
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        if self._process and self._process.returncode is None:
            try:
                await asyncio.wait_for(self._process.wait(), 15)
            except TimeoutError:
                self.signal(signal.SIGKILL)
        await self.proxy.stop()
