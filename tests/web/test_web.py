"""The JavaScript client in node: what Python encodes it reads, and its books come out with the same digest."""

import json
import random
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import msgspec
import pytest

import stream
from engine import PriceLevels
from engine.levels import mix64
from stream.wire.administration import AdminRequest
from stream.wire.candles import Candle
from stream.wire.codec import MSGPACK
from stream.wire.frames import Balance, Book, OrderUpdate, Trade
from stream.wire.history import PastOrder, PastTrade
from stream.wire.messages import Answer, Cancel, InForce, InstrumentTerms, Place, Request, Subscribe

CLIENT = Path(stream.__path__[0]) / "web" / "client"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


def in_node(script: str, data: Any) -> Any:
    """What a script makes of `input`: its last `print`ed JSON."""
    program = f"""
        import {{ readFileSync }} from "node:fs";
        import {{ Book, decode, describe, encode, fromText, mix64, placing, stepOf, toText }} from "{CLIENT.as_uri()}/index.js";
        const input = JSON.parse(readFileSync(0, "utf8"));
        const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));
        const print = (value) => console.log(JSON.stringify(value, (key, item) => (typeof item === "bigint" ? item.toString() : item)));
        {script}
    """
    assert NODE
    with TemporaryDirectory() as folder:
        (Path(folder) / "test.mjs").write_text(program)
        done = subprocess.run([NODE, "test.mjs"], cwd=folder, input=json.dumps(data), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_kind_of_value_is_read_as_it_was_written() -> None:
    values: list[Any] = [None, True, False, 0, 127, 128, 255, 65535, 65536, 2**32, 2**53 - 1, -1, -32, -33, -129, -40000, -(2**40), "", "a" * 40, "é" * 300]
    values += [[1] * 20, {"a": [1, 2]}]
    assert in_node("print(input.map((hex) => decode(bytes(hex))))", [msgspec.msgpack.encode(value).hex() for value in values]) == values
    large = [2**63, 2**64 - 1, -(2**62)]
    assert in_node("print(input.map((hex) => decode(bytes(hex))))", [msgspec.msgpack.encode(value).hex() for value in large]) == [str(value) for value in large]


def test_what_is_cut_off_is_an_error() -> None:
    whole = msgspec.msgpack.encode(Book("orderbook:X", 1, None, 3, [1, 2], [], 2**64 - 1, 1, 0, 0))
    failures = in_node("print(input.map((hex) => { try { decode(bytes(hex)); return 0; } catch { return 1; } }))", [whole[:n].hex() for n in range(len(whole))])
    assert failures == [1] * len(whole)


def test_requests_are_what_the_server_reads() -> None:
    requests = in_node(
        """print([["subscribe", 1, ["orders"], 0, 100, { orders: [5, 6] }], ["place", 2, "BTC-USDT", "buy", 6000000, 5, "limit", "gtc", false, 0],
                  ["cancel", 3, 2n ** 60n + 1n, 0]].map((fields) => Buffer.from(encode(fields)).toString("hex")))""", 0)
    subscribe, place, cancel = (MSGPACK.decode_request(bytes.fromhex(text)) for text in requests)
    assert subscribe == Subscribe(1, ["orders"], 0, 100, {"orders": (5, 6)})
    assert place == Place(2, "BTC-USDT", "buy", 6_000_000, 5)
    assert cancel == Cancel(3, 2**60 + 1)


def test_what_does_not_fit_is_refused_and_not_cut_off() -> None:
    script = "print(input.map((text) => { try { return decode(encode(BigInt(text))); } catch (error) { return error.name; } }))"
    assert in_node(script, [str(2**64 - 1), str(2**64), str(-(2**63)), str(-(2**63) - 1)]) == [str(2**64 - 1), "RangeError", str(-(2**63)), "RangeError"]


def test_an_orders_options_are_the_servers() -> None:
    script = """
        const terms = { name: "BTC-USD", tick: "0.01", lot: "0.0001", quote_decimals: 6 };
        const all = { type: "stop_limit", time_in_force: "gtd", post_only: true, client_id: 7, slide: true, stop: "0.05", display: "0.0002",
                      min_size: "0.0003", expires: new Date(1_700_000_000_000), linked: 2n ** 60n, self_trade: "decrement" };
        const orders = [["0.04", "0.0005", {}], ["0.04", "0.0005", all], [null, "0.05", { type: "market", quote: true }]];
        const texts = orders.map(([price, size, options]) => encode(["place", 1, ...placing(terms, "buy", price, size, options)]));
        const refused = (() => { try { placing(terms, "buy", 4, 5, { stp: 6 }); } catch (error) { return error.message; } })();
        print([texts.map((bytes) => Buffer.from(bytes).toString("hex")), refused]);
    """
    texts, refused = in_node(script, 0)
    assert [MSGPACK.decode_request(bytes.fromhex(text)) for text in texts] == [
        Place(1, "BTC-USD", "buy", 4, 5),
        Place(1, "BTC-USD", "buy", 4, 5, "stop_limit", "gtd", True, 7, True, False, 5, 2, 3, 1_700_000_000 * 10**9, 2**60, "decrement"),
        Place(1, "BTC-USD", "buy", 0, 50_000, "market", quote=True),
    ]
    assert refused.startswith("stp: there is no such option of an order; expected some of type, time_in_force,")


def test_the_fields_are_those_of_the_messages() -> None:
    """The JavaScript client names what comes by its place in the array."""
    source = (CLIENT / "messages.js").read_text()
    lists = {name: re.findall(r'"(\w+)"', fields) for name, fields in re.findall(r"^ *(?:const )?(\w+)(?::| =) \[(.+?)\][,;]$", source, re.MULTILINE)}
    messages = {kind.__struct_config__.tag: kind for kind in {*get_args(Answer), *get_args(Request)} - {*get_args(AdminRequest)}}
    messages |= {"TERMS": InstrumentTerms, "IN_FORCE": InForce, "TRADE": Trade, "ORDER": OrderUpdate, "BALANCE": Balance}
    messages |= {"PAST_ORDER": PastOrder, "PAST_TRADE": PastTrade, "CANDLE": Candle}
    assert lists == {name: [field.name for field in msgspec.structs.fields(kind)] for name, kind in messages.items()}


def test_what_the_package_offers_has_a_type() -> None:
    typed = re.findall(r"^export (?:class|function|const) (\w+)", (CLIENT / "index.d.ts").read_text(), re.MULTILINE)
    offered = [name for names in re.findall(r"export \{ (.+) \}", (CLIENT / "index.js").read_text()) for name in names.split(", ")]
    assert sorted(typed) == sorted(offered)
    of_client = (CLIENT / "index.d.ts").read_text().partition("export class Client extends")[2].partition("\n}\n")[0]
    methods = set(re.findall(r"^  (?:async )?(\w+)\(.*\) \{$", (CLIENT / "client.js").read_text() + (CLIENT / "requests.js").read_text(), re.MULTILINE))
    assert set(re.findall(r"^  (\w+)\(", of_client, re.MULTILINE)) == methods | {"addEventListener"}


def test_a_book_follows_frames_and_proves_itself() -> None:
    chance = random.Random(4)
    server = PriceLevels()
    frames: list[Answer] = [Book("orderbook:X", 1, None, 0, [], [], 0, 0, 0, 0)]
    sent = 0
    for seq in range(1, 400):
        server.set(chance.randrange(2), chance.choice((chance.randrange(50), 2**40 + chance.randrange(5))), chance.choice((0, 1, 7, 2**61)), seq)
        if chance.random() < 0.4:
            bids, asks = server.changes_since(sent) or ([], [])
            frames.append(Book("orderbook:X", 1, sent, seq, bids, asks, server.digest, 2, 0, 0))
            sent = seq
    encoded = [MSGPACK.encode(frame).hex() for frame in frames]
    script = """
        const names = ["channel", "epoch", "prev", "seq", "bids", "asks", "digest", "batches"];
        const book = new Book("orderbook:X");
        const frames = input.map((hex) => decode(bytes(hex)).slice(1)).map((values) => Object.fromEntries(names.map((name, i) => [name, values[i]])));
        const verdicts = frames.map((frame) => book.receive(frame));
        const again = book.receive(frames.at(-1));
        const gap = book.receive({ ...frames.at(-1), prev: book.seq + 1, seq: book.seq + 2 });
        print([verdicts, again, gap, book.levels.digest.value, [0, 1].map((side) => book.levels.count(side)), book.verified]);
    """
    verdicts, again, gap, digest, sizes, verified = in_node(script, encoded)
    assert verdicts[0] == "snapshot"
    assert set(verdicts[1:]) <= {"applied", "heartbeat"}
    assert (again, gap, verified) == ("dropped", "gap", True)
    last = frames[-1]
    assert isinstance(last, Book)
    assert int(digest) == last.digest
    assert sum(sizes) > 10


def test_the_digest_and_the_texts_are_exact() -> None:
    levels = [(0, 100, 5), (1, 2**48 - 1, 2**61), (1, 6_000_050, 1)]
    assert in_node("print(input.map(([side, price, size]) => mix64(side, BigInt(price), BigInt(size))))", levels) == [str(mix64(*level)) for level in levels]
    script = """print([toText(6000050, "0.01"), toText(2n ** 61n, "0.00000001"), toText(7, "5"), stepOf(8), fromText("60000.5", "0.01"), fromText("35", "5"),
        ["0.001", "x", "", "-1", "1e5"].map((text) => { try { return fromText(text, "0.01"); } catch { return "refused"; } })])"""
    assert in_node(script, 0) == ["60000.50", "23058430092.13693952", "35", "0.00000001", 6_000_050, 7, ["refused"] * 5]
