"""The engine's Python face: one command a call, 64 a call, and what comes out. `python -m benchmarks.engine` has the whole picture."""

from itertools import cycle

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.engine import filled_exchange
from benchmarks.flow import FLOWS, Recording, Workload, batches, record, workload
from engine import Commands, EventKind, Exchange

OPERATIONS = 50_000


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record(FLOWS["A"], OPERATIONS)


@pytest.fixture(scope="module")
def work(recording: Recording) -> Workload:
    return workload(recording)


@pytest.fixture
def exchange(recording: Recording, work: Workload) -> Exchange:
    """10,000 orders rest."""
    return filled_exchange(recording, work)


def beside(exchange: Exchange) -> int:
    """A price at which a buyer rests."""
    best = exchange.books[0].levels.best_bid
    assert best
    return best[0] - 5


def test_place_and_cancel(benchmark: BenchmarkFixture, exchange: Exchange) -> None:
    price = beside(exchange)
    benchmark(lambda: exchange.cancel(0, exchange.place(0, 0, 0, price, 1)))


def test_place_and_cancel_by_client_id(benchmark: BenchmarkFixture, exchange: Exchange) -> None:
    price, ids = beside(exchange), iter(range(1, 1 << 62))

    def run() -> None:
        client_id = next(ids)
        exchange.place(0, 0, 0, price, 1, client_id=client_id)
        exchange.cancel(0, client_id=client_id)

    benchmark(run)


def test_place_and_take(benchmark: BenchmarkFixture, exchange: Exchange) -> None:
    best = exchange.books[0].levels.best_bid
    assert best

    def run() -> None:
        exchange.place(0, 0, 0, best[0] + 1, 1)
        exchange.place(1, 0, 1, best[0] + 1, 1)

    benchmark(run)


def test_execute_64(benchmark: BenchmarkFixture, exchange: Exchange) -> None:
    """Orders that rest and are replaced, again and again, in groups of 64 commands."""
    price = beside(exchange)
    orders = [exchange.place(i, 0, 0, price, 2) for i in range(64)]
    groups = []
    for step in (0, 1):
        commands = Commands()
        for i, order in enumerate(orders):
            commands.replace(i, order, price - step, 2)
        groups.append(bytes(commands))
    turns = cycle(groups)
    benchmark(lambda: exchange.execute(next(turns)))
    assert exchange.order(orders[0]) is not None


def test_execute_flow_a(benchmark: BenchmarkFixture, recording: Recording, work: Workload) -> None:
    """Flow A in groups of 64 commands, from its start in each round."""
    groups = batches(work.timed)

    def prepared() -> tuple[tuple[Exchange], dict[str, object]]:
        return (filled_exchange(recording, work),), {}

    def run(exchange: Exchange) -> None:
        for group in groups:
            exchange.execute(group)

    benchmark.extra_info["commands a round"] = OPERATIONS
    benchmark.pedantic(run, setup=prepared, rounds=5)    # type: ignore[no-untyped-call]


def test_take_64_makers(benchmark: BenchmarkFixture, exchange: Exchange) -> None:
    """64 orders that each take 64 others, in one group: the matcher and next to nothing else."""
    best = exchange.books[0].levels.best_bid
    assert best
    takers = Commands()
    for _ in range(64):
        takers.place(1, 0, 1, best[0] + 1, 64)
    taking = bytes(takers)
    makers = Commands()
    for _ in range(64 * 64):
        makers.place(0, 0, 0, best[0] + 1, 1)
    making = bytes(makers)

    def prepared() -> tuple[tuple[bytes], dict[str, object]]:
        exchange.execute(making)
        return (taking,), {}

    benchmark.pedantic(exchange.execute, setup=prepared, rounds=50)    # type: ignore[no-untyped-call]
    assert exchange.books[0].levels.best_bid == best


def test_events_of_64(benchmark: BenchmarkFixture, exchange: Exchange, work: Workload) -> None:
    exchange.execute(batches(work.timed)[0])
    assert len(benchmark(lambda: list(exchange.events))) == len(exchange.events)


def test_trades_of_64(benchmark: BenchmarkFixture, exchange: Exchange, work: Workload) -> None:
    exchange.execute(batches(work.timed)[0])
    benchmark(exchange.events.select, 1 << EventKind.TRADE)


def test_encode_64_commands(benchmark: BenchmarkFixture) -> None:
    commands, sides = Commands(), cycle((0, 1))

    def run() -> None:
        commands.clear()
        for i in range(64):
            commands.place(i, 0, next(sides), 100, 1)

    benchmark(run)
