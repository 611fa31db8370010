"""Price levels: a change, the changes since a sequence, the best levels, the digest. Nothing here should grow with the depth of the book."""

from random import Random

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from engine import PriceLevels
from engine.levels import digest_of

DEPTHS = pytest.mark.parametrize("depth", [1_000, 100_000], ids="in {:,}".format)
SETS = 1_000


def filled(depth: int) -> PriceLevels:
    """A book of so many levels, half of them bids."""
    levels = PriceLevels()
    for i in range(depth // 2):
        levels.set(0, depth - i, 1, 2 * i + 1)
        levels.set(1, depth + 1 + i, 1, 2 * i + 2)
    return levels


def changed(levels: PriceLevels, count: int) -> int:
    """Change so many levels, far apart; the sequence before that."""
    before, depth = levels.seq, len(levels)
    for i in range(count):
        price = depth // 2 + 1 + i * (depth // 2 // count)
        levels.set(0, price, levels.size_at(0, price) + 1, before + 1 + i)
    return before


@DEPTHS
def test_1000_sets(benchmark: BenchmarkFixture, depth: int) -> None:
    levels, draw = filled(depth), Random(1)
    prices = [draw.randrange(1, depth + 1) for _ in range(SETS)]
    size = 1

    def run() -> None:
        nonlocal size
        size += 1
        seq = levels.seq
        for price in prices:
            seq += 1
            levels.set(0, price, size, seq)

    benchmark(run)


@DEPTHS
@pytest.mark.parametrize("count", [10, 100], ids="{} levels".format)
def test_apply(benchmark: BenchmarkFixture, depth: int, count: int) -> None:
    levels = filled(depth)
    prices = range(depth // 2 + 1, depth + 1, depth // 2 // count)[:count]
    deltas = [[number for price in prices for number in (price, size)] for size in (2, 3)]
    turn = 0

    def run() -> None:
        nonlocal turn
        turn += 1
        levels.apply(deltas[turn % 2], [], levels.seq + 1)

    benchmark(run)
    assert levels.size_at(0, prices[0]) == 2 + turn % 2


@DEPTHS
@pytest.mark.parametrize("count", [10, 100], ids="{} changes".format)
def test_changes_since(benchmark: BenchmarkFixture, depth: int, count: int) -> None:
    levels = filled(depth)
    changes = benchmark(levels.changes_since, changed(levels, count))
    assert changes is not None
    assert len(changes[0]) == 2 * count


@DEPTHS
@pytest.mark.parametrize("count", [5, 20, 100], ids="best {}".format)
def test_depth(benchmark: BenchmarkFixture, depth: int, count: int) -> None:
    bids, _ = benchmark(filled(depth).depth, count)
    assert len(bids) == 2 * count


@pytest.mark.parametrize("count", [5, 20, 100], ids="{} levels a side".format)
def test_digest_of_a_window(benchmark: BenchmarkFixture, count: int) -> None:
    levels = filled(2 * count)
    assert benchmark(digest_of, *levels.depth()) == levels.digest


@DEPTHS
def test_digest_of_the_book(benchmark: BenchmarkFixture, depth: int) -> None:
    levels = filled(depth)
    benchmark(lambda: levels.digest)
