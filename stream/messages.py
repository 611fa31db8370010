"""Every message on the wire, as one msgspec struct each: this page is the protocol.

A message is an array whose first element is its tag; the other elements are the fields in the order below. Trailing fields
that have a default may be left out by a client. All numbers are integers: prices in ticks, sizes in lots, money in units of
its asset, times in nanoseconds since 1970, and nothing is ever rounded.

A *frame* carries what happened on one channel: `(epoch, prev, seq)` say which part of the history it holds.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Id = Annotated[int, Meta(ge=1, lt=1 << 53, description="The client's number for a request; the reply repeats it.")]
ReplyId = Annotated[int, Meta(ge=0, lt=1 << 53, description="The id of the request that this answers, 0 if it answers none.")]
Epoch = Annotated[int, Meta(ge=0, lt=1 << 53, description="Names the history. Sequences of different epochs have nothing to do with each other.")]
Seq = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="The engine's sequence: the frame holds every change up to and with this one.")]
Prev = Annotated[int | None, Meta(description="The frame holds every change after this sequence; null: it is a snapshot and replaces what the client has.")]
Channel = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[a-z]+(:[A-Za-z0-9._/-]+)?$", description="A channel's name, such as `orderbook:BTC-USDT`.")]
InstrumentName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._/-]+$", description="An instrument's name, such as `BTC-USDT`.")]
Ticks = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="A price in ticks of the instrument.")]
Lots = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="A size in lots of the instrument.")]
Money = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="An amount in the smallest units of its asset.")]
Nanoseconds = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="Nanoseconds since 1970-01-01 UTC.")]
OrderId = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="The exchange's id of an order, unique for ever; 0 for none.")]
ClientId = Annotated[int, Meta(ge=0, lt=1 << 53, description="The client's own number for an order; 0 for none. A second order with the same number is refused.")]
Levels = Annotated[list[int], Meta(description="Price in ticks, size in lots, price, size ...: absolute sizes, 0 removes the level. A snapshot's are best first.")]
Digest = Annotated[int, Meta(ge=0, description="The 64-bit sum over all levels of the book (or of the window) as of `seq`.")]
SideName = Annotated[Literal["buy", "sell"], Meta(description="The side of an order, or of a trade's aggressor.")]
OrderTypeName = Annotated[
    Literal["limit", "market", "stop", "stop_limit", "trailing_stop"],
    Meta(description="Limit, or market; or what waits for a trigger and then is a market order, a limit order, or a market order whose trigger follows the price."),
]
TimeInForceName = Annotated[
    Literal["gtc", "ioc", "fok", "gtd", "day"],
    Meta(description="Good till cancelled, immediate or cancel, fill or kill, good till `expires`, good till the end of the instrument's day."),
]
SelfTradeMode = Literal["allow", "cancel_newest", "cancel_oldest", "cancel_both", "decrement"]
SelfTradeName = Annotated[
    Literal["account", SelfTradeMode],
    Meta(description="What happens instead of a trade with oneself: what the account has as its default; nothing, it trades; the one that arrives is cancelled, or the one that "
         "rests, or both; or what would have traded is taken off both."),
]
PhaseName = Annotated[Literal["trading", "halt", "auction"], Meta(description="Orders match; orders are refused; orders are collected, unseen, for one price.")]
Recovered = Annotated[Literal["none", "merged", "snapshot"], Meta(description="How the client was brought up to date: nothing was needed, one merged patch follows, or a snapshot follows.")]
RecoveredReason = Annotated[
    Literal["new", "current", "patch", "epoch", "forgotten", "ahead", "larger", "window"],
    Meta(description="Why: no resumption was asked for; nothing changed since; a patch holds all that did; the history is another one; "
         "its past is forgotten; the client is ahead of this server; a patch would be larger than a snapshot; a window cannot be patched."),
]
Depth = Annotated[int, Meta(ge=0, lt=1 << 31, description="Levels on each side, best first; 0 for the full book.")]
IntervalMs = Annotated[int, Meta(ge=0, lt=1 << 31, description="The shortest time between two frames while the instrument is busy, in milliseconds; 0: every change at once.")]


class Message(Struct, array_like=True, forbid_unknown_fields=True, tag_field="tag"):
    """The root of all messages."""


class Record(Struct, array_like=True, forbid_unknown_fields=True):
    """A part of a message: an array without a tag."""


# From the client


class Login(Message, tag="login"):
    """Sign in, or renew the token of the open connection. For clients that cannot send an `Authorization` header."""

    id: Id
    token: Annotated[str, Meta(max_length=8192, description="A JSON Web Token.")]


class Subscribe(Message, tag="subscribe"):
    """Listen to channels. All of them are answered as of one sequence."""

    id: Id
    channels: Annotated[list[Channel], Meta(min_length=1, max_length=1024)]
    depth: Annotated[Depth | None, Meta(description="For order books: levels on each side, 0 for the full book; null for the server's default.")] = None
    interval_ms: Annotated[IntervalMs | None, Meta(description="For order books and tickers: the shortest time between frames; null for the server's default.")] = None
    resume: Annotated[dict[Channel, tuple[Epoch, Seq]], Meta(max_length=1024, description="Where the client stands: channel to epoch and sequence.")] = {}


class Unsubscribe(Message, tag="unsubscribe"):
    """Stop listening to channels."""

    id: Id
    channels: Annotated[list[Channel], Meta(min_length=1, max_length=1024)]


class ListSubscriptions(Message, tag="list"):
    """Ask what is subscribed."""

    id: Id


class ListInstruments(Message, tag="instruments"):
    """Ask which instruments there are."""

    id: Id


class Ping(Message, tag="ping"):
    """Ask for a sign of life."""

    id: Id


class Place(Message, tag="place"):
    """Place an order."""

    id: Id
    instrument: InstrumentName
    side: SideName
    price: Annotated[Ticks, Meta(description="The limit in ticks; of what is or becomes a market order the worst acceptable price, 0 for none.")]
    size: Annotated[Lots, Meta(description="In lots; with `quote` in units of the quote asset.")]
    type: OrderTypeName = "limit"
    time_in_force: TimeInForceName = "gtc"
    post_only: Annotated[bool, Meta(description="Refuse the order if it would take.")] = False
    client_id: ClientId = 0
    slide: Annotated[bool, Meta(description="With `post_only`: take the nearest price that would not take instead.")] = False
    quote: Annotated[bool, Meta(description="Of a market order: `size` is the money to spend, fees included, or to bring in, before fees.")] = False
    stop: Annotated[Ticks, Meta(description="The trigger of a stop; of a trailing one its distance from the last trade's price.")] = 0
    display: Annotated[Lots, Meta(description="An iceberg shows at most so many lots; 0 shows all.")] = 0
    min_size: Annotated[Lots, Meta(description="Refuse the order unless so many lots can be filled at once.")] = 0
    expires: Annotated[Nanoseconds, Meta(description="Of `gtd`: when the order ends. 0 for none.")] = 0
    linked: Annotated[OrderId, Meta(description="One's own open order that this one cancels, and that cancels this one; one of the two is a stop. 0 for none.")] = 0
    self_trade: SelfTradeName = "account"


class Cancel(Message, tag="cancel"):
    """Cancel an order, named by the exchange's id or by the client's own."""

    id: Id
    order: OrderId = 0
    client_id: ClientId = 0


class Reduce(Message, tag="reduce"):
    """Take some size off an order; it keeps its place in the queue."""

    id: Id
    order: OrderId
    by: Lots
    client_id: ClientId = 0


class Replace(Message, tag="replace"):
    """Give an order a new price and remaining size. It keeps its place only if the size shrinks at the same price."""

    id: Id
    order: OrderId
    price: Ticks
    size: Annotated[Lots, Meta(description="The new remaining size in lots.")]
    client_id: ClientId = 0
    stop: Annotated[Ticks, Meta(description="The new trigger of a stop that waits; 0 keeps it.")] = 0


class CancelAll(Message, tag="cancel_all"):
    """Cancel all own orders: of one instrument or of all (null), on one side or on both (null)."""

    id: Id
    instrument: InstrumentName | None = None
    side: SideName | None = None


Request = Login | Subscribe | Unsubscribe | ListSubscriptions | ListInstruments | Ping | Place | Cancel | Reduce | Replace | CancelAll


# From the server: replies


class Welcome(Message, tag="welcome"):
    """The first message on every connection."""

    server: Annotated[str, Meta(description="Name and version of the server.")]
    epoch: Epoch
    seq: Seq
    time: Nanoseconds
    heartbeat_ms: Annotated[int, Meta(description="A quiet channel sends an empty frame at least this often, in milliseconds.")]
    subject: Annotated[str | None, Meta(description="Who the `Authorization` header signed in, null for nobody.")]


class LoggedIn(Message, tag="logged_in"):
    """The token was accepted."""

    id: ReplyId
    subject: str
    scopes: list[str]
    expires: Annotated[int, Meta(description="Seconds since 1970 at which the connection closes unless a newer token is sent.")]


class InForce(Record):
    """What is in force for one subscribed channel."""

    channel: Channel
    recovered: Recovered
    reason: RecoveredReason
    depth: Depth
    interval_ms: IntervalMs


class Subscribed(Message, tag="subscribed"):
    """The answer to `subscribe`, ahead of the frames that bring the client up to `seq`."""

    id: ReplyId
    epoch: Epoch
    seq: Seq
    channels: list[InForce]


class Unsubscribed(Message, tag="unsubscribed"):
    """The answer to `unsubscribe`: these were subscribed and no longer are. With id 0: a renewed token does not allow them."""

    id: ReplyId
    channels: list[Channel]


class Subscriptions(Message, tag="subscriptions"):
    """The answer to `list`."""

    id: ReplyId
    channels: list[InForce]


class InstrumentTerms(Record):
    """An instrument's terms. `tick` and `lot` are decimal text; all else on the wire counts in them."""

    name: InstrumentName
    base: str
    quote: str
    tick: Annotated[str, Meta(description="What one tick is, in the quote asset.")]
    lot: Annotated[str, Meta(description="What one lot is, in the base asset.")]
    base_decimals: Annotated[int, Meta(description="One unit of the base asset is 10 to the minus this.")]
    quote_decimals: Annotated[int, Meta(description="One unit of the quote asset is 10 to the minus this.")]
    price_max: Ticks
    size_min: Lots
    size_max: Lots
    maker_fee: Annotated[int, Meta(description="Parts per million of the notional, for accounts without a tier of their own.")]
    taker_fee: Annotated[int, Meta(description="Parts per million of the notional, for accounts without a tier of their own.")]
    notional_max: Annotated[Money, Meta(description="The most that price times size of an order may be, in units of the quote asset; 0: no limit.")]
    orders_max: Annotated[int, Meta(description="Open orders in the book; 0: no limit.")]
    band: Annotated[int, Meta(description="How far from the reference price a limit may be, in parts per million of it; 0: no limit.")]
    hold_fee: Annotated[int, Meta(description="The fee that a buy order reserves, in parts per million of the notional; no fee is higher.")]
    day_end: Annotated[int, Meta(description="When `day` orders end, in seconds after midnight UTC.")]
    phase: PhaseName


