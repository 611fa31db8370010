"""The benchmark job: what makes a benchmark count as slower, and that two builds really take turns."""

import json
from pathlib import Path

import pytest

from benchmarks.compare import LIMIT, Sample, laid_out, measure, ratio_of, side
from benchmarks.history import LoadFigures, Run, append, page_of

ROOT = Path(__file__).parents[2]
RUN = Run("abcdef123456", "", 1.7e9, "a machine", {"benchmarks/test_x.py::test_a[1 b]": 2.0}, {"benchmarks/test_x.py::test_a[1 b]": 0.5}, {}, None)


def pairs(*figures: tuple[float, float]) -> list[list[list[Sample]]]:
    """Pairs of processes, each of three rounds, by the times of head and base."""
    return [[[Sample(head, 1), Sample(base, 1)]] * 3 for head, base in figures]


@pytest.mark.parametrize(
    ("figures", "slower"),
    [
        ([(1.3, 1.0)] * 7, True),
        ([(1.0, 1.0)] * 7, False),
        ([(1.3, 1.0), (2.6, 2.0), (1.3, 1.0), (2.6, 2.0), (5.2, 4.0)], True),    # the machine is slow now and then
        ([(1.4, 1.0)] * 4 + [(1.0, 1.0)] * 3, False),                            # bad luck of some processes
        ([(1.0, 1.3)] * 7, False),
    ],
)
def test_a_build_is_slower_if_its_pairs_and_its_best_process_say_so(figures: list[tuple[float, float]], slower: bool) -> None:
    assert (ratio_of(pairs(*figures)) > LIMIT) is slower


def test_one_bad_round_changes_nothing() -> None:
    rounds = [[Sample(1, 1), Sample(1, 1)]] * 5 + [[Sample(9, 1), Sample(1, 1)]]
    assert ratio_of([rounds] * 3) == 1


def test_the_page_shows_every_benchmark_over_all_runs(tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    append(history, RUN)
    latency = {"p50": 1.0, "p99": 2.0}
    load = LoadFigures(1, {"steady": {"delivery": latency}}, [], [])
    runs = append(history, Run("123456abcdef", "", 1.7e9, "a machine", RUN.us, RUN.yards, RUN.ratios, load))
    assert len(runs) == 2
    page = page_of(runs)
    assert page.count("<polyline") == 1
    assert "1 b" in page
    assert "http:" not in page
    assert "https:" not in page


def test_two_builds_take_turns_and_pass_over_what_one_cannot_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("benchmarks.compare.BUILD", tmp_path)
    folders = laid_out([ROOT, ROOT])
    tests = folders[1] / "benchmarks" / "test_levels.py"
    tests.write_text(tests.read_text().replace("    levels = filled(2 * count)\n", "    levels = filled(2 * count)\n    assert count != 20\n"))
    only = ["benchmarks/test_levels.py::test_digest_of_a_window"]
    with side(folders[0], only) as head, side(folders[1], only) as base:
        results = measure([head, base], 3, lambda: None)
    assert [name.partition("[")[2] for name in results] == ["5 levels a side]", "100 levels a side]"]
    assert all(len(rounds) == 3 and len(rounds[0]) == 2 for rounds in results.values())
    assert all(0 < sample.call < 1 > sample.yard > 0 for rounds in results.values() for samples in rounds for sample in samples)


def test_the_stored_baseline_names_benchmarks_that_exist() -> None:
    stored = json.loads((ROOT / "benchmarks" / "baseline.json").read_text())["yards"]
    tests = {name for path in (ROOT / "benchmarks").glob("test_*.py") for name in path.read_text().split() if name.startswith("test_")}
    assert {name.partition("::")[2].partition("[")[0] for name in stored} <= {name.partition("(")[0] for name in tests}
    assert len(stored) > 40
