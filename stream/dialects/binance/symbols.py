"""Symbols: the venue's names of instruments, and how their numbers are written there."""

import re

from stream.dialects import market_data, symbols
from stream.settings.config import ConfigError
from stream.wire.messages import InstrumentTerms
from stream.wire.scale import from_text

PLACES = 8
"""The decimals of every number, or more if a step has more."""
LEGAL = re.compile(r"[A-Z0-9]{1,20}")


def symbol_of(instrument: str) -> str:
    """The symbol of an instrument: `BTCUSDT` of `BTC-USDT`."""
    return re.sub("[^A-Z0-9]", "", instrument.upper())


class Symbol(symbols.Symbol):
    """An instrument."""

    places = PLACES

    def __init__(self, terms: InstrumentTerms, index: int) -> None:
        super().__init__(terms, index)
        self.name = symbol_of(terms.name)
        if not LEGAL.fullmatch(self.name):
            raise ConfigError(f"dialects: instrument {terms.name!r} would be {self.name!r}: expected 1 to 20 letters and digits")
        self.lot_units = from_text(terms.lot, f"1e-{terms.base_decimals}")

    def levels(self, flat: list[int]) -> list[tuple[str, str]]:
        """Prices and sizes as text, out of a flat list of both."""
        price, size = self.price.text, self.size.text
        return [(price(flat[i]), size(flat[i + 1])) for i in range(0, len(flat), 2)]


MarketData = market_data.MarketData[Symbol]
