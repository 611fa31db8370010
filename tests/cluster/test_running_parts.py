"""No thread, task, timer or process of a server ends unseen: each is ended here, or where the table of them says."""

import asyncio
import logging
import subprocess
import sys
import tempfile
from copy import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast
from unittest.mock import Mock

import pytest
from msgspec.structs import replace

import stream.cli.serve
import stream.cluster.engine_server
import stream.cluster.workers
import stream.market.archive
import stream.server.door
from stream.access.keys import Key
from stream.cli.serve import start_server
from stream.client.errors import ClientError
from stream.client.kept_connection import KeptConnection, Link
from stream.cluster.engine_server import Node
from stream.cluster.messages import Beat, News, Request, Snapshot, Status
from stream.cluster.redis_engine import RedisEngineEnd
from stream.cluster.redis_gateway import Deposed, persist
from stream.cluster.socket_link import SocketEngineEnd, SocketGatewayEnd
from stream.cluster.state_file import StateFile
from stream.settings.config import Config
from stream.system.tasks import going_on, once
from stream.wire.messages import Answer
from tests.cluster.test_workers import workers_of
from tests.setting import CONFIG
from tests.sockets import run, serving
from tests.waiting import until

ERRORS = [MemoryError(), ValueError("no"), RuntimeError("can't start new thread"), OSError(24, "Too many open files"), asyncio.CancelledError()]


