"""`deltabook export`, on the journal that is kept as a fixture."""

import sys
from decimal import Decimal
from pathlib import Path

import pytest

from stream.cli import main
from stream.export.errors import ExportError
from stream.export.exporter import Exporter
from stream.export.terms import ExportTerms
from stream.export.writers import FORMATS, writer_of
from stream.wire.frames import OrderAdded, OrderBatch
from tests.export.test_formats import need
from tests.journal.test_journal import VERSION_1

TERMS = ExportTerms(1, "BTC-USD", Decimal("0.01"), Decimal("0.0001"))


def test_a_journal_becomes_lobsters_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "book.csv"
    assert main(["export", str(VERSION_1), "BTC-USD", str(path), "--levels", "3"]) == 0
    messages = (tmp_path / "book_message_3.csv").read_text().splitlines()
    assert capsys.readouterr().out == f"{len(messages):,} events of BTC-USD: {path}\n"
    assert len(messages) == len((tmp_path / "book_orderbook_3.csv").read_text().splitlines()) > 0


@pytest.mark.parametrize(("arguments", "told"), [
    ([str(VERSION_1), "BTC-EUR", "book.csv"], "expected one of the instruments BTC-USD, ETH-USD in this time, got 'BTC-EUR'"),
    ([str(VERSION_1), "BTC-USD", "book.xlsx"], f"expected a name that ends in {', '.join(FORMATS)}"),
    ([str(VERSION_1 / "nothing"), "BTC-USD", "book.csv"], "No such file or directory"),
    ([str(VERSION_1), "BTC-USD", "book.csv", "--seconds", "3"], "--seconds: expected a live server"),
    (["ws://127.0.0.1:1/v1", "BTC-USD", "book.csv", "--from", "3"], "--from: a live server tells only what happens from now on"),
])
def test_what_is_impossible_is_told(arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments[2] = str(tmp_path / arguments[2])
    assert main(["export", *arguments]) == 2
    assert told in "".join(capsys.readouterr().err.split("\n"))


@pytest.mark.parametrize(("suffix", "package"), [(".dbn", "databento_dbn"), (".dbn.zst", "databento_dbn"), (".npz", "numpy"), (".parquet", "pyarrow")])
def test_a_missing_library_is_told_with_what_installs_it(suffix: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("stream.export.") and name.rpartition(".")[2] in FORMATS.values()]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ExportError, match=rf"needs {package}, which is not installed: pip install 'deltabook\[export\]'"):
        writer_of(tmp_path / f"book{suffix}", TERMS, 10)


@pytest.mark.parametrize(("suffix", "tick", "unit"), [(".csv", "0.0001", "0.0001"), (".dbn", "0.000000001", "1E-9")])
def test_a_tick_that_a_format_cannot_hold_is_refused(suffix: str, tick: str, unit: str, tmp_path: Path) -> None:
    if suffix == ".dbn":
        need("databento_dbn")
    path = tmp_path / f"book{suffix}"
    writer_of(path, TERMS._replace(tick=Decimal(tick)), 10).close()
    with pytest.raises(ExportError, match=f"expected a multiple of {unit}, got {Decimal(tick) / 2}"):
        writer_of(path, TERMS._replace(tick=Decimal(tick) / 2), 10)


@pytest.mark.parametrize(("price", "size", "fits"), [
    (1, (1 << 32) - 2, True), (1, (1 << 32) - 1, False), (922_337_203_685, 1, True), (922_337_203_686, 1, False),
])
def test_dbn_refuses_what_it_cannot_hold(price: int, size: int, fits: bool, tmp_path: Path) -> None:
    need("databento_dbn")
    exporter = Exporter(writer_of(tmp_path / "book.dbn", TERMS, 10))
    batch = OrderBatch(1, 1, [OrderAdded(1, "buy", price, size)])
    if fits:
        exporter.take(batch)
    else:
        with pytest.raises(ExportError, match="DBN holds fewer than 4294967295 lots, and prices below 9223372036"):
            exporter.take(batch)
    exporter.close()
