"""A line that is worse than any real one, to try clients on: it loses, repeats, swaps and falsifies frames, and breaks. From a seed.

What a client can find out by `(epoch, prev, seq)` and the digest is done to it, and no more: frames of channels are lost, repeated and swapped, books
are falsified. Replies come once and in order, as TCP has them come, or not at all, since the line may break anywhere, in the middle of a frame too.
"""

import random

from msgspec.structs import replace

from stream.settings.config import FaultConfig
from stream.wire.codec import Codec
from stream.wire.frames import Book
from stream.wire.framing import frames_in, payload_of
from stream.wire.messages import Frame


def falsified(book: Book) -> Book:
    """A book's frame whose digest says that it is wrong: a level is a lot larger, or a digest is another one."""
    for side in ("bids", "asks"):
        levels = getattr(book, side)
        if levels:
            return replace(book, **{side: [*levels[:-1], levels[-1] + 1]})
    return replace(book, digest=book.digest ^ 1)


class FaultyLine:
    """One connection's. Its faults are those of the seed and of its `number`."""

    def __init__(self, config: FaultConfig, number: int, codec: Codec) -> None:
        self._config = config
        self._codec = codec
        self._random = random.Random(f"{config.seed} {number}")
        self._held: dict[str, bytes] = {}    # by channel, a frame that comes behind the next one

    def carry(self, data: bytes) -> tuple[bytes, bool]:
        """What arrives of a write, and whether the line breaks behind that."""
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
        if isinstance(message, Book) and self._happens(self._config.corrupt):
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
