"""Several processes that serve clients on the same ports, and the engine behind them, on one machine and without Redis."""

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
from stream.settings.config import Config, ConfigError, as_environment
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
    """An engine in this process, and workers that are kept running. `port`, `dialects` and `rest_port` are theirs.

    `config.workers` serve clients; if there are `config.dialect_workers`, these serve the dialects and nothing else.
    """

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
        self.dialects: dict[str, int] = {}
        self.rest_port: int | None = None
        self._socket = str(path)
        self._holders: list[socket.socket] = []
        self._keepers: list[asyncio.Task[None]] = []
        self.processes: dict[int, asyncio.subprocess.Process] = {}
        self._leaving = False

    def _publish(self, batch: Batch) -> None:
        self._end.publish(batch)

    async def start(self) -> None:
        """Start the engine, then the workers, and keep them running. Raises OSError if the port cannot be used, ConfigError if one of the others cannot."""
        config = self._config
        self.port = self._hold(config.port)
        self.dialects = {name: self._hold(port, "dialects") for name, port in config.dialects.items()}
        self.rest_port = None if config.rest_port is None else self._hold(config.rest_port, "rest_port")
        await self.server.start()
        await self._end.start(self.server)
        numbers = range(config.workers + config.dialect_workers)
        self._keepers = [going_on(f"worker {number}", partial(self._keep, number), lambda: self._leaving) for number in numbers]

    def _hold(self, port: int, setting: str = "") -> int:
        """Keep a port for the workers. `setting` is the one that has it, unless it is the main port's."""
        try:
            self._bind(port, socket.SO_REUSEADDR).close()    # refused if anybody listens there, workers of another market too
            self._holders.append(self._bind(port, socket.SO_REUSEPORT))    # never listens
        except OSError as error:
            if setting:
                raise ConfigError(f"{setting}: port {port}: {error.strerror}") from error
            raise
        number: int = self._holders[-1].getsockname()[1]
        return number

    def _bind(self, port: int, option: int) -> socket.socket:
        bound = socket.socket(socket.AF_INET6 if ":" in self._config.host else socket.AF_INET)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            bound.bind((self._config.host, port))
        except OSError:
            bound.close()
            raise
        return bound

    async def _keep(self, number: int) -> None:
        """Start a worker, and wait for its end."""
        environment = os.environ | as_environment(self._config_of(number))
        self.processes[number] = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "stream", "serve", env=environment, stdout=asyncio.subprocess.DEVNULL, preexec_fn=ignore_hangup,
        )
        if self._leaving:
            self.processes[number].send_signal(signal.SIGTERM)    # it came too late to be told with the others
        status = await self.processes[number].wait()
        if not self._leaving:
            log.error("a worker has ended; starting another", extra={"worker": number, "status": status})
            await asyncio.sleep(AGAIN_S)

    def _config_of(self, number: int) -> Config:
        """The settings of a worker. Those for the dialects come last."""
        config = self._config
        config = replace(
            config, role="gateway", engine_socket=self._socket, node=f"worker {number}", sources=("none",), port=self.port, rest_port=self.rest_port,
            dialects=self.dialects, admin_port=config.admin_port and config.admin_port + 1 + number,
        )
        if not config.dialect_workers:
            return config
        return replace(config, dialects={}, dialect_workers=0) if number < config.workers else replace(config, rest_port=None)

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
        for holder in self._holders:
            holder.close()
