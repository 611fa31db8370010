"""The conformance vectors as files: `python -m tests.vector_files` has the server play every scene and writes them into `tests/vectors`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.levels import digest_of
from stream.wire.candles import CandlePage, ListCandles
from stream.wire.messages import Leaving, Pacing, Place, Stale, Welcome
from tests import book_scenes, by_order_scenes, other_scenes
from tests.scene import Play, told
from tests.setting import START
from tests.worlds import MILLISECOND, Desk, QuietMarket

FOLDER = Path(__file__).parent / "vectors"


def connection() -> dict[str, Any]:
    """What a server says about itself, and what a client knows then."""
    market = QuietMarket(loaded_intervals_ms=(200,), load_patience_ms=1)
    desk = Desk(market)
    for lag in (1000, 1000, 0, 0):
        market.now += 2 * MILLISECOND
        market.observe_lag(lag * MILLISECOND, market.now)
    for since in (START, 0):
        market.tell_stale(since)
    market.leave()
    desk.hear()
    steps, known = [], {"pacing_ms": 0, "stale_since": "0", "return_ms": 0}
    for message in desk.heard:
        match message:
            case Pacing():
                known["pacing_ms"] = message.interval_ms
            case Stale():
                known["stale_since"] = str(message.since)
            case Leaving():
                known["return_ms"] = message.return_ms
            case Welcome():
                message.server = "deltabook"
        steps.append(told(message) | {"state": dict(known)})
    return {"name": "a connection", "shows": connection.__doc__, "steps": steps}


def candles() -> dict[str, Any]:
    """The candles of a minute with trades, of quiet ones, and of one that still grows; then totals beyond 2^63."""
    market = QuietMarket(self_trade="allow")
    desk = Desk(market).sign_in("alice")
    steps = []

    def page(interval: str, **named: Any) -> None:
        [found] = desk.ask(ListCandles, "BTC-USD", interval, **named)
        assert isinstance(found, CandlePage)
        begin, end = (found.candles[0].start, found.candles[-1].start) if found.candles else (0, -1)
        true = [each for each in market.feed.candles[0].series(interval, begin, max(end, 0), 1000) if each.start <= end]
        rows = [
            [str(each.start), each.open, each.high, each.low, each.close, *map(str, (each.size, each.value, each.bought, each.bought_value)),
             each.trades, each.first, each.last]
            for each in true
        ]
        steps.append(told(found) | {"state": {"candles": rows}})

    page("1m")
    for minutes, trades in ((0, ((100, "buy"), (103, "sell"), (99, "buy"))), (3, ((101, "sell"),))):
        market.now += minutes * 60_000 * MILLISECOND
        for price, side in trades:
            desk.ask(Place, "BTC-USD", "sell" if side == "buy" else "buy", price, 5)
            desk.ask(Place, "BTC-USD", side, price, 5)
    page("1m")
    page("1h", count=1)
    page("1m", since=START, until=START + 120_000 * MILLISECOND)
    for _ in range(3):
        market.feed.candles[0].add(Beyond(), market.now)    # type: ignore[arg-type]
    page("1M")
    return {"name": "candles", "shows": candles.__doc__, "steps": steps}


class Beyond:
    """A TRADE event larger than any that an account could pay."""

    seq, price, size, value, side = 1000, 102, 1 << 62, 102 << 55, 0


def digests() -> list[dict[str, Any]]:
    """Books and their digests, the first thing to get right."""
    most = (1 << 53) - 1
    books: list[tuple[list[int], list[int]]] = [
        ([], []), ([100, 5], []), ([], [100, 5]), ([1, 1], []), ([100, 5, 99, 4], [101, 3, 102, 2]),
        ([most, 1], []), ([1, most], [most, most]), ([1 << 40, 1 << 40], [(1 << 40) + 1, 1]),
        (list(range(64, 0, -1)), list(range(65, 129))),
    ]
    return [{"bids": bids, "asks": asks, "digest": str(digest_of(bids, asks))} for bids, asks in books]


def files() -> Iterator[tuple[str, str]]:
    """Every file of vectors: its name and its text."""
    vectors: dict[str, list[dict[str, Any]]] = {}
    for play in (*vars(book_scenes).values(), *vars(by_order_scenes).values(), *vars(other_scenes).values()):
        if isinstance(play, Play):
            vectors.setdefault(play.file, []).append(play.vector())
    for file, content in {**vectors, "connection": [connection()], "candles": [candles()], "digest": digests()}.items():
        yield f"{file}.json", json.dumps(content, indent=1) + "\n"


if __name__ == "__main__":
    for name, text in files():
        (FOLDER / name).write_text(text)
