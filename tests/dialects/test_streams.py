"""What the streams say, line by line, and that a book that follows them is the engine's book, however slow its reader is."""

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from stream.dialects.binance.dialect import Opening
from stream.dialects.connection import POLICY
from stream.server.http_message import Answer
from stream.wire.framing import PONG
from stream.wire.messages import CancelAll, Place
from tests.dialects.spot import MILLISECOND, SECOND, Client, Spot

DEPTH, DEPTH_FAST = "btcusd@depth", "btcusd@depth@100ms"


@pytest.fixture
def spot() -> Spot:
    return Spot()


def test_the_paths_of_a_connection(spot: Spot) -> None:
    paths: list[tuple[str, str, Opening]] = [
        ("/ws", "", Opening([], False, False)),
        ("/ws/7", "", Opening([], False, False)),
        ("/ws/btcusd@trade", "", Opening(["btcusd@trade"], False, False)),
        ("/ws/btcusd@trade/btcusd@depth", "timeUnit=MICROSECOND", Opening(["btcusd@trade", "btcusd@depth"], False, True)),
        ("/stream", "", Opening([], True, False)),
        ("/stream", "streams=btcusd@trade/btcusd@depth&timeUnit=microsecond", Opening(["btcusd@trade", "btcusd@depth"], True, True)),
        ("/stream/ws", "", Opening([], True, False)),
        ("/stream/ws/3", "", Opening([], True, False)),
    ]
    for path, query, opening in paths:
        assert spot.dialect.opening(path, query) == opening, path
    for path in ("", "/", "/v1", "/ws-api/v4", "/streams"):
        found = spot.dialect.opening(path, "")
        assert isinstance(found, Answer)
        assert found.status == 404


def test_a_path_with_a_stream_that_does_not_exist_is_refused(spot: Spot) -> None:
    client = spot.client()
    found = spot.dialect.connect(Opening(["btcusd@trade", "nope@trade"], False, False), client.line, spot.market.now)
    assert isinstance(found, Answer)
    assert found.status == 400
    assert len(spot.dialect.connections) == 1


STREAMS = [
    DEPTH, DEPTH_FAST, "btcusd@depth@1000ms", "btcusd@depth5", "btcusd@depth20@100ms", "btcusd@trade", "btcusd@aggTrade", "btcusd@bookTicker",
    "btcusd@kline_1s", "btcusd@kline_1M",
    "btcusd@ticker", "btcusd@miniTicker", "btcusd@ticker_1h", "btcusd@avgPrice", "!ticker@arr", "!miniTicker@arr", "!ticker_4h@arr",
    "!bookTicker",
]


def test_subscriptions_are_listed_and_end(spot: Spot) -> None:
    client = spot.client()
    assert client.ask("SUBSCRIBE", *STREAMS) is None
    assert client.ask("SUBSCRIBE", STREAMS[0]) is None
    assert client.ask("LIST_SUBSCRIPTIONS", id="abc") == STREAMS
    assert client.ask("UNSUBSCRIBE", *STREAMS[1:], "btcusd@nothing", id=None) is None
    assert client.ask("LIST_SUBSCRIPTIONS") == STREAMS[:1]
    spot.dialect.disconnect(client.connection)
    assert spot.dialect.tick(spot.market.now) == 1 << 62    # nobody listens: nothing is due


def test_what_cannot_be_understood_is_answered_with_its_number(spot: Spot) -> None:
    client = spot.client()

    def error(message: object) -> tuple[int, str, object]:
        client.send(message)
        [said] = client.hear()
        return said["error"]["code"], said["error"]["msg"], said["id"]

    assert error("{") == (3, "Invalid JSON: expected value at line 1 column 1", None)
    assert error(b"\xff") == (3, "Invalid JSON: expected value at line 1 column 1", None)
    assert error("[" * 10_000) == (3, "Invalid JSON: expected value at line 1 column 1", None)
    assert error([]) == (2, "Invalid request: expected an object", None)
    assert error({"id": 1}) == (2, "Invalid request: missing field `method`", 1)
    assert error({"method": "NOPE", "id": 1})[:1] == (2,)
    assert error({"method": ["SUBSCRIBE"], "id": 1})[:1] == (2,)
    assert error({"method": "SUBSCRIBE", "params": 5, "id": 2}) == (2, "Invalid request: expected a list of parameters", 2)
    assert error({"method": "SUBSCRIBE", "params": [5], "id": 2}) == (2, "Invalid request: the name of a stream must be a string", 2)
    assert error({"method": "SUBSCRIBE", "params": [], "id": 1.5})[2] is None
    assert error({"method": "SUBSCRIBE", "params": [], "id": True})[2] is None
    assert error({"method": "SUBSCRIBE", "params": [], "id": "x" * 37})[2] is None
    assert error({"method": "GET_PROPERTY", "params": ["nope"], "id": 1}) == (0, "Unknown property", 1)
    assert error({"method": "SET_PROPERTY", "params": ["combined", 1], "id": 1}) == (1, "Invalid value type: expected Boolean", 1)
    many = [f"btcusd@depth{i}" for i in range(1025)]
    assert error({"method": "SUBSCRIBE", "params": many, "id": 1}) == (2, "Invalid request: expected at most 1024 streams on one connection", 1)


