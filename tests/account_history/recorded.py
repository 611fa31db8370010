"""A market with a history, in one thread but for the recorder's own."""

import threading
from pathlib import Path
from typing import Any

from stream.account_history.database import Database, Position
from stream.account_history.recorder import Recorder
from tests.worlds import Desk, QuietMarket

PATIENCE_S = 30


class RecordedMarket(QuietMarket):
    """A market with a history."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.news = threading.Event()
        database = Database(str(path))
        database.begin(Position(1, self.exchange.seq, 0))
        self.recorder = Recorder(database, (), self.news.set)


def ask(market: RecordedMarket, desk: Desk, *request: Any, **named: Any) -> Any:
    """Ask, and have the one answer, which may come later."""
    heard = desk.ask(*request, **named)
    while not heard:
        assert market.news.wait(PATIENCE_S)
        market.news.clear()
        market.tick(market.now)
        heard = desk.hear()
    return heard[0]
