"""Carries out the schedule: ordinary commands at their time, which a replay runs as any others."""

import logging
from functools import partial
from typing import Protocol

from engine import Event, Exchange, Phase
from stream.commands.directory import Directory, ScheduleRan
from stream.commands.results import Result
from stream.market.gathering import CommandPath
from stream.settings.schedule import Schedule
from stream.wire.times import NEVER

log = logging.getLogger("deltabook.audit")


class Scheduled(Protocol):
    """What a schedule needs of a market."""

    exchange: Exchange
    sequencer: CommandPath

    @property
    def directory(self) -> Directory:
        """What is remembered beside the exchange's state."""
        ...


class ScheduledPhases:
    """Brings instruments to the phases of a schedule. `due` is when there is something to do next, in ns.

    What it has done is remembered with the commands that did it. So what was missed while no process ran is done at the start of the next one: of several
    changes that an instrument has missed only the last. What an administrator has changed since the last change stays until the next one.
    """

    def __init__(self, market: Scheduled, schedule: Schedule, now: int) -> None:
        self._market = market
        self._schedule = schedule
        self.due = NEVER if schedule.next_time(now) == NEVER else now

    def look_again(self) -> None:
        """There is a new instrument."""
        if self.due != NEVER:
            self.due = 0

    def carry_out(self, now: int) -> None:
        """Do what is due. O(1), and O(lines * instruments) when something is."""
        if now < self.due or self._market.sequencer.failure:
            return
        market, books = self._market, self._market.exchange.books
        ran = market.directory.get(ScheduleRan())
        time, known = ran if isinstance(ran, list) else (-1, 0)
        latest = self._schedule.latest([book.instrument.name for book in books], now)
        for book in books:
            name = book.instrument.name
            if name in latest and book.phase != Phase.DELISTED and (latest[name].time > time or book.index >= known):
                phase = Phase[latest[name].phase.upper()]
                if phase != book.phase:
                    market.sequencer.commands.set_phase(book.index, phase, now)
                    market.sequencer.expect(partial(_audit, name, latest[name].phase))
        market.sequencer.remember(ScheduleRan(), [now, len(books)])
        self.due = self._schedule.next_time(now)


def _audit(instrument: str, phase: str, result: Result | None, outcome: Event | None) -> None:
    done = "done" if result and not result.reason else "not known" if result is None else f"refused ({400 + result.reason})"
    arguments = {"instrument": instrument, "phase": phase}
    log.info("a change of the schedule", extra={"subject": "schedule", "request": "set_phase", "arguments": arguments, "outcome": done})