@pytest.mark.parametrize(
    "name", ["nope@trade", "BTCUSD@trade", "btcusd@trade@100ms", "btcusd@depth7", "btcusd@kline_7m", "btcusd", "", "!nope", "btcusd@depth\n"],
)
def test_a_stream_that_does_not_exist_is_refused_and_none_of_the_others_begins(spot: Spot, name: str) -> None:
    client = spot.client()
    assert client.ask("SUBSCRIBE", "btcusd@trade", name)["code"] == 2
    assert client.ask("LIST_SUBSCRIPTIONS") == []


def test_events_have_their_streams_name_around_them_if_that_is_asked_for(spot: Spot) -> None:
    client, raw = spot.client("/stream", "streams=btcusd@trade"), spot.client("/ws/btcusd@trade")
    spot.trade(100, 5)
    [told], [event] = client.hear(), raw.hear()
    assert told == {"stream": "btcusd@trade", "data": event}
    assert client.ask("GET_PROPERTY", "combined") is True
    assert client.ask("SET_PROPERTY", "combined", False) is None
    spot.trade(101, 5)
    assert client.hear() == raw.hear()


def test_trades(spot: Spot) -> None:
    client, micro = spot.client("/ws/btcusd@trade/btcusd@aggTrade"), spot.client("/ws/btcusd@trade", "timeUnit=MICROSECOND")
    spot.trade(100, 5, "sell")
    now, seq = spot.market.now // MILLISECOND, spot.get("trades", "symbol=BTCUSD")[0]["id"]
    trade, aggregate = client.hear()
    assert trade == {"e": "trade", "E": now, "s": "BTCUSD", "t": seq, "p": "1.00000000", "q": "0.00050000", "T": now, "m": True, "M": True}
    assert aggregate == {
        "e": "aggTrade", "E": now, "s": "BTCUSD", "a": seq, "p": "1.00000000", "q": "0.00050000", "f": seq, "l": seq, "T": now, "m": True, "M": True,
    }
    assert [event["E"] for event in micro.hear()] == [spot.market.now // 1000]


def test_the_best_prices_are_told_when_they_change(spot: Spot) -> None:
    client = spot.client("/ws/btcusd@bookTicker")
    spot.place("buy", 100, 5)
    spot.place("buy", 99, 5)
    seq = spot.market.exchange.events[0].seq
    [event] = client.hear()
    assert event.pop("u") < seq
    assert event == {"s": "BTCUSD", "b": "1.00000000", "B": "0.00050000", "a": "0.00000000", "A": "0.00000000"}


def test_a_window_of_a_book_is_told_as_a_whole(spot: Spot) -> None:
    client = spot.client("/ws/btcusd@depth5@100ms")
    for price in range(90, 100):
        spot.place("buy", price, price)
    assert client.hear() == []
    spot.pass_time(100)
    [event] = client.hear()
    bids = [[f"0.{price}000000", f"0.00{price}0000"] for price in range(99, 94, -1)]
    assert event == {"lastUpdateId": spot.market.exchange.books[0].levels.seq, "asks": [], "bids": bids}
    spot.pass_time(5000)
    assert client.hear() == []


def test_candles_are_told_as_they_grow_and_once_when_they_are_over(spot: Spot) -> None:
    client = spot.client("/ws/btcusd@kline_1m")
    spot.pass_time(61_000)
    assert client.hear() == []    # nothing has ever traded
    spot.pass_time(60_000 - spot.market.now // MILLISECOND % 60_000)
    start = spot.market.now // MILLISECOND
    spot.trade(100, 5)
    spot.pass_time(1000)
    [event] = client.hear()
    assert event["k"] | {"f": 0, "L": 0} == {
        "t": start, "T": start + 59_999, "s": "BTCUSD", "i": "1m", "f": 0, "L": 0, "o": "1.00000000", "c": "1.00000000", "h": "1.00000000", "l": "1.00000000",
        "v": "0.00050000", "n": 1, "x": False, "q": "0.00050000", "V": "0.00050000", "Q": "0.00050000", "B": "0",
    }
    spot.pass_time(119_000)
    closed = [event["k"] for event in client.hear()]
    assert [(each["t"], each["n"], each["x"], each["f"] == -1) for each in closed] == [(start, 1, True, False), (start + 60_000, 0, True, True)]


def test_tickers_are_told_each_second_if_they_have_changed(spot: Spot) -> None:
    client, every = spot.client("/ws/btcusd@ticker/btcusd@miniTicker"), spot.client("/ws/!ticker@arr/!miniTicker@arr/!bookTicker")
    spot.trade(100, 5)
    spot.pass_time(1000)
    told = {event["e"]: event for event in client.hear()}
    assert told.keys() == {"24hrTicker", "24hrMiniTicker"}
    assert (told["24hrTicker"]["c"], told["24hrTicker"]["n"], told["24hrMiniTicker"]["v"]) == ("1.00000000", 1, "0.00050000")
    arrays = [event for event in every.hear() if isinstance(event, list)]
    assert [[each["s"] for each in array] for array in arrays] == [["BTCUSD"], ["BTCUSD"]]
    client.hear()
    spot.pass_time(3000)
    assert client.hear() == every.hear() == []


class Reader:
    """A book that follows a stream by the venue's own rules, and asks for the book again when events are missing."""

    def __init__(self, client: Client, limit: int = 5000) -> None:
        self.client = client
        self.limit = limit
        self.resets = 0
        self.reset()

    def reset(self) -> None:
        told = self.client.spot.get("depth", f"symbol=BTCUSD&limit={self.limit}", address=str(self.resets))
        self.at = told["lastUpdateId"]
        self.sides: dict[str, dict[str, str]] = {"b": dict(told["bids"]), "a": dict(told["asks"])}
        self.resets += 1

    def hear(self) -> int:
        """Follow. Returns how many events were applied."""
        applied = 0
        for event in self.client.hear():
            if event["u"] <= self.at:
                continue
            if not event["U"] <= self.at + 1:
                self.reset()
                continue
            for side in ("b", "a"):
                for price, size in event[side]:
                    self.sides[side][price] = size
                    if not float(size):
                        del self.sides[side][price]
            self.at = event["u"]
            applied += 1
        return applied


class Past:
    """The engine's book at each of its sequences, as it was then."""

    def __init__(self, spot: Spot) -> None:
        self._spot = spot
        self._books: dict[int, dict[str, dict[str, str]]] = {}
        self.note()

    def note(self) -> None:
        symbol, levels = self._spot.dialect.data.symbols.named["BTCUSD"], self._spot.market.exchange.books[0].levels
        bids, asks = levels.depth()
        self._books[max(1, levels.seq)] = {"b": dict(symbol.levels(bids)), "a": dict(symbol.levels(asks))}

    def same(self, reader: Reader) -> bool:
        return self._books[reader.at] == reader.sides


def turn(spot: Spot, chance: random.Random) -> None:
    """Something that changes the book, or a lot at once."""
    action = chance.random()
    if action < 0.05:
        spot.alice.ask(CancelAll)
    elif action < 0.15:
        for price in range(200, 200 + chance.randrange(120)):    # more than the tombstones that are kept
            spot.alice.ask(Place, "BTC-USD", "sell", price, chance.randrange(1, 9))
        spot.alice.ask(CancelAll, "BTC-USD", "sell")
    else:
        side = chance.choice(("buy", "sell"))
        spot.alice.ask(Place, "BTC-USD", side, 100 + chance.randrange(-9, 10), chance.randrange(1, 9), self_trade="cancel_oldest")


@given(some.integers(0, 1 << 32))
def test_a_book_that_follows_is_the_engines_at_each_of_its_sequences_however_slow_its_reader_is(seed: int) -> None:
    chance = random.Random(seed)
    spot = Spot(dialect_weight_per_minute=1 << 40)
    past = Past(spot)
    readers = [Reader(spot.client(f"/ws/{name}")) for name in (DEPTH_FAST, DEPTH_FAST, DEPTH, DEPTH)]
    for _ in range(chance.randrange(20, 60)):
        for _ in range(chance.randrange(4)):
            turn(spot, chance)
            past.note()
        spot.tick()
        spot.pass_time(chance.choice((0, 10, 100, 700)))
        for reader in readers[1::2]:
            reader.client.line.full = chance.random() < 0.7
        for reader in readers:
            if not reader.client.line.full or chance.random() < 0.3:
                reader.hear()
            assert past.same(reader)
    for reader in readers:
        reader.client.line.full = False
    spot.pass_time(2200)
    for reader in readers:
        reader.hear()
        assert past.same(reader)
        assert reader.at == max(1, spot.market.exchange.books[0].levels.seq)
    assert readers[0].resets == readers[2].resets == 1    # who reads is never told to begin anew


def test_who_asks_for_a_book_while_it_is_followed_has_it_as_it_was_last_told(spot: Spot) -> None:
    fast = spot.client(f"/ws/{DEPTH_FAST}")
    spot.place("buy", 100, 1)
    spot.pass_time(100)
    [event] = fast.hear()
    spot.place("buy", 99, 1)
    assert spot.get("depth", "symbol=BTCUSD")["lastUpdateId"] == event["u"]
    spot.pass_time(100)
    [after] = fast.hear()
    assert after["U"] == event["u"] + 1
    assert spot.get("depth", "symbol=BTCUSD")["lastUpdateId"] == after["u"]


def test_the_slow_books_are_the_fast_ones_as_they_were_just_told(spot: Spot) -> None:
    """Clients that want the next event to begin just behind the book that they have asked for come together with it at once."""
    fast, slow = spot.client(f"/ws/{DEPTH_FAST}"), spot.client(f"/ws/{DEPTH}")
    ends: list[int] = []
    for number in range(200):
        spot.place("buy", 100 + number % 7, 1)
        spot.pass_time(37)
        ends += [event["u"] for event in fast.hear()]
        assert {event["u"] for event in slow.hear()} <= set(ends)


def test_a_slow_reader_gets_one_merged_event(spot: Spot) -> None:
    client = spot.client(f"/ws/{DEPTH_FAST}")
    spot.place("buy", 100, 1)
    spot.pass_time(100)
    [event] = client.hear()
    client.line.full = True
    for size in range(1, 50):
        spot.place("sell", 200, size)
        spot.pass_time(100)
    [event] = client.hear()    # which filled it
    client.line.full = False
    spot.pass_time(100)
    [merged] = client.hear()
    assert (merged["U"], merged["u"]) == (event["u"] + 1, spot.market.exchange.books[0].levels.seq)
    assert merged["a"] == [["2.00000000", "0.12250000"]]    # of all the sizes that it had, the last one


def test_a_slow_reader_gets_every_trade_that_is_kept_and_is_closed_if_some_are_forgotten(spot: Spot) -> None:
    client = spot.client("/ws/btcusd@trade")
    client.line.full = True
    spot.trade(100, 1)
    for price in range(101, 111):
        spot.trade(price, 1)
    client.hear()
    client.line.full = False
    spot.pass_time(30)
    assert [event["p"] for event in client.hear()][-1] == "1.10000000"
    client.line.full = True
    for _ in range(70):    # the market keeps 60
        spot.trade(100, 1)
    client.hear()
    client.line.full = False
    spot.pass_time(30)
    assert client.line.closed == (POLICY, "Too slow: events were missed")


def test_who_does_not_read_at_all_is_closed(spot: Spot) -> None:
    client = spot.client(f"/ws/{DEPTH_FAST}")
    client.line.full = True
    for _ in range(3):
        spot.place("buy", 100, 1)
        spot.pass_time(100)
    spot.pass_time(spot.market.config.stall_timeout_s * 1000 + 1000)
    assert client.line.closed == (POLICY, "Too slow: nothing was read")


def test_the_server_pings_and_closes_who_does_not_answer(spot: Spot) -> None:
    quiet, alive = spot.client("/ws/btcusd@trade"), spot.client("/ws/btcusd@trade")
    for second in range(62):
        if second % 20 == 1:
            alive.connection.control(PONG, b"", spot.market.now)
        spot.market.now += SECOND
        spot.dialect.keep_house(spot.market.now)
    assert quiet.line.data.count(b"\x89") == 3
    assert quiet.line.closed == (POLICY, "Pong timeout")
    assert alive.line.closed is None


def test_too_many_messages_close_the_connection() -> None:
    spot = Spot(messages_per_s=5, messages_burst=5)
    client = spot.client()
    for _ in range(6):
        client.send({"method": "LIST_SUBSCRIPTIONS", "id": 1})
    assert client.line.closed == (POLICY, "Too many requests")
    assert len(client.hear()) == 5


def test_another_history_ends_every_connection(spot: Spot) -> None:
    client = spot.client(f"/ws/{DEPTH_FAST}")
    for price in range(90, 99):
        spot.place("buy", price, 1)
    spot.pass_time(100)
    other = Spot()
    spot.market.feed = other.market.feed
    spot.tick()
    assert client.line.closed


@given(some.recursive(some.none() | some.booleans() | some.integers() | some.text(max_size=4) | some.sampled_from(["SUBSCRIBE", "combined", DEPTH]),
                      lambda each: some.lists(each, max_size=3) | some.dictionaries(some.sampled_from(["method", "params", "id", "x"]), each, max_size=4)))
def test_nothing_that_a_client_says_breaks_its_connection(message: Any) -> None:
    spot = Spot()
    client = spot.client()
    client.send(msgspec.json.encode(message))
    assert len(client.hear()) == 1
    assert client.ask("LIST_SUBSCRIPTIONS") is not None
