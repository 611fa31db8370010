"""Sources of order flow: the recorded book is the recording's, whoever else trades; the simulated market is its seed's."""

import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from engine import Commands, EventKind, Exchange, OrderBook, TimeInForce
from stream.sources import Source, refill
from stream.sources.recorded import FUNDS, LOOP_GAP_NS, RECORDING, RecordedSource
from stream.sources.simulated import PROFILES, QUOTE_FUNDS, QUOTES, REFILL_STEPS, SimulatedSource

Sides = tuple[dict[int, int], dict[int, int]]


def opened(source: Source, tombstones: int = 4096) -> Exchange:
    exchange = Exchange(tombstones=tombstones)
    for name, decimals in source.assets.items():
        exchange.add_asset(name, decimals)
    for instrument in source.instruments:
        exchange.add_instrument(instrument)
    commands = Commands()
    source.open(exchange, [exchange.open_account() for _ in range(source.account_count)], commands)
    assert exchange.execute(commands) == 0
    return exchange


def step(source: Source, exchange: Exchange) -> int:
    """How many commands were refused."""
    commands = Commands()
    source.step(commands, source.next_time())
    return exchange.execute(commands)


def levels(book: OrderBook) -> Sides:
    bids, asks = book.levels.depth()
    return dict(zip(bids[::2], bids[1::2], strict=True)), dict(zip(asks[::2], asks[1::2], strict=True))


def own_levels(exchange: Exchange, account: int) -> Sides:
    sides: Sides = ({}, {})
    for order in exchange.orders(account):
        sides[order.side][order.price] = sides[order.side].get(order.price, 0) + order.remaining
    return sides


# The recording, read the slow way


def units(text: str, per_unit: str) -> int:
    value = Decimal(text) / Decimal(per_unit)
    assert value == int(value)
    return int(value)


def truth() -> Iterator[tuple[str, Sides, tuple[tuple[int, int], tuple[int, int]] | None]]:
    """For each step of one loop: its kind, the book after it, and the recording's own best bid and ask where it has them for that book."""
    messages = [json.loads(line.partition(b" ")[2]) for line in gzip.decompress(RECORDING.read_bytes()).splitlines()]
    first = next(index for index, message in enumerate(messages) if "lastUpdateId" in message)
    snapshot = messages[first]
    book: Sides = ({}, {})
    best: dict[int, tuple[tuple[int, int], tuple[int, int]]] = {}
    for side, rows in zip(book, (snapshot["bids"], snapshot["asks"]), strict=True):
        side.update((units(price, "0.01"), units(size, "0.000001")) for price, size in rows)
    yield "snapshot", book, None
    for index, message in enumerate(messages):
        data = message.get("data", {})
        if data.get("e") == "trade" and index > first:
            yield "trade", book, None
        elif data.get("e") == "depthUpdate" and data["u"] > snapshot["lastUpdateId"]:
            for side, rows in zip(book, (data["b"], data["a"]), strict=True):
                for price, size in rows:
                    side[units(price, "0.01")] = units(size, "0.000001")
                    if not side[units(price, "0.01")]:
                        del side[units(price, "0.01")]
            yield "depth", book, best.get(data["u"])
        elif "B" in data:
            rows = (data["b"], data["B"]), (data["a"], data["A"])
            bid, ask = ((units(price, "0.01"), units(size, "0.000001")) for price, size in rows)
            best[data["u"]] = bid, ask


def test_recorded_book_is_the_recordings_over_a_whole_loop_and_into_the_next() -> None:
    source = RecordedSource()
    exchange = opened(source)
    book = exchange.book("BTC-USDT")
    steps, opening = list(islice(truth(), 1)), levels(book)
    assert opening == steps[0][1]
    books = bests = 0
    for kind, expected, best in islice(truth(), 1, None):
        assert step(source, exchange) == 0
        if kind == "depth":
            books += 1
            assert levels(book) == expected
        if best:
            bests += 1
            assert (book.levels.best_bid, book.levels.best_ask) == best
    assert (books, bests) == (3449, 564)
    assert source.loops == 1
    end = source.next_time()
    for kind, expected, _ in islice(truth(), 200):
        assert source.next_time() >= end
        assert step(source, exchange) == 0
        if kind != "trade":
            assert levels(book) == expected
    exchange.check()


