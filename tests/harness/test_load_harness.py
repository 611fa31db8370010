"""The load harness against a real server: what it reports is what happened, and its exit status says whether that was good enough."""

import json
import signal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import PriceLevels
from stream.feed.book_frames import BookFrames
from stream.harness.charts import Curve, chart
from stream.harness.heads import BookHeads, decode_head
from stream.harness.load_client import ServerClock
from stream.harness.load_page import HEADINGS
from stream.harness.plan import LoadPlan, Role, planned_clients
from stream.harness.server_figures import compare, metrics_url, read
from stream.harness.tally import Times
from stream.sources.simulated import SimulatedSource
from stream.wire.codec import MSGPACK
from stream.wire.frames import Book
from stream.wire.framing import payload_of
from stream.wire.mirror import Verdict
from tests.cli.test_cli import deltabook, lying, market, start
from tests.setting import SECRET
from tests.sockets import run, serving
from tests.waiting import until

PLAN = LoadPlan("ws://127.0.0.1:1/v1", 100, 3, 1, 1, {"BTC-USD": 1}, ["orderbook"], slow=0.1, returning=0.25, trading=0.02, verified=0.2)
QUICK = ("--seconds", "1.5", "--ramp", "0.2", "--processes", "1")


def test_every_role_has_its_share_and_somebody_who_verifies() -> None:
    roles = [place.role for place in planned_clients(PLAN)]
    assert {role: roles.count(role) for role in Role} == {Role.STEADY: 63, Role.SLOW: 10, Role.RETURNING: 25, Role.TRADING: 2, Role.PROBE: 0}
    verifying = [place.role for place in planned_clients(PLAN) if place.verifies]
    assert {role: verifying.count(role) for role in set(roles)} == {Role.STEADY: 13, Role.SLOW: 2, Role.RETURNING: 5, Role.TRADING: 1}
    assert not any(place.verifies for place in planned_clients(msgspec.structs.replace(PLAN, verified=0.0)))
    assert all(place.verifies for place in planned_clients(msgspec.structs.replace(PLAN, verified=1.0)))


def test_what_is_late_counts_for_what_did_not_come_meanwhile() -> None:
    plain = Times()
    for ns in (10**6, 10**6, 10**9):
        plain.note(ns)
    assert plain.fold() == pytest.approx([1, 1000], rel=0.001)
    times = plain.corrected(100)
    assert (times.count, plain.count) == (12, 3)    # beside the second, nine more: 900 ms, 800 ms ...
    assert times.ms(50) == pytest.approx(400, rel=0.01)
    assert plain.ms(50) == pytest.approx(1, rel=0.01)
    together = Times(plain.encoded())
    together.add(times.encoded())
    assert together.count == 15
    assert together.fold() == []


def test_times_of_any_length_take_little_room() -> None:
    times = Times()
    for ns in range(0, 60 * 10**9, 10**5):    # up to a minute, 600,000 of them
        times.note(ns)
    assert len(times.noted) < 25_000
    times.fold()
    assert times.ms(50) == pytest.approx(30_000, rel=0.001)


def test_a_head_is_enough_to_follow_a_book() -> None:
    levels = PriceLevels()
    frames, mirror = BookFrames(levels, "orderbook:BTC-USD"), BookHeads("orderbook:BTC-USD")
    snapshot = decode_head(MSGPACK.encode(Book("orderbook:BTC-USD", 7, None, 0, [], [], 0, 0, 0, 0)))
    assert mirror.receive(snapshot) is Verdict.SNAPSHOT    # type: ignore[arg-type]
    for seq, (prev, verdict) in enumerate(((0, Verdict.APPLIED), (1, Verdict.APPLIED), (2, Verdict.APPLIED), (4, Verdict.GAP)), 1):
        levels.set(0, 100, seq, seq if verdict is Verdict.APPLIED else 9)
        frame = frames.since(prev, (7, levels.seq, 0, 0), 1)
        assert frame
        assert mirror.receive(decode_head(payload_of(frame))) is verdict    # type: ignore[arg-type]
    heartbeat = decode_head(MSGPACK.encode(Book("orderbook:BTC-USD", 7, 3, 3, [], [], 0, 0, 0, 0)))
    assert mirror.receive(heartbeat) is Verdict.HEARTBEAT    # type: ignore[arg-type]


