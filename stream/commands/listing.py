"""Assets and instruments that come to an exchange: what may come, and its coming. The same listing once more changes nothing."""

from decimal import Decimal

import msgspec

from engine import MONEY_MAX, Exchange, Instrument
from stream.wire.scale import to_text

DECIMALS_MAX = 12
"""The most decimals of an asset. With this many, 4.6 million of it can be counted."""

STEP_MIN, STEP_MAX = Decimal("1e-30"), Decimal("1e30")
"""The smallest and the largest tick or lot. Anything beyond is a mistake, and would be long to print."""

INSTRUMENTS_MAX = (1 << 16) - 1


class Listing(msgspec.Struct, frozen=True, array_like=True):
    """Assets with their decimals, then instruments, as they are added to the exchange."""

    assets: dict[str, int]
    instruments: list[Instrument]

    def __bool__(self) -> bool:
        return bool(self.assets or self.instruments)


def news_of(exchange: Exchange, *listings: Listing) -> Listing:
    """What of some listings, one after the other, is not there yet. Raises ValueError if an asset or an instrument is there with other terms."""
    there, instruments = exchange.assets(), {book.instrument.name: book.instrument for book in exchange.books}
    assets, news = dict(there), Listing({}, [])
    for name, decimals in (asset for listing in listings for asset in listing.assets.items()):
        if assets.setdefault(name, decimals) != decimals:
            raise ValueError(f"asset {name!r} already has {assets[name]} decimals: expected the same, not {decimals}")
        if name not in there:
            news.assets[name] = decimals
    for instrument in (instrument for listing in listings for instrument in listing.instruments):
        before = instruments.get(instrument.name)
        if before is None:
            news.instruments.append(instrument)
            instruments[instrument.name] = instrument
        elif before != instrument:
            changed = [f"{field} {getattr(before, field)}" for field in instrument._fields if getattr(before, field) != getattr(instrument, field)]
            raise ValueError(f"instrument {instrument.name!r} is in the journal with other terms: {', '.join(changed)}; to change them, use a new name")
    return news


def _check_decimals(name: str, decimals: int) -> None:
    """Raises ValueError if the engine's integers can hold so little of an asset that an account would soon have too much."""
    if decimals > DECIMALS_MAX:
        raise ValueError(
            f"asset {name!r} has {decimals} decimals: expected at most {DECIMALS_MAX}. An amount is a whole number of units, of all accounts together "
            f"up to 2^62, which would be {to_text(MONEY_MAX, f'1e-{decimals}')[:4]} {name}; count it in a larger unit, such as 9 decimals (gwei, of Ether)"
        )


def _check_steps(instrument: Instrument) -> None:
    for field in ("tick", "lot"):
        step = getattr(instrument, field)
        if not (step.is_finite() and STEP_MIN <= step <= STEP_MAX):
            raise ValueError(f"instrument {instrument.name!r}: {field} {step}: expected a decimal number from {STEP_MIN} to {STEP_MAX}")


def check(exchange: Exchange, *listings: Listing) -> Listing:
    """What of some listings is not there yet. Raises ValueError if it cannot be added, or is there with other terms. O(assets + instruments)."""
    news = news_of(exchange, *listings)
    assets = exchange.assets() | news.assets
    trial = Exchange(orders_max=1, accounts_max=1, tombstones=0, client_ids_max=0)
    for name, decimals in news.assets.items():
        _check_decimals(name, decimals)
    for name, decimals in assets.items():
        trial.add_asset(name, decimals)
    if len(exchange.books) + len(news.instruments) > INSTRUMENTS_MAX:
        raise ValueError(f"there are {len(exchange.books)} instruments already: expected at most {INSTRUMENTS_MAX}")
    for instrument in news.instruments:
        for asset in (instrument.base, instrument.quote):
            if asset not in assets:
                there = ", ".join(assets) or "`assets`, which is empty"
                raise ValueError(f"instrument {instrument.name!r}: there is no asset {asset!r}: expected one of {there}")
        _check_steps(instrument)
        trial.add_instrument(instrument)
    return news


def enlist(exchange: Exchange, news: Listing) -> None:
    """Add what has been checked. O(assets * accounts + instruments)."""
    for name, decimals in news.assets.items():
        exchange.add_asset(name, decimals)
    for instrument in news.instruments:
        exchange.add_instrument(instrument)
