"""The exchange as a whole: its hash, what it refuses, its commands and its events in bulk."""

from collections.abc import Callable

import numpy as np
import pytest

from engine import CommandKind, Commands, Event, EventKind, Exchange, OrderType, Phase, Reason, Rejected, SelfTrade, Side, TimeInForce
from tests.conftest import BTC_USD
from tests.engine.oracle_model import LAST, Command
from tests.engine.random_flow import RandomFlow, call, new_exchange, new_oracle, submit


def test_the_state_hash_tells_states_apart() -> None:
    """Each step gives a new hash, and two exchanges have the same one as long as they have had the same commands."""
    oracle, one, other = new_oracle(1), new_exchange(1), new_exchange(1)
    flow = RandomFlow(1, oracle)
    hashes = {one.state_hash()}
    for _ in range(500):
        command = flow.next()
        flow.saw(oracle.run(command))
        submit(one, command)
        assert one.state_hash() not in hashes
        hashes.add(one.state_hash())
        submit(other, command)
        assert one.state_hash() == other.state_hash()


def test_the_state_hash_tells_apart_what_only_counts(exchange: Exchange) -> None:
    """Orders that come to nothing leave no trace but the sequence and the number of the last order."""
    hashes = set()
    for _ in range(100):
        exchange.place(0, 0, Side.BUY, 100, 1, time_in_force=TimeInForce.IOC)
        hashes.add(exchange.state_hash())
    assert len(hashes) == 100


def test_time_decides_no_priority(exchange: Exchange) -> None:
    """Orders keep their place in the order of the commands, whatever these say about the time."""
    first = exchange.place(0, 0, Side.SELL, 100, 1, time=2)
    second = exchange.place(0, 0, Side.SELL, 100, 1, time=1)
    assert [order.order for order in exchange.books[0].queue(Side.SELL, 100)] == [first, second]


# Rejections


def test_a_refused_call_raises_and_leaves_its_event(exchange: Exchange) -> None:
    hash_of_accounts = exchange.balances(0)
    with pytest.raises(Rejected) as rejected:
        exchange.place(0, 0, Side.BUY, 0, 5, client_id=3)
    assert (rejected.value.reason, rejected.value.order) == (Reason.PRICE_OUT_OF_RANGE, 0)
    assert list(exchange.events) == [Event(exchange.seq, EventKind.REJECTED, client_id=3, size=5, reason=Reason.PRICE_OUT_OF_RANGE, flags=LAST)]
    assert exchange.balances(0) == hash_of_accounts


def test_a_refused_command_of_a_buffer_only_leaves_its_event(exchange: Exchange) -> None:
    commands = Commands()
    commands.place(0, 0, Side.BUY, 0, 5)
    commands.place(0, 0, Side.BUY, 1, 5)
    commands.cancel(0, 12345)
    assert exchange.execute(commands) == 2
    assert [exchange.events.batch(number)[0].kind for number in range(3)] == [EventKind.REJECTED, EventKind.ACCEPTED, EventKind.REJECTED]


