"""Reads only the head of frames: enough to know that nothing is missing and how old a frame is, at a fifth of the cost."""

import msgspec

from stream.wire.fields import Channel, Digest, Epoch, Message, Nanoseconds, Prev, Seq
from stream.wire.frames import Balances, Gap, Orders, Ticker
from stream.wire.messages import Leaving, Pacing, Reply, Stale, Welcome
from stream.wire.mirror import Mirror

EMPTY = msgspec.Raw(b"\x90")
"""A list of nothing in MessagePack."""


class BookHead(Message, tag="book"):
    """A `Book` whose levels are left as they came."""

    channel: Channel
    epoch: Epoch
    prev: Prev
    seq: Seq
    bids: msgspec.Raw
    asks: msgspec.Raw
    digest: Digest
    batches: int
    engine_time: Nanoseconds
    server_time: Nanoseconds


class TradesHead(Message, tag="trades"):
    """A `Trades` whose trades are left as they came."""

    channel: Channel
    epoch: Epoch
    prev: Prev
    seq: Seq
    trades: list[msgspec.Raw]
    server_time: Nanoseconds


decode_head = msgspec.msgpack.Decoder(Welcome | Reply | BookHead | TradesHead | Ticker | Orders | Balances | Gap | Pacing | Stale | Leaving).decode
"""An answer of the server from its bytes."""


class BookHeads(Mirror[BookHead]):    # type: ignore[type-var]
    """How far a client has come on a book."""

    kind = BookHead

    def _take(self, frame: BookHead, fresh: bool) -> bool:
        return True

    def _holds_anything(self, frame: BookHead) -> bool:
        return frame.bids != EMPTY or frame.asks != EMPTY


class TradesHeads(Mirror[TradesHead]):    # type: ignore[type-var]
    """How far a client has come on the trades."""

    kind = TradesHead

    def _take(self, frame: TradesHead, fresh: bool) -> bool:
        return True

    def _holds_anything(self, frame: TradesHead) -> bool:
        return bool(frame.trades)
