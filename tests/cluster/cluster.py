"""An engine and its gateways in one thread: no socket, no sleep, a clock that the test drives."""

import random
from typing import Any

import msgspec

from stream.access.keys import key_of
from stream.cluster.engine import Engine
from stream.cluster.gateway import Gateway
from stream.cluster.messages import Batch, Beat, Request, Snapshot, StatePart, ToldHistory
from stream.cluster.replica import Replica
from stream.market.history import begin
from stream.settings.config import Config
from tests.cluster.memory_link import MemoryLink
from tests.setting import CONFIG, MILLISECOND, SECRET, START

KEYS = [key_of("HS256", SECRET)]


class QuietGateway(Gateway):
    """A gateway at the cluster's time."""

    cluster: "Cluster"

    @property
    def now(self) -> int:
        return self.cluster.now

    def tick(self, now: int) -> int:
        due = super().tick(now)
        self.cluster.settle()
        return due


def state_of(engine: Engine, now: int) -> StatePart:
    """The engine's state of now, in one part."""
    data = b"".join(engine.pieces(now))
    return StatePart(engine.term, engine.position, len(data), 0, data)


class Cluster:
    """A market in several processes, all of them here."""

    def __init__(self, gateways: int = 2, config: Config = CONFIG, chance: random.Random | None = None, faults: float = 0, **changes: Any) -> None:
        self.now = START
        self.config = msgspec.structs.replace(config, **changes)
        self.link = MemoryLink(self.to_engine, chance, faults)
        self.term = 1
        self.engine = self.lead()
        self.gateways: list[QuietGateway] = []
        for _ in range(gateways):
            self.add_gateway()

    def lead(self) -> Engine:
        """An engine that begins the market."""
        history = begin(self.config, (), self.now)
        engine = Engine(self.config, KEYS, (), self.now, history, None, 1, 1, self.term, self.link.publish, self.link.tell_asker)
        engine.tick(self.now)
        self.link.snapshot = state_of(engine, self.now)
        return engine

    def add_gateway(self) -> QuietGateway:
        """Another gateway, once it has a state."""
        def hear(news: Batch | Beat | Snapshot | ToldHistory) -> None:
            if isinstance(news, ToldHistory):
                gateway.history.take(news)
            else:
                replica.receive(news, self.now)

        end = self.link.join(hear)
        replica = Replica(self.config, end.ask, self.now)
        replica.tick(self.now)
        end.deliver()
        hear(self.engine.beat(self.now))
        gateway = QuietGateway(self.config, KEYS, replica, 100 + len(self.gateways), end.send, self.now)
        gateway.cluster = self
        self.gateways.append(gateway)
        return gateway

    def to_engine(self, request: Request) -> None:
        self.engine.receive(request, self.now)

    def settle(self) -> None:
        """Let everything arrive, both ways, and run."""
        self.link.deliver()
        self.engine.tick(self.now)
        for end in self.link.ends:
            end.deliver()

    def step(self, milliseconds: int = 10) -> None:
        """Let time pass, with a beat."""
        self.now += milliseconds * MILLISECOND
        self.link.tell(self.engine.beat(self.now))
        self.engine.keep_house(self.now)
        self.settle()
        for gateway in self.gateways:
            Gateway.tick(gateway, self.now)
            gateway.keep_house(self.now)
        self.settle()
        for gateway in self.gateways:
            Gateway.tick(gateway, self.now)
