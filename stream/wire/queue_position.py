"""The messages about the place of an own order in its queue."""

from typing import Annotated

from msgspec import Meta

from stream.wire.fields import Id, InstrumentName, Lots, Message, OrderId, PublicOrder, ReplyId, Seq, SideName, Ticks


class AskQueuePosition(Message, tag="queue_position"):
    """Ask for the place of an own order in the queue of its price. Needs the scope `account`."""

    id: Id
    order: OrderId


class QueuePosition(Message, tag="queued"):
    """The answer to `queue_position`. What icebergs ahead do not show is not counted.

    The order is number `number` on `market_by_order:<instrument>`: who listens there can follow the order's place from `seq` on.
    """

    id: ReplyId
    seq: Annotated[Seq, Meta(description="The engine's sequence at which this is the order's place.")]
    order: OrderId
    number: PublicOrder
    instrument: InstrumentName
    side: SideName
    price: Ticks
    size: Annotated[Lots, Meta(description="The size that the book shows of the order.")]
    orders_ahead: Annotated[int, Meta(ge=0, description="How many orders are ahead of it.")]
    size_ahead: Annotated[Lots, Meta(description="How many lots they show.")]
