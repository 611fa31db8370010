"""Nothing depends on size alone: where a size decides, both sides of it are met, and the twin agrees on both."""

import pytest

from engine import Commands, Event, Exchange, IndexedQueues
from engine.thresholds import Threshold, sides_met
from tests.engine.random_flow import RandomFlow, new_exchange, new_oracle

GROUPS = (1, 2, 3, 5, 17, 18, 19, 100)
"""Commands a call, so that looking ahead ends in each of its steps."""


def expected_and_told(seed: int, rounds: int) -> tuple[list[Event], list[Event], Exchange]:
    """What the twin and the engine say of the same random groups of commands."""
    oracle, exchange = new_oracle(seed), new_exchange(seed)
    flow = RandomFlow(seed, oracle)
    expected: list[Event] = []
    told: list[Event] = []
    for count in GROUPS * rounds:
        group = Commands()
        for _ in range(count):
            command = flow.next()
            group.extend(command.packed())
            events = oracle.run(command)
            flow.saw(events)
            expected += events
        exchange.execute(group)
        told += exchange.events
        exchange.check()
    return expected, told, exchange


@pytest.mark.skipif(sides_met() is None, reason="the thresholds of the usual build are large: make checked")
def test_a_small_run_meets_both_sides_of_every_threshold() -> None:
    before = sides_met()
    expected, told, exchange = expected_and_told(seed=1, rounds=15)
    assert told == expected
    assert Exchange.restore(exchange.snapshot()).state_hash() == exchange.state_hash()
    queues = IndexedQueues()
    for order in range(1, 9):
        queues.add(order, 0, 100, 1)
    met = {name: (below - before[name][0], above - before[name][1]) for name, (below, above) in sides_met().items()}
    assert met.keys() == {threshold.name for threshold in Threshold}
    assert {name: sides for name, sides in met.items() if not all(sides)} == {}


@pytest.mark.skipif(sides_met() is not None, reason="a checked build counts")
def test_the_usual_build_counts_nothing() -> None:
    expected, told, _ = expected_and_told(seed=2, rounds=2)
    assert told == expected
    assert sides_met() is None
