"""What one stream says and to whom. Each event is made once for all listeners that are in step.

A listener whose socket is full gets nothing. Its topic remembers only how far it was brought, and says what it missed when it can take it: the changes of a
book merged into one, every trade that is still kept, and of everything else the present state.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Generic, Protocol, TypeVar

from stream.dialects.market_data import MarketData
from stream.dialects.symbols import Symbol
from stream.wire.frames import Trade
from stream.wire.framing import TEXT, framed

Form = tuple[bool, ...]
"""How a connection wants to be told things, if there are several ways."""


class Event:
    """One thing that a stream says, written once for all connections that want it in the same form."""

    __slots__ = ("_frames", "_write")

    def __init__(self, write: Callable[[Form], bytes]) -> None:
        self._write = write
        self._frames: dict[Form, bytes] = {}

    def frame(self, form: Form) -> bytes:
        """The WebSocket frame."""
        frame = self._frames.get(form)
        if frame is None:
            frame = self._frames[form] = framed(TEXT, self._write(form))
        return frame


class Class(IntEnum):
    """How often a topic says something, if there is something to say."""

    INSTANT = 0    # at each tick
    FAST = 1       # every 100 ms
    SLOW = 2       # every second


class Listener(Protocol):
    """Who listens. It is `ready` while its socket takes what is sent."""

    ready: bool

    def send(self, events: list[Event]) -> None:
        """Send events with the next write."""
        ...

    def fall_behind(self, topic: "Topic[Any]") -> None:
        """Note that it has to be told by a topic what it missed."""
        ...

    def lose(self) -> None:
        """It has missed what is forgotten, and what cannot be told by a state."""
        ...


S = TypeVar("S", bound=Symbol)


class Topic(ABC, Generic[S]):
    """One stream. `position` is how far it has told, and `listeners` are those who listen, each with how far it was brought."""

    often = Class.SLOW

    def __init__(self, data: MarketData[S], name: str) -> None:
        self.data = data
        self.name = name
        self.position = 0
        self.listeners: dict[Listener, int] = {}

    @abstractmethod
    def begin(self, now: int) -> None:
        """Somebody listens from now on: what has happened before is not told."""

    def end(self) -> None:
        """Nobody listens any more."""

    @abstractmethod
    def news(self, now: int) -> list[Event]:
        """What has happened since it told last. Moves `position` if there is anything."""

    @abstractmethod
    def missed(self, position: int, now: int) -> list[Event] | None:
        """What brings a listener from a position to the present one; None if that is forgotten."""

    def join(self, listener: Listener, now: int) -> None:
        """Let one more listen, from what has been told on."""
        self.listeners.setdefault(listener, self.position)

    def publish(self, now: int) -> None:
        """Tell all listeners what has happened."""
        before = self.position
        said = self.news(now)
        if not said:
            return
        missed: dict[int, list[Event] | None] = {before: said}
        for listener, position in list(self.listeners.items()):
            if not listener.ready:
                listener.fall_behind(self)
                continue
            if position not in missed:
                missed[position] = self.missed(position, now)
            self._tell(listener, missed[position])

    def catch_up(self, listener: Listener, now: int) -> None:
        """Tell one listener what it missed, now or with what is published next."""
        position = self.listeners.get(listener, self.position)
        if position != self.position and self.settled:
            self._tell(listener, self.missed(position, now))

    def _tell(self, listener: Listener, said: list[Event] | None) -> None:
        if said is None:
            listener.lose()
        else:
            listener.send(said)
            self.listeners[listener] = self.position

    @property
    def settled(self) -> bool:
        """Whether `missed` leads to just what was published last, and not further."""
        return True


class EveryTrade(Topic[S]):
    """Every trade. Its position is the sequence of the last one."""

    often = Class.INSTANT

    def __init__(self, data: MarketData[S], name: str, symbol: S) -> None:
        super().__init__(data, name)
        self.symbol = symbol

    def begin(self, now: int) -> None:
        self.position = self.data.trades(self.symbol).seq

    def news(self, now: int) -> list[Event]:
        seq = self.data.trades(self.symbol).seq
        if seq <= self.position:
            return []
        said = self.missed(self.position, now)
        if said is None:    # more at once than are kept
            for listener in list(self.listeners):
                listener.lose()
        self.position = seq
        return said or []

    def missed(self, position: int, now: int) -> list[Event] | None:
        trades = self.data.trades(self.symbol).after(position)
        return None if trades is None else self._said(trades, now)

    @abstractmethod
    def _said(self, trades: list[Trade], now: int) -> list[Event]:
        """What is said of trades."""


class State(Topic[S]):
    """A topic whose last event is all that there is to know. Its position counts its events."""

    def begin(self, now: int) -> None:
        self.position = 1
        self.last = self.now_true(now)

    @abstractmethod
    def now_true(self, now: int) -> object:
        """What is compared to find out whether anything has happened."""

    @abstractmethod
    def told(self, now: int) -> list[Event]:
        """The state."""

    def news(self, now: int) -> list[Event]:
        true = self.now_true(now)
        if true == self.last:
            return []
        self.last = true
        self.position += 1
        return self.told(now)

    def missed(self, position: int, now: int) -> list[Event]:
        return self.told(now)
