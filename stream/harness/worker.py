"""One process of a load run: `python -m stream.harness.worker`, a Shift as a line of JSON on its input, Samples and the Outcome as lines on its output."""

import asyncio
import gc
import resource
import sys
import time

import msgspec
from msgspec import Struct

from stream.harness.load_client import LoadClient, ServerClock
from stream.harness.plan import LoadPlan, PlannedClient, Role, planned_clients
from stream.harness.server_figures import Metrics, read
from stream.harness.tally import Sample, ShiftReport, Tally, Times
from stream.system import loop

SAMPLE_S = 0.5
"""Between two samples."""

LAG_S = 0.01
"""Between two looks at how late the loop is."""

PROBLEMS_MAX = 20
"""Kinds of problems that are told."""


class Shift(Struct):
    """What one process has to do. `tokens`: by the number of a client."""

    plan: LoadPlan
    process: int
    began: float
    """When the run began, by the monotonic clock of the machine."""
    tokens: dict[int, str] = {}


class Worker:
    """The clients of one process."""

    def __init__(self, shift: Shift) -> None:
        self._shift = shift
        self._plan = shift.plan
        self._tallies = {role: Tally() for role in Role}
        self._clock = ServerClock()
        self._metrics = Metrics(shift.plan.url)
        self._lag = Times()
        self._lag_max = 0.0
        self._problems: dict[str, int] = {}
        self._problem = ""
        self._ended = asyncio.Event()
        probe = PlannedClient(shift.process, Role.PROBE, False)
        mine = [place for place in planned_clients(self._plan) if place.number % self._plan.processes == shift.process]
        self._clients = [self._client(place) for place in (probe, *mine)]
        self._tasks: list[asyncio.Task[None]] = []
        self._seen = 0, 0    # deliveries and bytes that samples have told of

    def _client(self, place: PlannedClient) -> LoadClient:
        return LoadClient(self._plan, place, self._tallies[place.role], self._clock, self._shift.tokens.get(place.number), self._say)

    def _say(self, problem: str) -> None:
        self._problem = problem
        if problem in self._problems or len(self._problems) < PROBLEMS_MAX:
            self._problems[problem] = self._problems.get(problem, 0) + 1

    async def run(self) -> None:
        """Let the clients come, measure, and let them go."""
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._ended.set)    # its end, or a word, ends the run early
        plan, began = self._plan, self._shift.began
        background = [asyncio.create_task(task) for task in (self._watch_lag(), self._tell())]
        for index, client in enumerate(self._clients):
            await self._wait_until(began + plan.ramp_s * index / len(self._clients))
            self._tasks.append(asyncio.create_task(client.live()))
        await self._wait_until(began + plan.ramp_s)
        before = await self._metrics.fetch_new()    # right behind which everything is counted, here and by the server
        self._fold()
        for tally in self._tallies.values():
            tally.begin()
        self._lag.clear()
        self._seen = 0, 0
        measured = time.monotonic(), time.process_time()
        await self._wait_until(measured[0] + plan.seconds)
        after = await self._metrics.fetch_new()
        seconds, share = time.monotonic() - measured[0], share_since(measured)
        self._fold()
        told = {role.value: tally.told() for role, tally in self._tallies.items() if tally.counts.clients}
        for task in (*background, *self._tasks):
            task.cancel()
        print_line(ShiftReport(
            told=told, seconds=seconds, share=share, memory=memory(), lag=self._lag.encoded(), offset=self._clock.ahead,
            accuracy=self._clock.accuracy, before=read(before), after=read(after), problems=self._problems,
        ))
        await asyncio.gather(self._metrics.close(), *(client.leave() for client in self._clients), *self._tasks, return_exceptions=True)

    async def _wait_until(self, at: float) -> None:
        try:
            await asyncio.wait_for(self._ended.wait(), max(0.0, at - time.monotonic()))
        except TimeoutError:
            return

    async def _watch_lag(self) -> None:
        """Note how late the loop runs what was scheduled for a certain time."""
        while True:
            due = time.monotonic() + LAG_S
            await asyncio.sleep(LAG_S)
            late = time.monotonic() - due
            self._lag.note(int(late * 10**9))
            self._lag_max = max(self._lag_max, late)

    async def _tell(self) -> None:
        """Print a sample now and then."""
        turn, then = 0, (time.monotonic(), time.process_time())
        while True:
            turn += 1
            await asyncio.sleep(max(0.0, self._shift.began + turn * SAMPLE_S - time.monotonic()))
            share, then = share_since(then), (time.monotonic(), time.process_time())
            p50, p99 = self._fold() or (None, None)
            counts = [tally.counts for tally in self._tallies.values()]
            seen = sum(each.deliveries for each in counts), sum(each.bytes for each in counts)
            wrong = sum(each.gaps + each.wrong + each.lost for each in counts)
            print_line(Sample(
                turn=turn, connected=sum(each.connected for each in counts), deliveries=seen[0] - self._seen[0], bytes=seen[1] - self._seen[1],
                wrong=wrong, p50=p50, p99=p99, share=share, lag=self._lag_max * 1000, problem=self._problem,
            ))
            self._seen, self._lag_max = seen, 0.0

    def _fold(self) -> list[float]:
        """Put what was noted into the histograms; the median and the 99th percentile of steady clients, in ms, if there were any."""
        cuts = {}
        for role, tally in self._tallies.items():
            cuts[role] = tally.delivery.fold()
            tally.age.fold()
            tally.response.fold()
        self._lag.fold()
        return cuts[Role.STEADY]


def share_since(then: tuple[float, float]) -> float:
    """The share of a core that this process has used since an earlier time, when it had used so many seconds."""
    return (time.process_time() - then[1]) / max(1e-9, time.monotonic() - then[0])


def memory() -> int:
    """The most bytes of memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def print_line(message: Struct) -> None:
    """A line of JSON on the standard output, at once."""
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Do a shift."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)    # frames make no cycles, and clients wait meanwhile
    shift = msgspec.json.decode(sys.stdin.buffer.readline(), type=Shift)
    loop.run(Worker(shift).run())


if __name__ == "__main__":
    main()
