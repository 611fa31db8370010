"""Whatever ends the journal's thread is a failed disk to everybody; what only spares it work may fail, and it goes on."""

import threading
from pathlib import Path

import msgspec
import pytest

from stream.access.keys import key_of
from stream.client.client import Client
from stream.client.counts import Lots, Ticks
from stream.client.errors import RequestRefused
from stream.journal.files import Disk
from stream.journal.format import Kind
from stream.journal.recovery import replay
from stream.journal.writer import Journal, JournalFailed, JournalOptions, JournalWriter
from stream.server.market_server import MarketServer
from stream.wire.codes import ErrorCode
from tests.journal.journals import small_exchange
from tests.setting import CONFIG, SECRET, token
from tests.sockets import get, run
from tests.waiting import until

ENDS = [MemoryError(), RuntimeError("can't start new thread"), ValueError("no"), SystemExit(), KeyboardInterrupt(), OSError(5, "Input/output error")]
TINY = JournalOptions(1 << 12, reserve_bytes=0)


class Breaking(Disk):
    """One of its calls raises, from a moment on."""

    def __init__(self, call: str, error: BaseException) -> None:
        self.breaking = False

        def broken(*arguments: object) -> object:
            if self.breaking:
                raise error
            return getattr(Disk, call)(self, *arguments)

        setattr(self, call, broken)


def begun(disk: Disk, folder: Path) -> JournalWriter:
    writer = JournalWriter(disk, str(folder), TINY, 1)
    writer.commit([(Kind.GENESIS, small_exchange().snapshot(), 1)])
    return writer


@pytest.mark.parametrize("call", ["write", "sync", "free_bytes"])
@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
def test_whatever_ends_the_thread_is_a_failed_disk(tmp_path: Path, call: str, error: BaseException) -> None:
    disk, failed = Breaking(call, error), threading.Event()
    journal = Journal(begun(disk, tmp_path), lambda: failed.set() if journal.failure else None)
    disk.breaking = True
    journal.append(Kind.COMMANDS, b"", 1)
    assert failed.wait(30)
    disk.breaking = False
    assert journal.durable == 1
    with pytest.raises(JournalFailed):
        journal.append(Kind.COMMANDS, b"", 1)
    journal.close()
    assert replay(Disk(), str(tmp_path))


@pytest.mark.parametrize("error", [RuntimeError("the loop is gone"), MemoryError()], ids=["RuntimeError", "MemoryError"])
def test_a_report_that_fails_is_a_failed_disk_too(tmp_path: Path, error: Exception) -> None:
    failed = threading.Event()

    def report() -> None:
        if not journal.failure:
            raise error
        failed.set()

    journal = Journal(begun(Disk(), tmp_path), report)
    journal.append(Kind.COMMANDS, b"", 1)
    assert failed.wait(30)
    assert "the journal's thread has ended" in str(journal.failure)
    journal.close()


def test_a_machine_without_room_for_a_thread_journals_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "journal segment":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    durable = threading.Semaphore(0)
    journal = Journal(begun(Disk(), tmp_path), durable.release)
    for _ in range(100):    # over several segments
        journal.append(Kind.COMMANDS, bytes(88), 1)
    while not journal.idle:
        assert durable.acquire(timeout=30)
    journal.close()
    assert journal.failure is None
    assert len(list(tmp_path.glob("*.journal"))) > 2


@pytest.mark.parametrize("error", [MemoryError(), OSError(28, "No space left on device")], ids=["MemoryError", "OSError"])
def test_a_segment_that_could_not_be_prepared_is_prepared_again(tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, prepare, durable = begun(Disk(), tmp_path), JournalWriter.prepare, threading.Semaphore(0)

    def fail(writer: JournalWriter, size: int = 0) -> None:
        if not size:    # from the thread that is ahead
            raise error
        prepare(writer, size)

    monkeypatch.setattr(JournalWriter, "prepare", fail)
    journal = Journal(writer, durable.release)
    for _ in range(100):
        journal.append(Kind.COMMANDS, bytes(88), 1)
    while not journal.idle:
        assert durable.acquire(timeout=30)
    journal.close()
    assert journal.failure is None


def test_clients_and_supervisors_are_told_that_the_thread_has_ended(tmp_path: Path) -> None:
    @run
    async def scene() -> None:
        disk = Breaking("write", MemoryError())
        server = MarketServer(msgspec.structs.replace(CONFIG, port=0, journal=str(tmp_path)), [key_of("HS256", SECRET)], files=disk)
        await server.start()
        client = Client(f"ws://127.0.0.1:{server.port}/v1", token("alice", server.clock.now()))
        await client.open()
        await client.place("BTC-USD", "buy", Ticks(100), Lots(5))
        disk.breaking = True
        with pytest.raises(RequestRefused) as unknown:
            await client.place("BTC-USD", "buy", Ticks(100), Lots(5))
        assert unknown.value.code == ErrorCode.OUTCOME_UNKNOWN
        with pytest.raises(RequestRefused) as frozen:
            await client.place("BTC-USD", "buy", Ticks(100), Lots(5))
        assert frozen.value.code == ErrorCode.FROZEN
        await until(lambda: client.stale_since)
        assert " 503 " in (await get(server.port, "/health"))[0]
        await client.close()
        await server.stop()
        assert "MemoryError" in server.market.failure

    scene()
