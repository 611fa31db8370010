"""A link between an engine and its gateways in one thread: what is on its way waits until the test delivers it, loses it, or doubles it."""

import random
from collections import deque
from collections.abc import Callable

from stream.cluster.link import HearNews
from stream.cluster.messages import Batch, News, Request, Snapshot, StatePart, ToldHistory, decode_news, decode_request, encode
from stream.journal import snapshots


def heard_whole(part: StatePart) -> Snapshot:
    """A state that is in one part."""
    return Snapshot(part.term, part.position, snapshots.decode(part.data, ""))


class MemoryGatewayEnd:
    """One gateway's end. `cut` says whether nothing gets through."""

    def __init__(self, link: "MemoryLink", hear: HearNews) -> None:
        self.link = link
        self.hear = hear
        self.inbox: deque[bytes] = deque()
        self.cut = False
        self.asked = 0

    def send(self, request: Request) -> None:
        for _ in range(0 if self.cut else self.link.copies()):
            self.link.requests.append(encode(request))

    def ask(self) -> None:
        self.asked += 1
        if self.link.snapshot and not self.cut:
            self.inbox.append(encode(self.link.snapshot))
            self.inbox.extend(batch for position, batch in self.link.kept if position > self.link.snapshot.position)

    def deliver(self, count: int = 1 << 30) -> None:
        """Let what is on its way arrive."""
        for _ in range(min(count, len(self.inbox))):
            news = decode_news(self.inbox.popleft())
            self.hear(heard_whole(news) if isinstance(news, StatePart) else news)


class MemoryLink:
    """The engine's end, and all that is on its way. With `faults`, the chance that a message is lost, and that it is doubled."""

    def __init__(self, hear: Callable[[Request], None], chance: random.Random | None = None, faults: float = 0) -> None:
        self.hear = hear
        self.ends: list[MemoryGatewayEnd] = []
        self.requests: deque[bytes] = deque()
        self.kept: list[tuple[int, bytes]] = []
        self.snapshot: StatePart | None = None
        self.chance = chance or random.Random(0)
        self.faults = faults

    def copies(self) -> int:
        """How often a message arrives."""
        luck = self.chance.random()
        return 0 if luck < self.faults else 2 if luck < 2 * self.faults else 1

    def publish(self, batch: Batch) -> None:
        self.kept.append((batch.position, encode(batch)))
        self.tell(batch)

    def tell(self, news: News) -> None:
        """Send to every gateway."""
        for end in self.ends:
            for _ in range(0 if end.cut else self.copies()):
                end.inbox.append(encode(news))

    def tell_asker(self, told: ToldHistory) -> None:
        """Send to the one that has asked: the gateways' numbers are in their order, from 100 on."""
        end = self.ends[told.asker - 100]
        for _ in range(0 if end.cut else self.copies()):
            end.inbox.append(encode(told))

    def join(self, hear: HearNews) -> MemoryGatewayEnd:
        """Another gateway's end."""
        self.ends.append(MemoryGatewayEnd(self, hear))
        return self.ends[-1]

    def deliver(self) -> None:
        """Let everything arrive at the engine."""
        while self.requests:
            self.hear(decode_request(self.requests.popleft()))
