"""The benchmark job: whether anything has become slower, and how it was over time.

    python -m benchmarks.compare                      the benchmarks, and a short load run
    python -m benchmarks.compare --base main          beside those of another commit, which decides: 1 if anything has become slower
    python -m benchmarks.compare --save               keep what was measured as benchmarks/baseline.json

With a base both builds run the benchmarks of this folder in turns of some milliseconds (ABBA), in several pairs of fresh processes on one
core. A benchmark is slower if both the median pair of processes and the best process of each build say so, in a first measurement and
again in a second. The ratio to the stored baseline, each as a multiple of the yardstick that ran beside it, is for information alone: it
holds on one machine. What was measured goes into build/bench: latest.json, history.jsonl, and index.html with all of it over time.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BytesIO
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from random import randrange
from statistics import median
from typing import NamedTuple

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from benchmarks.history import LoadFigures, Run, append, page_of
from benchmarks.lockstep import PIPE
from benchmarks.machine import describe

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "bench"
BASELINE = ROOT / "benchmarks" / "baseline.json"

LIMIT = 1.15
"""A ratio above it is slower. Builds of different sources differ by some percent for no reason but where the linker put things."""

ROUNDS, PAIRS = 6, 7
"""Samples of each benchmark in each process, and sets of fresh processes."""


class Sample(NamedTuple):
    """Seconds a call, and of the yardstick beside it."""

    call: float
    yard: float


Rounds = list[list[Sample]]
"""For each round a sample of each side."""


class Side(NamedTuple):
    """One build's benchmarks, as a process that takes samples when it is asked to."""

    process: subprocess.Popen[bytes]
    link: Connection
    names: list[str]


@contextmanager
def side(folder: Path, only: Sequence[str]) -> Iterator[Side]:
    """Start the benchmarks of a build."""
    ours, theirs = Pipe()
    command = [sys.executable, "-m", "pytest", "-p", "benchmarks.lockstep", "-p", "no:benchmark", "-p", "no:cacheprovider", "-o", "addopts=-q -q", "--tb=short"]
    environment = os.environ | {PIPE: str(theirs.fileno()), "PADDING": "x" * randrange(4096)}    # so that the stack lies elsewhere each time
    log = (BUILD / "pytest.log").open("ab")
    process = subprocess.Popen([*command, *(only or ["benchmarks"])], cwd=folder, env=environment, pass_fds=[theirs.fileno()], stdout=log, stderr=log)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process.pid, {max(os.sched_getaffinity(0))})    # both sides: what else this core does befalls both alike
    theirs.close()
    log.close()
    try:
        yield Side(process, ours, ours.recv())
    except EOFError:
        raise SystemExit(f"the benchmarks could not be run: see {BUILD / 'pytest.log'}") from None
    finally:
        process.kill()
        process.wait()
        ours.close()


def measure(sides: Sequence[Side], rounds: int, done: Callable[[], None]) -> dict[str, Rounds]:
    """All benchmarks that both sides can run."""
    results: dict[str, Rounds] = {}
    order = {name: index for index, name in enumerate(sides[0].names)}
    waiting = [each.link.recv() for each in sides]
    while all(waiting):
        positions = [order.get(name, -1) for name, _ in waiting]
        if len(set(positions)) > 1:
            late = positions.index(min(positions))    # the others cannot run this one
            sides[late].link.send(0)
            waiting[late] = sides[late].link.recv()
            continue
        loops = waiting[0][1]
        results[waiting[0][0]] = [sampled(sides, loops, number) for number in range(rounds)]
        for each in sides:
            each.link.send(0)
        done()
        waiting = [each.link.recv() for each in sides]
    return results


def sampled(sides: Sequence[Side], loops: int, number: int) -> list[Sample]:
    """A sample of each side, each the first in turn."""
    samples = {}
    for index in (range(len(sides)) if number % 2 else reversed(range(len(sides)))):
        sides[index].link.send(loops)
        samples[index] = Sample(*sides[index].link.recv())
    return [samples[index] for index in range(len(sides))]


def measure_pairs(builds: Sequence[Path], rounds: int, pairs: int, only: Sequence[str] = ()) -> dict[str, list[Rounds]]:
    """The same in several sets of fresh processes."""
    results: dict[str, list[Rounds]] = {}
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("measuring again" if only else "measuring", total=None)
        for number in range(pairs):
            with ExitStack() as stack:
                sides = [stack.enter_context(side(folder, only)) for folder in laid_out(builds)]
                bar.update(task, total=pairs * len(sides[0].names), completed=number * len(sides[0].names))
                for name, found in measure(sides, rounds, lambda: bar.advance(task)).items():
                    results.setdefault(name, []).append(found)
    return results


def ratio_of(pairs: list[Rounds]) -> float:
    """Head's time to base's: by the median pair of processes, or by the best process of each, whichever is lower.

    What drifts befalls both of a pair. But a process can have bad luck for as long as it lives, with where its memory lies and which branches
    share a place in the predictor: its best process is what a build can do.
    """
    paired = median(median(head.call / base.call for head, base in rounds) for rounds in pairs)
    head, base = (min(median(samples[index].call for samples in rounds) for rounds in pairs) for index in range(2))
    return min(paired, head / base)


