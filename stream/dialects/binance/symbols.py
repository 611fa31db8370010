"""Symbols: the venue's names of instruments, and how their numbers are written there."""

import re
from collections.abc import Iterable

from stream.settings.config import ConfigError
from stream.wire.messages import InstrumentTerms
from stream.wire.scale import Digits, from_text

PLACES = 8
"""The decimals of every number, or more if a step has more."""
LEGAL = re.compile(r"[A-Z0-9]{1,20}")


def symbol_of(instrument: str) -> str:
    """The symbol of an instrument: `BTCUSDT` of `BTC-USDT`."""
    return re.sub("[^A-Z0-9]", "", instrument.upper())


class Symbol:
    """An instrument as the venue's clients know it. `index` is the instrument's."""

    def __init__(self, terms: InstrumentTerms, index: int) -> None:
        self.terms = terms
        self.index = index
        self.name = symbol_of(terms.name)
        self.price = Digits(terms.tick, PLACES)
        self.size = Digits(terms.lot, PLACES)
        self.lot_units = from_text(terms.lot, f"1e-{terms.base_decimals}")
        self.money = Digits(f"1e-{terms.quote_decimals}", PLACES)

    def levels(self, flat: list[int]) -> list[tuple[str, str]]:
        """Prices and sizes as text, out of a flat list of both."""
        price, size = self.price.text, self.size.text
        return [(price(flat[i]), size(flat[i + 1])) for i in range(0, len(flat), 2)]


class Symbols:
    """All symbols of a market, by name and in the order of the instruments."""

    def __init__(self, terms: Iterable[InstrumentTerms]) -> None:
        """ConfigError if two instruments would have the same symbol, or if one would have none that clients accept."""
        self.all: list[Symbol] = []
        self.named: dict[str, Symbol] = {}
        self.of: dict[str, Symbol] = {}    # by the instruments' names
        for index, each in enumerate(terms):
            symbol = Symbol(each, index)
            other = self.named.get(symbol.name)
            if other:
                raise ConfigError(f"dialects: instruments {other.terms.name!r} and {each.name!r} would both be {symbol.name}; rename one of them")
            if not LEGAL.fullmatch(symbol.name):
                raise ConfigError(f"dialects: instrument {each.name!r} would be {symbol.name!r}: expected 1 to 20 letters and digits")
            self.all.append(symbol)
            self.named[symbol.name] = self.of[each.name] = symbol
