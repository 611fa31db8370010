"""What cannot be is told at once: what was wrong, what was expected, and what to do."""

import subprocess
import sys
from typing import Any

import msgspec
import pytest

from engine import MONEY_MAX
from stream import ClientError, connect
from stream.market.market import Market
from stream.settings.config import Config, ConfigError, read_config
from stream.sources.simulated import SimulatedSource
from stream.wire.codec import JSON, MSGPACK, Codec, Malformed
from stream.wire.messages import Ping
from stream.wire.scale import from_text
from tests.setting import SECRET, START
from tests.sockets import run, serving
from tests.worlds import QuietMarket


@pytest.mark.parametrize(("said", "answer"), [
    (b'["ping",1,2]', "ping: expected 'ping', id; got 3 elements"),
    (b'["ping"]', "ping: expected 'ping', id; got 1 elements"),
    (b'["cancel",1,2,3,4,5,6]', r"cancel: expected 'cancel', id, \[order\], \[client_id\], \[key\], \[sent\]; got 7 elements"),
    (b'["subscribe",1]', r"subscribe: expected 'subscribe', id, channels, \[depth\], \[interval_ms\], \[resume\]; got 2"),
    (b'["ping","x"]', r"ping, id - at `\$\[1\]`: Expected int, got str: a whole number"),
    (b'["ping",0]', r"ping, id - at `\$\[1\]`: Expected int >= 1"),
    (b'["nope",1]', "there is no message 'nope' .*: expected one of login, subscribe,"),
    (b'["' + b"n" * 1000 + b'",1]', "there is no message 'n{40}' "),
    (b'[1,2]', "the message's tag: expected a text, one of login,"),
    (b'[]', "an empty array: expected a message such as 'ping', id"),
    (b'{}', "Expected `array`, got `object`"),
    (b'', "nothing, where a message was expected"),
    (b'["ping",1', "truncated"),
    (b'["ping",1]x', "trailing characters"),
    (b"[" * 5000, "too deep|truncated"),
    (b'["subscribe",1,["\xed\xa0\x80"]]', "a text is not UTF-8"),
    (b'["subscribe",1,["\\ud800"]]', r"half of a surrogate pair, such as \\ud800: expected whole characters"),
    (b'["subscribe",1,["a\\uD800b"]]', "half of a surrogate pair"),
    (b'["subscribe",1,["\\udc00"]]', "surrogate|truncated|invalid"),
    (b'["place",1,"A-B","buy",0.1,1]', r"place, price - at `\$\[4\]`: Expected int, got float: a whole number of ticks, not a decimal one"),
    (b'["place",1,"A-B","buy",1,"0.1"]', r"place, size - at `\$\[5\]`: Expected int, got str: a whole number of lots"),
    (b'["place",1,"A-B","hold",1,1]', r"place, side .* expected one of buy, sell$"),
    (b'["place",1,"A-B","buy",1,1,"limit","x"]', "place, time_in_force .* expected one of gtc, ioc, fok, gtd, day"),
    (b'["place",1,null,"buy",1,1]', r"place, instrument - at `\$\[2\]`: Expected str, got null"),
])
def test_a_message_that_cannot_be_read_is_answered_in_words_of_the_protocol(said: bytes, answer: str) -> None:
    with pytest.raises(Malformed, match=answer):
        JSON.read_request(said)


@pytest.mark.parametrize("codec", [JSON, MSGPACK])
def test_every_cut_of_a_good_message_is_answered(codec: Codec) -> None:
    for message in (Ping(1), msgspec.json.decode(b'["place",7,"A-B","buy",1,1]'), ["subscribe", 1, ["a"], 0, 0, {"a": [1, 2]}]):
        payload = msgspec.json.encode(message) if codec is JSON else msgspec.msgpack.encode(message)
        for size in range(len(payload)):
            with pytest.raises(Malformed, match=r"\w\w"):
                codec.read_request(payload[:size])


