"""Price levels: what is at each price, and what changed since any sequence."""

import random
from itertools import chain

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine import MONEY_MAX, PRICE_MAX, PriceLevels
from engine.levels import digest_of, mix64
from tests.engine.oracle_levels import NaiveLevels, mix

BID, ASK = 0, 1


def pairs(levels: list[int]) -> list[tuple[int, int]]:
    return sorted(zip(levels[::2], levels[1::2], strict=True))


def new_levels(bids: list[int], asks: list[int], tombstones: int = 4096) -> PriceLevels:
    levels = PriceLevels(tombstones)
    levels.apply(bids, asks, 1)
    return levels


def test_an_empty_book() -> None:
    levels = PriceLevels()
    assert (len(levels), levels.seq, levels.floor, levels.digest, levels.changes) == (0, 0, 0, 0, 0)
    assert levels.best_bid is None
    assert levels.best_ask is None
    assert not levels.crossed
    assert levels.depth() == ([], [])
    assert levels.changes_since(0) == ([], [])


def test_depth_is_best_first() -> None:
    levels = new_levels([99, 5, 101, 1, 100, 2], [104, 3, 102, 7])
    assert levels.depth() == ([101, 1, 100, 2, 99, 5], [102, 7, 104, 3])
    assert levels.depth(1) == ([101, 1], [102, 7])
    assert levels.depth(2) == ([101, 1, 100, 2], [102, 7, 104, 3])
    assert (levels.best_bid, levels.best_ask) == ((101, 1), (102, 7))


def test_sizes_are_absolute_and_zero_removes() -> None:
    levels = new_levels([100, 5], [])
    assert levels.set(BID, 100, 3, 2)
    assert levels.size_at(BID, 100) == 3
    assert levels.set(BID, 100, 0, 3)
    assert (levels.size_at(BID, 100), len(levels)) == (0, 0)


def test_what_changes_nothing_keeps_the_sequence() -> None:
    levels = new_levels([100, 5], [])
    assert not levels.set(BID, 100, 5, 7)
    assert not levels.set(ASK, 100, 0, 7)
    assert levels.apply([100, 5], [101, 0], 7) == 0
    assert (levels.seq, levels.changes) == (1, 1)
    assert levels.changes_since(1) == ([], [])


def test_changes_counts_calls_that_changed_something() -> None:
    levels = PriceLevels()
    levels.apply([100, 1, 99, 1], [101, 1], 1)
    levels.set(BID, 100, 2, 2)
    levels.set(BID, 100, 2, 3)
    assert levels.changes == 2


def test_each_changed_level_is_told_once_with_its_size_now() -> None:
    levels = new_levels([100, 1, 99, 1], [101, 1])
    levels.set(BID, 100, 2, 2)
    levels.set(BID, 100, 3, 3)
    levels.set(ASK, 101, 0, 4)
    assert levels.changes_since(1) == ([100, 3], [101, 0])
    assert levels.changes_since(3) == ([], [101, 0])
    assert levels.changes_since(4) == ([], [])


def test_a_level_that_changed_and_changed_back_is_told() -> None:
    levels = new_levels([100, 1], [])
    levels.set(BID, 100, 2, 2)
    levels.set(BID, 100, 1, 3)
    assert levels.changes_since(1) == ([100, 1], [])


def test_the_oldest_tombstone_is_forgotten_first_and_raises_the_floor() -> None:
    levels = new_levels([97, 1, 98, 1, 99, 1], [], tombstones=2)
    for seq, price in enumerate((98, 97, 99), start=2):
        levels.set(BID, price, 0, seq)
    assert levels.floor == 2
    assert levels.changes_since(1) is None
    assert levels.changes_since(2) is not None
    assert pairs(levels.changes_since(2)[0]) == [(97, 0), (99, 0)]      # type: ignore[index]


def test_a_level_that_is_set_again_is_no_tombstone() -> None:
    levels = new_levels([97, 1, 98, 1, 99, 1], [], tombstones=2)
    levels.set(BID, 97, 0, 2)
    levels.set(BID, 97, 5, 3)
    levels.set(BID, 98, 0, 4)
    levels.set(BID, 99, 0, 5)
    assert levels.floor == 0


def test_without_tombstones_every_removal_raises_the_floor() -> None:
    levels = new_levels([100, 1], [], tombstones=0)
    levels.set(BID, 100, 0, 2)
    assert levels.floor == 2
    assert levels.changes_since(2) == ([], [])
    levels.check()


def test_reset_forgets_everything_before_it() -> None:
    levels = new_levels([100, 1], [101, 1])
    levels.reset(50)
    assert (len(levels), levels.seq, levels.floor, levels.digest) == (0, 50, 50, 0)
    assert levels.changes_since(49) is None
    assert levels.changes_since(50) == ([], [])
    levels.set(BID, 100, 1, 50)
    assert levels.depth() == ([100, 1], [])


