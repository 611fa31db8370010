"""Every message on the wire, each as one msgspec struct. This file defines the protocol.

A message is an array. Its first element is its tag; the other elements are the fields, in the order below. A client may leave
out trailing fields that have a default. All numbers are integers: prices are in ticks, sizes in lots, money in units of its
asset, and times in nanoseconds since 1970. Nothing is ever rounded.
"""

from typing import Annotated, Literal

from msgspec import Meta

from stream.wire.administration import AdminRequest, PhaseChanges
from stream.wire.candles import CandlePage, ListCandles
from stream.wire.fields import (
    Channel,
    ClientId,
    Depth,
    Epoch,
    FirstSent,
    Id,
    InstrumentName,
    IntervalMs,
    Lots,
    Message,
    MessagePart,
    Money,
    Nanoseconds,
    OrderId,
    OrderTypeName,
    PhaseName,
    Recovered,
    RecoveredReason,
    ReplyId,
    RequestKey,
    SelfTradeName,
    Seq,
    SideName,
    Ticks,
    TimeInForceName,
)
from stream.wire.frames import Balances, Book, Gap, MarketByOrder, Orders, Ticker, Trades
from stream.wire.history import HistoryRequest, OrderPage, TradePage
from stream.wire.queue_position import AskQueuePosition, QueuePosition

# From the client


Scope = Literal["off", "connection", "session"]
"""Which orders are cancelled when a connection ends."""


class Login(Message, tag="login"):
    """Sign in, or renew the token of the open connection. Clients that cannot send an `Authorization` header sign in this way."""

    id: Id
    token: Annotated[str, Meta(max_length=8192, description="A JSON Web Token.")]


class Subscribe(Message, tag="subscribe"):
    """Subscribe to channels. The answer brings all of them up to one and the same sequence; a relay brings each channel up to the latest sequence that it has heard of."""

    id: Id
    channels: Annotated[list[Channel], Meta(min_length=1, max_length=1024)]
    depth: Annotated[Depth | None, Meta(description="For order books: the number of levels on each side, 0 for the full book; null for the server's default.")] = None
    interval_ms: Annotated[IntervalMs | None, Meta(description="For order books and tickers: the shortest time between two frames, in milliseconds; null for the server's default.")] = None
    resume: Annotated[dict[Channel, tuple[Epoch, Seq]], Meta(max_length=1024, description="Where the client stands: the epoch and the sequence that it has of each channel.")] = {}


class Unsubscribe(Message, tag="unsubscribe"):
    """End the subscriptions to channels."""

    id: Id
    channels: Annotated[list[Channel], Meta(min_length=1, max_length=1024)]


class ListSubscriptions(Message, tag="list"):
    """Ask which channels are subscribed."""

    id: Id


class ListInstruments(Message, tag="instruments"):
    """Ask for the list of instruments and their terms."""

    id: Id


class Ping(Message, tag="ping"):
    """Ask the server for a sign of life."""

    id: Id


class Place(Message, tag="place"):
    """Place an order."""

    id: Id
    instrument: InstrumentName
    side: SideName
    price: Annotated[Ticks, Meta(description="The limit in ticks. For a market order, or a stop that becomes one, it is the worst acceptable price; 0: any price.")]
    size: Annotated[Lots, Meta(description="The size in lots. With `quote` it is an amount in units of the quote asset.")]
    type: OrderTypeName = "limit"
    time_in_force: TimeInForceName = "gtc"
    post_only: Annotated[bool, Meta(description="Refuse the order if it would take.")] = False
    client_id: ClientId = 0
    slide: Annotated[bool, Meta(description="With `post_only`: if the order would take, move it to the nearest price at which it does not, instead of refusing it.")] = False
    quote: Annotated[bool, Meta(description="For a market order: `size` is an amount of money. A buy order spends it, fees included; a sell order brings it in, before fees.")] = False
    stop: Annotated[Ticks, Meta(description="The trigger of a stop. For a trailing stop it is the distance from the price of the last trade.")] = 0
    display: Annotated[Lots, Meta(description="The most lots that an iceberg shows at a time. 0: it shows all.")] = 0
    min_size: Annotated[Lots, Meta(description="Refuse the order unless at least this many lots can be filled at once.")] = 0
    expires: Annotated[Nanoseconds, Meta(description="For `gtd`: when the order ends. 0: not set.")] = 0
    linked: Annotated[OrderId, Meta(description="An open order of the same account. Each of the two orders cancels the other one; one of the two must be a stop. 0 for none.")] = 0
    self_trade: SelfTradeName = "account"
    key: RequestKey = 0
    sent: FirstSent = 0


