"""A real disk that is full, and then read-only: a small tmpfs in a mount namespace of its own, where the system lets one have that."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def mounted(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command while there is a tmpfs of 1 MiB at a folder, for it alone."""
    script = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"'
    return subprocess.run(["unshare", "-rm", "sh", "-c", script, str(folder), *command], cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_full_disk_and_a_read_only_one(tmp_path: Path) -> None:
    try:
        probe = mounted(tmp_path, "true")
    except FileNotFoundError:
        pytest.skip("there is no `unshare` to mount a small disk with")
    if probe.returncode:
        pytest.skip(f"may not mount a small disk: {probe.stderr.strip()}")
    outcome = mounted(tmp_path, sys.executable, "-m", "tests.journal.small_disk", str(tmp_path))
    assert outcome.returncode == 0, outcome.stderr
    told = json.loads(outcome.stdout.splitlines()[-1])
    assert 0 < told["low"] < told["acknowledged"] <= told["recovered"]
    assert told["free"] < 1 << 16
    assert told["failure"].endswith("No space left on device")
    assert told["failure"] == told["again"]
    assert "Read-only file system: 'data/lock'" in told["refused"]
    assert told["statuses"] == [0, 0, 0]
