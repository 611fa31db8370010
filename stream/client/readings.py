"""What a client reads, in decimals. A price, a size or an amount of money is here twice: `price` is an exact Decimal, and `price_ticks` the count on the wire.

A reading costs nothing until one of its decimals is asked for. `wire` is the message, or the part of it, as it came.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, ClassVar, Literal, NamedTuple

from msgspec import Struct

from stream.client.counts import KINDS, Lots, Ticks, Units
from stream.client.errors import ClientError
from stream.wire import candles, frames, history, messages, queue_position
from stream.wire.channels import parse
from stream.wire.messages import InForce
from stream.wire.scale import to_decimal


class Scale(NamedTuple):
    """What one tick, one lot, and one unit of the quote asset are."""

    ticks: Decimal
    lots: Decimal
    units: Decimal


@cache
def scale(tick: str, lot: str, decimals: int) -> Scale:
    """A scale, made once."""
    return Scale(Decimal(tick), Decimal(lot), Decimal(1).scaleb(-decimals))


def scale_in_force(entry: InForce) -> dict[str, Scale]:
    """The scale that the server has told with a subscription, by instrument; nothing if it has not."""
    return {parse(entry.channel).instrument: scale(entry.tick, entry.lot, entry.quote_decimals)} if entry.tick else {}


Scales = Mapping[str, Scale]
"""The scales of instruments, by name."""


def scale_of(scales: Scales, instrument: str) -> Scale:
    """The scale of an instrument. Raises ClientError if it is not known."""
    if instrument not in scales:
        raise ClientError(
            f"instrument {instrument!r}: its terms are not known here: read the counts, such as `filled_lots`, or pass the order itself instead of its id"
        )
    return scales[instrument]


class Level(NamedTuple):
    """A price level of a book."""

    price: Decimal
    size: Decimal
    price_ticks: Ticks
    size_lots: Lots


def levels_of(flat: list[int], scales: Scales, instrument: str) -> list[Level]:
    """Price, size, price, size in ticks and lots, as levels."""
    tick, lot, _ = scale_of(scales, instrument)
    return [Level(to_decimal(price, tick), to_decimal(size, lot), Ticks(price), Lots(size)) for price, size in zip(flat[::2], flat[1::2], strict=True)]


def text(value: object) -> str:
    """A value for people."""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def counted(of: type[Struct], name: str) -> Callable[["Reading"], int]:
    """What reads a count of a message, in full."""
    beyond = f"{name}_beyond"
    if beyond in of.__struct_fields__:
        return lambda reading: getattr(reading.wire, name) + (getattr(reading.wire, beyond) << 63)
    return lambda reading: getattr(reading.wire, name)


def field_of(of: type[Struct], name: str, kind: str | None) -> property:
    """A field of a reading: as the wire has it, as a decimal of a kind of counts, or as such a count."""
    base, _, suffix = name.rpartition("_")
    if suffix in KINDS:
        make, count = KINDS[suffix], counted(of, base)
        return property(lambda self: make(count(self)))
    count = counted(of, name)
    return property((lambda self: to_decimal(count(self), getattr(self.scale, kind))) if kind else count)


class Reading:
    """A message, or a part of one, of one instrument. The annotations of a class are its fields."""

    of: ClassVar[type[Struct]]
    fields: ClassVar[tuple[str, ...]] = ()
    __slots__ = ("_instrument", "_scales", "wire")

    def __init_subclass__(cls, of: type[Struct]) -> None:
        cls.of = of
        cls.fields = tuple(cls.__annotations__)
        for name in cls.fields:
            if name not in vars(cls):
                setattr(cls, name, field_of(of, name, next((kind for kind in KINDS if f"{name}_{kind}" in cls.fields), None)))

    def __init__(self, wire: Any, scales: Scales, instrument: str) -> None:
        self.wire = wire
        self._scales = scales
        self._instrument = instrument

    @property
    def scale(self) -> Scale:
        """What the counts count. Raises ClientError while the client does not know the terms of the instrument."""
        return scale_of(self._scales, self._instrument)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reading) and self.wire == other.wire

    def __hash__(self) -> int:
        return hash(repr(self.wire))

    def __repr__(self) -> str:
        try:
            shown = [name for name in self.fields if name.rpartition("_")[2] not in KINDS and self.scale]
        except ClientError:
            shown = [name for name in self.fields if not any(f"{name}_{kind}" in self.fields for kind in KINDS)]
        return f"{type(self).__name__}({', '.join(f'{name}={text(getattr(self, name))}' for name in shown)})"


class Book(Reading, of=frames.Book):
    """A frame of an order book. A level of size 0 has been removed. Only a snapshot has no `prev`, and all levels."""

    channel: str
    epoch: int
    prev: int | None
    seq: int
    digest: int
    batches: int
    engine_time: int
    server_time: int

    @property
    def bids(self) -> list[Level]:
        """The bids that have changed."""
        return levels_of(self.wire.bids, self._scales, self._instrument)

    @property
    def asks(self) -> list[Level]:
        """The asks that have changed."""
        return levels_of(self.wire.asks, self._scales, self._instrument)


class Trade(Reading, of=frames.Trade):
    """One trade."""

    seq: int
    time: int
    price: Decimal
    price_ticks: Ticks
    size: Decimal
    size_lots: Lots
    side: Literal["buy", "sell"]


class Trades(Reading, of=frames.Trades):
    """A frame of trades. A snapshot has the latest ones."""

    channel: str
    epoch: int
    prev: int | None
    seq: int
    server_time: int

    @property
    def trades(self) -> list[Trade]:
        """The trades, in order."""
        return [Trade(each, self._scales, self._instrument) for each in self.wire.trades]


class Ticker(Reading, of=frames.Ticker):
    """A frame of a ticker. The figures cover the last 24 hours; 0 means that there is none."""

    channel: str
    epoch: int
    prev: int | None
    seq: int
    last: Decimal
    last_ticks: Ticks
    last_size: Decimal
    last_size_lots: Lots
    bid: Decimal
    bid_ticks: Ticks
    bid_size: Decimal
    bid_size_lots: Lots
    ask: Decimal
    ask_ticks: Ticks
    ask_size: Decimal
    ask_size_lots: Lots
    open: Decimal
    open_ticks: Ticks
    high: Decimal
    high_ticks: Ticks
    low: Decimal
    low_ticks: Ticks
    volume: Decimal
    volume_lots: Lots
    value: Decimal
    value_units: Units
    trades: int
    server_time: int
    phase: str
    indicative_price: Decimal
    indicative_price_ticks: Ticks
    indicative_size: Decimal
    indicative_size_lots: Lots


class OrderUpdate(Reading, of=frames.OrderUpdate):
    """What happened to one of the account's orders, and the order after that."""

    seq: int
    time: int
    event: str
    order: int
    client_id: int
    instrument: str
    side: Literal["buy", "sell"]
    price: Decimal
    price_ticks: Ticks
    remaining: Decimal
    remaining_lots: Lots
    filled: Decimal
    filled_lots: Lots
    value: Decimal
    value_units: Units
    fill_price: Decimal
    fill_price_ticks: Ticks
    fill_size: Decimal
    fill_size_lots: Lots
    fee: Decimal
    fee_units: Units
    liquidity: str
    type: str
    stop: Decimal
    stop_ticks: Ticks
    displayed: Decimal
    displayed_lots: Lots
    expires: int
    linked: int
    reason: str


