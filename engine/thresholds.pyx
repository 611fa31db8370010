"""Sizes at which the engine takes another path, or a table grows."""

cdef uint64_t met[THRESHOLD_COUNT][2]


cdef void count_side(int which, bint reached) noexcept nogil:
    met[which][reached] += 1


def sides_met() -> dict[str, tuple[int, int]] | None:
    """By threshold, how often this process met a size below it, and one at it or above. None but in a checked build."""
    return {threshold.name: (met[threshold][0], met[threshold][1]) for threshold in Threshold} if CHECKED_BUILD else None
