"""A state that is told to workers in parts: whatever its size, encoded once, beside the commands, and never faster than a worker reads."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from stream.cluster import socket_link
from stream.cluster.engine_server import EngineServer
from stream.cluster.messages import Ask, Batch, StatePart, decode_news, encode
from stream.cluster.replica import Replica
from stream.cluster.socket_link import SocketEngineEnd, SocketGatewayEnd, framed, read_frame
from stream.cluster.state_file import StateFile
from stream.cluster.succession import inherit
from stream.commands.directory import Unknown
from stream.journal.files import Disk
from stream.server.server import Clock
from tests.setting import CONFIG
from tests.sockets import run
from tests.waiting import until


class CountingServer(EngineServer):
    """An engine that counts how often it encodes its state, and tells it when it may; the first `failures` times that fails."""

    encoded = failures = 0

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def snapshot(self) -> StateFile:
        self.encoded += 1
        if self.encoded <= self.failures:
            self.engine.pieces = None
        try:
            state = await super().snapshot()
            await self.may_go_on.wait()
            return state
        finally:
            self.engine.__dict__.pop("pieces", None)


class Worker:
    """A worker's end and the state that follows through it."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.end = SocketGatewayEnd(path, lambda news: self.replica.receive(news, self.clock.now()), lambda *where: self.replica.wants(*where))
        self.replica = Replica(CONFIG, self.end.ask, self.clock.now())
        self.end.start()

    def has_all_of(self, server: EngineServer) -> bool:
        self.replica.tick(self.clock.now())
        return not self.replica.lost and self.replica.position == server.engine.position


class WritingEngine:
    """An engine behind a socket, that goes on writing down as long as it is there."""

    def __init__(self, folder: Path) -> None:
        config, clock = msgspec.structs.replace(CONFIG, host="127.0.0.1", port=0, journal="none"), Clock()
        inheritance = inherit(Disk(), config, (), Replica(config, lambda: None, clock.now()), clock.now(), lambda: None, lambda: None)
        self.path = folder / "engine"
        self.end = SocketEngineEnd(self.path)
        self.server = CountingServer(config, (), (), clock, inheritance, 1, self.end.publish, self.end.tell)
        self.workers: list[Worker] = []
        self.written = 0

    def write(self, size: int = 100) -> None:
        """Something to be told in the next batch."""
        self.written += 1
        self.server.engine.sequencer.remember(Unknown(f"something {self.written % 50}"), bytes(size))
        self.server.tick()

    async def go_on(self) -> None:
        while True:
            self.write()
            await asyncio.sleep(0.001)

    def worker(self) -> Worker:
        self.workers.append(Worker(self.path))
        return self.workers[-1]

    async def all_have_all(self) -> None:
        await until(lambda: all(worker.has_all_of(self.server) for worker in self.workers))
        assert {worker.replica.state.exchange.state_hash() for worker in self.workers} == {self.server.engine.exchange.state_hash()}
        for worker in self.workers:
            assert worker.replica.state.directory == self.server.engine.sequencer.directory


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[WritingEngine]:
    market = WritingEngine(folder)
    await market.server.start()
    await market.end.start(market.server)
    writing = asyncio.create_task(market.go_on())
    try:
        yield market
    finally:
        writing.cancel()
        for worker in market.workers:
            await worker.end.stop()
        await market.end.stop()
        await market.server.stop()


def state_size(market: WritingEngine) -> int:
    return sum(map(len, market.server.engine.pieces(market.server.clock.now())))


@pytest.mark.parametrize("part_bytes", [700, 1 << 20])
def test_workers_that_ask_at_once_get_a_state_that_is_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_bytes: int) -> None:
    monkeypatch.setattr(socket_link, "PART_BYTES", part_bytes)

    @run
    async def scene() -> None:
        async with serving(tmp_path) as market:
            market.server.may_go_on.clear()
            for _ in range(3):
                market.worker().replica.tick(market.server.clock.now())
            await until(lambda: market.end.telling and market.end.telling.readers == 3)
            market.server.may_go_on.set()
            await market.all_have_all()
            assert market.server.encoded == 1
            assert market.end.telling is None
            market.worker()
            await market.all_have_all()
            assert market.server.encoded == 2
            assert [worker.replica.snapshots for worker in market.workers] == [1, 1, 1, 1]
    scene()


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_state_of_a_whole_number_of_parts_and_one_byte_more_or_less_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int) -> None:
    @run
    async def scene() -> None:
        async with serving(tmp_path) as market:
            for _ in range(60):
                market.write()
            size = 100
            while (state_size(market) - more) % 2:    # so that it is two whole parts
                size += 1
                market.write(size)
            monkeypatch.setattr(socket_link, "PART_BYTES", (state_size(market) - more) // 2)
            market.worker()
            await market.all_have_all()
    scene()


async def reader_that_asks(market: WritingEngine) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(market.path, limit=1000)
    writer.write(framed(encode(Ask())))
    return reader, writer


def test_a_worker_that_does_not_read_makes_the_engine_hold_no_more_than_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part_bytes, filling = 100_000, 3_000_000
    monkeypatch.setattr(socket_link, "PART_BYTES", part_bytes)

    @run
    async def scene() -> None:
        async with serving(tmp_path) as market:
            market.server.engine.sequencer.remember(Unknown("filling"), bytes(filling))
            market.write()
            reader, writer = await reader_that_asks(market)
            await until(lambda: any(market.end.workers.values()))
            for _ in range(300):
                market.write()
                await asyncio.sleep(0)
            [held] = [each.transport.get_write_buffer_size() for each in market.end.workers]
            assert 0 < held < 3 * part_bytes
            other = market.worker()
            await market.all_have_all()
            assert (market.server.encoded, other.replica.snapshots) == (1, 1), "who comes later shares what was encoded"
            state, kinds = bytearray(), set()
            while len(state) < filling:
                news = decode_news(await read_frame(reader))
                kinds.add(type(news))
                if isinstance(news, StatePart):
                    assert news.start == len(state)
                    state += news.data
            assert {StatePart, Batch} <= kinds
            writer.close()
            await until(lambda: market.end.telling is None)
    scene()


def test_who_asks_when_too_much_has_happened_since_gets_a_later_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_link, "BEHIND_BYTES_MAX", 20_000)
    monkeypatch.setattr(socket_link, "PART_BYTES", 100_000)

    @run
    async def scene() -> None:
        async with serving(tmp_path) as market:
            market.server.engine.sequencer.remember(Unknown("filling"), bytes(3_000_000))
            market.write()
            _, writer = await reader_that_asks(market)
            await until(lambda: any(market.end.workers.values()))
            while market.end.telling:
                market.write(1000)
            market.worker()
            await market.all_have_all()
            assert market.server.encoded == 2
            writer.close()
    scene()


def test_a_state_that_cannot_be_encoded_is_encoded_later(tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    @run
    async def scene() -> None:
        async with serving(tmp_path) as market:
            market.server.failures = 2
            market.worker()
            market.worker()
            await market.all_have_all()
            assert 3 <= market.server.encoded <= 4    # twice in vain, then for both, or for each if one asks later
    scene()
    assert "the state cannot be sent to a worker" in caplog.text
    assert "not callable" in capfd.readouterr().err
