"""A server that treats its clients badly, and the client that gets over it."""

import argparse
import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from msgspec.structs import replace

import stream.cli.verify
from engine.levels import digest_of
from engine.queues import order_share
from stream import Client, ClientError
from stream.cli import serve
from stream.cli.verify import verify
from stream.server.faults import FaultyLine, falsified
from stream.server.faulty_writer import FaultyWriter
from stream.server.market_server import MarketServer
from stream.settings.config import ConfigError, FaultConfig
from stream.sources.simulated import SimulatedSource
from stream.wire.codec import JSON, MSGPACK
from stream.wire.frames import Book, MarketByOrder, OrderAdded, OrderBatch, Trades
from stream.wire.framing import PING, close_frame, framed, frames_in, payload_of
from stream.wire.messages import Pong, Welcome
from stream.wire.mirror import BookMirror, ByOrderMirror, Verdict
from tests.faulty import NoDelay
from tests.setting import messages_in
from tests.sockets import RawClient, run, serving
from tests.waiting import until

CHANNEL = "orderbook:X"
FRAMES = [Book(CHANNEL, 7, seq - 1, seq, [seq, 5], [], 0, 1, 0, 0) for seq in range(1, 101)]


def carried(**faults: object) -> list[int]:
    """The sequences of what arrives of a hundred frames."""
    line = FaultyLine(FaultConfig(**faults), 1, MSGPACK)    # type: ignore[arg-type]
    return [message.seq for frame in FRAMES for message in messages_in(line.carry(MSGPACK.frame(frame))[0])]


def test_without_a_chance_all_arrives() -> None:
    data = b"".join(map(MSGPACK.frame, FRAMES))
    assert FaultyLine(FaultConfig(), 1, MSGPACK).carry(data) == (data, False)
    assert list(frames_in(data)) == list(map(MSGPACK.frame, FRAMES))


def test_frames_are_lost_repeated_and_swapped() -> None:
    lost = carried(drop=0.3)
    assert 50 < len(lost) < 90
    assert lost == sorted(set(lost))
    repeated = carried(duplicate=0.3)
    assert sorted(set(repeated)) == list(range(1, 101))
    assert 110 < len(repeated) < 150
    assert repeated == sorted(repeated)
    swapped = carried(reorder=0.3)
    assert swapped != sorted(swapped)
    assert len(swapped) >= 99
    assert max(abs(seq - at) for at, seq in enumerate(swapped, 1)) == 1


def test_the_seed_says_what_happens() -> None:
    faults = {"drop": 0.2, "duplicate": 0.2, "reorder": 0.2}
    assert carried(**faults, seed=3) == carried(**faults, seed=3) != carried(**faults, seed=4)


def test_a_falsified_book_is_found_out() -> None:
    for bids in ([], [100, 5]):
        good = Book(CHANNEL, 7, None, 1, bids, [], digest_of(bids, []), 0, 0, 0)
        assert BookMirror(CHANNEL).receive(good) is Verdict.SNAPSHOT
        assert BookMirror(CHANNEL).receive(falsified(good)) is Verdict.MISMATCH
    assert falsified(FRAMES[0]) == replace(FRAMES[0], bids=[1, 6])
    order = OrderAdded(1, "buy", 100, 5)
    for batches, digest in (([], 0), ([OrderBatch(1, 0, [order])], order_share(1, 0, 0, 100, 5))):
        told = MarketByOrder("market_by_order:X", 7, None, 1, batches, digest, 0, 0)
        assert ByOrderMirror(told.channel).receive(told) is Verdict.SNAPSHOT
        assert ByOrderMirror(told.channel).receive(falsified(told)) is Verdict.MISMATCH    # type: ignore[arg-type]


def test_who_speaks_json_is_treated_as_badly() -> None:
    line = FaultyLine(FaultConfig(corrupt=1), 1, JSON)
    data, _ = line.carry(JSON.frame(FRAMES[0]))
    assert JSON.decode_answer(payload_of(data)) == falsified(FRAMES[0])


def test_what_a_client_cannot_find_out_is_not_done() -> None:
    line = FaultyLine(FaultConfig(drop=1, corrupt=1), 1, MSGPACK)
    replies = MSGPACK.frame(Welcome("x", 1, 1, 1, 1, None)) + MSGPACK.frame(Pong(1, 1))
    assert line.carry(replies) == (replies, False)
    control = close_frame(1000, "bye") + framed(PING, b"")
    assert line.carry(control) == (control, False)
    trades = MSGPACK.frame(Trades("trades:X", 7, 1, 2, [], 0))
    assert FaultyLine(FaultConfig(corrupt=1), 1, MSGPACK).carry(trades) == (trades, False)


