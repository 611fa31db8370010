"""The engine against its naive twin, on random commands, event for event.

DELTABOOK_COMMANDS is the length of a random run, DELTABOOK_SEED the first of the seeds, DELTABOOK_SEEDS their number.
"""


import os
import random
from collections import Counter

import pytest

from engine import CommandKind, Commands, EventKind, Exchange, OrderType, PriceLevels, Reason, SelfTrade, Side, TimeInForce
from tests.engine.oracle_exchange import NaiveExchange
from tests.engine.oracle_levels import NaiveLevels
from tests.engine.oracle_model import QUOTE
from tests.engine.random_flow import BOUNDS, RandomFlow, new_exchange, new_oracle, submit

COMMANDS = int(os.environ.get("DELTABOOK_COMMANDS", "8000"))
FIRST = int(os.environ.get("DELTABOOK_SEED", "1"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("DELTABOOK_SEEDS", "4")))


class Client:
    """Keeps one book by asking, now and then, what changed since it last asked."""

    def __init__(self) -> None:
        self.levels = PriceLevels()
        self.seq = 0
        self.patches = 0

    def catch_up(self, levels: PriceLevels, seq: int) -> None:
        changes = levels.changes_since(self.seq)
        self.patches += changes is not None
        if changes is None:
            self.levels.reset(0)
            changes = levels.depth()
        self.levels.apply(*changes, seq)
        self.seq = seq
        assert self.levels.depth() == levels.depth()
        assert self.levels.digest == levels.digest


def compare(exchange: Exchange, oracle: NaiveExchange) -> None:
    """Every answer of the engine with the oracle's."""
    assert (exchange.accounts, exchange.order_count, exchange.clock) == (oracle.accounts, len(oracle.open), oracle.clock)
    assert exchange.next_expiry == min((order.expires for order in oracle.open.values() if order.expires), default=0)
    for account in range(oracle.accounts):
        assert exchange.balances(account) == [oracle.balance(account, asset) for asset in range(len(oracle.supply))]
        mine = [order for order in oracle.open.values() if order.account == account]
        assert [order.order for order in exchange.orders(account)] == [order.order for order in mine]
    for order in oracle.open.values():
        assert exchange.order(order.order) == (
            order.order, order.client_id, order.account, order.instrument, order.side, order.price, order.remaining, order.filled,
            order.value, order.post_only, order.type if order.waits else OrderType.LIMIT, order.stop, 0 if order.waits else order.shown,
            order.expires, order.partner.order if order.partner else 0,
        )
    for book in exchange.books:
        terms = oracle.terms[book.index]
        assert (book.phase, book.last, book.reference, book.band) == (terms.phase, terms.last, terms.reference or terms.last, terms.band)
        assert [book.rates(tier) for tier in range(8)] == [terms.fees(tier) for tier in range(8)]
        assert book.indicative() == oracle.uncrossing(book.index)
        assert book.levels.depth() == oracle.depth(book.index)
        for side in Side:
            for price in {order.price for order in oracle.resting(book.index, side)}:
                assert [order.order for order in book.queue(side, price)] == [order.order for order in oracle.queue(book.index, side, price)]


def check_money(exchange: Exchange, oracle: NaiveExchange) -> None:
    """Nothing is created or lost."""
    for asset in range(len(oracle.supply)):
        owned = sum(sum(exchange.balance(account, asset)) for account in range(exchange.accounts))
        assert owned + exchange.fees(asset) == exchange.supply(asset) == oracle.supply[asset]
        assert exchange.fees(asset) == oracle.fees[asset]


@pytest.mark.parametrize("seed", SEEDS)
def test_random_commands_cause_the_events_of_the_oracle(seed: int) -> None:
    oracle, exchange = new_oracle(seed), new_exchange(seed)
    flow = RandomFlow(seed, oracle)
    for number in range(COMMANDS):
        command = flow.next()
        expected = oracle.run(command)
        flow.saw(expected)
        assert submit(exchange, command) == expected, (number, command)
        exchange.check()
        check_money(exchange, oracle)
        if number % 50 == 0:
            compare(exchange, oracle)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_levels_of_a_book_are_those_of_its_events(seed: int) -> None:
    """An oracle of the levels that only sees LEVEL events stays equal, floor and all; so do clients that catch up at odd times."""
    chance = random.Random(seed)
    oracle, exchange = new_oracle(seed), new_exchange(seed)
    flow = RandomFlow(seed, oracle)
    twins = [NaiveLevels(BOUNDS[seed % len(BOUNDS)][0]) for _ in exchange.books]
    changes: Counter[int] = Counter()
    clients = [(book.levels, Client()) for book in exchange.books for _ in range(3)]
    for _ in range(COMMANDS):
        command = flow.next()
        flow.saw(oracle.run(command))
        submit(exchange, command)
        told_levels = exchange.events.select(1 << EventKind.LEVEL)
        for event in told_levels:
            assert twins[event.instrument].set(event.side, event.price, event.size, event.seq)
        changes.update({event.instrument for event in told_levels})
        for book, twin in zip(exchange.books, twins, strict=True):
            levels = book.levels
            assert (levels.seq, levels.floor, levels.digest, len(levels)) == (twin.seq, twin.floor, twin.digest, len(twin))
            assert levels.changes == changes[book.index]
        levels, client = chance.choice(clients)
        client.catch_up(levels, exchange.seq)
    assert sum(client.patches for _, client in clients) > 0