class Cancel(Message, tag="cancel"):
    """Cancel an order. Name it by the exchange's id or by the client's own id."""

    id: Id
    order: OrderId = 0
    client_id: ClientId = 0
    key: RequestKey = 0
    sent: FirstSent = 0


class Reduce(Message, tag="reduce"):
    """Reduce the size of an order. The order keeps its place in the queue."""

    id: Id
    order: OrderId
    by: Lots
    client_id: ClientId = 0
    key: RequestKey = 0
    sent: FirstSent = 0


class Replace(Message, tag="replace"):
    """Give an order a new price and a new remaining size. It keeps its place in the queue only if the price stays the same and the size shrinks."""

    id: Id
    order: OrderId
    price: Ticks
    size: Annotated[Lots, Meta(description="The new remaining size in lots.")]
    client_id: ClientId = 0
    stop: Annotated[Ticks, Meta(description="The new trigger of a stop that still waits. 0 keeps the old one.")] = 0
    key: RequestKey = 0
    sent: FirstSent = 0


class CancelAll(Message, tag="cancel_all"):
    """Cancel all of the account's own orders: in one instrument or in all (null), on one side or on both (null)."""

    id: Id
    instrument: InstrumentName | None = None
    side: SideName | None = None
    key: RequestKey = 0
    sent: FirstSent = 0


class CancelOnDisconnect(Message, tag="cancel_on_disconnect"):
    """Set what happens to the account's open orders when this connection ends without `logout`."""

    id: Id
    scope: Annotated[
        Scope,
        Meta(description="`off`: nothing happens. `connection`: the orders that were placed on this connection from now on are cancelled at once. If one of them was "
             "answered with 501, it is unknown whether that order exists, and all orders of the account are cancelled. `session`: all orders of the account "
             "are cancelled, unless the account has another connection or opens one within the grace period."),
    ]
    grace_ms: Annotated[int, Meta(ge=0, lt=1 << 31, description="The grace period of `session`, in milliseconds.")] = 0


class DeadMan(Message, tag="dead_man"):
    """Restart the account's dead-man timer. Unless the next `dead_man` comes in time, all of the account's open orders are cancelled."""

    id: Id
    timeout_ms: Annotated[int, Meta(ge=0, lt=1 << 31, description="The time after which the orders are cancelled, in milliseconds. 0 stops the timer.")]


class Logout(Message, tag="logout"):
    """Sign out. The subscriptions to own channels end, and `cancel_on_disconnect` does not apply."""

    id: Id


OrderRequest = Place | Cancel | Reduce | Replace | CancelAll

Request = Login | Subscribe | Unsubscribe | ListSubscriptions | ListInstruments | ListCandles | Ping | AskQueuePosition | OrderRequest | CancelOnDisconnect | DeadMan | HistoryRequest | Logout | AdminRequest


# From the server: replies


class Welcome(Message, tag="welcome"):
    """The first message on every connection."""

    server: Annotated[str, Meta(description="The name and the version of the server.")]
    epoch: Epoch
    seq: Seq
    time: Nanoseconds
    heartbeat_ms: Annotated[int, Meta(description="A channel on which nothing happens sends an empty frame at least this often, in milliseconds.")]
    subject: Annotated[str | None, Meta(description="The subject that the `Authorization` header signed in; null for none.")]
    subscriptions_max: Annotated[int, Meta(description="The most channels that the connection may subscribe to. In this field and the next four, 0 means: the server does not say.")] = 0
    message_bytes_max: Annotated[int, Meta(description="The size in bytes of the largest message that the connection may send. Signing in may raise it.")] = 0
    messages_per_s: Annotated[int, Meta(description="How many messages per second the connection may send. Each channel of a subscription counts as one.")] = 0
    messages_burst: Annotated[int, Meta(description="How many messages the connection may send at once.")] = 0
    under_way_max: Annotated[int, Meta(description="How many requests of the connection may be under way: sent, and not answered.")] = 0