def test_a_book_is_crossed_when_the_best_bid_is_not_below_the_best_ask() -> None:
    assert new_levels([100, 1], [100, 1]).crossed
    assert new_levels([101, 1], [100, 1]).crossed
    assert not new_levels([100, 1], [101, 1]).crossed
    assert not new_levels([100, 1], []).crossed


@pytest.mark.parametrize(
    ("side", "price", "size"),
    [(2, 1, 1), (-1, 1, 1), (0, -1, 1), (0, PRICE_MAX, 1), (0, 1, -1), (0, 1, MONEY_MAX + 1), (0, 1 << 70, 1), (0, 1, 1 << 70), (1 << 40, 1, 1)],
)
def test_values_out_of_range_are_refused(side: int, price: int, size: int) -> None:
    levels = new_levels([100, 1], [])
    with pytest.raises((ValueError, OverflowError)):
        levels.set(side, price, size, 2)
    assert levels.depth() == ([100, 1], [])
    assert levels.seq == 1


def test_apply_is_all_or_nothing() -> None:
    levels = new_levels([100, 1], [])
    for bids, asks in (([99, 1, 98], []), ([99, 1], [101]), ([99, 1], [101, -1])):
        with pytest.raises(ValueError, match="expected"):
            levels.apply(bids, asks, 2)
        with pytest.raises(ValueError, match="expected"):
            levels.digest_after(bids, asks)
    assert levels.depth() == ([100, 1], [])


def test_a_book_that_follows_another_answers_whoever_was_with_that_one_in_between() -> None:
    """In between a level changed and changed back, and another one came and went."""
    leader, follower = new_levels([100, 1], []), new_levels([100, 1], [])
    leader.apply([100, 7], [101, 7], 2)
    between = new_levels(*leader.depth())
    leader.apply([100, 1], [101, 0], 3)
    assert follower.follow(*(leader.changes_since(1) or ([], [])), 3) == 0
    between.apply(*(follower.changes_since(2) or ([], [])), 3)
    assert between.depth() == leader.depth() == follower.depth() == ([100, 1], [])
    assert (follower.seq, follower.changes) == (3, 1)
    follower.check()


def test_a_reset_to_no_sequence_forgets_nothing() -> None:
    levels = new_levels([100, 1], [])
    with pytest.raises((ValueError, OverflowError)):
        levels.reset(-1)
    assert levels.depth() == ([100, 1], [])


def test_prices_and_sizes_are_whole_numbers() -> None:
    levels = PriceLevels()
    for level in ([100.5, 1], [100, 1.5], ["100", 1], [None, 1]):
        with pytest.raises(TypeError):
            levels.apply(level, [], 1)      # type: ignore[arg-type]
    assert len(levels) == 0


def test_sequences_do_not_go_back() -> None:
    levels = new_levels([100, 1], [])
    levels.set(BID, 99, 1, 5)
    levels.set(BID, 98, 1, 5)
    with pytest.raises(ValueError, match="sequence 4"):
        levels.set(BID, 97, 1, 4)
    with pytest.raises(ValueError, match="sequence 4"):
        levels.apply([97, 1], [], 4)
    with pytest.raises(ValueError, match="sequence 0"):
        PriceLevels().set(BID, 97, 1, 0)


def test_the_largest_numbers() -> None:
    levels = PriceLevels()
    levels.set(BID, PRICE_MAX - 1, MONEY_MAX, 1)
    levels.set(ASK, 0, MONEY_MAX, (1 << 64) - 1)
    assert levels.depth() == ([PRICE_MAX - 1, MONEY_MAX], [0, MONEY_MAX])
    assert levels.changes_since(1) == ([], [0, MONEY_MAX])
    levels.check()


def test_mix64_is_the_one_of_the_protocol() -> None:
    for side, price, size in ((0, 0, 0), (0, 1, 1), (1, 1, 1), (0, 100, 5), (1, PRICE_MAX - 1, MONEY_MAX)):
        assert mix64(side, price, size) == mix(side, price, size)
    assert mix64(0, 0, 0) == 0
    assert digest_of([100, 5, 99, 1], [101, 2]) == (mix(0, 100, 5) + mix(0, 99, 1) + mix(1, 101, 2)) % (1 << 64)


def test_the_digest_is_of_the_levels_alone_not_of_how_they_came_about() -> None:
    one = new_levels([100, 5, 99, 1], [101, 2])
    other = PriceLevels()
    other.set(ASK, 101, 2, 1)
    other.set(BID, 98, 9, 2)
    other.set(BID, 99, 1, 3)
    other.set(BID, 100, 7, 4)
    other.set(BID, 98, 0, 5)
    other.set(BID, 100, 5, 6)
    assert one.digest == other.digest == digest_of(*one.depth())


