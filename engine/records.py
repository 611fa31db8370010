"""Events and orders of the engine, as Python objects."""

from typing import NamedTuple


class Event(NamedTuple):
    """One thing that a command caused. The table below shows which fields each kind of event has; all other fields are 0.

    `remaining` is everything that is left of an order, including the hidden part of an iceberg. The order's average price so far,
    in ticks, is `value` divided by `filled` and by the book's `tick_value`. Rates are in parts per million of the notional.

    ============== ======================================================================================================
    ACCEPTED       order, client_id, account, instrument, side, price (limit or protection), size, remaining
    WAITING        as ACCEPTED, with the trigger as price: a stop waits for the trigger
    TRIGGERED      as WAITING: its trigger was reached
    DISPLAYED      as ACCEPTED, with the size that an iceberg shows from now on; it is at the end of its queue
    REJECTED       order (the one it is about), client_id, account, instrument, side, price, size, reason
    FILLED         as ACCEPTED, with price and size of this fill; filled and value (notional) so far; fee; flags may have TAKER
    CANCELLED      as ACCEPTED, with the size that was cancelled, filled, value, reason
    REDUCED        as ACCEPTED, with the size that was taken off, filled, value; reason SELF_TRADE or 0
    REPLACED       as ACCEPTED, with the new price and size, filled, value
    ALL_CANCELLED  account, instrument and side as asked for, orders (how many)
    TRADE          order (the taker's), maker (the other order), instrument, side (the taker's), price, size, value (notional),
                   maker_fee, taker_fee
    LEVEL          instrument, side, price, size (lots there now, 0: gone), orders (there now)
    BALANCE        account, asset, available, held
    ACCOUNT_OPENED account; ACCOUNT_SET has the same
    PHASE          instrument, phase, price and size (lots) of the uncrossing
    FEES_SET       instrument, tier, maker_rate, taker_rate
    REFERENCE_SET  instrument, price
    BAND_SET       instrument, band
    ADVANCED       clock
    ============== ======================================================================================================

    The last event of a command has the flag LAST (1).
    """

    seq: int
    kind: int
    order: int = 0
    client_id: int = 0
    account: int = 0
    instrument: int = 0
    side: int = 0
    price: int = 0
    size: int = 0
    remaining: int = 0
    filled: int = 0
    value: int = 0
    reason: int = 0
    flags: int = 0
    fee: int = 0
    maker: int = 0
    maker_fee: int = 0
    taker_fee: int = 0
    orders: int = 0
    asset: int = 0
    available: int = 0
    held: int = 0
    phase: int = 0
    tier: int = 0
    maker_rate: int = 0
    taker_rate: int = 0
    clock: int = 0
    band: int = 0


class Order(NamedTuple):
    """An open order. Prices are in ticks and sizes in lots. `value`, the notional of all its fills, is in units of the quote asset.

    `price` is the limit, or for a stop the worst acceptable price (0 for any price). `remaining` is all that is left of the order, and
    `displayed` is what the book shows of it. `type` is LIMIT for an order that rests. For an order that waits, `type` is its kind
    of stop and `stop` is its present trigger. `expires` is 0 if the order never expires. `linked` is the other order of a pair, 0 for
    none: each of the two cancels the other.
    """

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
    type: int = 0
    stop: int = 0
    displayed: int = 0
    expires: int = 0
    linked: int = 0
