"""The result of a load run, as one struct. Its JSON is the report for machines; tables and pages are made from it."""

import os
import platform
import time
from collections.abc import Iterator
from importlib.metadata import version

from msgspec import Struct

from stream.harness.plan import LoadPlan, Role, Thresholds, planned_clients
from stream.harness.server_figures import ServerReport
from stream.harness.tally import Counts, ShiftReport, Tally, Times, add

SHARE_MAX = 0.85
"""If a process uses more of a core than this, the figures may be those of the process instead of the server."""

LAG_MS_MAX = 10.0
"""So may one whose loop is later than this at the 99th percentile."""

PERCENTILES = (50, 75, 90, 95, 99, 99.5, 99.9, 99.99, 100)


class Moment(Struct):
    """All processes at one time. Rates a second, times in ms, shares of a core, memory in bytes."""

    seconds: float
    measured: bool
    """Whether all clients were there."""
    connected: int
    deliveries: float
    bytes: float
    wrong: int
    p50: float | None
    p99: float | None
    share: float
    """Of the busiest process."""
    lag: float
    """The longest."""
    server_share: float | None
    server_memory: float | None
    problem: str


class Latency(Struct):
    """Times in ms. `percentiles` are those of PERCENTILES, `histogram` is HdrHistogram's own compressed form."""

    count: int
    p50: float
    p99: float
    p999: float
    max: float
    percentiles: list[float]
    histogram: str


def latency_of(times: Times) -> Latency | None:
    """The report of some times; None if there are none."""
    if not times.count:
        return None
    values = [round(times.ms(percentile), 3) for percentile in PERCENTILES]
    return Latency(count=times.count, p50=values[0], p99=values[4], p999=values[6], max=values[8], percentiles=values, histogram=times.encoded())


class RoleReport(Struct):
    """What the clients of a role saw. `delivery`: from the making of a frame to its receipt, `age`: from the latest command in a book's frame to its
    receipt, `response`: from when a request was due to its answer.
    """

    counts: Counts
    verifying: int
    delivery: Latency | None
    age: Latency | None
    response: Latency | None


class ProcessReport(Struct):
    """What one process of the harness cost: the share of a core, bytes at the most, and how late its loop was, in ms."""

    share: float
    memory: int
    lag_p99: float
    lag_max: float


class LoadReport(Struct):
    """The whole. `clock_ahead_ms` is what the server's clock was ahead of ours, known to within `clock_accuracy_ms`."""

    version: str
    machine: str
    time: float
    """When it ended, in seconds since 1970."""
    plan: LoadPlan
    thresholds: Thresholds
    seconds: float
    roles: dict[str, RoleReport]
    server: ServerReport | None
    processes: list[ProcessReport]
    clock_ahead_ms: float
    clock_accuracy_ms: float
    moments: list[Moment]
    told: dict[str, int]
    """What went wrong in the words of clients and server, and how often."""
    problems: list[str]
    """Which thresholds were not kept."""
    limits: list[str]
    """Why the figures may be those of the harness and not of the server."""

    @property
    def total(self) -> Counts:
        """All roles together."""
        total = Counts()
        for role in self.roles.values():
            add(total, role.counts)
        return total

    @property
    def verifying(self) -> int:
        """How many clients rebuilt their books."""
        return sum(role.verifying for role in self.roles.values())


def report_of(plan: LoadPlan, thresholds: Thresholds, reports: list[ShiftReport], server: ServerReport | None, moments: list[Moment]) -> LoadReport:
    """Add up what the processes saw, and judge it."""
    tallies: dict[str, Tally] = {}
    told: dict[str, int] = {}
    for each in reports:
        for role, seen in each.told.items():
            tallies.setdefault(role, Tally()).add(seen)
        for problem, times in each.problems.items():
            told[problem] = told.get(problem, 0) + times
    for name, tally in tallies.items():
        if plan.interval_ms and name != Role.SLOW:    # who is late because it does not read
            tally.delivery = tally.delivery.corrected(plan.interval_ms)
    verifying = [place.role.value for place in planned_clients(plan) if place.verifies]
    roles = {
        role.value: RoleReport(tallies[role].counts, verifying.count(role.value), *map(latency_of, tallies[role].times))
        for role in Role if role in tallies
    }
    processes = []
    for each in reports:
        lag = Times(each.lag)
        processes.append(ProcessReport(round(each.share, 3), each.memory, lag.ms(99), lag.ms(100)))
    worst = max(reports, key=lambda each: each.accuracy)
    report = LoadReport(
        version=version("deltabook"), machine=machine(), time=time.time(), plan=plan, thresholds=thresholds,
        seconds=min(each.seconds for each in reports), roles=roles, server=server, processes=processes, clock_ahead_ms=worst.offset / 10**6,
        clock_accuracy_ms=worst.accuracy / 10**6, moments=moments, told=told, problems=[], limits=[],
    )
    report.problems = list(problems_of(report))
    report.limits = list(limits_of(report))
    return report


def machine() -> str:
    """What the harness ran on."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def problems_of(report: LoadReport) -> Iterator[str]:
    """Which thresholds were not kept."""
    limits, total = report.thresholds, report.total
    counted = (
        (total.gaps, limits.gaps, "gaps"), (total.wrong, limits.wrong, "wrong books"), (total.lost, limits.lost, "lost connections"),
        (total.refused, limits.refused, "refused requests"),
    )
    for count, most, words in counted:
        if most is not None and count > most:
            yield f"{count:,} {words}: at most {most:,} were allowed"
    steady = report.roles.get(Role.STEADY)
    if limits.p99_ms is not None:
        if not steady or not steady.delivery:
            yield "no steady client got any frame: there is no p99 to judge"
        elif steady.delivery.p99 > limits.p99_ms:
            yield f"p99 of steady clients {steady.delivery.p99:g} ms: at most {limits.p99_ms:g} ms was allowed"
    if limits.response_p99_ms is not None:
        for role, seen in report.roles.items():
            if seen.response and seen.response.p99 > limits.response_p99_ms:
                yield f"p99 of answers to {role} clients {seen.response.p99:g} ms: at most {limits.response_p99_ms:g} ms was allowed"
    rate = total.deliveries / report.seconds
    if limits.deliveries_per_s is not None and rate < limits.deliveries_per_s:
        yield f"{rate:,.0f} deliveries a second: at least {limits.deliveries_per_s:,.0f} were expected"
    if not total.deliveries:
        yield "nothing was delivered"


def limits_of(report: LoadReport) -> Iterator[str]:
    """Why the figures may be the harness's."""
    for number, process in enumerate(report.processes, 1):
        if process.share > SHARE_MAX:
            yield f"process {number} of the harness used {process.share:.0%} of a core: take more processes or fewer clients, or verify a smaller share"
        if process.lag_p99 > LAG_MS_MAX:
            yield f"process {number} of the harness was {process.lag_p99:.1f} ms late at the 99th percentile: latencies below that are its own"
    if report.server and report.server.paced_ms:
        yield f"the server is loaded and sends books and tickers every {report.server.paced_ms} ms at most"
