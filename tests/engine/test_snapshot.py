"""An exchange as bytes and back: the same bytes, the same future; and what is no snapshot."""

import random
from struct import pack_into
from zlib import crc32

import pytest

from engine import BadSnapshot, Exchange, OrderType, Phase, Side
from tests.conftest import BUY, SELL, new_exchange
from tests.engine.random_flow import RandomFlow, new_oracle, submit
from tests.engine.random_flow import new_exchange as new_random_exchange

HEAD = 32


def changes(exchange: Exchange, since: int) -> list[tuple[dict[int, int], dict[int, int]] | None]:
    """What changed in each book, without an order."""
    answers = [book.levels.changes_since(since) for book in exchange.books]
    return [answer and (dict(zip(*[iter(answer[0])] * 2, strict=True)), dict(zip(*[iter(answer[1])] * 2, strict=True))) for answer in answers]


@pytest.mark.parametrize("seed", range(4))
def test_a_restored_exchange_goes_on_as_if_nothing_had_been(seed: int) -> None:
    """It is replaced by its copy again and again; the commands after that cause what they cause in the twin."""
    oracle, exchange = new_oracle(seed), new_random_exchange(seed)
    flow = RandomFlow(seed, oracle)
    for number in range(3_000):
        command = flow.next()
        expected = oracle.run(command)
        flow.saw(expected)
        assert submit(exchange, command) == expected
        if number % 100 == 0:
            snapshot = exchange.snapshot()
            copy = Exchange.restore(snapshot)
            copy.check()
            assert copy.snapshot() == snapshot
            assert copy.state_hash() == exchange.state_hash()
            for since in range(0, exchange.seq + 1, 17):
                assert changes(copy, since) == changes(exchange, since)
            exchange = copy


def test_equal_states_are_equal_bytes() -> None:
    """However the commands were grouped into calls."""
    oracle, single, grouped = new_oracle(1), new_random_exchange(1), new_random_exchange(1)
    flow = RandomFlow(1, oracle)
    waiting = b""
    for _ in range(2_000):
        command = flow.next()
        flow.saw(oracle.run(command))
        single.execute(command.packed())
        waiting += command.packed()
        if flow.random.randrange(30) == 0:
            grouped.execute(waiting)
            waiting = b""
            assert grouped.snapshot() == single.snapshot()


def test_an_empty_exchange() -> None:
    empty = Exchange(orders_max=5, accounts_max=6, tombstones=7, client_ids_max=8)
    copy = Exchange.restore(empty.snapshot())
    assert copy.snapshot() == empty.snapshot()
    copy.add_asset("BTC")
    assert copy.snapshot() != empty.snapshot()


def filled() -> Exchange:
    """A bit of everything."""
    exchange = new_exchange(btc=1_000, usd=1_000_000)
    exchange.place(0, 0, SELL, 100, 9, display=2)
    exchange.place(1, 0, BUY, 100, 3)
    exchange.place(1, 0, BUY, 0, 5, type=OrderType.TRAILING_STOP, stop=7)
    exchange.place(1, 0, BUY, 90, 5, linked=exchange.place(1, 0, BUY, 120, 5, type=OrderType.STOP_LIMIT, stop=110))
    exchange.cancel(0, exchange.place(0, 0, SELL, 101, 5, client_id=3))
    exchange.set_account(1, group=4, tier=2, notional_max=1 << 40)
    exchange.set_phase(0, Phase.AUCTION)
    return exchange


def test_damage_is_found() -> None:
    snapshot = filled().snapshot()
    for length in range(len(snapshot)):
        with pytest.raises(BadSnapshot):
            Exchange.restore(snapshot[:length])
    for position in range(len(snapshot)):
        if not 20 <= position < 24:    # the head's padding
            damaged = bytearray(snapshot)
            damaged[position] ^= 1 << position % 8
            with pytest.raises(BadSnapshot):
                Exchange.restore(damaged)
    with pytest.raises(BadSnapshot):
        Exchange.restore(snapshot + b"x")


def test_a_forged_checksum_does_not_help() -> None:
    """Nothing crashes or hangs, whatever the numbers say; at the latest the state's hash does not fit."""
    snapshot = filled().snapshot()
    chance = random.Random(5)
    for _ in range(3_000):
        forged = bytearray(snapshot)
        place = HEAD + 8 * chance.randrange((len(snapshot) - HEAD) // 8)
        number = int.from_bytes(forged[place : place + 8], "little")
        value = chance.choice((number ^ 1 << chance.randrange(64), chance.randrange(40), number + 1, number - 1)) % (1 << 64)
        if value == number:
            continue
        pack_into("<Q", forged, place, value)
        pack_into("<I", forged, 16, crc32(forged[HEAD:]))
        try:
            copy = Exchange.restore(forged)
        except BadSnapshot:
            continue
        assert copy.snapshot() != snapshot    # a limit or a name that is no part of the hash


def test_a_later_version_is_told_from_damage() -> None:
    later = bytearray(filled().snapshot())
    later[7] += 1
    with pytest.raises(BadSnapshot, match="version 2 or below"):
        Exchange.restore(later)


def test_the_sides_of_a_book_stay_apart() -> None:
    exchange = new_exchange(btc=10, usd=1_000)
    exchange.place(0, 0, BUY, 50, 1)
    exchange.place(0, 0, SELL, 60, 2)
    copy = Exchange.restore(exchange.snapshot())
    assert copy.books[0].levels.depth() == ([50, 1], [60, 2])
    assert [order.side for order in copy.orders(0)] == [Side.BUY, Side.SELL]
