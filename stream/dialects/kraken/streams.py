"""The channels, with what each one takes, and the topics of their streams."""

from collections.abc import Callable
from typing import NamedTuple

from stream.dialects.kraken import book, level3
from stream.dialects.kraken.book import Book
from stream.dialects.kraken.level3 import Level3
from stream.dialects.kraken.market_data import KrakenData
from stream.dialects.kraken.symbols import Symbol
from stream.dialects.kraken.topics import Instruments, Ticker, Trades

Told = Book | Level3 | Trades | Ticker | Instruments
"""What tells a stream. Whoever comes may have a snapshot of it."""


class Stream(NamedTuple):
    """One stream: a channel of a symbol, and what was chosen."""

    channel: str
    symbol: str = ""
    depth: int = 0
    event_trigger: str = ""

    def result(self) -> dict[str, object]:
        """The stream, as it is acknowledged."""
        return {name: value for name, value in self._asdict().items() if value}


class Channel(NamedTuple):
    """A channel: what makes the topic of a stream, what may be chosen, the default first, and whether it is of a symbol, or needs a token."""

    make: Callable[[KrakenData, Stream], Told]
    choices: dict[str, tuple[object, ...]] = {}
    of_symbol: bool = True
    needs_token: bool = False


def _symbol(data: KrakenData, stream: Stream) -> Symbol:
    return data.symbols.named[stream.symbol]


CHANNELS = {
    "book": Channel(lambda data, stream: Book(data, stream.channel, _symbol(data, stream), stream.depth), {"depth": book.DEPTHS}),
    "level3": Channel(lambda data, stream: Level3(data, stream.channel, _symbol(data, stream), stream.depth), {"depth": level3.DEPTHS}, needs_token=True),
    "trade": Channel(lambda data, stream: Trades(data, stream.channel, _symbol(data, stream))),
    "ticker": Channel(
        lambda data, stream: Ticker(data, stream.channel, _symbol(data, stream), stream.event_trigger), {"event_trigger": ("trades", "bbo")},
    ),
    "instrument": Channel(lambda data, stream: Instruments(data, stream.channel), of_symbol=False),
}
