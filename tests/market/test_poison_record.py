"""A command that kills the engine kills a server once: the next start says which one it was, and a copy without it goes on. The faults are compiled."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

import stream.market.trial
from engine import Commands, Exchange, OrderType, Side
from stream.cli.serve import UNRECOVERABLE
from stream.client.client import Client
from stream.client.counts import Lots, Ticks
from stream.client.errors import ClientError
from stream.commands.directory import AccountOf, Entry
from stream.journal.files import Disk
from stream.journal.format import JournalError, Kind, Stuck
from stream.journal.parts import named
from stream.journal.recovery import open_journal, replay
from stream.journal.writer import JournalOptions
from stream.market.history import recover
from stream.market.leave_out import leave_out
from stream.market.trial import CRASH, Trial
from stream.settings.config import Config, as_environment
from tests.conftest import WIDE
from tests.journal.journals import small_exchange
from tests.kills import ServerProcess
from tests.market.faulty_engine import ABORT, ENDLESS, EXIT, KILL, SEGFAULT, build
from tests.setting import CONFIG, START, token
from tests.sockets import run

ALICE = msgspec.msgpack.encode(Entry(AccountOf("alice"), 1))


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Python finds an engine with faults."""
    folder = tmp_path_factory.mktemp("faulty")
    build(folder)
    return folder


