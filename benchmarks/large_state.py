"""How a large state reaches a worker while the engine goes on: what the engine's loop and the commands notice of it, and how long it takes.

    python -m benchmarks.large_state --mib 1024 --rate 5000

A journal of so many MiB of open orders and accounts is prepared, and served with one worker, while orders come that find nobody to trade with. Needs
some seven times the state in memory: the engine has it, the worker has it, and each for a while its encoded form too.
"""

import argparse
import asyncio
import re
import sys
import tempfile
import time
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from urllib.request import urlopen

import uvloop
from rich.console import Console

from benchmarks.machine import describe, resident
from engine import Commands, Exchange, Instrument, Side, TimeInForce
from stream.cluster.state_file import StateFile
from stream.cluster.succession import begin_journal
from stream.cluster.workers import Workers
from stream.commands.results import Results
from stream.journal import snapshots
from stream.journal.files import Disk
from stream.journal.snapshots import State
from stream.settings.config import Config, read_config

ORDERS_OF_ACCOUNT = 8
ORDERS_MAX = (1 << 24) - 2
GROUP = 1 << 17
LOOK_S = 0.002
PRICES = 2000


def fill(exchange: Exchange, mib: int) -> None:
    """Open orders until the encoded state is about so large."""
    exchange.add_asset("OLD", 0)
    exchange.add_asset("CASH", 0)
    exchange.add_instrument(Instrument("OLD-CASH", "OLD", "CASH", Decimal(1), Decimal(1), orders_max=ORDERS_MAX))
    wanted = (mib << 20) // 75    # bytes of an order, with its share of an account
    commands, account = Commands(), -1
    for number in range(wanted):
        if number % ORDERS_OF_ACCOUNT == 0:
            account += 1
            commands.open_account(1)
            commands.deposit(account, 0, 1 << 20, 1)
        commands.place(account, 0, Side.SELL, 1000 + number % PRICES, 1 + number % 7, time=1)
        if len(commands) >= GROUP:
            assert exchange.execute(commands) == 0
            commands.clear()
    assert exchange.execute(commands) == 0


def prepare(config: Config, mib: int) -> int:
    """A journal with such a state; its bytes, encoded."""
    exchange = Exchange(config.orders_max, config.accounts_max, config.tombstones_max, config.client_ids_max)
    fill(exchange, mib)
    begin_journal(Disk(), config, State(exchange, {}, Results(), 1, 1, 0, time.time_ns()))
    return Path(snapshots.latest(Disk(), config.journal)[1]).stat().st_size


class Watch:
    """Sends commands, and sees how many of them run, second by second, and what the loop does not do in time."""

    def __init__(self, workers: Workers, rate: int) -> None:
        self.server = workers.server
        self.sequencer = workers.server.engine.sequencer
        self.rate = rate
        self.late_s: list[float] = []
        self.executed: list[int] = []
        self.position = 0    # of the state that was encoded
        self.encoded_s = 0.0
        snapshot = workers.server.snapshot

        async def timed() -> StateFile:
            began = time.monotonic()
            state = await snapshot()
            self.position, self.encoded_s = state.position, time.monotonic() - began
            return state

        workers.server.snapshot = timed    # type: ignore[method-assign]

    async def look(self) -> None:
        """Look again and again."""
        began, second, sent = time.monotonic(), 0.0, 0
        while True:
            while sent < (time.monotonic() - began) * self.rate:
                sent += 1
                self.sequencer.commands.place(0, 0, Side.SELL, 1000, 1, time_in_force=TimeInForce.IOC, time=self.server.clock.now())
            self.server.wake()
            due = time.monotonic() + LOOK_S
            await asyncio.sleep(LOOK_S)
            self.late_s.append(time.monotonic() - due)
            if time.monotonic() - second >= 1:
                second = time.monotonic()
                self.executed.append(self.sequencer.executed)

    def told(self) -> str:
        """Of the time since the last call."""
        late = sorted(self.late_s)
        rates = [after - before for before, after in pairwise(self.executed)]
        self.late_s, self.executed = [], []
        rate = f"{min(rates):,} to {max(rates):,} commands in each second" if rates else "less than a second"
        p50, p99, most = (late[len(late) * share // 1000] * 1e3 for share in (500, 990, 999))
        return f"{rate}; the loop was late by {p50:.1f} ms (p50), {p99:.1f} (p99), {most:.0f} (p99.9), {late[-1] * 1e3:.0f} (once)"


def position_at(port: int) -> int:
    """The record that a worker has come to; 0 while there is none."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            found = re.search(rb"^deltabook_link_position (\d+)", answer.read(), re.MULTILINE)
            return int(found[1]) if found else 0
    except OSError:
        return 0


def wait_for(port: int) -> None:
    """Return when a worker serves what came behind the state."""
    first = 0
    while not first or position_at(port) == first:
        first = first or position_at(port)
        time.sleep(0.1)


async def measure(config: Config, rate: int, console: Console) -> None:
    """Serve it, and watch."""
    began = time.monotonic()
    workers = Workers(config, [], [])
    console.print(f"the engine has it after {time.monotonic() - began:.1f} s, {resident()[0] >> 20:,} MiB resident")
    watch = Watch(workers, rate)
    began = time.monotonic()
    await workers.start()
    watching = asyncio.create_task(watch.look())
    try:
        await asyncio.to_thread(wait_for, workers.port)
        arrived = time.monotonic()
        console.print(f"encoded in {watch.encoded_s:.1f} s, served by the worker {arrived - began:.1f} s after its start")
        console.print(f"meanwhile {watch.told()}")
        pid = next(iter(workers._processes.values())).pid
        console.print(f"the worker has {resident(pid)[0] >> 20:,} MiB resident")
        await asyncio.sleep(10)
        console.print(f"afterwards {watch.told()}")
    finally:
        watching.cancel()
        await workers.stop()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large_state", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024, help="of the encoded state (default: %(default)s)")
    parser.add_argument("--rate", type=int, default=5000, help="commands a second (default: %(default)s)")
    options = parser.parse_args()
    console = Console(highlight=False)
    console.print(describe())
    with tempfile.TemporaryDirectory(dir=".") as folder:
        sizes = {"orders_max": ORDERS_MAX, "accounts_max": 1 << 22, "journal_reserve_bytes": 0, "journal_snapshot_commands": 1 << 40}
        config = read_config(None, {}, sizes | {"port": 0, "workers": 1, "journal": f"{folder}/journal"})
        console.print(f"a state of {prepare(config, options.mib) / (1 << 20):,.0f} MiB, {options.rate:,} commands a second")
        uvloop.run(measure(config, options.rate, console))
    return 0


if __name__ == "__main__":
    sys.exit(main())
