"""Recordings: the engine agrees with their own truth, and what is wrong with a file is told."""

import argparse
import gzip
import json
import lzma
import struct
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from stream.cli import replay as command
from stream.replay import binance, bitstamp, companion, flash1, lobster, read, scaled
from stream.sources.recorded import RECORDING

SHARED = Path(__file__).parents[3] / "shared" / "data"
NEW, CANCEL, MODIFY, BUY, SELL = 0, 1, 2, 0, 1


def shared(pattern: str) -> Path:
    found = sorted(SHARED.glob(pattern))
    if not found:
        pytest.skip(f"no {pattern} in {SHARED}")
    return found[0]


# Reading


@pytest.mark.parametrize(
    ("text", "decimals", "units"),
    [("61837.63000000", 2, 6183763), ("1e-05", 8, 1000), ("2.6e-06", 8, 260), ("0.0", 8, 0), ("483980000.0", 2, 48398000000), ("-1.5", 1, -15)],
)
def test_decimal_text_is_read_exactly(text: str, decimals: int, units: int) -> None:
    assert scaled(text, decimals) == units


@pytest.mark.parametrize("text", ["0.001", "1e-3", "NaN", "Infinity", "", "12a"])
def test_text_that_is_no_whole_number_of_units_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        scaled(text, 2)


def test_files_are_uncompressed_by_their_suffix(tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_bytes(b"content")
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"content"))
    (tmp_path / "a.xz").write_bytes(lzma.compress(b"content"))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("one_message_5.csv", b"content")
        archive.writestr("readme.txt", b"other")
    for name in ("plain.csv", "a.gz", "a.xz", "a.zip"):
        assert read(tmp_path / name, "message") == b"content"


@pytest.mark.parametrize("name", ["a.gz", "a.xz", "a.zip"])
def test_a_broken_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not compressed at all")
    with pytest.raises(ValueError, match=name):
        read(tmp_path / name)


def test_a_companion_may_be_compressed_otherwise(tmp_path: Path) -> None:
    (tmp_path / "x_trades.csv").touch()
    assert companion(tmp_path / "x_orders.csv.gz", "orders", "trades") == tmp_path / "x_trades.csv"
    with pytest.raises(FileNotFoundError, match="'books' instead of 'orders'"):
        companion(tmp_path / "x_orders.csv.gz", "orders", "books")


# flash1


def workload(path: Path, messages: list[tuple[int, int, int, int, int, int]]) -> Path:
    records = (struct.pack("<BBBBIQQqq", kind, side, ioc, 0, size, seq, order, price, 0) for seq, (kind, side, ioc, size, order, price) in enumerate(messages))
    path.write_bytes(flash1.MAGIC + struct.pack("<II", 1, len(messages)) + b"".join(records))
    return path


