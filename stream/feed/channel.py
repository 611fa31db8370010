"""The interface of every channel: it gives what happened since a sequence, or its whole present state."""

from abc import ABC, abstractmethod
from collections import deque
from typing import Generic, NamedTuple, Protocol, TypeVar

from engine import Phase, Side
from stream.wire.codec import Shared
from stream.wire.fields import PhaseName, SideName

SIDES: dict[int, SideName] = {Side.BUY: "buy", Side.SELL: "sell"}
PHASES: dict[int, PhaseName] = {Phase.TRADING: "trading", Phase.HALT: "halt", Phase.AUCTION: "auction", Phase.DELISTED: "delisted"}

Item = TypeVar("Item")


class Point(NamedTuple):
    """A point of the history, with which a frame is stamped. Times are in ns since 1970."""

    epoch: int
    seq: int
    engine_time: int
    now: int


class Channel(ABC):
    """One channel. If it is `relayed`, a client may have been ahead of this server at another one."""

    lossless = False
    relayed = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard = False    # whether anybody listens

    @property
    @abstractmethod
    def seq(self) -> int:
        """The sequence of the last change."""

    def point(self, at: Point) -> Point:
        """The sequence up to which the channel is complete, when its history stands at `at`."""
        return at

    @abstractmethod
    def snapshot(self, at: Point) -> Shared:
        """The whole present state of the channel."""

    @abstractmethod
    def since(self, prev: int, at: Point, batches: int = 0) -> Shared | None:
        """What happened after `prev`, None if that is forgotten. If nothing happened, the frame is a heartbeat."""


class Channels(Protocol):
    """The source of a hub's channels."""

    public: dict[str, Channel]
    """The public channels, by name."""
    changed: set[Channel]
    """The channels that have changed and have a listener. The hub empties it."""

    def account_channel(self, kind: str, account: int) -> Channel:
        """An account's own channel. Its events are kept from the first call on."""
        ...

    def forget_account(self, account: int) -> None:
        """Stop keeping an account's events."""


class Tail(Generic[Item]):
    """The latest entries of a lossless channel, and the sequence below which some are missing."""

    def __init__(self, kept: int, floor: int) -> None:
        self._entries: deque[tuple[int, Item]] = deque(maxlen=kept)
        self.floor = floor
        self.seq = floor

    def append(self, seq: int, entry: Item) -> None:
        """Add what happened at `seq`."""
        if len(self._entries) == self._entries.maxlen:
            self.floor = self._entries[0][0]
        self._entries.append((seq, entry))
        self.seq = seq

    def since(self, prev: int) -> list[Item] | None:
        """The entries after `prev`, oldest first; None if some are forgotten. O(entries returned)."""
        if prev < self.floor:
            return None
        entries = []
        for seq, entry in reversed(self._entries):
            if seq <= prev:
                break
            entries.append(entry)
        entries.reverse()
        return entries

    def entries(self) -> list[tuple[int, Item]]:
        """All that are kept, each with its sequence, oldest first."""
        return list(self._entries)

    def latest(self, count: int) -> list[Item]:
        """The latest entries, oldest first."""
        return [entry for _, entry in list(self._entries)[-count:]]


class LosslessChannel(Channel, Generic[Item]):
    """A channel that tells every one of its entries, in order."""

    lossless = True

    def __init__(self, name: str, kept: int, floor: int) -> None:
        super().__init__(name)
        self._kept = kept
        self._tail = Tail[Item](kept, floor)

    @property
    def seq(self) -> int:
        return self._tail.seq

    def dump(self) -> tuple[int, list[tuple[int, Item]]]:
        """What `restore` takes: the sequence up to which some entries are forgotten, and those after it with theirs."""
        return self._tail.floor, self._tail.entries()

    def restore(self, floor: int, entries: list[tuple[int, Item]]) -> None:
        """Go on where another channel was."""
        self._tail = Tail(self._kept, floor)
        for seq, entry in entries:
            self._tail.append(seq, entry)
