"""The types of the fields of messages, and the base classes of all messages and of their parts."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Id = Annotated[int, Meta(ge=1, lt=1 << 53, description="The client's number for a request. The reply repeats it.")]
ReplyId = Annotated[int, Meta(ge=0, lt=1 << 53, description="The id of the request that this message answers. 0: it answers no request.")]
Epoch = Annotated[int, Meta(ge=0, lt=1 << 53, description="The number of the history. Sequences of different epochs cannot be compared.")]
Seq = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="The engine's sequence. The frame holds every change up to and including this one.")]
Prev = Annotated[int | None, Meta(description="The frame holds every change after this sequence. null: the frame is a snapshot and replaces what the client has.")]
Channel = Annotated[str, Meta(min_length=1, max_length=80, description="A channel's name, such as `orderbook:BTC-USDT`.")]
InstrumentName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._/-]+$", description="An instrument's name, such as `BTC-USDT`.")]
Ticks = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="A price in ticks of the instrument.")]
Lots = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="A size in lots of the instrument.")]
Fee = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1, description="A fee in units of the quote asset. Below 0 it is a rebate, which the account gets.")]
Money = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="An amount in the smallest units of its asset.")]
Nanoseconds = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="Nanoseconds since 1970-01-01 UTC.")]
OrderId = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="The exchange's id of an order; 0 for none. An id is never used again.")]
ClientId = Annotated[int, Meta(ge=0, lt=1 << 53, description="The client's own number for an order; 0 for none. A second order with the same number is refused.")]
RequestKey = Annotated[int, Meta(ge=0, lt=1 << 53, description="The client's own number for a request; 0 for none. If the account sends another request with the same number, the server does not carry it out, but answers it like the first one, even after a crash of the server. The server remembers the latest 65,536 keys of an account, each for at least a minute.")]
FirstSent = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="With `key`: when the client first sent the request, in nanoseconds, by the server's clock as `welcome` and `pong` show it; 0: not given. If the server may have forgotten the key since then, it refuses the request and does not carry it out.")]
Levels = Annotated[list[int], Meta(description="Price in ticks, size in lots, price, size, and so on. Sizes are absolute; size 0 removes the level. In a snapshot the best levels come first.")]
PublicOrder = Annotated[int, Meta(ge=1, lt=1 << 53, description="The public number of an order in the book. It says nothing of the account, the order's own id, or any other order. What an iceberg displays next has another number.")]
Digest = Annotated[int, Meta(ge=0, description="The 64-bit sum over all levels of the book (or of the window) as of `seq`.")]
SideName = Annotated[Literal["buy", "sell"], Meta(description="The side of an order, or of a trade's aggressor.")]
OrderTypeName = Annotated[
    Literal["limit", "market", "stop", "stop_limit", "trailing_stop", "take_profit", "take_profit_limit"],
    Meta(description="`limit` and `market` orders go to the book at once. The others wait for a trigger: `stop` then becomes a market order, `stop_limit` a limit order. `trailing_stop` becomes a market order too, and its trigger follows the price. `take_profit` and `take_profit_limit` are as `stop` and `stop_limit`, but trigger from the other side: a sell order when the price rises to the trigger, a buy order when it falls to it."),
]
TimeInForceName = Annotated[
    Literal["gtc", "ioc", "fok", "gtd", "day"],
    Meta(description="Good till cancelled (`gtc`), immediate or cancel (`ioc`), fill or kill (`fok`), good till `expires` (`gtd`), good till the end of the instrument's day (`day`)."),
]
SelfTradeMode = Literal["allow", "cancel_newest", "cancel_oldest", "cancel_both", "decrement"]
SelfTradeName = Annotated[
    Literal["account", SelfTradeMode],
    Meta(description="What happens when the account would trade with itself. `account`: the account's default. `allow`: the orders trade. `cancel_newest`: the order that arrives is "
         "cancelled. `cancel_oldest`: the order that rests is cancelled. `cancel_both`: both are cancelled. `decrement`: both are reduced by the size that would have traded."),
]
PhaseName = Annotated[
    Literal["trading", "halt", "auction", "delisted"],
    Meta(description="`trading`: orders match. `halt`: orders are refused. `auction`: orders are collected, unseen, to trade at one price. `delisted`: orders are refused, and those that are "
         "open are cancelled."),
]
ListedPhaseName = Annotated[Literal["trading", "halt", "auction"], Meta(description="`trading`: orders match. `halt`: orders are refused. `auction`: orders are collected, unseen, to trade at one price.")]
Recovered = Annotated[Literal["none", "merged", "snapshot"], Meta(description="How the client was brought up to date. `none`: nothing was needed. `merged`: one merged patch follows. `snapshot`: a snapshot follows.")]
RecoveredReason = Annotated[
    Literal["new", "current", "patch", "epoch", "forgotten", "ahead", "larger", "window"],
    Meta(description="Why. `new`: the client did not ask to resume. `current`: nothing has changed since. `patch`: a patch holds all changes. `epoch`: the server has another history. "
         "`forgotten`: the server no longer has these changes. `ahead`: the client is ahead of this server; if `recovered` is `none`, the server is a relay and sends nothing until it has caught up with the client. `larger`: a patch would be larger than a snapshot. `window`: a window cannot be patched."),
]
Subject = Annotated[str, Meta(min_length=1, max_length=128, description="Whom a token is for: its `sub`.")]
AssetName = Annotated[str, Meta(min_length=1, max_length=255, description="The name of an asset.")]
Amount = Annotated[int, Meta(ge=1, le=1 << 62, description="An amount in the smallest units of its asset.")]
TransferKey = Annotated[int, Meta(ge=0, lt=1 << 53, description="The administrators' own number for a transfer of the account; 0 for none. Another transfer of the account with the same number is not carried out, but answered like the first one. It is remembered as a `key` of the account's orders is, and is never taken for one.")]
Step = Annotated[str, Meta(pattern=r"^[0-9]{1,30}(\.[0-9]{1,30})?$", description="A decimal number.")]
Tier = Annotated[int, Meta(ge=0, le=7, description="The tier of fees; 0 is that of accounts without one of their own.")]
Depth = Annotated[int, Meta(ge=0, lt=1 << 31, description="The number of levels on each side, best first. 0: the full book.")]
IntervalMs = Annotated[int, Meta(ge=0, lt=1 << 31, description="The shortest time between two frames while the instrument is busy, in milliseconds. 0: every change is sent at once.")]

PageSize = Annotated[int, Meta(ge=1, le=1000, description="How many the page has at most.")]


class Message(Struct, array_like=True, forbid_unknown_fields=True, tag_field="tag"):
    """The base class of all messages."""


class MessagePart(Struct, array_like=True, forbid_unknown_fields=True):
    """A part of a message: an array without a tag."""
