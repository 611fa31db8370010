"""Groups as a gateway of another version might forward them: what could not be replayed is not journaled, its sender is told, and the engine lives on."""

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine import CommandKind, Commands
from stream.cluster.engine import Engine
from stream.cluster.messages import Batch, Forward, decode_request, encode
from stream.commands.directory import (
    AccountOf,
    AskedConnections,
    ChannelStates,
    ClosedConnection,
    ClosedSubject,
    DeadManTimer,
    EndedConnection,
    Entry,
    GatewayName,
    GracePeriod,
    GuardedConnection,
    KeptAccount,
    LastGroup,
    Present,
    RevokedSubject,
    RevokedToken,
    Term,
    ToldConnections,
    Unknown,
)
from stream.commands.forwarded import COMMAND_BYTES, COMMANDS_MAX, KIND_OFFSET, WORDS_BYTES_MAX, Forwarded, decode_forwarded, fault, last_number
from stream.commands.results import Keyed
from stream.journal.format import Kind
from stream.journal.reader import JournalReader
from stream.journal.recovery import replay
from stream.wire.codes import ErrorCode
from stream.wire.messages import Done, Error, Place
from tests.cluster.cluster import KEYS, Cluster
from tests.cluster.test_cluster import desk, of_kind
from tests.journal.fake_disk import FakeDisk
from tests.journal.journals import FOLDER
from tests.market.journaled import start
from tests.setting import CONFIG, START

ORIGIN = 7
BID = Commands()
BID.place(0, 0, 0, 100, 5)
GOOD = Forwarded(ORIGIN, 1, bytes(BID), [Keyed(0, 0, 1)], [
    Entry(KeptAccount(0), True), Entry(GuardedConnection(0, 7, 12), 0), Entry(DeadManTimer(0), 0x3f << 56), Entry(Present(0, 7), True),
    Entry(GatewayName(7), b"name"), Entry(RevokedSubject("mallory"), START), Entry(ClosedConnection(9), START),
])

BAD: dict[str, dict[str, Any]] = {
    "commands of another length": {"commands": bytes(96)},
    "a part of a command": {"commands": bytes(BID)[:-1]},
    "more than commands": {"commands": bytes(BID) + b"\0"},
    "no kind": {"commands": bytes(COMMAND_BYTES)},
    "a kind of a later version": {"commands": bytes(BID)[:KIND_OFFSET] + bytes([max(CommandKind) + 1]) + bytes(BID)[KIND_OFFSET + 1 :]},
    "a key of no command": {"keyed": [Keyed(1, 0, 1)]},
    "a key before all commands": {"keyed": [Keyed(-1, 0, 1)]},
    "two keys of one command": {"keyed": [Keyed(0, 0, 1), Keyed(0, 0, 2)]},
    "a key where there are no commands": {"commands": b""},
    "a key of no account": {"keyed": [Keyed(0, 1, 1)]},
    "a key below all": {"keyed": [Keyed(0, 0, 0)]},
    "a key above all": {"keyed": [Keyed(0, 0, 1 << 63)]},
    "kept for no account": {"entries": [Entry(KeptAccount(1), True)]},
    "kept for an account below all": {"entries": [Entry(KeptAccount(-1), True)]},
    "kept by a number": {"entries": [Entry(KeptAccount(0), 1)]},
    "an entry that is the engine's": {"entries": [Entry(LastGroup(7), 1)]},
    "an account that no command has opened": {"entries": [Entry(AccountOf("mallory"), 0)]},
    "an entry of another version": {"entries": [Entry(Unknown("later"), b"1")]},
    "a guard of no gateway": {"entries": [Entry(GuardedConnection(0, 0, 12), 1)]},
    "a guard of a gateway below all": {"entries": [Entry(GuardedConnection(0, -7, 12), 1)]},
    "somebody who is there, of no account": {"entries": [Entry(Present(1, 7), True)]},
    "somebody who is at no gateway": {"entries": [Entry(Present(0, 0), True)]},
    "an end of a guard of no account": {"entries": [Entry(EndedConnection(1, 7, 1), 1)]},
    "a revocation of nobody": {"entries": [Entry(RevokedSubject(""), 1)]},
    "a revocation of a longer name than any": {"entries": [Entry(RevokedToken("a" * 129), 1)]},
    "a revocation at no time": {"entries": [Entry(RevokedToken("a"), b"1")]},
    "a connection above all": {"entries": [Entry(ClosedConnection(1 << 63), 1)]},
    "a question that is a number": {"entries": [Entry(AskedConnections(7, 1), 1)]},
    "an answer of a gateway below all": {"entries": [Entry(ToldConnections(7, 1, -1), b"1")]},
    "a longer answer than any": {"entries": [Entry(ToldConnections(7, 1, 8), bytes(WORDS_BYTES_MAX + 1))]},
    "a time that no clock shows": {"entries": [Entry(DeadManTimer(0), (1 << 62) + 1)]},
    "a time below all": {"entries": [Entry(DeadManTimer(0), -1)]},
    "a grace that never ends": {"entries": [Entry(GuardedConnection(0, 7, 1), (1 << 62) + 1)]},
}


