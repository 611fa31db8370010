"""A journal in the making: random groups of records, and what the state was behind every one of them.

`python -m tests.journal.journals FOLDER` writes the journal that later versions must read, as this version of deltabook does.
"""

import random
import sys
from decimal import Decimal
from pathlib import Path

import msgspec

from engine import Commands, Exchange, Instrument
from stream.commands import forwarded
from stream.commands.directory import AccountOf, Directory, Entry
from stream.commands.forwarded import Forwarded, decode_forwarded, last_number
from stream.commands.listing import Listing
from stream.commands.results import Keyed, Results
from stream.feed.feed import Feed
from stream.journal import snapshots
from stream.journal.files import Files
from stream.journal.format import Buffer, Kind, Record, decode_keyed, encode_keyed
from stream.journal.recovery import Opened, mark_of, open_journal, replay
from stream.journal.snapshots import State
from stream.journal.writer import SEAL, JournalOptions
from stream.market.history import feeding, with_channels
from stream.settings.config import Config
from tests.conftest import WIDE
from tests.journal.fake_disk import FakeDisk

FOLDER = "data"
EPOCH = 7
ORIGIN = 5
SMALL = JournalOptions(segment_bytes=4096, group_bytes=1500, reserve_bytes=0)

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
        self.behind: dict[int, tuple[int, Directory, Results]] = {0: (0, {}, Results())}
        self.acknowledged = 0
        self.time = 0
        self.exchange = self.opening
        self.directory: Directory = {}
        self.results = Results()

    def open(self, files: Files, options: JournalOptions = SMALL) -> Opened:
        """Start, and check that all is there that was acknowledged, and nothing that never was."""
        seen: list[Record] = []
        self.opened = open_journal(files, FOLDER, options, EPOCH, lambda _, record: record and seen.append(record))
        writer, found = self.opened.writer, self.opened.replay
        assert writer.seq >= self.acknowledged
        assert writer.epoch == EPOCH
        assert (found is None) == (writer.seq == 0)
        if found:
            assert (found.state.exchange.state_hash(), found.state.directory, found.state.results) == self.behind[writer.seq]
            assert [record.seq for record in seen] == list(range(writer.seq - found.records + 1, writer.seq + 1))
            self.exchange, self.directory, self.results = found.state.exchange, dict(found.state.directory), found.state.results.copy()
        else:
            self.exchange, self.directory, self.results = self.opening, {}, Results()
        self.behind = {seq: behind for seq, behind in self.behind.items() if seq <= writer.seq}
        self.exchange = copy_of(self.exchange)
        self.acknowledged = writer.seq
        return self.opened

    def commit(self, records: list[Item]) -> None:
        """One group. What it comes to is noted first: it may be there after a crash, or not."""
        for number, (kind, payload, time) in enumerate(records, self.opened.writer.seq + 1):
            self.time = max(self.time, time)
            if kind == Kind.COMMANDS:
                self.exchange.execute(bytes(payload))
            elif kind == Kind.KEYED_COMMANDS:
                keyed, group = decode_keyed(memoryview(payload))
                self.exchange.execute(group)
                self.results = self.results.copy()
                self.results.take(self.exchange, keyed, time)
            elif kind == Kind.FORWARDED:
                self.directory, self.results = dict(self.directory), self.results.copy()
                forwarded.run(self.exchange, self.directory, self.results, decode_forwarded(bytes(payload)), time)
            elif kind == Kind.ENTRY:
                entry = msgspec.msgpack.decode(bytes(payload), type=Entry)
                self.directory = {**self.directory, entry.key: entry.value}
            self.behind[number] = self.exchange.state_hash(), self.directory, self.results
        self.opened.writer.commit(records)
        self.acknowledged = self.opened.writer.seq

    def step(self, records_max: int = 4) -> None:
        """A random group."""
        time = self.opened.writer.seq + 1
        if not self.opened.writer.seq:
            self.commit([(Kind.GENESIS, self.exchange.snapshot(), time)])
            return
        group: list[Item] = []
        if not self.chance.randrange(4):
            group.append((Kind.MARK, msgspec.msgpack.encode(mark_of(self.exchange, bool(self.chance.randrange(2)))), time))
        for _ in range(self.chance.randrange(1, records_max + 1)):
            kind = self.chance.randrange(7)
            if kind == 1:
                group.append((Kind.KEYED_COMMANDS, encode_keyed([Keyed(0, 0, self.chance.randrange(99))], commands(self.chance, time)), time))
            elif kind == 2:
                forwards = sum(kind == Kind.FORWARDED for kind, _, _ in group)
                number = last_number(self.directory, ORIGIN) + forwards + 1
                keyed = [Keyed(0, 0, self.chance.randrange(99))]
                entries = [Entry(AccountOf("subject 1"), self.chance.randrange(1 << 24))] * self.chance.randrange(2)
                several = Forwarded(ORIGIN, number, commands(self.chance, time), keyed, entries)
                group.append((Kind.FORWARDED, msgspec.msgpack.encode(several), time))
            elif kind:
                group.append((Kind.COMMANDS, commands(self.chance, time), time))
            else:
                entry = Entry(AccountOf(f"subject {self.chance.randrange(5)}"), self.chance.randrange(1 << 24))
                group.append((Kind.ENTRY, msgspec.msgpack.encode(entry), time))
        self.commit(group)

    def seal(self) -> None:
        """As on a clean stop."""
        acknowledged = self.acknowledged
        self.commit([SEAL])
        self.acknowledged = acknowledged

    def snapshot(self, files: Files, keep: int = 2) -> None:
        writer = self.opened.writer
        snapshots.write(files, FOLDER, State(self.exchange, self.directory, self.results, writer.epoch, writer.seq, writer.crc, self.time))
        snapshots.prune(files, FOLDER, keep)


def of_every_kind() -> dict[str, bytes]:
    """The files of a journal with records of every kind, several segments and a snapshot, by name."""
    chance = random.Random(1)
    disk = FakeDisk(chance)
    world = World(chance)
    writer = world.open(disk).writer
    while writer.seq < 12:
        world.step()
    listing = Listing({"ETH": 3}, [Instrument("ETH-USD", "ETH", "USD", Decimal("2.5"), Decimal("0.4"), maker_fee=100, taker_fee=250, day_end=3600)])
    world.exchange.add_asset("ETH", 3)
    world.exchange.add_instrument(listing.instruments[0])
    world.commit([(Kind.LISTING, msgspec.msgpack.encode(listing), writer.seq)])
    while writer.seq < 20:
        world.step()
    feeds: list[Feed] = []
    found = replay(disk, FOLDER, None, feeding(Config(), feeds))
    assert found
    found.state.directory = with_channels(feeds[0], found.state.directory)
    snapshots.write(disk, FOLDER, found.state)
    world.commit([(Kind.EPOCH, (EPOCH + 1).to_bytes(8, "little"), writer.seq)])
    writer.epoch = EPOCH + 1
    while writer.seq < 45:
        world.step()
    world.seal()
    return {path.removeprefix(f"{FOLDER}/"): data for path, data in disk.contents().items() if path.endswith((".journal", ".snapshot"))}


if __name__ == "__main__":
    for name, data in of_every_kind().items():
        (Path(sys.argv[1]) / name).write_bytes(data)
