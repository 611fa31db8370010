"""The report of a load run for people: rows of figures for tables, and a page in a single file."""

import time
from html import escape
from math import log10

from stream.harness.charts import Curve, chart, page, table
from stream.harness.plan import Role
from stream.harness.report import PERCENTILES, Latency, LoadReport

NINES = [-log10(1 - percentile / 100) for percentile in PERCENTILES[:-1]]
"""Where percentiles are on an axis on which 90, 99 and 99.9 are one step apart."""

HEADINGS = (
    "clients", "", "deliveries/s", "updates/s", "MB/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "answer p99", "gaps", "wrong", "lost", "resumed",
)


def ms(latency: Latency | None, name: str) -> str:
    """A figure of a latency."""
    return f"{getattr(latency, name):.2f}" if latency else "-"


def rows(report: LoadReport) -> list[tuple[str, ...]]:
    """A line for each role, under HEADINGS."""
    found = []
    for role, seen in report.roles.items():
        counts, per_s = seen.counts, 1 / report.seconds
        resumed = counts.current + counts.patched + counts.snapshotted
        found.append((
            role, f"{counts.clients:,}", f"{counts.deliveries * per_s:,.0f}", f"{counts.updates * per_s:,.0f}", f"{counts.bytes * per_s / 1e6:,.2f}",
            *(ms(seen.delivery, name) for name in ("p50", "p99", "p999", "max")), ms(seen.response, "p99"),
            f"{counts.gaps:,}", f"{counts.wrong:,}", f"{counts.lost:,}", f"{resumed:,}" if resumed else "",
        ))
    return found


def notes(report: LoadReport) -> list[str]:
    """Notes that one has to know to read the figures."""
    plan, total, server = report.plan, report.total, report.server
    interval = f"at the interval of {plan.interval_ms} ms" if plan.interval_ms else "not of frames, since every one has a time of its own,"
    said = [
        f"{report.verifying:,} of {plan.clients:,} clients rebuilt every book and compared {total.digests:,} digests; "
        "the others checked the sequences of every frame.",
        f"Latencies run from the making of a frame to its receipt; they are corrected for coordinated omission, {interval} and of answers by the time when "
        "the request was due.",
    ]
    if total.requests:
        said.append(f"{total.requests:,} requests on schedule, of which {total.refused:,} were refused and {total.unanswered:,} not answered.")
    if total.returns:
        said.append(
            f"{total.returns:,} connections were cut and returned: of their channels {total.current:,} were current, {total.patched:,} got a patch, "
            f"{total.snapshotted:,} a snapshot."
        )
    if total.told_gaps:
        said.append(f"The server told of {total.told_gaps:,} gaps of lossless channels.")
    if server:
        cost = f"used {server.share:.0%} of a core" if server.share is not None else "does not tell what it used"
        cost += f" and {server.memory / 1e6:,.0f} MB" if server.memory is not None else ""
        said.append(
            f"The server {cost}; it wrote {server.bytes / 1e6:,.2f} MB in {server.writes:,} writes, and the clients got {total.bytes / 1e6:,.2f} MB; "
            f"it had {server.catch_ups:,} catch-ups of slow clients."
        )
        if server.audit_failures:
            said.append(f"The server found {server.audit_failures:,} wrong books among its own.")
        if server.limits_hit:
            said.append("Limits of the server that were reached: " + ", ".join(f"{name} {times:,}" for name, times in server.limits_hit.items()) + ".")
    else:
        said.append("The server's metrics could not be had, or are those of several processes.")
    costs = (f"{each.share:.0%} of a core, {each.memory / 1e6:,.0f} MB, late by {each.lag_p99:.1f} ms (p99)" for each in report.processes)
    said.append(f"The harness itself, each process: {'; '.join(costs)}.")
    said.append(f"The server's clock is {report.clock_ahead_ms:.3f} ms ahead, known to within {report.clock_accuracy_ms:.3f} ms.")
    return said


def most_told(report: LoadReport) -> list[tuple[str, int]]:
    """What went wrong, most frequent first."""
    return sorted(report.told.items(), key=lambda item: -item[1])


def nines(x: float) -> str:
    """A percentile by its distance from 100 on the logarithmic axis: 2 stands for 99."""
    return f"{round(100 - 100 * 10**-x, 3):g} %"


def html(report: LoadReport) -> str:
    """The page."""
    moments, plan = report.moments, report.plan

    def over_time(name: str, scale: float = 1.0) -> list[tuple[float, float | None]]:
        values = [(moment.seconds, getattr(moment, name)) for moment in moments]
        return [(seconds, None if value is None else value * scale) for seconds, value in values]

    spread = [
        Curve(role, list(zip(NINES, seen.delivery.percentiles, strict=False)))
        for role, seen in report.roles.items() if seen.delivery and role != Role.SLOW    # who reads nothing for seconds is seconds late
    ]
    verdict = "".join(f'<p class="bad">{escape(problem)}</p>' for problem in report.problems) or '<p class="good">Every threshold was kept.</p>'
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(report.time))
    return page("deltabook under load", [
        f'<p class="faint">{plan.clients:,} clients of {escape(plan.url)} for {report.seconds:.1f} s, {when}; {escape(report.machine)}</p>',
        verdict,
        "".join(f'<p class="bad">{escape(limit)}</p>' for limit in report.limits),
        table(HEADINGS, [("all" if not row[0] else row[0], *row[1:]) for row in rows(report)]),
        '<div class="charts">',
        chart("Deliveries", "frames a second", [Curve("all clients", over_time("deliveries"))]),
        chart("Latency of steady clients", "ms, in each half second", [Curve("p50", over_time("p50")), Curve("p99", over_time("p99"))]),
        chart("Latency by percentile", "ms, corrected; without slow clients", spread, nines, (NINES[0], 1, 2, 3, 4)),
        chart("Traffic", "MB a second", [Curve("received", over_time("bytes", 1e-6))]),
        chart("Processor", "cores", [Curve("server", over_time("server_share")), Curve("busiest process of the harness", over_time("share"))]),
        chart("Memory of the server", "MB", [Curve("resident", over_time("server_memory", 1e-6))]),
        chart("Connected", "clients, probes included", [Curve("connected", over_time("connected"))]),
        chart("Lag of the harness", "ms, the longest", [Curve("loop", over_time("lag"))]),
        "</div>",
        "<h2>Latencies in ms</h2>",
        table(("clients and what", *(f"{percentile:g} %" for percentile in PERCENTILES)), [
            (f"{role}, {what}", *(f"{value:.2f}" for value in latency.percentiles))
            for role, seen in report.roles.items() for what in ("delivery", "age", "response") if (latency := getattr(seen, what))
        ]),
        "<h2>What to know</h2>",
        *(f"<p>{escape(note)}</p>" for note in notes(report)),
        "<h2>What clients said</h2>" if report.told else "",
        table(("", "times"), most_told(report)) if report.told else "",
    ])
