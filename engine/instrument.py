"""An instrument: its assets, scales, limits and fees."""

from decimal import Decimal
from typing import NamedTuple

MONEY_MAX = 1 << 62
"""The most units of one asset that may exist in an exchange. With this limit, no sum of balances can overflow 64 bits."""

PRICE_MAX = 1 << 48
"""One more than the highest price in ticks that a book can hold."""

FEE_SCALE = 1_000_000
"""Fees are parts per million of the notional."""


class Instrument(NamedTuple):
    """The terms of an order book. Prices are in ticks and sizes in lots. `tick` and `lot` are the sizes of these steps, as decimal text.

    One tick times one lot must be a whole number of units of the quote asset, and one lot a whole number of units of the base asset. Rates (the fees,
    `hold_fee` and `band`) are in parts per million. `notional_max` is in units of the quote asset. For `notional_max`, `orders_max` and `band`, 0 means no
    limit. A `hold_fee` of 0 means the higher of the two fees. `day_end` is in seconds after midnight UTC.

    Three terms bound the work of one command. An iceberg is displayed in at most `parts_max` parts. At most `stops_max` stops wait in the book. An order,
    together with the stops that its trades trigger, meets at most `fills_max` orders. `market_notional` says whether `notional_max`, the instrument's and
    an account's, also applies to MARKET orders (1) or not (0); it is then compared with what they would trade.
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
    market_notional: int | bool = 1
