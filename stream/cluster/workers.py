"""Several processes that serve clients on one port, and the engine behind them, on one machine and without Redis."""

import asyncio
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from stream.access.keys import Key
from stream.cluster.engine_server import EngineServer
from stream.cluster.messages import Batch
from stream.cluster.replica import Replica
from stream.cluster.socket_link import SocketEngineEnd
from stream.cluster.succession import inherit
from stream.journal.files import Disk
from stream.settings.config import Config, as_environment
from stream.sources import Source
from stream.system.clock import Clock
from stream.system.tasks import going_on

log = logging.getLogger("deltabook")

AGAIN_S = 0.5
"""The time before a worker that has ended is replaced."""


def ignore_hangup() -> None:
    """For a worker that is just being started: it reads everything anyway, and must not end of a signal that it does not know yet."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


class Workers:
    """An engine in this process, and `config.workers` that are kept running. `port` is theirs."""

    def __init__(self, config: Config, keys: Sequence[Key], sources: Sequence[Source]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="deltabook-")
        path = Path(self._folder.name) / "engine"
        clock = Clock()
        self._config = config
        self._end = SocketEngineEnd(path)
        nothing = Replica(config, lambda: None, clock.now())
        inheritance = inherit(Disk(), config, sources, nothing, clock.now(), lambda: self.server.wake_from_thread(), lambda: None)
        inside = replace(config, host="127.0.0.1", port=0)
        self.server = EngineServer(inside, keys, sources, clock, inheritance, int(time.time()), self._publish, self._end.tell)
        self.port = 0
        self._settings = {"role": "gateway", "engine_socket": str(path), "workers": config.workers}
        self._holder: socket.socket | None = None
        self._keepers: list[asyncio.Task[None]] = []
        self.processes: dict[int, asyncio.subprocess.Process] = {}
        self._leaving = False

    def _publish(self, batch: Batch) -> None:
        self._end.publish(batch)

    async def start(self) -> None:
        """Start the engine, then the workers, and keep them running. Raises OSError if the port cannot be used."""
        self._bind(socket.SO_REUSEADDR).close()    # refused if anybody listens there, workers of another market too
        self._holder = self._bind(socket.SO_REUSEPORT)    # never listens: it keeps the number for the workers
        self.port = self._holder.getsockname()[1]
        await self.server.start()
        await self._end.start(self.server)
        self._keepers = [going_on(f"worker {number}", partial(self._keep, number), lambda: self._leaving) for number in range(self._config.workers)]

    def _bind(self, option: int) -> socket.socket:
        bound = socket.socket(socket.AF_INET6 if ":" in self._config.host else socket.AF_INET)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            bound.bind((self._config.host, self._config.port))
        except OSError:
            bound.close()
            raise
        return bound

    async def _keep(self, number: int) -> None:
        """Start a worker, and wait for its end."""
        behind = self._config.admin_port and self._config.admin_port + 1 + number
        settings = self._settings | {"port": self.port, "admin_port": behind, "node": f"worker {number}", "sources": ("none",)}
        environment = os.environ | as_environment(replace(self._config, **settings))
        self.processes[number] = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "stream", "serve", env=environment, stdout=asyncio.subprocess.DEVNULL, preexec_fn=ignore_hangup,
        )
        if self._leaving:
            self.processes[number].send_signal(signal.SIGTERM)    # it came too late to be told with the others
        status = await self.processes[number].wait()
        if not self._leaving:
            log.error("a worker has ended; starting another", extra={"worker": number, "status": status})
            await asyncio.sleep(AGAIN_S)

    def reload(self) -> None:
        """Have everybody read the keys and the revocations again."""
        self.server.reload()
        for process in self.processes.values():
            if process.returncode is None:
                process.send_signal(signal.SIGHUP)

    async def stop(self) -> None:
        """Let the workers' clients go, then end the engine. Returns when all processes have ended."""
        self._leaving = True
        for process in self.processes.values():
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await self._end.stop()
        await self.server.stop()
        self._folder.cleanup()
        if self._holder:
            self._holder.close()
