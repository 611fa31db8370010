"""Who has connected and not yet said what for: from the moment of accepting until the handshake is done, or the page is read.

There are so many places, and so many for one address. A newcomer always gets one: of a full address its own oldest visitor goes, of a full
house the oldest visitor of the address that has the most. So who is quick gets in while others hold on and say nothing, even from the same address.
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
        """Give a visitor a place; who has to leave for that. An address that is `shared`, a proxy's, may have them all. O(1), O(addresses) in a full house."""
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
