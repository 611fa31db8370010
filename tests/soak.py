"""A long run of short lives: clients that connect, sign in, subscribe, trade, guard their orders and drop, and leave nothing behind.

    python -m tests.soak --seconds 3600 --seed 1

Each subject lives many times, one life after the other, over a real socket. A life begins by looking at what the last one left: every order
that was not to be cancelled, and no other. In the end the journal is the judge of every acknowledgement, and of what is remembered of connections.

The server's memory may not rise by more than RISE_MAX an hour once it is warm, nor its descriptors: after ten minutes, and so many lives that all
that it keeps a number of is full, where a busy machine has fewer a second. Exits with 1 if a promise is broken. Needs Linux.
"""

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from statistics import linear_regression, mean
from typing import Any, NamedTuple

import uvloop
from rich.console import Console
from rich.progress import Progress

from stream.client.client import Client
from stream.client.counts import Lots, Ticks
from stream.client.errors import ClientError, RequestRefused
from stream.client.live import LiveBook, LiveOrders
from stream.client.requests import Side
from stream.commands.directory import EndedConnection, GatewayName, GuardedConnection, Present
from stream.commands.forwarded import COMMAND_BYTES
from stream.commands.results import result_of
from stream.journal.files import Disk
from stream.journal.format import Kind, Record
from stream.journal.recovery import replay
from stream.journal.snapshots import State
from stream.wire.messages import Done
from stream.wire.mirror import Verdict
from tests.kills import Answer, ServerProcess
from tests.setting import NAMES, token
from tests.sockets import get

SUBJECTS = 300
WATCHERS = 4
PAUSE_S = 0.5
"""Between two lives of one subject, so that the server has seen the end of the first."""

PATIENCE_S = 20
LONG_MS = 3_600_000
TOLD_EVERY = 120
"""Samples between two that are told."""

WARM_UP_S = 600
WARM_UP_LIVES = 20_000
RISE_MAX = 1 << 20
"""Bytes an hour."""

DESCRIPTORS_RISE_MAX = 5
"""Descriptors an hour; so many more may there be in the end, too: the journal's files."""

LATE = 0.5
"""So large a part of the lives may be missing where the machine is too busy for all."""

CONNECTIONS = GuardedConnection | EndedConnection | Present | GatewayName
"""The kinds of keys of what is remembered of a connection that is there."""


class Sample(NamedTuple):
    """The server at a time, in s, after so many lives: bytes of its memory that are no file's, and open descriptors but those of lives that go on."""

    at: float
    lives: int
    memory: int
    descriptors: int