def test_recorded_accounts_are_made_good_each_loop() -> None:
    source = RecordedSource()
    exchange = opened(source)
    while source.loops < 1:
        assert step(source, exchange) == 0
    assert exchange.balance(source.accounts[1], 0) != (FUNDS["BTC"], 0)
    assert exchange.fees(1) > 0
    assert step(source, exchange) == 0
    for account in source.accounts:
        assert [sum(amounts) for amounts in exchange.balances(account)] == list(FUNDS.values())
    assert exchange.supply(1) == len(source.accounts) * FUNDS["USDT"] + exchange.fees(1)


@pytest.mark.parametrize("tombstones", [4096, 2])    # with 2, what changed since the last step is forgotten most of the time
def test_recorded_venue_keeps_its_orders_beside_those_of_others(tombstones: int) -> None:
    source = RecordedSource()
    exchange = opened(source, tombstones)
    book = exchange.book("BTC-USDT")
    user = exchange.open_account()
    exchange.deposit(user, 0, 10**15)
    exchange.deposit(user, 1, 10**18)
    random = Random(7)
    taken = 0
    for kind, expected, _ in islice(truth(), 1, 800):
        assert step(source, exchange) == 0
        if kind == "depth":
            assert own_levels(exchange, source.accounts[0]) == expected
            assert own_levels(exchange, source.accounts[1]) == ({}, {})
        side = random.randrange(2)
        best = book.levels.best_ask if side == 0 else book.levels.best_bid
        assert best is not None
        if random.random() < 0.5:    # sweep some levels
            exchange.place(user, 0, side, best[0] + (1 - 2 * side) * 500, random.randrange(1, 3_000_000), time_in_force=TimeInForce.IOC)
            taken += len(exchange.events.select(1 << EventKind.TRADE))
        else:    # rest well behind the best price
            exchange.place(user, 0, side, best[0] - (1 - 2 * side) * random.randrange(20_000, 40_000), random.randrange(1, 1_000_000))
        if random.random() < 0.1:
            exchange.cancel_all(user)
    assert taken > 250
    exchange.check()


def test_recorded_venue_trades_with_orders_in_its_way_and_comes_back() -> None:
    source = RecordedSource()
    exchange = opened(source)
    book = exchange.book("BTC-USDT")
    user = exchange.open_account()
    exchange.deposit(user, 1, 10**18)
    steps = islice(truth(), 1, None)
    assert book.levels.best_ask is not None
    exchange.place(user, 0, 0, book.levels.best_ask[0] + 300, 50_000_000)    # takes all below, and is in the way of what comes back
    while exchange.orders(user):
        _, expected, _ = next(steps)
        assert step(source, exchange) == 0
        assert not book.levels.crossed
    while next(steps)[0] != "depth":
        step(source, exchange)
    step(source, exchange)
    assert own_levels(exchange, source.accounts[0]) == levels(book) == expected


def test_recorded_takers_take_better_prices_of_others() -> None:
    source = RecordedSource()
    exchange = opened(source)
    user = exchange.open_account()
    exchange.deposit(user, 0, 10**15)
    kind = ""
    for kind, expected, _ in islice(truth(), 1, None):
        if kind == "trade" and min(expected[1]) - max(expected[0]) > 1:
            break
        step(source, exchange)
    order = exchange.place(user, 0, 1, min(expected[1]) - 1, 1, post_only=True)
    for _ in range(500):
        step(source, exchange)
    assert exchange.order(order) is None


def test_recorded_time_follows_the_speed() -> None:
    exchange = opened(slow := RecordedSource())
    quick = opened(fast := RecordedSource(speed=4.0))
    before = 0
    for _ in range(300):
        assert fast.next_time() == slow.next_time() // 4
        assert slow.next_time() >= before
        before = slow.next_time()
        step(slow, exchange)
        step(fast, quick)
    assert exchange.books[0].levels.depth() == quick.books[0].levels.depth()
    assert [exchange.balances(account) for account in range(exchange.accounts)] == [quick.balances(account) for account in range(quick.accounts)]


