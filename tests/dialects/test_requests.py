"""What is asked over REST, what is answered, and with which words it is refused."""

from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.dialects.binance.dialect import Binance
from stream.dialects.binance.endpoints import PUBLIC
from stream.dialects.binance.errors import DUPLICATE_PARAMETER, EMPTY_PARAMETER, NOT_TEXT, ApiError
from stream.dialects.binance.request import Parameters
from stream.dialects.binance.symbols import Symbol
from stream.dialects.symbols import Symbols
from stream.settings.config import ConfigError, InstrumentConfig
from stream.wire.administration import Delist, ListInstrument, SetPhase
from stream.wire.messages import Place
from tests.dialects.spot import MILLISECOND, SECOND, Spot
from tests.setting import CONFIG
from tests.worlds import Desk, QuietMarket

SYMBOL = "symbol=BTCUSD"
NOT_SENT = "Mandatory parameter '{}' was not sent, was empty/null, or malformed."
ILLEGAL_SYMBOL = "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'."
ILLEGAL_LIMIT = "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'."


@pytest.fixture
def spot() -> Spot:
    return Spot()


REFUSALS: list[tuple[str, str, int, int, str]] = [
    ("depth", "", 400, -1102, NOT_SENT.format("symbol")),
    ("depth", "symbol=", 400, -1102, NOT_SENT.format("symbol")),
    ("depth", "symbol=NOPE", 400, -1121, "Invalid symbol."),
    ("depth", "symbol=btcusd", 400, -1100, ILLEGAL_SYMBOL),
    ("depth", "symbol=BTC%20USD", 400, -1100, ILLEGAL_SYMBOL),
    ("depth", "symbol=BTCUSD%0A", 400, -1100, ILLEGAL_SYMBOL),
    ("depth", "symbol=%FF", 400, -1100, "Illegal characters found in a parameter."),
    ("depth", f"{SYMBOL}&%C3=1", 400, -1100, "Illegal characters found in a parameter."),
    ("depth", f"{SYMBOL}&limit=x", 400, -1100, ILLEGAL_LIMIT),
    ("depth", f"{SYMBOL}&limit=-1", 400, -1100, ILLEGAL_LIMIT),
    ("depth", f"{SYMBOL}&limit=1e3", 400, -1100, ILLEGAL_LIMIT),
    ("depth", f"{SYMBOL}&limit=%D9%A3", 400, -1100, ILLEGAL_LIMIT),
    ("depth", f"{SYMBOL}&limit={'9' * 400}", 400, -1100, ILLEGAL_LIMIT),
    ("depth", f"{SYMBOL}&limit=0", 400, -1130, "Data sent for parameter 'limit' is not valid."),
    ("depth", f"{SYMBOL}&limit=", 400, -1105, "Parameter 'limit' was empty."),
    ("depth", f"{SYMBOL}&{SYMBOL}", 400, -1101, "Duplicate values for parameter 'symbol'."),
    ("depth", f"{SYMBOL}&foo=1", 400, -1104, "Not all sent parameters were read; read '1' parameter(s) but was sent '2'."),
    ("ping", "a=1", 400, -1101, "Too many parameters; expected '0' and received '1'."),
    ("ping", "&".join(f"a{i}=1" for i in range(65)), 400, -1101, "Too many parameters; expected '64' and received '65'."),
    ("klines", SYMBOL, 400, -1102, NOT_SENT.format("interval")),
    ("klines", f"{SYMBOL}&interval=7m", 400, -1120, "Invalid interval."),
    ("klines", f"{SYMBOL}&interval=1m&timeZone=5", 400, -1130, "Data sent for parameter 'timeZone' is not valid."),
    ("aggTrades", f"{SYMBOL}&startTime=2&endTime=1", 400, -1128, "Combination of optional parameters invalid."),
    ("aggTrades", f"{SYMBOL}&startTime=2&fromId=1", 400, -1128, "Combination of optional parameters invalid."),
    ("ticker/24hr", f"{SYMBOL}&symbols=%5B%22BTCUSD%22%5D", 400, -1128, "Combination of optional parameters invalid."),
    ("ticker/24hr", "symbols=%5B%22BTCUSD%22,%22NOPE%22%5D", 400, -1121, "Invalid symbol."),
    ("ticker/24hr", "symbols=%5B%22BTCUSD%22,%22BTCUSD%22%5D", 400, -1130, "Data sent for parameter 'symbols' is not valid."),
    ("ticker/24hr", f"{SYMBOL}&type=BIG", 400, -1130, "Data sent for parameter 'type' is not valid."),
    ("ticker", "", 400, -1102, "Param 'symbol' or 'symbols' must be sent, but both were empty/null."),
    ("ticker", f"{SYMBOL}&windowSize=60m", 400, -1130, "Data sent for parameter 'windowSize' is not valid."),
    ("ticker", f"{SYMBOL}&windowSize=1y", 400, -1100, "Illegal characters found in parameter 'windowSize'; legal range is '^[0-9]{1,3}[mhd]$'."),
    ("nothing", "", 404, -1020, "This operation is not supported."),
    ("/", "", 404, -1020, "This operation is not supported."),
]


