"""A market with a history, in one thread but for the recorder's own."""

import threading
import weakref
from pathlib import Path
from typing import Any

from stream.account_history.database import Database, Position
from stream.account_history.recorder import Recorder
from tests.worlds import Desk, QuietMarket

PATIENCE_S = 30


class RecordedMarket(QuietMarket):
    """A market with a history, which ends with the market."""

    def __init__(self, path: Path | str = ":memory:", **changes: Any) -> None:
        super().__init__(**changes)
        self.news = threading.Event()
        database = Database(str(path))
        database.begin(Position(1, self.exchange.seq, 0))
        self.recorder = Recorder(database, (), self.news.set)
        self._thread_ends = weakref.finalize(self, self.recorder.fail, "the market is gone")    # whatever thread collects it, so nothing waits for the end

    def close(self) -> None:
        """End the history when all is written."""
        assert self.recorder
        if self._thread_ends.detach():
            self.recorder.close()

    def await_answers(self) -> None:
        """Wait until the history has answered something."""
        assert self.news.wait(PATIENCE_S)
        self.news.clear()
        self.tick(self.now)


def ask(market: RecordedMarket, desk: Desk, *request: Any, **named: Any) -> Any:
    """Ask, and have the one answer, which may come later."""
    heard = desk.ask(*request, **named)
    while not heard:
        market.await_answers()
        heard = desk.hear()
    return heard[0]
