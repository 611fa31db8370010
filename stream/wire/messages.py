"""Every message on the wire, as one msgspec struct each: this page is the protocol.

A message is an array whose first element is its tag; the other elements are the fields in the order below. Trailing fields
that have a default may be left out by a client. All numbers are integers: prices in ticks, sizes in lots, money in units of
its asset, times in nanoseconds since 1970, and nothing is ever rounded.
"""

from typing import Annotated, Literal

from msgspec import Meta

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
    Money,
    Nanoseconds,
    OrderId,
    OrderTypeName,
    PhaseName,
    Record,
    Recovered,
    RecoveredReason,
    ReplyId,
    RequestKey,
    SelfTradeName,
    Seq,
    SideName,
    Subject,
    Ticks,
    TimeInForceName,
)
from stream.wire.frames import Balances, Book, Gap, Orders, Ticker, Trades

# From the client


Scope = Literal["off", "connection", "session"]
"""What a connection asks for in case that it ends."""


class Login(Message, tag="login"):
    """Sign in, or renew the token of the open connection. For clients that cannot send an `Authorization` header."""

    id: Id
    token: Annotated[str, Meta(max_length=8192, description="A JSON Web Token.")]


class Subscribe(Message, tag="subscribe"):
    """Listen to channels. All of them are answered as of one sequence; by a relay, each as of the one that it has heard of."""

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
    key: RequestKey = 0
    sent: FirstSent = 0


class Cancel(Message, tag="cancel"):
    """Cancel an order, named by the exchange's id or by the client's own."""

    id: Id
    order: OrderId = 0
    client_id: ClientId = 0
    key: RequestKey = 0
    sent: FirstSent = 0


class Reduce(Message, tag="reduce"):
    """Take some size off an order; it keeps its place in the queue."""

    id: Id
    order: OrderId
    by: Lots
    client_id: ClientId = 0
    key: RequestKey = 0
    sent: FirstSent = 0


class Replace(Message, tag="replace"):
    """Give an order a new price and remaining size. It keeps its place only if the size shrinks at the same price."""

    id: Id
    order: OrderId
    price: Ticks
    size: Annotated[Lots, Meta(description="The new remaining size in lots.")]
    client_id: ClientId = 0
    stop: Annotated[Ticks, Meta(description="The new trigger of a stop that waits; 0 keeps it.")] = 0
    key: RequestKey = 0
    sent: FirstSent = 0


class CancelAll(Message, tag="cancel_all"):
    """Cancel all own orders: of one instrument or of all (null), on one side or on both (null)."""

    id: Id
    instrument: InstrumentName | None = None
    side: SideName | None = None
    key: RequestKey = 0
    sent: FirstSent = 0


class CancelOnDisconnect(Message, tag="cancel_on_disconnect"):
    """What happens to one's open orders when this connection ends without `logout`."""

    id: Id
    scope: Annotated[
        Scope,
        Meta(description="`off`: nothing; `connection`: those placed on it from now on are cancelled at once, and all of the account's if one of them was answered "
             "by 501, so that nobody knows whether it is there; `session`: all of the account's are, "
             "unless another connection of the account is there or comes within the grace period."),
    ]
    grace_ms: Annotated[int, Meta(ge=0, lt=1 << 31, description="Of `session`: the grace period.")] = 0


class DeadMan(Message, tag="dead_man"):
    """Start one's dead-man timer anew: unless the next one comes in time, all of the account's open orders are cancelled."""

    id: Id
    timeout_ms: Annotated[int, Meta(ge=0, lt=1 << 31, description="0 stops the timer.")]


class Logout(Message, tag="logout"):
    """Sign out: own channels end, and `cancel_on_disconnect` does not apply."""

    id: Id


class SetPhase(Message, tag="set_phase"):
    """Halt an instrument, have it collect orders for an auction, or let it trade, which ends a halt and uncrosses an auction. Scope `admin`."""

    id: Id
    instrument: InstrumentName
    phase: PhaseName


class SetLimits(Message, tag="set_limits"):
    """Set what a subject's account may do; 0 for no limit. Scope `admin`."""

    id: Id
    subject: Subject
    orders_max: Annotated[int, Meta(ge=0, lt=1 << 32, description="Open orders.")] = 0
    size_max: Annotated[Lots, Meta(description="Size of an order.")] = 0
    notional_max: Annotated[Money, Meta(description="Price times size of an order, in units of the quote asset.")] = 0


class Disconnect(Message, tag="disconnect"):
    """Close all connections of a subject, or one. Scope `admin`."""

    id: Id
    subject: Annotated[str, Meta(max_length=128)] = ""
    connection: Annotated[int, Meta(ge=0, lt=1 << 53, description="The number that `connections` tells.")] = 0


class Revoke(Message, tag="revoke"):
    """Make a token worthless, by its id (`jti`), or all that a subject was issued until now; connections that use one are closed. Scope `admin`.

    The issuer's clock may be ahead by the setting `clock_skew_s`: new tokens of a subject are good once that has passed.
    """

    id: Id
    subject: Annotated[str, Meta(max_length=128)] = ""
    token_id: Annotated[str, Meta(max_length=128)] = ""


