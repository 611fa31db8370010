"""Trading from a shell: decimals in and out, and what a refusal leaves."""

import csv
import io
import json

import pytest

from stream.cli import main
from stream.cli.rows import FORMATS, print_rows, written
from tests.cli.test_cli import deltabook
from tests.setting import token
from tests.sockets import run, serving


@run
async def test_an_order_from_a_shell() -> None:
    async with serving(rest_port=0) as server:    # which keeps a history
        who = ("--url", f"ws://127.0.0.1:{server.port}/v1", "--token", token("alice", server.clock.wall_time(server.now()), "market account trade"))
        bob = (*who[:3], token("bob", server.clock.wall_time(server.now()), "market account trade"))
        placed = await deltabook("place", "BTC-USD", "buy", "0.5", "100.25", "--client-id", "7", "--format", "json", *who)
        done = json.loads(placed.out)
        assert (placed.status, done["status"], done["remaining"], done["client_id"]) == (0, "open", "0.5000", 7)
        sold = await deltabook("place", "BTC-USD", "sell", "0.2", "--type", "market", *bob)
        assert sold.status == 0
        assert "20.05" in sold.out
        orders = list(csv.DictReader(io.StringIO((await deltabook("orders", "--format", "csv", *who)).out)))
        assert [(each["price"], each["remaining"], each["filled"]) for each in orders] == [("100.25", "0.3000", "0.2000")]
        fills = [json.loads(line) for line in (await deltabook("fills", "--format", "json", *who)).out.splitlines()]
        assert [(each["price"], each["size"], each["liquidity"]) for each in fills] == [("100.25", "0.2000", "maker")]
        balances = await deltabook("balances", *who)
        assert "10.20000000" in balances.out
        cancelled = await deltabook("cancel", "--client-id", "7", "--format", "json", *who)
        assert json.loads(cancelled.out)["status"] == "cancelled"
        past = [json.loads(line) for line in (await deltabook("orders", "--past", "5", "--format", "json", *who)).out.splitlines()]
        assert [each["status"] for each in past] == ["cancelled"]
        assert (await deltabook("cancel", "--all", *who)).out.split() == ["cancelled", "0"]


@run
async def test_a_refusal_has_its_number_and_status_1() -> None:
    async with serving() as server:
        who = ("--url", f"ws://127.0.0.1:{server.port}/v1", "--token", token("alice", server.clock.wall_time(server.now()), "market account trade"))
        for arguments, number in ((("place", "BTC-USD", "buy", "5000", "100"), "(411)"), (("cancel", "99"), "(405)"), (("fills",), "(509)")):
            refused = await deltabook(*arguments, *who)
            assert (refused.status, refused.out) == (1, "")
            assert refused.err.startswith(f"deltabook {arguments[0]}: ")
            assert number in refused.err
        odd = await deltabook("place", "BTC-USD", "buy", "1", "100.001", *who)
        assert odd.status == 2
        assert "100.001" in odd.err


def test_without_a_token_it_says_what_to_do(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DELTABOOK_TOKEN", raising=False)
    assert main(["balances"]) == 2
    assert "DELTABOOK_TOKEN" in capsys.readouterr().err


def test_a_table_is_whole_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"order": 1 << 60, "name": "x" * 300}]
    print_rows(rows, ("order", "name"), "table")
    assert "x" * 300 in capsys.readouterr().out
    assert [written(rows, ("order", "name"), format).count("x") for format in FORMATS[1:]] == [300, 300]
    assert written([], ("order",), "csv") == "order\n"


@run
async def test_watch_writes_a_line_for_all_that_comes() -> None:
    async with serving() as server:
        url = ("--url", f"ws://127.0.0.1:{server.port}/v1")
        who = (*url, "--token", token("alice", server.clock.wall_time(server.now()), "market account trade"))
        await deltabook("place", "BTC-USD", "sell", "0.5", "100.25", *who)
        bob = (*url, "--token", token("bob", server.clock.wall_time(server.now()), "market account trade"))
        for size in ("0.1", "0.2"):
            await deltabook("place", "BTC-USD", "buy", size, "100.25", *bob)
        plain = await deltabook("watch", "trades:BTC-USD", "--count", "2", *url)
        assert [line.split()[1:] for line in plain.out.splitlines()] == [["buy", "100.25", "0.1000"], ["buy", "100.25", "0.2000"]]
        trades = await deltabook("watch", "trades:BTC-USD", "--json", "--count", "2", *url)
        assert [json.loads(line)["size"] for line in trades.out.splitlines()] == ["0.1000", "0.2000"]
        book = json.loads((await deltabook("watch", "orderbook:BTC-USD", "--json", "--count", "1", *url)).out)
        assert (book["asks"], book["bids"], book["verified"]) == ([["100.25", "0.2000"]], [], True)
