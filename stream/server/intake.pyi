from collections.abc import Callable
from typing import final

from picows import WSFrame

from stream.server.connection import Connection
from stream.venue.session import Session
from stream.venue.trader import Trader

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
        self, session: Session, peer: Connection, turns: Turns, bytes_max: int, now: Callable[[], int], enter: Callable[[Trader, bytes, int], bool],
        wake: Callable[[], None], hand_over: Callable[[], None],
    ) -> None: ...
    def take(self, frame: WSFrame) -> None: ...
    def drop(self) -> None: ...
