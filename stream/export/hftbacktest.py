"""hftbacktest's npz: one array `data` of its `event_dtype`, with prices and sizes as numbers of the quote and the base asset.

The array's length stands before its rows. So these wait in a temporary file until there are no more, and memory is bounded.
"""

import shutil
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np

from engine import OrderQueues, Side
from stream.export.actions import actions_of
from stream.export.order_events import CLEAR, OrderEvent
from stream.export.terms import ExportTerms

BLOCK_ROWS = 1 << 14

npy: Any = np.lib.format

ROW = np.dtype([
    ("ev", "u8"), ("exch_ts", "i8"), ("local_ts", "i8"), ("px", "f8"), ("qty", "f8"), ("order_id", "u8"), ("ival", "i8"), ("fval", "f8"),
], align=True)
EVENTS = {"T": 2, "R": 3, "A": 10, "C": 11, "M": 12, "F": 13}
SIDES = {Side.BUY: 1 << 29, Side.SELL: 1 << 28, None: 0}
AT_EXCHANGE_AND_CLIENT = 1 << 31 | 1 << 30


class HftbacktestWriter:
    """Writes one `.npz` file. Both times of an event are the engine's."""

    whole = frozenset({CLEAR})

    def __init__(self, path: Path, terms: ExportTerms) -> None:
        self._tick, self._lot = terms.tick.as_integer_ratio(), terms.lot.as_integer_ratio()
        self._path = path
        self._spool = TemporaryFile(dir=path.parent)    # noqa: SIM115
        self._rows: list[tuple[float, ...]] = []
        self._count = 0

    def write(self, event: OrderEvent, queues: OrderQueues) -> None:
        """Write an event."""
        for action in actions_of(event):
            ev = EVENTS[action.code] | SIDES[action.side] | AT_EXCHANGE_AND_CLIENT
            price, size = action.price * self._tick[0] / self._tick[1], action.size * self._lot[0] / self._lot[1]
            self._rows.append((ev, event.time, event.time, price, size, action.order, 0, 0.0))
        if len(self._rows) >= BLOCK_ROWS:
            self._flush()

    def _flush(self) -> None:
        self._spool.write(np.array(self._rows, ROW).tobytes())
        self._count += len(self._rows)
        self._rows.clear()

    def close(self) -> None:
        """Write the file. O(events)."""
        self._flush()
        self._spool.seek(0)
        with ZipFile(self._path, "w", ZIP_DEFLATED) as archive, archive.open("data.npy", "w", force_zip64=True) as data:
            npy.write_array_header_1_0(data, {"descr": npy.dtype_to_descr(ROW), "fortran_order": False, "shape": (self._count,)})
            shutil.copyfileobj(self._spool, data, 1 << 20)
        self._spool.close()
