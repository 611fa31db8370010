"""The command line as a person meets it: what it prints, where, and with which exit status."""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from rich.console import Console

from engine import Phase, PriceLevels
from stream import Lots, Ticks, connect
from stream.cli import COMMANDS, main
from stream.cli.verify import verify
from stream.cli.watch import watch
from stream.feed.channel import Point
from stream.feed.public_channels import BookChannel
from stream.server.market_server import MarketServer
from stream.settings.config import ScheduleConfig
from stream.settings.schedule import Schedule
from stream.sources.simulated import SimulatedSource
from stream.wire.codec import Shared
from stream.wire.codes import CloseCode
from stream.wire.messages import Login, Subscribe
from tests.setting import token
from tests.sockets import RawClient, relaying, run, serving
from tests.waiting import until

ROOT = Path(__file__).parents[2]


class Outcome(NamedTuple):
    """What a command left."""

    status: int
    out: str
    err: str


@asynccontextmanager
async def lying() -> AsyncIterator[str]:
    """The address of a server whose frames of BTC-USD have a wrong digest."""
    async with serving() as server:
        channel = server.market.feed.public["orderbook:BTC-USD"]
        assert isinstance(channel, BookChannel)
        honest = channel.since

        def lie(prev: int, at: Point, batches: int = 0) -> Shared:
            told = honest(prev, at, batches)
            assert told
            return Shared(msgspec.structs.replace(told.message, digest=1))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(channel, "since", lie)
            yield f"ws://127.0.0.1:{server.port}/v1"


