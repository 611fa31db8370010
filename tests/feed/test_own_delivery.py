"""What an account is told the short way, out of records into MessagePack, is what it is told the long way."""

import random
from typing import Any

import pytest

from stream.wire.codec import JSON, MSGPACK, Codec
from stream.wire.messages import CancelAll, Place, Subscribe
from tests.worlds import MILLISECOND, Desk, QuietMarket


def told(codec: Codec, seed: int) -> list[list[Any]]:
    """All that each connection of an account hears in one random history: one that reads, one that stops reading now and then, and one that comes and goes."""
    chance = random.Random(seed)
    market = QuietMarket(heartbeat_ms=100)
    desks = [Desk(market, codec).sign_in("alice") for _ in range(3)]
    other = Desk(market).sign_in("bob")
    for desk in desks[:2]:
        desk.ask(Subscribe, ["orders", "balances"])
    for _ in range(120):
        match chance.randrange(8):
            case 0:
                if desks[1].session.writable:
                    desks[1].session.pause_writing(market.now)
                else:
                    desks[1].session.resume_writing(market.now)
            case 1:
                desks[2].put(Subscribe, ["orders", "balances"])
            case 2:
                market.pass_time(chance.choice((1, 150)))
            case 3:
                desks[0].put(CancelAll)
            case _:
                for _ in range(chance.choice((1, 1, 5))):
                    chance.choice((desks[0], other)).put(Place, "BTC-USD", chance.choice(("buy", "sell")), 100 + chance.randrange(3), chance.randrange(1, 5))
        market.now += MILLISECOND
        market.tick(market.now)
        for desk in desks:
            if desk.session.writable:
                desk.hear()
    desks[1].session.resume_writing(market.now)
    market.tick(market.now)
    for desk in desks:
        desk.hear()
    assert len({(message.channel, message.seq) for message in desks[0].heard if getattr(message, "prev", None) is not None}) > 40
    return [desk.heard for desk in desks]


@pytest.mark.parametrize("seed", range(6))
def test_the_short_way_tells_what_the_long_way_tells(seed: int) -> None:
    short, long = told(MSGPACK, seed), told(JSON, seed)
    for heard, expected in zip(short, long, strict=True):
        without_tokens = [[message for message in messages if type(message).__name__ != "Welcome"] for messages in (heard, expected)]
        assert without_tokens[0] == without_tokens[1]
