"""Tables: for people in a terminal, whole in a pipe, and as CSV or JSON for programs."""

import argparse
import csv
import io
import json
import sys
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal

from rich.console import Console
from rich.table import Table

from stream.client.counts import KINDS
from stream.client.readings import Reading, text

FORMATS = ("table", "csv", "json")

PIPE_WIDTH = 10_000
"""The width in columns if there is no terminal: nothing is cut off."""

Row = Mapping[str, object]


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add the flag that chooses the form of a table."""
    parser.add_argument("--format", choices=FORMATS, default="table", help="what to print (default: %(default)s); json is one object a line")


def row_of(reading: Reading, without: Collection[str] = ()) -> Row:
    """What a client has read: its decimals, and not the counts behind them."""
    return {name: getattr(reading, name) for name in reading.fields if name.rpartition("_")[2] not in KINDS and name not in without}


def written(rows: Sequence[Row], headings: Sequence[str], format: str) -> str:
    """Rows as CSV with a head, or as JSON, one object a line. Decimals are text in JSON, so that nothing is lost."""
    if format == "json":
        return "".join(json.dumps({name: text(value) if isinstance(value, Decimal) else value for name, value in row.items()}) + "\n" for row in rows)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows([[text(row[name]) for name in headings] for row in rows])
    return out.getvalue()


def print_rows(rows: Sequence[Row], headings: Sequence[str], format: str) -> None:
    """Print rows in a format."""
    if format != "table":
        sys.stdout.write(written(rows, headings, format))
        return
    table = Table(box=None, pad_edge=False)
    for name in headings:
        table.add_column(name.replace("_", " "), justify="right", overflow="fold", no_wrap=name == "order")
    for row in rows:
        table.add_row(*(text(row[name]) for name in headings))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    console.print(table)
