"""The tables of what is served: over REST, and by which names over the WebSocket API."""

from collections.abc import Callable
from typing import NamedTuple

from stream.dialects.binance import market_requests as market
from stream.dialects.binance import order_lists as lists
from stream.dialects.binance import own_account as own
from stream.dialects.binance import signed_requests as signed
from stream.dialects.binance.market_requests import Asked, always, by_symbols, depth_weight, per_symbol
from stream.dialects.binance.request import Parameters, stamp
from stream.dialects.binance.signed_requests import Act, Call


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


class Signed(NamedTuple):
    """What a trader may ask: its weight, what reads its parameters, and whether it counts as an order."""

    weight: int
    read: Callable[[Call], Act]
    places: bool = False


SIGNED: dict[tuple[str, str], Signed] = {
    ("POST", "/api/v3/order"): Signed(1, signed.order_place, places=True),
    ("POST", "/api/v3/order/test"): Signed(1, signed.order_test),
    ("GET", "/api/v3/order"): Signed(4, own.order_status),
    ("DELETE", "/api/v3/order"): Signed(1, signed.order_cancel),
    ("POST", "/api/v3/order/cancelReplace"): Signed(1, signed.cancel_replace, places=True),
    ("PUT", "/api/v3/order/amend/keepPriority"): Signed(4, signed.amend),
    ("GET", "/api/v3/openOrders"): Signed(6, own.open_orders),
    ("DELETE", "/api/v3/openOrders"): Signed(1, signed.cancel_open_orders),
    ("GET", "/api/v3/allOrders"): Signed(20, own.all_orders),
    ("GET", "/api/v3/myTrades"): Signed(20, own.my_trades),
    ("GET", "/api/v3/account"): Signed(20, own.account),
    ("GET", "/api/v3/account/commission"): Signed(20, own.account_commission),
    ("GET", "/api/v3/rateLimit/order"): Signed(40, own.order_counts),
    ("POST", "/api/v3/orderList/oco"): Signed(1, lists.place_pair, places=True),
    ("POST", "/api/v3/order/oco"): Signed(1, lists.place_older_pair, places=True),
    ("GET", "/api/v3/orderList"): Signed(4, lists.list_status),
    ("DELETE", "/api/v3/orderList"): Signed(1, lists.cancel_list),
    ("GET", "/api/v3/openOrderList"): Signed(6, lists.open_lists),
    ("GET", "/api/v3/allOrderList"): Signed(20, lists.all_lists),
    ("GET", "/api/v3/myPreventedMatches"): Signed(20, own.nothing),
    ("GET", "/api/v3/myAllocations"): Signed(20, own.nothing),
    ("GET", "/sapi/v1/capital/config/getall"): Signed(10, own.coins),
    ("GET", "/sapi/v1/asset/tradeFee"): Signed(1, own.trade_fees),
    ("GET", "/sapi/v1/margin/allPairs"): Signed(1, own.nothing),
    ("GET", "/sapi/v1/margin/isolated/allPairs"): Signed(10, own.nothing),
}

LISTEN_KEYS = "/api/v3/userDataStream"

METHODS: dict[str, tuple[str, str]] = {
    name: (method, f"/api/v3/{path}") for name, method, path in (
        ("ping", "GET", "ping"), ("time", "GET", "time"), ("exchangeInfo", "GET", "exchangeInfo"), ("depth", "GET", "depth"),
        ("trades.recent", "GET", "trades"), ("trades.historical", "GET", "historicalTrades"), ("trades.aggregate", "GET", "aggTrades"),
        ("klines", "GET", "klines"), ("uiKlines", "GET", "uiKlines"), ("avgPrice", "GET", "avgPrice"), ("ticker.24hr", "GET", "ticker/24hr"),
        ("ticker.tradingDay", "GET", "ticker/tradingDay"), ("ticker", "GET", "ticker"), ("ticker.price", "GET", "ticker/price"),
        ("ticker.book", "GET", "ticker/bookTicker"),
        ("order.place", "POST", "order"), ("order.test", "POST", "order/test"), ("order.status", "GET", "order"), ("order.cancel", "DELETE", "order"),
        ("order.cancelReplace", "POST", "order/cancelReplace"), ("order.amend.keepPriority", "PUT", "order/amend/keepPriority"),
        ("openOrders.status", "GET", "openOrders"), ("openOrders.cancelAll", "DELETE", "openOrders"), ("allOrders", "GET", "allOrders"),
        ("myTrades", "GET", "myTrades"), ("account.status", "GET", "account"), ("account.commission", "GET", "account/commission"),
        ("account.rateLimits.orders", "GET", "rateLimit/order"),
        ("orderList.place", "POST", "order/oco"), ("orderList.place.oco", "POST", "orderList/oco"), ("orderList.status", "GET", "orderList"),
        ("orderList.cancel", "DELETE", "orderList"), ("openOrderLists.status", "GET", "openOrderList"), ("allOrderLists", "GET", "allOrderList"),
    )
}
