"""Our table of requests for orders that are refused, out of the venue's documents: each with its status, number and words."""

from typing import Any

import pytest

from stream.settings.config import InstrumentConfig
from tests.dialects.traders import Hand, Trading
from tests.setting import CONFIG

GONE = None
"""A parameter that is left out."""

LIMIT: dict[str, Any] = {"symbol": "BTCUSD", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.5", "price": "100"}
DECIMAL = r"'^([0-9]{1,20})(\.[0-9]{1,20})?$'"
NOT_SENT = "Mandatory parameter '{}' was not sent, was empty/null, or malformed."
ILLEGAL = f"Illegal characters found in parameter '{{}}'; legal range is {DECIMAL.replace('{', '{{').replace('}', '}}')}."
UNNEEDED = "Parameter '{}' sent when not required."

NEW_ORDERS = [
    *(({name: GONE}, -1102, NOT_SENT.format(name)) for name in LIMIT),
    ({"symbol": "NOPE"}, -1121, "Invalid symbol."),
    ({"side": "HOLD"}, -1117, "Invalid side."),
    ({"type": "LIMITED"}, -1116, "Invalid orderType."),
    ({"timeInForce": "GTD"}, -1115, "Invalid timeInForce."),
    ({"quantity": "1e-2"}, -1100, ILLEGAL.format("quantity")),
    ({"quantity": "-1"}, -1100, ILLEGAL.format("quantity")),
    ({"quantity": ".5"}, -1100, ILLEGAL.format("quantity")),
    ({"quantity": "1" * 21}, -1100, ILLEGAL.format("quantity")),
    ({"price": "1E2"}, -1100, ILLEGAL.format("price")),
    ({"price": "NaN"}, -1100, ILLEGAL.format("price")),
    ({"quantity": "0"}, -1013, "Invalid quantity."),
    ({"price": "0.00"}, -1013, "Invalid price."),
    ({"quantity": "0.00001"}, -1013, "Filter failure: LOT_SIZE"),
    ({"quantity": "9" * 20}, -1013, "Filter failure: LOT_SIZE"),
    ({"price": "100.001"}, -1013, "Filter failure: PRICE_FILTER"),
    ({"price": "9" * 20}, -1013, "Filter failure: PRICE_FILTER"),
    ({"price": "9" * 12}, -1013, "Filter failure: PRICE_FILTER"),
    ({"quoteOrderQty": "5"}, -1106, UNNEEDED.format("quoteOrderQty")),
    ({"stopPrice": "5"}, -1106, UNNEEDED.format("stopPrice")),
    ({"type": "MARKET"}, -1106, UNNEEDED.format("price")),
    ({"type": "MARKET", "price": GONE}, -1106, UNNEEDED.format("timeInForce")),
    ({"type": "MARKET", "price": GONE, "timeInForce": GONE, "quoteOrderQty": "5"}, -1106, UNNEEDED.format("quoteOrderQty")),
    ({"type": "MARKET", "price": GONE, "timeInForce": GONE, "quantity": GONE}, -1102, NOT_SENT.format("quantity")),
    ({"type": "LIMIT_MAKER"}, -1106, UNNEEDED.format("timeInForce")),
    ({"type": "STOP_LOSS", "price": GONE, "timeInForce": GONE}, -1102, NOT_SENT.format("stopPrice")),
    ({"icebergQty": "0.1", "timeInForce": "IOC"}, -1106, UNNEEDED.format("icebergQty")),
    ({"icebergQty": "0.0001"}, -1013, "Filter failure: ICEBERG_PARTS"),
    ({"newOrderRespType": "ALL"}, -1130, "Data sent for parameter 'newOrderRespType' is not valid."),
    ({"selfTradePreventionMode": "MAYBE"}, -1130, "Data sent for parameter 'selfTradePreventionMode' is not valid."),
    ({"trailingDelta": "5"}, -1104, "Not all sent parameters were read; read '8' parameter(s) but was sent '9'."),
    ({"quantity": "100000"}, -2010, "Account has insufficient balance for requested action."),
    ({"timeInForce": "FOK"}, -2010, "Not enough can be filled at once: not all of a `fok` order, not `min_size`, or with `quote` not a single lot."),
]


@pytest.mark.parametrize(("changes", "code", "text"), NEW_ORDERS)
def test_new_orders_that_are_refused(changes: dict[str, Any], code: int, text: str) -> None:
    spot = Trading()
    alice = spot.trader("alice")
    named = {name: value for name, value in (LIMIT | changes).items() if value is not GONE}
    expected = 400, code, text
    assert alice.refused("POST", "order", **named) == expected
    body = {name: value for name, value in named.items() if name != "trailingDelta"}
    answer = alice.stream().call("order.place", **body)
    assert code == -1104 or (answer["status"], answer["error"]["code"], answer["error"]["msg"]) == expected
    assert spot.market.exchange.order_count == (code == -1104)


def test_what_an_instrument_limits_is_a_filter() -> None:
    terms = CONFIG.instruments[0]
    limited = InstrumentConfig(
        terms.name, terms.base, terms.quote, terms.tick, terms.lot, notional_max=10**8, orders_max=2, stops_max=1, band=100_000, size_min=10, size_max=50_000,
    )
    spot = Trading(instruments=(limited,))
    alice = spot.trader("alice")
    spot.trade(10_000, 10)

    def refused(**changes: str) -> str:
        status, code, text = alice.refused("POST", "order", **LIMIT | changes)
        assert (status, code) == (400, -1013)
        return text.removeprefix("Filter failure: ")

    assert refused(quantity="0.0009") == refused(quantity="5.1") == "LOT_SIZE"
    assert refused(quantity="2") == "NOTIONAL"
    assert refused(price="120") == "PERCENT_PRICE_BY_SIDE"
    stop = {"type": "STOP_LOSS_LIMIT", "stopPrice": "105"}
    assert alice.ask("POST", "order", **LIMIT | stop).status == 200
    assert refused(**stop) == "MAX_NUM_ALGO_ORDERS"
    assert alice.ask("POST", "order", **LIMIT).status == 200
    assert refused() == "MAX_NUM_ORDERS"


@pytest.mark.parametrize(
    ("method", "path", "parameters", "code"),
    [
        ("GET", "order", {"symbol": "BTCUSD"}, -1102), ("GET", "order", {"symbol": "BTCUSD", "orderId": 5}, -2013), ("GET", "order", {"orderId": 5}, -1102),
        ("GET", "order", {"symbol": "BTCUSD", "orderId": 10**19}, -1130), ("GET", "order", {"symbol": "BTCUSD", "orderId": "1e3"}, -1100),
        ("GET", "openOrders", {"symbol": "NOPE"}, -1121), ("GET", "allOrders", {}, -1102), ("GET", "myTrades", {"symbol": "BTCUSD", "limit": 0}, -1130),
        ("GET", "allOrders", {"symbol": "BTCUSD", "startTime": 2, "endTime": 1}, -1128), ("GET", "account", {"omitZeroBalances": "maybe"}, -1100),
        ("DELETE", "openOrders", {}, -1102), ("DELETE", "openOrders", {"symbol": "BTCUSD"}, -2011),
        ("DELETE", "order", {"symbol": "BTCUSD", "orderId": 5}, -2011),
        ("POST", "order/cancelReplace", LIMIT | {"cancelReplaceMode": "MAYBE", "cancelOrderId": 5}, -1130),
        ("POST", "order/cancelReplace", LIMIT | {"cancelReplaceMode": "STOP_ON_FAILURE"}, -1102),
        ("PUT", "order/amend/keepPriority", {"symbol": "BTCUSD", "orderId": 5, "newQty": "0"}, -1013),
        ("PUT", "order/amend/keepPriority", {"symbol": "BTCUSD", "orderId": 5}, -1102),
        ("GET", "account", {"foo": "1"}, -1104),
    ],
)
def test_other_requests_that_are_refused(method: str, path: str, parameters: dict[str, Any], code: int) -> None:
    alice: Hand = Trading().trader("alice")
    assert alice.refused(method, path, **parameters)[1] == code