@pytest.mark.parametrize(("text", "why"), [
    (0.1, "0.1: a float is rarely exactly the number that it shows: expected decimal text such as '0.1'"), (5.0, "a float"), (float("nan"), "a float"),
    (True, "True: expected decimal text"), (None, "None: expected decimal text"), (b"1", "expected decimal text"), ("", "expected a decimal number"),
    ("1,5", "expected a decimal number"), ("0.15", "'0.15': expected a whole multiple of 0.1"), ("1e400", "'1e400': expected less than 2"),
    ("1e30", "expected less than 2"), ("nan", "expected a whole multiple"), ("inf", "expected a whole multiple"), ("9" * 500, "'9{60}': expected less than 2"),
])
def test_a_price_that_is_none_is_told(text: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        from_text(text, "0.1")


@run
async def test_a_float_price_is_refused_before_it_is_sent() -> None:
    async with serving() as server, connect(f"ws://127.0.0.1:{server.port}/v1") as client:
        with pytest.raises(ValueError, match=r"a float is rarely .*expected decimal text such as '0\.1'"):
            await client.place("BTC-USD", "buy", 0.1, "1")    # type: ignore[arg-type]
        with pytest.raises(ClientError, match="no instrument of that name"):
            await client.place("BTC-XXX", "buy", "0.1", "1")


def market(sources: Any = (), **flags: Any) -> Market:
    return Market(read_config(None, {}, {"journal": "none", "assets": {"A": 8, "B": 2}} | flags), [], sources, START)


def instrument(**terms: Any) -> dict[str, Any]:
    return {"instruments": [{"name": "A-B", "base": "A", "quote": "B", "tick": "1", "lot": "1"} | terms]}


@pytest.mark.parametrize(("flags", "why"), [
    ({"deposit": {"A": "-1"}}, "deposit of A: -1: expected 0 to "),
    ({"deposit": {"A": "0.000000001"}}, "deposit of A: '0.000000001': expected a whole multiple of 1e-8"),
    ({"deposit": {"A": "1e300"}}, "deposit of A: '1e300': expected less than"),
    ({"deposit": {"A": "x"}}, "deposit of A: 'x': expected a decimal number"),
    ({"deposit": {"B": "46116860184273879.05"}}, "deposit of B: .*expected 0 to 46116860184273879.04, for all accounts together"),
    ({"assets": {"ETH": 18}}, "asset 'ETH' has 18 decimals: expected at most 12.* which would be 4.61 ETH; count it in a larger unit, such as 9 decimals"),
    ({"assets": {"ETH": 13}}, "has 13 decimals: expected at most 12"),
    (instrument(tick="1e400"), r"instrument 'A-B': tick 1E\+400: expected a decimal number from"),
    (instrument(lot="1e-400"), r"instrument 'A-B': lot 1E-400: expected a decimal number from"),
    (instrument(tick="nan"), "instrument 'A-B': tick NaN: expected a decimal number"),
    (instrument(tick="-1"), "instrument 'A-B': tick -1: expected a decimal number"),
    (instrument(quote="USDT"), "instrument 'A-B': there is no asset 'USDT': expected one of A, B"),
])
def test_a_configuration_that_cannot_be_is_refused(flags: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        market(**flags)


def test_what_just_may_be_is_taken() -> None:
    market(assets={"A": 12}, deposit={"A": "0"})
    market(deposit={"B": "46116860184273879.04"})
    source = SimulatedSource(1, 10)
    asset = next(iter(source.assets))
    made = market([source], **instrument(quote=asset), deposit={asset: "1"})    # an asset that only a source brings
    assert "A-B" in {terms.name for terms in made.instrument_terms()}


def test_a_deposit_that_cannot_be_paid_any_more_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    half = MONEY_MAX // 10**8 * 3 // 5
    world = QuietMarket(deposit={"BTC": str(half)})
    for subject in ("alice", "bob"):
        world.open_account(subject, world.now, lambda account, code: None)
        for _ in range(3):
            world.tick(world.now)
    assert [record.message for record in caplog.records] == ["a deposit cannot be paid: there is more of the asset than the exchange can count"]


def test_a_deposit_of_an_asset_that_is_not_there_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    made = market(deposit={"A": "1", "ETH": "1"})
    assert [(record.message, record.__dict__["asset"], record.__dict__["expected"]) for record in caplog.records] == [
        ("a deposit for new accounts is not paid: there is no such asset", "ETH", ["A", "B"]),
    ]
    assert made.deposits == [(made.exchange.asset("A"), 10**8)]


@pytest.mark.parametrize(("setting", "why"), [('deposit={"BTC":"-1"}', "expected 0 to"), ('deposit={"BTC":"x"}', "expected a decimal number")])
def test_the_command_refuses_to_start(setting: str, why: str) -> None:
    command = [sys.executable, "-m", "stream", "serve", "--port", "0", "--journal", "none", "--set", 'assets={"BTC":8}', "--set", setting,
               "--set", f'keys=[{{"algorithm":"HS256","key":"{SECRET}"}}]']
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert why in ended.stderr
    assert Config().deposit == {}
