"""The assets and pairs of a market, as the channel `instrument` and the requests of REST tell them."""

from collections.abc import Iterable

from stream.dialects.kraken.symbols import Symbol, number
from stream.wire.scale import ratio

STATUS = {"trading": "online", "halt": "maintenance", "auction": "limit_only", "delisted": "delisted"}
DISPLAYED = 5
"""The decimals that the venue's own page would show of an amount, or fewer if an asset has fewer."""


def decimals(step: str) -> int:
    """The decimals of a step."""
    return len(step.partition(".")[2])


def _assets(symbols: Iterable[Symbol]) -> dict[str, int]:
    """The decimals of each asset, by its name."""
    found: dict[str, int] = {}
    for symbol in symbols:
        found |= {symbol.terms.base: symbol.terms.base_decimals, symbol.terms.quote: symbol.terms.quote_decimals}
    return found


def assets(symbols: Iterable[Symbol]) -> list[dict[str, object]]:
    """The assets, as the channel tells them."""
    return [
        {"id": name, "status": "enabled", "precision": places, "precision_display": min(places, DISPLAYED), "borrowable": False, "collateral_value": 0}
        for name, places in _assets(symbols).items()
    ]


def pairs(symbols: Iterable[Symbol]) -> list[dict[str, object]]:
    """The pairs, as the channel tells them."""
    return [
        {
            "symbol": symbol.name, "base": symbol.terms.base, "quote": symbol.terms.quote, "status": STATUS[symbol.terms.phase],
            "qty_precision": decimals(symbol.size.text(1)), "qty_increment": number(symbol.size.text(1)),
            "qty_min": number(symbol.size.text(symbol.terms.size_min)),
            "price_precision": decimals(symbol.price.text(1)), "price_increment": number(symbol.price.text(1)),
            "tick_size": number(symbol.price.text(1)), "cost_precision": symbol.terms.quote_decimals, "cost_min": number(symbol.money.text(0)),
            "marginable": False, "has_index": False,
        }
        for symbol in symbols
    ]


def asset_infos(symbols: Iterable[Symbol]) -> dict[str, object]:
    """The assets, as `Assets` tells them."""
    return {
        name: {"aclass": "currency", "altname": name, "decimals": places, "display_decimals": min(places, DISPLAYED), "status": "enabled"}
        for name, places in _assets(symbols).items()
    }


def pair_info(symbol: Symbol) -> dict[str, object]:
    """A pair, as `AssetPairs` tells it."""
    terms = symbol.terms
    return {
        "altname": terms.base + terms.quote, "wsname": symbol.name, "aclass_base": "currency", "base": terms.base, "aclass_quote": "currency",
        "quote": terms.quote, "lot": "unit", "cost_decimals": terms.quote_decimals, "pair_decimals": decimals(symbol.price.text(1)),
        "lot_decimals": decimals(symbol.size.text(1)), "lot_multiplier": 1, "leverage_buy": [], "leverage_sell": [],
        "fees": [[0, number(ratio(terms.taker_fee, 10**4, 4))]], "fees_maker": [[0, number(ratio(terms.maker_fee, 10**4, 4))]],
        "fee_volume_currency": terms.quote, "margin_call": 80, "margin_stop": 40, "ordermin": symbol.size.text(terms.size_min),
        "costmin": symbol.money.text(0), "tick_size": symbol.price.text(1), "status": STATUS[terms.phase],
    }