def test_random_commands_are_eventful() -> None:
    """They reach every kind of event and every reason, most of them often, and the books are deep."""
    oracle = new_oracle(4)
    flow = RandomFlow(4, oracle)
    kinds: Counter[int] = Counter()
    reasons: Counter[int] = Counter()
    orders = uncrossings = 0
    for _ in range(12_000):
        events = oracle.run(flow.next())
        flow.saw(events)
        kinds.update(event.kind for event in events)
        reasons.update(event.reason for event in events)
        uncrossings += sum(event.kind == EventKind.PHASE and event.size > 0 for event in events)
        orders += len(oracle.open)
    assert set(EventKind) == kinds.keys()
    assert set(Reason) == reasons.keys()
    assert min(kinds[kind] for kind in EventKind if kind != EventKind.ACCOUNT_OPENED) > 20
    assert min(reasons.values()) > 2
    assert min(kinds[EventKind.TRADE], kinds[EventKind.TRIGGERED], kinds[EventKind.DISPLAYED], reasons[Reason.SELF_TRADE]) > 150
    assert uncrossings > 2
    assert orders > 25 * 12_000


@pytest.mark.parametrize("seed", SEEDS)
def test_what_an_order_asks_for_is_what_it_gets(seed: int) -> None:
    """Fill or kill, a minimum, money, self-trade prevention: whatever else is in the books."""
    oracle, exchange = new_oracle(seed), new_exchange(seed)
    flow = RandomFlow(seed, oracle)
    seen: Counter[str] = Counter()
    for _ in range(COMMANDS):
        command = flow.next()
        modes = {order.order: order.self_trade for order in oracle.open.values()}
        flow.saw(oracle.run(command))
        events = submit(exchange, command)
        outcome = exchange.events.outcome(0)
        mine = [event for event in events if event.order == outcome.order and event.kind == EventKind.FILLED]
        filled, value = sum(event.size for event in mine), sum(event.price * event.size for event in mine)
        if command.kind == CommandKind.PLACE and outcome.kind == EventKind.ACCEPTED and command.type <= OrderType.MARKET:
            if command.time_in_force == TimeInForce.FOK:
                assert filled == command.size
                seen["fill or kill"] += 1
            if command.min_size:
                assert filled >= command.min_size
                seen["minimum"] += 1
            if command.flags & QUOTE:
                tick_value = exchange.books[command.instrument].tick_value
                assert value * tick_value + (sum(event.fee for event in mine) if command.side == Side.BUY else 0) <= command.size
                seen["money"] += 1
        accounts = {event.order: event.account for event in events if event.kind == EventKind.FILLED}
        for trade in (event for event in events if event.kind == EventKind.TRADE):
            taker, maker = (oracle.account[accounts[order]] for order in (trade.order, trade.maker))
            if accounts[trade.order] == accounts[trade.maker] or taker.group == maker.group != 0:
                mode = modes.get(trade.order) or command.self_trade or taker.self_trade
                assert mode == SelfTrade.ALLOW
                seen["own trade"] += 1
    assert len(seen) == 4
    assert min(seen.values()) > COMMANDS // 2_000


@pytest.mark.parametrize("seed", SEEDS)
def test_a_buffer_of_commands_is_the_same_as_one_after_the_other(seed: int) -> None:
    chance = random.Random(seed)
    oracle, one_by_one, buffered = new_oracle(seed), new_exchange(seed), new_exchange(seed)
    flow = RandomFlow(seed, oracle)
    left = COMMANDS
    while left > 0:
        count = min(left, chance.choice((0, 1, 2, 3, 10, 100, 500)))
        left -= count
        buffer, expected = Commands(), []
        for _ in range(count):
            command = flow.next()
            buffer.extend(command.packed())
            expected.append(oracle.run(command))
            flow.saw(expected[-1])
            submit(one_by_one, command)
        refused = buffered.execute(buffer)
        assert refused == sum(event.kind == EventKind.REJECTED for events in expected for event in events)
        assert buffered.events.batches == count
        assert [buffered.events.batch(number) for number in range(count)] == expected
        assert list(buffered.events) == [event for events in expected for event in events]
        assert buffered.state_hash() == one_by_one.state_hash()
    buffered.check()
    compare(buffered, oracle)
