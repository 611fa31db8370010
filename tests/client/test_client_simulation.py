"""The Python client in worlds of bad networks. A failing seed replays exactly.

DELTABOOK_SEEDS counts the worlds, DELTABOOK_SEED names the first.
"""

import os

import pytest

from tests.client.simulated_network import FATES, simulate

FIRST = int(os.environ.get("DELTABOOK_SEED", "1"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("DELTABOOK_SEEDS", "12")))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_promise_holds_for_a_client(seed: int) -> None:
    simulate(seed)


@pytest.mark.parametrize("seed", [6687, 6944, 7395, 7415])
def test_a_window_is_never_taken_for_a_full_book(seed: int) -> None:
    """Worlds in which somebody changes between a window and the full book, or gives that up, while others have it."""
    simulate(seed)


def test_the_worlds_of_clients_are_eventful() -> None:
    worlds = [simulate(seed) for seed in range(6)]
    assert {fate for world in worlds for fate in world.fates} == set(FATES)
    told = [type(why).__name__ for world in worlds for person in world.people for why in person.told]
    assert {"ClientError", "ConnectionLost", "SignInRefused", "NoneType"} <= set(told)
    resumed = {kind for world in worlds for person in world.people for kind, _ in person.client.resumed}
    assert resumed == {"none", "merged", "snapshot"}
    assert all(world.market.exchange.seq > 100 for world in worlds)