class Failing:
    """Raises one error after the other, then does nothing more than to count."""

    def __init__(self, errors: list[Any] = ERRORS) -> None:
        self.errors = [copy(error) for error in errors]
        self.calls = 0

    def __call__(self, *arguments: object) -> None:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)

    async def step(self, *arguments: object) -> None:
        await asyncio.sleep(0)
        self()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried again soon."""
    for name in ("system.tasks.AGAIN_S", "cluster.redis_gateway.AGAIN_S", "cluster.socket_link.AGAIN_S", "cluster.socket_link.BEAT_S"):
        monkeypatch.setattr(f"stream.{name}", 0.01)


# Tasks


@run
async def test_a_task_that_goes_on() -> None:
    failing = Failing()
    task = going_on("x", failing.step)
    await until(lambda: failing.calls > len(ERRORS) + 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    over = False
    task = going_on("x", Failing([]).step, lambda: over)
    await asyncio.sleep(0)
    over = True
    await task


def test_a_task_that_is_told(caplog: pytest.LogCaptureFixture) -> None:
    @run
    async def scene() -> None:
        for error in ERRORS:
            await once("the matter", Failing([error]).step())
        task = once("never ends", asyncio.Event().wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    scene()
    assert [getattr(record, "what", "") for record in caplog.records] == ["the matter"] * len(ERRORS)


def test_a_step_with_redis_goes_on_whatever_it_raises() -> None:
    @run
    async def scene() -> None:
        failing = Failing()
        task = asyncio.get_running_loop().create_task(persist("the log", failing.step))
        await until(lambda: failing.calls > len(ERRORS) + 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    scene()


@run
async def test_a_leaders_step_that_finds_another_leader_ends_its_term() -> None:
    ended: list[str] = []
    end = RedisEngineEnd(Mock(), Mock(), Mock(), Mock(term=1), 0, ended.append)
    failing = Failing([*ERRORS, Deposed("another node has the lease")])
    await end.persist("the lease", failing.step)
    assert ended == ["another node has the lease"]


@run
async def test_the_lease_is_renewed_after_an_error() -> None:
    class Lease:
        failing = Failing()

        async def renew(self, term: int) -> None:
            self.failing()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream.cluster.engine_server, "BEAT_S", 0.01)
        node = Node(replace(CONFIG, redis="redis://127.0.0.1:1"), [], list, asyncio.Event())
        node.lease, node.term = cast(Any, Lease()), 1
        task = going_on("the lease", node.renew)
        await until(lambda: Lease.failing.calls > len(ERRORS) + 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_a_snapshot_that_cannot_be_offered(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*arguments: object) -> None:
        raise IndexError("there is none")

    monkeypatch.setattr(stream.cluster.engine_server, "newest_in", fail)

    @run
    async def scene() -> None:
        node = Node(replace(CONFIG, redis="redis://127.0.0.1:1"), [], list, asyncio.Event())
        node.term = 1
        node.offer()
        assert node.offering
        await node.offering

    scene()
    assert caplog.records[-1].what == "the offer of a snapshot"    # type: ignore[attr-defined]


# A server


def test_a_tick_that_raises_is_not_the_last() -> None:
    @run
    async def scene() -> None:
        async with serving() as server:
            tick, write = Failing(ERRORS[:-1]), Failing(ERRORS[:-1])
            server.market.tick, right = lambda now: tick() or right(now), server.market.tick    # type: ignore[method-assign, func-returns-value]
            await until(lambda: tick.calls > len(ERRORS) + 2)
            server.write, out = lambda: write() or out(), server.write    # type: ignore[method-assign, func-returns-value]
            await until(lambda: write.calls > len(ERRORS) + 2)

    scene()


def test_housekeeping_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    @run
    async def scene() -> None:
        async with serving() as server:
            house, behind = Failing(ERRORS[:-1]), Failing(ERRORS[:-1])
            server.venue.keep_house = house    # type: ignore[method-assign]
            server.keep = behind    # type: ignore[method-assign]
            await until(lambda: min(house.calls, behind.calls) > len(ERRORS) + 1)

    scene()
    assert caplog.text.count("housekeeping caused an error") == 2 * len(ERRORS[:-1])


def test_the_loop_logs_what_is_waited_for_by_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """What a timer raises, and a task."""

    @run
    async def scene() -> None:
        timer, task = Failing([MemoryError()]), Failing([ValueError()])
        asyncio.get_running_loop().call_later(0, timer)
        forgotten = asyncio.create_task(task.step())
        await until(lambda: timer.calls and task.calls)
        del forgotten
        await asyncio.sleep(0)

    scene()
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert "MemoryError" in caplog.text
    assert "ValueError" in caplog.text


def test_a_connection_that_cannot_be_opened_leaves_its_place(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    class Loop:
        failing = Failing(ERRORS[:-1])
        connect_accepted_socket = failing.step

    @run
    async def scene() -> None:
        async with serving() as server:
            (door,) = server.doors
            with monkeypatch.context() as patch:
                patch.setattr(stream.server.door, "asyncio", SimpleNamespace(get_running_loop=Loop))
                for _ in ERRORS[:-1]:
                    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                    assert await reader.read() == b""
                    writer.close()
            assert door.places.taken == 0

    scene()
    assert Loop.failing.errors == []
    assert len([record for record in caplog.records if getattr(record, "what", "") == "the opening of a connection"]) == len(ERRORS[:-1]) - 1


def test_a_key_set_whose_fetch_ends(caplog: pytest.LogCaptureFixture) -> None:
    @run
    async def scene() -> None:
        async with serving(jwks="https://127.0.0.1:1/keys", jwks_retry_s=1) as server:
            failing, keys = Failing(), server.venue.authenticator.keys
            server.trust.source.read = failing.step    # type: ignore[method-assign, assignment]
            keys.retry_ns = 0
            await until(lambda: failing.calls > len(ERRORS) + 1)
            assert keys.failures >= len(ERRORS[:-1])

    scene()
    assert [record for record in caplog.records if getattr(record, "what", "") == "the key set"]


@pytest.mark.parametrize("error", ERRORS[:-1], ids=lambda error: type(error).__name__)
def test_a_snapshot_that_ends(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    failing = Failing([error, error])
    monkeypatch.setattr(stream.market.archive.asyncio, "create_subprocess_exec", failing.step)

    @run
    async def scene() -> None:
        async with serving(journal=str(tmp_path)) as server:
            assert server.archive
            for executed in (1 << 40, 1 << 50):
                server.archive.keep(executed)
                snapshooter = server.archive.snapshooter
                assert snapshooter
                await snapshooter
            assert server.archive.snapshooter is None

    scene()
    assert caplog.text.count("a task has failed") == 2


def test_a_snapshot_that_is_killed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    @run
    async def scene() -> None:
        async with serving(journal=str(tmp_path)) as server:
            archive = server.archive
            assert archive
            archive.keep(1 << 40)
            snapshooter = archive.snapshooter
            assert snapshooter
            await until(lambda: archive.process)
            assert archive.process
            archive.process.kill()
            await snapshooter

    scene()
    assert "a snapshot was not taken" in caplog.text


# Links


class Leading:
    """An engine that fails."""

    gone: ClassVar[set[int]] = set()
    term = 1
    failure = ""

    def __init__(self, errors: list[Any] = ERRORS) -> None:
        self.beats, self.heard, self.states = Failing(errors), Failing(errors[:-1]), Failing(errors[:-1])

    def hear(self, request: Request) -> None:
        self.heard()

    def beat(self) -> Beat:
        self.beats()
        return Beat(1, 0, 0, 0)

    async def snapshot(self) -> StateFile:
        self.states()
        file: Any = tempfile.TemporaryFile(buffering=0)    # noqa: SIM115, it is closed with the StateFile
        file.write(b"a state")
        return StateFile(1, 1, file)


def status() -> Status:
    return Status(1, "worker", "one", 1, 1, 1, 0, 0)


def test_an_engines_end_survives_everything(tmp_path: Path) -> None:
    """What it is asked, what it has to say: every error but the loss of one connection is none of the others' business."""

    @run
    async def scene() -> None:
        leading, end, heard = Leading(), SocketEngineEnd(tmp_path / "engine"), list[News]()
        await end.start(cast(Any, leading))
        worker = SocketGatewayEnd(tmp_path / "engine", heard.append, lambda term, position: False)
        worker.status = status
        worker.start()
        worker.ask()
        await until(lambda: leading.beats.calls > len(ERRORS) + 2 and not leading.heard.errors)
        await until(lambda: any(isinstance(news, Snapshot) for news in heard))
        assert leading.states.errors == []
        await worker.stop()
        await end.stop()

    scene()