async def start(*arguments: str) -> asyncio.subprocess.Process:
    """Start `deltabook` in a process of its own."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "stream", *arguments, cwd=ROOT, stdout=pipe, stderr=pipe)


async def deltabook(*arguments: str) -> Outcome:
    """Run `deltabook` to its end."""
    process = await start(*arguments)
    out, err = await process.communicate()
    assert process.returncode is not None
    return Outcome(process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def market() -> AsyncIterator[tuple[MarketServer, str]]:
    """A simulated market beside the two quiet instruments of the tests, and its URL."""
    async with serving(sources=[SimulatedSource(seed=1, rate=200)]) as server:
        yield server, f"ws://127.0.0.1:{server.port}/v1"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_there_for_every_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    assert f"usage: deltabook {command}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["watch"]])
def test_what_cannot_be_parsed_is_told_with_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "usage: deltabook" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "value", "expected"),
    [
        ("verify --seconds", "soon", "a number above 0"), ("verify --seconds", "0", "a number above 0"),
        ("verify --depth", "-1", "a whole number of at least 0"),
        ("judge --seconds", "nan", "a number above 0"), ("watch ticker:BTC-USD --interval", "1.5", "a whole number of at least 0"),
        ("load --clients", "0", "a whole number of at least 1"), ("load --slow", "all", "a share from 0 to 1"), ("load --slow", "1.1", "a share from 0 to 1"),
        ("load --seconds", "inf", "a number above 0"), ("token alice --seconds", "-5", "a whole number of at least 1"),
    ],
)
def test_a_number_that_makes_no_sense_is_told_with_what_would(command: str, value: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([*command.split(), value])
    assert left.value.code == 2
    assert f"argument {command.split()[-1]}: {value}: expected {expected}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["verify", "ws://127.0.0.1:1/v1"], "127.0.0.1"),
        (["replay", "binance_no_such_file.gz"], "No such file"),
        (["replay", "no-such-file"], "No such file"),
        (["token", ""], "expected a name"),
        (["verify", "http://127.0.0.1/v1"], "ws:// or wss://"),
        (["watch", "nonsense"], "expected orderbook:<instrument>"),
        (["watch", "orders:BTC-USD"], "expected orderbook:<instrument>"),
        (["serve", "--upstream", "127.0.0.1:8080"], "$.upstream"),
        (["serve", "--source", "journal:no-such-folder", "--port", "0"], "no-such-folder: "),
        (["serve", "--role", "gateway", "--redis", "redis://127.0.0.1:1", "--workers", "2"], "workers: not allowed in a market"),
        (["serve", "--workers", "1", "--set", "dialect_workers=1"], "dialect_workers 1: expected a dialect, and workers"),
        (["serve", "--dialect", "binance=0", "--set", "dialect_workers=2"], "dialect_workers 2: expected a dialect, and workers"),
        (["serve", "--role", "engine", "--redis", "redis://127.0.0.1:1", "--source", "journal:somewhere"], "sources journal:somewhere: not allowed in"),
        (["serve", "--redis", "redis://:secret@127.0.0.1:1"], "redis redis://127.0.0.1:1: expected a Redis"),
        (["cluster", "status", "--redis", "redis://:secret@127.0.0.1:1"], "redis redis://127.0.0.1:1: "),
        (["cluster", "status", "--redis", "http://:secret@127.0.0.1:1"], "redis http://127.0.0.1:1: "),
        (["handover", "--patience", "0"], "expected more than 0 seconds"),
    ],
)
def test_an_error_is_one_line_that_names_its_command(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"deltabook {arguments[0]}: ")
    assert words in err
    assert err.count("\n") == 1


@run
async def test_verify_finds_nothing_wrong_with_a_right_server() -> None:
    async with market() as (server, url):
        outcome = await deltabook("verify", url, "--seconds", "1", "--json")
        assert (outcome.status, outcome.err) == (0, "")
        report = json.loads(outcome.out)
        assert report["problems"] == []
        assert report["instruments"].keys() == {book.instrument.name for book in server.market.exchange.books}
        rows = report["instruments"].values()
        assert all(row["snapshots"] == 1 for row in rows)
        assert sum(row["ticker_compared"] for row in rows) > 0
        assert sum(row["updates"] for row in rows) > 0
        assert sum(row["order_changes"] for row in rows) > 0
        assert all(row["by_order"] and row["sums_compared"] for row in rows)
        assert all(row["latency_ms"]["p50"] <= row["latency_ms"]["p99"] <= row["latency_ms"]["max"] for row in rows)


@run
async def test_verify_prints_a_table_and_its_verdict() -> None:
    async with market() as (_, url):
        outcome = await deltabook("verify", url, "--seconds", "0.2", "--instruments", "BTC-USD", "--depth", "5", "--interval", "10")
        assert outcome.status == 0
        assert "BTC-USD" in outcome.out
        assert "ETH-USD" not in outcome.out
        assert "every book was the server's book, by levels and by orders, which agreed" in outcome.out


@run
async def test_verify_does_not_pass_over_an_unknown_instrument() -> None:
    async with market() as (_, url):
        outcome = await deltabook("verify", url, "--seconds", "0.2", "--instruments", "BTC-USD,NO-SUCH")
        assert outcome.status == 2
        assert "NO-SUCH" in outcome.err
        assert "BTC-USD" in outcome.err


@run
async def test_verify_catches_a_server_that_lies() -> None:
    async with lying() as url:
        outcome = await deltabook("verify", url, "--seconds", "1", "--json")
    report = json.loads(outcome.out)
    assert outcome.status == 1
    assert report["instruments"]["BTC-USD"]["mismatches"] > 0
    assert report["instruments"]["ETH-USD"]["mismatches"] == 0
    assert all(problem.startswith("BTC-USD: ") for problem in report["problems"])


@run
async def test_verify_catches_orders_that_do_not_add_up_to_the_book() -> None:
    async with market() as (server, url):
        name = server.market.exchange.books[-1].instrument.name
        channel = server.market.feed.public[f"orderbook:{name}"]
        assert isinstance(channel, BookChannel)
        other = BookChannel(name, PriceLevels())
        other.levels.apply([1, 1], [], 1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(channel, "snapshot", other.snapshot)
            outcome = await verify(url, 0.3, [], 0, 0, None, lambda: None)
    assert outcome.instruments[name]["sum_mismatches"] > 0
    assert any(problem.startswith(f"{name}: ") and problem.endswith(" sum_mismatches") for problem in outcome.problems)
    assert all(problem.startswith(f"{name}: ") for problem in outcome.problems)


@run
async def test_verify_says_that_a_relay_does_not_show_orders() -> None:
    async with serving() as server, relaying(server, upstream_market_by_order=False) as relay:
        outcome = await verify(f"ws://127.0.0.1:{relay.port}/v1", 0.1, [], 0, 0, None, lambda: None)
        assert outcome.problems == []
        assert outcome.by_order == " (the server does not show them order by order)"


@run
async def test_watch_prints_as_many_frames_as_it_is_asked_for() -> None:
    async with market() as (server, url):
        busy = server.market.exchange.books[-1].instrument.name
        for kind in ("orderbook", "trades", "ticker"):
            outcome = await deltabook("watch", f"{kind}:{busy}", "--url", url, "--count", "2", "--depth", "3")
            assert (outcome.status, outcome.err) == (0, "")
            assert (outcome.out.count("epoch") or outcome.out.count("\n")) == 2    # of trades, a line each
        book = await deltabook("watch", f"orderbook:{busy}", "--url", url, "--count", "1", "--depth", "3")
        assert "NOT VERIFIED" not in book.out
        assert "spread" in book.out
        assert book.out.count("█") >= 6


@run
async def test_watch_shows_own_channels_to_who_has_a_token() -> None:
    async with market() as (server, url):
        signed = token("alice", server.clock.now(), "market account trade")
        balances = await deltabook("watch", "balances", "--url", url, "--count", "1", "--token", signed)
        assert balances.status == 0
        assert "100000.000000" in balances.out
        for channel in ("orders", "orderbook:NO-SUCH"):
            refused = await deltabook("watch", channel, "--url", url)
            assert refused.status == 2
            assert refused.err.startswith("deltabook watch: ")


@run
async def test_watch_shows_both_sides_in_any_terminal_and_cuts_no_id() -> None:
    async with market() as (server, url):
        signed = token("alice", server.clock.now(), "market account trade")

        async def shown(channel: str) -> str:
            console = Console(file=StringIO(), force_terminal=True, width=80, height=24)
            await watch(argparse.Namespace(channel=channel, url=url, token=signed, depth=15, interval=100, count=1, json=False), console)
            return console.file.getvalue()

        async with connect(url, signed) as alice:
            bids = [await alice.place("BTC-USD", "buy", Ticks(price), Lots(10)) for price in range(10_000, 10_015)]
            asks = [await alice.place("BTC-USD", "sell", Ticks(price), Lots(10)) for price in range(10_100, 10_115)]
            book = await shown("orderbook:BTC-USD")
            assert all(price in book for price in ("101.08", "101.00", "100.14", "100.06"))
            assert "..." not in book
            ids = [str(done.order) for done in bids + asks]
            screen = await shown("orders")
            assert all(id in screen for id in ids[:10])
            outcome = await deltabook("watch", "orders", "--url", url, "--count", "1", "--token", signed)
            assert [line.split()[0] for line in outcome.out.splitlines()[2:]] == ids


@run
async def test_an_interrupt_ends_a_command_quietly() -> None:
    async with market() as (server, url):
        for arguments in (("verify", url, "--seconds", "20"), ("watch", "orderbook:BTC-USD", "--url", url)):
            process = await start(*arguments)
            await until(lambda: any(session.subscriptions for session in server.market.sessions))
            process.send_signal(signal.SIGINT)
            _, err = await process.communicate()
            assert (process.returncode, err) == (130, b"")
            await until(lambda: not server.market.sessions)


@run
async def test_admin_halts_and_tells_who_is_connected() -> None:
    async with serving() as server:
        url, token_of_root = f"ws://127.0.0.1:{server.port}/v1", token("root", server.clock.now(), "admin")
        ask = ("admin", "--url", url, "--token", token_of_root)
        watcher, _ = await RawClient.open(server.port)
        watcher.send(Subscribe(1, ["orderbook:BTC-USD"]))
        await watcher.message()
        outcome = await deltabook(*ask, "connections")
        assert outcome.status == 0
        assert "orderbook:BTC-USD" in outcome.out
        assert "root" in outcome.out
        for request, phase in (("halt", "HALT"), ("auction", "AUCTION"), ("trade", "TRADING")):
            assert (await deltabook(*ask, request, "BTC-USD")).status == 0
            assert Phase(server.market.exchange.book("BTC-USD").phase).name == phase
        for arguments, phase in ((("delist",), "DELISTED"), (("relist",), "HALT"), (("trade",), "TRADING")):
            assert (await deltabook(*ask, *arguments, "BTC-USD")).out == "done\n"
            assert Phase(server.market.exchange.book("BTC-USD").phase).name == phase
        steps, decimals = ("--tick", "0.5", "--lot", "1"), ("--base-decimals", "0", "--quote-decimals", "1")
        listed = await deltabook(*ask, "list", "ABC-XYZ", "ABC", "XYZ", *steps, *decimals, "--taker-fee", "7")
        assert listed.out == "done\n"
        assert server.market.exchange.book("ABC-XYZ").instrument[1:5] == ("ABC", "XYZ", Decimal("0.5"), Decimal(1))
        unlisted = await deltabook(*ask, "list", "DEF-XYZ", "DEF", "XYZ", *steps)
        assert (unlisted.status, "asset 'DEF'" in unlisted.err) == (2, True)
        assert (await deltabook(*ask, "schedule")).out == "nothing is scheduled\n"
        at = server.clock.now() + 3600 * 10**9
        server.market.schedule = Schedule([ScheduleConfig(f"{datetime.fromtimestamp(at // 10**9, UTC):%H:%M}", "halt", instruments=("ABC-XYZ",))])
        assert (await deltabook(*ask, "schedule")).out.endswith("+00:00  ABC-XYZ  halt\n")
        for arguments in (("band", "BTC-USD", "50000"), ("reference", "BTC-USD", "7.50")):
            assert (await deltabook(*ask, *arguments)).out == "done\n"
        book = server.market.exchange.book("BTC-USD")
        assert (book.band, book.reference) == (50_000, Decimal("7.50") / book.instrument.tick)
        between = await deltabook(*ask, "reference", "BTC-USD", "0.0000001")
        assert (between.status, "0.0000001" in between.err) == (2, True)
        assert (await deltabook(*ask, "band", "BTC-USD", "0")).status == 0
        traded, _ = await RawClient.open(server.port)
        traded.send(Login(1, token("carol", server.clock.now())))
        await traded.message()
        asset = server.market.exchange.books[0].instrument.quote
        for request in (
            ("deposit", "carol", "2.5", asset, "--key", "1"), ("deposit", "carol", "2.5", asset, "--key", "1"), ("withdraw", "carol", "1", asset),
            ("freeze", "carol", "--cancel"), ("unfreeze", "carol"), ("tier", "carol", "1"), ("fees", "BTC-USD", "--tier", "1", "--maker", "0", "--taker", "0"),
        ):
            assert (await deltabook(*ask, *request)).out == "done\n"
        assert (await deltabook(*ask, "cancel", "--everybody")).out == "0 orders cancelled\n"
        poor = await deltabook(*ask, "pay-fees", "carol", "1", asset)
        assert (poor.status, "does not have enough" in poor.err) == (2, True)
        no_asset = await deltabook(*ask, "deposit", "carol", "1", "GOLD")
        assert (no_asset.status, "'GOLD'" in no_asset.err) == (2, True)
        refused = await deltabook(*ask, "limits", "nobody", "--orders", "5")
        assert (refused.status, "No subject of that name" in refused.err) == (2, True)
        assert (await deltabook(*ask, "disconnect", "--connection", "1")).status == 0
        assert await watcher.close_code() == CloseCode.DISCONNECTED
        assert (await deltabook(*ask, "revoke", "alice")).status == 0
        denied = await deltabook("admin", "--url", url, "--token", token("eve", server.clock.now()), "halt", "BTC-USD")
        assert (denied.status, "scope 'admin'" in denied.err) == (2, True)
