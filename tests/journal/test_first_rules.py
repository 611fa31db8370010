"""A journal of the first rules of the engine, which a server of before their first change wrote: it is replayed as it was, to the unit.

It has slices whose fees were rounded for each fill, an iceberg taken in parts, stops of every kind, a linked pair, limits that refused takers, self-trades by
decrement, an auction with a post-only order, requests with keys, guards of connections, and a snapshot in its middle.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from engine import EventKind
from stream.commands.directory import ChannelStates
from stream.journal.files import Disk
from stream.journal.format import Record
from stream.journal.recovery import replay
from stream.journal.snapshots import State

FIRST_RULES = Path(__file__).parents[1] / "fixtures" / "journal_first_rules"
EXPECTED: dict[str, Any] = json.loads((FIRST_RULES / "expected.json").read_text())
FIELDS = tuple(EXPECTED["orders"][0])    # an order may have got more since


def outcome(state: State) -> dict[str, Any]:
    """All that a client could see of a state, and what is owed to connections that were there."""
    exchange = state.exchange
    assets = range(len(exchange.assets()))
    return {
        "record": state.seq, "events": exchange.seq, "clock": exchange.clock,
        "balances": [exchange.balances(account) for account in range(exchange.accounts)],
        "fees": [exchange.fees(asset) for asset in assets], "supply": [exchange.supply(asset) for asset in assets],
        "orders": [{name: getattr(order, name) for name in FIELDS} for account in range(exchange.accounts) for order in exchange.orders(account)],
        "digests": [f"{book.levels.digest:016x}" for book in exchange.books],
        "directory": sorted(str(key) for key in state.directory if key != ChannelStates()), "keys": sorted(state.results),
    }


@pytest.mark.parametrize("from_start", [True, False])
def test_a_journal_of_the_first_rules_comes_to_what_it_came_to(from_start: bool) -> None:
    replayed = replay(Disk(), str(FIRST_RULES), from_start=from_start)
    assert replayed
    assert replayed.wrong == []
    assert json.loads(json.dumps(outcome(replayed.state))) == EXPECTED
    replayed.state.exchange.check()


def test_the_journal_of_the_first_rules_has_what_could_come_out_otherwise() -> None:
    kinds: set[int] = set()

    def see(state: State, record: Record | None) -> None:
        kinds.update(event.kind for event in state.exchange.events if record)

    replay(Disk(), str(FIRST_RULES), None, see, from_start=True)
    assert kinds >= set(EventKind) - {EventKind.ALL_CANCELLED, EventKind.REFERENCE_SET, EventKind.BAND_SET}
    assert EXPECTED["fees"][1] > 0
    assert any(order["displayed"] != order["remaining"] for order in EXPECTED["orders"])
    assert sum("GuardedConnection" in key for key in EXPECTED["directory"]) == 2
