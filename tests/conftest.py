"""What every test can ask for."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, settings

from engine import MONEY_MAX, PRICE_MAX, Event, EventKind, Exchange, Instrument, Reason, Rejected, Side

signal.signal(signal.SIGINT, signal.default_int_handler)    # in the background of a shell it is ignored, and by every process begun here then
settings.register_profile("suite", deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile("campaign", parent=settings.get_profile("suite"), max_examples=5_000, stateful_step_count=200)
settings.load_profile(os.environ.get("DELTABOOK_HYPOTHESIS", "suite"))

BUY, SELL = Side.BUY, Side.SELL
MAKER, OTHER, TAKER = 0, 1, 2
BTC, USD = 0, 1

BTC_USD = Instrument("BTC-USD", "BTC", "USD", tick=Decimal("0.01"), lot=Decimal("0.0001"), price_max=1_000_000, size_max=1_000_000)

# An instrument in which every number is as large as it may be, and one unit of each asset is one lot and one tick.
WIDE = Instrument("BTC-USD", "BTC", "USD", Decimal(1), Decimal(1), price_max=PRICE_MAX - 1, size_max=MONEY_MAX)


@pytest.fixture
def exchange() -> Exchange:
    """BTC-USD without fees, and accounts 0, 1 and 2 with plenty of both.

    A lot is 10,000 units of BTC, a lot at one tick is 1 unit of USD.
    """
    exchange = Exchange()
    exchange.add_asset("BTC", 8)
    exchange.add_asset("USD", 6)
    exchange.add_instrument(BTC_USD)
    for account in range(3):
        exchange.open_account()
        exchange.deposit(account, exchange.asset("BTC"), 10**14)
        exchange.deposit(account, exchange.asset("USD"), 10**15)
    return exchange


@pytest.fixture
def asks(exchange: Exchange) -> list[int]:
    """Three sell orders: 5 and then 7 lots at 100, 10 lots at 101."""
    return [exchange.place(MAKER, 0, SELL, 100, 5), exchange.place(OTHER, 0, SELL, 100, 7), exchange.place(MAKER, 0, SELL, 101, 10)]


@contextmanager
def refused(reason: Reason, order: int = 0) -> Iterator[None]:
    """What is done inside must be refused for this reason."""
    with pytest.raises(Rejected) as rejected:
        yield
    assert (rejected.value.reason, rejected.value.order) == (reason, order)


def told(exchange: Exchange, kind: EventKind) -> list[Event]:
    """The events of one kind that the latest command caused."""
    return exchange.events.select(1 << kind)


def trades(exchange: Exchange) -> list[tuple[int, int, int]]:
    """Maker's order, price and size of each trade that the latest command caused."""
    return [(event.maker, event.price, event.size) for event in told(exchange, EventKind.TRADE)]


def kinds(exchange: Exchange) -> list[EventKind]:
    """What the latest command did to orders."""
    return [EventKind(event.kind) for event in exchange.events if event.kind not in (EventKind.LEVEL, EventKind.BALANCE)]


def queue(exchange: Exchange, side: Side, price: int) -> list[tuple[int, int]]:
    """Order and remaining lots of those who wait at a price, oldest first."""
    return [(order.order, order.remaining) for order in exchange.books[0].queue(side, price)]


def depth(exchange: Exchange) -> tuple[list[int], list[int]]:
    return exchange.books[0].levels.depth()


def new_exchange(instrument: Instrument = WIDE, accounts: int = 2, btc: int = 0, usd: int = 0) -> Exchange:
    """One instrument, and accounts that each have so many units; assets have as few decimals as can be."""
    exchange = Exchange()
    exchange.add_asset("BTC", 0)
    exchange.add_asset("USD", 0)
    exchange.add_instrument(instrument)
    for account in range(accounts):
        exchange.open_account()
        for asset, amount in ((BTC, btc), (USD, usd)):
            if amount:
                exchange.deposit(account, asset, amount)
    return exchange


def check(exchange: Exchange) -> None:
    """All that accounts and fees have is what was deposited and not withdrawn."""
    exchange.check()
    for asset in range(len(exchange.assets())):
        owned = sum(sum(exchange.balance(account, asset)) for account in range(exchange.accounts))
        assert owned + exchange.fees(asset) == exchange.supply(asset)
