"""Power cuts, failing disks and flipped bits: what was acknowledged comes back, or the start is refused with the offset. Never a wrong state.

DELTABOOK_IMAGES is how many images of each kind there are, DELTABOOK_SEED where they begin; `make crashes` has many, and flips every bit.
"""

import os
import random
from collections.abc import Iterator
from contextlib import nullcontext, suppress

import pytest

from stream.journal.format import SEGMENT_HEADER, Damaged, Kind
from stream.journal.reader import JournalReader, numbers, segment_path
from stream.journal.recovery import open_journal, replay
from stream.journal.writer import SEAL, JournalFailed
from stream.market.journal_inspection import check
from stream.market.journal_repair import repair
from tests.journal.fake_disk import FakeDisk, PowerCut
from tests.journal.journals import EPOCH, FOLDER, SMALL, World, commands

IMAGES = int(os.environ.get("DELTABOOK_IMAGES", "300"))
SEED = int(os.environ.get("DELTABOOK_SEED", "1"))
EVERY = "DELTABOOK_IMAGES" in os.environ
"""Whether every single bit is flipped; otherwise a random choice of them."""

ONLY = segment_path(FOLDER, 1)


def live(world: World, disk: FakeDisk) -> None:
    """Start, append, take snapshots, stop; until something happens."""
    world.open(disk)
    for _ in range(world.chance.randrange(1, 40)):
        world.step()
        if not world.chance.randrange(10):
            world.snapshot(disk)
    world.seal()
    world.opened.writer.close()


