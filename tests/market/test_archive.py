"""A real server with its journal on a real disk: stopped, started, killed, and with a disk that fails."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import uvloop
from rich.console import Console

from stream.access.keys import key_of
from stream.client.client import Client
from stream.client.counts import Lots, Ticks
from stream.client.errors import RequestRefused
from stream.journal.files import Disk
from stream.journal.recovery import Locked
from stream.market.history import recover
from stream.server.market_server import MarketServer
from stream.sources.simulated import SimulatedSource
from stream.wire.codes import ErrorCode
from tests.kills import campaign, tally
from tests.setting import CONFIG, SECRET, START, token
from tests.sockets import get, run, serving
from tests.waiting import until


def client_of(server: MarketServer) -> Client:
    return Client(f"ws://127.0.0.1:{server.port}/v1", token("alice", server.clock.now()))


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    @run
    async def scene() -> None:
        async with serving(journal=str(tmp_path)) as server:
            client = client_of(server)
            await client.open()
            book = await client.orderbook("BTC-USD", interval_ms=0)
            orders = [(await client.place("BTC-USD", "buy", Ticks(price), Lots(5))).order for price in range(100, 110)]
            port, epoch = server.port, server.market.point(0).epoch
        async with serving(journal=str(tmp_path), port=port) as server:
            assert server.market.point(0).epoch == epoch
            await client.connected()
            assert (await client.cancel(orders[0])).status == "cancelled"
            while len(book.mirror.depth()[0]) != 2 * 9:
                await book.changed()
            assert {recovered for recovered, reason in client.resumed if reason != "new"} <= {"merged", "none"}
            await client.close()

    scene()


class FailingDisk(Disk):
    """A disk whose syncs fail from a moment on."""

    failing = 0

    def sync(self, file: int) -> None:
        if self.failing:
            raise OSError(self.failing, os.strerror(self.failing))
        super().sync(file)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS])
def test_a_disk_that_fails_freezes_the_market(tmp_path: Path, number: int, caplog: pytest.LogCaptureFixture) -> None:
    @run
    async def scene() -> None:
        disk = FailingDisk()
        server = MarketServer(msgspec.structs.replace(CONFIG, port=0, journal=str(tmp_path)), [key_of("HS256", SECRET)], files=disk)
        await server.start()
        client = client_of(server)
        await client.open()
        book = await client.orderbook("BTC-USD", interval_ms=0)
        resting = await client.place("BTC-USD", "buy", Ticks(100), Lots(5))
        disk.failing = number
        with pytest.raises(RequestRefused) as unknown:
            await client.place("BTC-USD", "buy", Ticks(101), Lots(5))
        assert unknown.value.code == ErrorCode.OUTCOME_UNKNOWN
        with pytest.raises(RequestRefused, match=os.strerror(number)) as frozen:
            await client.cancel(resting.order)
        assert frozen.value.code == ErrorCode.FROZEN
        await client.ping()
        assert client.stale_since
        assert "deltabook_frozen 1.0" in (await get(server.port, "/metrics"))[1].decode()
        await until(lambda: "the journal has failed" in caplog.text)
        assert book.mirror.depth()[0] == [100, 5]
        for path in ("/health", "/ready"):
            assert " 503 " in (await get(server.port, path))[0]
        await client.close()
        await server.stop()
        assert os.strerror(number) in server.market.failure
        async with serving(journal=str(tmp_path)) as again:
            client = client_of(again)
            await client.open()
            assert (await client.cancel(resting.order)).status == "cancelled"
            await client.close()

    scene()


def test_below_the_reserve_only_what_cancels_is_taken(tmp_path: Path) -> None:
    @run
    async def scene() -> None:
        async with serving(journal=str(tmp_path)) as server:
            client = client_of(server)
            await client.open()
            order = (await client.place("BTC-USD", "buy", Ticks(100), Lots(5))).order
            await client.close()
        async with serving(journal=str(tmp_path), journal_reserve_bytes=1 << 60) as server:
            client = client_of(server)
            await client.open()
            assert (await client.reduce(order, Lots(1))).remaining_lots == 4    # and with it the room on the disk is known
            with pytest.raises(RequestRefused) as refused:
                await client.place("BTC-USD", "buy", Ticks(100), Lots(5))
            assert refused.value.code == ErrorCode.DISK_NEARLY_FULL
            assert (await client.cancel(order)).status == "cancelled"
            await client.close()

    scene()


def test_a_journal_has_one_master(tmp_path: Path) -> None:
    @run
    async def scene() -> None:
        async with serving(journal=str(tmp_path)):
            with pytest.raises(Locked):
                recover(Disk(), str(tmp_path), CONFIG, [], START)

    scene()


@contextmanager
def served(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`deltabook serve` on a free port, once it listens or has ended."""
    command = [sys.executable, "-u", "-m", "stream", "serve", "--port", "0", "--source", "none", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if "journal" in line:
                break
        yield process
        process.kill()


def test_a_damaged_journal_is_refused_with_its_place(tmp_path: Path) -> None:
    folder = str(tmp_path / "journal")
    for _ in range(2):
        with served("--journal", folder) as process:
            process.terminate()
            assert process.wait() == 0
    for snapshot in Path(folder).glob("*.snapshot"):
        snapshot.unlink()
    (segment,) = Path(folder).glob("*.journal")
    with segment.open("r+b") as file:
        file.seek(100)
        byte = file.read(1)[0]
        file.seek(100)
        file.write(bytes((byte ^ 1,)))
    with served("--journal", folder) as process:
        assert process.stderr
        said = process.stderr.read()
        assert process.wait() not in (0, None)
    assert f"{segment.name}, byte 64" in said
    assert "deltabook journal repair" in said
    assert "Traceback" not in said


def test_a_server_that_is_killed_forgets_nothing(tmp_path: Path) -> None:
    """Two kills; `make kills` has a hundred."""
    traders, watchers = uvloop.run(campaign(tmp_path, 2, 5, 1000, Console(quiet=True)))
    figures, broken = tally(tmp_path, traders, watchers)
    assert not broken
    assert figures["requests answered"] > 100


def test_snapshots_are_taken_beside_the_market(tmp_path: Path) -> None:
    @run
    async def scene() -> None:
        async with serving(journal=str(tmp_path), journal_snapshot_commands=20) as server:
            client = client_of(server)
            await client.open()
            while sum(name.endswith(".snapshot") for name in os.listdir(tmp_path)) < 2:
                await client.place("BTC-USD", "buy", Ticks(100), Lots(5))
            state = server.market.exchange.state_hash()
            await client.close()
        assert recover(Disk(), str(tmp_path), CONFIG, [], START).exchange.state_hash() == state

    scene()


def test_busy_sources_do_not_keep_a_server_from_leaving(tmp_path: Path) -> None:
    @run
    async def scene() -> None:
        async with serving(sources=[SimulatedSource(rate=100_000)], journal=str(tmp_path), assets={}, instruments=(), deposit={}) as server:
            await until(lambda: server.market.sequencer.groups >= 20)
        assert not server.market.sequencer.waits

    scene()