def test_recorded_loops_follow_each_other_after_a_pause(tmp_path: Path) -> None:
    lines = gzip.decompress(RECORDING.read_bytes()).splitlines(keepends=True)[:60]
    path = tmp_path / "short.gz"
    path.write_bytes(gzip.compress(b"".join(lines)))
    source = RecordedSource(path=path)
    exchange = opened(source)
    times = [0]
    while source.loops < 3:
        times.append(source.next_time())
        assert step(source, exchange) == 0
    assert times == sorted(times)
    span = int(lines[-1].split()[0]) - next(int(line.split()[0]) for line in lines if b"lastUpdateId" in line)
    assert source.next_time() == 3 * (span + LOOP_GAP_NS)


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
def test_recorded_speed_has_to_be_positive(speed: float) -> None:
    with pytest.raises(ValueError, match="expected more than 0"):
        RecordedSource(speed)


def test_recording_without_a_snapshot_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.gz"
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(ValueError, match="a recording with a snapshot"):
        RecordedSource(path=path)


# Simulated


def run(source: Source, exchange: Exchange, steps: int) -> int:
    return sum(step(source, exchange) for _ in range(steps))


def test_simulated_market_is_its_seeds() -> None:
    hashes = []
    for seed in (1, 1, 2):
        source = SimulatedSource(seed)
        exchange = opened(source)
        run(source, exchange, 5000)
        hashes.append((exchange.state_hash(), source.next_time()))
    assert hashes[0] == hashes[1] != hashes[2]


def test_simulated_market_is_deep_bounded_and_never_refused() -> None:
    source = SimulatedSource(seed=3)
    exchange = opened(source)
    assert exchange.order_count == QUOTES * len(PROFILES)
    trades = 0
    for index in range(30_000):
        assert step(source, exchange) == 0
        trades += len(exchange.events.select(1 << EventKind.TRADE))
        assert exchange.order_count <= QUOTES * len(PROFILES)
        if not index % 5000:
            for book in exchange.books:
                assert all(40 <= len(side) // 2 <= 250 for side in book.levels.depth())
            exchange.check()
    assert trades > 1000


def test_simulated_rate() -> None:
    source = SimulatedSource(rate=200)
    exchange = opened(source)
    run(source, exchange, 12_000)
    assert 19e9 < source.next_time() < 21e9    # 600 a second


def test_simulated_accounts_are_made_good() -> None:
    source = SimulatedSource(seed=5)
    exchange = opened(source)
    assert run(source, exchange, 4 * REFILL_STEPS - 1) == 0
    before = exchange.fees(exchange.asset("USDT"))
    assert before > 0
    run(source, exchange, 1)
    for account in source.accounts[:-1]:
        assert sum(exchange.balance(account, exchange.asset("USDT"))) == pytest.approx(QUOTE_FUNDS * 10**8, rel=1e-3)
    assert exchange.supply(exchange.asset("USDT")) == pytest.approx(len(source.accounts) * QUOTE_FUNDS * 10**8, rel=1e-4)


def test_simulated_market_goes_on_when_others_take_its_orders() -> None:
    source = SimulatedSource(seed=9, rate=1000)
    exchange = opened(source)
    user = exchange.open_account()
    for asset in range(len(source.assets)):
        exchange.deposit(user, asset, 10**16)
    random = Random(1)
    for _ in range(3000):
        assert step(source, exchange) == 0
        book = random.choice(exchange.books)
        exchange.execute(one_order(user, book, random))
    exchange.check()
    assert all(len(side) > 20 for book in exchange.books for side in book.levels.depth())


def one_order(user: int, book: OrderBook, random: Random) -> Commands:
    commands = Commands()
    commands.place(user, book.index, random.randrange(2), 0, random.randrange(1, 5000), type=1, time_in_force=TimeInForce.IOC)
    return commands


def test_simulated_terms_are_checked() -> None:
    with pytest.raises(ValueError, match="expected at least 1"):
        SimulatedSource(rate=0)
    with pytest.raises(ValueError, match="expected at least 1"):
        SimulatedSource(profiles=())


# Funds


def test_refill_deposits_and_withdraws_what_is_available() -> None:
    exchange = opened(SimulatedSource())
    account = exchange.open_account()
    exchange.deposit(account, 0, 1_000_000_000)
    exchange.place(account, 0, 1, 10**9, 10)    # holds a part of it
    commands = Commands()
    refill(commands, exchange, account, {0: 5, 1: 70}, time=0)
    assert exchange.execute(commands) == 0
    assert exchange.balance(account, 0) == (0, 100_000)
    assert exchange.balance(account, 1) == (70, 0)
    refill(commands := Commands(), exchange, account, {0: 5, 1: 70}, time=0)
    assert len(commands) == 0
