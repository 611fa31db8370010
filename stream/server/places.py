"""The places for connections without a session: from being accepted until the handshake is done, or the page is read.

The number of places is limited, in all and for one address. A newcomer always gets a place. If its address is full, the address's oldest visitor has to
go; if all places are taken, the oldest visitor of the address that has the most. So a quick client gets in even while others stay and send nothing.
"""

from typing import Generic, TypeVar

V = TypeVar("V")


class Places(Generic[V]):
    """Visitors by address, each address's in the order in which they came."""

    def __init__(self, most: int, most_of_one: int) -> None:
        """Places in all, and those that one address may have."""
        self.most = most
        self._most_of_one = most_of_one
        self._visitors: dict[str, dict[V, None]] = {}
        self.taken = 0

    def take(self, visitor: V, address: str, shared: bool = False) -> V | None:
        """Give a visitor a place. Returns who has to leave for it. A `shared` address, of a proxy, may have all places. O(1), O(addresses) if full."""
        own = self._visitors.setdefault(address, {})
        leaver = None
        if len(own) >= self._most_of_one and not shared:
            leaver = next(iter(own))
        elif self.taken >= self.most:
            most: dict[V, None] = max(self._visitors.values(), key=len)
            leaver = next(iter(most))
        own[visitor] = None
        self.taken += 1
        return leaver

    def leave(self, visitor: V, address: str) -> None:
        """A visitor no longer needs the place; whoever has none is passed over."""
        own = self._visitors.get(address, {})
        if visitor in own:
            del own[visitor]
            self.taken -= 1
            if not own:
                del self._visitors[address]

    def all(self) -> list[V]:
        """Everybody."""
        return [visitor for own in self._visitors.values() for visitor in own]