class LoggedIn(Message, tag="logged_in"):
    """The token was accepted."""

    id: ReplyId
    subject: str
    scopes: list[str]
    expires: Annotated[int, Meta(description="The time, in seconds since 1970, at which the connection closes unless the client sends a newer token.")]
    subscriptions_max: Annotated[int, Meta(description="The most channels that the connection may subscribe to. In this field and the next four, 0 means: the server does not say.")] = 0
    message_bytes_max: Annotated[int, Meta(description="The size in bytes of the largest message that the connection may send.")] = 0
    messages_per_s: Annotated[int, Meta(description="How many messages per second the connection may send. Each channel of a subscription counts as one.")] = 0
    messages_burst: Annotated[int, Meta(description="How many messages the connection may send at once.")] = 0
    under_way_max: Annotated[int, Meta(description="How many requests of the connection may be under way: sent, and not answered.")] = 0


class InForce(MessagePart):
    """What is in force for one subscribed channel, and how the client was brought up to date."""

    channel: Channel
    recovered: Recovered
    reason: RecoveredReason
    depth: Depth
    interval_ms: IntervalMs
    tick: Annotated[str, Meta(description="For a channel of one instrument: the size of one tick, as decimal text. Empty if the server does not know it yet.")] = ""
    lot: Annotated[str, Meta(description="The size of one lot, likewise.")] = ""
    quote_decimals: Annotated[int, Meta(description="The number of decimals of the quote asset, likewise.")] = 0


class Subscribed(Message, tag="subscribed"):
    """The answer to `subscribe`. The frames that bring the client up to `seq` come after it."""

    id: ReplyId
    epoch: Epoch
    seq: Seq
    channels: list[InForce]


class Unsubscribed(Message, tag="unsubscribed"):
    """The answer to `unsubscribe`: the subscriptions to these channels have ended. With id 0, they have ended because a renewed token does not allow them."""

    id: ReplyId
    channels: list[Channel]


class Subscriptions(Message, tag="subscriptions"):
    """The answer to `list`."""

    id: ReplyId
    channels: list[InForce]


class InstrumentTerms(MessagePart):
    """An instrument's terms. `tick` and `lot` are decimal text. All other prices and sizes on the wire are counted in ticks and lots."""

    name: InstrumentName
    base: str
    quote: str
    tick: Annotated[str, Meta(description="The size of one tick, in the quote asset.")]
    lot: Annotated[str, Meta(description="The size of one lot, in the base asset.")]
    base_decimals: Annotated[int, Meta(description="The number of decimals of the base asset: one unit of it is 10 to the power of minus this.")]
    quote_decimals: Annotated[int, Meta(description="The number of decimals of the quote asset: one unit of it is 10 to the power of minus this.")]
    price_max: Ticks
    size_min: Lots
    size_max: Lots
    maker_fee: Annotated[int, Meta(description="The maker's fee in parts per million of the notional, for accounts without a tier of their own.")]
    taker_fee: Annotated[int, Meta(description="The taker's fee in parts per million of the notional, for accounts without a tier of their own.")]
    notional_max: Annotated[Money, Meta(description="The largest notional (price times size) of an order, in units of the quote asset. 0: no limit.")]
    orders_max: Annotated[int, Meta(description="The most orders that may be open in the book. 0: no limit.")]
    band: Annotated[int, Meta(description="How far the limit of an order may be from the reference price, in parts per million of that price. 0: no limit.")]
    hold_fee: Annotated[int, Meta(description="The fee that a buy order reserves, in parts per million of the notional. No fee is higher.")]
    day_end: Annotated[int, Meta(description="When `day` orders end, in seconds after midnight UTC.")]
    phase: PhaseName
    parts_max: Annotated[int, Meta(description="The most parts in which an iceberg may be displayed.")] = 0
    stops_max: Annotated[int, Meta(description="The most stops that may wait in the book.")] = 0
    fills_max: Annotated[int, Meta(description="The most orders that one order may meet. The orders that are met by the stops which it triggers count too.")] = 0
    market_notional: Annotated[bool, Meta(description="Whether `notional_max` also applies to `market` orders. It is then compared with what they would trade.")] = True


