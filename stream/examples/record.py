"""Record the best levels of a book, one row per change, into a CSV file, or into a Parquet file if pyarrow is installed.

    python -m stream.examples.record BTC-USDT book.csv --depth 5 --rows 10000
"""
# pyright: reportMissingImports=false

import argparse
import asyncio
import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from stream import connect

Rows = list[list[int]]


@contextmanager
def writing(path: str, columns: list[str]) -> Iterator[Callable[[Rows], None]]:
    """Open a file; what writes rows into it."""
    if path.endswith(".parquet"):
        import pyarrow
        from pyarrow.parquet import ParquetWriter

        schema = pyarrow.schema([(column, pyarrow.int64()) for column in columns])
        with ParquetWriter(path, schema) as parquet:
            yield lambda rows: parquet.write_table(pyarrow.table(list(zip(*rows, strict=True)), schema))
    else:
        with open(path, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            yield writer.writerows


async def record(url: str, instrument: str, path: str, depth: int, count: int) -> str:
    """Record so many rows; what was recorded, in words."""
    names = [f"{side}_{what}_{n}" for side in ("bid", "ask") for n in range(1, depth + 1) for what in ("price_ticks", "size_lots")]
    async with connect(url) as client:
        terms = (await client.instruments())[instrument]
        book = await client.orderbook(instrument, depth, interval_ms=0)
        with writing(path, ["time_ns", "seq", *names]) as write:
            rows: Rows = []
            for written in range(1, count + 1):
                frame = await anext(book)
                bids, asks = (side + [0] * (2 * depth - len(side)) for side in book.mirror.depth(depth))
                rows.append([frame.engine_time, book.seq, *bids, *asks])
                if len(rows) == 1000 or written == count:
                    write(rows)
                    rows = []
    return f"{count} rows in {path}; prices are in ticks of {terms.tick} {terms.quote}, sizes in lots of {terms.lot} {terms.base}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("instrument")
    parser.add_argument("path")
    parser.add_argument("--url", default="ws://127.0.0.1:8080/v1")
    parser.add_argument("--depth", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1000)
    given = parser.parse_args()
    print(asyncio.run(record(given.url, given.instrument, given.path, given.depth, given.rows)))
