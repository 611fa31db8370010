"""Faults of a working connection: it is slow, comes in pieces, breaks, falls silent, or carries something that no server sends."""

from random import Random

from stream.fault.framing import Frame, Frames, HttpHead
from stream.fault.kinds import AtFrame, End, Fault, HalfClose, OnFrames, Step, Steps, ToClient, ToServer, Wait, drawn_frames, pieces
from stream.wire.framing import BINARY, FIN, close_frame, head_of

PINGS_MAX = 20
"""The most pings from the proxy on one connection: the server counts the client's answers, and would take too many for an attack."""


class Pass(Fault):
    """No fault."""


class Delay(Fault):
    """Everything arrives n milliseconds late, in both directions."""

    unit = "ms"
    amount = 50

    def up(self, data: bytes) -> Steps:
        return Wait(self.amount / 1000), ToServer(data)

    def down(self, data: bytes) -> Steps:
        return Wait(self.amount / 1000), ToClient(data)


class Slow(Fault):
    """The connection carries n bytes per second in each direction."""

    unit = "bytes/s"
    amount = 20_000
    STEPS_PER_S = 20

    def _carry(self, data: bytes, to: type[ToClient] | type[ToServer]) -> Steps:
        for piece in pieces(data, max(1, self.amount // self.STEPS_PER_S)):
            yield to(piece)
            yield Wait(len(piece) / max(1, self.amount))

    def up(self, data: bytes) -> Steps:
        return self._carry(data, ToServer)

    def down(self, data: bytes) -> Steps:
        return self._carry(data, ToClient)


class Pieces(Fault):
    """Everything is written in pieces of n bytes, in both directions. Without an amount, a piece is one byte."""

    unit = "bytes"
    amount = 1

    def _carry(self, data: bytes, to: type[ToClient] | type[ToServer]) -> Steps:
        for piece in pieces(data, max(1, self.amount)):
            yield to(piece)
            yield Wait(0)

    def up(self, data: bytes) -> Steps:
        return self._carry(data, ToServer)

    def down(self, data: bytes) -> Steps:
        return self._carry(data, ToClient)


class Fragments(OnFrames):
    """Every message of the server comes in n fragments, with pings and pongs between them; every message of the client in two."""

    unit = "fragments"
    amount = 5

    def __init__(self, chance: Random, amount: int | None = None) -> None:
        super().__init__(chance, amount)
        self._request = HttpHead()
        self._sent = Frames()
        self._pings = 0

    def up(self, data: bytes) -> Steps:
        if not self._request.done:
            found = self._request.take(data)
            if not found:
                return
            head, data = found
            yield ToServer(head)
        for frame in self._sent.take(data):
            for part in frame.parts(2) if frame.is_whole_message else (frame,):
                yield ToServer(part.wire)

    def frame(self, frame: Frame) -> Steps:
        for number, part in enumerate(frame.parts(max(1, self.amount)) if frame.is_whole_message else (frame,)):
            if number:
                self._pings += 1
                yield ToClient(Frame(0x89 if self._pings <= PINGS_MAX else 0x8A, b"", b"between").wire)
            yield ToClient(part.wire)


class Cut(AtFrame):
    """The connection is closed in the middle of the n-th frame."""

    reset = False

    def strike(self, frame: Frame) -> Steps:
        wire = frame.wire
        return ToClient(wire[: self.chance.randrange(len(wire))]), End(self.reset)


class CutByReset(Cut):
    """The connection is reset in the middle of the n-th frame."""

    reset = True


class Stall(AtFrame):
    """From the n-th frame on nothing gets through in either direction, and the connection stays open."""

    def strike(self, frame: Frame) -> Steps:
        return ()

    def behind(self, frame: Frame) -> Steps:
        return ()

    def up(self, data: bytes) -> Steps:
        return () if self.happened else (ToServer(data),)

    def server_left(self) -> Steps:
        return () if self.happened else (End(),)


class Deaf(AtFrame):
    """From the n-th frame on nothing from the client gets through; everything from the server does."""

    def strike(self, frame: Frame) -> Steps:
        return (ToClient(frame.wire),)

    def up(self, data: bytes) -> Steps:
        return () if self.happened else (ToServer(data),)


class HalfClosed(AtFrame):
    """After the n-th frame the server's side of the connection is closed. What the client sends is still taken."""

    def strike(self, frame: Frame) -> Steps:
        return ToClient(frame.wire), HalfClose()

    def behind(self, frame: Frame) -> Steps:
        return ()


class TwoCloses(AtFrame):
    """Instead of the n-th frame, two close frames come with the frame between them, and the connection is closed."""

    def strike(self, frame: Frame) -> Steps:
        return ToClient(close_frame(1001) + frame.wire + close_frame(1001)), End()


class ClosedWith(OnFrames):
    """After some frames, a close frame with this code comes."""

    unit = "code"
    amount = 1012

    def __init__(self, chance: Random, amount: int | None = None) -> None:
        super().__init__(chance, amount)
        self._left = drawn_frames(chance)

    def frame(self, frame: Frame) -> Steps:
        yield ToClient(frame.wire)
        self._left -= 1
        if not self._left:
            yield from (ToClient(close_frame(self.amount, "come back")), End())


class LostBytes(AtFrame):
    """Some bytes of the n-th frame are lost, and the rest follows as if nothing had happened."""

    def strike(self, frame: Frame) -> Steps:
        wire = frame.wire
        start = self.chance.randrange(len(wire))
        return (ToClient(wire[:start] + wire[start + self.chance.randint(1, 8) :]),)


class Intruder(AtFrame):
    """Something from the proxy comes before the n-th frame."""

    wire = b""

    def strike(self, frame: Frame) -> Steps:
        steps: tuple[Step, ...] = ToClient(self.wire), ToClient(frame.wire)
        return steps


class ReservedBits(Intruder):
    """Before the n-th frame comes a frame with reserved bits."""

    wire = Frame(0xF2, b"", b"\x90").wire


class StrayFragment(Intruder):
    """Before the n-th frame comes the middle of a message that never began."""

    wire = Frame(0x80, b"", b"\x90").wire


class HugeFrame(Intruder):
    """Before the n-th frame comes a frame that claims to have 2^62 bytes."""

    wire = head_of(FIN | BINARY, 1 << 62)


class TextMessage(Intruder):
    """Before the n-th frame comes a text that is not a message of the protocol."""

    wire = Frame(0x81, b"", b"hello").wire


class Unreadable(Intruder):
    """Before the n-th frame comes a message that no client can read."""

    wire = Frame(0x82, b"", b"\xc1").wire
