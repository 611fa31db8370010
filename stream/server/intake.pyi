from collections.abc import Callable
from typing import Protocol, final

from picows import WSFrame

from stream.venue.session import Session
from stream.venue.trader import Trader
from stream.wire.fragments import Violation

class Peer(Protocol):
    def break_off(self, violation: Violation) -> None: ...
    def close(self, code: int, reason: str) -> None: ...
    def cut_off(self) -> None: ...
    def received(self, opcode: int, payload: bytes, over: str) -> None: ...

@final
class Turns:
    number: int
    ticks: bool
    hands_over: bool
    @property
    def waiting(self) -> dict[Intake, None]: ...
    def __init__(self) -> None: ...
    def begin(self) -> None: ...

@final
class Intake:
    ended: bool
    def __init__(
        self, session: Session, peer: Peer, turns: Turns, bytes_max: int, now: Callable[[], int], enter: Callable[[Trader, bytes, int], bool],
        wake: Callable[[], None], hand_over: Callable[[], None],
    ) -> None: ...
    def take(self, frame: WSFrame) -> None: ...
    def drop(self) -> None: ...
