"""A market that opens and closes by its schedule: on a clock that the test drives, over restarts, and in many processes."""

import logging
import random
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from engine import Phase
from stream.commands.directory import ScheduleRan
from stream.settings.config import ScheduleConfig
from stream.wire.administration import Delist, ListInstrument, ListSchedule, PhaseChanges, SetPhase
from stream.wire.codes import ErrorCode
from stream.wire.frames import Trades
from stream.wire.messages import Confirmed, Done, Error, Place, Subscribe
from tests.cluster.cluster import Cluster
from tests.journal.fake_disk import FakeDisk
from tests.market.journaled import after_a_power_cut, after_a_stop, start
from tests.setting import CONFIG
from tests.venue.test_administration import admin, ask
from tests.venue.test_presence import sign_in, take_over
from tests.worlds import TRADES, Desk, QuietMarket

S = 10**9
HOUR_MS = 3600 * 1000
LINES: list[dict[str, Any]] = [{"at": "09:00", "phase": "auction"}, {"at": "09:15", "phase": "trading"}, {"at": "17:30", "phase": "halt"}]
SCHEDULE = msgspec.convert(LINES, tuple[ScheduleConfig, ...])
SCHEDULED = msgspec.structs.replace(CONFIG, schedule=SCHEDULE)


def at(text: str, day: int = 2) -> int:
    """A time of a day of December 2026."""
    return int(datetime.fromisoformat(f"2026-12-{day:02}T{text}").replace(tzinfo=UTC).timestamp()) * S


def phases(market: Any) -> list[Phase]:
    return [book.phase for book in market.exchange.books]


def run_until(market: QuietMarket, time: int) -> None:
    market.pass_time((time - market.now) / 10**6)


def test_a_day_of_a_market_that_opens_with_an_auction(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "deltabook.audit")
    market = QuietMarket(now=at("08:30"), schedule=SCHEDULE)
    market.tick(market.now)
    assert phases(market) == [Phase.HALT] * 2, "since 17:30 of the day before"
    alice, bob = Desk(market).sign_in("alice"), Desk(market).sign_in("bob")
    alice.ask(Subscribe, [TRADES])
    run_until(market, at("08:59:59"))
    assert phases(market) == [Phase.HALT] * 2
    run_until(market, at("09:00"))
    assert phases(market) == [Phase.AUCTION] * 2
    for desk, side in ((alice, "buy"), (bob, "sell")):
        desk.ask(Place, "BTC-USD", side, 100, 5)
    run_until(market, at("09:15"))
    assert phases(market) == [Phase.TRADING] * 2
    assert [(trade.price, trade.size) for frame in alice.hear() if isinstance(frame, Trades) for trade in frame.trades] == [(100, 5)]
    run_until(market, at("17:30"))
    alice = Desk(market).sign_in("alice")
    assert [answer.code for answer in alice.ask(Place, "BTC-USD", "buy", 100, 5) if isinstance(answer, Error)] == [ErrorCode.HALTED]
    run_until(market, at("09:15", day=5))
    told = [(record.subject, record.request, record.arguments["phase"], record.outcome) for record in caplog.records]    # type: ignore[attr-defined]
    day = ["auction", "auction", "trading", "trading", "halt", "halt"]
    assert told == [("schedule", "set_phase", phase, "done") for phase in ["halt", "halt", *day, *day, *day, *day[:4]]]


def test_what_an_administrator_does_holds_until_the_next_change_and_a_delisted_instrument_is_left_alone() -> None:
    market = QuietMarket(now=at("10:00"), schedule=SCHEDULE)
    market.tick(market.now)
    root = Desk(market).sign_in("root", "admin")
    root.ask(SetPhase, "BTC-USD", "halt")
    root.ask(Delist, "ETH-USD")
    run_until(market, at("17:29"))
    assert phases(market) == [Phase.HALT, Phase.DELISTED]
    run_until(market, at("09:00", day=3))
    assert phases(market) == [Phase.AUCTION, Phase.DELISTED]
    (answer,) = Desk(market).sign_in("root", "admin").ask(ListSchedule)
    assert [(change.instrument, change.time, change.phase) for change in answer.changes] == [("BTC-USD", at("09:15", day=3), "trading")]
    refused = market.sequencer.refused
    run_until(market, at("09:15", day=4))
    assert market.sequencer.refused == refused


