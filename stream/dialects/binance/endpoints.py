"""The table of what is served over REST."""

from collections.abc import Callable
from typing import NamedTuple

from stream.dialects.binance import market_requests as market
from stream.dialects.binance.market_requests import Asked, always, by_symbols, depth_weight, per_symbol
from stream.dialects.binance.request import Parameters, stamp


class Public(NamedTuple):
    """What anybody may ask: its weight, by its parameters, and what answers it."""

    weight: Callable[[Parameters], int]
    answer: Callable[[Asked], object]


def no_symbols(asked: Asked) -> object:
    """The futures: there are none."""
    return {
        "timezone": "UTC", "serverTime": stamp(asked.now, asked.micro), "futuresType": "U_MARGINED", "rateLimits": [], "exchangeFilters": [], "assets": [],
        "symbols": [],
    }


PUBLIC: dict[tuple[str, str], Public] = {
    ("GET", "/api/v3/ping"): Public(always(1), market.ping),
    ("GET", "/api/v3/time"): Public(always(1), market.time),
    ("GET", "/api/v3/exchangeInfo"): Public(always(20), market.exchange_info),
    ("GET", "/api/v3/depth"): Public(depth_weight, market.depth),
    ("GET", "/api/v3/trades"): Public(always(25), market.trades),
    ("GET", "/api/v3/historicalTrades"): Public(always(25), market.historical_trades),
    ("GET", "/api/v3/aggTrades"): Public(always(4), market.aggregate_trades),
    ("GET", "/api/v3/klines"): Public(always(2), market.klines),
    ("GET", "/api/v3/uiKlines"): Public(always(2), market.klines),
    ("GET", "/api/v3/avgPrice"): Public(always(2), market.average_price),
    ("GET", "/api/v3/ticker/24hr"): Public(by_symbols(2, ((20, 2), (100, 40)), 80), market.ticker_24hr),
    ("GET", "/api/v3/ticker/tradingDay"): Public(per_symbol(4, 200), market.trading_day),
    ("GET", "/api/v3/ticker"): Public(per_symbol(4, 200), market.rolling_window),
    ("GET", "/api/v3/ticker/price"): Public(by_symbols(2, (), 4), market.ticker_price),
    ("GET", "/api/v3/ticker/bookTicker"): Public(by_symbols(2, (), 4), market.book_ticker),
    ("GET", "/fapi/v1/exchangeInfo"): Public(always(1), no_symbols),
    ("GET", "/dapi/v1/exchangeInfo"): Public(always(1), no_symbols),
    ("GET", "/fapi/v1/ping"): Public(always(1), market.ping),
    ("GET", "/dapi/v1/ping"): Public(always(1), market.ping),
}
