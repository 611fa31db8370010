"""Totals are exact, however large: none stops at a number."""

from typing import Any

import msgspec
import pytest

from engine import EventKind
from stream.feed.channel import Point
from stream.feed.public_channels import TickerChannel, TickerState
from stream.wire.codec import JSON, MSGPACK
from stream.wire.frames import Ticker
from tests.worlds import QuietMarket

MINUTE = 60 * 10**9


class Trade:
    """A TRADE event of any size."""

    kind, price = EventKind.TRADE, 100

    def __init__(self, seq: int, size: int, value: int) -> None:
        self.seq, self.size, self.value = seq, size, value


def ticker_of(channel: TickerChannel, now: int) -> Ticker:
    told: Any = channel.snapshot(Point(1, 1, now, now)).message
    for codec in (MSGPACK, JSON):
        assert codec.decode_answer(codec.encode(told)) == told
    assert isinstance(told, Ticker)
    return told


def totals(told: Ticker) -> tuple[int, int, int]:
    return told.volume + (told.volume_beyond << 63), told.value + (told.value_beyond << 63), told.trades


@pytest.mark.parametrize("size", [1, (1 << 60) + 1, 1 << 61, 1 << 62])
def test_a_days_volume_and_value_are_exact_however_large(size: int) -> None:
    market = QuietMarket()
    channel = TickerChannel(market.exchange.books[0])
    now = market.now - market.now % MINUTE
    for number in range(6):
        channel.add(Trade(number + 1, size, size - 1), now + number // 3 * MINUTE)    # type: ignore[arg-type]
    assert totals(ticker_of(channel, now)) == (6 * size, 6 * (size - 1), 6)
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(channel.dump()), type=TickerState)
    again = TickerChannel(market.exchange.books[0])
    again.restore(state)
    assert totals(ticker_of(again, now)) == (6 * size, 6 * (size - 1), 6)
    assert totals(ticker_of(again, now + 24 * 60 * MINUTE)) == (3 * size, 3 * (size - 1), 3)    # the first minute is a day ago


def test_a_memory_of_an_earlier_version_is_read() -> None:
    market = QuietMarket()
    channel = TickerChannel(market.exchange.books[0])
    minute = market.now // MINUTE
    earlier = msgspec.msgpack.encode([100, 5, 7, [[minute, 100, 101, 99, 12, 1200, 3]]])
    channel.restore(msgspec.msgpack.decode(earlier, type=TickerState))
    assert totals(ticker_of(channel, market.now)) == (12, 1200, 3)