def test_clocks_that_may_agree_do() -> None:
    clock = ServerClock()
    clock.observe(sent=1000, server=1900, received=3000)
    assert (clock.ahead, clock.accuracy) == (0, 1000)
    clock.observe(sent=5000, server=15100, received=5200)
    assert (clock.ahead, clock.accuracy) == (10_000, 100)
    clock.observe(sent=5000, server=99_999, received=9000)
    assert (clock.ahead, clock.accuracy) == (10_000, 100)


def test_the_metrics_of_a_server_are_read_and_compared() -> None:
    assert metrics_url("wss://example.com:1234/v1") == "https://example.com:1234/metrics"
    text = 'process_cpu_seconds_total {}\ndeltabook_writes_total {}\ndeltabook_recoveries_total{{reason="patch",recovered="merged"}} {}\n'
    seen = compare(read(text.format(1, 10, 2)), read(text.format(3, 25, 6)), 4)
    assert seen is not None
    assert (seen.share, seen.writes, seen.resumed, seen.memory) == (0.5, 15, {"patch,merged": 4}, None)
    assert compare({}, read(text.format(1, 1, 1)), 1) is None


def report_of(out: str) -> Any:
    return json.loads(out)


@run
async def test_the_report_agrees_with_what_the_server_says_of_itself() -> None:
    source, deposit = SimulatedSource(seed=1, rate=200), {"USD": "1000000", "USDT": "1000000"}
    async with serving(sources=[source], deposit=deposit) as server:
        outcome = await deltabook(
            "load", f"ws://127.0.0.1:{server.port}/v1", *QUICK, "--clients", "12", "--interval", "10", "--channels", "orderbook,trades,ticker",
            "--returning", "0.25", "--trading", "0.25", "--slow", "0.17", "--stall", "0.3", "--stay", "0.3", "--verify", "0.5",
                "--secret", SECRET, "--json", "-",
        )
        assert (outcome.status, outcome.err) == (0, "")
        report = report_of(outcome.out)
        assert report["problems"] == []
        assert {role: seen["counts"]["clients"] for role, seen in report["roles"].items()} == {"steady": 4, "slow": 2, "returning": 3, "trading": 3, "probe": 1}
        assert {role: seen["verifying"] for role, seen in report["roles"].items()} == {"steady": 2, "slow": 1, "returning": 2, "trading": 2, "probe": 0}
        total = {name: sum(seen["counts"][name] for seen in report["roles"].values()) for name in report["roles"]["steady"]["counts"]}
        assert (total["gaps"], total["wrong"], total["lost"], total["refused"]) == (0, 0, 0, 0)
        assert total["bytes"] == pytest.approx(report["server"]["bytes"], rel=0.2)    # the kernel has what slow clients have not read
        assert total["digests"] > 100
        assert total["requests"] > 50
        resumed = {key: count for key, count in report["server"]["resumed"].items() if not key.startswith("new,")}
        assert total["patched"] + total["snapshotted"] + total["current"] == pytest.approx(sum(resumed.values()), abs=15)
        assert total["patched"] > 0
        assert report["server"]["share"] > 0
        assert report["server"]["memory"] > 1 << 20
        assert report["clock_ahead_ms"] == 0
        assert len(report["moments"]) >= 3
        steady = report["roles"]["steady"]["delivery"]
        assert 0 < steady["p50"] <= steady["p99"] <= steady["max"]
        probe = report["roles"]["probe"]["response"]
        assert probe["count"] > 20
        assert not any(session.subscriptions for session in server.market.sessions)


@run
async def test_a_threshold_that_is_not_kept_is_told_and_fails() -> None:
    async with market() as (_, url):
        outcome = await deltabook(
            "load", url, *QUICK, "--clients", "2", "--interval", "0", "--max-p99-ms", "0.001", "--max-response-p99-ms", "0.001", "--min-deliveries", "1e9",
        )
        assert outcome.status == 1
        for words in ("p99 of steady clients", "p99 of answers to probe clients", "at least 1,000,000,000 were expected"):
            assert words in outcome.out
        assert "every threshold was kept" not in outcome.out
        assert outcome.out.splitlines()[0].split() == " ".join(HEADINGS).split()


