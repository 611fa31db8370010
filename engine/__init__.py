"""The book and the matcher: C data behind a small Python face. Knows no socket, no loop and no clock.

Commands go in, in one order; batches of events come out. The same commands always give the same events: time is in the
command, and nothing here is a float, random, or dependent on a hash's order.
"""

from engine.book import OrderBook
from engine.commands import Commands
from engine.errors import BadSnapshot, Busy, EngineError, Inconsistent, Rejected
from engine.events import Events
from engine.exchange import Exchange
from engine.instrument import FEE_SCALE, MONEY_MAX, PRICE_MAX, Instrument
from engine.levels import PriceLevels
from engine.model import CommandKind, EventKind, OrderType, Phase, Reason, SelfTrade, Side, TimeInForce
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
    "Instrument",
    "Order",
    "OrderBook",
    "OrderType",
    "Phase",
    "PriceLevels",
    "Reason",
    "Rejected",
    "SelfTrade",
    "Side",
    "TimeInForce",
]
