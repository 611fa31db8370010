"""A market's time never goes back, and tokens are good and bad by the clock on the wall, whatever becomes of it."""

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from stream.system.clock import RUNNING, Clock
from stream.wire.administration import Revoke
from stream.wire.codes import CloseCode, ErrorCode
from stream.wire.messages import Confirmed, Error, LoggedIn, Login
from tests.setting import token
from tests.sockets import RawClient, run, serving
from tests.worlds import Desk, QuietMarket

S = 10**9
DAY = 86_400 * S


class Machine:
    """The clocks of a machine, which a test sets; they run on by themselves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.off = self.slept = 0
        wall, running = time.time_ns, time.clock_gettime_ns
        monkeypatch.setattr(time, "time_ns", lambda: wall() + self.off + self.slept)
        monkeypatch.setattr(time, "clock_gettime_ns", lambda clock: running(clock) + self.slept * (clock == RUNNING))

    def bearer(self, subject: str = "alice", scope: str = "account trade", **changes: Any) -> str:
        """A token of now, by the right clock: the issuer's."""
        return token(subject, time.time_ns(), scope, **changes)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


async def asked(port: int, *, bearer: str) -> Any:
    """What comes of a token, in a message."""
    client, _ = await RawClient.open(port)
    await client.message()
    client.send(Login(1, bearer))
    while not isinstance(answer := await client.message(), LoggedIn | Error):    # a busy server says that it sends less often
        pass
    return answer


async def enters(port: int, *, bearer: str) -> bool:
    """Whether a token is good, in a message and in a handshake alike."""
    answer = await asked(port, bearer=bearer)
    client, head = await RawClient.open(port, f"Authorization: Bearer {bearer}\r\n")
    client.close()
    assert (" 101 " in head) == isinstance(answer, LoggedIn)
    if not isinstance(answer, LoggedIn):
        assert answer.code == ErrorCode.BAD_TOKEN
    return " 101 " in head


@pytest.mark.parametrize("step", [-400 * DAY, -600 * S, 600 * S, 400 * DAY])
def test_a_step_of_the_wall_clock_moves_tokens_and_not_the_market(step: int, machine: Machine) -> None:
    machine.off = -step

    @run
    async def scene() -> None:
        async with serving() as server:
            machine.off = 0    # put right
            before = server.clock.now()
            wall = time.time_ns() // S
            assert await enters(server.port, bearer=machine.bearer())
            assert not await enters(server.port, bearer=machine.bearer(iat=wall - 900, exp=wall - 300))
            assert not await enters(server.port, bearer=machine.bearer(iat=wall + 60))
            assert 0 <= server.clock.now() - before < 60 * S

    scene()


def test_a_connection_ends_with_its_token_by_the_wall_clock(machine: Machine) -> None:
    @run
    async def scene() -> None:
        async with serving() as server:
            wall = time.time_ns() // S
            client, _ = await RawClient.open(server.port, f"Authorization: Bearer {machine.bearer(exp=wall + 1000)}\r\n")
            machine.off = -3600 * S
            await asyncio.sleep(0.3)    # the house was kept meanwhile, and found nothing
            assert len(server.market.sessions) == 1
            machine.off = 1001 * S
            assert await client.close_code() == CloseCode.TOKEN_EXPIRED

    scene()


def test_time_passes_while_the_machine_is_suspended(machine: Machine) -> None:
    @run
    async def scene() -> None:
        async with serving(idle_timeout_s=10_000) as server:
            before = server.clock.now()
            good = machine.bearer(exp=time.time_ns() // S + 1000)
            client, _ = await RawClient.open(server.port, f"Authorization: Bearer {good}\r\n")
            machine.slept = 2000 * S
            assert await client.close_code() == CloseCode.TOKEN_EXPIRED
            assert not await enters(server.port, bearer=good)
            assert await enters(server.port, bearer=machine.bearer())
            assert server.clock.now() - before >= 2000 * S    # so that a dead man's orders are gone, and a day is over

    scene()


def test_what_is_revoked_is_so_by_the_wall_clock(machine: Machine) -> None:
    machine.off = 400 * DAY

    @run
    async def scene() -> None:
        async with serving() as server:
            machine.off = 0
            early = machine.bearer(iat=time.time_ns() // S - 100)
            admin, _ = await RawClient.open(server.port, f"Authorization: Bearer {machine.bearer('root', 'admin')}\r\n")
            admin.send(Revoke(1, subject="alice"))
            while not isinstance(await admin.message(), Confirmed):
                pass
            assert not await enters(server.port, bearer=early)
            machine.off = 10 * S    # the skew is over, and it is not 400 days until then
            assert await enters(server.port, bearer=machine.bearer())

    scene()


def test_a_journal_from_the_future_locks_nobody_out_and_is_told(machine: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    @run
    async def scene() -> None:
        for by in (400 * DAY, 0, 0):
            machine.off = by
            caplog.clear()
            async with serving(journal=str(tmp_path)) as server:
                assert await enters(server.port, bearer=machine.bearer())
                ahead = server.clock.now() - time.time_ns()
                warned = [record for record in caplog.records if record.levelno == logging.WARNING]
                assert len(warned) == (by == 0)
                assert abs(ahead - (0 if by else 400 * DAY)) < 60 * S
                for record in warned:
                    assert "the journal is from the future" in record.getMessage()
                    assert abs(record.ahead_s * S - 400 * DAY) < 60 * S    # type: ignore[attr-defined]

    scene()


@pytest.mark.parametrize(("ahead", "told"), [(-S, False), (S // 2, False), (2 * S, True)])
def test_a_clock_never_goes_back(ahead: int, told: bool, machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    floor = time.time_ns() + ahead
    clock = Clock(floor)
    assert clock.now() >= floor
    assert bool(caplog.records) is told
    times = []
    for off in (0, -DAY, DAY, 0):
        machine.off = off
        times.append(clock.now())
        assert abs(clock.wall_time(clock.now() + 5 * S) - time.time_ns() - 5 * S) < S
    assert times == sorted(times)
    assert times[-1] - times[0] < S


def test_a_session_ends_by_the_wall_clock_that_it_is_told() -> None:
    market = QuietMarket()
    desk = Desk(market)
    desk.ask(Login, token("alice", market.now, exp=market.now // S + 100))
    market.wall_time = lambda now: now + 99 * S
    desk.session.check_time(market.now)
    assert desk.session.closed is None
    market.wall_time = lambda now: now + 100 * S
    desk.session.check_time(market.now)
    assert desk.session.closed == (CloseCode.TOKEN_EXPIRED, "the token has expired")
