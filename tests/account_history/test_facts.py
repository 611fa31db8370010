"""What is written of random commands is what a list of all events says, whatever groups they come in; and pages of it are whole, without doubles."""

import random
from pathlib import Path

import pytest

from stream.account_history import database as database_module
from stream.account_history.database import Database, Position, Wanted
from stream.account_history.facts import COMMAND, EVENT, Facts
from tests.account_history.twin import Twin
from tests.engine.random_flow import RandomFlow, new_exchange, new_oracle

EVERYTHING = 1 << 30


def played(seed: int, commands: int, path: Path, left_out: tuple[int, ...] = (), ended_max: int = EVERYTHING) -> tuple[Database, Twin, int]:
    """A database and its twin, after random commands in groups of random sizes, of which random numbers are written at once."""
    chance, exchange, oracle, twin = random.Random(seed), new_exchange(seed), new_oracle(seed), Twin()
    flow = RandomFlow(seed, oracle)
    database, facts = Database(str(path), ended_max), Facts(left_out)
    database.begin(Position(1, 0, 0))
    time = 0
    while commands > 0:
        group = []
        for _ in range(chance.randrange(1, 8)):
            command = flow.next()
            flow.saw(oracle.run(command))
            group.append(command.packed())
        commands -= len(group)
        time += chance.randrange(3)
        exchange.execute(b"".join(group))
        twin.take(b"".join(group), [exchange.events.batch(number) for number in range(len(group))], time)
        facts.take(b"".join(group), bytes(exchange.events), time)
        if not chance.randrange(4):
            database.write(facts, exchange.seq)
            facts.clear()
    database.write(facts, exchange.seq)
    assert database.position
    assert database.position[:2] == (1, exchange.seq)
    return database, twin, exchange.accounts


@pytest.mark.parametrize("seed", range(1, 9))
def test_the_history_is_what_a_list_of_all_events_says(seed: int, tmp_path: Path) -> None:
    database, twin, accounts = played(seed, 1200, tmp_path / "history")
    for account in range(accounts):
        wanted = Wanted(account, size=EVERYTHING)
        assert database.orders(wanted) == twin.orders(wanted)
        assert database.trades(wanted) == twin.trades(wanted)
    assert database.trades(Wanted(accounts)) == []
    kinds = {each.status for account in range(accounts) for each in database.orders(Wanted(account, size=EVERYTHING))}
    assert {"filled", "cancelled"} <= kinds <= {"open", "waiting", "filled", "cancelled"}


@pytest.mark.parametrize("ended_max", [1, 60])
def test_the_orders_that_ended_first_are_forgotten_and_their_fills(ended_max: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "FORGOTTEN_AT_ONCE", 5)
    database, twin, accounts = played(3, 1200, tmp_path / "history", ended_max=ended_max)
    assert database.since > 0
    ended = 0
    for account in range(accounts):
        wanted = Wanted(account, size=EVERYTHING)
        all_orders, kept = twin.orders(wanted), database.orders(wanted)
        ids = {each.order for each in kept}
        assert kept == [each for each in all_orders if each.order in ids]
        assert {each.order for each in all_orders if each.status in ("open", "waiting") or each.updated >= database.since} <= ids
        assert database.trades(wanted) == [each for each in twin.trades(wanted) if each.order in ids]
        ended += sum(each.status in ("filled", "cancelled") for each in kept)
    assert ended_max <= ended <= ended_max + 5
    database.close()


def test_a_client_id_names_the_latest_order_that_had_it(tmp_path: Path) -> None:
    database, twin, accounts = played(7, 800, tmp_path / "history")
    for account in range(accounts):
        orders = twin.orders(Wanted(account, size=EVERYTHING))
        for number in {each.client_id for each in orders if each.client_id}:
            named = [each for each in orders if each.client_id == number]
            assert database.orders(Wanted(account, client_id=number)) == named
            assert database.orders(Wanted(account, latest=True, size=1, client_id=number)) == named[-1:]


def test_pages_are_whole_and_have_no_doubles(tmp_path: Path) -> None:
    database, twin, accounts = played(5, 600, tmp_path / "history")
    chance = random.Random(5)
    end = twin.all[-1].time + 2
    for _ in range(400):
        ids = [0, *(each.event.order for each in chance.sample(twin.all, 3)), *(each.event.seq for each in chance.sample(twin.all, 3))]
        wanted = Wanted(
            chance.randrange(accounts), chance.choice((None, 0, 1, 2, 3)), chance.choice(ids), 0, chance.choice((0, 0, chance.randrange(end))),
            chance.choice((0, 0, 1 + chance.randrange(end))), bool(chance.randrange(2)), chance.randrange(1, 9),
        )
        assert database.orders(wanted) == twin.orders(wanted), wanted
        pairs = wanted._replace(pairs=True)
        assert database.orders(pairs) == twin.orders(pairs), pairs
        wanted = wanted._replace(order=chance.choice(ids))
        assert database.trades(wanted) == twin.trades(wanted), wanted
    assert any(twin.orders(Wanted(account, pairs=True)) for account in range(accounts))
    for account in range(accounts):
        for instrument in (None, 0):
            orders, fills, after = [], [], 0
            while page := database.orders(Wanted(account, instrument, after, size=7)):
                orders += page
                after = page[-1].order
            assert orders == twin.orders(Wanted(account, instrument, size=EVERYTHING))
            after = 0
            while some := database.trades(Wanted(account, instrument, after, size=7)):
                fills += some
                after = some[-1].seq
            assert fills == twin.trades(Wanted(account, instrument, size=EVERYTHING))


def test_nothing_is_kept_of_who_is_left_out(tmp_path: Path) -> None:
    database, twin, accounts = played(3, 400, tmp_path / "history", left_out=(0,))
    assert twin.orders(Wanted(0))
    assert database.orders(Wanted(0)) == database.trades(Wanted(0)) == []
    for account in range(1, accounts):
        assert database.orders(Wanted(account, size=EVERYTHING)) == twin.orders(Wanted(account, size=EVERYTHING))
        assert database.trades(Wanted(account, size=EVERYTHING)) == twin.trades(Wanted(account, size=EVERYTHING))


def test_the_layouts_are_the_engines() -> None:
    exchange = new_exchange(0)
    exchange.open_account(time=5)
    view = memoryview(exchange.events)
    assert (view.itemsize, len(bytes(exchange.events))) == (EVENT.size, EVENT.size * len(exchange.events))
    event = exchange.events[0]
    assert EVENT.unpack(bytes(exchange.events)) == (
        event.seq, event.order, event.client_id, event.price, event.size, event.remaining, event.filled, event.value, event.account, event.instrument,
        event.kind, event.side, event.reason, event.flags,
    )
    assert COMMAND.size == 88


def test_events_that_are_not_those_of_the_commands_are_refused() -> None:
    exchange = new_exchange(0)
    exchange.open_account(time=5)
    with pytest.raises(ValueError, match="fewer events than commands"):
        Facts().take(bytes(176), bytes(exchange.events), 5)
