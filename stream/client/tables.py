"""Converts books and trades to DataFrames of pandas and polars, which are imported only when needed.

Prices and sizes are exact decimals, and counts of ticks and lots beside them; times are timestamps.
"""

from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any

from stream.client.readings import Scale

if TYPE_CHECKING:
    import pandas
    import polars

BOOK_COLUMNS = ("side", "price", "size", "price_ticks", "size_lots")
TRADE_COLUMNS = ("seq", "time", "price", "size", "side", "price_ticks", "size_lots")
DECIMALS = {"price": "ticks", "size": "lots"}


def library(name: str) -> Any:
    """pandas or polars. Raises an ImportError that says how to install it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"{name} is not installed: pip install 'deltabook[frames]', or {name} alone") from error


def to_pandas(rows: list[tuple[Any, ...]], columns: tuple[str, ...]) -> "pandas.DataFrame":
    """A pandas.DataFrame. Its decimals are Python objects, and its times are in UTC."""
    frame: pandas.DataFrame = library("pandas").DataFrame(rows, columns=list(columns))
    for column in set(columns) - {"side", "time", *DECIMALS}:
        frame[column] = frame[column].astype("int64")
    if "time" in columns:
        frame["time"] = library("pandas").to_datetime(frame["time"].astype("int64"), unit="ns", utc=True)
    return frame


def to_polars(rows: list[tuple[Any, ...]], columns: tuple[str, ...], scale: Scale) -> "polars.DataFrame":
    """A polars.DataFrame. Its decimals have the scale of the tick and the lot, and its times are in UTC."""
    types = library("polars")
    schema: dict[str, Any] = {column: types.String if column == "side" else types.Int64 for column in columns}
    for column, kind in DECIMALS.items():
        step: Decimal = getattr(scale, kind)
        schema[column] = types.Decimal(38, max(0, -int(step.as_tuple().exponent)))
    frame: polars.DataFrame = types.DataFrame(rows, schema=schema, orient="row")
    if "time" in columns:
        frame = frame.with_columns(types.col("time").cast(types.Datetime("ns", "UTC")))
    return frame