def base_build(reference: str) -> tuple[Path, str]:
    """Another commit, built, with this folder's benchmarks; its folder and its name."""
    commit = git("rev-parse", "--verify", f"{reference}^{{commit}}")
    folder = ROOT / "build" / "base" / commit
    if not (folder / "built").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
        with tarfile.open(fileobj=BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        with Console(stderr=True).status(f"building {reference}"):
            built = subprocess.run([sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"], cwd=folder, check=False, capture_output=True, text=True)
        if built.returncode:
            raise SystemExit(f"{reference} could not be built:\n{built.stderr[-2000:]}")
        (folder / "built").touch()
    return folder, commit[:12]


def laid_out(builds: Sequence[Path]) -> list[Path]:
    """Fresh copies of builds, all with this folder's benchmarks.

    Their folders differ in nothing but a letter, for even the length of a path can cost some percent, and so can the pages that a file lies in.
    """
    folders = []
    for letter, build in zip("ab", builds, strict=False):
        folder = BUILD / letter
        shutil.rmtree(folder, ignore_errors=True)
        for name, source in (("engine", build), ("stream", build), ("benchmarks", ROOT)):
            shutil.copytree(source / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        folders.append(folder)
    return folders


def git(*arguments: str) -> str:
    """What git says; SystemExit with its complaint."""
    told = subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True)
    if told.returncode:
        raise SystemExit(told.stderr.strip())
    return told.stdout.strip()


def load_run(seconds: float) -> LoadFigures:
    """A short load run against a server of this build, and whether its thresholds were kept."""
    command = [sys.executable, "-m", "stream", "serve", "--source", "simulated", "--set", "rate=200", "--port", "0", "--journal", "none"]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert server.stdout
    try:
        url = next(line.split()[1] for line in server.stdout if line.split()[:1] == ["WebSocket"])
        asked = ["load", url, "--clients", "50", "--seconds", str(seconds), "--slow", "0.1", "--returning", "0.1", "--stall", "1", "--stay", "1", "--json", "-"]
        told = subprocess.run([sys.executable, "-m", "stream", *asked], cwd=ROOT, stdout=subprocess.PIPE, check=False, text=True)
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()
    return msgspec.json.decode(told.stdout, type=LoadFigures)


class Baseline(Struct):
    """What was measured once. `yards`: each benchmark as a multiple of the yardstick."""

    machine: str
    commit: str
    yards: dict[str, float]


def in_yards(pairs: list[Rounds]) -> float:
    """A benchmark of head as a multiple of the yardstick."""
    return median(median(samples[0].call / samples[0].yard for samples in rounds) for rounds in pairs)


def show(run: Run, stored: dict[str, float], slower: dict[str, float]) -> None:
    """The outcome in the terminal."""
    table = Table(box=None, pad_edge=False)
    for heading in ("benchmark", "us", "to base", "to baseline"):
        table.add_column(heading, justify="left" if heading == "benchmark" else "right", no_wrap=True)
    for name, us in run.us.items():
        ratio, old = run.ratios.get(name), stored.get(name)
        verdict = "red" if name in slower else "green" if ratio and ratio < 1 / LIMIT else None
        table.add_row(escape(name), f"{us:,.3f}", f"{ratio:.3f}" if ratio else "-", f"{run.yards[name] / old:.2f}" if old else "-", style=verdict)
    console = Console(highlight=False)
    Console(highlight=False, width=max(console.width, 120)).print(table)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", metavar="REF", help="a commit to compare with")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="samples of each benchmark in each process (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="sets of fresh processes (default: %(default)s)")
    parser.add_argument("--load-seconds", type=float, default=5, help="length of the load run, 0 for none (default: %(default)s)")
    parser.add_argument("--only", action="append", default=[], metavar="FILE[::TEST]", help="only these benchmarks")
    parser.add_argument("--save", action="store_true", help="keep this as benchmarks/baseline.json")
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "pytest.log").unlink(missing_ok=True)
    base, base_name = base_build(options.base) if options.base else (None, "")
    builds = [ROOT, base] if base else [ROOT]
    results = measure_pairs(builds, options.rounds, options.pairs, options.only)
    ratios = {name: ratio_of(pairs) for name, pairs in results.items()} if base else {}
    if suspects := [name for name, ratio in ratios.items() if ratio > LIMIT]:
        again = measure_pairs(builds, options.rounds, options.pairs + 2, suspects)
        ratios |= {name: min(ratios[name], ratio_of(pairs)) for name, pairs in again.items()}
    slower = {name: ratio for name, ratio in ratios.items() if ratio > LIMIT}
    us = {name: median(samples[0].call for rounds in pairs for samples in rounds) * 1e6 for name, pairs in results.items()}
    yards = {name: in_yards(pairs) for name, pairs in results.items()}
    load = load_run(options.load_seconds) if options.load_seconds else None
    run = Run(git("rev-parse", "--short=12", "HEAD"), base_name, time.time(), describe(), us, yards, ratios, load)
    stored = msgspec.json.decode(BASELINE.read_bytes(), type=Baseline).yards if BASELINE.exists() else {}
    show(run, stored, slower)
    (BUILD / "latest.json").write_bytes(msgspec.json.format(msgspec.json.encode(run)))
    (BUILD / "index.html").write_text(page_of(append(BUILD / "history.jsonl", run)))
    if options.save:
        kept = Baseline(run.machine, run.commit, {name: round(yard, 6) for name, yard in yards.items()})
        BASELINE.write_bytes(msgspec.json.format(msgspec.json.encode(kept)) + b"\n")
    print(f"measured: {BUILD / 'latest.json'}, over time: {BUILD / 'index.html'}")
    for name, ratio in slower.items():
        print(f"SLOWER by {ratio - 1:.0%} than {base_name}: {name}")
    for problem in load.problems if load else ():
        print(f"under load: {problem}")
    return 1 if slower or (load and load.problems) or not results else 0


if __name__ == "__main__":
    sys.exit(main())
