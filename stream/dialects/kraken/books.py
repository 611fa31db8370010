"""What is common to both channels of books: a window of the best levels, which the client keeps to its depth.

A client has the levels up to an edge: the worst of those that it was told, or none if that was the whole side. It is told each change up to the edge, and what
comes into the window behind it. It drops on its own what falls out.
"""

from abc import abstractmethod
from typing import Any, NamedTuple

from msgspec.json import encode

from stream.dialects.kraken.market_data import KrakenData
from stream.dialects.kraken.symbols import Symbol, instant
from stream.dialects.topic import Class, Event, Topic


class Edges(NamedTuple):
    """The worst bid and the worst ask that a client knows; 0 where it knows them all."""

    bid: int
    ask: int

    def covers(self, side: int, price: int) -> bool:
        """Whether a client follows what happens at a price."""
        edge = self[side]
        return not edge or (price <= edge if side else price >= edge)


def edges_of(window: tuple[list[int], list[int]], depth: int) -> Edges:
    """The edges of a window of the best levels."""
    bid, ask = (levels[-2] if len(levels) == 2 * depth else 0 for levels in window)
    return Edges(bid, ask)


class Window(Topic[Symbol]):
    """The best levels of a book. Its position counts what it has told."""

    often = Class.INSTANT
    channel: str
    data: KrakenData

    def __init__(self, data: KrakenData, name: str, symbol: Symbol, depth: int) -> None:
        super().__init__(data, name)
        self.symbol = symbol
        self.depth = depth

    @abstractmethod
    def snapshot(self, now: int) -> Event:
        """The window as it was last told."""

    def event(self, kind: str, bids: list[Any], asks: list[Any], checksum: int, now: int) -> Event:
        """A message of the channel."""
        told = {"symbol": self.symbol.name, "bids": bids, "asks": asks, "checksum": checksum, "timestamp": instant(now)}
        return Event(lambda _: encode({"channel": self.channel, "type": kind, "data": [told]}))