@run
async def test_orders_that_are_refused_can_fail_a_run() -> None:
    async with market() as (_, url):    # whose accounts are given no USDT
        asked = ("load", url, *QUICK, "--clients", "1", "--trading", "1", "--instruments", "ETH-USDT", "--secret", SECRET)
        judged, unjudged = await deltabook(*asked, "--max-refused", "0"), await deltabook(*asked)
    assert (judged.status, unjudged.status) == (1, 0)
    assert "refused requests: at most 0 were allowed" in judged.out
    assert "not enough USDT available" in unjudged.out


@run
async def test_a_server_that_lies_has_wrong_books() -> None:
    async with lying() as url:
        asked = ("load", url, *QUICK, "--clients", "4", "--interval", "10", "--instruments", "BTC-USD", "--json", "-")
        verified, believed = await deltabook(*asked, "--verify", "1"), await deltabook(*asked, "--verify", "0")
    assert verified.status == 1
    assert any("wrong books" in problem for problem in report_of(verified.out)["problems"])
    assert "orderbook:BTC-USD: a wrong book" in verified.out
    assert believed.status == 0    # who checks no digest sees nothing: so the share is in the report
    assert report_of(believed.out)["plan"]["verified"] == 0


@run
async def test_a_server_that_goes_away_loses_connections() -> None:
    async with market() as (server, url):
        process = await start("load", url, "--clients", "3", "--seconds", "3", "--ramp", "0.1", "--json", "-")
        await until(lambda: len(server.market.sessions) >= 4)
        await server.stop()
        out, _ = await process.communicate()
        assert process.returncode == 1
        assert any("lost connections" in problem for problem in report_of(out.decode())["problems"])


@run
async def test_an_interrupt_ends_a_run_with_what_was_seen() -> None:
    async with market() as (server, url):
        process = await start("load", url, "--clients", "2", "--seconds", "60", "--ramp", "0.1", "--interval", "10", "--json", "-")
        await until(lambda: sum(bool(session.subscriptions) for session in server.market.sessions) >= 2)
        frames = server.market.hub.counters.frames_made
        await until(lambda: server.market.hub.counters.frames_made >= frames + 50)
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        assert (process.returncode, err) == (130, b"")
        assert report_of(out.decode())["seconds"] < 60


class Reader(HTMLParser):
    """Collects what a page would load from elsewhere, and the lines of its charts."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.lines = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [tag] if tag in ("script", "link", "img", "iframe") else []
        self.loads += [f"{name}={value}" for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.lines += tag == "polyline"


def test_the_page_has_its_charts_and_loads_nothing(tmp_path: Path) -> None:
    page = tmp_path / "load.html"

    @run
    async def load() -> None:
        async with market() as (_, url):
            asked = ("--processes", "2", "--clients", "3", "--interval", "10", "--html", str(page), "--json", str(tmp_path / "load.json"))
            outcome = await deltabook("load", url, *QUICK[:4], *asked)
            assert (outcome.status, outcome.err) == (0, "")
            assert "every threshold was kept" in outcome.out

    load()
    reader = Reader()
    reader.feed(page.read_text())
    assert reader.loads == []
    assert reader.lines >= 5
    assert "Every threshold was kept" in page.read_text()
    report = json.loads((tmp_path / "load.json").read_text())
    assert [seen["counts"]["clients"] for seen in report["roles"].values()] == [3, 2]    # a probe in each process
    assert len(report["processes"]) == 2


def test_a_chart_leaves_holes_and_escapes_names() -> None:
    drawn = chart("a < b", "ms", [Curve("x & y", [(0, 1), (1, 2), (2, None), (3, 4)])])
    assert drawn.count("polyline") == 1
    assert drawn.count("<circle") == 1
    assert "a &lt; b" in drawn
    assert "x &amp; y" in drawn
    assert chart("empty", "", [Curve("nothing", [(0, None)])]) == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ws://127.0.0.1:1/v1"], "127.0.0.1"),
        (["--slow", "0.6", "--trading", "0.6"], "expected a sum of at most 1"),
        (["--secret", "@no-such-file", "ws://127.0.0.1:1/v1"], "no-such-file: No such file"),
        (["--html", "no-such-folder/load.html", "ws://127.0.0.1:1/v1"], "there is no folder no-such-folder"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    from stream.cli import main

    assert main(["load", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1