class Journaled:
    """An engine with one account, on a disk that a test can read, and what it has told."""

    def __init__(self) -> None:
        self.disk = FakeDisk(random.Random(1))
        history, self.journal = start(self.disk, CONFIG, START)
        self.told: list[Batch] = []
        position = self.journal.writer.seq
        self.engine = Engine(CONFIG, KEYS, [], START, history, self.journal, position, position, 1, self.told.append)
        self.engine.open_account("alice", START, lambda account, code: None)
        self.settle()

    def settle(self) -> None:
        for _ in range(3):
            self.engine.tick(START)
            self.journal.sync()
        self.engine.tick(START)

    def take(self, forward: Forward) -> None:
        """As it comes over a link."""
        self.engine.receive(decode_request(encode(forward)), START)
        self.settle()

    def goes_on(self) -> None:
        """The next group of the same gateway runs, and all of it can be replayed."""
        number, orders = last_number(self.engine.sequencer.directory, ORIGIN) + 1, self.engine.exchange.order_count
        self.take(Forward(Forwarded(ORIGIN, number, bytes(BID), [], []), START))
        assert self.engine.exchange.order_count == orders + 1
        found = replay(self.disk, FOLDER)
        assert found
        assert found.state.exchange.state_hash() == self.engine.exchange.state_hash()
        assert (found.state.directory, found.state.results) == (self.engine.sequencer.directory, self.engine.sequencer.results)


def test_a_good_group_runs() -> None:
    here = Journaled()
    assert fault(GOOD, 1) == ""
    here.take(Forward(GOOD, START))
    assert here.engine.exchange.order_count == 1
    assert here.engine.sequencer.directory.keys() >= {entry.key for entry in GOOD.entries}
    here.goes_on()


