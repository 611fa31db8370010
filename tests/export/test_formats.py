"""Each file, read by the library that it is for, gives back the engine's book: order by order, after every batch or event."""

import csv
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from stream.export.exporter import Exporter
from stream.export.order_events import CLEAR
from stream.replay import lobster
from tests.export.recorded import LEVELS, MARKETS, EventList, Recorded, Rows, Twin, levels_of

SIDES = {"B": 0, "A": 1}


def need(*packages: str) -> None:
    """Skip if one is not installed."""
    for package in packages:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed: `make exports` installs it")


@pytest.fixture(params=MARKETS)
def found(request: pytest.FixtureRequest) -> Recorded:
    return MARKETS[request.param]()


# LOBSTER


def test_lobster_messages_and_books_are_the_engines_after_each_message(found: Recorded, tmp_path: Path) -> None:
    writer = EventList(())
    exporter = Exporter(writer)
    for batch, snapshot in zip(found.batches, found.snapshots, strict=True):
        exporter.take(batch, snapshot)
    found.write(tmp_path / "eth.csv")
    twin, unit, times = Twin(), 100, []
    with (tmp_path / f"eth_message_{LEVELS}.csv").open() as messages, (tmp_path / f"eth_orderbook_{LEVELS}.csv").open() as books:
        for message, row, book in zip(csv.reader(messages), csv.reader(books), writer.books, strict=True):
            time, (type, order, size, price, direction) = message[0], map(int, message[1:])
            times.append(int(time.replace(".", "")))
            if type == 1:
                twin.add(order, direction < 0, price // unit, size)
            else:
                assert twin.orders[order][:2] == [direction < 0, price // unit]
                assert (type == 3) <= (size == twin.orders[order][2]), "a deletion is of all that is left"
                twin.cancel(order, size)
            assert twin.rows() == book
            numbers = [int(text) for text in row]
            assert len(numbers) == 4 * LEVELS
            for side, empty in enumerate((-9999999999, 9999999999)):
                flat = [(numbers[at], numbers[at + 1]) for at in range(2 * (1 - side), len(numbers), 4)]
                shown = [(price * unit, size) for price, size in levels_of(book[side])][:LEVELS]
                assert flat == shown + [(empty, 0)] * (LEVELS - len(shown))
    assert times == sorted(times)
    assert 0 <= times[0] < 86_400 * 10**9


def test_our_own_replay_of_lobster_agrees(found: Recorded, tmp_path: Path) -> None:
    """Where a book begins with its first order, as a day's does: the first message's book is not empty."""
    found.write(tmp_path / "eth.csv")
    report = lobster.replay(tmp_path / f"eth_message_{LEVELS}.csv")
    assert report.checks[0].passed


# DBN


def databento_books(found: Recorded, path: Path) -> Iterator[Rows]:
    """The book after each batch, as Databento's documentation rebuilds it."""
    import databento
    import databento_dbn as dbn

    twin = Twin()
    store = databento.DBNStore.from_bytes(path.read_bytes())
    assert (store.schema, store.symbols) == ("mbo", [found.terms.name])
    unit, begun, times = 10**7, False, []
    for record in store:
        times.append(record.ts_event)
        assert record.ts_recv == record.ts_event
        if record.action == "R":
            twin.orders.clear()
            begun = True
        elif record.action == "A":
            twin.add(record.order_id, SIDES[record.side], record.price // unit, record.size)
        elif record.action == "C":
            twin.cancel(record.order_id, record.size)
        elif record.action == "M":
            twin.modify(record.order_id, SIDES[record.side], record.price // unit, record.size)
        elif record.action == "F":
            assert twin.orders[record.order_id][:2] == [SIDES[record.side], record.price // unit]
            assert twin.orders[record.order_id][2] >= record.size
        else:
            assert (record.action, record.order_id) == ("T", 0)
        assert begun, "what comes first is a snapshot"
        if record.flags & dbn.F_LAST:
            yield twin.rows()
    assert store.start.value == times[0]
    assert times == sorted(times)


@pytest.mark.parametrize("suffix", [".dbn", ".dbn.zst"])
def test_dbn_gives_databento_the_engines_queues(suffix: str, found: Recorded, tmp_path: Path) -> None:
    need("databento_dbn", "databento")
    import databento

    path = found.write(tmp_path / f"eth{suffix}")
    assert list(databento_books(found, path)) == found.books
    frame = databento.DBNStore.from_bytes(path.read_bytes()).to_df()
    assert set(frame.symbol) == {found.terms.name}
    assert set(frame.action) == set("ACFMRT")
    trades, fills = frame[frame.action == "T"], frame[frame.action == "F"]
    assert len(trades) == len(fills) == found.seen()["fill"]
    assert (trades.side.to_numpy() != fills.side.to_numpy()).all()
    of_snapshots = [batch for batch, snapshot in zip(found.batches, found.snapshots, strict=True) if snapshot]
    assert sum(int(flags) & 32 != 0 for flags in frame["flags"]) == sum(len(batch.changes) for batch in of_snapshots)


def test_dbn_gives_nautilus_trader_the_engines_queues(found: Recorded, tmp_path: Path) -> None:
    need("databento_dbn", "nautilus_trader")
    from nautilus_trader.adapters.databento import DatabentoDataLoader
    from nautilus_trader.model.book import OrderBook
    from nautilus_trader.model.data import OrderBookDelta
    from nautilus_trader.model.enums import BookType, RecordFlag
    from nautilus_trader.model.identifiers import InstrumentId

    name = InstrumentId.from_str("ETH-USD.DELTABOOK")
    loader, book, books = DatabentoDataLoader(), OrderBook(name, BookType.L3_MBO), []
    for delta in loader.from_dbn_file(found.write(tmp_path / "eth.dbn.zst"), instrument_id=name, as_legacy_cython=True):
        if not isinstance(delta, OrderBookDelta):
            continue
        book.apply_delta(delta)
        if delta.flags & RecordFlag.F_LAST:
            books.append(tuple(
                [(order.order_id, round(float(order.price) * 100), round(float(order.size))) for level in side for order in level.orders()]
                for side in (book.bids(), book.asks())
            ))
    assert books == found.books


# Parquet


def test_parquet_gives_pyarrow_the_engines_queues(found: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("pyarrow")
    from pyarrow.parquet import ParquetFile

    from stream.export import parquet

    monkeypatch.setattr(parquet, "GROUP_ROWS", 1000)
    file = ParquetFile(found.write(tmp_path / "eth.parquet"))
    assert {key: file.schema_arrow.metadata[key] for key in (b"instrument", b"tick", b"lot")} == {
        b"instrument": found.terms.name.encode(), b"tick": b"0.01", b"lot": str(found.terms.lot).encode(),
    }
    assert file.num_row_groups == -(-file.metadata.num_rows // 1000)
    twin, books = Twin(), []
    for row in file.read().to_pylist():
        order, side = row["order"], row["side"] == "sell"
        match row["event"]:
            case "clear":
                twin.orders.clear()
            case "add":
                twin.add(order, side, row["price_ticks"], row["size_lots"])
            case "move":
                assert twin.orders[order][0] == side
                twin.cancel(order)
                twin.add(order, side, row["price_ticks"], row["size_lots"])
            case _:
                twin.cancel(order, row["size_lots"])
        assert row["left_lots"] == twin.orders.get(order, [0, 0, 0])[2]
        if row["last"]:
            books.append(twin.rows())
    assert books == found.books


# hftbacktest


def events_of(found: Recorded, path: Path) -> Any:
    import numpy

    return numpy.load(found.write(path))["data"]


def test_npz_gives_the_engines_queues(found: Recorded, tmp_path: Path) -> None:
    """By hftbacktest's own rules: a cancel takes the whole order."""
    need("numpy")
    kept = EventList({CLEAR})
    exporter, twin, books = Exporter(kept), Twin(), []
    for batch, snapshot in zip(found.batches, found.snapshots, strict=True):
        exporter.take(batch, snapshot)
    for ev, _, _, price, size, order, _, _ in events_of(found, tmp_path / "eth.npz").tolist():
        code, side, ticks, lots = ev & 0xFF, (ev >> 28 & 3) == 1, round(price / 0.01), round(size / float(found.terms.lot))
        if code == 3:
            twin.orders.clear()
        elif code == 10:
            twin.add(order, side, ticks, lots)
        elif code == 11:
            twin.cancel(order)
        elif code == 12:
            twin.modify(order, side, ticks, lots)
        if code not in (2, 13):
            books.append(twin.rows())
    assert books == kept.books


def test_npz_is_what_hftbacktest_makes_of_the_dbn_file(found: Recorded, tmp_path: Path) -> None:
    need("databento_dbn", "databento", "hftbacktest", "polars")
    from hftbacktest.data import validate_event_order
    from hftbacktest.data.utils import databento
    from hftbacktest.types import event_dtype

    ours, theirs = events_of(found, tmp_path / "eth.npz"), databento.convert(str(found.write(tmp_path / "eth.dbn")), found.terms.name)
    assert ours.dtype == event_dtype
    validate_event_order(ours)
    assert (ours["ev"] == theirs["ev"]).all()
    assert (ours["order_id"] == theirs["order_id"]).all()
    told = ours["ev"] & 0xFF != 3
    assert (ours["px"][told] == theirs["px"][told]).all()
    assert (ours["qty"][told] == theirs["qty"][told] / (1 / float(found.terms.lot))).all()


def test_npz_runs_in_hftbacktest(found: Recorded, tmp_path: Path) -> None:
    need("hftbacktest")
    import numpy
    from hftbacktest import BacktestAsset, HashMapMarketDepthBacktest

    data = events_of(found, tmp_path / "eth.npz")
    asset = (
        BacktestAsset().data(data).linear_asset(1.0).constant_order_latency(0, 0).l3_fifo_queue_model().no_partial_fill_exchange()
        .trading_value_fee_model(0, 0).tick_size(0.01).lot_size(float(found.terms.lot))
    )
    backtest = HashMapMarketDepthBacktest([asset])
    books = {batch.time: book for batch, book in zip(found.batches, found.books, strict=True)}
    compared = 0
    backtest.elapse(1)    # which begins with the first event
    for time in numpy.unique(data["exch_ts"]).tolist():
        assert backtest.elapse(time + 1 - backtest.current_timestamp) in (0, 1)
        depth, (bids, asks) = backtest.depth(0), map(levels_of, books[time])
        if bids and asks:
            assert (depth.best_bid_tick, depth.best_ask_tick) == (bids[0][0], asks[0][0])
        for side, quantity in ((bids, depth.bid_qty_at_tick), (asks, depth.ask_qty_at_tick)):
            assert [(price, round(quantity(price) / float(found.terms.lot))) for price, _ in side] == side
        compared += 1
    assert compared > 100
    backtest.close()
