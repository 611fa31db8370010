"""Random requests of simulated clients: plain orders for the most part, and some of every type and option."""

from random import Random
from typing import Any

from engine import Order
from stream.wire.messages import Cancel, CancelAll, OrderRequest, Place, Reduce, Replace

MILLISECOND = 10**6


def random_request(random: Random, id: int, instrument: str, middle: int, orders: list[Order], now: int) -> OrderRequest:
    """What a client with these open orders may ask for, around a price."""
    kind = random.random()
    price, size = middle + random.randrange(-15, 16), random.randrange(1, 200)
    order = random.choice(orders).order if orders else 1
    if kind < 0.7:
        return random_order(random, id, instrument, middle, price, size, order, now)
    if kind < 0.73:
        return CancelAll(id, random.choice((None, instrument)), random.choice((None, "buy", "sell")))
    return random.choice((Cancel(id, order), Reduce(id, order, 3), Replace(id, order, price, size, stop=random.choice((0, 0, price)))))


def random_order(random: Random, id: int, instrument: str, middle: int, price: int, size: int, other: int, now: int) -> Place:
    """An order, perhaps linked to another one."""
    side = random.choice(("buy", "sell"))
    trigger = middle + (1 if side == "buy" else -1) * random.randrange(-2, 20)
    options: dict[str, dict[str, Any]] = {
        "plain": {},
        "market": {"price": 0, "type": "market", "time_in_force": "ioc"},
        "quote": {"price": 0, "size": size * price, "type": "market", "time_in_force": "ioc", "quote": True},
        "stop": {"price": random.choice((0, price)), "type": "stop", "stop": trigger},
        "stop_limit": {"type": "stop_limit", "stop": trigger},
        "trailing_stop": {"price": 0, "type": "trailing_stop", "stop": random.randrange(1, 20)},
        "pair": {"type": "stop_limit", "stop": trigger, "linked": other},
        "iceberg": {"display": 1 + size // 5},
        "slide": {"post_only": True, "slide": True},
        "least": {"min_size": 1 + size // 2},
        "gtd": {"time_in_force": "gtd", "expires": now + random.randrange(1, 2000) * MILLISECOND},
        "day": {"time_in_force": "day"},
    }
    chosen = random.choice((*["plain"] * 16, *["market"] * 4, *options))
    mode = random.choice(("account", "account", "allow", "cancel_oldest", "cancel_both", "decrement"))
    fields = {"price": price, "size": size, "client_id": random.choice((0, id)), "self_trade": mode} | options[chosen]
    return Place(id, instrument, side, **fields)    # type: ignore[arg-type]
