"""A connection that is worse than any real one, to test clients. It loses, repeats, swaps and falsifies frames, and breaks. All of this follows from a seed.

It injects only faults that a client can detect by `(epoch, prev, seq)` and the digest: frames of channels are lost, repeated and swapped, and those of books,
by levels or by orders, are falsified. Replies come once and in order, as with TCP, or not at all: the connection may break anywhere,
even in the middle of a frame.
"""

import random

from msgspec.structs import replace

from stream.settings.config import FaultConfig
from stream.wire.codec import Codec
from stream.wire.frames import Book, MarketByOrder
from stream.wire.framing import frames_in, payload_of
from stream.wire.messages import Frame


def falsified(book: Book | MarketByOrder) -> Book | MarketByOrder:
    """A falsified frame of a book, which its digest reveals: the size of a level is one lot larger, a change is lost, or the digest is another one."""
    if isinstance(book, MarketByOrder):
        if book.batches:
            *batches, last = book.batches
            return replace(book, batches=[*batches, replace(last, changes=last.changes[:-1])])
    else:
        for side in ("bids", "asks"):
            levels = getattr(book, side)
            if levels:
                return replace(book, **{side: [*levels[:-1], levels[-1] + 1]})
    return replace(book, digest=book.digest ^ 1)


class FaultyLine:
    """The faults of one connection. They follow from the seed and its `number`."""

    def __init__(self, config: FaultConfig, number: int, codec: Codec) -> None:
        self._config = config
        self._codec = codec
        self._random = random.Random(f"{config.seed} {number}")
        self._held: dict[str, bytes] = {}    # by channel, a frame that comes behind the next one

    def carry(self, data: bytes) -> tuple[bytes, bool]:
        """The bytes of a write that arrive, and whether the connection breaks after that."""
        arrived = b""
        for frame in frames_in(data):
            if self._happens(self._config.cut):
                return arrived + frame[: self._random.randrange(len(frame))], True
            arrived += self._carry_frame(frame)
        return arrived, False

    def delay_s(self) -> float:
        """How late the next write is, in seconds."""
        return self._random.random() * self._config.delay_ms / 1000

    def _carry_frame(self, frame: bytes) -> bytes:
        message = self._codec.decode_answer(payload_of(frame)) if frame[0] & 0xF == self._codec.opcode else None
        if not isinstance(message, Frame):
            return frame
        if self._happens(self._config.drop):
            return b""
        if isinstance(message, Book | MarketByOrder) and self._happens(self._config.corrupt):
            frame = self._codec.frame(falsified(message))
        if self._happens(self._config.duplicate):
            frame += frame
        if message.channel in self._held:
            return frame + self._held.pop(message.channel)
        if self._happens(self._config.reorder):
            self._held[message.channel] = frame
            return b""
        return frame

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self._random.random() < probability