class Instruments(Message, tag="instrument_list"):
    """The answer to `instruments`."""

    id: ReplyId
    instruments: list[InstrumentTerms]


class Pong(Message, tag="pong"):
    """The answer to `ping`."""

    id: ReplyId
    time: Nanoseconds


class Done(Message, tag="done"):
    """The answer to `place`, `cancel`, `reduce` and `replace`: the order as the command left it."""

    id: ReplyId
    seq: Seq
    order: OrderId
    client_id: ClientId
    status: Annotated[
        Literal["open", "waiting", "filled", "cancelled"],
        Meta(description="Whether the order rests, waits for its trigger, is filled whole, or is gone with a rest unfilled."),
    ]
    remaining: Lots
    filled: Lots
    value: Annotated[Money, Meta(description="The sum of price times size over all fills, in units of the quote asset.")]


class AllCancelled(Message, tag="all_cancelled"):
    """The answer to `cancel_all`."""

    id: ReplyId
    seq: Seq
    count: Annotated[int, Meta(description="How many orders were cancelled.")]


class Error(Message, tag="error"):
    """A request was refused and changed nothing."""

    id: ReplyId
    code: Annotated[int, Meta(description="The number of the error.")]
    message: Annotated[str, Meta(description="What was wrong, and what was expected.")]
    order: OrderId = 0


# From the server: frames


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


class Pacing(Message, tag="pacing"):
    """The server's load has changed: from now on no book or ticker has frames more often than this, whatever interval a subscription has."""

    interval_ms: Annotated[IntervalMs, Meta(description="The shortest time between two frames, in milliseconds; 0: each subscription's own.")]


class Leaving(Message, tag="leaving"):
    """The server is about to close all connections."""

    return_ms: Annotated[int, Meta(description="Come back at a random time within so many milliseconds, and resume.")]


Reply = LoggedIn | Subscribed | Unsubscribed | Subscriptions | Instruments | Pong | Done | AllCancelled | Error
Frame = Book | Trades | Ticker | Orders | Balances
Answer = Welcome | Reply | Frame | Gap | Pacing | Leaving
