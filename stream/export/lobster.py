"""LOBSTER's two files: a line for each message, and beside it a line with the best levels of the book after it.

See https://lobsterdata.com/info/DataStructure.php. Times are seconds after midnight UTC of the first message's day, prices are in units of 0.0001, sizes in
lots.
"""

from decimal import Decimal
from pathlib import Path

from engine import OrderQueues, Side
from stream.export.errors import units_of
from stream.export.order_events import ADD, DELETE, FILL, REDUCE, OrderEvent
from stream.export.terms import ExportTerms

PRICE_UNIT = Decimal("0.0001")
TYPES = {ADD: 1, REDUCE: 2, DELETE: 3, FILL: 4}
DIRECTIONS = {Side.BUY: 1, Side.SELL: -1}
NO_ASK, NO_BID = "9999999999,0", "-9999999999,0"
SECOND = 10**9
DAY = 86_400 * SECOND


class LobsterWriter:
    """Writes `NAME_message_LEVELS.csv` and `NAME_orderbook_LEVELS.csv` for the path `NAME.csv`."""

    whole = frozenset[str]()

    def __init__(self, path: Path, terms: ExportTerms, levels: int) -> None:
        self._unit = units_of(terms.tick, PRICE_UNIT, "LOBSTER's prices")
        self._levels = levels
        self._midnight = -1
        self._messages, self._books = (path.with_name(f"{path.stem}_{what}_{levels}{path.suffix}").open("w") for what in ("message", "orderbook"))

    def write(self, event: OrderEvent, queues: OrderQueues) -> None:
        """Write an event, and the book after it. O(levels)."""
        if self._midnight < 0:
            self._midnight = event.time // DAY * DAY
        seconds, ns = divmod(event.time - self._midnight, SECOND)
        price = event.price * self._unit
        self._messages.write(f"{seconds}.{ns:09},{TYPES[event.kind]},{event.order},{event.size},{price},{DIRECTIONS[event.side]}\n")
        bids, asks = (self._cells(side, empty) for side, empty in zip(queues.depth(self._levels), (NO_BID, NO_ASK), strict=True))
        self._books.write(",".join([f"{ask},{bid}" for ask, bid in zip(asks, bids, strict=True)]) + "\n")

    def _cells(self, side: list[int], empty: str) -> list[str]:
        cells = [f"{side[at] * self._unit},{side[at + 1]}" for at in range(0, len(side), 2)]
        return cells + [empty] * (self._levels - len(cells))

    def close(self) -> None:
        """Complete the files."""
        self._messages.close()
        self._books.close()
