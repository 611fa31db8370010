"""What a market's feed knows, with its orders too."""

from stream.dialects.kraken.orders import Orders
from stream.dialects.kraken.symbols import Symbol
from stream.dialects.market_data import Market, MarketData
from stream.feed.public_channels import FollowedByOrder
from stream.wire.channels import BY_ORDER


class KrakenData(MarketData[Symbol]):
    """The symbols of a market with their books, orders, trades and candles."""

    def __init__(self, market: Market) -> None:
        """ConfigError if the instruments cannot have symbols."""
        super().__init__(market, Symbol)
        self._orders: dict[int, Orders] = {}

    def orders(self, symbol: Symbol, now: int) -> Orders:
        """The orders of a book, which are followed while anybody reads them."""
        orders = self._orders.get(symbol.index)
        if orders is None or not orders.readers:
            orders = self._orders[symbol.index] = Orders(symbol, lambda: self._by_order(symbol), now)
        return orders

    def _by_order(self, symbol: Symbol) -> FollowedByOrder:
        channel = self._market.feed.public[f"{BY_ORDER}:{symbol.terms.name}"]
        assert isinstance(channel, FollowedByOrder)
        return channel
