"""A journal on a disk of its own that is full, and then read-only: `python -m tests.journal.small_disk FOLDER`, the disk's. Prints what it met, as JSON."""

import json
import os
import random
import subprocess
import sys

from stream.cli import main
from stream.journal.files import Disk
from stream.journal.recovery import open_journal
from stream.journal.writer import JournalFailed, JournalOptions
from tests.journal.journals import EPOCH, FOLDER, World

OPTIONS = JournalOptions(segment_bytes=1 << 16, reserve_bytes=1 << 18)


def fill(world: World) -> tuple[int, str]:
    """Append until it fails; the record at which it said that the disk is low, and what it failed with."""
    writer, low = world.opened.writer, 0
    try:
        while True:
            world.step()
            low = low or (writer.seq if writer.low else 0)
    except JournalFailed as failure:
        return low, str(failure)


def close(world: World) -> None:
    world.opened.writer.close()
    Disk().close(world.opened.lock)


def run(folder: str) -> dict[str, object]:
    """Everything; `World.open` looks whether all is there that was acknowledged."""
    os.chdir(folder)
    world = World(random.Random(1))
    world.open(Disk(), OPTIONS)
    low, failure = fill(world)
    acknowledged, free = world.acknowledged, Disk().free_bytes(FOLDER)
    try:
        world.step()
    except JournalFailed as error:
        again = str(error)
    close(world)
    world.open(Disk(), OPTIONS)
    close(world)
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    try:
        open_journal(Disk(), FOLDER, OPTIONS, EPOCH)
        refused = ""
    except OSError as error:
        refused = str(error)
    statuses = [main(["journal", action, FOLDER]) for action in ("check", "info", "replay")]
    return {
        "low": low, "acknowledged": acknowledged, "failure": failure, "again": again, "free": free, "recovered": world.opened.writer.seq, "refused": refused,
        "statuses": statuses,
    }


if __name__ == "__main__":
    told = run(sys.argv[1])
    print(json.dumps(told))
