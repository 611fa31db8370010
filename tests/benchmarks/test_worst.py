"""The search for the slowest commands: every adversary makes its state, and no command causes more events than the reference allows it."""

from random import Random

import pytest

from benchmarks.adversaries import ADVERSARIES
from benchmarks.worst import measure, search, table_of


@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_no_command_causes_more_events_than_its_bound(adversary: str) -> None:
    for seed in range(3):
        ns, events, bound, _ = measure(adversary, 60, Random(seed))
        assert ns > 0
        assert 0 < events <= bound


def test_the_slowest_of_some_tries_is_told() -> None:
    worst = search("sweep", 40, 3, Random(1))
    assert worst.events <= worst.most_events <= worst.bound
    assert table_of([worst], 40).row_count == 1
