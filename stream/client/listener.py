"""The methods of a client that subscribe to the public channels of a market."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, cast

from stream.client.live import Live, LiveBook, LiveByOrder, LiveTicker, LiveTrades
from stream.wire.channels import BOOK, BY_ORDER, TICKER, TRADES, ChannelName


class Listener(ABC):
    """The methods that subscribe to the channels of a market."""

    @abstractmethod
    async def subscribe(self, channels: list[str], depth: int | None = None, interval_ms: int | None = None) -> list[Live[Any]]:
        """Subscribe to channels. A channel that is already subscribed takes on the new depth and interval."""

    async def orderbooks(self, instruments: Iterable[str], depth: int | None = None, interval_ms: int | None = None) -> list[LiveBook]:
        """Subscribe to order books, all as of one sequence: full books (`depth` 0, the default), or their best `depth` levels per side."""
        channels = [str(ChannelName(BOOK, instrument)) for instrument in instruments]
        return cast(list[LiveBook], await self.subscribe(channels, depth, interval_ms))

    async def orderbook(self, instrument: str, depth: int | None = None, interval_ms: int | None = None) -> LiveBook:
        """Subscribe to an order book: the full book (`depth` 0, the default), or its best `depth` levels per side."""
        return (await self.orderbooks([instrument], depth, interval_ms))[0]

    async def market_by_order(self, instrument: str) -> LiveByOrder:
        """Subscribe to an order book order by order."""
        return cast(LiveByOrder, (await self.subscribe([str(ChannelName(BY_ORDER, instrument))]))[0])

    async def trades(self, instrument: str) -> LiveTrades:
        """Subscribe to the trades of an instrument."""
        return cast(LiveTrades, (await self.subscribe([str(ChannelName(TRADES, instrument))]))[0])

    async def ticker(self, instrument: str, interval_ms: int | None = None) -> LiveTicker:
        """Subscribe to the ticker of an instrument."""
        return cast(LiveTicker, (await self.subscribe([str(ChannelName(TICKER, instrument))], None, interval_ms))[0])