@pytest.mark.parametrize(("path", "query", "status", "code", "text"), REFUSALS)
def test_what_is_refused_and_with_which_words(spot: Spot, path: str, query: str, status: int, code: int, text: str) -> None:
    assert spot.error(path, query) == (status, code, text)


@given(st.text("ab=&%+;#2C3A9\u00e9", max_size=30))
def test_parameters_are_those_of_a_form(text: str) -> None:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        pairs = None
    if pairs is None or len(dict(pairs)) < len(pairs):
        with pytest.raises(ApiError) as refused:
            Parameters(text)
        assert refused.value.kind in ((DUPLICATE_PARAMETER,) if pairs else (DUPLICATE_PARAMETER, NOT_TEXT))
        return
    found = Parameters(text)
    for name, value in pairs:
        if value:
            assert found.optional(name) == value
        else:
            with pytest.raises(ApiError) as refused:
                found.optional(name)
            assert refused.value.kind == EMPTY_PARAMETER
    found.finish()


def test_another_method_is_not_served(spot: Spot) -> None:
    assert spot.error("ping", method="POST")[:2] == (404, -1020)


def test_the_clock(spot: Spot) -> None:
    assert spot.get("ping") == {}
    assert spot.get("time") == {"serverTime": spot.market.now // MILLISECOND}
    assert spot.get("time", x_mbx_time_unit="microsecond") == {"serverTime": spot.market.now // 1000}


def test_the_terms_of_an_instrument_as_filters(spot: Spot) -> None:
    info = spot.get("exchangeInfo")
    assert [each["symbol"] for each in info["symbols"]] == ["BTCUSD", "ETHUSD"]
    [symbol] = spot.get("exchangeInfo", SYMBOL)["symbols"]
    assert symbol == info["symbols"][0]
    assert (symbol["status"], symbol["baseAsset"], symbol["quoteAsset"]) == ("TRADING", "BTC", "USD")
    assert symbol["filters"][0] == {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "maxPrice": "10995116277.76000000", "tickSize": "0.01000000"}
    named = {each["filterType"]: each for each in symbol["filters"]}
    assert named["LOT_SIZE"]["stepSize"] == named["LOT_SIZE"]["minQty"] == "0.00010000"
    assert {"NOTIONAL", "MARKET_LOT_SIZE", "MAX_NUM_ORDERS"} <= named.keys()
    assert symbol["permissionSets"] == [["SPOT"]]
    assert {"ocoAllowed", "allowTrailingStop", "permissions"} <= symbol.keys()    # a client's structs want them
    assert info["rateLimits"][0] == {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}


def test_a_limit_of_ours_is_a_filter_there() -> None:
    terms = CONFIG.instruments[0]
    limited = InstrumentConfig(terms.name, terms.base, terms.quote, terms.tick, terms.lot, notional_max=10**12, orders_max=7, band=200_000, size_min=3)
    spot = Spot(instruments=(limited,))
    named = {each["filterType"]: each for each in spot.get("exchangeInfo")["symbols"][0]["filters"]}
    assert named["NOTIONAL"]["maxNotional"] == "1000000.00000000"
    assert named["MAX_NUM_ORDERS"]["maxNumOrders"] == 7
    assert named["LOT_SIZE"]["minQty"] == "0.00030000"
    assert (named["PERCENT_PRICE_BY_SIDE"]["bidMultiplierUp"], named["PERCENT_PRICE_BY_SIDE"]["askMultiplierDown"]) == ("1.200000", "0.800000")


def test_a_halt_is_told(spot: Spot) -> None:
    Desk(spot.market).sign_in("root", "admin").ask(SetPhase, "BTC-USD", "halt")
    assert [each["status"] for each in spot.get("exchangeInfo")["symbols"]] == ["HALT", "TRADING"]
    assert [each["symbol"] for each in spot.get("exchangeInfo", "symbolStatus=HALT")["symbols"]] == ["BTCUSD"]
    root = Desk(spot.market).sign_in("root", "admin")
    root.ask(ListInstrument, "BTC-ETH", "BTC", "ETH", "0.01", "0.0001")
    root.ask(Delist, "ETH-USD")
    statuses = [(each["symbol"], each["status"]) for each in spot.get("exchangeInfo")["symbols"]]
    assert statuses == [("BTCUSD", "HALT"), ("ETHUSD", "BREAK"), ("BTCETH", "TRADING")]
    assert spot.get("depth", "symbol=BTCETH")["bids"] == []


def test_a_book(spot: Spot) -> None:
    spot.place("buy", 100, 5)
    spot.place("buy", 99, 7)
    spot.place("sell", 103, 2)
    seq = spot.market.exchange.books[0].levels.seq
    bids, asks = [["1.00000000", "0.00050000"], ["0.99000000", "0.00070000"]], [["1.03000000", "0.00020000"]]
    assert spot.get("depth", SYMBOL) == {"lastUpdateId": seq, "bids": bids, "asks": asks}
    assert spot.get("depth", f"{SYMBOL}&limit=1") == {"lastUpdateId": seq, "bids": bids[:1], "asks": asks}
    assert spot.get("depth", f"{SYMBOL}&limit=99999999")["bids"] == bids
    assert spot.get("ticker/bookTicker", SYMBOL) == {
        "symbol": "BTCUSD", "bidPrice": "1.00000000", "bidQty": "0.00050000", "askPrice": "1.03000000", "askQty": "0.00020000",
    }


def test_trades_by_their_ids_and_times(spot: Spot) -> None:
    for price in (100, 101, 102):
        spot.trade(price, 5, "buy")
        spot.pass_time(1000)
    told = spot.get("trades", SYMBOL)
    ids = [each["id"] for each in told]
    assert ids == sorted(set(ids))
    assert told[0] == {
        "id": ids[0], "price": "1.00000000", "qty": "0.00050000", "quoteQty": "0.00050000", "time": (spot.market.now - 3 * SECOND) // MILLISECOND,
        "isBuyerMaker": False, "isBestMatch": True,
    }
    assert spot.get("trades", f"{SYMBOL}&limit=2") == told[1:]
    assert spot.get("historicalTrades", f"{SYMBOL}&limit=1") == told[2:]
    assert spot.get("historicalTrades", f"{SYMBOL}&fromId={ids[1]}") == told[1:]
    assert spot.get("historicalTrades", f"{SYMBOL}&fromId={ids[0] + 1}&limit=1") == told[1:2]
    assert [each["a"] for each in spot.get("aggTrades", SYMBOL)] == ids
    assert [each["a"] for each in spot.get("aggTrades", f"{SYMBOL}&fromId={ids[1]}")] == ids[1:]
    assert [each["a"] for each in spot.get("aggTrades", f"{SYMBOL}&startTime={told[1]['time']}")] == ids[1:]
    assert [each["a"] for each in spot.get("aggTrades", f"{SYMBOL}&endTime={told[1]['time']}&limit=1")] == ids[1:2]


def test_a_taker_that_meets_several_makers_at_one_price_is_one_aggregate(spot: Spot) -> None:
    for price, size in ((100, 1), (100, 2), (101, 4)):
        spot.place("sell", price, size)
    spot.bob.ask(Place, "BTC-USD", "buy", 101, 7)
    ids = [each["id"] for each in spot.get("trades", SYMBOL)]
    told = spot.get("aggTrades", SYMBOL)
    assert [(each["a"], each["f"], each["l"], each["p"], each["q"], each["m"]) for each in told] == [
        (ids[0], ids[0], ids[1], "1.00000000", "0.00030000", False), (ids[2], ids[2], ids[2], "1.01000000", "0.00040000", False),
    ]


def test_candles(spot: Spot) -> None:
    start = spot.market.now // (60 * SECOND) * 60 * SECOND
    spot.trade(100, 5, "buy")
    spot.trade(103, 5, "sell")
    spot.pass_time(120_000)
    first, quiet, now = spot.get("klines", f"{SYMBOL}&interval=1m")
    assert first == [
        start // MILLISECOND, "1.00000000", "1.03000000", "1.00000000", "1.03000000", "0.00100000", start // MILLISECOND + 59_999, "0.00101500", 2,
        "0.00050000", "0.00050000", "0",
    ]
    assert quiet[1:6] == ["1.03000000"] * 4 + ["0.00000000"]
    assert now[0] == quiet[0] + 60_000
    assert spot.get("klines", f"{SYMBOL}&interval=1m&limit=1") == [now]
    assert spot.get("uiKlines", f"{SYMBOL}&interval=1m&startTime={quiet[0]}&limit=1") == [quiet]
    assert spot.get("klines", f"{SYMBOL}&interval=1m&endTime={quiet[0]}") == [first, quiet]
    assert spot.get("klines", f"{SYMBOL}&interval=1m&startTime={now[0] + 600_000}") == []    # the future has no candles
    assert spot.get("klines", f"{SYMBOL}&interval=1m&endTime={now[0] + 600_000}&limit=1") == [now]
    assert spot.get("klines", f"{SYMBOL}&interval=1M")[0][7] == "0.00101500"
    assert spot.get("klines", f"{SYMBOL}&interval=1m&limit=1", x_mbx_time_unit="MICROSECOND")[0][6] == (start + 180 * SECOND) // 1000 - 1


def test_statistics(spot: Spot) -> None:
    spot.trade(100, 4)
    spot.pass_time(3_600_000)
    spot.trade(110, 4, "sell")
    spot.place("buy", 90, 1)
    day = spot.get("ticker/24hr", SYMBOL)
    ids = [each["id"] for each in spot.get("trades", SYMBOL)]
    assert {name: day[name] for name in ("priceChange", "priceChangePercent", "weightedAvgPrice", "lastPrice", "lastQty", "openPrice", "volume", "count")} == {
        "priceChange": "0.10000000", "priceChangePercent": "10.000", "weightedAvgPrice": "1.05000000", "lastPrice": "1.10000000", "lastQty": "0.00040000",
        "openPrice": "1.00000000", "volume": "0.00080000", "count": 2,
    }
    assert (day["firstId"], day["lastId"], day["bidPrice"], day["askPrice"]) == (*ids, "0.90000000", "0.00000000")
    hour = spot.get("ticker", f"{SYMBOL}&windowSize=30m")
    assert (hour["openPrice"], hour["count"], hour["firstId"]) == ("1.10000000", 1, ids[1])
    assert spot.get("ticker", SYMBOL)["count"] == 2
    assert spot.get("ticker/24hr", f"{SYMBOL}&type=MINI").keys() == {
        "symbol", "openPrice", "highPrice", "lowPrice", "lastPrice", "volume", "quoteVolume", "openTime", "closeTime", "firstId", "lastId", "count",
    }
    spot.pass_time(24 * 3_600_000)
    after = spot.get("ticker/24hr", SYMBOL)
    assert (after["count"], after["firstId"], after["lastPrice"], after["openPrice"]) == (0, -1, "1.10000000", "1.10000000")
    assert [each["price"] for each in spot.get("ticker/price")] == ["1.10000000", "0.00000000"]
    assert spot.get("avgPrice", SYMBOL)["price"] == "1.10000000"


def test_several_symbols_are_a_list_and_one_is_not(spot: Spot) -> None:
    assert spot.get("ticker/price", SYMBOL)["symbol"] == "BTCUSD"
    assert [each["symbol"] for each in spot.get("ticker/price", "symbols=%5B%22ETHUSD%22,%22BTCUSD%22%5D")] == ["ETHUSD", "BTCUSD"]
    assert len(spot.get("ticker/24hr")) == len(spot.get("ticker/bookTicker")) == 2


def test_every_public_request_answers_before_the_first_order(spot: Spot) -> None:
    queries = {"klines": f"{SYMBOL}&interval=1d", "uiKlines": f"{SYMBOL}&interval=1d", "ping": "", "time": "", "exchangeInfo": ""}
    for method, path in PUBLIC:
        query = queries.get(path.rpartition("/")[2], SYMBOL if path.startswith("/api") else "")
        assert spot.answer(path, query, method).status == 200, path


def test_the_weight_of_an_address_is_counted_and_ends(spot: Spot) -> None:
    spot = Spot(dialect_weight_per_minute=100)
    assert spot.answer("/api/v3/depth", SYMBOL).headers["X-MBX-USED-WEIGHT-1M"] == "5"
    assert spot.answer("/api/v3/depth", f"{SYMBOL}&limit=500").headers["X-MBX-USED-WEIGHT-1M"] == "30"
    assert spot.answer("/api/v3/depth", f"{SYMBOL}&limit=1000").headers["X-MBX-USED-WEIGHT-1M"] == "80"
    assert spot.answer("/api/v3/exchangeInfo", "").headers["X-MBX-USED-WEIGHT"] == "100"
    answer = spot.answer("/api/v3/ping", "")
    left_s = 60 - spot.market.now // SECOND % 60
    assert (answer.status, answer.headers["Retry-After"]) == (429, str(left_s))
    assert spot.error("ping")[1:] == (-1003, (
        "Too much request weight used; current limit is 100 request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API."
    ))
    assert spot.answer("/api/v3/ping", "", address="10.0.0.2").status == 200
    spot.market.now += (left_s - 1) * SECOND
    assert spot.answer("/api/v3/ping", "").headers["Retry-After"] == "1"
    spot.market.now += SECOND
    assert spot.answer("/api/v3/ping", "").headers["X-MBX-USED-WEIGHT-1M"] == "1"


@pytest.mark.parametrize(
    ("path", "query", "weight"),
    [
        ("depth", f"{SYMBOL}&limit=100", 5), ("depth", f"{SYMBOL}&limit=101", 25), ("depth", f"{SYMBOL}&limit=501", 50),
        ("depth", f"{SYMBOL}&limit=1001", 250),
        ("depth", f"{SYMBOL}&limit=x", 5), ("ticker/24hr", "", 80), ("ticker/24hr", SYMBOL, 2),
        ("ticker/24hr", "symbols=%5B%22BTCUSD%22%5D", 2),
        ("ticker/price", "", 4), ("ticker/price", SYMBOL, 2), ("ticker", "symbols=%5B%22BTCUSD%22,%22ETHUSD%22%5D", 8), ("ticker", SYMBOL, 4),
    ],
)
def test_weights(spot: Spot, path: str, query: str, weight: int) -> None:
    assert spot.answer(f"/api/v3/{path}", query).headers["X-MBX-USED-WEIGHT-1M"] == str(weight)


def renamed(*names: str) -> dict[str, Any]:
    terms = CONFIG.instruments[0]
    return {"instruments": tuple(InstrumentConfig(name, terms.base, terms.quote, terms.tick, terms.lot) for name in names)}


def test_symbols_that_would_be_ambiguous_are_told_at_the_start() -> None:
    with pytest.raises(ConfigError, match=r"'BTC-USD' and 'BTC/USD' would both be BTCUSD"):
        Spot(**renamed("BTC-USD", "BTC/USD"))
    with pytest.raises(ConfigError, match="expected 1 to 20 letters and digits"):
        Spot(**renamed("A" * 21))
    with pytest.raises(ConfigError, match="expected 1 to 20 letters and digits"):
        Spot(**renamed("--"))
    assert [each.name for each in Symbols(QuietMarket(**renamed("btc.usd", "A" * 20)).instrument_terms(), Symbol).all] == ["BTCUSD", "A" * 20]


def test_a_market_that_wants_tokens_is_not_shown_to_everybody() -> None:
    market = QuietMarket(public_needs_token=True)
    with pytest.raises(ConfigError, match="public_needs_token"):
        Binance(market, market.now)
