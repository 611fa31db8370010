"""The channels of Kraken's dialect, message by message: what is subscribed to, how it is answered, and what is told."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine import Phase
from stream.dialects.connection import GOING_AWAY, POLICY
from stream.dialects.kraken.connection import STREAMS_MAX, TRADING
from stream.dialects.kraken.streams import CHANNELS
from stream.dialects.kraken.symbols import instant, order_id
from stream.settings.config import ConfigError
from stream.wire.framing import PONG
from stream.wire.messages import Place
from stream.wire.times import NEVER
from tests.dialects.kraken_market import Client, KrakenMarket
from tests.dialects.spot import Line
from tests.setting import CONFIG

SECOND = 10**9


@pytest.fixture
def kraken() -> KrakenMarket:
    return KrakenMarket()


@pytest.fixture
def client(kraken: KrakenMarket) -> Client:
    return kraken.client()


def test_a_subscription_is_acknowledged_before_its_snapshot_comes(kraken: KrakenMarket, client: Client) -> None:
    now = instant(kraken.market.now)
    acknowledged, snapshot = client.ask("subscribe", channel="book", symbol=["BTC/USD"], depth=25)
    assert acknowledged == {
        "method": "subscribe", "req_id": 7, "success": True, "time_in": now, "time_out": now,
        "result": {"channel": "book", "symbol": "BTC/USD", "depth": 25, "snapshot": True},
    }
    assert snapshot == {
        "channel": "book", "type": "snapshot", "data": [{"symbol": "BTC/USD", "bids": [], "asks": [], "checksum": 0, "timestamp": now}],
    }
    assert client.ask("subscribe", channel="trade", symbol=["BTC/USD"], snapshot=False)[1:] == []


def test_each_symbol_is_answered_on_its_own(client: Client) -> None:
    first, second, snapshot = client.ask("subscribe", channel="ticker", symbol=["XBT/USD", "ETH/USD", "ETH/USD"])
    assert (first["success"], first["symbol"], first["error"]) == (False, "XBT/USD", "Currency pair not supported XBT/USD")
    assert second["result"] == {"channel": "ticker", "symbol": "ETH/USD", "event_trigger": "trades", "snapshot": True}
    assert snapshot["data"][0]["symbol"] == "ETH/USD"


def test_one_subscription_of_a_channel_and_a_symbol_and_its_end(kraken: KrakenMarket, client: Client) -> None:
    client.subscribe("book")
    [again] = client.ask("subscribe", channel="book", symbol=["BTC/USD"], depth=100)
    assert (again["success"], again["error"]) == (False, "Already subscribed")
    [ended] = client.ask("unsubscribe", channel="book", symbol=["BTC/USD"], depth=100)
    assert ended["result"] == {"channel": "book", "symbol": "BTC/USD", "depth": 10}
    [unknown] = client.ask("unsubscribe", channel="book", symbol=["BTC/USD"])
    assert (unknown["success"], unknown["error"]) == (False, "Subscription Not Found")
    kraken.place("buy", 100, 1)
    assert client.hear() == []
    assert kraken.dialect.tick(kraken.market.now) == NEVER    # nobody listens: nothing is due
    client.subscribe("book", depth=100)


@pytest.mark.parametrize(("parameters", "error"), [
    ({"channel": "nope"}, "channel 'nope': expected one of book, level3, trade, ticker, instrument"),
    ({"channel": 5}, "channel '5': expected one of book, level3, trade, ticker, instrument"),
    ({"channel": "book", "depth": 50}, "depth '50': expected one of 10, 25, 100, 500, 1000"),
    ({"channel": "level3", "depth": 25}, "depth '25': expected one of 10, 100, 1000"),
    ({"channel": "book", "depth": 10.0}, "depth '10.0': expected one of 10, 25, 100, 500, 1000"),
    ({"channel": "book", "depth": [10]}, "depth '[10]': expected one of 10, 25, 100, 500, 1000"),
    ({"channel": "ticker", "event_trigger": "x"}, "event_trigger 'x': expected one of trades, bbo"),
    ({"channel": "book", "snapshot": "yes"}, "snapshot: expected true or false"),
    ({"channel": "book"}, "symbol: expected a list of pairs such as BTC/USD"),
    ({"channel": "book", "symbol": []}, "symbol: expected a list of pairs such as BTC/USD"),
    ({"channel": "book", "symbol": ["BTC/USD", 5]}, "symbol: expected a list of pairs such as BTC/USD"),
    ({"channel": "level3", "symbol": ["BTC/USD"]}, "token: expected that of GetWebSocketsToken"),
    ({"channel": "level3", "symbol": ["BTC/USD"], "token": "carol.99999999999.00"}, "Token(s) not found"),
])
def test_what_cannot_be_subscribed_to_is_refused(client: Client, parameters: dict[str, Any], error: str) -> None:
    [answer] = client.ask("subscribe", **parameters)
    assert (answer["method"], answer["req_id"], answer["success"], answer["error"]) == ("subscribe", 7, False, error)


def test_what_cannot_be_understood_is_refused(client: Client) -> None:
    def error(message: object) -> tuple[Any, ...]:
        client.send(message)
        [said] = client.hear()
        assert said["success"] is False
        return said.get("method"), said.get("req_id"), said["error"]

    malformed = (None, None, "Malformed request: expected a JSON object")
    assert error("{") == error(b"\xff") == error("[" * 10_000) == error([]) == malformed
    assert error({}) == (None, None, "method 'None': expected ping, subscribe or unsubscribe")
    assert error({"method": "nope", "req_id": 3}) == ("nope", 3, "method 'nope': expected ping, subscribe or unsubscribe")
    assert error({"method": "ping", "req_id": "3"}) == ("ping", None, "req_id: expected an integer")
    assert error({"method": "subscribe"}) == ("subscribe", None, "params: expected an object")
    for method in TRADING:
        assert error({"method": method, "params": {}}) == (method, None, f"{method}: nothing is traded here; expected ping, subscribe or unsubscribe")


def test_a_ping_is_answered(kraken: KrakenMarket, client: Client) -> None:
    now = instant(kraken.market.now)
    client.send({"method": "ping"})
    assert client.hear() == [{"method": "pong", "success": True, "time_in": now, "time_out": now}]
    client.send({"method": "ping", "req_id": 101})
    assert client.hear()[0]["req_id"] == 101


def test_connections_have_numbers() -> None:
    kraken, lines = KrakenMarket(), [Line(), Line()]
    for line in lines:
        kraken.dialect.open("/v2", "", line, kraken.market.now, "")
    kraken.dialect.write()
    told = [msgspec.json.decode(line.data[2:])["data"][0] for line in lines]
    assert told == [{"system": "online", "api_version": "v2", "connection_id": number, "version": "2.0.0"} for number in (1, 2)]


def test_trades(kraken: KrakenMarket, client: Client) -> None:
    kraken.trade(99, 4)
    [snapshot] = client.subscribe("trade")
    kraken.trade(100, 5, "sell")
    [update] = client.hear()
    [earlier], [later] = snapshot["data"], update["data"]
    assert (snapshot["type"], update["type"]) == ("snapshot", "update")
    assert later.pop("trade_id") > earlier.pop("trade_id")
    times = {"timestamp": instant(kraken.market.now)}
    assert earlier == {"symbol": "BTC/USD", "side": "buy", "price": Decimal("0.99"), "qty": Decimal("0.0004"), "ord_type": "limit"} | times
    assert later == {"symbol": "BTC/USD", "side": "sell", "price": Decimal("1.00"), "qty": Decimal("0.0005"), "ord_type": "limit"} | times
    assert (str(later["price"]), str(later["qty"])) == ("1.00", "0.0005")    # all digits of the instrument


def test_trades_that_a_slow_reader_missed_are_told_later_or_the_reader_is_closed(kraken: KrakenMarket, client: Client) -> None:
    client.subscribe("trade")
    client.line.full = True
    for price in range(100, 110):
        kraken.trade(price, 1)
    client.line.full = False
    kraken.tick()
    assert [str(each["price"]) for message in client.hear() for each in message["data"]] == [f"1.0{digit}" for digit in range(10)]
    client.line.full = True
    for _ in range(70):    # the market keeps 60
        kraken.trade(100, 1)
    client.line.full = False
    kraken.tick()
    assert client.line.closed == (POLICY, "Too slow: events were missed")


def test_a_ticker_is_told_with_each_trade_or_with_each_change_of_the_best_prices(kraken: KrakenMarket, client: Client) -> None:
    best = kraken.client()
    client.subscribe("ticker")
    [before] = best.subscribe("ticker", event_trigger="bbo")
    assert {value for value in before["data"][0].values() if isinstance(value, Decimal)} == {Decimal(0)}
    kraken.place("buy", 90, 7)
    kraken.place("buy", 80, 7)
    assert client.hear() == []
    [told] = best.hear()
    assert (told["type"], str(told["data"][0]["bid"]), str(told["data"][0]["bid_qty"])) == ("update", "0.90", "0.0007")
    kraken.trade(100, 5)
    kraken.trade(110, 5)
    _, told = client.hear()
    [ticker] = told["data"]
    assert {name: str(value) for name, value in ticker.items() if name not in ("symbol", "timestamp")} == {
        "bid": "0.90", "bid_qty": "0.0007", "ask": "0.00", "ask_qty": "0.0000", "last": "1.10", "volume": "0.0010", "vwap": "1.05000000", "low": "1.00",
        "high": "1.10", "change": "0.10", "change_pct": "10.000",
    }


def test_instruments_are_told_again_when_their_terms_change(kraken: KrakenMarket, client: Client) -> None:
    [snapshot] = client.subscribe("instrument")
    data = snapshot["data"]
    assert data["assets"][0] == {
        "id": "BTC", "status": "enabled", "precision": 8, "precision_display": 5, "borrowable": False, "collateral_value": 0,
    }
    assert [each["id"] for each in data["assets"]] == ["BTC", "USD", "ETH"]
    pair = data["pairs"][0]
    assert {name: str(value) for name, value in pair.items()} == {
        "symbol": "BTC/USD", "base": "BTC", "quote": "USD", "status": "online", "qty_precision": "4", "qty_increment": "0.0001", "qty_min": "0.0001",
        "price_precision": "2", "price_increment": "0.01", "tick_size": "0.01", "cost_precision": "6", "cost_min": "0.000000", "marginable": "False",
        "has_index": "False",
    }
    for phase, status in (("AUCTION", "limit_only"), ("HALT", "maintenance"), ("TRADING", "online")):
        kraken.market.command("set_phase", 0, Phase[phase])
        kraken.tick()
        [update] = client.hear()
        assert (update["type"], update["data"]["pairs"][0]["status"]) == ("update", status)


def test_orders_of_a_book_event_by_event(kraken: KrakenMarket, client: Client) -> None:
    kraken.place("buy", 100, 5)
    token = kraken.token()
    [snapshot] = client.subscribe("level3", token=token)
    [first] = snapshot["data"][0]["bids"]
    number = first.pop("order_id")
    assert (len(number), number[0], number[6], number[12]) == (19, "O", "-", "-")
    assert first == {"limit_price": Decimal("1.00"), "order_qty": Decimal("0.0005"), "timestamp": instant(kraken.market.now)}
    kraken.market.now += SECOND
    kraken.bob.ask(Place, "BTC-USD", "sell", 100, 2)
    kraken.tick()
    [filled] = client.hear()
    modified = {"event": "modify", "order_id": number, "limit_price": Decimal("1.00"), "order_qty": Decimal("0.0003"), "timestamp": first["timestamp"]}
    assert (filled["type"], filled["data"][0]["bids"], filled["data"][0]["asks"]) == ("update", [modified], [])
    kraken.place("sell", 101, 9, display=4)
    [added] = client.hear()[0]["data"][0]["asks"]
    assert (added["event"], str(added["order_qty"]), added["timestamp"]) == ("add", "0.0004", instant(kraken.market.now))
    kraken.bob.ask(Place, "BTC-USD", "buy", 101, 4)
    kraken.tick()
    gone, refilled = client.hear()[0]["data"][0]["asks"]
    assert (gone["event"], gone["order_id"], refilled["event"]) == ("delete", added["order_id"], "add")
    assert refilled["order_id"] != added["order_id"]    # as at the venue, nobody can tell an iceberg by its number


def test_a_price_far_behind_is_not_told_until_it_is_within_the_depth(kraken: KrakenMarket, client: Client) -> None:
    for price in range(100, 110):
        kraken.place("buy", price, 5)
    client.subscribe("level3", token=kraken.token())
    kraken.place("buy", 98, 1)
    kraken.place("buy", 98, 2)
    assert client.hear() == []
    kraken.bob.ask(Place, "BTC-USD", "sell", 109, 5)
    kraken.tick()
    told = [each for message in client.hear() for each in message["data"][0]["bids"]]
    assert [(each["event"], str(each["limit_price"]), str(each["order_qty"])) for each in told] == [
        ("delete", "1.09", "0.0005"), ("add", "0.98", "0.0001"), ("add", "0.98", "0.0002"),
    ]


def test_a_book_is_gone_for_the_time_of_an_auction(kraken: KrakenMarket, client: Client) -> None:
    kraken.place("buy", 100, 5)
    client.subscribe("level3", token=kraken.token())
    client.subscribe("book")
    for phase, event, size in ((Phase.AUCTION, "delete", "0.0000"), (Phase.TRADING, "add", "0.0005")):
        kraken.market.command("set_phase", 0, phase)
        kraken.tick()
        told = {message["channel"]: message["data"][0]["bids"][0] for message in client.hear()}
        assert (told["level3"]["event"], str(told["book"]["qty"])) == (event, size)


def test_a_connection_without_news_hears_a_heartbeat_each_second(kraken: KrakenMarket, client: Client) -> None:
    def next_second() -> list[Any]:
        kraken.market.now += SECOND
        kraken.dialect.keep_house(kraken.market.now)
        return client.hear()

    assert next_second() == []    # it listens to nothing
    client.subscribe("book")
    assert next_second() == []
    assert next_second() == [{"channel": "heartbeat"}]
    kraken.place("buy", 100, 1)
    [update] = next_second()
    assert update["type"] == "update"
    assert next_second() == [{"channel": "heartbeat"}]
    client.line.full = True
    assert next_second() == []


def test_who_is_not_heard_of_for_a_minute_is_closed(kraken: KrakenMarket, client: Client) -> None:
    alive = kraken.client()
    for second in range(62):
        if second % 20 == 1:
            alive.connection.control(PONG, b"", kraken.market.now)
        kraken.market.now += SECOND
        kraken.dialect.keep_house(kraken.market.now)
    assert client.line.closed == (POLICY, "Pong timeout")
    assert alive.line.closed is None


def test_another_history_and_the_end_of_the_server_end_every_connection(kraken: KrakenMarket) -> None:
    first = kraken.client()
    first.subscribe("book")
    for price in range(90, 99):
        kraken.place("buy", price, 1)
    kraken.market.feed = KrakenMarket().market.feed
    kraken.tick()
    second = kraken.client()
    kraken.dialect.leave(kraken.market.now)
    assert first.line.closed == (GOING_AWAY, "The market has another history")
    assert second.line.closed == (GOING_AWAY, "The server is leaving")
    for client in (first, second):
        kraken.dialect.disconnect(client.connection)
    assert not kraken.dialect.connections


def test_limits_of_a_connection() -> None:
    kraken = KrakenMarket(messages_per_s=5, messages_burst=5)
    client = kraken.client()
    for _ in range(6):
        client.send({"method": "ping"})
    assert client.line.closed == (POLICY, "Too many requests")
    assert len(client.hear()) == 5


def test_there_is_a_limit_of_streams(kraken: KrakenMarket, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert STREAMS_MAX == 1024
    monkeypatch.setattr("stream.dialects.kraken.connection.STREAMS_MAX", 1)
    client.subscribe("book")
    [refused] = client.ask("subscribe", channel="trade", symbol=["BTC/USD"])
    assert refused["error"] == "Too many subscriptions: expected at most 1 on one connection"


def test_instruments_with_the_same_assets_cannot_be_told_apart() -> None:
    [first, second] = CONFIG.instruments
    with pytest.raises(ConfigError, match="would both be BTC/USD"):
        KrakenMarket(instruments=(first, msgspec.structs.replace(second, base="BTC")))
    with pytest.raises(ConfigError, match="public_needs_token"):
        KrakenMarket(public_needs_token=True)


def test_a_number_of_16_digits_is_an_id() -> None:
    assert order_id(1) == "O00000-00000-000001"
    assert order_id((1 << 53) - 1) == "O90071-99254-740991"


WORDS = some.sampled_from([
    *CHANNELS, "ping", "subscribe", "unsubscribe", "add_order", "BTC/USD", "ETH/USD", "trades", "bbo", "a.1.b", "carol.99999999999.00", 10, 25, 1000, "10",
])
FIELDS = some.sampled_from(["method", "params", "req_id", "channel", "symbol", "depth", "snapshot", "token", "event_trigger"])
VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(max_size=4) | WORDS,
    lambda each: some.lists(each, max_size=3) | some.dictionaries(FIELDS, each, max_size=5),
)
REQUESTS = some.fixed_dictionaries({"method": WORDS}, optional={
    "req_id": some.integers() | VALUES,
    "params": some.fixed_dictionaries({"channel": some.sampled_from([*CHANNELS])}, optional={
        "symbol": some.lists(WORDS, max_size=3) | VALUES, "depth": WORDS | VALUES, "snapshot": VALUES, "token": WORDS | VALUES, "event_trigger": WORDS | VALUES,
    }) | VALUES,
})


@given(some.lists(VALUES | REQUESTS, max_size=6))
def test_nothing_that_a_client_says_breaks_its_connection(messages: list[Any]) -> None:
    kraken = KrakenMarket()
    client = kraken.client()
    for message in messages:
        client.send(msgspec.json.encode(message))
        assert client.hear(), "there is always an answer"
        kraken.place("buy", 100, 1)
        kraken.trade(101, 1)
        client.hear()
    assert client.line.closed is None
    client.send({"method": "ping"})
    assert client.hear()[0]["method"] == "pong"