def test_a_hundred_thousand_scattered_levels() -> None:
    chance = random.Random(1)
    prices = [chance.randrange(PRICE_MAX) for _ in range(100_000)]
    levels = new_levels([number for price in prices for number in (price, price % 97 + 1)], [])
    best_first = sorted(set(prices), reverse=True)
    assert levels.depth()[0][::2] == best_first
    levels.check()
    for seq, price in enumerate(best_first, start=2):
        levels.set(BID, price, 0, seq)
        assert levels.best_bid == (None if price == best_first[-1] else (best_first[seq - 1], best_first[seq - 1] % 97 + 1))
    levels.check()


# The engine and its oracle, driven together

clusters = st.sampled_from((0, 1, 60, 4_090, 262_140, 1 << 24, (1 << 30) - 3, (1 << 42) - 2, PRICE_MAX - 9))
prices = st.builds(int.__add__, clusters, st.integers(0, 8)) | st.sampled_from((0, 1, PRICE_MAX - 1))
sizes = st.sampled_from((0, 0, 1, 2, 3, MONEY_MAX))
flat_levels = st.lists(st.tuples(prices, sizes), max_size=8).map(lambda levels: list(chain.from_iterable(levels)))
steps = st.integers(0, 2)


class LevelsAndTheirOracle(RuleBasedStateMachine):
    """Whatever is done to both, they tell the same; and a client that takes changes at odd times has the book."""

    @initialize(tombstones=st.integers(0, 5))
    def begin(self, tombstones: int) -> None:
        self.levels = PriceLevels(tombstones)
        self.oracle = NaiveLevels(tombstones)
        self.client = PriceLevels()
        self.client_seq = 0
        self.seq = 1

    @rule(side=st.integers(0, 1), price=prices, size=sizes, step=steps)
    def set(self, side: int, price: int, size: int, step: int) -> None:
        self.seq += step
        assert self.levels.set(side, price, size, self.seq) == self.oracle.set(side, price, size, self.seq)

    @precondition(lambda self: len(self.oracle) > 0)
    @rule(choice=st.randoms(use_true_random=False), size=sizes, step=steps)
    def set_a_level_that_is_there(self, choice: random.Random, size: int, step: int) -> None:
        side, price = choice.choice(sorted(self.oracle.sizes))
        self.set(side, price, size, step)

    @rule(bids=flat_levels, asks=flat_levels, step=steps)
    def apply(self, bids: list[int], asks: list[int], step: int) -> None:
        self.seq += step
        assert self.levels.apply(bids, asks, self.seq) == self.oracle.apply(bids, asks, self.seq)

    @rule(bids=flat_levels, asks=flat_levels, step=steps)
    def follow(self, bids: list[int], asks: list[int], step: int) -> None:
        self.seq += step
        assert self.levels.follow(bids, asks, self.seq) == self.oracle.follow(bids, asks, self.seq)

    @rule(step=steps)
    def empty_the_best(self, step: int) -> None:
        bids, asks = self.levels.depth(2)
        self.apply([number for price in bids[::2] for number in (price, 0)], [number for price in asks[::2] for number in (price, 0)], step)

    @rule(step=steps)
    def reset(self, step: int) -> None:
        self.seq += step
        self.levels.reset(self.seq)
        self.oracle.reset(self.seq)

    @rule(back=st.integers(0, 12))
    def ask_for_changes(self, back: int) -> None:
        since = max(0, self.seq - back)
        changes, expected = self.levels.changes_since(since), self.oracle.changes_since(since)
        assert (changes is None) == (expected is None)
        if changes and expected:
            assert [pairs(side) for side in changes] == [pairs(side) for side in expected]

    @rule()
    def resume(self) -> None:
        """The client, who was last here at its own sequence, is brought up to date. What changes from here on comes later."""
        changes = self.levels.changes_since(self.client_seq)
        if changes is None:
            self.client.reset(0)
            changes = self.levels.depth()
        assert self.client.digest_after(*changes) == self.levels.digest
        self.client.apply(*changes, self.seq)
        assert self.client.depth() == self.levels.depth()
        assert self.client.digest == self.levels.digest
        self.client_seq = self.seq
        self.seq += 1

    @rule(n=st.integers(0, 4))
    def look(self, n: int) -> None:
        assert self.levels.depth(n) == self.oracle.depth(n)

    @invariant()
    def they_agree(self) -> None:
        for name in ("seq", "floor", "changes", "digest", "best_bid", "best_ask", "crossed"):
            assert getattr(self.levels, name) == getattr(self.oracle, name), name
        assert len(self.levels) == len(self.oracle)
        assert self.levels.depth() == self.oracle.depth()
        assert self.levels.digest == digest_of(*self.levels.depth())
        self.levels.check()


TestLevelsAndTheirOracle = LevelsAndTheirOracle.TestCase
