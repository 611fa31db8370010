"""Counts of values by size, for the metrics."""

cimport cython
from libc.stdint cimport int64_t

from bisect import bisect_left
from itertools import accumulate

SECONDS = tuple(round(base * 10.0**power, 6) for power in range(-5, 1) for base in (1, 2.5, 5))
"""Bounds from 10 us to 5 s."""


@cython.final
cdef class Histogram:
    """Counts how many values were at most as large as each bound."""

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS) + 1)
        self.total = 0.0

    cpdef int observe(self, int64_t ns) except -1:
        """Count a time."""
        cdef double seconds = ns / 1e9
        cdef Py_ssize_t bound = bisect_left(SECONDS, seconds) if ns > 0 else 0
        self.counts[bound] += 1
        self.total += seconds
        return 0

    def buckets(self) -> list[tuple[str, float]]:
        """For each bound, how many values were at most that large, as Prometheus expects it."""
        return list(zip([*map(str, SECONDS), "+Inf"], map(float, accumulate(self.counts)), strict=True))