CASES = {
    "fifo": (
        [(NEW, BUY, 0, 10, 1, 100), (NEW, BUY, 0, 10, 2, 100), (NEW, SELL, 0, 10, 3, 100)],
        ["0,0,0,1,100,10", "0,1,0,2,100,10", "0,2,1,3,100,10", "1,2,100,10,1,3"],
    ),
    "a modify loses its place, even if nothing changes": (
        [(NEW, SELL, 0, 5, 1, 100), (NEW, SELL, 0, 5, 2, 100), (MODIFY, SELL, 0, 5, 1, 100), (NEW, BUY, 0, 5, 3, 100)],
        ["0,0,1,1,100,5", "0,1,1,2,100,5", "3,2,1,1,100,5", "0,3,0,3,100,5", "1,3,100,5,2,3"],
    ),
    "a modify into the other side": (
        [(NEW, SELL, 0, 10, 1, 100), (NEW, BUY, 0, 10, 2, 90), (MODIFY, BUY, 0, 10, 2, 105)],
        ["0,0,1,1,100,10", "0,1,0,2,90,10", "1,2,100,10,1,2", "3,2,0,2,105,10"],
    ),
    "the rest of an immediate order": (
        [(NEW, SELL, 0, 10, 1, 100), (NEW, BUY, 1, 15, 2, 100), (NEW, SELL, 1, 5, 3, 100)],
        ["0,0,1,1,100,10", "0,1,0,2,100,15", "1,1,100,10,1,2", "2,1,0,2,100", "0,2,1,3,100,5", "2,2,1,3,100"],
    ),
    "unknown orders": (
        [(NEW, BUY, 0, 10, 1, 100), (CANCEL, SELL, 0, 0, 1, 0), (CANCEL, BUY, 0, 0, 1, 0), (MODIFY, BUY, 0, 5, 1, 101)],
        ["0,0,0,1,100,10", "2,1,0,1,100", "4,2,1", "5,3,1"],
    ),
    "an id may come again": (
        [(NEW, BUY, 0, 10, 0, 100), (NEW, SELL, 0, 10, 2, 100), (NEW, SELL, 0, 10, 0, 200), (NEW, BUY, 1, 10, 3, 200)],
        ["0,0,0,0,100,10", "0,1,1,2,100,10", "1,1,100,10,0,2", "0,2,1,0,200,10", "0,3,0,3,200,10", "1,3,200,10,0,3"],
    ),
    "any 64-bit price": (
        [(NEW, BUY, 0, 4, 1, -(1 << 63)), (NEW, SELL, 0, (1 << 32) - 1, 2, (1 << 63) - 1), (NEW, BUY, 0, 3, 3, -5), (NEW, SELL, 0, 7, 4, -(1 << 63))],
        [
            "0,0,0,1,-9223372036854775808,4", "0,1,1,2,9223372036854775807,4294967295", "0,2,0,3,-5,3", "0,3,1,4,-9223372036854775808,7",
            "1,3,-5,3,3,4", "1,3,-9223372036854775808,4,1,4",
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_flash1_reports(tmp_path: Path, name: str) -> None:
    messages, lines = CASES[name]
    expected = sha256("\n".join(lines).encode()).hexdigest()
    report = flash1.replay(workload(tmp_path / "flash1_case.bin", messages), expected)
    assert report.hash == expected
    assert report.passed
    assert report.trades == sum(line.startswith("1,") for line in lines)


def test_flash1_hash_does_not_depend_on_the_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages, lines = CASES["a modify into the other side"]
    monkeypatch.setattr(flash1, "BATCH_BYTES", flash1.RECORD.size)
    assert flash1.replay(workload(tmp_path / "w.bin", messages), sha256("\n".join(lines).encode()).hexdigest()).passed


def test_flash1_described_messages_and_counts(tmp_path: Path) -> None:
    lines = [f"0,{seq},1,{seq + 1},100,1" for seq in range(3)] + ["0,3,0,4,100,3"] + [f"1,3,100,1,{maker},4" for maker in (1, 2, 3)]
    case = {
        "messages": "NEW(i,SELL,1,100) for i=1..3 then NEW(4,BUY,3,100,ioc=1)", "trades": 3, "resting_orders_at_end": 0,
        "expected_sha256": sha256("\n".join(lines).encode()).hexdigest(),
    }
    path = tmp_path / "flash1_cases.json"
    path.write_text(json.dumps({"a sweep": case, "a wrong count": case | {"trades": 2}}))
    assert [(check.name, check.passed) for check in flash1.replay(path).checks] == [("a sweep", True), ("a wrong count", False)]


def test_flash1_hash_is_found_beside_the_workload(tmp_path: Path) -> None:
    messages, lines = CASES["fifo"]
    digest = sha256("\n".join(lines).encode()).hexdigest()
    path = workload(tmp_path / "flash1_small_n3.bin", messages)
    with pytest.raises(ValueError, match="a file with the published hash"):
        flash1.replay(path)
    (tmp_path / "flash1_published_hash_small.txt").write_text(f"{digest}  small_reports.txt\n")
    assert flash1.replay(path).passed
    (tmp_path / "flash1_workloads.json").write_text(json.dumps({"flash1_small_n3.bin.xz": {"expected_reports_sha256": "0" * 64, "trades": 1}}))
    assert not flash1.replay(path).passed


def test_flash1_refuses_what_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="SIZE_TOO_SMALL"):
        flash1.replay(workload(tmp_path / "zero.bin", [(NEW, BUY, 0, 0, 1, 100)]), "0")
    (tmp_path / "text.bin").write_text("hello")
    with pytest.raises(ValueError, match="not a flash1 workload"):
        flash1.replay(tmp_path / "text.bin", "0")


def test_flash1_published_edge_cases() -> None:
    report = flash1.replay(shared("flash1_edge_cases_dev.json"))
    assert [check.name for check in report.checks if not check.passed] == []
    assert len(report.checks) == 20


@pytest.mark.parametrize("name", ["normal_seed1", "static_seed2", "flash-crash_seed3"])
def test_flash1_published_workloads(name: str) -> None:
    assert flash1.replay(shared(f"flash1_{name}_n50000.bin.xz")).passed


# LOBSTER

MESSAGES = """\
34200.1,1,11,20,1000100,1
34200.1,4,11,5,1000100,1
34200.2,5,0,7,1000150,-1
34200.2,2,11,5,1000100,1
34200.3,1,12,10,1000200,1
34200.4,4,12,10,1000200,1
34200.5,3,99,100,1000300,-1
34200.6,4,11,10,1000100,1
"""
ROWS = """\
1000300,100,1000100,20,1000400,50,1000000,100
1000300,100,1000100,15,1000400,50,1000000,100
1000300,100,1000100,15,1000400,50,1000000,100
1000300,100,1000100,10,1000400,50,1000000,100
1000300,100,1000200,10,1000400,50,1000100,10
1000300,100,1000100,10,1000400,50,1000000,90
1000400,50,1000100,10,9999999999,0,1000000,90
1000400,50,1000000,90,9999999999,0,-9999999999,0
"""


def lobster_zip(path: Path, messages: str, rows: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X_message_2.csv", messages)
        archive.writestr("X_orderbook_2.csv", rows)
    return path


def test_lobster_window_of_two_levels(tmp_path: Path) -> None:
    report = lobster.replay(lobster_zip(tmp_path / "X.zip", MESSAGES, ROWS))
    assert [(check.checked, check.equal) for check in report.checks] == [(8, 8), (3, 3)]
    assert report.passed
    assert report.trades == 3


def test_lobster_differences_are_counted(tmp_path: Path) -> None:
    report = lobster.replay(lobster_zip(tmp_path / "X.zip", MESSAGES, ROWS.replace("1000100,15", "1000100,16")))
    assert report.checks[0].equal == 6
    assert not report.passed


def test_lobster_files_may_stand_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "X_message_2.csv").write_text(MESSAGES)
    (tmp_path / "X_orderbook_2.csv.gz").write_bytes(gzip.compress(ROWS.encode()))
    assert lobster.replay(tmp_path / "X_message_2.csv").passed
    assert lobster.replay(tmp_path / "X_message_2.csv", limit=2).checks[0].checked == 2


def test_lobster_refuses_files_of_different_lengths(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="8 messages and 0 rows"):
        lobster.replay(lobster_zip(tmp_path / "X.zip", MESSAGES, ""))


def test_lobster_amazon() -> None:
    report = lobster.replay(shared("LOBSTER_*_AMZN_*_5.zip"))
    assert [(check.checked, check.equal) for check in report.checks] == [(155_935, 155_935), (8_974, 8_939)]
    assert report.passed


# Bitstamp


def bitstamp_files(folder: Path, orders: list[str], trades: list[str]) -> Path:
    (folder / "x_orders.csv").write_text("id,timestamp,exchange_timestamp,price,volume,action,direction\n" + "\n".join(orders))
    (folder / "x_trades.csv").write_text("trade_id,timestamp,exchange_timestamp,price,amount,buy_order_id,sell_order_id,side\n" + "\n".join(trades))
    return folder / "x_orders.csv"


def test_bitstamp_post_only_market_order_and_lost_end(tmp_path: Path) -> None:
    orders = [
        "1,0,0,100.5,1.0,created,bid",
        "2,0,0,100.5,2e-08,created,bid",
        "3,0,0,99.0,1.0,created,bid",
        "4,0,0,100.0,1.0,created,ask",      # would take, and the trades do not name it
        "4,0,0,100.0,1.0,deleted,ask",
        "5,0,0,0.0,1.00000001,created,ask",    # a market order
        "1,0,0,100.5,0.0,deleted,bid",
        "2,0,0,100.5,1e-08,changed,bid",
        "6,0,0,99.0,0.5,created,ask",         # passes the rest of order 2 over, whose end was lost
        "3,0,0,99.0,0.5,changed,bid",
        "7,0,0,98.0,0.5,created,ask",
    ]
    trades = [
        "1,0,0,100.5,1.0,1,5,sell",
        "2,0,0,100.5,1e-08,2,5,sell",
        "3,0,0,99.0,0.5,3,6,sell",
        "4,0,0,99.0,0.49999999,3,7,sell",
    ]
    report = bitstamp.replay(bitstamp_files(tmp_path, orders, trades))
    assert [(check.checked, check.equal) for check in report.checks] == [(3, 1)]
    assert report.trades == 5


def test_bitstamp_needs_its_columns_and_trades(tmp_path: Path) -> None:
    path = bitstamp_files(tmp_path, ["1,0,0,1.0,1.0,moved,bid"], ["1,0,0,1.0,1.0,1,2,sell"])
    with pytest.raises(ValueError, match="unknown action 'moved'"):
        bitstamp.replay(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="expected rows with the columns"):
        bitstamp.replay(path)
    (tmp_path / "x_trades.csv").unlink()
    with pytest.raises(FileNotFoundError):
        bitstamp.replay(path)


def test_bitstamp_bitcoin() -> None:
    report = bitstamp.replay(shared("bitstamp_btcusd_20260502_*_orders.csv.gz"))
    assert report.checks[0].checked == 58
    assert report.checks[0].equal >= 56


# Binance


def depth(first: int, last: int, bids: list[list[str]], asks: list[list[str]]) -> str:
    return f"1 {json.dumps({'stream': 'btcusdt@depth@100ms', 'data': {'e': 'depthUpdate', 'U': first, 'u': last, 'b': bids, 'a': asks}})}"


SNAPSHOT = f"2 {json.dumps({'lastUpdateId': 10, 'bids': [['100.00', '1.0']], 'asks': [['101.00', '2.0']]})}"


def test_binance_updates_before_the_snapshot_are_spliced() -> None:
    lines = [depth(5, 9, [["1.00", "1.0"]], []), depth(10, 12, [["100.00", "3.0"]], []), SNAPSHOT, depth(13, 13, [], [["101.00", "0"]])]
    found = [entry for _, entry in binance.entries(line.encode() for line in lines)]
    assert found == [
        binance.Depth(10, ({10_000: 1_000_000}, {10_100: 2_000_000}), snapshot=True),
        binance.Depth(12, ({10_000: 3_000_000}, {})),
        binance.Depth(13, ({}, {10_100: 0})),
    ]


def test_binance_gaps_are_refused() -> None:
    with pytest.raises(ValueError, match="updates 11 to 11 are missing"):
        list(binance.entries(line.encode() for line in [SNAPSHOT, depth(12, 13, [], [])]))
    with pytest.raises(ValueError, match="line 2: expected a time"):
        list(binance.entries([SNAPSHOT.encode(), b"hello"]))


def test_binance_bitcoin() -> None:
    report = binance.replay(RECORDING)
    assert [(check.checked, check.equal) for check in report.checks] == [(3450, 3450), (564, 564)]
    assert report.trades > 4000


# The command


def run(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(argument) for argument in arguments]))


def test_command_agrees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = lobster_zip(tmp_path / "LOBSTER_X.zip", MESSAGES, ROWS)
    assert run(path) == 0
    assert "agrees" in capsys.readouterr().out
    assert run(path, "--format", "lobster", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["passed"] is True
    assert printed["checks"][0] == {"name": "books equal at 2 levels", "checked": 8, "equal": 8, "expected": 8}


def test_command_fails_when_a_check_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = workload(tmp_path / "flash1_x.bin", CASES["fifo"][0])
    assert run(path, "--expect", "00") == 1
    assert "differs" in capsys.readouterr().out


def test_command_names_what_it_cannot_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.txt").write_text("hello")
    assert run(tmp_path / "x.txt") == 2
    assert run(tmp_path / "absent", "--format", "binance") == 2
    assert run(tmp_path / "x.txt", "--format", "binance", "--expect", "00") == 2
    errors = capsys.readouterr().err.splitlines()
    assert [part in error for part, error in zip(("which format it has", "No such file", "--expect"), errors, strict=True)] == [True] * 3