@pytest.mark.parametrize("seed", range(SEED, SEED + IMAGES // 3))
def test_after_a_power_cut_all_is_there_that_was_acknowledged(seed: int) -> None:
    """Three lives, each cut short at some call or lost after its end, each on the disk that the one before left."""
    chance = random.Random(seed)
    world = World(chance)
    disk = FakeDisk(chance)
    for _ in range(3):
        disk.cut = chance.randrange(1, 200)
        with suppress(PowerCut):
            live(world, disk)
        disk = FakeDisk(chance, disk.image())
    world.open(disk)


def lives(life: int) -> tuple[World, FakeDisk]:
    """A world and its disk before its first life, or before a second one that begins with what a power cut has left."""
    chance = random.Random(SEED)
    world, disk = World(chance), FakeDisk(chance)
    if life == 2:
        disk.cut = 90
        with suppress(PowerCut):
            live(world, disk)
        disk = FakeDisk(chance, disk.image())
    return world, disk


def calls_of_a_life(life: int) -> int:
    world, disk = lives(life)
    live(world, disk)
    return disk.calls


@pytest.mark.parametrize("power", [True, False], ids=["and the power goes", "and the process ends"])
@pytest.mark.parametrize(("life", "call"), [(life, call) for life in (1, 2) for call in range(1, calls_of_a_life(life) + 1)])
def test_whichever_call_fails(life: int, call: int, power: bool) -> None:
    world, disk = lives(life)
    disk.fail = call
    with pytest.raises((JournalFailed, OSError)):
        live(world, disk)
    disk.fail = None
    if call > 1 and world.opened.writer.failure:
        with pytest.raises(JournalFailed):
            world.opened.writer.commit([SEAL])
    after = FakeDisk(world.chance, disk.image() if power else disk.contents())
    live(world, after)


@pytest.fixture(scope="module")
def journal() -> tuple[World, bytes]:
    """1,000 records and a seal in one segment, each group with a state that differs from that of the one before."""
    chance = random.Random(SEED)
    disk = FakeDisk(chance)
    world = World(chance)
    world.open(disk, SMALL._replace(segment_bytes=1 << 18))
    world.step()
    while world.opened.writer.seq < 1_000:
        count = min(chance.randrange(1, 5), 1_000 - world.opened.writer.seq)
        world.commit([(Kind.COMMANDS, commands(chance, 1)[:88], world.opened.writer.seq) for _ in range(count)])
    world.seal()
    return world, disk.contents()[ONLY]


def recovered(world: World, files: dict[str, bytes]) -> int:
    """Up to which record the journal comes back; the state must be the one behind that."""
    found = replay(FakeDisk(random.Random(0), files), FOLDER)
    if found is None:
        return 0
    assert (found.state.exchange.state_hash(), found.state.directory, found.state.results) == world.behind[found.state.seq]
    return found.state.seq


def starts(data: bytes) -> dict[int, int]:
    """The records of the only segment by their offset."""
    return {record.offset: record.seq for record in JournalReader(FakeDisk(random.Random(0), {ONLY: data}), FOLDER)}


def test_every_truncation_is_refused(journal: tuple[World, bytes]) -> None:
    world, data = journal
    assert recovered(world, {ONLY: data}) == 1_001
    for length in range(0, len(data), 1 if EVERY else 97):
        with pytest.raises(Damaged) as damaged:
            recovered(world, {ONLY: data[:length]})
        assert damaged.value.offset == (length if length >= SEGMENT_HEADER.size else 0)


def test_a_disk_that_lost_the_end(journal: tuple[World, bytes]) -> None:
    """Zeros from some byte on: the state is that behind the last whole record."""
    world, data = journal
    offsets = starts(data)
    for length in range(SEGMENT_HEADER.size, max(offsets), 7 if EVERY else 1_009):
        whole = max((seq - 1 for offset, seq in offsets.items() if offset <= length), default=0)
        assert whole <= recovered(world, {ONLY: data[:length] + bytes(len(data) - length)}) <= whole + 1


def test_every_flipped_bit_is_found(journal: tuple[World, bytes]) -> None:
    """It is refused where the record begins in which the bit is, or it is behind all that was acknowledged, and does no harm."""
    world, data = journal
    offsets = starts(data)
    bits = range(8 * max(offsets) + 1_000)
    flipped = bytearray(data)
    for bit in bits if EVERY else random.Random(SEED).sample(bits, IMAGES):
        flipped[bit // 8] ^= 1 << bit % 8
        if bit // 8 < max(offsets):
            with pytest.raises(Damaged) as damaged:
                recovered(world, {ONLY: bytes(flipped)})
            assert damaged.value.offset == max((offset for offset in offsets if offset <= bit // 8), default=0)
        else:
            assert recovered(world, {ONLY: bytes(flipped)}) >= 1_000
        flipped[bit // 8] ^= 1 << bit % 8


def of_several_files(seed: int) -> tuple[World, dict[str, bytes]]:
    """Several segments, some of them behind the newer one of two snapshots."""
    chance = random.Random(seed)
    disk = FakeDisk(chance)
    world = World(chance)
    world.open(disk)
    while len(taken := numbers(disk, FOLDER, ".snapshot")) < 2 or sum(first > taken[-1] for first in numbers(disk, FOLDER, ".journal")) < 2:
        world.step()
        if not chance.randrange(20):
            world.snapshot(disk)
    world.seal()
    return world, {path: data for path, data in disk.contents().items() if data}


def damages(chance: random.Random, files: dict[str, bytes]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """The files with one flipped bit, in each of them in turn, again and again; and which that is."""
    for path, data in files.items():
        for bit in chance.sample(range(8 * len(data)), 40):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            yield path, files | {path: bytes(flipped)}


@pytest.mark.parametrize("seed", range(SEED, SEED + max(IMAGES // 100, 1)))
def test_a_flipped_bit_anywhere_in_a_folder(seed: int) -> None:
    """An older snapshot does where the newest one is damaged."""
    world, files = of_several_files(seed)
    for path, damaged in damages(world.chance, files):
        with nullcontext() if path.endswith("snapshot") else suppress(Damaged):
            assert recovered(world, damaged) >= world.acknowledged


@pytest.mark.parametrize("seed", range(SEED, SEED + max(IMAGES // 100, 1)))
def test_what_a_repair_comes_to_was_once_so(seed: int) -> None:
    """Whatever is damaged, cut off or gone, but for the last file of all, which nothing tells of: the copy is whole and can be gone on with."""
    world, files = of_several_files(seed)
    kept = set()
    last = segment_path(FOLDER, numbers(FakeDisk(world.chance, files), FOLDER, ".journal")[-1])
    gone = [{other: data for other, data in files.items() if other != path} for path in files if path != last]
    cut_off = [files | {path: data[: world.chance.randrange(len(data))]} for path, data in files.items()]
    for damaged in [*(damaged for _, damaged in damages(world.chance, files)), *gone, *cut_off]:
        disk = FakeDisk(world.chance, damaged)
        repaired = repair(disk, FOLDER, "copy", SMALL, EPOCH + 1, 1)
        state = repaired.copy.replay.state
        assert repaired.lost or repaired.kept >= world.acknowledged
        assert state.seq == repaired.kept + repaired.lost
        assert (state.epoch, state.exchange.state_hash(), state.directory, state.results) == (EPOCH + repaired.lost, *world.behind[repaired.kept])
        assert {path: data for path, data in disk.contents().items() if path.startswith(f"{FOLDER}/")} == damaged
        opened = open_journal(disk, "copy", SMALL, EPOCH)
        opened.writer.commit([SEAL])
        assert check(disk, "copy")
        kept.add(repaired.kept)
    assert len(kept) > 5
