"""What administrators ask: each needs a token with the scope `admin`."""

from typing import Annotated

from msgspec import Meta

from stream.wire.fields import (
    Amount,
    AssetName,
    FirstSent,
    Id,
    InstrumentName,
    ListedPhaseName,
    Lots,
    Message,
    MessagePart,
    Money,
    Nanoseconds,
    ReplyId,
    Step,
    Subject,
    Ticks,
    Tier,
    TransferKey,
)


class SetPhase(Message, tag="set_phase"):
    """Halt an instrument, collect its orders for an auction, or let it trade. Trading ends a halt and uncrosses an auction. Needs the scope `admin`."""

    id: Id
    instrument: InstrumentName
    phase: ListedPhaseName


class Delist(Message, tag="delist"):
    """Delist an instrument, or list it again. Needs the scope `admin`.

    A delisted instrument takes no orders, and the open ones are cancelled, a part of them at a time. What has happened in it can still be read.
    It can be listed again when no order is left, and is halted then.
    """

    id: Id
    instrument: InstrumentName
    delisted: bool = True


Decimals = Annotated[int, Meta(ge=0, le=12, description="The number of decimals of the asset; only needed if it is a new one.")]
Rate = Annotated[int, Meta(ge=0, lt=1_000_000, description="In parts per million.")]
Bound = Annotated[int, Meta(ge=1, le=1 << 20)]


class ListInstrument(Message, tag="list_instrument"):
    """List a new instrument, which trades at once, with its assets if they are new. Needs the scope `admin`.

    An instrument that is listed with these terms stays as it is. Terms that are not given are as in the configuration.
    """

    id: Id
    instrument: InstrumentName
    base: Annotated[AssetName, Meta(description="The asset that is bought and sold.")]
    quote: Annotated[AssetName, Meta(description="The asset that prices are in.")]
    tick: Annotated[Step, Meta(description="The smallest step between prices, in the quote asset, such as `0.01`.")]
    lot: Annotated[Step, Meta(description="The smallest step between sizes, in the base asset, such as `0.0001`.")]
    base_decimals: Decimals | None = None
    quote_decimals: Decimals | None = None
    price_max: Annotated[int, Meta(ge=1, lt=1 << 48, description="The highest price, in ticks.")] = 1 << 40
    size_min: Annotated[int, Meta(ge=1, le=1 << 62, description="The smallest size of an order, in lots.")] = 1
    size_max: Annotated[int, Meta(ge=1, le=1 << 62, description="The largest size of an order, in lots.")] = 1 << 40
    maker_fee: Annotated[int, Meta(gt=-1_000_000, lt=1_000_000, description="What a maker pays, in parts per million of the notional. Below 0: a rebate.")] = 0
    taker_fee: Annotated[Rate, Meta(description="What a taker pays, in parts per million of the notional.")] = 0
    notional_max: Annotated[int, Meta(ge=0, le=1 << 62, description="The largest notional of an order, in units of the quote asset. 0: no limit.")] = 0
    orders_max: Annotated[int, Meta(ge=0, lt=1 << 24, description="The most orders that may be open in the book. 0: no limit.")] = 0
    band: Annotated[Rate, Meta(description="How far the limit of an order may be from the reference price, in parts per million of it. 0: no limit.")] = 0
    hold_fee: Annotated[Rate, Meta(description="The highest fee that may ever be set. 0: the higher of the two fees.")] = 0
    day_end: Annotated[int, Meta(ge=0, lt=86_400, description="When `day` orders end, in seconds after midnight UTC.")] = 0
    parts_max: Annotated[Bound, Meta(description="The most parts in which an iceberg may be displayed.")] = 1_000
    stops_max: Annotated[Bound, Meta(description="The most stops that may wait in the book.")] = 50_000
    fills_max: Annotated[Bound, Meta(description="The most orders that one order may meet.")] = 100_000
    market_notional: Annotated[bool, Meta(description="Whether `notional_max` also applies to `market` orders.")] = True


class SetBand(Message, tag="set_band"):
    """Set how far from the reference price orders may be. Open orders stay. Needs the scope `admin`."""

    id: Id
    instrument: InstrumentName
    band: Annotated[int, Meta(ge=0, lt=1_000_000, description="In parts per million of the reference price. 0: no limit.")]


class SetReference(Message, tag="set_reference"):
    """Set the reference price of an instrument, around which its band lies. Needs the scope `admin`."""

    id: Id
    instrument: InstrumentName
    price: Annotated[Ticks, Meta(description="In ticks. 0: the price of the last trade.")]


class SetLimits(Message, tag="set_limits"):
    """Set the limits of a subject's account. 0: no limit. Needs the scope `admin`."""

    id: Id
    subject: Subject
    orders_max: Annotated[int, Meta(ge=0, lt=1 << 32, description="The most open orders.")] = 0
    size_max: Annotated[Lots, Meta(description="The largest size of an order.")] = 0
    notional_max: Annotated[Money, Meta(description="The largest notional (price times size) of an order, in units of the quote asset.")] = 0


