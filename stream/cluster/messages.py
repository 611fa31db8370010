"""The messages between an engine and its gateways, over any link. They may be lost, duplicated or late; each message holds enough to notice that.

A *position* is the sequence of a record in the engine's journal. A *term* is the time of one leader; the next leader has a higher term.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from stream.account_history.database import Wanted
from stream.account_history.facts import FillFact, OrderFact
from stream.commands.forwarded import Forwarded, not_run
from stream.commands.listing import Listing
from stream.journal.format import Mark
from stream.journal.snapshots import State

LINK = 2
"""The version of these messages and of what is in them. It changes when a process of the version before could not follow, or would come to another state:
then each refuses the other and says so. A field more, behind the others and with a default, is no such change."""


class ShippedRecord(msgspec.Struct, frozen=True, array_like=True):
    """A record of the engine's journal, on disk there and run. `time` in ns since 1970."""

    seq: int
    kind: int
    time: int
    payload: bytes


class Batch(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The records after position `prev` up to `position`, of a leader that began at `began`. `mark` is what they lead to, if it was taken."""

    term: int
    began: int
    prev: int
    position: int
    records: list[ShippedRecord]
    mark: Mark | None = None
    link: int = LINK


class StatePart(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The bytes from `start` on of the `size` ones of a state at a position, as `stream.journal.snapshots` encodes it, with the state of the channels."""

    term: int
    position: int
    size: int
    start: int
    data: bytes


class Beat(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A sign of life, with the position of the engine. `number` is different each time. `time` is the engine's, in ns since 1970.

    `low` says whether its disk is so full that only requests that reduce open orders are written.
    """

    term: int
    position: int
    number: int
    time: int
    low: bool = False
    link: int = LINK


class ToldHistory(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """The answer to the question `number` of the process `asker`: a page of orders or of trades, or the number of the error."""

    asker: int
    number: int
    refused: int
    since: int
    orders: list[OrderFact] = []
    trades: list[FillFact] = []


News = Batch | StatePart | Beat | ToldHistory
"""What an engine tells. An answer to a question is told to who has asked, and everything else to all."""


class Snapshot(NamedTuple):
    """The state at a position, when all of its parts have come. It has no state if the follower already has this one or a later one."""

    term: int
    position: int
    state: State | None


class Forward(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A group of commands to run, made at `time`, in ns since 1970 by the engine's clock, as far as the gateway knows it; and what is to be listed."""

    group: Forwarded
    time: int
    link: int = LINK
    listings: list[Listing] = []


class OpenAccount(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """An account to open for a subject that has none."""

    subject: str


class Status(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The status of a gateway or a standby: its number (different at each start), a `beat` (different each time), and how old its state is."""

    origin: int
    role: str
    name: str
    beat: int
    term: int
    position: int
    connections: int
    behind_ms: int
    link: int = LINK


class Ask(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A request for the present state, and for all batches from then on."""


class AskHistory(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """The question `number` of the process `origin`: a page of the history of accounts."""

    origin: int
    number: int
    trades: bool
    wanted: Wanted


STANDBY = "standby"
"""The role in the status of a node that could lead."""


Request = Forward | OpenAccount | Status | Ask | AskHistory
"""What a gateway tells."""

decode_news = msgspec.msgpack.Decoder(News).decode
decode_batch = msgspec.msgpack.Decoder(Batch).decode
decode_beat = msgspec.msgpack.Decoder(Beat).decode
decode_told = msgspec.msgpack.Decoder(ToldHistory).decode
decode_status = msgspec.msgpack.Decoder(Status).decode
encode = msgspec.msgpack.encode

UNREADABLE = (msgspec.MsgspecError, KeyError, RecursionError, ValueError)
"""The exceptions that reading a foreign value may raise."""

_decode_request: Callable[[bytes], Request] = msgspec.msgpack.Decoder(Request).decode


def decode_request(data: bytes) -> Request:
    """Decode a request. A group of which only the origin can be read becomes one that is not run. Raises MsgspecError for anything else that cannot be read."""
    try:
        return _decode_request(data)
    except msgspec.MsgspecError:
        match msgspec.msgpack.decode(data):
            case [1, [int(origin), int(number), *_], *_]:
                return Forward(not_run(origin, number), 0)
        raise


RECORD_BYTES = 24
"""What a record takes beside its payload, about."""


def size_of(batch: Batch) -> int:
    """The bytes of a batch when it is encoded, about."""
    return sum(len(record.payload) + RECORD_BYTES for record in batch.records)


def parts(batch: Batch, bytes_max: int) -> Iterator[Batch]:
    """A batch as several that follow each other, of no more than so many bytes unless one record has more."""
    prev, records, size = batch.prev, list[ShippedRecord](), 0
    for record in batch.records:
        size += len(record.payload) + RECORD_BYTES
        if records and size > bytes_max:
            yield Batch(batch.term, batch.began, prev, records[-1].seq, records)
            prev, records, size = records[-1].seq, [], len(record.payload) + RECORD_BYTES
        records.append(record)
    yield Batch(term=batch.term, began=batch.began, prev=prev, position=batch.position, records=records, mark=batch.mark)


def merged(batches: list[Batch]) -> Batch:
    """One batch of several of one term that follow each other."""
    last = batches[-1]
    return Batch(
        term=last.term, began=last.began, prev=batches[0].prev, position=last.position,
        records=[record for batch in batches for record in batch.records], mark=last.mark,
    )
