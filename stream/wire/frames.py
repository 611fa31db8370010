"""The frames: messages that say what happened on a channel. The `epoch`, `prev` and `seq` of a frame say which part of the history it holds."""

from typing import Annotated, Literal

from msgspec import Meta

from stream.wire.fields import (
    Channel,
    ClientId,
    Digest,
    Epoch,
    Fee,
    InstrumentName,
    Levels,
    Lots,
    Message,
    MessagePart,
    Money,
    Nanoseconds,
    OrderId,
    OrderTypeName,
    PhaseName,
    Prev,
    PublicOrder,
    Seq,
    SideName,
    Ticks,
)


class Book(Message, tag="book"):
    """A frame of `orderbook:<instrument>`. A frame without levels is a heartbeat."""

    channel: Channel
    epoch: Epoch
    prev: Prev
    seq: Seq
    bids: Levels
    asks: Levels
    digest: Digest
    batches: Annotated[int, Meta(description="How many of the engine's batches that changed the book are merged into the frame; 0 if that is not known.")]
    engine_time: Annotated[Nanoseconds, Meta(description="The time of the latest command that is merged into the frame.")]
    server_time: Annotated[Nanoseconds, Meta(description="When the server made the frame.")]


class OrderAdded(MessagePart, tag="add", tag_field="tag"):
    """An order comes behind all others at its price. In a snapshot: one of the orders in the book, the best price first and by priority at each price."""

    order: PublicOrder
    side: SideName
    price: Ticks
    size: Annotated[Lots, Meta(description="The size that the book shows of the order.")]


class OrderReduced(MessagePart, tag="reduce", tag_field="tag"):
    """An order is smaller now, and keeps its place."""

    order: PublicOrder
    size: Annotated[Lots, Meta(description="How many lots were taken off.")]


class OrderMoved(MessagePart, tag="move", tag_field="tag"):
    """An order has a new price or a larger size, and is behind all others at that price."""

    order: PublicOrder
    price: Ticks
    size: Annotated[Lots, Meta(description="The size that the book shows of the order.")]


class OrderExecuted(MessagePart, tag="fill", tag_field="tag"):
    """An order in the book was filled, and keeps its place. If nothing of it is left, it is gone."""

    order: PublicOrder
    size: Annotated[Lots, Meta(description="How many lots were filled.")]
    trade: Annotated[Seq, Meta(description="The trade: its `seq` on `trades:<instrument>`.")]


class OrderDeleted(MessagePart, tag="delete", tag_field="tag"):
    """An order is gone."""

    order: PublicOrder
    reason: Annotated[
        Literal["cancelled", "expired", "filled", "replaced"],
        Meta(description="`filled`: the order was replaced, and filled as it arrived at its new price. `replaced`: of an iceberg, which comes back under another number."),
    ]


class BookCleared(MessagePart, tag="clear", tag_field="tag"):
    """All orders are gone. The book collects for an auction, unseen; when that ends, each order that is left is added. Or what the server showed was wrong, and it adds all orders anew."""


OrderChange = OrderAdded | OrderReduced | OrderMoved | OrderExecuted | OrderDeleted | BookCleared


class OrderBatch(MessagePart):
    """What one of the engine's batches changed, in order. The book may be crossed in the middle of a batch, but never at its end."""

    seq: Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="The sequence of the batch's last event.")]
    time: Nanoseconds
    changes: list[OrderChange]


class MarketByOrder(Message, tag="market_by_order"):
    """A frame of `market_by_order:<instrument>`: every change of every order in the book, in whole batches. A frame without batches is a heartbeat.

    A snapshot is one batch, which adds all orders to an empty book.
    """

    channel: Channel
    epoch: Epoch
    prev: Prev
    seq: Seq
    batches: list[OrderBatch]
    digest: Annotated[int, Meta(ge=0, description="The 64-bit sum over all orders of the book as of `seq`.")]
    engine_time: Annotated[Nanoseconds, Meta(description="The time of the latest command that is in the frame.")]
    server_time: Annotated[Nanoseconds, Meta(description="When the server made the frame.")]


class Trade(MessagePart):
    """One trade."""

    seq: Seq
    time: Nanoseconds
    price: Ticks
    size: Lots
    side: SideName


class Trades(Message, tag="trades"):
    """A frame of `trades:<instrument>`: every trade in order. A snapshot holds the latest trades. A frame without trades is a heartbeat."""

    channel: Channel
    epoch: Epoch
    prev: Prev
    seq: Seq
    trades: list[Trade]
    server_time: Nanoseconds


