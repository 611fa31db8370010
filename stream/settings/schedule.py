"""When the phases of instruments change, by the configuration. It knows no clock: the time is an argument, in ns since 1970."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from stream.settings.config import DAYS, ConfigError, ScheduleConfig
from stream.wire.fields import ListedPhaseName
from stream.wire.times import NEVER

WEEK_BEFORE, WEEK_AFTER = range(-8, 2), range(-1, 9)
"""The days around today on which a line can come last or next: a week, and one more, since days differ in length and begin elsewhere at another time."""


class Change(NamedTuple):
    """An instrument's change to a phase."""

    time: int
    phase: ListedPhaseName


class Line(NamedTuple):
    """A line of the schedule, as it is computed with."""

    at: time
    zone: tzinfo
    days: frozenset[int]
    terms: ScheduleConfig

    def times(self, now: int, days: Iterable[int]) -> Iterator[int]:
        """When it comes, on some of the days around `now`. A time that a clock skips is taken as if it had not yet been put forward, and one that it repeats
        as the first of the two.
        """
        today = datetime.fromtimestamp(now // 10**9, self.zone).date()
        for day in (today + timedelta(ahead) for ahead in days):
            if day.weekday() in self.days:
                yield self._on(day)

    def _on(self, day: date) -> int:
        return int(datetime.combine(day, self.at, self.zone).timestamp()) * 10**9


def _line_of(terms: ScheduleConfig) -> Line:
    try:
        zone = ZoneInfo(terms.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"schedule: time_zone {terms.time_zone!r}: expected a time zone that this machine knows, such as \"Europe/Berlin\"") from None
    return Line(time.fromisoformat(terms.at), zone, frozenset(DAYS.index(day) for day in terms.days), terms)


class Schedule:
    """The lines of a schedule. Of two lines at the same time the later one counts."""

    def __init__(self, lines: Sequence[ScheduleConfig]) -> None:
        """Raises ConfigError if there is no such time zone."""
        self._lines = [_line_of(line) for line in lines]

    @property
    def instruments(self) -> set[str]:
        """The instruments that it names."""
        return {name for line in self._lines for name in line.terms.instruments}

    def latest(self, names: Sequence[str], now: int) -> dict[str, Change]:
        """By instrument, the change that came last, at `now` at the latest. O(lines * instruments)."""
        found = ((max((when for when in line.times(now, WEEK_BEFORE) if when <= now), default=None), line) for line in self._lines)
        return _by_instrument(sorted(((when, line) for when, line in found if when is not None), key=lambda each: each[0]), names)

    def upcoming(self, names: Sequence[str], now: int) -> dict[str, Change]:
        """By instrument, the change that comes next, after `now`. O(lines * instruments)."""
        found = [(self._next(line, now), line) for line in self._lines]
        return _by_instrument(sorted(found, key=lambda each: -each[0]), names)

    def next_time(self, now: int) -> int:
        """When anything changes next, after `now`; NEVER if the schedule has no lines. O(lines)."""
        return min((self._next(line, now) for line in self._lines), default=NEVER)

    def _next(self, line: Line, now: int) -> int:
        return min(when for when in line.times(now, WEEK_AFTER) if when > now)


def _by_instrument(changes: Iterable[tuple[int, Line]], names: Sequence[str]) -> dict[str, Change]:
    """The last of the changes to each instrument."""
    return {name: Change(when, line.terms.phase) for when, line in changes for name in names if name in line.terms.instruments or not line.terms.instruments}