class Orders(Reading, of=frames.Orders):
    """A frame of own orders. A snapshot has the open ones."""

    channel: str
    epoch: int
    prev: int | None
    seq: int
    server_time: int

    @property
    def orders(self) -> list[OrderUpdate]:
        """What happened, in order."""
        return [OrderUpdate(each, self._scales, each.instrument) for each in self.wire.orders]


class Balance(Reading, of=frames.Balance):
    """The account's balance in one asset."""

    asset: str
    decimals: int
    available: Decimal
    available_units: Units
    held: Decimal
    held_units: Units

    @property
    def scale(self) -> Scale:
        """What the counts count."""
        return scale("1", "1", self.wire.decimals)


class Balances(Reading, of=frames.Balances):
    """A frame of own balances. A snapshot has all of them."""

    channel: str
    epoch: int
    prev: int | None
    seq: int
    server_time: int

    @property
    def balances(self) -> list[Balance]:
        """The balances that have changed."""
        return [Balance(each, self._scales, each.asset) for each in self.wire.balances]


class Done(Reading, of=messages.Done):
    """An order after a request."""

    seq: int
    order: int
    client_id: int
    status: Literal["open", "waiting", "filled", "cancelled"]
    remaining: Decimal
    remaining_lots: Lots
    filled: Decimal
    filled_lots: Lots
    value: Decimal
    value_units: Units

    @property
    def instrument(self) -> str:
        """The order's instrument; "" if the request did not say."""
        return self._instrument


