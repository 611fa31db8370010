"""`exchangeInfo`: the symbols and their terms, as filters. The order of the filters counts: some clients take `PRICE_FILTER` by its index."""

from stream.dialects.binance.new_order import KINDS, SELF_TRADE_NAMES, SELF_TRADES
from stream.dialects.binance.symbols import PLACES, Symbol
from stream.settings.config import Config
from stream.wire.scale import ratio

STATUS = {"trading": "TRADING", "halt": "HALT", "auction": "BREAK", "delisted": "BREAK"}
ORDERS_MAX = 200
"""Told where an instrument has no limit of its own, for clients that want a number."""
PERMISSIONS = ["SPOT"]

def order_limits(config: Config) -> list[dict[str, object]]:
    """How many orders an account may place."""
    return [
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 10 * config.orders_per_s},
        {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 86_400 * config.orders_per_s},
    ]


def weight_limit(config: Config) -> dict[str, object]:
    """How much one address may ask."""
    return {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": config.dialect_weight_per_minute}


def rate_limits(config: Config) -> list[dict[str, object]]:
    """The limits of requests and orders."""
    return [weight_limit(config), *order_limits(config)]


def filters(symbol: Symbol) -> list[dict[str, object]]:
    """The terms of an instrument."""
    terms, price, size, money = symbol.terms, symbol.price.text, symbol.size.text, symbol.money.text
    largest = money(terms.notional_max or (1 << 62))
    found: list[dict[str, object]] = [
        {"filterType": "PRICE_FILTER", "minPrice": price(1), "maxPrice": price(terms.price_max), "tickSize": price(1)},
        {"filterType": "LOT_SIZE", "minQty": size(terms.size_min), "maxQty": size(terms.size_max), "stepSize": size(1)},
        {"filterType": "ICEBERG_PARTS", "limit": terms.parts_max},
        {"filterType": "MARKET_LOT_SIZE", "minQty": size(terms.size_min), "maxQty": size(terms.size_max), "stepSize": size(1)},
        {"filterType": "NOTIONAL", "minNotional": money(0), "applyMinToMarket": True, "maxNotional": largest,
         "applyMaxToMarket": terms.market_notional, "avgPriceMins": 0},
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": terms.orders_max or ORDERS_MAX},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": terms.stops_max},
    ]
    if terms.band:
        up, down = ratio(10**6 + terms.band, 10**6, 6), ratio(10**6 - terms.band, 10**6, 6)
        found.append({
            "filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": up, "bidMultiplierDown": down, "askMultiplierUp": up, "askMultiplierDown": down,
            "avgPriceMins": 0,
        })
    return found


def description(symbol: Symbol, self_trade: str, with_permissions: bool = True) -> dict[str, object]:
    """One symbol."""
    terms = symbol.terms
    return {
        "symbol": symbol.name, "status": STATUS[terms.phase],
        "baseAsset": terms.base, "baseAssetPrecision": max(PLACES, terms.base_decimals),
        "quoteAsset": terms.quote, "quotePrecision": max(PLACES, terms.quote_decimals), "quoteAssetPrecision": max(PLACES, terms.quote_decimals),
        "baseCommissionPrecision": terms.base_decimals, "quoteCommissionPrecision": terms.quote_decimals,
        "orderTypes": list(KINDS), "icebergAllowed": True, "ocoAllowed": True, "otoAllowed": False, "opoAllowed": False, "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False, "cancelReplaceAllowed": True, "amendAllowed": True, "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True, "isMarginTradingAllowed": False, "filters": filters(symbol), "permissions": PERMISSIONS,
        "permissionSets": [PERMISSIONS] if with_permissions else [],
        "defaultSelfTradePreventionMode": SELF_TRADE_NAMES[self_trade], "allowedSelfTradePreventionModes": list(SELF_TRADES),
    }
