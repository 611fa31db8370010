"""The engine under random and hostile commands while tens or hundreds of thousands of orders are open.

DELTABOOK_CROWDED and DELTABOOK_HOSTILE count the commands and the records, DELTABOOK_SEED is the first of the seeds; a test's name has its own.
"""

import os
from collections import Counter
from collections.abc import Callable

import pytest

from engine import Exchange, Reason
from tests.engine.crowds import POPULATIONS, Array, Crowd

RUN = 500_000
"""Commands of one seed, where there are so many. A run of fewer has the smallest of the populations."""

FIRST = int(os.environ.get("DELTABOOK_SEED", "1"))
CROWDED = int(os.environ.get("DELTABOOK_CROWDED", "10000"))
HOSTILE = int(os.environ.get("DELTABOOK_HOSTILE", "10000"))
CALL = 2_000
"""Records of one call."""

FEW = 40
"""Open orders of an exchange that is checked after each record."""

CHECKED_OF_FEW, CHECKED_OF_MANY = 10, 100
"""One in so many hostile records is checked at once: in a short run, and in a long one, where the checks would take nearly all of the time."""


def runs(count: int) -> list[tuple[int, int]]:
    """Seeds, and the number of commands of each."""
    return [(FIRST + number, min(RUN, count - number * RUN)) for number in range((count + RUN - 1) // RUN)]


def crowd_of(seed: int, count: int) -> Crowd:
    return Crowd(seed, POPULATIONS[seed % len(POPULATIONS)] if count == RUN else POPULATIONS[0])


def run(crowd: Crowd, make: Callable[[int], Array], count: int) -> Counter[int]:
    """Run as many records; how often each reason was given. A copy, saved and restored at first and halfway, does the same in calls of other lengths."""
    reasons: Counter[int] = Counter()
    for half in (count // 2, count - count // 2):
        crowd.copy = Exchange.restore(crowd.exchange.snapshot())
        while half:
            group = make(min(half, CALL))
            half -= len(group)
            crowd.run(group)
            told = crowd.events()["reason"]
            reasons.update(told[told != 0].tolist())
            if crowd.random.random() < 0.1:
                crowd.settle()
        crowd.exchange.check()
        assert crowd.copy.state_hash() == crowd.exchange.state_hash()
        crowd.look()
    return reasons


@pytest.mark.parametrize(("seed", "count"), runs(CROWDED))
def test_a_crowd_is_served_as_a_few_are(seed: int, count: int) -> None:
    crowd = crowd_of(seed, count)
    reasons = run(crowd, crowd.commands, count)
    assert crowd.exchange.order_count > crowd.population // 2
    assert {Reason.POST_ONLY_WOULD_TAKE, Reason.UNFILLABLE, Reason.SELF_TRADE, Reason.LINKED, Reason.EXPIRED} < reasons.keys()


@pytest.mark.parametrize(("seed", "count"), runs(HOSTILE))
def test_a_hostile_record_harms_nothing(seed: int, count: int) -> None:
    """Some of the records find a few orders, which are checked after each one; the others a crowd, which is checked now and then."""
    crowd = crowd_of(seed, count)
    some = count // (CHECKED_OF_MANY if count == RUN else CHECKED_OF_FEW)
    reasons = run(crowd, crowd.hostile, count - some)
    assert {Reason.UNKNOWN_COMMAND, Reason.UNKNOWN_OPTION, Reason.NOTIONAL_TOO_LARGE, Reason.REQUESTED} < reasons.keys()
    few = Crowd(seed, FEW)
    for start in range(0, some, FEW):
        few.settle()
        few.look()
        for record in few.hostile(min(FEW, some - start)):
            few.exchange.execute(record.tobytes())
            few.exchange.check()