def test_the_first_check_that_fails_is_the_reason(exchange: Exchange) -> None:
    """A command with everything wrong is put right from the first check to the last."""
    book = exchange.add_instrument(BTC_USD._replace(name="BTC-USD/band", band=200_000))
    exchange.set_reference(book, 100)
    resting = exchange.place(1, book, Side.SELL, 100, 1, client_id=1)
    bid = exchange.place(1, book, Side.BUY, 50, 1)
    poor = exchange.open_account()
    exchange.set_account(1, orders_max=2, notional_max=10**9)
    exchange.set_phase(book, Phase.HALT, time=10)
    wrong = Command(
        CommandKind.PLACE, account=99, instrument=9, side=7, price=-1, size=0, type=7, time_in_force=7, flags=7, client_id=1, expires=9, order=12345,
    )
    steps: list[tuple[Reason, dict[str, int], Callable[[], object] | None]] = [
        (Reason.UNKNOWN_ACCOUNT, {"account": 1}, None),
        (Reason.UNKNOWN_INSTRUMENT, {"instrument": book}, None),
        (Reason.UNKNOWN_OPTION, {"side": Side.BUY, "type": OrderType.LIMIT, "time_in_force": TimeInForce.GTD, "flags": 1}, None),
        (Reason.DUPLICATE_CLIENT_ID, {"client_id": 2}, lambda: exchange.set_phase(book, Phase.HALT)),
        (Reason.HALTED, {}, lambda: exchange.set_phase(book, Phase.AUCTION)),
        (Reason.WRONG_PHASE, {}, lambda: exchange.set_phase(book, Phase.TRADING)),
        (Reason.ALREADY_EXPIRED, {"expires": 11}, None),
        (Reason.PRICE_OUT_OF_RANGE, {"price": 1_000_000}, None),
        (Reason.POST_ONLY_WOULD_TAKE, {"flags": 0}, None),
        (Reason.SIZE_TOO_SMALL, {"size": 1_000_001}, None),
        (Reason.SIZE_TOO_LARGE, {"size": 1_000_000}, None),
        (Reason.NOTIONAL_TOO_LARGE, {"size": 1_000}, None),
        (Reason.TOO_MANY_ORDERS, {}, lambda: exchange.set_account(1)),
        (Reason.UNKNOWN_ORDER, {"order": bid}, None),
        (Reason.NOT_LINKABLE, {"order": 0}, None),
        (Reason.PRICE_OUT_OF_BAND, {"price": 120, "time_in_force": TimeInForce.FOK, "expires": 0}, None),
        (Reason.UNFILLABLE, {"time_in_force": TimeInForce.GTC, "account": poor}, None),
        (Reason.INSUFFICIENT_FUNDS, {"account": 1}, None),
    ]
    for reason, correction, act in steps:
        exchange.execute(wrong.packed())
        assert Reason(exchange.events.outcome(0).reason) == reason
        assert exchange.events.outcome(0).order == (resting if reason == Reason.DUPLICATE_CLIENT_ID else wrong.order)
        wrong = wrong._replace(**correction)
        if act:
            act()
    assert exchange.execute(wrong.packed()) == 0


def test_an_unknown_kind_of_command(exchange: Exchange) -> None:
    for kind in (0, max(CommandKind) + 1, 255):
        assert exchange.execute(Command(kind, account=5, order=6, client_id=7, side=8, price=9, size=10, instrument=11).packed()) == 1
        refused = Event(exchange.seq, EventKind.REJECTED, 6, 7, 5, 11, 8, 9, 10, reason=Reason.UNKNOWN_COMMAND, flags=LAST)
        assert list(exchange.events) == [refused]


def test_what_is_not_there_to_look_at(exchange: Exchange) -> None:
    assert exchange.order(12345) is None
    for look in (lambda: exchange.balance(3, 0), lambda: exchange.balance(0, 2), lambda: exchange.orders(3), lambda: exchange.fees(2)):
        with pytest.raises(IndexError):
            look()
    for name in (lambda: exchange.book("ETH-USD"), lambda: exchange.asset("ETH")):
        with pytest.raises(KeyError):
            name()
    assert exchange.books[0].queue(Side.BUY, 100) == []
    with pytest.raises(ValueError, match="side 2"):
        exchange.books[0].queue(2, 100)


# Commands


