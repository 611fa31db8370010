"""The two clocks of a server: the market's clock, which never goes back, and the wall clock, by which tokens expire."""

import logging
import time
from datetime import UTC, datetime

log = logging.getLogger("deltabook")

RUNNING = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""The time since the machine was started, including the time that it was suspended. On macOS the monotonic clock already includes that."""

AHEAD_NS_TOLD = 10**9


def running() -> int:
    """Nanoseconds that have passed since the machine was started. Never goes back."""
    return time.clock_gettime_ns(RUNNING)


class Clock:
    """Nanoseconds since 1970 that never go back and never jump. The clock is set by the wall clock once, at the start.

    So no timer, limit or expiry is early or late because somebody corrected the wall clock. Tokens come from machines that follow the wall clock; they are
    valid or not by its present time: `wall_time`.
    """

    def __init__(self, floor: int = 0) -> None:
        """The clock never begins before `floor`, the latest time in the journal. If the wall clock is earlier, the log says so."""
        wall = time.time_ns()
        self._offset = max(wall, floor) - running()
        if floor - wall > AHEAD_NS_TOLD:
            log.warning(
                "the journal is from the future: the market goes on from its time, and tokens are judged by this machine's clock. If that is wrong, set it and "
                "start again. If it is right, it was ahead when the journal was written: the market's times stay ahead by as much, so that `gtd` and `day` "
                "orders end too early, until it has caught up and the server is started again, or a new journal is begun",
                extra={"journal": said(floor), "clock": said(wall), "ahead_s": (floor - wall) // 10**9},
            )

    def now(self) -> int:
        """The market's time."""
        return self._offset + running()

    def wall_time(self, now: int) -> int:
        """The wall clock, as it is set now, at a time of the market's clock; in ns since 1970."""
        return time.time_ns() + now - self.now()


def said(time_ns: int) -> str:
    """A time as people read it."""
    return datetime.fromtimestamp(time_ns // 10**9, UTC).isoformat()