@pytest.fixture
def in_faulty(faulty: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Processes that are started have the faults; this one has not."""
    monkeypatch.chdir(faulty)
    return faulty


async def refused(server: ServerProcess) -> str:
    """What a server says that refuses to start."""
    before = server.log.stat().st_size
    with pytest.raises(RuntimeError):
        await server.start()
    assert await server.ended() == UNRECOVERABLE
    return server.log.read_text()[before:]


def begin_journal(folder: str, *records: tuple[Kind, bytes], exchange: Exchange | None = None) -> Config:
    """A journal with these records behind the first; the configuration of a server that has it."""
    opened = open_journal(Disk(), folder, JournalOptions(1 << 16, reserve_bytes=0), 1)
    opened.writer.commit([(Kind.GENESIS, (exchange or small_exchange()).snapshot(), START), (Kind.ENTRY, ALICE, START)])
    for kind, payload in records:
        opened.writer.commit([(kind, payload, START)])
    opened.writer.close()
    Disk().close(opened.lock)
    return Config(journal=folder)


def orders(count: int, *cancelled: int) -> bytes:
    """Some orders, and cancels of these client ids in the middle of them."""
    commands = Commands()
    for i in range(count // 2):
        commands.place(0, 0, 0, 100 - i, 1, time=START)
    for client_id in cancelled:
        commands.cancel(1, client_id=client_id, time=START)
    for i in range(count // 2, count):
        commands.place(0, 0, 0, 100 - i, 1, time=START)
    return bytes(commands)


def crashed(config: Config) -> None:
    """As if the process before had."""
    (Path(config.journal) / CRASH).write_bytes(b"Fatal Python error: Segmentation fault\n")


def guarded(config: Config, patience_s: float = 60) -> JournalError | None:
    """What a recovery is refused with."""
    try:
        opened = recover(Disk(), config.journal, config, [], START, Trial(config, patience_s)).opened
    except JournalError as error:
        return error
    assert opened
    opened.writer.close()
    Disk().close(opened.lock)
    return None


def journal(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stream", "journal", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_from_the_crash_to_a_market_that_goes_on(in_faulty: Path, tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    folder, copy = server.journal, f"{server.journal}.repaired"

    async def scene() -> None:
        url = await server.start()
        async with Client(url, token("alice", time.time_ns())) as alice, Client(url, token("bob", time.time_ns())) as bob:
            orders = await alice.orders()
            (book,) = await bob.subscribe(["orderbook:BTC-USD"], interval_ms=0)
            bid = await alice.place("BTC-USD", "buy", Ticks(100), Lots(5), key=1)
            stop = await alice.place("ETH-USD", "sell", Ticks(40), Lots(7), type="stop", stop=Ticks(50), client_id=SEGFAULT, key=2)
            epoch = book.mirror.epoch
            with pytest.raises(ClientError):
                await alice.cancel(client_id=SEGFAULT, key=3)
            assert await server.ended() == -signal.SIGSEGV
            assert "Segmentation fault" in (Path(folder) / CRASH).read_text()

            told = await refused(server)
            seq = int(re.search(r"record (\d+) of 20\d\d-\d\d-\d\dT", told)[1])    # type: ignore[index]
            assert "of kind keyed_commands" in told
            assert "signal 11, SIGSEGV" in told
            assert f"It is command {seq}: command cancel, client_id {SEGFAULT}, account 0 (alice)" in told
            assert f"`deltabook journal repair {folder} {copy} --without {seq}`" in told
            again = await refused(server)
            assert "found before" in again
            assert "a child process" not in again

            mended = journal("repair", folder, copy, "--without", seq)
            assert mended.returncode == 0, mended.stderr
            assert "accounts concerned: account 0 (alice)" in mended.stdout
            assert "there are no differences" in mended.stdout
            server.environment["DELTABOOK_JOURNAL"] = copy
            await server.start()
            await alice.connected()
            await bob.connected()
            await alice.ping()
            await bob.ping()
            assert {order.order for order in orders.mirror.open.values()} == {bid.order, stop.order}
            assert book.mirror.epoch > epoch
            assert (await alice.place("BTC-USD", "buy", Ticks(100), Lots(5), key=1)).order == bid.order
            assert (await alice.cancel(stop.order, key=4)).status == "cancelled"
        assert await server.end(signal.SIGTERM) == 0
        assert (Path(copy) / CRASH).read_bytes() == b""

    run(scene, 300)()    # half a dozen processes start one after the other
    history = recover(Disk(), folder, CONFIG, [], START, Trial(CONFIG))    # this process has an engine without the faults
    assert history.exchange.order_count == 1


@pytest.mark.parametrize(("fault", "words", "patience_s"), [
    (ABORT, "signal 6, SIGABRT", 60), (EXIT, "exit status 3", 60), (ENDLESS, "no progress for 1.5 s", 1.5),
])
def test_whatever_a_recovery_dies_of_is_found(in_faulty: Path, tmp_path: Path, fault: int, words: str, patience_s: float) -> None:
    cancels = [fault] if fault == ENDLESS else [7, fault, 8]
    others = 0 if fault == ENDLESS else 4
    config = begin_journal(str(tmp_path), (Kind.COMMANDS, orders(3)), (Kind.COMMANDS, orders(others, *cancels)), (Kind.COMMANDS, orders(2)))
    crashed(config)
    stuck = guarded(config, patience_s)
    assert isinstance(stuck, Stuck)
    name = "4" if fault == ENDLESS else "4.4"
    assert f"record 4 of 2023-11-14T22:13:20.000000Z, of kind commands: recovery ends there with {words}. " in stuck.what
    assert f"It is command {name}: command cancel, client_id {fault}, account 1 (alice), instrument 0 (BTC-USD)" in stuck.what
    assert stuck.remedy.endswith(f"--without {name}` makes a copy without the command, to serve from")
    assert stuck.record == 4


def test_a_recovery_that_is_killed_is_no_fault_of_a_record(in_faulty: Path, tmp_path: Path) -> None:
    config = begin_journal(str(tmp_path), (Kind.COMMANDS, orders(0, KILL)))
    crashed(config)
    note = (tmp_path / CRASH).read_bytes()
    error = guarded(config)
    assert not isinstance(error, Stuck)
    assert "killed or had no memory left, at record 3" in str(error)
    assert (tmp_path / CRASH).read_bytes() == note    # so it is tried again


def test_two_commands_that_do_it_by_themselves(in_faulty: Path, tmp_path: Path) -> None:
    """The first is told, and its copy tells the next."""
    config = begin_journal(str(tmp_path / "journal"), (Kind.COMMANDS, orders(6, ABORT, SEGFAULT)))
    crashed(config)
    assert str(guarded(config)).count("3.4") == 2
    copy = tmp_path / "copy"
    mended = journal("repair", config.journal, copy, "--without", "3.4")
    assert mended.returncode == 1
    assert f"It is command 3.4: command cancel, client_id {SEGFAULT}" in mended.stderr
    assert "signal 11, SIGSEGV. It is" in mended.stderr
    assert f"repair {copy} {copy}.repaired --without 3.4`" in mended.stderr


BAD_GROUPS = {
    "a part of a command": (Kind.COMMANDS, bytes(96), "3.2"),
    "no command": (Kind.KEYED_COMMANDS, bytes(3), "3"),
    "a group of another form": (Kind.FORWARDED, b"\x91\x01", "3"),
    "an entry of another form": (Kind.ENTRY, b"\x01", "3"),
}


@pytest.mark.parametrize(("kind", "payload", "name"), BAD_GROUPS.values(), ids=BAD_GROUPS)
def test_a_record_that_raises_is_found_at_once(tmp_path: Path, kind: Kind, payload: bytes, name: str) -> None:
    """Without a crash before; and the copy has all the others."""
    config = begin_journal(str(tmp_path / "journal"), (kind, payload), (Kind.COMMANDS, orders(4)))
    stuck = guarded(config)
    assert isinstance(stuck, Stuck)
    assert stuck.remedy.endswith(f"--without {name}` makes a copy without the command, to serve from")
    assert "found before" in str(guarded(config))
    left = leave_out(Disk(), config.journal, str(tmp_path / "copy"), named(name), JournalOptions(), 2, START)
    assert left.behind == 4
    assert guarded(Config(journal=str(tmp_path / "copy"))) is None


def test_the_cancel_of_a_stop_among_many_orders_is_no_such_command(tmp_path: Path) -> None:
    """So many orders that the engine looks ahead to what is next, and a stop alone in its book: once that was a crash at every start."""
    exchange, commands = Exchange(orders_max=1 << 15, accounts_max=2, tombstones=8, client_ids_max=1 << 15), Commands()
    exchange.add_asset("BTC", 0)
    exchange.add_asset("USD", 0)
    for name in ("BTC-USD", "BTC-USD-2"):
        exchange.add_instrument(WIDE._replace(name=name))
    exchange.open_account()
    exchange.deposit(0, 0, 1_000)
    exchange.deposit(0, 1, 1 << 40)
    for i in range(17_920):
        commands.place(0, 0, Side.BUY, 1 + i % 500, 1, time=START)
    commands.place(0, 1, Side.SELL, 0, 10, type=OrderType.STOP, stop=5, client_id=7, time=START)
    cancel = Commands()
    cancel.cancel(0, client_id=7, time=START)
    config = begin_journal(str(tmp_path), (Kind.COMMANDS, bytes(commands)), (Kind.COMMANDS, bytes(cancel)), exchange=exchange)
    exchange.execute(commands)
    assert exchange.order_count == 17_921
    exchange.execute(cancel)
    assert exchange.order_count == 17_920
    assert guarded(config) is None
    found = replay(Disk(), str(tmp_path))
    assert found
    assert found.state.exchange.state_hash() == exchange.state_hash()


def test_what_was_found_is_forgotten_when_anything_has_changed(tmp_path: Path) -> None:
    config = begin_journal(str(tmp_path), (Kind.COMMANDS, bytes(96)))
    guarded(config)
    (segment,) = tmp_path.glob("*.journal")
    os.utime(segment, ns=(1, 1))
    assert "found before" not in str(guarded(config))
    assert "found before" in str(guarded(config))


def test_a_clean_start_tries_nothing_and_leaves_no_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: object) -> None:
        raise AssertionError("a child was started")

    monkeypatch.setattr(stream.market.trial, "tried", never)
    config = begin_journal(str(tmp_path), (Kind.COMMANDS, orders(4)))
    for _ in range(2):
        assert guarded(config) is None
        assert (tmp_path / CRASH).read_bytes() == b""


def test_a_start_after_a_crash_that_does_not_come_again(tmp_path: Path) -> None:
    config = begin_journal(str(tmp_path), (Kind.COMMANDS, orders(4)))
    crashed(config)
    assert guarded(config) is None
    assert (tmp_path / CRASH).read_bytes() == b""


def test_a_recovery_without_room_for_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = begin_journal(str(tmp_path), (Kind.COMMANDS, orders(4)))

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert guarded(config) is None


def test_a_child_whose_parent_is_gone_ends(in_faulty: Path, tmp_path: Path) -> None:
    """Even from within a command that never ends."""
    config = begin_journal(str(tmp_path), (Kind.COMMANDS, orders(0, ENDLESS)))
    note = tmp_path / "note"
    note.write_bytes(bytes(8))
    start = f"{sys.executable} -m stream.market.trial_child recover {note} 0 $$ 60 & until od -An -tu8 {note} | grep -qw 3; do sleep 0.05; done"
    assert subprocess.run(["sh", "-c", start], env=os.environ | as_environment(config), stdout=subprocess.PIPE, timeout=60, check=True).stdout == b""