def test_a_new_instrument_comes_into_the_phase_of_the_others() -> None:
    market = QuietMarket(now=at("20:00"), schedule=SCHEDULE)
    market.tick(market.now)
    root = Desk(market).sign_in("root", "admin")
    root.ask(SetPhase, "BTC-USD", "trading")
    root.ask(ListInstrument, "BTC-ETH", "BTC", "ETH", "0.01", "0.0001")
    market.tick(market.now)
    assert phases(market) == [Phase.TRADING, Phase.HALT, Phase.HALT]


@pytest.mark.parametrize("way", [after_a_stop, after_a_power_cut])
@pytest.mark.parametrize(
    ("gone", "back", "phase"),
    [("08:00", "10:00", Phase.TRADING), ("08:00", "09:05", Phase.AUCTION), ("10:00", "12:00", Phase.AUCTION), ("10:00", "18:00", Phase.HALT),
     ("17:30", "18:00", Phase.AUCTION)],
)
def test_what_was_missed_while_the_process_was_down_is_made_up_for(way: Any, gone: str, back: str, phase: Phase) -> None:
    """An administrator has begun another auction as the last thing: that stays, unless a change was missed."""
    disk = FakeDisk(random.Random(1))

    def begin(disk: FakeDisk, now: int) -> tuple[QuietMarket, Any]:
        history, journal = start(disk, SCHEDULED, now)
        return QuietMarket(history, journal, now=now, schedule=SCHEDULE), journal

    def settle(market: QuietMarket, journal: Any, time: int) -> None:
        while market.now < time:
            for _ in range(3):
                market.tick(market.now)
                journal.sync()
            market.now = min(max(market.phases.due, market.now + 1), time)
        for _ in range(5):
            market.tick(market.now)
            journal.sync()

    market, journal = begin(disk, at("06:00"))
    settle(market, journal, at(gone))
    for number in range(2):
        market.sequencer.commands.set_phase(number, Phase.AUCTION, market.now)
    settle(market, journal, market.now + 1)
    disk = way(disk)
    again, journal = begin(disk, at(back))
    assert again.exchange.state_hash() == market.exchange.state_hash()
    settle(again, journal, again.now + 1)
    assert phases(again) == [phase] * 2
    assert again.phases.due == (at("09:15") if back == "09:05" else at("17:30") if back < "17:30" else at("09:00", day=3))
    replayed = start(after_a_stop(disk), SCHEDULED, at(back))[0]
    assert replayed.exchange.state_hash() == again.exchange.state_hash(), "a replay does the same"


def test_the_engine_keeps_the_schedule_and_its_gateways_show_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "deltabook.audit")
    # START is a Tuesday, 22:13:20 UTC
    lines = msgspec.convert([{"at": "22:13:30", "phase": "halt"}, {"at": "22:13:40", "phase": "trading"}], tuple[ScheduleConfig, ...])
    cluster = Cluster(2, schedule=lines)
    root, alice = admin(cluster), sign_in(cluster, 1)
    answer = ask(cluster, root, ListSchedule)
    assert isinstance(answer, PhaseChanges)
    assert [(change.instrument, change.phase) for change in answer.changes] == [("BTC-USD", "halt"), ("ETH-USD", "halt")]
    due = answer.changes[0].time
    cluster.step((due - cluster.now) // 10**6 + 1)
    assert [phases(market) for market in (cluster.engine, *cluster.gateways)] == [[Phase.HALT] * 2] * 3
    assert isinstance(ask(cluster, alice, Place, "BTC-USD", "buy", 1, 1), Error)
    take_over(cluster)
    for _ in range(3):
        cluster.step()
    assert phases(cluster.engine) == [Phase.HALT] * 2
    assert isinstance(ask(cluster, root, SetPhase, "BTC-USD", "trading"), Confirmed)
    take_over(cluster)
    for _ in range(3):
        cluster.step()
    assert phases(cluster.engine) == [Phase.TRADING, Phase.HALT], "the next engine does not do again what was done"
    cluster.step(10_000)
    cluster.step()
    assert phases(cluster.gateways[1]) == [Phase.TRADING] * 2
    assert isinstance(ask(cluster, alice, Place, "BTC-USD", "buy", 1, 1), Done)
    assert isinstance(cluster.engine.directory[ScheduleRan()], list)
    scheduled = [record.arguments["instrument"] for record in caplog.records if record.subject == "schedule"]    # type: ignore[attr-defined]
    assert scheduled == ["BTC-USD", "ETH-USD", "ETH-USD"]
