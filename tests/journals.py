"""A journal in the making: random groups of records, and what the state was behind every one of them."""

import random

import msgspec

from engine import Commands, Exchange
from stream.journal import snapshots
from stream.journal.files import Files
from stream.journal.format import Buffer, Entry, Kind, Record, decode_keyed, encode_keyed
from stream.journal.recovery import Opened, mark_of, open_journal
from stream.journal.snapshots import State
from stream.journal.writer import SEAL, Limits
from stream.results import Keyed, Results
from tests.conftest import WIDE

FOLDER = "data"
EPOCH = 7
SMALL = Limits(segment_bytes=4096, group_bytes=1500, reserve_bytes=0)

Item = tuple[Kind, Buffer, int]


def small_exchange() -> Exchange:
    """One instrument and two accounts with enough of both assets, and little memory of anything."""
    exchange = Exchange(orders_max=64, accounts_max=4, tombstones=8, client_ids_max=16)
    exchange.add_asset("BTC", 0)
    exchange.add_asset("USD", 0)
    exchange.add_instrument(WIDE)
    for account in range(2):
        exchange.open_account()
        exchange.deposit(account, 0, 1_000)
        exchange.deposit(account, 1, 100_000)
    return exchange


def copy_of(exchange: Exchange) -> Exchange:
    return Exchange.restore(exchange.snapshot())


def commands(chance: random.Random, time: int) -> bytes:
    """One to three commands."""
    group = Commands()
    for _ in range(chance.randrange(1, 4)):
        account = chance.randrange(2)
        if chance.randrange(4):
            group.place(account, 0, chance.randrange(2), chance.randrange(95, 105), chance.randrange(1, 9), client_id=chance.randrange(50), time=time)
        else:
            group.cancel(account, client_id=chance.randrange(50), time=time)
    return bytes(group)


class World:
    """Appends to a journal, and remembers by record the hash of the state, the directory and the results behind it. Goes on after a crash."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.opening = small_exchange()
        self.behind: dict[int, tuple[int, dict[str, bytes], Results]] = {0: (0, {}, Results())}
        self.acknowledged = 0
        self.exchange = self.opening
        self.directory: dict[str, bytes] = {}
        self.results = Results()

    def open(self, files: Files, limits: Limits = SMALL) -> Opened:
        """Start, and check that all is there that was acknowledged, and nothing that never was."""
        seen: list[Record] = []
        self.opened = open_journal(files, FOLDER, limits, EPOCH, lambda _, record: record and seen.append(record))
        log, replay = self.opened.log, self.opened.replay
        assert log.seq >= self.acknowledged
        assert log.epoch == EPOCH
        assert (replay is None) == (log.seq == 0)
        if replay:
            assert (replay.state.exchange.state_hash(), replay.state.directory, replay.state.results) == self.behind[log.seq]
            assert [record.seq for record in seen] == list(range(log.seq - replay.records + 1, log.seq + 1))
            self.exchange, self.directory, self.results = replay.state.exchange, dict(replay.state.directory), Results(replay.state.results)
        else:
            self.exchange, self.directory, self.results = self.opening, {}, Results()
        self.behind = {seq: behind for seq, behind in self.behind.items() if seq <= log.seq}
        self.exchange = copy_of(self.exchange)
        self.acknowledged = log.seq
        return self.opened

    def commit(self, records: list[Item]) -> None:
        """One group. What it comes to is noted first: it may be there after a crash, or not."""
        for number, (kind, payload, _) in enumerate(records, self.opened.log.seq + 1):
            if kind == Kind.COMMANDS:
                self.exchange.execute(bytes(payload))
            elif kind == Kind.KEYED_COMMANDS:
                keyed, group = decode_keyed(memoryview(payload))
                self.exchange.execute(group)
                self.results = Results(self.results)
                self.results.take(self.exchange, keyed)
            elif kind == Kind.ENTRY:
                entry = msgspec.msgpack.decode(bytes(payload), type=Entry)
                self.directory = {**self.directory, entry.key: entry.value}
            self.behind[number] = self.exchange.state_hash(), self.directory, self.results
        self.opened.log.commit(records)
        self.acknowledged = self.opened.log.seq

    def step(self, records_max: int = 4) -> None:
        """A random group."""
        time = self.opened.log.seq + 1
        if not self.opened.log.seq:
            self.commit([(Kind.GENESIS, self.exchange.snapshot(), time)])
            return
        group: list[Item] = []
        if not self.chance.randrange(4):
            group.append((Kind.MARK, msgspec.msgpack.encode(mark_of(self.exchange, bool(self.chance.randrange(2)))), time))
        for _ in range(self.chance.randrange(1, records_max + 1)):
            kind = self.chance.randrange(6)
            if kind == 1:
                group.append((Kind.KEYED_COMMANDS, encode_keyed([Keyed(0, 0, self.chance.randrange(99))], commands(self.chance, time)), time))
            elif kind:
                group.append((Kind.COMMANDS, commands(self.chance, time), time))
            else:
                entry = Entry(f"subject {self.chance.randrange(5)}", self.chance.randbytes(3))
                group.append((Kind.ENTRY, msgspec.msgpack.encode(entry), time))
        self.commit(group)

    def seal(self) -> None:
        """As on a clean stop."""
        acknowledged = self.acknowledged
        self.commit([SEAL])
        self.acknowledged = acknowledged

    def snapshot(self, files: Files, keep: int = 2) -> None:
        log = self.opened.log
        snapshots.write(files, FOLDER, State(self.exchange, self.directory, self.results, log.epoch, log.seq, log.crc, log.seq))
        snapshots.prune(files, FOLDER, keep)
