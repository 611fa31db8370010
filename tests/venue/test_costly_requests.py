"""What costs more than a message counts as more than one, and what all ask for is encoded once."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from stream.settings.config import InstrumentConfig
from stream.wire.administration import ListConnections, SetPhase
from stream.wire.bucket import ANSWER_BYTES_OF_A_MESSAGE
from stream.wire.codec import JSON, MSGPACK, Codec
from stream.wire.codes import ErrorCode
from stream.wire.fields import Message
from stream.wire.messages import Error, Instruments, ListInstruments, ListSubscriptions, Ping, Pong, Subscribe
from tests.worlds import BOOK, Desk, QuietMarket

MANY = tuple(InstrumentConfig(f"I{number}-USD", "BTC", "USD", Decimal("0.01"), Decimal("0.0001")) for number in range(500))


def listed(desk: Desk) -> bytes:
    """The answer to a list of instruments, as it is sent."""
    desk.session.receive(desk.codec.encode(ListInstruments(7)), desk.market.now, "")
    return desk.session.take_out()


@pytest.mark.parametrize("codec", [MSGPACK, JSON])
def test_the_list_of_instruments_is_always_that_of_now(codec: Codec) -> None:
    market = QuietMarket()
    desk, admin = Desk(market, codec), Desk(market).sign_in("root", "admin")
    assert listed(desk) == listed(desk) == codec.frame(Instruments(7, market.instrument_terms()))
    market.command("set_fees", 1, 0, 50, 60)
    admin.ask(SetPhase, "BTC-USD", "halt")
    btc, eth = market.instrument_terms()
    assert (btc.phase, eth.phase, eth.maker_fee, eth.taker_fee) == ("halt", "trading", 50, 60)
    assert listed(desk) == listed(desk) == codec.frame(Instruments(7, [btc, eth]))
    admin.ask(SetPhase, "BTC-USD", "trading")
    assert listed(desk) == codec.frame(Instruments(7, [msgspec.structs.replace(btc, phase="trading"), eth]))


def test_the_list_of_instruments_is_made_and_encoded_once() -> None:
    market = QuietMarket(instruments=MANY)
    terms, encoded = market.instrument_terms(), []

    def encode(value: object) -> bytes:
        encoded.append(value)
        return MSGPACK.encode(value)

    for id in range(1, 10):
        assert market.instrument_terms() is terms
        market.instrument_list.answer(id, market.instrument_terms(), MSGPACK._replace(encode=encode))
        market.command("deposit", 0, 0, 5)
    assert sum(value is terms for value in encoded) == 1


def weight_of(desk: Desk, kind: type[Message], *fields: Any) -> int:
    """As how many messages a request counts: how many fewer than `messages_burst` may follow it at once."""
    burst, count = desk.market.config.messages_burst, 0
    desk.market.now += 1000 * 10**9
    desk.ask(kind, *fields)
    while isinstance(desk.ask(Ping)[-1], Pong):
        count += 1
    assert desk.heard[-1].code == ErrorCode.TOO_MANY_REQUESTS
    return burst - count


def beyond(desk: Desk) -> int:
    """How many messages the latest long answer adds."""
    return max(len(MSGPACK.frame(message)) for message in desk.heard if not isinstance(message, Error)) // ANSWER_BYTES_OF_A_MESSAGE


def test_a_long_answer_counts_by_its_length() -> None:
    limits: dict[str, Any] = {"messages_burst": 700, "messages_per_s": 1, "errors_max": 1000, "idle_timeout_s": 10**6, "sign_in_timeout_s": 10**6}
    few, many = QuietMarket(**limits), QuietMarket(instruments=MANY, **limits)
    assert weight_of(Desk(few), ListInstruments) == 1
    desk, other = Desk(many), Desk(many)
    assert weight_of(desk, ListInstruments) == 1 + beyond(desk) == 10
    assert isinstance(other.ask(Ping)[0], Pong)

    desk = Desk(many).sign_in("root", "admin market")
    assert weight_of(desk, ListSubscriptions) == weight_of(desk, ListConnections, 0, 10) == 1
    assert weight_of(desk, Subscribe, [f"trades:I{number}-USD" for number in range(500)]) in range(501, 520)
    desk.heard.clear()
    assert weight_of(desk, ListSubscriptions) == 1 + beyond(desk) > 3
    desk.heard.clear()
    assert weight_of(desk, ListConnections, 0, 10) == 1 + beyond(desk) > 2


@pytest.mark.parametrize("levels", [100, 6000])
def test_a_snapshot_counts_by_its_length(levels: int) -> None:
    market = QuietMarket(messages_burst=50, messages_per_s=1, errors_max=1000, idle_timeout_s=10**6, sign_in_timeout_s=10**6)
    market.command("open_account")
    market.command("deposit", 0, market.exchange.asset("USD"), 10**17)
    for price in range(1, levels + 1):
        market.sequencer.ahead.place(0, 0, 0, price, 1, time=market.now)
    market.sequencer.advance(market.now)
    desk = Desk(market)
    assert weight_of(desk, Subscribe, [BOOK], 0, 0) == 2 + beyond(desk)
    assert beyond(desk) == {100: 0, 6000: 5}[levels]
