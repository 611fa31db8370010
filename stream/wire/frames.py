"""What happened on each channel. A *frame* carries `(epoch, prev, seq)`, which say which part of the history it holds."""

from typing import Annotated, Literal

from msgspec import Meta

from stream.wire.fields import (
    Channel,
    ClientId,
    Digest,
    Epoch,
    InstrumentName,
    Levels,
    Lots,
    Message,
    Money,
    Nanoseconds,
    OrderId,
    OrderTypeName,
    PhaseName,
    Prev,
    Record,
    Seq,
    SideName,
    Ticks,
)


class Book(Message, tag="book"):
    """A frame of `orderbook:<instrument>`. One without levels is a heartbeat."""

    channel: Channel
    epoch: Epoch
    prev: Prev
    seq: Seq
    bids: Levels
    asks: Levels
    digest: Digest
    batches: Annotated[int, Meta(description="How many of the engine's batches that changed the book are folded in, 0 when not known.")]
    engine_time: Annotated[Nanoseconds, Meta(description="Time of the latest command that is folded in.")]
    server_time: Annotated[Nanoseconds, Meta(description="When the frame was made.")]


class Trade(Record):
    """One trade."""

    seq: Seq
    time: Nanoseconds
    price: Ticks
    size: Lots
    side: SideName


class Trades(Message, tag="trades"):
    """A frame of `trades:<instrument>`: every trade in order. A snapshot holds the latest ones, one without trades is a heartbeat."""

    channel: Channel
    epoch: Epoch
    prev: Prev
    seq: Seq
    trades: list[Trade]
    server_time: Nanoseconds


class Ticker(Message, tag="ticker"):
    """A frame of `ticker:<instrument>`: always a snapshot. The figures are of the last 24 hours; 0 stands for none."""

    channel: Channel
    epoch: Epoch
    prev: Prev
    seq: Seq
    last: Ticks
    last_size: Lots
    bid: Ticks
    bid_size: Lots
    ask: Ticks
    ask_size: Lots
    open: Ticks
    high: Ticks
    low: Ticks
    volume: Lots
    value: Annotated[Money, Meta(description="The sum of price times size, in units of the quote asset.")]
    trades: Annotated[int, Meta(description="How many trades there were.")]
    server_time: Nanoseconds
    phase: PhaseName
    indicative_price: Annotated[Ticks, Meta(description="The price at which the orders collected for an auction would trade now.")]
    indicative_size: Annotated[Lots, Meta(description="The lots that would trade at it.")]
    volume_beyond: Annotated[int, Meta(ge=0, description="How many times 2^63 is to be added to `volume`, which is almost always 0: totals are exact, however large.")] = 0
    value_beyond: Annotated[int, Meta(ge=0, description="How many times 2^63 is to be added to `value`.")] = 0


class OrderUpdate(Record):
    """What happened to one of the account's orders, and how it stands after it. A snapshot lists the open orders as `open`.

    `type` to `linked` are those of an open order when the frame's commands had been carried out. A trigger that trails a price, and
    `linked` of the order that another one names, change without an event.
    """

    seq: Seq
    time: Nanoseconds
    event: Annotated[
        Literal["open", "accepted", "waiting", "triggered", "displayed", "filled", "cancelled", "reduced", "replaced"],
        Meta(description="`waiting`: for the trigger `stop`; `triggered`: that was reached; `displayed`: an iceberg shows its next part."),
    ]
    order: OrderId
    client_id: ClientId
    instrument: InstrumentName
    side: SideName
    price: Annotated[Ticks, Meta(description="The order's limit, 0 for a market order without protection.")]
    remaining: Annotated[Lots, Meta(description="All that is left, with what an iceberg does not show.")]
    filled: Lots
    value: Money
    fill_price: Annotated[Ticks, Meta(description="Of `filled`: the price of this fill.")] = 0
    fill_size: Annotated[Lots, Meta(description="Of `filled`: the size of this fill.")] = 0
    fee: Annotated[Money, Meta(description="Of `filled`: the fee of this fill, in the quote asset.")] = 0
    liquidity: Annotated[Literal["", "maker", "taker"], Meta(description="Of `filled`: whether the order rested or arrived.")] = ""
    type: Annotated[OrderTypeName, Meta(description="Which stop it is while it waits; `limit` otherwise.")] = "limit"
    stop: Annotated[Ticks, Meta(description="The trigger while it waits; of `triggered` the one that was reached.")] = 0
    displayed: Annotated[Lots, Meta(description="What of it shows in the book.")] = 0
    expires: Annotated[Nanoseconds, Meta(description="When it ends; 0: never.")] = 0
    linked: Annotated[OrderId, Meta(description="The order that this one cancels, and that cancels this one; 0 for none.")] = 0
    reason: Annotated[
        Literal["", "requested", "unfilled", "expired", "self_trade", "linked", "insufficient_funds", "price_out_of_band"],
        Meta(description="Of `cancelled`: why; `self_trade` also of `reduced`."),
    ] = ""


class Orders(Message, tag="orders"):
    """A frame of `orders`: every event of the account's own orders. One without orders is a heartbeat."""

    channel: Channel
    epoch: Epoch
    prev: Prev
    seq: Seq
    orders: list[OrderUpdate]
    server_time: Nanoseconds


class Balance(Record):
    """What the account has of one asset."""

    asset: str
    decimals: Annotated[int, Meta(description="One unit is 10 to the minus this.")]
    available: Money
    held: Annotated[Money, Meta(description="Reserved by open orders.")]


class Balances(Message, tag="balances"):
    """A frame of `balances`: every change of the account's own balances. One without balances is a heartbeat."""

    channel: Channel
    epoch: Epoch
    prev: Prev
    seq: Seq
    balances: list[Balance]
    server_time: Nanoseconds


class Gap(Message, tag="gap"):
    """What happened on a lossless channel after `since` is no longer at hand, and a snapshot follows."""

    channel: Channel
    epoch: Epoch
    since: Seq
    seq: Seq
