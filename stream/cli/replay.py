"""`deltabook replay`: feeds a recording into the engine, and says whether the engine agrees with what the recording says happened."""

import argparse
import sys
from pathlib import Path

import msgspec
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from stream.replay import ReplayReport, binance, bitstamp, flash1, lobster

FORMATS = ("binance", "bitstamp", "flash1", "lobster")
DISAGREES, UNREADABLE = 1, 2

EXAMPLES = """examples:
  deltabook replay binance_spot_btcusdt_20240808.gz
  deltabook replay messages.csv --format lobster
  deltabook replay flash1_work.bin --expect 9f86d081884c7d65...
  deltabook replay recording.gz --format binance --json | jq .passed

exit status: 0 if the engine agrees with what the recording says happened, 1 if it does not, 2 if the recording cannot be read
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `replay`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.add_argument("file", type=Path, metavar="FILE", help="the recording; .gz, .xz and .zip are uncompressed")
    parser.add_argument("--format", choices=FORMATS, help="the format of the recording; if it is not given, the name of the file must begin with it")
    parser.add_argument("--expect", metavar="HASH", default="",
                        help="the SHA-256 of the reports of a flash1 workload, if there is no file with it beside the recording")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Replay, and print the report. Returns the exit status: 0 if everything agrees, 1 if a check fails, 2 if the recording cannot be read."""
    path: Path = arguments.file
    format: str = arguments.format or path.name.lower()
    try:
        path.stat()
        report = _replay(format, path, arguments.expect)
    except (OSError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        print(f"deltabook replay: {error}", file=sys.stderr)
        return UNREADABLE
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode({"passed": report.passed, **msgspec.to_builtins(report)})).decode())
    else:
        _print(path, report)
    return 0 if report.passed else DISAGREES


def _replay(format: str, path: Path, expect: str) -> ReplayReport:
    """Replay a recording, with a progress bar if there is a terminal to show it."""
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(path.name, total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if expect and not format.startswith("flash1"):
            raise ValueError("--expect can be used with flash1 recordings only")
        if format.startswith("binance"):
            return binance.replay(path, progress)
        if format.startswith("bitstamp"):
            return bitstamp.replay(path, progress)
        if format.startswith("flash1"):
            return flash1.replay(path, expect, progress)
        if format.startswith("lobster"):
            return lobster.replay(path, progress=progress)
    raise ValueError(f"{path}: the name of the file does not say which format it has; choose one with --format")


def _print(path: Path, report: ReplayReport) -> None:
    table = Table(title=path.name, title_justify="left", caption_justify="left", box=box.SIMPLE)
    table.add_column("check")
    for heading in ("compared", "equal", "required"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for check in report.checks:
        verdict = "[green]agrees[/]" if check.passed else "[red]differs[/]"
        table.add_row(check.name, f"{check.checked:,}", f"{check.equal:,}", f"{check.expected:,}", verdict)
    table.caption = (
        f"{report.commands:,} commands, {report.events:,} events, {report.trades:,} trades in {report.seconds:.1f} s\n"
        f"hash {report.hash}"
    )
    Console(soft_wrap=True).print(table)