def test_a_command_is_88_bytes() -> None:
    commands = Commands()
    commands.place(1, 2, Side.SELL, 3, 4, OrderType.LIMIT, TimeInForce.GTC, True, 5, 6)
    commands.cancel(1, 2, 3, 4)
    commands.reduce(1, 2, 3, 4, 5)
    commands.replace(1, 2, 3, 4, 5, 6)
    commands.cancel_all(1)
    commands.open_account(1)
    commands.deposit(1, 2, 3, 4)
    commands.withdraw(1, 2, 3, 4)
    commands.place(
        1, 2, Side.BUY, 3, 4, OrderType.STOP, TimeInForce.GTD, time=6, slide=True, quote=True, stop=7, display=8, min_size=9, expires=10, linked=11,
        self_trade=SelfTrade.DECREMENT,
    )
    commands.replace(1, 2, 3, 4, stop=5)
    commands.cancel_all(1, 2, 3, Side.SELL)
    commands.advance(1)
    commands.set_account(1, 2, 3, 4, 5, 6, 7, 8)
    commands.set_fees(1, 2, 3, 4, 5)
    commands.set_reference(1, 2, 3)
    commands.set_phase(1, 2, 3)
    assert len(commands) == 16
    assert bytes(commands) == b"".join(
        command.packed()
        for command in (
            Command(CommandKind.PLACE, 1, 2, Side.SELL, 3, 4, client_id=5, flags=1, time=6),
            Command(CommandKind.CANCEL, 1, order=2, client_id=3, time=4),
            Command(CommandKind.REDUCE, 1, order=2, size=3, client_id=4, time=5),
            Command(CommandKind.REPLACE, 1, order=2, price=3, size=4, client_id=5, time=6),
            Command(CommandKind.CANCEL_ALL, 1, instrument=0xFFFF, side=2),
            Command(CommandKind.OPEN_ACCOUNT, time=1),
            Command(CommandKind.DEPOSIT, 1, instrument=2, size=3, time=4),
            Command(CommandKind.WITHDRAW, 1, instrument=2, size=3, time=4),
            Command(
                CommandKind.PLACE, 1, 2, Side.BUY, 3, 4, order=11, type=2, time_in_force=3, flags=6, time=6, stop=7, display=8, min_size=9,
                expires=10, self_trade=5,
            ),
            Command(CommandKind.REPLACE, 1, order=2, price=3, size=4, stop=5),
            Command(CommandKind.CANCEL_ALL, 1, instrument=2, side=1, time=3),
            Command(CommandKind.ADVANCE, time=1),
            Command(CommandKind.SET_ACCOUNT, 1, order=2, type=3, self_trade=4, client_id=5, size=6, price=7, time=8),
            Command(CommandKind.SET_FEES, instrument=1, type=2, price=3, size=4, time=5),
            Command(CommandKind.SET_REFERENCE, instrument=1, price=2, time=3),
            Command(CommandKind.SET_PHASE, instrument=1, type=2, time=3),
        )
    )


@pytest.mark.parametrize(
    "field",
    [
        {"account": -1}, {"account": 1 << 32}, {"instrument": 1 << 16}, {"side": 256}, {"price": 1 << 63}, {"size": -(1 << 63) - 1},
        {"client_id": -1}, {"type": 256},
    ],
)
def test_a_number_that_does_not_fit_its_field_is_no_command(exchange: Exchange, field: dict[str, int]) -> None:
    command = Command(CommandKind.PLACE, instrument=0, price=100, size=1)._replace(**field)
    seq = exchange.seq
    for target in (exchange, Commands()):
        with pytest.raises(OverflowError):
            call(target, command)
    assert exchange.seq == seq


def test_a_torn_record_is_no_command(exchange: Exchange) -> None:
    record = Command(CommandKind.OPEN_ACCOUNT).packed()
    seq = exchange.seq
    for torn in (record[:-1], record + b"x"):
        with pytest.raises(ValueError, match="multiple of 88"):
            exchange.execute(torn)
        with pytest.raises(ValueError, match="multiple of 88"):
            Commands().extend(torn)
    assert exchange.seq == seq


def test_commands_may_not_move_while_they_are_looked_at() -> None:
    commands = Commands()
    commands.open_account()
    with memoryview(commands):
        with pytest.raises(BufferError):
            commands.open_account()
        with pytest.raises(BufferError):
            commands.clear()
    commands.clear()
    assert (len(commands), bytes(commands)) == (0, b"")


