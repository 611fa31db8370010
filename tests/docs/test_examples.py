"""The examples, run as a person would, against a real server."""

import asyncio
import csv
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stream.client.readings import Book, Trade, scale
from stream.server.market_server import MarketServer
from stream.sources.simulated import SimulatedSource
from stream.wire import frames
from stream.wire.codec import MSGPACK
from stream.wire.scale import to_text
from tests.cli.test_cli import ROOT, Outcome
from tests.setting import token
from tests.sockets import relaying, run, serving
from tests.wire.test_vectors import CHANNELS, ids

ETH = "ETH-USDT"
SCALES = {"BTC-USD": scale("0.01", "0.0001", 6)}
DEPOSIT = {"ETH": "50", "USDT": "1000000"}


@asynccontextmanager
async def market() -> AsyncIterator[tuple[MarketServer, str]]:
    """A lively market, and its URL."""
    async with serving(sources=[SimulatedSource(seed=1, rate=200)], assets={}, instruments=(), deposit=DEPOSIT) as server:
        yield server, f"ws://127.0.0.1:{server.port}/v1"


async def example(name: str, *arguments: str) -> Outcome:
    """Run an example to its end."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", f"stream.examples.{name}", *arguments, cwd=ROOT, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    assert process.returncode is not None
    return Outcome(process.returncode, out.decode(), err.decode())


def recorded(path: Path) -> str:
    """Record into a file; what was said."""
    said: list[str] = []

    @run
    async def record() -> None:
        async with market() as (_, url):
            outcome = await example("record", ETH, str(path), "--url", url, "--depth", "3", "--rows", "100")
            assert (outcome.status, outcome.err) == (0, "")
            said.append(outcome.out)

    record()
    return said[0]


def check(columns: list[str], rows: list[list[int]]) -> None:
    """Times and sequences go up, and the best bid is below the best ask."""
    assert columns[:4] == ["time_ns", "seq", "bid_price_ticks_1", "bid_size_lots_1"]
    assert columns[-1] == "ask_size_lots_3"
    assert len(rows) == 100
    assert [row[:2] for row in rows] == sorted(row[:2] for row in rows)
    both = [(row[2], row[8]) for row in rows if row[2] and row[8]]
    assert len(both) > 50
    assert all(bid < ask for bid, ask in both)


def test_record_into_csv(tmp_path: Path) -> None:
    assert "100 rows in" in recorded(tmp_path / "book.csv")
    with open(tmp_path / "book.csv", newline="") as file:
        columns, *rows = csv.reader(file)
    check(columns, [list(map(int, row)) for row in rows])


def test_record_into_parquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    assert "ticks of 0.01 USDT" in recorded(tmp_path / "book.parquet")
    table = parquet.read_table(tmp_path / "book.parquet")
    check(table.column_names, [list(row.values()) for row in table.to_pylist()])


@run
async def test_imbalance() -> None:
    async with market() as (_, url):
        outcome = await example("imbalance", "--url", url, "--levels", "1", "--percent", "20", "--count", "5")
        assert (outcome.status, outcome.err) == (0, "")
        assert len(re.findall(r"^(?:ETH|SOL|XRP)-USDT [+-]\d+ %$", outcome.out, re.MULTILINE)) == 5


@run
async def test_spread_alert() -> None:
    async with market() as (server, url), relaying(server) as relay:
        urls = ["--url", url, "--url", f"ws://127.0.0.1:{relay.port}/v1"]
        outcome = await example("spread_alert", ETH, *urls, "--basis-points", "0", "--count", "1")
        assert (outcome.status, outcome.err) == (0, "")
        assert re.fullmatch(r"ETH-USDT: [\d.]+ between [\d.]+ and [\d.]+, wide \a\n", outcome.out)


@run
async def test_market_maker() -> None:
    async with market() as (server, url):
        given = ["--token", token("maker", server.clock.now(), "market account trade"), "--url", url, "--reach", "4", "--size", "0.01", "--moves", "5"]
        outcome = await example("market_maker", ETH, *given)
        assert (outcome.status, outcome.err) == (0, "")
        assert re.search(r"^[56] moves, [012] quotes cancelled$", outcome.out, re.MULTILINE)
        assert server.market.exchange.orders(server.market.exchange.accounts - 1) == []


# NautilusTrader


def adapter() -> Any:
    pytest.importorskip("nautilus_trader", reason="nautilus_trader is not installed")
    from stream.examples.nautilus import Adapter

    return Adapter("BTC-USD")


def shown(flat: list[int]) -> list[tuple[str, str]]:
    """Levels in decimal text."""
    return [(to_text(price, "0.01"), to_text(size, "0.0001")) for price, size in zip(flat[::2], flat[1::2], strict=True)]


@pytest.mark.parametrize("vector", [vector for vector in CHANNELS if vector["channel"].startswith("orderbook")], ids=ids)
def test_a_book_of_nautilus_is_the_same(vector: dict[str, Any]) -> None:
    turns = adapter()
    from nautilus_trader.model.book import OrderBook
    from nautilus_trader.model.enums import BookType

    book = OrderBook(turns.instrument, BookType.L2_MBP)
    for step in vector["steps"]:
        if step["verdict"] in ("snapshot", "applied", "heartbeat"):
            deltas = turns.deltas(Book(MSGPACK.decode_answer(bytes.fromhex(step["msgpack"])), SCALES, "BTC-USD"))
            if deltas:
                book.apply_deltas(deltas)
            sides = [[(str(level.price), str(level.orders()[0].size)) for level in side] for side in (book.bids(), book.asks())]
            assert sides == [shown(step["state"]["bids"]), shown(step["state"]["asks"])]


def test_a_trade_of_nautilus_is_the_same() -> None:
    tick = adapter().trade(Trade(frames.Trade(7, 1_700_000_000_000_000_001, 6_000_000, 25, "sell"), SCALES, "BTC-USD"))
    assert (str(tick.price), str(tick.size), str(tick.trade_id), tick.ts_event) == ("60000.00", "0.0025", "7", 1_700_000_000_000_000_001)
    assert tick.aggressor_side.name == "SELLER"


@run
async def test_nautilus() -> None:
    adapter()
    async with market() as (_, url):
        outcome = await example("nautilus", ETH, "--url", url, "--frames", "50")
        assert outcome.status == 0
        assert re.search(r"^bid_levels: [1-9]", outcome.out)
