"""The order book and the matcher: data in C behind a small Python interface. The engine uses no socket, no event loop and no clock.

Commands go in, in one order, and batches of events come out. The same commands always give the same events: each command
carries its time, and nothing here is a float, is random, or depends on the order of a hash table.
"""

from engine.book import OrderBook
from engine.commands import Commands
from engine.errors import BadSnapshot, Busy, EngineError, Inconsistent, Rejected
from engine.events import Events
from engine.exchange import Exchange
from engine.instrument import FEE_SCALE, MONEY_MAX, PRICE_MAX, Instrument
from engine.levels import PriceLevels
from engine.model import CommandKind, EventKind, OrderType, Phase, Reason, SelfTrade, Side, TimeInForce
from engine.queues import IndexedQueues, OrderQueues
from engine.records import Event, Order

__all__ = [
    "FEE_SCALE",
    "MONEY_MAX",
    "PRICE_MAX",
    "BadSnapshot",
    "Busy",
    "CommandKind",
    "Commands",
    "EngineError",
    "Event",
    "EventKind",
    "Events",
    "Exchange",
    "Inconsistent",
    "IndexedQueues",
    "Instrument",
    "Order",
    "OrderBook",
    "OrderQueues",
    "OrderType",
    "Phase",
    "PriceLevels",
    "Reason",
    "Rejected",
    "SelfTrade",
    "Side",
    "TimeInForce",
]