# Events


def test_events_are_dense_and_end_their_batch(exchange: Exchange) -> None:
    commands = Commands()
    for number in range(10):
        commands.place(number % 3, 0, number % 2, 100, number + 1)
    seq = exchange.seq
    exchange.execute(commands)
    assert [event.seq for event in exchange.events] == list(range(seq + 1, exchange.seq + 1))
    for number in range(10):
        assert [event.flags & LAST for event in exchange.events.batch(number)][::-1] == [LAST] + [0] * (len(exchange.events.batch(number)) - 1)


COLUMNS: dict[int, dict[str, str]] = {
    EventKind.TRADE: {"client_id": "maker", "remaining": "maker_fee", "filled": "taker_fee"},
    EventKind.LEVEL: {"client_id": "orders"},
    EventKind.BALANCE: {"instrument": "asset", "size": "available", "remaining": "held"},
}
"""What lies in a column of a view where a kind of event holds something else than an order's event."""


def test_numpy_reads_the_events_in_place(exchange: Exchange) -> None:
    exchange.place(0, 0, Side.SELL, 100, 5, client_id=7)
    exchange.place(1, 0, Side.BUY, 101, 8)
    array = np.asarray(exchange.events)
    assert array.itemsize == 80
    for row, event in zip(array, exchange.events, strict=True):
        for column in array.dtype.names or ():
            assert row[column] == getattr(event, COLUMNS.get(event.kind, {}).get(column, column))
    assert array["value"][array["kind"] == EventKind.TRADE].tolist() == [500]
    with pytest.raises(ValueError, match="read-only"):
        array["seq"][0] = 1


def test_a_view_stays_as_it_is_when_the_next_call_begins(exchange: Exchange) -> None:
    exchange.place(0, 0, Side.SELL, 100, 5)
    early = np.asarray(exchange.events)
    copy = early.copy()
    for number in range(1000):
        exchange.place(0, 0, Side.SELL, 100 + number, 5)
    late = np.asarray(exchange.events)
    assert (early == copy).all()
    assert late["price"][0] == 1099
    del early, late


def test_no_events(exchange: Exchange) -> None:
    exchange.execute(b"")
    assert (len(exchange.events), list(exchange.events), exchange.events.batches) == (0, [], 0)
    for events in (exchange.events, Exchange().events):
        assert np.asarray(events).shape == (0,)


def test_events_by_index(exchange: Exchange) -> None:
    exchange.place(0, 0, Side.SELL, 100, 5)
    events = exchange.events
    assert [events[0], events[1], events[2]] == list(events) == events.batch(0)
    assert events[-1] == events[2]
    for index in (3, -4):
        with pytest.raises(IndexError):
            events[index]
    for index in (1, -1):
        with pytest.raises(IndexError):
            events.batch(index)


def test_select_by_kind_and_account(exchange: Exchange) -> None:
    exchange.place(0, 0, Side.SELL, 100, 5)
    exchange.place(1, 0, Side.SELL, 100, 5)
    exchange.place(2, 0, Side.BUY, 100, 8)
    fills = [event for event in exchange.events if event.kind == EventKind.FILLED]
    select = exchange.events.select
    assert select(1 << EventKind.FILLED) == fills
    assert select(1 << EventKind.FILLED, b"\1\0\1") == [event for event in fills if event.account in (0, 2)]
    assert select(1 << EventKind.FILLED, bytearray(b"\0\xff")) == [event for event in fills if event.account == 1]
    assert select(1 << EventKind.FILLED, b"") == []
    assert [event.kind for event in select(1 << EventKind.TRADE | 1 << EventKind.ACCEPTED)] == [EventKind.ACCEPTED, EventKind.TRADE, EventKind.TRADE]
    assert select(0) == []
