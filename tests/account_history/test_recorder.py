"""The thread that writes: whoever asks has all of before, and when it ends of anything, only the history ends."""

import logging
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from stream.account_history import recorder
from stream.account_history.database import Database, Position, Wanted
from stream.account_history.facts import Facts
from stream.account_history.recorder import Question, RanGroup, Recorder, open_database
from stream.wire.codes import ErrorCode
from tests.engine.random_flow import RandomFlow, new_exchange, new_oracle
from tests.sockets import run, serving

PATIENCE_S = 30


class Waiting:
    """Who waits for answers of a recorder, as a loop does."""

    def __init__(self, database: Database) -> None:
        self.news = threading.Event()
        self.recorder = Recorder(database, (), self.news.set)

    def ask(self, trades: bool = False, account: int = 0) -> tuple[Any, int]:
        """A page, once it is there."""
        answers: list[tuple[Any, int]] = []
        self.recorder.ask(Question(trades, Wanted(account, size=1 << 30), lambda page, since: answers.append((page, since))))
        while not answers:
            assert self.news.wait(PATIENCE_S)
            self.news.clear()
            self.recorder.answer()
        return answers[0]


def begun(path: Path) -> Database:
    database = Database(str(path))
    database.begin(Position(1, 0, 17))
    return database


def groups(seed: int, count: int) -> list[RanGroup]:
    exchange, oracle = new_exchange(seed), new_oracle(seed)
    flow, found = RandomFlow(seed, oracle), []
    for number in range(count):
        command = flow.next()
        flow.saw(oracle.run(command))
        exchange.execute(command.packed())
        found.append(RanGroup(command.packed(), bytes(exchange.events), number, exchange.seq))
    return found


def test_whoever_asks_gets_all_that_was_taken_before(tmp_path: Path) -> None:
    waiting, facts, twin = Waiting(begun(tmp_path / "one")), Facts(), begun(tmp_path / "two")
    for number, group in enumerate(groups(1, 300)):
        waiting.recorder.take(group)
        facts.take(group.commands, group.events, group.time)
        if number % 20 == 0:
            twin.write(facts, group.seq)
            facts.clear()
            for account in range(3):
                assert waiting.ask(account=account) == (twin.orders(Wanted(account, size=1 << 30)), 17)
                assert waiting.ask(True, account) == (twin.trades(Wanted(account, size=1 << 30)), 17)
    last = group.seq
    waiting.recorder.close()
    again = Database(str(tmp_path / "one"))
    assert again.position == Position(1, last, 17), "what was taken last was written, too"
    for database in (again, twin):
        database.close()


@pytest.mark.parametrize("error", [sqlite3.OperationalError("disk I/O error"), MemoryError(), SystemExit()])
def test_whatever_ends_the_thread_ends_the_history_and_nothing_else(error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Waiting(begun(tmp_path / "history"))
    some = groups(1, 50)

    def fail(self: Database, facts: Facts, seq: int) -> None:
        raise error

    monkeypatch.setattr(Database, "write", fail)
    waiting.recorder.take(some[0])
    assert waiting.ask() == (ErrorCode.NO_HISTORY, 0)
    assert type(error).__name__ in waiting.recorder.failure
    for group in some:
        waiting.recorder.take(group)
    assert waiting.ask() == (ErrorCode.NO_HISTORY, 0)
    assert not waiting.recorder.waiting_bytes, "nothing gathers that nobody will write"
    waiting.recorder.close()


def test_a_disk_that_is_too_far_behind_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = threading.Event()
    write = Database.write
    monkeypatch.setattr(Database, "write", lambda self, facts, seq: (stuck.wait(PATIENCE_S), write(self, facts, seq)))
    monkeypatch.setattr(recorder, "WAITING_BYTES_MAX", 20_000)
    waiting = Waiting(begun(tmp_path / "history"))
    for group in groups(1, 500):
        waiting.recorder.take(group)
    assert "wait to be written" in waiting.recorder.failure
    stuck.set()
    assert waiting.ask() == (ErrorCode.NO_HISTORY, 0)
    waiting.recorder.close()


def test_a_file_that_is_no_database_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_bytes(b"this is not a database, however long one looks at it" * 100)
    database = open_database(str(path), 1000)
    assert database.position is None
    database.close()
    (tmp_path / "folder").mkdir()
    with pytest.raises(sqlite3.OperationalError):
        open_database(str(tmp_path / "folder"), 1000)


def test_a_server_goes_on_without_its_history_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    @run
    async def scene() -> None:
        async with serving(history=str(tmp_path / "history")) as server:
            writes = server.market.recorder
            assert writes
            writes.fail("the disk is gone")
            server.keep()
            server.keep()
            told = [record for record in caplog.records if "history" in record.getMessage()]
            assert [record.levelno for record in told] == [logging.ERROR]
            assert not server.market.failure

    scene()