class Ticker(Message, tag="ticker"):
    """A frame of `ticker:<instrument>`. It is always a snapshot. The figures cover the last 24 hours; 0 means that there is none."""

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
    trades: Annotated[int, Meta(description="The number of trades.")]
    server_time: Nanoseconds
    phase: PhaseName
    indicative_price: Annotated[Ticks, Meta(description="The price at which the orders collected for an auction would trade now.")]
    indicative_size: Annotated[Lots, Meta(description="The number of lots that would trade at that price.")]
    volume_beyond: Annotated[int, Meta(ge=0, description="How many times 2^63 to add to `volume`. It is almost always 0; it makes totals exact, however large they are.")] = 0
    value_beyond: Annotated[int, Meta(ge=0, description="How many times 2^63 to add to `value`.")] = 0


class OrderUpdate(MessagePart):
    """What happened to one of the account's orders, and the order after that. A snapshot lists the open orders, with the event `open`.

    The fields from `type` to `linked` describe an open order as it is after all commands of the frame. Two things change without an event: a trigger
    that trails a price, and `linked` of an order that another order names.
    """

    seq: Seq
    time: Nanoseconds
    event: Annotated[
        Literal["open", "accepted", "waiting", "triggered", "displayed", "filled", "cancelled", "reduced", "replaced"],
        Meta(description="`waiting`: the order waits for the trigger `stop`. `triggered`: the trigger was reached. `displayed`: an iceberg shows its next part."),
    ]
    order: OrderId
    client_id: ClientId
    instrument: InstrumentName
    side: SideName
    price: Annotated[Ticks, Meta(description="The order's limit. 0 for a market order without a worst acceptable price.")]
    remaining: Annotated[Lots, Meta(description="All that is left of the order, including what an iceberg does not show.")]
    filled: Lots
    value: Money
    fill_price: Annotated[Ticks, Meta(description="For `filled`: the price of this fill.")] = 0
    fill_size: Annotated[Lots, Meta(description="For `filled`: the size of this fill.")] = 0
    fee: Annotated[Fee, Meta(description="For `filled`: the fee of this fill, in units of the quote asset; below 0 a rebate.")] = 0
    liquidity: Annotated[Literal["", "maker", "taker"], Meta(description="For `filled`: `maker` if the order rested, `taker` if it arrived.")] = ""
    type: Annotated[OrderTypeName, Meta(description="The type of a stop while it waits; `limit` otherwise.")] = "limit"
    stop: Annotated[Ticks, Meta(description="The trigger while the order waits. For `triggered`: the trigger that was reached.")] = 0
    displayed: Annotated[Lots, Meta(description="The size that the book shows of the order.")] = 0
    expires: Annotated[Nanoseconds, Meta(description="When the order ends. 0: never.")] = 0
    linked: Annotated[OrderId, Meta(description="The linked order: each of the two orders cancels the other one. 0 for none.")] = 0
    reason: Annotated[
        Literal["", "requested", "unfilled", "expired", "self_trade", "linked", "insufficient_funds", "price_out_of_band"],
        Meta(description="For `cancelled`: why. `self_trade` also occurs with `reduced`."),
    ] = ""


class Orders(Message, tag="orders"):
    """A frame of `orders`: every event of the account's own orders. A frame without orders is a heartbeat."""

    channel: Channel
    epoch: Epoch
    prev: Prev
    seq: Seq
    orders: list[OrderUpdate]
    server_time: Nanoseconds


class Balance(MessagePart):
    """The account's balance in one asset."""

    asset: str
    decimals: Annotated[int, Meta(description="The number of decimals of the asset: one unit of it is 10 to the power of minus this.")]
    available: Money
    held: Annotated[Money, Meta(description="The amount that open orders reserve.")]


class Balances(Message, tag="balances"):
    """A frame of `balances`: every change of the account's own balances. A frame without balances is a heartbeat."""

    channel: Channel
    epoch: Epoch
    prev: Prev
    seq: Seq
    balances: list[Balance]
    server_time: Nanoseconds


class Gap(Message, tag="gap"):
    """A gap on a lossless channel. The server no longer has what happened after `since`; a snapshot follows."""

    channel: Channel
    epoch: Epoch
    since: Seq
    seq: Seq
