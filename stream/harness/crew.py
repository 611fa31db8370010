"""A whole load run: it starts the processes, collects what they report, reads the server's metrics, and makes the report."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import count

import msgspec

from stream.client.errors import ClientError
from stream.harness.plan import LoadPlan, Thresholds
from stream.harness.report import LoadReport, Moment, report_of
from stream.harness.server_figures import Figures, Metrics, ServerReport, compare, read
from stream.harness.tally import Sample, ShiftReport
from stream.harness.worker import SAMPLE_S, Shift

HEAD_START_S = 1.0
"""Time for the processes to start."""

PATIENCE_S = 60.0
"""How late the processes may be with their outcome."""

FETCH_S = 1.0

LINE_BYTES_MAX = 1 << 26


class Crew:
    """The processes of one run. `see` is called with each moment, half a second apart."""

    def __init__(self, plan: LoadPlan, tokens: dict[int, str], see: Callable[[Moment], None]) -> None:
        self._plan = plan
        self._tokens = tokens
        self._see = see
        self._samples: dict[int, list[Sample]] = {}
        self._reports: list[ShiftReport] = []
        self._processes: list[asyncio.subprocess.Process] = []
        self._figures: list[tuple[float, Figures]] = []    # what the server said, and when
        self._metrics = Metrics(plan.url)
        self.moments: list[Moment] = []

    def end(self) -> None:
        """End the run early: the report is of what there is."""
        for process in self._processes:
            if process.stdin:
                process.stdin.close()

    async def run(self, thresholds: Thresholds) -> LoadReport:
        """Do the run. Raises ClientError if a process fails."""
        began = time.monotonic() + HEAD_START_S
        pipe = asyncio.subprocess.PIPE
        try:
            for number in range(self._plan.processes):
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "stream.harness.worker", stdin=pipe, stdout=pipe, limit=LINE_BYTES_MAX, start_new_session=True,
                )
                assert process.stdin
                self._processes.append(process)
                mine = {client: token for client, token in self._tokens.items() if client % self._plan.processes == number}
                process.stdin.write(msgspec.json.encode(Shift(self._plan, number, began, mine)) + b"\n")
            watching = asyncio.create_task(self._watch_server(began))
            async with asyncio.timeout(HEAD_START_S + self._plan.ramp_s + self._plan.seconds + PATIENCE_S):
                await asyncio.gather(*map(self._hear, self._processes))
            watching.cancel()
        except TimeoutError:
            raise ClientError(f"the processes of the load run are more than {PATIENCE_S:g} seconds late: use fewer clients or more processes") from None
        finally:
            for process in self._processes:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            await self._metrics.close()
        return report_of(self._plan, thresholds, self._reports, self._of_server(), self.moments)

    def _of_server(self) -> ServerReport | None:
        """What the server did while the first process to end was counting; None if it has several processes, each of which answers for itself."""
        seen = [figures for report in self._reports for figures in (report.before, report.after)] + [figures for _, figures in self._figures]
        if len({figures["process_start_time_seconds"] for figures in seen if "process_start_time_seconds" in figures}) > 1:
            return None
        report = self._reports[0]
        return compare(report.before, report.after, report.seconds)

    async def _watch_server(self, began: float) -> None:
        """Read the server's metrics again and again, and once when all clients are connected."""
        for turn in count(-int(self._plan.ramp_s / FETCH_S)):
            await asyncio.sleep(max(0.0, began + self._plan.ramp_s + turn * FETCH_S - time.monotonic()))
            await self._look()

    async def _look(self) -> None:
        self._figures.append((time.monotonic(), read(await self._metrics.fetch())))

    async def _hear(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout
        while line := await process.stdout.readline():
            message = msgspec.json.decode(line, type=Sample | ShiftReport)
            if isinstance(message, ShiftReport):
                self._reports.append(message)
                return
            together = self._samples.setdefault(message.turn, [])
            together.append(message)
            if len(together) == self._plan.processes:
                self._moment(self._samples.pop(message.turn))
        raise ClientError("a process of the load run has failed")

    def _moment(self, samples: list[Sample]) -> None:
        """All processes have told of a time."""
        server_share = None
        if len(self._figures) > 1:
            (then, before), (now, after) = self._figures[-2:]
            seen = compare(before, after, now - then)
            server_share = seen.share if seen else None
        moment = Moment(
            seconds=samples[0].turn * SAMPLE_S,
            measured=samples[0].turn * SAMPLE_S > self._plan.ramp_s,
            connected=sum(sample.connected for sample in samples),
            deliveries=sum(sample.deliveries for sample in samples) / SAMPLE_S,
            bytes=sum(sample.bytes for sample in samples) / SAMPLE_S,
            wrong=sum(sample.wrong for sample in samples),
            p50=highest(sample.p50 for sample in samples),
            p99=highest(sample.p99 for sample in samples),
            share=max(sample.share for sample in samples),
            lag=max(sample.lag for sample in samples),
            server_share=server_share,
            server_memory=self._figures[-1][1].get("process_resident_memory_bytes") if self._figures else None,
            problem=next((sample.problem for sample in samples if sample.problem), ""),
        )
        self.moments.append(moment)
        self._see(moment)


def highest(values: Iterable[float | None]) -> float | None:
    """The highest of those that there are."""
    return max((value for value in values if value is not None), default=None)
