"""The base classes of faults. A fault sees every byte of its connection, and decides what becomes of it. It uses no socket, no time and no event loop."""

from collections.abc import Iterable, Iterator
from random import Random
from typing import ClassVar, NamedTuple

from stream.fault.framing import Frame, Frames, HttpHead


class ToClient(NamedTuple):
    """Bytes for the client."""

    data: bytes


class ToServer(NamedTuple):
    """Bytes for the server."""

    data: bytes


class Wait(NamedTuple):
    """Nothing, in this direction, for so long."""

    seconds: float


class End(NamedTuple):
    """The connection ends on both sides. With `reset`, the client gets a reset instead of an orderly end."""

    reset: bool = False


class HalfClose(NamedTuple):
    """The client gets the end of the stream, and may go on sending."""


Step = ToClient | ToServer | Wait | End | HalfClose
Steps = Iterable[Step]


class Fault:
    """Everything gets through. This is the base class of all faults. `amount` is the number after the kind's name and a colon."""

    unit: ClassVar[str] = ""    # of the amount; "" if there is none
    amount: int = 0
    reaches_server: ClassVar[bool] = True    # or the server never hears of the connection

    def __init__(self, chance: Random, amount: int | None = None) -> None:
        self.chance = chance
        self.amount = self.drawn() if amount is None else amount

    def drawn(self) -> int:
        """The amount where none is given."""
        return self.amount

    def begin(self) -> Steps:
        """The client has connected."""
        return ()

    def up(self, data: bytes) -> Steps:
        """The client has sent bytes."""
        yield ToServer(data)

    def down(self, data: bytes) -> Steps:
        """The server has sent bytes."""
        yield ToClient(data)

    def server_left(self) -> Steps:
        """The server has ended the connection."""
        return (End(),)


def drawn_frames(chance: Random) -> int:
    """A random number of frames from 1 to 4096. Every order of magnitude is equally likely."""
    return int(2 ** chance.uniform(0, 12))


class OnFrames(Fault):
    """A fault of the WebSocket. A connection that does not become a WebSocket gets through."""

    def __init__(self, chance: Random, amount: int | None = None) -> None:
        super().__init__(chance, amount)
        self._head = HttpHead()
        self._is_websocket = True
        self._frames = Frames()

    def down(self, data: bytes) -> Steps:
        if not self._is_websocket:
            yield ToClient(data)
            return
        if not self._head.done:
            found = self._head.take(data)
            if not found:
                return
            head, data = found
            yield ToClient(head)
            self._is_websocket = b" 101 " in head.partition(b"\r\n")[0]
            if not self._is_websocket:
                yield ToClient(data)
                return
        for frame in self._frames.take(data):
            yield from self.frame(frame)

    def frame(self, frame: Frame) -> Steps:
        """The server has sent a frame."""
        yield ToClient(frame.wire)


class AtFrame(OnFrames):
    """A fault at the n-th frame of the server. If n is not given, it is drawn at random; every order of magnitude is equally likely."""

    unit = "frames"

    def __init__(self, chance: Random, amount: int | None = None) -> None:
        super().__init__(chance, amount)
        self._left = max(1, self.amount)

    def drawn(self) -> int:
        return drawn_frames(self.chance)

    @property
    def happened(self) -> bool:
        """Whether it has come."""
        return self._left <= 0

    def frame(self, frame: Frame) -> Steps:
        self._left -= 1
        if self._left == 0:
            yield from self.strike(frame)
        elif not self.happened:
            yield ToClient(frame.wire)
        else:
            yield from self.behind(frame)

    def strike(self, frame: Frame) -> Steps:
        """It comes, at this frame."""
        raise NotImplementedError

    def behind(self, frame: Frame) -> Steps:
        """A frame behind it."""
        yield ToClient(frame.wire)


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Bytes in pieces of a size."""
    return (data[at : at + size] for at in range(0, len(data), size))
