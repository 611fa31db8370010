"""The promises to clients, in worlds of slow, lost, returning and babbling ones. A failing seed replays exactly.

DELTABOOK_SEEDS counts the worlds, DELTABOOK_SEED names the first.
"""

import os

import pytest

from engine import EventKind, Reason
from stream.commands.results import ORDER_KINDS
from tests.market.simulation import simulate

FIRST = int(os.environ.get("DELTABOOK_SEED", "1"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("DELTABOOK_SEEDS", "40")))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_promise_holds(seed: int) -> None:
    simulate(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_promise_holds_though_the_power_goes(seed: int) -> None:
    simulate(seed, crashing=True)


def test_who_returns_after_a_crash_is_patched() -> None:
    worlds = [simulate(seed, crashing=True) for seed in range(3)]
    assert sum(world.crashes for world in worlds) > 3
    assert sum(world.market.hub.counters.recovered["merged", "patch"] for world in worlds) > 3


def test_the_worlds_are_eventful() -> None:
    """The simulation reaches every way to be brought up to date, merges, gaps and catch-ups; and every event of an order, and its every end."""
    seen: set[tuple[str, str]] = set()
    happened: set[tuple[EventKind, Reason]] = set()
    limits: set[str] = set()
    merges = gaps = catch_ups = heartbeats = audited = 0
    for seed in range(12):
        market = simulate(seed).market
        counters = market.hub.counters
        happened |= market.seen
        limits |= market.limits.hit.keys()
        audited += market.audit.frames
        seen |= counters.recovered.keys()
        merges += counters.merges
        gaps += counters.gaps
        catch_ups += counters.catch_ups
        heartbeats += counters.heartbeats
    assert {("none", "current"), ("merged", "patch"), ("snapshot", "new"), ("snapshot", "window"), ("snapshot", "forgotten"), ("snapshot", "larger")} <= seen
    assert min(merges, gaps, catch_ups, heartbeats, audited) > 0
    assert {kind for kind, _ in happened} >= ORDER_KINDS
    ends = (Reason.REQUESTED, Reason.UNFILLED, Reason.EXPIRED, Reason.SELF_TRADE, Reason.LINKED)
    assert {"errors_max", "messages_per_s"} <= limits
    assert {(EventKind.CANCELLED, reason) for reason in ends} | {(EventKind.REDUCED, Reason.SELF_TRADE)} <= happened


def test_every_promise_holds_for_a_crowd() -> None:
    """Hundreds of clients at once."""
    world = simulate(FIRST, steps=60, clients=240)
    assert len(world.market.sessions) > 240
    assert world.market.limits.hit


def test_the_same_seed_is_the_same_world() -> None:
    one, other = simulate(5, steps=100), simulate(5, steps=100)
    assert one.market.exchange.state_hash() == other.market.exchange.state_hash()
    assert one.market.traffic.bytes_written == other.market.traffic.bytes_written
