"""Converts books and trades to DataFrames of pandas and polars, which are imported only when needed. Ticks, lots and ns stay integers.

With the terms of an instrument, prices and sizes become exact decimals, and times become timestamps.
"""

from collections.abc import Iterable
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any

from stream.wire.scale import to_text

if TYPE_CHECKING:
    import pandas
    import polars

    from stream.wire.frames import Trade
    from stream.wire.messages import InstrumentTerms

BOOK_COLUMNS = ("side", "price", "size")
TRADE_COLUMNS = ("seq", "time", "price", "size", "side")


def library(name: str) -> Any:
    """pandas or polars. Raises an ImportError that says how to install it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"{name} is not installed: pip install 'deltabook[frames]', or {name} alone") from error


def scaled(rows: list[tuple[Any, ...]], columns: tuple[str, ...], terms: "InstrumentTerms | None") -> dict[str, list[Any]]:
    """The columns of rows. With `terms`, prices and sizes are decimals."""
    found = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True)) if rows else {column: [] for column in columns}
    if terms:
        for column, step in (("price", terms.tick), ("size", terms.lot)):
            found[column] = [Decimal(to_text(count, step)) for count in found[column]]
    return found


def book_rows(bids: list[int], asks: list[int]) -> list[tuple[str, int, int]]:
    """One row for each level: bids first, and each side best first."""
    return [(side, *level) for side, levels in (("bid", bids), ("ask", asks)) for level in zip(levels[::2], levels[1::2], strict=True)]


def trade_rows(trades: "Iterable[Trade]") -> list[tuple[int, int, int, int, str]]:
    """One row for each trade, oldest first."""
    return [(trade.seq, trade.time, trade.price, trade.size, trade.side) for trade in trades]


def to_pandas(rows: list[tuple[Any, ...]], columns: tuple[str, ...], terms: "InstrumentTerms | None") -> "pandas.DataFrame":
    """A pandas.DataFrame. Its decimals are Python objects, and its times are in UTC."""
    frame: pandas.DataFrame = library("pandas").DataFrame(scaled(rows, columns, terms), columns=list(columns))
    for column in set(columns) - {"side"}:
        if not (terms and column in ("price", "size")):
            frame[column] = frame[column].astype("int64")
    if terms and "time" in columns:
        frame["time"] = library("pandas").to_datetime(frame["time"], unit="ns", utc=True)
    return frame


def to_polars(rows: list[tuple[Any, ...]], columns: tuple[str, ...], terms: "InstrumentTerms | None") -> "polars.DataFrame":
    """A polars.DataFrame. Its decimals have the scale of the tick and the lot, and its times are in UTC."""
    types = library("polars")
    schema: dict[str, Any] = {column: types.String if column == "side" else types.Int64 for column in columns}
    if terms:
        for column, step in (("price", terms.tick), ("size", terms.lot)):
            schema[column] = types.Decimal(38, max(0, -int(Decimal(step).as_tuple().exponent)))
    frame: polars.DataFrame = types.DataFrame(scaled(rows, columns, terms), schema=schema)
    if terms and "time" in columns:
        frame = frame.with_columns(types.col("time").cast(types.Datetime("ns", "UTC")))
    return frame
