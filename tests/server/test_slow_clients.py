"""The benchmark of slow clients in small: a real server, some dozens of real sockets, half of which stop reading."""

import sys

import pytest

from benchmarks.slow_clients import Plan, measure

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_clients_that_do_not_read_cost_no_gap_and_little_memory_and_come_back_with_the_right_book() -> None:
    figures = measure(Plan(clients=60, slow=30, seconds=1.5, updates_per_s=20_000, interval_ms=10, settings={"send_buffer_bytes": 4096}))
    assert figures.broken == []
    assert figures.frames > 30 * 50