def sample(pid: int, at: float, lives: int, going_on: int) -> Sample:
    """The server now. A busy machine has more lives going on at once, whose descriptors are no leak."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Sample(at, lives, int(status["RssAnon"].split()[0]) << 10, len(list(Path(f"/proc/{pid}/fd").iterdir())) - going_on)


class Subject:
    """One account, its lives, and all that it was told."""

    def __init__(self, url: str, name: str, seed: int) -> None:
        self.name = name
        self.answers: list[Answer] = []
        self.left: set[int] | None = set()    # the orders that the life before was to leave; None if it ended somewhere else than it was to
        self.wrong: list[str] = []
        self._url = url
        self._chance = random.Random(seed)
        self._client_id = 0
        self._unsure = False    # whether the life before did not wait for the answer to its last order
        self._client: Client

    async def live(self) -> str:
        """One life; how it ended."""
        signed = token(self.name, time.time_ns(), "market account trade")
        by_message = self._chance.random() < 0.3
        self._client = client = Client(self._url, None if by_message else signed)
        try:
            await client.open()
        except ClientError:
            return "not connected in time"
        try:
            if by_message:
                await client.login(signed)
            await self._look_back()
            for _ in range(self._chance.randrange(3)):
                await self._listen()
            await self._trade()
            for _ in range(self._chance.randrange(1, 4)):
                await client.dead_man(self._chance.choice((0, LONG_MS)))
            ending = self._chance.choice((self._unguarded, self._guarded, self._session, self._to_come_back, self._withdrawn, self._logged_out, self._dead_man))
            await ending()
            return ending.__name__
        finally:
            if self._chance.random() < 0.7:
                client.cut()    # without a goodbye
            await client.close()

    async def say_last(self) -> int:
        """Place an order and cancel it: all that came before has been carried out then. The sequence of the order."""
        async with Client(self._url, token(self.name, time.time_ns())) as self._client:
            await self._trade()
        return self.answers[-1][0]

    async def _look_back(self) -> None:
        """Is everything there that the life before left, and nothing else?"""
        if self._unsure:
            self._unsure = False
            await self._cancel(client_id=self._client_id)
        live = await self._client.orders()
        try:
            async with asyncio.timeout(PATIENCE_S):
                while live.seq < 0 or (self.left is not None and set(live.mirror.open) != self.left):
                    await live.changed()
        except TimeoutError:
            self.wrong.append(f"{self.name}: expected the orders {sorted(self.left or ())}, found {sorted(live.mirror.open)}")
        await self._client.cancel_all()
        self.left = set()

    async def _listen(self) -> None:
        chance, name = self._chance, self._chance.choice(NAMES)
        channels = [f"orderbook:{name}", f"trades:{name}", f"ticker:{name}", "balances"]
        await self._client.subscribe(chance.sample(channels, chance.randrange(1, 5)), chance.choice((0, 1, 10, 50)), chance.choice((0, 100, 1000)))
        public = [channel for channel in self._client.live if ":" in channel]
        if public and chance.random() < 0.3:
            await self._client.unsubscribe([chance.choice(public)])

    def _place(self, price: int, side: Side = "buy", client_id: int = 0) -> Coroutine[Any, Any, Done]:
        return self._client.place(self._chance.choice(NAMES), side, Ticks(price), Lots(self._chance.randrange(1, 20)), client_id=client_id)

    async def _placed(self, price: int, side: Side = "buy") -> int:
        """The number of an order that has been taken."""
        done = await self._place(price, side)
        self.answers.append((done.seq, done.order, done.remaining_lots))
        return done.order

    async def _cancel(self, order: int = 0, client_id: int = 0) -> None:
        """Cancel an order, which may be gone."""
        with suppress(RequestRefused):
            done = await self._client.cancel(order, client_id)
            self.answers.append((done.seq, done.order, done.remaining_lots))

    async def _rest(self) -> set[int]:
        """Some orders away from the market."""
        return {await self._placed(self._chance.randrange(400, 600)) for _ in range(self._chance.randrange(1, 4))}

    async def _trade(self) -> None:
        await self._cancel(await self._placed(1000, self._chance.choice(("buy", "sell"))))

    async def _place_and_drop(self) -> None:
        """Place an order whose answer nobody waits for."""
        if self._chance.random() < 0.5:
            self._unsure = True
            self._client_id += 1
            placing = asyncio.ensure_future(self._place(self._chance.randrange(400, 600), client_id=self._client_id))
            placing.add_done_callback(lambda done: done.cancelled() or done.exception())
            await asyncio.sleep(0)

    # How a life ends

    async def _unguarded(self) -> None:
        self.left = await self._rest()
        await self._place_and_drop()

    async def _guarded(self) -> None:
        before = await self._rest()
        await self._client.cancel_on_disconnect("connection")
        await self._rest()
        self.left = before
        await self._place_and_drop()

    async def _session(self) -> None:
        await self._rest()
        await self._client.cancel_on_disconnect("session", 0)
        await self._rest()
        await self._place_and_drop()

    async def _to_come_back(self) -> None:
        self.left = await self._rest()
        await self._client.cancel_on_disconnect("session", LONG_MS)
        await self._place_and_drop()

    async def _withdrawn(self) -> None:
        await self._client.cancel_on_disconnect(self._chance.choice(("connection", "session")))
        self.left = await self._rest()
        await self._client.cancel_on_disconnect("off")
        await self._place_and_drop()

    async def _logged_out(self) -> None:
        self.left = await self._rest()
        await self._client.cancel_on_disconnect("session", 0)
        await self._client.logout()

    async def _dead_man(self) -> None:
        await self._rest()
        await self._client.dead_man(1)
        live = self._client.live["orders"]
        assert isinstance(live, LiveOrders)
        async with asyncio.timeout(PATIENCE_S):
            while live.mirror.open:
                await live.changed()


class Soak:
    """The run as it goes."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.server = ServerProcess(folder, sign_ins_per_s=10_000, header_sign_ins_per_s=10_000, account_events_kept=500, client_ids_max=1000)
        self.seed = seed
        self.subjects: list[Subject] = []
        self.watchers: list[Client] = []
        self.endings: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.samples: list[Sample] = []
        self.going_on = 0    # lives
        self.status = -1

    async def run(self, seconds: float, rate: float, console: Console) -> None:
        """Live, so many lives a second; then wait until the server is empty, and end it."""
        url = await self.server.start()
        number = signal.SIGKILL
        try:
            await self._run(url, seconds, rate, console)
            number = signal.SIGTERM
        finally:
            self.status = await self.server.end(number)

    async def _run(self, url: str, seconds: float, rate: float, console: Console) -> None:
        self.watchers = [Client(url) for _ in range(WATCHERS)]
        for watcher in self.watchers:
            await watcher.open()
            await watcher.subscribe([f"{kind}:{name}" for name in NAMES for kind in ("orderbook", "trades")], interval_ms=0)
        self.subjects = [Subject(url, f"subject{i}", self.seed * SUBJECTS + i) for i in range(SUBJECTS)]
        random.Random(self.seed).shuffle(self.subjects)
        idle = deque((0.0, subject) for subject in self.subjects)
        began = time.monotonic()
        measuring = asyncio.create_task(self._measure(began, console))
        async with asyncio.TaskGroup() as lives:
            with Progress(console=console, transient=True) as progress:
                for number in progress.track(range(int(seconds * rate)), description="lives"):
                    await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
                    if time.monotonic() > began + seconds:
                        break
                    if idle and idle[0][0] < time.monotonic():
                        lives.create_task(self._live(idle.popleft()[1], idle))
        measuring.cancel()
        try:
            await self._end_of_lives()
        except TimeoutError:
            self.failures["the server has not seen the end of every connection"] += 1
        self.samples.append(sample(self.server.pid, time.monotonic() - began, self.endings.total(), self.going_on))
        for watcher in self.watchers:
            await watcher.close()

    async def _end_of_lives(self) -> None:
        """Wait until the server has seen the end of every connection, what follows from that is done, and the watchers have all of it."""
        async with asyncio.timeout(PATIENCE_S):
            while f"\ndeltabook_connections {WATCHERS:.1f}\n".encode() not in (await get(self.server.port, "/metrics"))[1]:
                await asyncio.sleep(0.1)
            last = await self.subjects[0].say_last()
            for live in [live for watcher in self.watchers for live in watcher.live.values()]:
                while live.seq < last:
                    await live.changed()

    async def _measure(self, began: float, console: Console) -> None:
        while True:
            now = sample(self.server.pid, time.monotonic() - began, self.endings.total(), self.going_on)
            if len(self.samples) % TOLD_EVERY == 0:
                console.print(f"{now.at:6.0f} s: {now.memory >> 10:10,} KiB, {now.descriptors:5} descriptors, {now.lives:9,} lives")
            self.samples.append(now)
            await asyncio.sleep(1)

    async def _live(self, subject: Subject, idle: deque[tuple[float, Subject]]) -> None:
        self.going_on += 1
        try:
            async with asyncio.timeout(2 * PATIENCE_S):
                self.endings[await subject.live()] += 1
        except Exception as error:    # whatever it is, the others live on
            self.failures[f"{type(error).__name__}: {error}"] += 1
            subject.left = None
        self.going_on -= 1
        idle.append((time.monotonic() + PAUSE_S, subject))


