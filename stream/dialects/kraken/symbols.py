"""Symbols: the venue's names of instruments, and how numbers, times and orders are written there.

A number has all the digits of its instrument's step, in JSON too, because the checksums are over these digits.
"""

from datetime import UTC, datetime

from msgspec import Raw

from stream.dialects import symbols
from stream.wire.messages import InstrumentTerms


class Symbol(symbols.Symbol):
    """An instrument: `BTC/USD`."""

    def __init__(self, terms: InstrumentTerms, index: int) -> None:
        super().__init__(terms, index)
        self.name = f"{terms.base}/{terms.quote}"


def number(text: str) -> Raw:
    """Decimal text as a number in JSON, digit by digit."""
    return Raw(text.encode())


def instant(time: int) -> str:
    """A time in ns as the venue writes it."""
    seconds, ns = divmod(time, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ns:09d}Z"


def order_id(number: int) -> str:
    """An order's public number, in the shape of the venue's ids: an O and 16 digits."""
    digits = f"{number:016d}"
    return f"O{digits[:5]}-{digits[5:10]}-{digits[10:]}"
