"""The messages about the history of an account: its orders and its trades, page by page."""

from typing import Annotated, Literal

from msgspec import Meta

from stream.wire.fields import (
    ClientId,
    Fee,
    Id,
    InstrumentName,
    Lots,
    Message,
    MessagePart,
    Money,
    Nanoseconds,
    OrderId,
    OrderTypeName,
    PageSize,
    ReplyId,
    Seq,
    SideName,
    Ticks,
    TimeInForceName,
)

CancelReason = Annotated[
    Literal["", "requested", "unfilled", "expired", "self_trade", "linked", "insufficient_funds", "price_out_of_band", "too_many_fills"],
    Meta(description="For an order that was cancelled: why."),
]
CompleteSince = Annotated[
    int,
    Meta(ge=0, description="Since when, in nanoseconds, the history is complete: of what was done before, the server may not have the journal any more. "
         "0: since the market began."),
]


class ListOrders(Message, tag="order_history"):
    """Ask for a page of the account's own orders, open ones and those that are done, in the order in which they were placed. Needs the scope `account`.

    A refused order has no id and is not kept. For the next page, `after` is the last order of this one.
    """

    id: Id
    instrument: Annotated[InstrumentName | None, Meta(description="Only orders in this instrument; null: in all.")] = None
    after: Annotated[OrderId, Meta(description="Only orders that were placed after this one. 0: from the first one on.")] = 0
    since: Annotated[Nanoseconds, Meta(description="Only orders that were placed at this time or later.")] = 0
    until: Annotated[Nanoseconds, Meta(description="Only orders that were placed before this time. 0: no limit.")] = 0
    latest: Annotated[bool, Meta(description="The page has the last of these orders, and not the first.")] = False
    count: PageSize = 100


class ListTrades(Message, tag="trade_history"):
    """Ask for a page of the fills of the account's own orders, in the order in which they happened. Needs the scope `account`.

    For the next page, `after` is the `seq` of the last fill of this one.
    """

    id: Id
    instrument: Annotated[InstrumentName | None, Meta(description="Only fills in this instrument; null: in all.")] = None
    after: Annotated[Seq, Meta(description="Only fills after this `seq`.")] = 0
    order: Annotated[OrderId, Meta(description="Only fills of this order. 0: of all.")] = 0
    since: Annotated[Nanoseconds, Meta(description="Only fills at this time or later.")] = 0
    until: Annotated[Nanoseconds, Meta(description="Only fills before this time. 0: no limit.")] = 0
    latest: Annotated[bool, Meta(description="The page has the last of these fills, and not the first.")] = False
    count: PageSize = 100


class PastOrder(MessagePart):
    """One of the account's orders as it is now, or as it was when it was done."""

    order: OrderId
    client_id: ClientId
    instrument: InstrumentName
    side: SideName
    type: Annotated[OrderTypeName, Meta(description="As it was placed.")]
    time_in_force: TimeInForceName
    post_only: bool
    price: Annotated[Ticks, Meta(description="The latest limit. For a market order, or a stop that becomes one, the worst acceptable price; 0: any price.")]
    size: Annotated[Lots, Meta(description="The size that was ordered, after `replace` and `reduce` the size filled and the new rest.")]
    stop: Annotated[Ticks, Meta(description="The latest trigger that was asked for; 0 for none. For a trailing stop, the distance until it waits.")]
    display: Annotated[Lots, Meta(description="The most lots that an iceberg shows at a time. 0: all.")]
    expires: Annotated[Nanoseconds, Meta(description="For `gtd`: when the order ends.")]
    filled: Lots
    value: Money
    status: Annotated[Literal["open", "waiting", "filled", "cancelled"], Meta(description="As in `done`.")]
    reason: CancelReason
    time: Annotated[Nanoseconds, Meta(description="When the order was placed.")]
    updated: Annotated[Nanoseconds, Meta(description="When anything happened to it for the last time.")]
    seq: Annotated[Seq, Meta(description="The sequence of what happened then.")]


class PastTrade(MessagePart):
    """One fill of one of the account's orders."""

    seq: Annotated[Seq, Meta(description="The sequence of the fill.")]
    trade: Annotated[Seq, Meta(description="The sequence of the trade, as on the channel `trades`.")]
    order: OrderId
    client_id: ClientId
    instrument: InstrumentName
    side: SideName
    price: Ticks
    size: Lots
    value: Annotated[Money, Meta(description="Price times size, in units of the quote asset.")]
    fee: Fee
    liquidity: Annotated[Literal["maker", "taker"], Meta(description="`maker` if the order rested, `taker` if it arrived.")]
    time: Nanoseconds


class OrderPage(Message, tag="order_page"):
    """The answer to `order_history`. If it has fewer orders than were asked for, there are no more."""

    id: ReplyId
    complete_since: CompleteSince
    orders: list[PastOrder]


class TradePage(Message, tag="trade_page"):
    """The answer to `trade_history`. If it has fewer fills than were asked for, there are no more."""

    id: ReplyId
    complete_since: CompleteSince
    trades: list[PastTrade]


HistoryRequest = ListOrders | ListTrades
