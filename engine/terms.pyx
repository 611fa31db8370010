"""Converts the terms of an instrument to the numbers of a book, and checks that they fit together."""

from libc.stdint cimport int64_t
from libc.string cimport memset

from engine.core cimport TIERS, set_band_of
from engine.model cimport BUY, SELL
from engine.orders cimport SLOT_MASK

from decimal import Decimal
from fractions import Fraction

from engine.instrument import FEE_SCALE, MONEY_MAX, PRICE_MAX

NAME_BYTES_MAX = 255
BOUND_MAX = 1 << 20       # the highest value of parts_max, stops_max and fills_max
VERSION_1_BOUNDS = {"parts_max": BOUND_MAX, "stops_max": BOUND_MAX, "fills_max": BOUND_MAX, "market_notional": 0}


cdef int64_t whole(value, str what) except -1:
    """A positive whole number of units, from an exact fraction. Raises ValueError if it is not one."""
    if value.denominator != 1 or not 0 < value <= MONEY_MAX:
        raise ValueError(f"{what} is {value} units: expected a whole number from 1 to {MONEY_MAX}")
    return int(value)


cdef object checked_name(name, str what):
    """Raise ValueError for a name that a snapshot could not hold."""
    if not isinstance(name, str) or not 0 < len(name.encode(errors="surrogatepass")) <= NAME_BYTES_MAX or any("\ud800" <= each <= "\udfff" for each in name):
        raise ValueError(f"{what} is {name!r}: expected text of 1 to {NAME_BYTES_MAX} bytes")


cdef object exact(scale, instrument):
    """A tick or a lot as a Decimal. Raises ValueError if it is not a number."""
    try:
        number = Decimal(scale)
        Fraction(number)
    except (ArithmeticError, TypeError, ValueError):
        raise ValueError(f"instrument {instrument.name!r}: expected decimal numbers for tick and lot") from None
    return number


cdef Book book_of(instrument, dict assets) except *:
    """An empty book with the terms of an instrument, whose assets must exist. Raises ValueError if the terms do not fit together."""
    cdef Book book
    cdef int tier
    cdef list names = list(assets)
    memset(&book, 0, sizeof(Book))
    if not 1 <= instrument.price_max < PRICE_MAX:
        raise ValueError(f"instrument {instrument.name!r}: price_max {instrument.price_max}: expected 1 to {PRICE_MAX - 1} ticks")
    if not 1 <= instrument.size_min <= instrument.size_max <= MONEY_MAX:
        raise ValueError(f"instrument {instrument.name!r}: expected 1 <= size_min <= size_max <= {MONEY_MAX} lots")
    if not -instrument.taker_fee <= instrument.maker_fee < FEE_SCALE:
        raise ValueError(f"instrument {instrument.name!r}: maker_fee {instrument.maker_fee}: expected {-instrument.taker_fee} (a rebate of all that a taker pays) to {FEE_SCALE - 1} parts per million")
    for rate in (instrument.taker_fee, instrument.hold_fee, instrument.band):
        if not 0 <= rate < FEE_SCALE:
            raise ValueError(f"instrument {instrument.name!r}: rate {rate}: expected 0 to {FEE_SCALE - 1} parts per million")
    if 0 < instrument.hold_fee < max(instrument.maker_fee, instrument.taker_fee):
        raise ValueError(f"instrument {instrument.name!r}: hold_fee {instrument.hold_fee}: expected at least the higher fee")
    if not 0 <= instrument.notional_max <= MONEY_MAX or not 0 <= instrument.orders_max <= SLOT_MASK:
        raise ValueError(f"instrument {instrument.name!r}: expected notional_max from 0 to {MONEY_MAX} and orders_max from 0 to {SLOT_MASK}")
    if not 0 <= instrument.day_end < 86400:
        raise ValueError(f"instrument {instrument.name!r}: day_end {instrument.day_end}: expected 0 to 86399 seconds")
    if instrument.base == instrument.quote:
        raise ValueError(f"instrument {instrument.name!r}: base and quote are the same asset")
    if instrument.market_notional not in (0, 1):
        raise ValueError(f"instrument {instrument.name!r}: market_notional {instrument.market_notional}: expected 0 or 1")
    for bound in ("parts_max", "stops_max", "fills_max"):
        if not 1 <= getattr(instrument, bound) <= BOUND_MAX:
            raise ValueError(f"instrument {instrument.name!r}: {bound} {getattr(instrument, bound)}: expected 1 to {BOUND_MAX}")
    book.lot_units = whole(Fraction(instrument.lot) * 10 ** assets[instrument.base], f"instrument {instrument.name!r}: one lot")
    book.tick_value = whole(Fraction(instrument.tick) * Fraction(instrument.lot) * 10 ** assets[instrument.quote], f"instrument {instrument.name!r}: one tick times one lot")
    book.price_max = instrument.price_max
    book.size_min = instrument.size_min
    book.size_max = instrument.size_max
    for tier in range(TIERS):
        book.rates[tier].maker = instrument.maker_fee
        book.rates[tier].taker = instrument.taker_fee
    book.hold_fee = instrument.hold_fee or max(instrument.maker_fee, instrument.taker_fee)
    book.notional_max = instrument.notional_max
    book.orders_max = instrument.orders_max
    book.parts_max = instrument.parts_max
    book.stops_max = instrument.stops_max
    book.fills_max = instrument.fills_max
    book.market_notional = instrument.market_notional
    book.listed_band = instrument.band
    set_band_of(&book, instrument.band)
    book.day_end = instrument.day_end * 10**9
    book.base = names.index(instrument.base)
    book.quote = names.index(instrument.quote)
    book.held[<int>BUY], book.held[<int>SELL] = book.quote, book.base
    return book
