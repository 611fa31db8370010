"""Symbols: what a venue calls the instruments."""

from abc import ABC
from collections.abc import Iterable
from typing import Generic, TypeVar

from stream.settings.config import ConfigError
from stream.wire.messages import InstrumentTerms
from stream.wire.scale import Digits


class Symbol(ABC):
    """An instrument as the venue's clients know it, and the digits of its numbers. `index` is the instrument's. ConfigError if it cannot have a name there."""

    name: str
    places = 0
    """The decimals of every number, or more if a step has more."""

    def __init__(self, terms: InstrumentTerms, index: int) -> None:
        self.terms = terms
        self.index = index
        self.price = Digits(terms.tick, self.places)
        self.size = Digits(terms.lot, self.places)
        self.money = Digits(f"1e-{terms.quote_decimals}", self.places)


S = TypeVar("S", bound=Symbol)


class Symbols(Generic[S]):
    """All symbols of a market, by name and in the order of the instruments."""

    def __init__(self, terms: Iterable[InstrumentTerms], symbol: type[S]) -> None:
        """ConfigError if two instruments would have the same symbol, or if one would have none that clients accept."""
        self.all: list[S] = []
        self.named: dict[str, S] = {}
        self.of: dict[str, S] = {}    # by the instruments' names
        for index, each in enumerate(terms):
            made = symbol(each, index)
            other = self.named.get(made.name)
            if other:
                raise ConfigError(f"dialects: instruments {other.terms.name!r} and {each.name!r} would both be {made.name}; rename one of them")
            self.all.append(made)
            self.named[made.name] = self.of[each.name] = made