def slope(samples: list[Sample], field: str) -> float:
    """How a figure rises in an hour, by the line that is nearest to all samples."""
    return linear_regression([each.at for each in samples], [getattr(each, field) for each in samples]).slope * 3600


def rises(samples: list[Sample]) -> dict[str, float]:
    """How much of each figure the server takes more of in an hour, once it is warm; nothing where the run was too short to tell."""
    warm = [each for each in samples if each.at >= WARM_UP_S and each.lives >= WARM_UP_LIVES]
    return {field: slope(warm, field) for field in ("memory", "descriptors")} if warm and warm[-1].at - warm[0].at >= WARM_UP_S else {}


def tally(folder: Path, soak: Soak, expected: int) -> tuple[dict[str, float], list[str]]:
    """The figures, and which promises were broken."""
    carried_out: set[Answer] = set()

    def visit(state: State, record: Record | None) -> None:
        if record and record.kind == Kind.COMMANDS:
            results = (result_of(state.exchange, place, 0) for place in range(len(record.payload) // COMMAND_BYTES))
            carried_out.update((result.seq, result.order, result.remaining) for result in results if not result.reason)

    found = replay(Disk(), str(folder / "journal"), None, visit, from_start=True)
    assert found
    directory = found.state.directory
    books = [live for watcher in soak.watchers for live in watcher.live.values() if isinstance(live, LiveBook)]
    digests = {f"orderbook:{book.instrument.name}": book.levels.digest for book in found.state.exchange.books}
    rise = rises(soak.samples[:-1])
    lives = sum(soak.endings.values()) - soak.endings["not connected in time"]
    broken = {
        "lost, or answered otherwise than carried out": sum(answer not in carried_out for subject in soak.subjects for answer in subject.answers),
        "lives that found other orders than were left": sum(len(subject.wrong) for subject in soak.subjects),
        "lives that failed": sum(soak.failures.values()),
        "lives too few": lives < expected * (1 - LATE),
        "left behind by connections": sum(isinstance(key, CONNECTIONS) for key in directory),
        "gaps and wrong books": sum(live.mirror.counts[Verdict.GAP] + live.mirror.counts[Verdict.MISMATCH] for live in books),
        "books not the engine's in the end": sum(live.mirror.levels.digest != digests[live.channel] for live in books),
        "memory rises": rise.get("memory", 0) > RISE_MAX,
        "descriptors rise": rise.get("descriptors", 0) > DESCRIPTORS_RISE_MAX,
        "the server did not leave well": soak.status,
    }
    figures = {
        "lives": lives, **{f"... {ending.strip('_').replace('_', ' ')}": count for ending, count in sorted(soak.endings.items())},
        "requests answered": sum(len(subject.answers) for subject in soak.subjects),
        "records in the journal": found.state.seq,
        "memory at first, KiB": soak.samples[0].memory >> 10, "memory in the end, KiB": soak.samples[-1].memory >> 10,
        "descriptors at first": soak.samples[0].descriptors, "descriptors, mean": mean(each.descriptors for each in soak.samples),
        "descriptors in the end": soak.samples[-1].descriptors,
    }
    if rise:
        figures |= {"memory's slope, KiB an hour": rise["memory"] / 1024, "descriptors' slope, an hour": rise["descriptors"]}
    return figures | {name: float(count) for name, count in broken.items()}, [name for name, count in broken.items() if count]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600, help=f"slopes are judged from {2 * WARM_UP_S} on (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=60, help="lives a second (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    options = parser.parse_args()
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(dir=".") as name:
        soak = Soak(Path(name).resolve(), options.seed)
        uvloop.run(soak.run(options.seconds, options.rate, console))
        figures, broken = tally(Path(name), soak, int(options.seconds * options.rate))
    console.print(f"{options.seconds:.0f} s, {options.rate:.0f} lives a second, seed {options.seed}")
    for what, count in figures.items():
        console.print(f"  {what:55} {count:>14,.0f}")
    console.print(*[f"  {count} x {failure}" for failure, count in soak.failures.most_common(10)], sep="\n")
    console.print(*[f"  {wrong}" for subject in soak.subjects for wrong in subject.wrong][:10], sep="\n")
    console.print(*([f"broken: {promise}" for promise in broken] or ["every promise was kept"]), sep="\n")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