def test_a_gateway_is_there_before_any_account_is() -> None:
    assert fault(Forwarded(ORIGIN, 1, b"", [], [Entry(GatewayName(ORIGIN), b"one")]), 0) == ""
    assert "one of 0 accounts" in fault(Forwarded(ORIGIN, 1, b"", [], [Entry(KeptAccount(0), True)]), 0)


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD)
def test_a_group_that_could_not_be_replayed_is_not_journaled(changes: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    here = Journaled()
    here.take(Forward(replace(GOOD, **changes), START))
    assert here.engine.exchange.order_count == 0
    [record] = [decode_forwarded(record.payload) for record in JournalReader(here.disk, FOLDER) if record.kind == Kind.FORWARDED]
    assert record == Forwarded(ORIGIN, 1, b"", [], [], ErrorCode.BAD_GROUP)
    assert "cannot be run" in caplog.text
    assert any("expected" in str(getattr(each, "reason", "")) for each in caplog.records)
    here.goes_on()


def test_the_limit_of_a_groups_commands() -> None:
    commands = bytes(BID) * COMMANDS_MAX
    assert fault(replace(GOOD, commands=commands), 1) == ""
    assert "at most" in fault(replace(GOOD, commands=commands + bytes(BID)), 1)


UNREADABLE = [[7, 1], [7, 1, "text", [], []], [7, 1, b"", [[0, 0]], []], [7, 1, b"", [], [["key"]]], [7, 1, None, 5, 5, 5], [7, 1, b"", [], [[1, b""]]],
              [7, 1, b"", [], [["kept:0", b"1"]]], [7, 1, b"", [], [[[99], 1]]]]
"""The last two are of the version before, whose keys were strings, and of a later one."""


@pytest.mark.parametrize("group", UNREADABLE)
def test_a_group_that_cannot_even_be_read_does_not_stop_those_behind_it(group: list[Any]) -> None:
    here = Journaled()
    here.engine.receive(decode_request(msgspec.msgpack.encode([1, group, START])), START)
    here.settle()
    assert last_number(here.engine.sequencer.directory, ORIGIN) == 1
    here.goes_on()


@pytest.mark.parametrize("message", [[], [1], [1, []], [1, ["7", 1], 1], [9, 1], "text", [1, [7], 1]])
def test_what_names_no_group_is_refused(message: Any) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_request(msgspec.msgpack.encode(message))


NUMBERS = st.sampled_from([-(1 << 63), -1, 0, 1, 2, 1 << 31, 1 << 32, (1 << 63) - 1, (1 << 64) - 1])


def bid_but_for(place: int, byte: int) -> bytes:
    return bytes(BID)[:place] + bytes([byte]) + bytes(BID)[place + 1 :]


COMMAND = st.builds(bid_but_for, st.integers(0, COMMAND_BYTES - 1), st.integers(0, 255))
KEYS_OF_ENTRIES = st.sampled_from([
    KeptAccount(0), GuardedConnection(0, 7, 1), GracePeriod(0), DeadManTimer(0), KeptAccount(1 << 32), ChannelStates(), Term(), Present(0, 7),
    EndedConnection(0, 7, 1), GatewayName(7), GatewayName((1 << 64) - 1), GatewayName(0), RevokedSubject("alice"), RevokedToken("7"), ClosedSubject("alice"),
    ClosedSubject(""), ClosedConnection(7), AskedConnections(7, 1), ToldConnections(7, 1, 8), Unknown("later"),
])
VALUES = st.one_of(st.none(), st.booleans(), NUMBERS, st.binary(max_size=10), st.lists(NUMBERS, max_size=2))
GROUPS = st.builds(
    Forwarded, st.sampled_from([ORIGIN, ORIGIN, 0, -1, 1 << 63]), st.just(1),
    st.one_of(st.lists(COMMAND, max_size=3).map(b"".join), st.binary(max_size=100)),
    st.lists(st.builds(Keyed, st.one_of(st.just(0), NUMBERS), st.one_of(st.just(0), NUMBERS), st.one_of(st.just(1), NUMBERS)), max_size=2),
    st.lists(st.builds(Entry, KEYS_OF_ENTRIES, VALUES), max_size=2),
    st.sampled_from([0, 0, 0, 100, 506, 507, -1]),
)


@settings(max_examples=100, deadline=None)
@given(group=GROUPS, time=st.one_of(st.just(START), NUMBERS))
def test_whatever_is_journaled_can_be_replayed(group: Forwarded, time: int) -> None:
    here = Journaled()
    here.take(Forward(group, time))
    here.engine.keep_house(START)
    here.engine.tick(START + (1 << 61))    # all deadlines are due
    here.settle()
    here.goes_on()


def test_clients_are_told_of_a_group_that_was_not_run() -> None:
    cluster = Cluster(1)
    alice = desk(cluster, 0, "alice")
    sent = cluster.gateways[0].sequencer.send

    def spoil(forward: Forward) -> None:
        sent(replace(forward, group=replace(forward.group, commands=forward.group.commands + bytes(8))))

    cluster.gateways[0].sequencer.send = spoil
    [refused] = of_kind(alice.ask(Place, "BTC-USD", "sell", 100, 5, key=3), Error)
    assert refused.code == ErrorCode.BAD_GROUP
    cluster.gateways[0].sequencer.send = sent
    [done] = of_kind(alice.ask(Place, "BTC-USD", "sell", 100, 5, key=3), Done)
    assert done.status == "open"
