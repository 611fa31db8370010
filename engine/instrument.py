"""What is traded: an instrument's assets, scales, limits and fees."""

from decimal import Decimal
from typing import NamedTuple

MONEY_MAX = 1 << 62
"""The most units of one asset that may exist in an exchange, so that no sum of balances can overflow 64 bits."""

PRICE_MAX = 1 << 48
"""One more than the highest price in ticks that a book can hold."""

FEE_SCALE = 1_000_000
"""Fees are parts per million of the notional."""


class Instrument(NamedTuple):
    """An order book's terms. Prices are in ticks, sizes in lots; `tick` and `lot` say what one of each is in decimal text.

    One tick times one lot must be a whole number of units of the quote asset, and one lot a whole number of units of the base.
    Rates (fees, `hold_fee`, `band`) are parts per million. 0 is no limit for `notional_max` (units of the quote asset),
    `orders_max` and `band`; a `hold_fee` of 0 is the higher of the two fees. `day_end` is in seconds after midnight UTC.

    What bounds the work of one command: an iceberg shows itself in at most `parts_max` parts, at most `stops_max` stops wait, and an order, with
    the stops that its trades trigger, meets at most `fills_max` orders. `market_notional`: whether `notional_max`, the instrument's and an
    account's, holds for MARKET orders too (1), by what they would trade, or not (0).
    """

    name: str
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    price_max: int = 1 << 40
    size_min: int = 1
    size_max: int = 1 << 40
    maker_fee: int = 0
    taker_fee: int = 0
    notional_max: int = 0
    orders_max: int = 0
    band: int = 0
    hold_fee: int = 0
    day_end: int = 0
    parts_max: int = 1_000
    stops_max: int = 50_000
    fills_max: int = 100_000
    market_notional: int = 1