def test_a_workers_end_survives_everything(tmp_path: Path) -> None:
    @run
    async def scene() -> None:
        leading, end = Leading([]), SocketEngineEnd(tmp_path / "engine")
        await end.start(cast(Any, leading))
        hear, told, wants = Failing(), Failing(), Failing(ERRORS[:-1])
        worker = SocketGatewayEnd(tmp_path / "engine", hear, lambda term, position: bool(wants()))    # type: ignore[func-returns-value]
        worker.status = lambda: told() or status()    # type: ignore[func-returns-value]
        worker.start()
        worker.ask()
        await until(lambda: hear.calls > len(ERRORS) + 2 and told.calls > len(ERRORS) + 2 and not wants.errors)
        await worker.stop()
        await end.stop()

    scene()


class Kept(KeptConnection):
    """A connection that is never had."""

    def __init__(self, error: Exception) -> None:
        super().__init__("ws://127.0.0.1:1/v1", None, delay_s_max=0.01)
        self.failing = Failing([ClientError("no"), ClientError("no"), error])
        self.failed: list[ClientError] = []

    async def _connect(self) -> Link:
        await self.failing.step()
        raise AssertionError

    def _hear(self, message: Answer) -> None:
        pass

    def _lose(self, error: ClientError) -> None:
        pass

    def _fail(self, error: ClientError) -> None:
        self.failed.append(error)

    async def _returned(self) -> None:
        pass

    async def keep(self) -> None:
        """Try again and again, until something else than a ClientError comes."""
        await self._keep()


@pytest.mark.parametrize("error", ERRORS[:-1], ids=lambda error: type(error).__name__)
def test_what_ends_a_kept_connection_is_told(error: Exception) -> None:
    @run
    async def scene() -> None:
        kept = Kept(error)
        await kept.keep()
        assert type(error).__name__ in str(kept.failed)

    scene()


# Processes


def test_a_worker_that_cannot_be_started_is_started_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing, real = Failing(), asyncio.create_subprocess_exec

    async def start(*arguments: Any, **named: Any) -> asyncio.subprocess.Process:
        await failing.step()
        return await real("sleep", "1000")

    monkeypatch.setattr(stream.cluster.workers.asyncio, "create_subprocess_exec", start)

    @run
    async def scene() -> None:
        workers = workers_of(tmp_path)
        await workers.start()
        await until(lambda: len(workers.processes) == 2)
        await workers.stop()
        assert all(process.returncode for process in workers.processes.values())

    scene()
    assert failing.calls == len(ERRORS) + 2


def test_a_start_that_fails_is_the_commands_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(config: Config, keys: list[Key]) -> None:
        raise MemoryError

    monkeypatch.setattr(stream.cli.serve, "start_worker", fail)

    @run
    async def scene() -> None:
        with pytest.raises(MemoryError):
            await start_server(replace(CONFIG, role="gateway", engine_socket="somewhere"), asyncio.Event())

    scene()


WORKER = """
import asyncio

from stream.cli.serve import end_with_parent

async def main():
    stopped = asyncio.Event()
    end_with_parent(stopped)
    print("up", flush=True)
    await stopped.wait()

asyncio.run(main())
"""


def test_a_worker_leaves_with_its_parent(tmp_path: Path) -> None:
    """A shell starts it, and ends as soon as it is up."""
    (tmp_path / "worker.py").write_text(WORKER)
    start = 'mkfifo up && { "$0" worker.py > up & } && read line < up'
    done = subprocess.run(["sh", "-c", start, sys.executable], cwd=tmp_path, stderr=subprocess.PIPE, timeout=60, check=True)
    assert done.stderr == b""    # all that had it open have ended
