"""Databento's DBN: a file of MBO records, as `databento_dbn` encodes them, plain or compressed with Zstandard.

Prices are in units of 1e-9 of the quote asset, sizes in lots. `F_LAST` is on the last record of each batch, `F_SNAPSHOT` on those of a snapshot.
"""

from datetime import date
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from engine import OrderQueues, Side
from stream.export.actions import Action, actions_of
from stream.export.errors import ExportError, units_of
from stream.export.order_events import CLEAR, OrderEvent
from stream.export.terms import ExportTerms

dbn: Any = import_module("databento_dbn")    # whose stubs call the members of its enums text

DATASET = "DELTABOOK"
PUBLISHER = 0
PRICE_UNIT = Decimal("1e-9")
EVER = date(1970, 1, 1), date(2200, 1, 1)
SEQUENCE_MASK = (1 << 32) - 1

ACTIONS = {
    "A": dbn.Action.ADD, "C": dbn.Action.CANCEL, "F": dbn.Action.FILL, "M": dbn.Action.MODIFY, "R": dbn.Action.CLEAR, "T": dbn.Action.TRADE,
}
SIDES = {Side.BUY: dbn.Side.BID, Side.SELL: dbn.Side.ASK, None: dbn.Side.NONE}


class DbnWriter:
    """Writes one `.dbn` or `.dbn.zst` file. Raises ExportError for what the format cannot hold."""

    whole = frozenset({CLEAR})

    def __init__(self, path: Path, terms: ExportTerms) -> None:
        self._unit = units_of(terms.tick, PRICE_UNIT, "DBN's prices")
        self._name, self._instrument = terms.name, terms.number
        self._file = path.open("wb")
        self._encoder = dbn.Transcoder(self._file, dbn.Encoding.DBN, dbn.Compression.ZSTD if path.suffix == ".zst" else dbn.Compression.NONE)
        self._begun = False

    def write(self, event: OrderEvent, queues: OrderQueues) -> None:
        """Write an event."""
        if not self._begun:
            self._begun = True
            self._encoder.write(bytes(self._metadata(event.time)))
        for action in actions_of(event):
            self._encoder.write(self._record(event, action))

    def _metadata(self, start: int) -> Any:
        interval = SimpleNamespace(start_date=EVER[0], end_date=EVER[1], symbol=str(self._instrument))
        return dbn.Metadata(
            dataset=DATASET, start=start, stype_in=dbn.SType.RAW_SYMBOL, stype_out=dbn.SType.INSTRUMENT_ID, schema=dbn.Schema.MBO,
            symbols=[self._name], mappings=[SimpleNamespace(raw_symbol=self._name, intervals=[interval])],
        )

    def _record(self, event: OrderEvent, action: Action) -> bytes:
        price = dbn.UNDEF_PRICE if action.side is None else action.price * self._unit
        if action.size >= dbn.UNDEF_ORDER_SIZE or price > dbn.UNDEF_PRICE:
            raise ExportError(f"sequence {event.seq}: {action.size} lots at {action.price} ticks: DBN holds fewer than {dbn.UNDEF_ORDER_SIZE} "
                              f"lots, and prices below {dbn.UNDEF_PRICE * PRICE_UNIT:f}")
        flags = (dbn.F_LAST if action.last else 0) | (dbn.F_SNAPSHOT if event.snapshot else 0)
        return bytes(dbn.MBOMsg(
            PUBLISHER, self._instrument, event.time, action.order, price, action.size, ACTIONS[action.code], SIDES[action.side],
            event.time, flags, 0, 0, event.seq & SEQUENCE_MASK,
        ))

    def close(self) -> None:
        """Complete the file."""
        self._encoder.finish()
        self._file.close()
