"""Hand books and trades to NautilusTrader, in its own types.

    python -m stream.examples.nautilus BTC-USDT --frames 100
"""
# pyright: reportMissingImports=false

import argparse
import asyncio
from collections.abc import Iterator

from stream import Gap, connect
from stream.client.readings import Book, Trade

ARGUMENTS = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ARGUMENTS.add_argument("instrument")
ARGUMENTS.add_argument("--url", default="ws://127.0.0.1:8080/v1")
ARGUMENTS.add_argument("--frames", type=int, default=100)

given = ARGUMENTS.parse_args() if __name__ == "__main__" else None    # its help needs no library

try:
    from nautilus_trader.model.book import OrderBook
    from nautilus_trader.model.data import BookOrder, OrderBookDelta, OrderBookDeltas, TradeTick
    from nautilus_trader.model.enums import AggressorSide, BookAction, BookType, OrderSide, RecordFlag
    from nautilus_trader.model.identifiers import InstrumentId, Symbol, TradeId, Venue
    from nautilus_trader.model.objects import Price, Quantity
except ModuleNotFoundError as error:
    if __name__ == "__main__":
        raise SystemExit(f"{error}: `pip install nautilus_trader`") from None
    raise

VENUE = Venue("DELTABOOK")


class Adapter:
    """Converts the frames and trades of one instrument to NautilusTrader's types. Nothing is rounded."""

    def __init__(self, instrument: str) -> None:
        self.instrument = InstrumentId(Symbol(instrument), VENUE)

    def deltas(self, frame: Book) -> OrderBookDeltas | None:
        """A frame of a book, as the client has taken it; None of one that changes nothing."""
        deltas = list(self._deltas(frame))
        return OrderBookDeltas(self.instrument, deltas) if deltas else None

    def trade(self, trade: Trade) -> TradeTick:
        """A trade."""
        side = AggressorSide.BUYER if trade.side == "buy" else AggressorSide.SELLER
        price, size = Price.from_str(f"{trade.price:f}"), Quantity.from_str(f"{trade.size:f}")
        return TradeTick(self.instrument, price, size, side, TradeId(str(trade.seq)), trade.time, trade.time)

    def _deltas(self, frame: Book) -> Iterator[OrderBookDelta]:
        levels = [(side, level) for side, all in ((OrderSide.BUY, frame.bids), (OrderSide.SELL, frame.asks)) for level in all]
        flags = RecordFlag.F_MBP.value
        if frame.prev is None:
            flags |= RecordFlag.F_SNAPSHOT.value
            last = 0 if levels else RecordFlag.F_LAST.value
            yield OrderBookDelta(self.instrument, BookAction.CLEAR, None, flags | last, frame.seq, frame.engine_time, frame.server_time)
        for n, (side, level) in enumerate(levels, 1):
            action = BookAction.UPDATE if level.size else BookAction.DELETE
            order = BookOrder(side, Price.from_str(f"{level.price:f}"), Quantity.from_str(f"{level.size:f}"), level.price_ticks)
            last = RecordFlag.F_LAST.value if n == len(levels) else 0
            yield OrderBookDelta(self.instrument, action, order, flags | last, frame.seq, frame.engine_time, frame.server_time)


async def follow(url: str, instrument: str, frames: int) -> OrderBook:
    """NautilusTrader's book, after so many frames and a few more."""
    async with connect(url) as client:
        adapter = Adapter(instrument)
        copy = OrderBook(adapter.instrument, BookType.L2_MBP)

        def apply(frame: Book | Gap) -> None:
            deltas = adapter.deltas(frame) if isinstance(frame, Book) else None
            if deltas:
                copy.apply_deltas(deltas)

        book = await client.orderbook(instrument, interval_ms=0)
        book.on(apply)    # with every frame: an iteration passes some over when it is slow
        for _ in range(frames):
            await book.changed()
        return copy


if given:
    print(asyncio.run(follow(given.url, given.instrument, given.frames)).pprint(10))
