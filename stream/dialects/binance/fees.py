"""The fees of a symbol, as clients are told them."""

from stream.dialects.binance.symbols import Symbol
from stream.wire.scale import ratio

PARTS_PER_MILLION = 10**6


def rates_of(symbol: Symbol) -> dict[str, object]:
    """As shares of the value."""
    maker, taker = (ratio(rate, PARTS_PER_MILLION, 8) for rate in (symbol.terms.maker_fee, symbol.terms.taker_fee))
    return {"maker": maker, "taker": taker, "buyer": "0.00000000", "seller": "0.00000000"}


def commission(symbol: Symbol) -> dict[str, object]:
    """The fees of a symbol."""
    nothing = dict.fromkeys(("maker", "taker", "buyer", "seller"), "0.00000000")
    return {
        "symbol": symbol.name, "standardCommission": rates_of(symbol), "specialCommission": nothing, "taxCommission": nothing,
        "discount": {"enabledForAccount": False, "enabledForSymbol": False, "discountAsset": "", "discount": "0.00000000"},
    }
