"""Parquet: every event as it is, one row each, in row groups of bounded size."""

from importlib import import_module
from pathlib import Path
from typing import Any

from engine import OrderQueues
from stream.export.order_events import CLEAR, MOVE, NAMES, OrderEvent
from stream.export.terms import ExportTerms

pa: Any = import_module("pyarrow")
file_writer: Any = import_module("pyarrow.parquet").ParquetWriter

GROUP_ROWS = 1 << 16

FIELDS = {
    "event": pa.string(), "seq": pa.int64(), "time": pa.timestamp("ns", "UTC"), "order": pa.int64(), "side": pa.string(), "price_ticks": pa.int64(),
    "size_lots": pa.int64(), "left_lots": pa.int64(), "trade": pa.int64(), "reason": pa.string(), "last": pa.bool_(), "snapshot": pa.bool_(),
}
"""The columns, in the order of an event's fields."""


class ParquetWriter:
    """Writes one `.parquet` file, whose metadata have `instrument`, `tick` and `lot`."""

    whole = frozenset({MOVE, CLEAR})

    def __init__(self, path: Path, terms: ExportTerms) -> None:
        self._schema = pa.schema(FIELDS, {"instrument": terms.name, "tick": f"{terms.tick:f}", "lot": f"{terms.lot:f}"})
        self._file = file_writer(path, self._schema)
        self._rows: list[tuple[object, ...]] = []

    def write(self, event: OrderEvent, queues: OrderQueues) -> None:
        """Write an event."""
        self._rows.append(event._replace(side=NAMES[event.side] if event.kind != CLEAR else ""))    # type: ignore[arg-type]
        if len(self._rows) == GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        columns = [pa.array(column, field.type) for column, field in zip(zip(*self._rows, strict=True), self._schema, strict=True)]
        self._file.write_batch(pa.record_batch(columns, schema=self._schema))
        self._rows.clear()

    def close(self) -> None:
        """Complete the file."""
        if self._rows:
            self._flush()
        self._file.close()
