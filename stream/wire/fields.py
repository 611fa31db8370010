"""What the fields of messages may hold, and the roots of all messages and of their parts."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Id = Annotated[int, Meta(ge=1, lt=1 << 53, description="The client's number for a request; the reply repeats it.")]
ReplyId = Annotated[int, Meta(ge=0, lt=1 << 53, description="The id of the request that this answers, 0 if it answers none.")]
Epoch = Annotated[int, Meta(ge=0, lt=1 << 53, description="Names the history. Sequences of different epochs have nothing to do with each other.")]
Seq = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="The engine's sequence: the frame holds every change up to and with this one.")]
Prev = Annotated[int | None, Meta(description="The frame holds every change after this sequence; null: it is a snapshot and replaces what the client has.")]
Channel = Annotated[str, Meta(min_length=1, max_length=80, description="A channel's name, such as `orderbook:BTC-USDT`.")]
InstrumentName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._/-]+$", description="An instrument's name, such as `BTC-USDT`.")]
Ticks = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="A price in ticks of the instrument.")]
Lots = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="A size in lots of the instrument.")]
Money = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="An amount in the smallest units of its asset.")]
Nanoseconds = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="Nanoseconds since 1970-01-01 UTC.")]
OrderId = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="The exchange's id of an order, unique for ever; 0 for none.")]
ClientId = Annotated[int, Meta(ge=0, lt=1 << 53, description="The client's own number for an order; 0 for none. A second order with the same number is refused.")]
RequestKey = Annotated[int, Meta(ge=0, lt=1 << 53, description="The client's own number for a request; 0 for none. Another request of the account with the same number is not carried out, but answered as the first, even after a crash of the server. An account's latest 65,536 keys are remembered, each for a minute at least.")]
FirstSent = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="With `key`: when the request was first sent, by the server's clock as `welcome` and `pong` tell it, in nanoseconds; 0: not said. If the key may have been forgotten since, the request is refused and not carried out.")]
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
         "its past is forgotten; the client is ahead of this server, which as a relay (`none`) says nothing until it is where the client is; a patch would be larger than a snapshot; a window cannot be patched."),
]
Subject = Annotated[str, Meta(min_length=1, max_length=128, description="Who a token is for: its `sub`.")]
Depth = Annotated[int, Meta(ge=0, lt=1 << 31, description="Levels on each side, best first; 0 for the full book.")]
IntervalMs = Annotated[int, Meta(ge=0, lt=1 << 31, description="The shortest time between two frames while the instrument is busy, in milliseconds; 0: every change at once.")]


class Message(Struct, array_like=True, forbid_unknown_fields=True, tag_field="tag"):
    """The root of all messages."""


class Record(Struct, array_like=True, forbid_unknown_fields=True):
    """A part of a message: an array without a tag."""
