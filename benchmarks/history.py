"""The benchmark job's runs over time, as lines of JSON and as a page."""

import time
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from stream.harness.charts import Curve, chart, page, table

RUNS_SHOWN = 100
LINES_MAX = 5
"""In one chart."""


class LoadFigures(Struct):
    """What is kept of a load run's report."""

    seconds: float
    roles: dict[str, dict[str, Any]]
    problems: list[str]
    limits: list[str]


class Run(Struct):
    """One run of the job. `us`: a call's time, `yards`: that as a multiple of the yardstick beside it, `ratios`: to the base."""

    commit: str
    base: str
    time: float
    machine: str
    us: dict[str, float]
    yards: dict[str, float]
    ratios: dict[str, float]
    load: LoadFigures | None


def append(path: Path, run: Run) -> list[Run]:
    """Add a run to the history; all that are shown, oldest first."""
    with path.open("ab") as history:
        history.write(msgspec.json.encode(run) + b"\n")
    return [msgspec.json.decode(line, type=Run) for line in path.read_bytes().splitlines()[-RUNS_SHOWN:]]


def short_name(name: str) -> str:
    """A benchmark's name without its file."""
    return name.partition("::test_")[2]


def page_of(runs: list[Run]) -> str:
    """Every benchmark over the runs."""
    latest = runs[-1]
    charts = []

    def name_of(x: float) -> str:
        return runs[round(x)].commit[:7]

    for file, names in groupby(latest.yards, key=lambda name: name.partition("::")[0]):
        listed = list(names)
        charts.append(f"<h2>{escape(Path(file).stem.removeprefix('test_'))}</h2>" + '<div class="charts">')
        for test, group in groupby(listed, key=lambda name: short_name(name).partition("[")[0]):
            members = list(group)
            for start in range(0, len(members), LINES_MAX):
                lines = [
                    Curve(short_name(name).partition("[")[2].removesuffix("]") or "time", [(i, thousandths(run, name)) for i, run in enumerate(runs)])
                    for name in members[start : start + LINES_MAX]
                ]
                charts.append(chart(test.replace("_", " "), "thousandths of the yardstick", lines, name_of))
        charts.append("</div>")
    rows = [
        (short_name(name), f"{latest.us[name]:,.3f}", f"{latest.yards[name]:.4f}", f"{ratio:.3f}" if (ratio := latest.ratios.get(name)) else "-")
        for name in latest.us
    ]
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(latest.time))
    under_load = [Curve(what, [(i, delivery(run, what)) for i, run in enumerate(runs)]) for what in ("p50", "p99")]
    return page("deltabook's benchmarks", [
        f'<p class="faint">{latest.commit}{f" beside {latest.base}" if latest.base else ""}, {when}; {escape(latest.machine)}</p>',
        *charts,
        "<h2>under load</h2>",
        '<div class="charts">',
        chart("Latency of steady clients", "ms", under_load, name_of),
        "</div>",
        "<h2>The latest run</h2>",
        table(("benchmark", "us", "yards", "to base"), rows),
    ])


def thousandths(run: Run, name: str) -> float | None:
    """A benchmark's time, as it is drawn."""
    return run.yards[name] * 1000 if name in run.yards else None


def delivery(run: Run, what: str) -> float | None:
    """A latency of the load run, in ms."""
    found = run.load.roles.get("steady", {}).get("delivery") if run.load else None
    return found[what] if found else None
