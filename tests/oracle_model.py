"""What the oracle of the exchange works with: commands as tuples, an instrument's numbers, orders."""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from engine import FEE_SCALE

POST_ONLY = 1


class Command(NamedTuple):
    """A command, with the fields and the order of the engine's 64-byte record."""

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

    def packed(self) -> bytes:
        return struct.pack(
            "<qQQqqqqqqIHBBBBBB4x", self.time, self.order, self.client_id, self.price, self.size, 0, 0, 0, 0, self.account, self.instrument,
            self.kind, self.side, self.type, self.time_in_force, self.flags, 0,
        )


def fee(rate: int, notional: int) -> int:
    return notional * rate // FEE_SCALE


@dataclass
class Terms:
    """An instrument's numbers."""

    price_max: int
    size_min: int
    size_max: int
    maker_fee: int
    taker_fee: int
    base: int
    quote: int
    tick_value: int     # units of the quote asset for one lot at one tick
    lot_units: int      # units of the base asset in one lot

    def notional(self, price: int, size: int) -> int:
        return price * size * self.tick_value

    def cost(self, price: int, size: int) -> int:
        """The most that buying can cost, whether as maker or as taker."""
        return self.notional(price, size) + fee(max(self.maker_fee, self.taker_fee), self.notional(price, size))


@dataclass
class Order:
    order: int
    client_id: int
    account: int
    instrument: int
    side: int
    price: int
    remaining: int
    post_only: bool
    market: bool
    filled: int = 0
    value: int = 0
    place: int = 0      # in the queue of its price: lower came earlier
