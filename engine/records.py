"""What the engine tells of its events and orders, as Python objects."""

from typing import NamedTuple


class Event(NamedTuple):
    """One thing that a command caused. Which fields an event of each kind has is in the table below; the others are 0.

    ============== ======================================================================================================
    ACCEPTED       order, other (client id), account, instrument, side, price (limit or protection), size, remaining
    REJECTED       order (the one it concerns), other (client id), account, instrument, side, price, size, reason
    FILLED         as ACCEPTED, with price and size of this fill; filled and value (notional) so far; flags may have TAKER
    CANCELLED      as ACCEPTED, with the size that was cancelled, filled, value, reason
    REDUCED        as ACCEPTED, with the size that was taken off, filled, value
    REPLACED       as ACCEPTED, with the new price and size, filled, value
    ALL_CANCELLED  account, instrument as asked for, size (how many orders)
    TRADE          order (the taker's), other (the maker's), instrument, side (the taker's), price, size, value (notional)
    LEVEL          instrument, side, price, size (lots there now, 0: gone), other (orders there now)
    BALANCE        account, instrument (the asset's index), size (available), remaining (held)
    ACCOUNT_OPENED account
    ============== ======================================================================================================

    The last event of a command has the flag LAST (1).
    """

    seq: int
    kind: int
    order: int
    other: int
    account: int
    instrument: int
    side: int
    price: int
    size: int
    remaining: int
    filled: int
    value: int
    reason: int
    flags: int


class Order(NamedTuple):
    """A resting order. Prices in ticks, sizes in lots, `value` (notional of all its fills) in units of the quote asset."""

    order: int
    client_id: int
    account: int
    instrument: int
    side: int
    price: int
    remaining: int
    filled: int
    value: int
    post_only: bool
