from typing import final

from engine.instrument import Instrument
from engine.levels import PriceLevels
from engine.records import Order

@final
class OrderBook:
    @property
    def instrument(self) -> Instrument: ...
    @property
    def index(self) -> int: ...
    @property
    def levels(self) -> PriceLevels: ...
    def queue(self, side: int, price: int) -> list[Order]: ...
