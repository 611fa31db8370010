"""The referee of clients: it knows which digest belongs to a sequence, and says when it does not."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

import stream.cli.judge
from engine import PriceLevels
from stream import ClientError
from stream.cli.judge import judge, read
from stream.feed.public_channels import BookChannel
from stream.harness.judge import Case, Statement
from stream.settings.config import FaultConfig
from stream.sources.simulated import SimulatedSource
from stream.wire.frames import Book
from tests.cli.test_cli import ROOT
from tests.sockets import relaying, run, serving

CHANNEL = "orderbook:X"


def frame(prev: int | None, seq: int, digest: int, batches: int = 1, epoch: int = 7) -> Book:
    return Book(CHANNEL, epoch, prev, seq, [], [], digest, batches, 0, 0)


def said(case: Case, seq: int, digest: int, epoch: int = 7) -> tuple[int, int, int]:
    """What comes of a statement: how many are right, wrong, open."""
    case.state(Statement(CHANNEL, epoch, seq, str(digest)))
    return case.right, case.wrong, case.open


def test_a_statement_is_compared_with_the_digest_of_its_sequence() -> None:
    case = Case()
    for each in (frame(None, 10, 1, 0), frame(10, 20, 2), frame(20, 30, 2, 0), frame(30, 40, 4, 3)):
        case.hear(each)
    assert said(case, 10, 1) == (1, 0, 0)
    assert said(case, 20, 3) == (1, 1, 0)
    assert said(case, 15, 1) == (2, 1, 0)    # before the batch that came by 20
    assert said(case, 15, 2) == (3, 1, 0)    # or after it
    assert said(case, 15, 3) == (3, 2, 0)
    assert said(case, 25, 2) == (4, 2, 0)    # nothing changed until 30
    assert said(case, 25, 1) == (4, 3, 0)
    assert said(case, 35, 2) == (4, 3, 1)    # three batches led to 40: nobody knows
    assert said(case, 9, 1) == (4, 3, 2)
    assert said(case, 40, 4, epoch=8) == (4, 3, 3)
    assert said(case, 10, 1) == (5, 3, 3)
    assert case.right_at == 25
    assert [statement.seq for statement in case.told] == [20, 15, 25]


def test_what_is_said_too_early_waits_for_the_judge() -> None:
    case = Case()
    case.hear(frame(None, 10, 1))
    assert said(case, 20, 2) == (0, 0, 0)
    assert said(case, 5, 9) == (0, 0, 0)    # statements are judged in their order
    case.hear(frame(10, 19, 5))
    assert (case.right, case.open) == (0, 0)
    case.hear(frame(19, 21, 2))
    assert (case.right, case.wrong, case.open) == (1, 0, 1)


def test_another_history_begins_anew() -> None:
    case = Case()
    case.hear(frame(None, 10, 1))
    case.hear(frame(None, 3, 2, epoch=8))
    assert said(case, 10, 1) == (0, 0, 1)
    assert said(case, 3, 2, epoch=8) == (1, 0, 1)


def test_what_a_client_says_must_be_readable() -> None:
    for line in (b"hello\n", b"{}\n", b'{"channel":"x","epoch":1,"seq":2,"digest":3}\n', b"\xff\n"):
        with pytest.raises(ClientError, match="the client said"):
            read(line)


@pytest.mark.parametrize("kind", ["orderbook", "market_by_order"])
@pytest.mark.parametrize(("shift", "problem"), [(0, ""), (1, "statements were wrong; the first ones")])
def test_a_client_is_judged_while_it_talks(kind: str, shift: int, problem: str) -> None:
    @run
    async def test() -> None:
        async with serving(sources=[SimulatedSource(seed=1, rate=200)], heartbeat_ms=100) as server:
            reader = asyncio.StreamReader()
            channel = server.market.feed.public[f"{kind}:ETH-USDT"]
            book = channel.levels if isinstance(channel, BookChannel) else channel.log.queues    # type: ignore[attr-defined]

            async def talk() -> None:
                while True:
                    at = server.market.point(0)
                    statement = {"channel": channel.name, "epoch": at.epoch, "seq": at.seq, "digest": str(book.digest + shift)}
                    reader.feed_data(json.dumps(statement).encode() + b"\n")
                    await asyncio.sleep(0.01)

            talking = asyncio.ensure_future(talk())
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(stream.cli.judge, "HEALING_S", 0.5)
                judgement = await judge(f"ws://127.0.0.1:{server.port}/v1", 0.5, None, reader)
            talking.cancel()
            assert (problem in " ".join(judgement.problems)) if problem else judgement.problems == []
            assert sum(getattr(case, "wrong" if shift else "right") for case in judgement.cases.values()) > 10

    test()


@run
async def test_a_quiet_book_is_judged_by_its_snapshot() -> None:
    async with serving(heartbeat_ms=60_000) as server:
        at, reader = server.market.point(0), asyncio.StreamReader()
        reader.feed_data(json.dumps({"channel": "orderbook:BTC-USD", "epoch": at.epoch, "seq": at.seq, "digest": "0"}).encode() + b"\n")
        judgement = await judge(f"ws://127.0.0.1:{server.port}/v1", 0.1, None, reader)
        assert (judgement.problems, judgement.cases["orderbook:BTC-USD"].right) == ([], 1)


@run
async def test_the_judge_finds_a_server_whose_orders_are_not_its_book() -> None:
    async with serving(sources=[SimulatedSource(seed=1, rate=200)], heartbeat_ms=100) as server:
        channel = server.market.feed.public["orderbook:ETH-USDT"]
        assert isinstance(channel, BookChannel)
        other = BookChannel("ETH-USDT", PriceLevels())
        other.levels.apply([1, 1], [], 1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(channel, "snapshot", other.snapshot)
            judgement = await judge(f"ws://127.0.0.1:{server.port}/v1", 0.3, None, asyncio.StreamReader())
        assert any(problem.startswith("ETH-USDT: the server's own orders did not add up to its book") for problem in judgement.problems)
        assert not any("BTC" in problem for problem in judgement.problems)


@run
async def test_who_says_nothing_or_stops_has_not_passed() -> None:
    async with serving() as server:
        url = f"ws://127.0.0.1:{server.port}/v1"
        silent, stops, raves = (asyncio.StreamReader() for _ in range(3))
        silent.feed_eof()
        assert (await judge(url, 1, None, silent)).problems == ["the client said nothing"]
        stops.feed_data(b'{"channel":"orderbook:BTC-USD","epoch":1,"seq":0,"digest":"0"}\n')
        stops.feed_eof()
        assert (await judge(url, 1, None, stops)).problems == ["orderbook:BTC-USD: the client said nothing right about it after the run"]
        raves.feed_data(b'{"channel":"orderbook:X","epoch":1,"seq":0,"digest":"0"}\n')
        with pytest.raises(ClientError, match="orderbook:X: expected one of orderbook:BTC-USD"):
            await judge(url, 1, None, raves)


def test_a_client_that_is_no_pipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "said.jsonl").write_text("")
    with open(tmp_path / "said.jsonl") as file:
        done = subprocess.run([sys.executable, "-m", "stream", "judge"], cwd=ROOT, stdin=file, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == "deltabook judge: standard input is not a pipe: expected the output of a client, as in `CLIENT | deltabook judge URL`\n"


@run
async def test_the_python_client_behind_a_faulty_relay_is_found_right() -> None:
    faults = FaultConfig(drop=0.02, duplicate=0.02, reorder=0.02, corrupt=0.02)
    async with serving(sources=[SimulatedSource(seed=1, rate=100)], heartbeat_ms=100) as server, relaying(server, heartbeat_ms=100, faults=faults) as relay:
        client = f"{sys.executable} -m stream.examples.statements --url ws://127.0.0.1:{relay.port}/v1"
        referee = f"{sys.executable} -m stream judge ws://127.0.0.1:{server.port}/v1 --seconds 2"
        process = await asyncio.create_subprocess_shell(f"{client} | {referee}", cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        out, err = await process.communicate()
        assert (process.returncode, err) == (0, b""), out
        assert b"all that the client said was true" in out
