"""What the oracle of the exchange works with: commands as tuples, an instrument's numbers, orders, accounts."""

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from engine import FEE_SCALE, Instrument, OrderType, Phase, SelfTrade, Side

POST_ONLY, SLIDE, QUOTE = 1, 2, 4
ALL_INSTRUMENTS = 0xFFFF
ALL_ACCOUNTS = 0xFFFFFFFF
BOTH_SIDES = 2
LAST = 1
TAKER = 2
CLOCK_MAX = 1 << 62
DAY_NS = 24 * 60 * 60 * 10**9
PRICED = OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT
TAKE_PROFITS = OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT


class Command(NamedTuple):
    """A command, with the fields of the engine's 88-byte record."""

    kind: int
    account: int = 0
    instrument: int = 0
    side: int = 0
    price: int = 0
    size: int = 0
    order: int = 0
    client_id: int = 0
    type: int = 0
    time_in_force: int = 0
    flags: int = 0
    time: int = 0
    stop: int = 0
    display: int = 0
    min_size: int = 0
    expires: int = 0
    self_trade: int = 0

    def packed(self) -> bytes:
        return struct.pack(
            "<qQQqqqqqqIHBBBBBB4x", self.time, self.order, self.client_id, self.price, self.size, self.stop, self.display, self.min_size,
            self.expires, self.account, self.instrument, self.kind, self.side, self.type, self.time_in_force, self.flags, self.self_trade,
        )


def fee(rate: int, notional: int, unpaid: int = 0) -> int:
    return (notional * rate + unpaid) // FEE_SCALE


@dataclass
class Terms:
    """An instrument's numbers, and how it stands."""

    instrument: Instrument
    base: int
    quote: int
    tick_value: int     # units of the quote asset for one lot at one tick
    lot_units: int      # units of the base asset in one lot
    rates: dict[int, tuple[int, int]] = field(default_factory=dict)     # of makers and takers, by tier, where they were set
    phase: Phase = Phase.TRADING
    collecting: bool = False
    last: int = 0
    reference: int = 0
    band: int = 0

    def __post_init__(self) -> None:
        self.band = self.instrument.band

    @property
    def hold_fee(self) -> int:
        return self.instrument.hold_fee or max(self.instrument.maker_fee, self.instrument.taker_fee)

    def notional(self, price: int, size: int) -> int:
        return price * size * self.tick_value

    def cost(self, price: int, size: int, unpaid: int = 0) -> int:
        """The most that buying can cost."""
        return self.notional(price, size) + fee(self.hold_fee, self.notional(price, size), unpaid)

    def fees(self, tier: int) -> tuple[int, int]:
        return self.rates.get(tier, (self.instrument.maker_fee, self.instrument.taker_fee))

    def edge_of_band(self, side: int) -> int:
        """The worst price of that side; a bid may be as high as it likes without a band."""
        reference = self.reference or self.last
        if not self.band or not reference:
            return CLOCK_MAX if side == Side.BUY else 0
        width = fee(self.band, reference)
        return reference + width if side == Side.BUY else reference - width

    def in_band(self, side: int, price: int) -> bool:
        return price <= self.edge_of_band(side) if side == Side.BUY else price >= self.edge_of_band(side)

    def market_limit(self, side: int, protection: int) -> int:
        edge = self.edge_of_band(side)
        if not protection:
            return edge
        return min(protection, edge) if side == Side.BUY else max(protection, edge)


@dataclass
class Account:
    group: int = 0
    tier: int = 0
    self_trade: int = SelfTrade.ALLOW
    orders_max: int = 0
    size_max: int = 0
    notional_max: int = 0
    frozen: bool = False


@dataclass(eq=False)
class Order:
    order: int
    client_id: int
    account: int
    instrument: int
    side: int
    price: int              # the limit, or the protection
    remaining: int          # the hidden part included
    post_only: bool
    type: OrderType         # LIMIT and MARKET, or the stop that it still is
    self_trade: int
    display: int = 0
    expires: int = 0
    filled: int = 0
    value: int = 0
    fee_parts: int = 0      # the fees of all fills, in millionths of a unit
    place: int = 0          # in the queue of its price: lower came earlier; 0: it is in none
    shown: int = 0
    stop: int = 0           # the trigger while it waits
    trail: int = 0
    waits: bool = False
    triggered: bool = False
    partner: "Order | None" = None

    @property
    def unpaid(self) -> int:
        """What no fill has paid yet, in millionths of a unit."""
        return self.fee_parts % FEE_SCALE

    @property
    def number(self) -> int:
        return self.order >> 24

    @property
    def waits_for_rise(self) -> bool:
        return (self.side == Side.BUY) != (self.type in TAKE_PROFITS)

    @property
    def holds(self) -> bool:
        """Whether it holds anything: a buy without a limit does not."""
        return self.side == Side.SELL or self.type in PRICED
