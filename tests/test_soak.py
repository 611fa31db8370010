"""The soak itself: a short one, and that it fails when it should."""

from pathlib import Path

import pytest
import uvloop
from rich.console import Console

from tests.soak import DESCRIPTORS_RISE_MAX, RISE_MAX, WARM_UP_LIVES, WARM_UP_S, Sample, Soak, rises, tally


def test_short_lives_leave_nothing_behind(tmp_path: Path) -> None:
    """One second; `make soak` takes an hour."""
    soak = Soak(tmp_path, 3)
    uvloop.run(soak.run(1, 30, Console(quiet=True)))
    figures, broken = tally(tmp_path, soak, 0)
    assert not broken, (soak.failures, [subject.wrong for subject in soak.subjects if subject.wrong])
    assert figures["lives"] > 5
    soak.subjects[0].answers.append((1, 2, 3))
    assert tally(tmp_path, soak, 0)[1] == ["lost, or answered otherwise than carried out"]
    assert "lives too few" in tally(tmp_path, soak, 10**6)[1]


@pytest.mark.parametrize("rate", [0.0, 0.5, 2.0])
def test_a_rise_is_seen_once_the_server_is_warm(rate: float) -> None:
    """The first ten minutes are another matter."""
    samples = [
        Sample(
            at, at * 60, 10**8 + int(rate * RISE_MAX * at / 3600) - max(0, WARM_UP_S - at) * 10**5, 30 + at % 7 + int(rate * DESCRIPTORS_RISE_MAX * at / 3600),
        )
        for at in range(3600)
    ]
    found = rises(samples)
    assert (found["memory"] > RISE_MAX) == (found["descriptors"] > DESCRIPTORS_RISE_MAX) == (rate > 1)
    assert rises(samples[: 2 * WARM_UP_S]) == {}
    seldom = [each._replace(lives=each.lives // 20) for each in samples]
    assert rises(seldom) == {}, "all that there is a number of may not be full yet"
    assert seldom[-1].lives < WARM_UP_LIVES
