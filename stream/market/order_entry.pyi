from collections.abc import Callable, Iterable
from typing import final

from engine import Commands, Event, Exchange
from stream.commands.results import Reply, Result
from stream.venue.trader import Trader
from stream.wire.messages import OrderRequest

@final
class Waiter:
    def __call__(self, result: Result | None, outcome: Event | None) -> None: ...

@final
class OrderEntry:
    def __init__(self, exchange: Exchange, answer: Callable[[Trader, OrderRequest, Result | None, Event | None], None]) -> None: ...
    def take(self, commands: Commands, replies: dict[int, list[Reply]], trader: Trader, payload: bytes, now: int) -> bool: ...

def answers_of(exchange: Exchange, replies: dict[int, list[Reply]]) -> list[Callable[[], None] | Waiter]: ...
def call_all(calls: Iterable[Callable[[], None] | Waiter]) -> None: ...