def test_a_line_breaks_in_the_middle_of_a_frame() -> None:
    cuts = set()
    for number in range(20):
        frame = MSGPACK.frame(Pong(1, 1))
        data, broken = FaultyLine(FaultConfig(cut=1), number, MSGPACK).carry(frame + frame)
        assert broken
        assert frame.startswith(data)
        cuts.add(len(data))
    assert len(cuts) > 5
    assert len(frame) not in cuts


def test_the_flag_is_short_for_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    monkeypatch.setattr(serve.os, "environ", {})
    assert serve.config_of(parser.parse_args(["--faults", "drop=0.25,delay_ms=7"])).faults == FaultConfig(drop=0.25, delay_ms=7)
    assert serve.config_of(parser.parse_args([])).faults is None
    for wrong in ("drop", "drop=2", "drop=x", "stop=1"):
        with pytest.raises(ConfigError):
            serve.config_of(parser.parse_args(["--faults", wrong]))


def url(server: MarketServer) -> str:
    return f"ws://127.0.0.1:{server.port}/v1"


async def until_right(client: Client, server: MarketServer, books: list[str]) -> None:
    """Wait until the client's books are the server's."""
    for book in books:
        levels = server.market.exchange.book(book.partition(":")[2]).levels
        await until(lambda: client.live[book].mirror.depth() == levels.depth())    # noqa: B023 - it is waited for


async def until_answered(client: Client, ask: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Ask until the connection lasts long enough for an answer."""
    while True:
        try:
            return await ask()
        except ClientError:
            await client.connected()


class Taken:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(data)


@run
async def test_writes_are_late_and_in_order() -> None:
    taken = Taken()
    writer = FaultyWriter(taken, FaultyLine(FaultConfig(delay_ms=20), 1, MSGPACK))    # type: ignore[arg-type]
    pongs = [MSGPACK.frame(Pong(id, id)) for id in range(1, 51)]
    began = asyncio.get_running_loop().time()
    for pong in pongs:
        writer.write(pong)
    assert taken.pieces == []
    await until(lambda: len(taken.pieces) >= 50)
    assert taken.pieces == pongs
    assert asyncio.get_running_loop().time() - began > 0.01
    writer.write(pongs[0])
    writer.detach()
    other = FaultyWriter(taken, FaultyLine(FaultConfig(delay_ms=20), 1, MSGPACK))    # type: ignore[arg-type]
    for _ in range(20):    # one of them comes later than what is not to come
        other.write(pongs[1])
    await until(lambda: len(taken.pieces) >= 70)
    assert pongs[0] not in taken.pieces[50:]


@run
async def test_a_cut_ends_the_connection() -> None:
    async with serving(faults=FaultConfig(cut=1)) as server:
        raw, head = await RawClient.open(server.port)
        assert "101" in head
        await raw.ended()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_client_gets_over_everything(seed: int) -> None:
    faults = FaultConfig(seed=seed, drop=0.03, duplicate=0.03, reorder=0.03, corrupt=0.02, cut=0.002, delay_ms=10)

    @run
    async def test() -> None:
        source = SimulatedSource(seed=seed, rate=100)
        async with serving(sources=[source], heartbeat_ms=100, faults=faults) as server, Client(url(server), jitter=NoDelay()) as client:
            books = [f"orderbook:{name}" for name in await until_answered(client, client.instruments)]
            await until_answered(client, lambda: client.subscribe(books, 0, 0))
            counts = [client.live[book].mirror.counts for book in books]
            bad = (Verdict.GAP, Verdict.MISMATCH, Verdict.DROPPED)
            await until(lambda: client.connections >= 3 and all(sum(count[verdict] for count in counts) >= 3 for verdict in bad))
            server.market.end_sources()
            await until_right(client, server, books)

    test()


@run
async def test_the_referee_counts_faults_and_judges_by_what_they_lead_to() -> None:
    faults = FaultConfig(drop=0.05, corrupt=0.05)
    async with serving(sources=[SimulatedSource(seed=1, rate=200)], heartbeat_ms=100, faults=faults) as server:
        strict, faulty = [await verify(url(server), 1.5, ["ETH-USDT"], 0, 0, None, lambda: None, faulty=faulty) for faulty in (False, True)]
        assert any("gaps" in problem for problem in strict.problems)
        assert faulty.instruments["ETH-USDT"]["gaps"] > 0
        assert faulty.problems == []


@run
async def test_the_referee_finds_a_book_that_is_never_right_again() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream.cli.verify, "HEALING_S", 0.3)
        async with serving(heartbeat_ms=100, faults=FaultConfig(corrupt=1)) as server:
            outcome = await verify(url(server), 0.1, ["BTC-USD"], 0, 0, None, lambda: None, faulty=True)
            assert outcome.problems == ["BTC-USD: nothing was received", "BTC-USD: the book was not right again after 0.3 seconds"]