class PastOrder(Reading, of=history.PastOrder):
    """One of the account's orders as it is now, or as it was when it was done."""

    order: int
    client_id: int
    instrument: str
    side: Literal["buy", "sell"]
    type: str
    time_in_force: str
    post_only: bool
    price: Decimal
    price_ticks: Ticks
    size: Decimal
    size_lots: Lots
    stop: Decimal
    stop_ticks: Ticks
    display: Decimal
    display_lots: Lots
    expires: int
    filled: Decimal
    filled_lots: Lots
    value: Decimal
    value_units: Units
    status: Literal["open", "waiting", "filled", "cancelled"]
    reason: str
    time: int
    updated: int
    seq: int


class PastTrade(Reading, of=history.PastTrade):
    """One fill of one of the account's orders."""

    seq: int
    trade: int
    order: int
    client_id: int
    instrument: str
    side: Literal["buy", "sell"]
    price: Decimal
    price_ticks: Ticks
    size: Decimal
    size_lots: Lots
    value: Decimal
    value_units: Units
    fee: Decimal
    fee_units: Units
    liquidity: Literal["maker", "taker"]
    time: int


class Candle(Reading, of=candles.Candle):
    """The trades of one interval. The present candle still grows."""

    start: int
    open: Decimal
    open_ticks: Ticks
    high: Decimal
    high_ticks: Ticks
    low: Decimal
    low_ticks: Ticks
    close: Decimal
    close_ticks: Ticks
    size: Decimal
    size_lots: Lots
    value: Decimal
    value_units: Units
    bought: Decimal
    bought_lots: Lots
    bought_value: Decimal
    bought_value_units: Units
    trades: int
    first: int
    last: int


class QueuePosition(Reading, of=queue_position.QueuePosition):
    """The place of an own order in the queue of its price at `seq`: how many orders, and what size, are ahead of it. `number` is its public number."""

    seq: int
    order: int
    number: int
    instrument: str
    side: Literal["buy", "sell"]
    price: Decimal
    price_ticks: Ticks
    size: Decimal
    size_lots: Lots
    orders_ahead: int
    size_ahead: Decimal
    size_ahead_lots: Lots


class OrderPage(Reading, of=history.OrderPage):
    """A page of own orders. The history is complete since a time in ns since 1970."""

    complete_since: int

    @property
    def orders(self) -> list[PastOrder]:
        """The orders, as they were placed."""
        return [PastOrder(each, self._scales, each.instrument) for each in self.wire.orders]


class TradePage(Reading, of=history.TradePage):
    """A page of the fills of own orders. The history is complete since a time in ns since 1970."""

    complete_since: int

    @property
    def trades(self) -> list[PastTrade]:
        """The fills, as they happened."""
        return [PastTrade(each, self._scales, each.instrument) for each in self.wire.trades]


class CandlePage(Reading, of=candles.CandlePage):
    """A page of candles. They hold every trade up to `seq`."""

    epoch: int
    seq: int

    @property
    def candles(self) -> list[Candle]:
        """The candles, oldest first."""
        return [Candle(each, self._scales, self._instrument) for each in self.wire.candles]