class MassCancel(Message, tag="mass_cancel"):
    """Cancel the open orders of a subject's account, of an instrument, or of everybody if neither is given. Needs the scope `admin`.

    A part of them is cancelled at a time, and other requests run in between. Orders that are placed meanwhile may be cancelled too:
    to keep a book empty, halt it first.
    """

    id: Id
    subject: Annotated[str, Meta(max_length=128, description="Whose orders; empty: everybody's.")] = ""
    instrument: InstrumentName | None = None


class Freeze(Message, tag="freeze"):
    """Freeze a subject's account, or end that. A frozen account can place and replace no orders; it can cancel and reduce them. Its money can be deposited,
    not withdrawn. Needs the scope `admin`.
    """

    id: Id
    subject: Subject
    frozen: bool = True
    cancel: Annotated[bool, Meta(description="Whether its open orders are cancelled too.")] = False


class Deposit(Message, tag="deposit"):
    """Add to what a subject's account has available. Needs the scope `admin`."""

    id: Id
    subject: Subject
    asset: AssetName
    amount: Amount
    key: TransferKey = 0
    sent: FirstSent = 0


class Withdraw(Message, tag="withdraw"):
    """Take from what a subject's account has available. Needs the scope `admin`."""

    id: Id
    subject: Subject
    asset: AssetName
    amount: Amount
    key: TransferKey = 0
    sent: FirstSent = 0


class PayFees(Message, tag="pay_fees"):
    """Pay collected fees to a subject's account. Needs the scope `admin`."""

    id: Id
    subject: Subject
    asset: AssetName
    amount: Amount
    key: TransferKey = 0
    sent: FirstSent = 0


class SetFees(Message, tag="set_fees"):
    """Set the fees of a tier in an instrument, in parts per million of the notional. Needs the scope `admin`.

    No fee may be above the instrument's `hold_fee`, and no tier's rebate above what the takers of any tier pay there.
    """

    id: Id
    instrument: InstrumentName
    tier: Tier
    maker: Annotated[
        int, Meta(gt=-1_000_000, lt=1_000_000, description="What a maker pays. Below 0: a rebate, which the maker gets, rounded down in each trade."),
    ]
    taker: Annotated[int, Meta(ge=0, lt=1_000_000, description="What a taker pays.")]


class SetTier(Message, tag="set_tier"):
    """Set the tier of a subject's account, by which it pays fees. Needs the scope `admin`."""

    id: Id
    subject: Subject
    tier: Tier


class Disconnect(Message, tag="disconnect"):
    """Close all connections of a subject, or a single connection. Needs the scope `admin`."""

    id: Id
    subject: Annotated[str, Meta(max_length=128)] = ""
    connection: Annotated[int, Meta(ge=0, lt=1 << 53, description="The connection's number, as `connections` shows it.")] = 0


class Revoke(Message, tag="revoke"):
    """Revoke one token by its id (`jti`), one API key by its id, or all that a subject was issued until now. Their connections are closed.
    Needs the scope `admin`.

    The issuer's clock may be ahead by up to the setting `clock_skew_s`. New tokens of a subject are good only after that time has passed.
    """

    id: Id
    subject: Annotated[str, Meta(max_length=128)] = ""
    token_id: Annotated[str, Meta(max_length=128)] = ""


class ListConnections(Message, tag="connections"):
    """Ask who is connected and how far each connection is behind. The answer is in the order of the connections' numbers. Needs the scope `admin`."""

    id: Id
    after: Annotated[int, Meta(ge=0, lt=1 << 53, description="List only connections with a higher number than this.")] = 0
    count: Annotated[int, Meta(ge=1, le=1000, description="List at most this many connections.")] = 100


Transfer = Deposit | Withdraw | PayFees

Operation = SetPhase | ListInstrument | Delist | SetBand | SetReference | SetLimits | MassCancel | Freeze | Transfer | SetFees | SetTier
"""The requests of administrators that the engine carries out."""

class ListSchedule(Message, tag="schedule"):
    """Ask when the phases of instruments change next, by the schedule in the configuration of the server that is asked. Needs the scope `admin`."""

    id: Id


class PhaseChange(MessagePart):
    """A change of an instrument's phase that is to come."""

    instrument: InstrumentName
    time: Annotated[Nanoseconds, Meta(description="When, in nanoseconds since 1970-01-01 UTC.")]
    phase: ListedPhaseName


class PhaseChanges(Message, tag="phase_changes"):
    """The answer to `schedule`: the next change of each instrument that has one, the earliest first."""

    id: ReplyId
    changes: list[PhaseChange]


AdminRequest = Operation | Disconnect | Revoke | ListConnections | ListSchedule