class Instruments(Message, tag="instrument_list"):
    """The answer to `instruments`."""

    id: ReplyId
    instruments: list[InstrumentTerms]


class Pong(Message, tag="pong"):
    """The answer to `ping`."""

    id: ReplyId
    time: Nanoseconds


class Done(Message, tag="done"):
    """The answer to `place`, `cancel`, `reduce` and `replace`: the order after the command."""

    id: ReplyId
    seq: Seq
    order: OrderId
    client_id: ClientId
    status: Annotated[
        Literal["open", "waiting", "filled", "cancelled"],
        Meta(description="`open`: the order rests. `waiting`: it waits for its trigger. `filled`: all of it is filled. `cancelled`: it is gone, and a part of it is unfilled."),
    ]
    remaining: Lots
    filled: Lots
    value: Annotated[Money, Meta(description="The sum of price times size over all fills of the order, in units of the quote asset.")]


class AllCancelled(Message, tag="all_cancelled"):
    """The answer to `cancel_all` and `mass_cancel`."""

    id: ReplyId
    seq: Seq
    count: Annotated[int, Meta(description="The number of orders that were cancelled.")]


class Standing(MessagePart):
    """One subscription of a connection, and how far it is behind."""

    channel: Channel
    depth: Depth
    interval_ms: IntervalMs
    seq: Annotated[int, Meta(description="The sequence that the client was brought up to. -1: it has nothing yet.")]
    behind: Annotated[int, Meta(description="How many sequences the client is behind the channel's last change. 0: it has everything.")]
    catch_ups: Annotated[int, Meta(description="How many merged frames the server has made because the client was slow.")]


class ConnectionStatus(MessagePart):
    """One connection, its client and its subscriptions."""

    connection: int
    subject: str
    address: str
    opened: Nanoseconds
    heard: Annotated[Nanoseconds, Meta(description="When the last frame came from the client.")]
    stalled: Annotated[bool, Meta(description="Whether the socket is full, because the client does not read.")]
    waiting_bytes: Annotated[int, Meta(description="How many bytes of replies wait for the client.")]
    messages: Annotated[int, Meta(description="How many messages have come from the client.")]
    subscriptions: list[Standing]


class Connections(Message, tag="connection_list"):
    """The answer to `connections`."""

    id: ReplyId
    connections: list[ConnectionStatus]
    unheard: Annotated[list[str], Meta(description="The processes of the market that did not say in time who is connected to them.")] = []


class Confirmed(Message, tag="confirmed"):
    """The request has been carried out."""

    id: ReplyId


class Error(Message, tag="error"):
    """The server refused a request. The request changed nothing, unless the code says that this is unknown."""

    id: ReplyId
    code: Annotated[int, Meta(description="The number of the error.")]
    message: Annotated[str, Meta(description="What was wrong, and what was expected.")]
    order: OrderId = 0


class Pacing(Message, tag="pacing"):
    """The server's load has changed. From now on it sends frames of a book or ticker no more often than this, even if a subscription has a shorter interval."""

    interval_ms: Annotated[IntervalMs, Meta(description="The shortest time between two frames, in milliseconds. 0: each subscription has its own interval again.")]


class Stale(Message, tag="stale"):
    """Whether this server may have fallen behind, because it hears nothing from its own source. It is sent at each change, and after `welcome` if the server is behind then."""

    since: Annotated[Nanoseconds, Meta(description="What the server shows is known to be complete up to this time. 0: it is up to date again.")]


class Leaving(Message, tag="leaving"):
    """The server is about to close all connections."""

    return_ms: Annotated[int, Meta(description="Come back at a random time within this many milliseconds, and resume.")]


Reply = LoggedIn | Subscribed | Unsubscribed | Subscriptions | Instruments | CandlePage | Pong | Done | AllCancelled | OrderPage | TradePage | QueuePosition | Connections | PhaseChanges | Confirmed | Error
Frame = Book | MarketByOrder | Trades | Ticker | Orders | Balances
Answer = Welcome | Reply | Frame | Gap | Pacing | Stale | Leaving
