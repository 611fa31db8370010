"""The schedule of phases: local times, days of the week, days that are an hour shorter or longer, and which line counts."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from stream.settings.config import DAYS, ConfigError, ScheduleConfig, read_config
from stream.settings.schedule import Change, Schedule
from stream.wire.times import NEVER

S = 10**9
NAMES = ["A", "B"]


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * S


def schedule(*lines: dict[str, Any]) -> Schedule:
    return Schedule(msgspec.convert(lines, tuple[ScheduleConfig, ...]))


HOURS = schedule(
    {"at": "09:00", "phase": "auction", "days": list(DAYS[:5]), "time_zone": "Europe/Berlin"},
    {"at": "09:15", "phase": "trading", "days": list(DAYS[:5]), "time_zone": "Europe/Berlin"},
    {"at": "17:30:30", "phase": "halt", "days": list(DAYS[:5]), "time_zone": "Europe/Berlin"},
    {"at": "17:00", "phase": "halt", "days": ["friday"], "time_zone": "Europe/Berlin", "instruments": ["B"]},
)


@pytest.mark.parametrize(
    ("now", "last", "then"),
    [
        ("2026-11-30T07:59:59", ("2026-11-27T16:30:30", "halt"), ("2026-11-30T08:00", "auction")),      # a Monday in winter
        ("2026-11-30T08:00:00", ("2026-11-30T08:00", "auction"), ("2026-11-30T08:15", "trading")),
        ("2026-11-30T12:00:00", ("2026-11-30T08:15", "trading"), ("2026-11-30T16:30:30", "halt")),
        ("2026-12-04T16:30:30", ("2026-12-04T16:30:30", "halt"), ("2026-12-07T08:00", "auction")),
        ("2026-12-05T23:00:00", ("2026-12-04T16:30:30", "halt"), ("2026-12-07T08:00", "auction")),
        ("2026-07-01T07:00:00", ("2026-07-01T07:00", "auction"), ("2026-07-01T07:15", "trading")),      # in summer
    ],
)
def test_opening_hours_of_a_city(now: str, last: tuple[str, str], then: tuple[str, str]) -> None:
    assert HOURS.latest(NAMES, at(now))["A"] == Change(at(last[0]), last[1])
    assert HOURS.upcoming(NAMES, at(now))["A"] == Change(at(then[0]), then[1])


def test_a_line_may_be_for_some_instruments() -> None:
    friday = at("2026-12-04T15:59:59")
    assert HOURS.upcoming(NAMES, friday) == {"A": Change(at("2026-12-04T16:30:30"), "halt"), "B": Change(at("2026-12-04T16:00"), "halt")}
    assert HOURS.next_time(friday) == at("2026-12-04T16:00")
    assert HOURS.instruments == {"B"}


def test_of_two_lines_at_a_time_the_later_one_counts() -> None:
    both = schedule({"at": "09:00", "phase": "halt"}, {"at": "09:00", "phase": "auction", "instruments": ["B"]})
    for changes, time in ((both.latest(NAMES, at("2026-11-30T09:00")), "2026-11-30T09:00"), (both.upcoming(NAMES, at("2026-11-30T09:00")), "2026-12-01T09:00")):
        assert changes == {"A": Change(at(time), "halt"), "B": Change(at(time), "auction")}


def test_a_clock_that_is_put_forward_and_back() -> None:
    """02:30 is skipped on one Sunday of 2026 in Berlin, and comes twice on another."""
    nightly = schedule({"at": "02:30", "phase": "halt", "time_zone": "Europe/Berlin"})
    assert nightly.upcoming(["A"], at("2026-03-28T12:00"))["A"].time == at("2026-03-29T01:30")
    assert nightly.upcoming(["A"], at("2026-03-29T01:30"))["A"].time == at("2026-03-30T00:30")
    assert nightly.upcoming(["A"], at("2026-10-24T12:00"))["A"].time == at("2026-10-25T00:30")
    assert nightly.upcoming(["A"], at("2026-10-25T00:30"))["A"].time == at("2026-10-26T01:30")


@pytest.mark.parametrize("seed", range(20))
def test_it_comes_as_whoever_looks_at_the_clock_every_minute_sees(seed: int) -> None:
    chance = random.Random(seed)
    zone = chance.choice(("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"))
    lines = [
        {"at": f"{chance.randrange(24):02}:{chance.choice((0, 30)):02}", "phase": "halt", "days": chance.sample(DAYS, chance.randint(1, 7)), "time_zone": zone}
        for _ in range(chance.randint(1, 3))
    ]
    begin = datetime(2026, 3, 20, tzinfo=UTC) if seed % 2 else datetime(2026, 10, 20, tzinfo=UTC)
    moments = [begin + timedelta(minutes=minute) for minute in range(0, 12 * 24 * 60, 30)]
    local = [moment.astimezone(ZoneInfo(zone)) for moment in moments]
    seen = sorted(
        int(moment.timestamp()) * S for moment, there in zip(moments, local, strict=True)
        if there.fold == 0 and any(there.strftime("%H:%M") == line["at"] and DAYS[there.weekday()] in line["days"] for line in lines)
    )
    found, now = schedule(*lines), int(begin.timestamp()) * S - 1
    told = []
    while now < seen[-1]:
        now = found.next_time(now)
        told.append(now)
        assert found.latest(["A"], now)["A"].time == now
    skipped = {moment for moment in told if moment not in seen}
    assert sorted(set(told) - skipped) == seen
    assert len(skipped) <= len(lines)    # times that the clock skipped that year


def test_without_lines_nothing_ever_comes() -> None:
    assert schedule().next_time(0) == NEVER
    assert schedule().latest(NAMES, S) == schedule().upcoming(NAMES, S) == {}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"at": "9:00", "phase": "halt"}, "at"), ({"at": "24:00", "phase": "halt"}, "at"), ({"at": "09:00", "phase": "delisted"}, "phase"),
        ({"at": "09:00", "phase": "halt", "days": []}, "days"), ({"at": "09:00", "phase": "halt", "days": ["mon"]}, "days"),
        ({"at": "09:00", "phase": "halt", "time_zone": "Europe/Nowhere"}, "'Europe/Nowhere'"),
        ({"at": "09:00", "phase": "halt", "time_zone": "/etc"}, "'/etc'"),
        ({"at": "09:00", "phase": "halt", "time_zone": ""}, "time_zone ''"),
    ],
)
def test_lines_that_cannot_be(line: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Schedule(read_config(flags={"schedule": [line]}).schedule)