class ListConnections(Message, tag="connections"):
    """Ask who is connected and how far everybody is behind, in the order of their numbers. Scope `admin`."""

    id: Id
    after: Annotated[int, Meta(ge=0, lt=1 << 53, description="Only connections with a higher number.")] = 0
    count: Annotated[int, Meta(ge=1, le=1000, description="At most so many.")] = 100


OrderRequest = Place | Cancel | Reduce | Replace | CancelAll

AdminRequest = SetPhase | SetLimits | Disconnect | Revoke | ListConnections

Request = Login | Subscribe | Unsubscribe | ListSubscriptions | ListInstruments | Ping | OrderRequest | CancelOnDisconnect | DeadMan | Logout | AdminRequest


# From the server: replies


class Welcome(Message, tag="welcome"):
    """The first message on every connection."""

    server: Annotated[str, Meta(description="Name and version of the server.")]
    epoch: Epoch
    seq: Seq
    time: Nanoseconds
    heartbeat_ms: Annotated[int, Meta(description="A quiet channel sends an empty frame at least this often, in milliseconds.")]
    subject: Annotated[str | None, Meta(description="Who the `Authorization` header signed in, null for nobody.")]
    subscriptions_max: Annotated[int, Meta(description="Channels that the connection may have. Of this and what follows, 0: not told.")] = 0
    message_bytes_max: Annotated[int, Meta(description="Bytes of one message that the connection may send; signing in may raise it.")] = 0
    messages_per_s: Annotated[int, Meta(description="Messages a second that it may send; each channel of a subscription counts as one.")] = 0
    messages_burst: Annotated[int, Meta(description="Messages that it may send at once.")] = 0


class LoggedIn(Message, tag="logged_in"):
    """The token was accepted."""

    id: ReplyId
    subject: str
    scopes: list[str]
    expires: Annotated[int, Meta(description="Seconds since 1970 at which the connection closes unless a newer token is sent.")]
    subscriptions_max: Annotated[int, Meta(description="Channels that the connection may have. Of this and what follows, 0: not told.")] = 0
    message_bytes_max: Annotated[int, Meta(description="Bytes of one message that the connection may send.")] = 0
    messages_per_s: Annotated[int, Meta(description="Messages a second that it may send; each channel of a subscription counts as one.")] = 0
    messages_burst: Annotated[int, Meta(description="Messages that it may send at once.")] = 0


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
    parts_max: Annotated[int, Meta(description="Parts in which an iceberg may show itself.")] = 0
    stops_max: Annotated[int, Meta(description="Stops that may wait in the book.")] = 0
    fills_max: Annotated[int, Meta(description="Orders that one order may meet, with those that the stops that it triggers meet.")] = 0
    market_notional: Annotated[bool, Meta(description="Whether `notional_max` holds for `market` orders too, by what they would trade.")] = True


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


class Standing(Record):
    """How one subscription of a connection stands."""

    channel: Channel
    depth: Depth
    interval_ms: IntervalMs
    seq: Annotated[int, Meta(description="How far the client was brought; -1: it has nothing yet.")]
    behind: Annotated[int, Meta(description="How far the channel's last change is ahead of it, in sequences; 0: it has all.")]
    catch_ups: Annotated[int, Meta(description="Merged frames that were made because the client was slow.")]


class ConnectionStatus(Record):
    """One connection."""

    connection: int
    subject: str
    address: str
    opened: Nanoseconds
    heard: Annotated[Nanoseconds, Meta(description="When the last frame came from it.")]
    stalled: Annotated[bool, Meta(description="Whether its socket is full.")]
    waiting_bytes: Annotated[int, Meta(description="Replies that wait for it.")]
    messages: Annotated[int, Meta(description="Messages that came from it.")]
    subscriptions: list[Standing]


class Connections(Message, tag="connection_list"):
    """The answer to `connections`."""

    id: ReplyId
    connections: list[ConnectionStatus]
    unheard: Annotated[list[str], Meta(description="The processes of the market that did not say in time who is connected to them.")] = []


class Confirmed(Message, tag="confirmed"):
    """What was asked has been done."""

    id: ReplyId


class Error(Message, tag="error"):
    """A request was refused and changed nothing."""

    id: ReplyId
    code: Annotated[int, Meta(description="The number of the error.")]
    message: Annotated[str, Meta(description="What was wrong, and what was expected.")]
    order: OrderId = 0


class Pacing(Message, tag="pacing"):
    """The server's load has changed: from now on no book or ticker has frames more often than this, whatever interval a subscription has."""

    interval_ms: Annotated[IntervalMs, Meta(description="The shortest time between two frames, in milliseconds; 0: each subscription's own.")]


class Stale(Message, tag="stale"):
    """Whether what this server shows may have fallen behind, because it does not hear from where it has it. Told at each change, and after `welcome` while it is so."""

    since: Annotated[Nanoseconds, Meta(description="It is known to be complete up to this time; 0: it is up to date again.")]


class Leaving(Message, tag="leaving"):
    """The server is about to close all connections."""

    return_ms: Annotated[int, Meta(description="Come back at a random time within so many milliseconds, and resume.")]


Reply = LoggedIn | Subscribed | Unsubscribed | Subscriptions | Instruments | Pong | Done | AllCancelled | Connections | Confirmed | Error
Frame = Book | Trades | Ticker | Orders | Balances
Answer = Welcome | Reply | Frame | Gap | Pacing | Stale | Leaving
