"""Lists of two orders of which one cancels the other: what is placed is a linked pair of the engine's, and what is told is what happened to both."""

from typing import Any

import msgspec
import pytest

from stream.wire.messages import Place
from tests.dialects.spot import MILLISECOND
from tests.dialects.traders import Hand, Trading, UserClient
from tests.worlds import QuietMarket

PAIR = {
    "symbol": "BTCUSD", "side": "SELL", "quantity": "0.5", "listClientOrderId": "pair", "aboveType": "LIMIT_MAKER", "aboveClientOrderId": "profit",
    "abovePrice": "110", "belowType": "STOP_LOSS_LIMIT", "belowClientOrderId": "loss", "belowStopPrice": "90", "belowPrice": "89", "belowTimeInForce": "GTC",
}
"""As the venue has it now."""

OLDER = {
    "symbol": "BTCUSD", "side": "SELL", "quantity": "0.5", "listClientOrderId": "pair", "price": "110", "limitClientOrderId": "profit", "stopPrice": "90",
    "stopLimitPrice": "89", "stopLimitTimeInForce": "GTC", "stopClientOrderId": "loss",
}
"""As the venue had it before."""

STOPS = {"aboveType": "TAKE_PROFIT", "abovePrice": None, "aboveStopPrice": "110", "belowType": "STOP_LOSS", "belowPrice": None, "belowTimeInForce": None}


@pytest.fixture
def spot() -> Trading:
    spot = Trading()
    spot.trade(10_000, 10)
    return spot


def place(hand: Hand, path: str = "orderList/oco", of: dict[str, Any] = PAIR, **changes: Any) -> Any:
    """Place a list."""
    return hand.get("POST", path, **{name: value for name, value in (of | changes).items() if value is not None})


def followed(hand: Hand) -> UserClient:
    """A user data stream that has begun."""
    stream = hand.stream()
    stream.result("userDataStream.subscribe.signature")
    return stream


def pairs(spot: Trading, subject: str) -> list[tuple[int, int]]:
    """The engine's linked orders."""
    return [(each.order, each.linked) for each in spot.market.exchange.orders(spot.market.account_of(subject))]


@pytest.mark.parametrize(("path", "said"), [("orderList/oco", PAIR), ("order/oco", OLDER)])
def test_a_list_is_a_pair_of_the_engines_and_is_told(path: str, said: dict[str, str], spot: Trading, alice: Hand) -> None:
    stream = followed(alice)
    told = place(alice, path, said)
    now, [loss, profit] = spot.market.now // MILLISECOND, told["orderReports"]
    names = [{"symbol": "BTCUSD", "orderId": each["orderId"], "clientOrderId": each["clientOrderId"]} for each in (loss, profit)]
    listed = {
        "orderListId": loss["orderId"], "contingencyType": "OCO", "listStatusType": "EXEC_STARTED", "listOrderStatus": "EXECUTING",
        "listClientOrderId": "pair", "transactionTime": now, "symbol": "BTCUSD", "orders": names,
    }
    assert told == listed | {"orderReports": [loss, profit]}
    assert [(each["clientOrderId"], each["type"], each["price"], each.get("stopPrice"), each["status"], each["workingTime"]) for each in (loss, profit)] == [
        ("loss", "STOP_LOSS_LIMIT", "89.00000000", "90.00000000", "NEW", -1), ("profit", "LIMIT_MAKER", "110.00000000", None, "NEW", now),
    ]
    assert pairs(spot, "alice") == [(loss["orderId"], profit["orderId"]), (profit["orderId"], loss["orderId"])]
    assert {each["orderListId"] for each in (loss, profit, *alice.get("GET", "openOrders"))} == {told["orderListId"]}
    assert alice.free("BTC")[1] == "0.50000000"    # the larger of the two holds
    events = [each for each in stream.told() if each["e"] != "outboundAccountPosition"]
    assert [(each["e"], each["g"], each.get("c")) for each in events] == [
        ("executionReport", told["orderListId"], "loss"), ("executionReport", told["orderListId"], "profit"), ("listStatus", told["orderListId"], "OCO"),
    ]
    assert events[-1] == {
        "e": "listStatus", "E": now, "s": "BTCUSD", "g": told["orderListId"], "c": "OCO", "l": "EXEC_STARTED", "L": "EXECUTING", "r": "NONE", "C": "pair",
        "T": now, "O": [{"s": "BTCUSD", "i": each["orderId"], "c": each["clientOrderId"]} for each in names],
    }
    assert alice.get("GET", "openOrderList") == [listed]
    assert alice.get("GET", "orderList", orderListId=told["orderListId"]) == alice.get("GET", "orderList", origClientOrderId="pair") == listed


def test_a_fill_of_one_ends_the_other(spot: Trading, alice: Hand, bob: Hand) -> None:
    number = place(alice)["orderListId"]
    stream = followed(alice)
    bob.order("BUY", quantity="0.2", price="110")
    told = [each for each in stream.told() if each["e"] == "executionReport"]
    assert [(each["c"], each["x"], each["X"]) for each in told] == [("loss", "EXPIRED", "EXPIRED"), ("profit", "TRADE", "PARTIALLY_FILLED")]
    assert alice.get("GET", "orderList", orderListId=number)["listOrderStatus"] == "EXECUTING"
    bob.order("BUY", quantity="0.3", price="110")
    told = [each for each in stream.told() if each["e"] in ("executionReport", "listStatus")]
    assert [(each["g"], each["X"] if each["e"] == "executionReport" else each["L"]) for each in told] == [(number, "FILLED"), (number, "ALL_DONE")]
    assert alice.get("GET", "openOrderList") == []
    assert alice.get("GET", "orderList", orderListId=number)["listStatusType"] == "ALL_DONE"


@pytest.mark.parametrize(("price", "side", "worked", "other"), [(9000, "sell", "loss", "profit"), (11_000, "buy", "profit", "loss")])
def test_two_stops_make_a_list(price: int, side: str, worked: str, other: str, spot: Trading, alice: Hand) -> None:
    number = place(alice, **STOPS)["orderListId"]
    stream = followed(alice)
    spot.bob.ask(Place, "BTC-USD", "buy", 8900, 10_000)
    spot.trade(price, 10, side)
    told = [each for each in stream.told() if each.get("g") == number]
    assert [(each["e"], each["c"], each.get("x"), each["g"]) for each in told] == [
        ("executionReport", worked, "NEW", number), ("executionReport", other, "EXPIRED", number), ("executionReport", worked, "TRADE", number),
        ("listStatus", "OCO", None, number),
    ]
    assert told[-1]["L"] == "ALL_DONE"


def test_a_buy_is_the_other_way_round(spot: Trading, alice: Hand) -> None:
    told = place(
        alice, side="BUY", aboveType="STOP_LOSS", abovePrice=None, aboveStopPrice="110", belowType="TAKE_PROFIT_LIMIT", belowStopPrice="90", belowPrice="91",
    )
    assert [(each["clientOrderId"], each["type"]) for each in told["orderReports"]] == [("profit", "STOP_LOSS"), ("loss", "TAKE_PROFIT_LIMIT")]


@pytest.mark.parametrize(("method", "path", "named"), [
    ("DELETE", "orderList", {"orderListId": "number"}), ("DELETE", "orderList", {"listClientOrderId": "pair"}),
    ("DELETE", "order", {"origClientOrderId": "loss"}), ("DELETE", "order", {"origClientOrderId": "profit"}),
])
def test_who_cancels_one_order_cancels_its_list(method: str, path: str, named: dict[str, str], spot: Trading, alice: Hand) -> None:
    number = place(alice)["orderListId"]
    named = {name: str(number) if value == "number" else value for name, value in named.items()}
    stream = followed(alice)
    gone = alice.get(method, path, symbol="BTCUSD", newClientOrderId="the-cancel", **named)
    assert (gone["orderListId"], gone["listOrderStatus"], gone["listClientOrderId"]) == (number, "ALL_DONE", "pair")
    assert {(each["origClientOrderId"], each["clientOrderId"]) for each in gone["orderReports"]} == {("loss", "the-cancel"), ("profit", "the-cancel")}
    assert sorted(each["status"] for each in gone["orderReports"]) == ["CANCELED", "EXPIRED"]
    assert [each["e"] for each in stream.told()] == ["executionReport", "executionReport", "listStatus", "outboundAccountPosition"]
    assert pairs(spot, "alice") == []
    assert alice.free("BTC")[1] == "0.00000000"
    for again in (named, {"orderListId": "9"}):
        assert alice.refused("DELETE", path, symbol="BTCUSD", **again)[1] in (-2011, -1102)


def test_all_open_orders_are_cancelled_by_their_lists(spot: Trading, alice: Hand) -> None:
    number = place(alice)["orderListId"]
    alice.order("BUY", quantity="0.1", price="50", newClientOrderId="alone")
    gone = alice.get("DELETE", "openOrders", symbol="BTCUSD")
    assert [(each.get("listClientOrderId"), each.get("clientOrderId")) for each in gone] == [("pair", None), (None, "alone")]
    assert [(each["clientOrderId"], each["orderListId"]) for each in gone[0]["orderReports"]] == [("loss", number), ("profit", number)]


RELATION = "The relationship of the prices for the orders is not correct."
REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"aboveType": "LIMIT"}, -1158, "Order type not supported in OCO."),
    ({"belowType": "MARKET"}, -1158, "Order type not supported in OCO."),
    ({"belowType": "LIMITED"}, -1116, "Invalid orderType."),
    ({"aboveType": None}, -1102, "Mandatory parameter 'aboveType' was not sent, was empty/null, or malformed."),
    ({"belowType": "LIMIT_MAKER"}, -1168, "At least one OCO order must be contingent."),
    ({"aboveType": "STOP_LOSS", "belowType": "LIMIT_MAKER"}, -1166, "A limit order in a sell OCO must be above."),
    ({"side": "BUY"}, -1165, "A limit order in a buy OCO must be below."),
    ({"side": "HOLD"}, -1117, "Invalid side."),
    ({"aboveType": "STOP_LOSS"}, -2010, RELATION),
    ({"aboveType": "TAKE_PROFIT", "belowType": "TAKE_PROFIT"}, -2010, RELATION),
    ({"abovePrice": "100"}, -2010, RELATION),    # which is the last trade's
    ({"belowStopPrice": "100"}, -2010, RELATION),
    ({"abovePrice": "89.99"}, -2010, RELATION),
    ({"belowTimeInForce": None}, -1102, "Mandatory parameter 'belowTimeInForce' was not sent, was empty/null, or malformed."),
    ({"aboveTimeInForce": "GTC"}, -1106, "Parameter 'aboveTimeInForce' sent when not required."),
    ({"belowIcebergQty": "0.1"}, -1106, "Parameter 'belowIcebergQty' sent when not required."),
    ({"abovePrice": "110.001"}, -1013, "Filter failure: PRICE_FILTER"),
    ({"quantity": None}, -1102, "Mandatory parameter 'quantity' was not sent, was empty/null, or malformed."),
    ({"quantity": "100000"}, -2010, "Account has insufficient balance for requested action."),
    ({"aboveTrailingDelta": "10"}, -1104, None),    # type: ignore[list-item]
    ({"aboveClientOrderId": "loss"}, -2010, "Duplicate order sent."),
]


@pytest.mark.parametrize(("changes", "code", "text"), REFUSED)
def test_lists_that_are_refused_leave_nothing(changes: dict[str, Any], code: int, text: str | None, spot: Trading, alice: Hand) -> None:
    named = {name: value for name, value in (PAIR | changes).items() if value is not None}
    status, number, words = alice.refused("POST", "orderList/oco", **named)
    assert (status, number) == (400, code)
    assert text in (None, words)
    assert pairs(spot, "alice") == []
    assert alice.get("GET", "openOrderList") == []


def test_if_the_second_order_is_refused_the_first_is_gone(spot: Trading, alice: Hand, bob: Hand) -> None:
    bob.order("BUY", quantity="1", price="112")
    stream = followed(alice)
    assert alice.refused("POST", "orderList/oco", **PAIR) == (400, -2010, "Order would immediately match and take.")
    assert [(each["c"], each["x"]) for each in stream.told() if each["e"] == "executionReport"] == [("loss", "NEW"), ("loss", "CANCELED")]
    assert pairs(spot, "alice") == []


def test_an_open_list_keeps_its_name(spot: Trading, alice: Hand, bob: Hand) -> None:
    place(alice)
    own = {"aboveClientOrderId": "a", "belowClientOrderId": "b"}
    assert alice.refused("POST", "orderList/oco", **PAIR | own) == (400, -2010, "Duplicate order sent.")
    place(bob)
    alice.get("DELETE", "orderList", symbol="BTCUSD", listClientOrderId="pair")
    second = place(alice, **own)["orderListId"]
    assert alice.get("GET", "orderList", origClientOrderId="pair")["orderListId"] == second


def test_lists_are_found_again(spot: Trading, alice: Hand) -> None:
    told = []
    for number in range(5):
        spot.market.now += 1000 * MILLISECOND
        own = {"listClientOrderId": f"l{number}", "aboveClientOrderId": f"a{number}", "belowClientOrderId": f"b{number}"}
        told.append(place(alice, **own))
        alice.order("BUY", quantity="0.1", price="50")
        if number < 3:
            alice.get("DELETE", "orderList", symbol="BTCUSD", listClientOrderId=f"l{number}")
    spot.alice.ask(Place, "BTC-USD", "sell", 9000, 100, type="stop")    # a pair that is no list
    spot.alice.ask(Place, "BTC-USD", "sell", 12_000, 100)
    listed = [alice.get("GET", "orderList", orderListId=each["orderListId"]) for each in told]
    orders = alice.get("GET", "allOrders", symbol="BTCUSD")
    open_orders = alice.get("GET", "openOrders")
    for _ in range(2):
        assert alice.get("GET", "allOrderList") == listed
        assert alice.get("GET", "allOrderList", limit=2) == listed[-2:]
        assert alice.get("GET", "allOrderList", fromId=listed[2]["orderListId"], limit=2) == listed[2:4]
        assert alice.get("GET", "allOrderList", startTime=listed[1]["transactionTime"], endTime=listed[3]["transactionTime"]) == listed[1:4]
        assert alice.get("GET", "openOrderList") == listed[3:]
        assert [alice.get("GET", "orderList", orderListId=each["orderListId"]) for each in told] == listed
        assert [each["listStatusType"] for each in listed] == ["ALL_DONE"] * 3 + ["EXEC_STARTED"] * 2
        assert [each["orderListId"] for each in alice.get("GET", "allOrders", symbol="BTCUSD")] == [each["orderListId"] for each in orders]
        assert [each["orderListId"] for each in alice.get("GET", "openOrders")] == [each["orderListId"] for each in open_orders]
        assert alice.get("GET", "orderList", origClientOrderId="l4") == listed[4]
        spot.dialect.leave(spot.market.now)    # whoever looks now has seen nothing of it
    assert alice.refused("GET", "orderList", origClientOrderId="l0") == (400, -2013, "Order list does not exist.")
    for number in (0, 5, (1 << 63) - 1):
        assert alice.refused("GET", "orderList", orderListId=number)[1] == -2013
    assert spot.trader("carol").get("GET", "allOrderList") == []
    assert alice.refused("GET", "allOrderList", fromId=1, startTime=1)[1] == -1128
    assert alice.refused("GET", "orderList")[1] == -1102


def test_the_same_over_a_websocket(spot: Trading, alice: Hand) -> None:
    stream = alice.stream()
    placed = stream.result("orderList.place.oco", **PAIR)
    number = placed["orderListId"]
    assert stream.result("openOrderLists.status") == [stream.result("orderList.status", origClientOrderId="pair")]
    assert stream.result("orderList.cancel", symbol="BTCUSD", orderListId=number)["listOrderStatus"] == "ALL_DONE"
    older = stream.result("orderList.place", **OLDER | {"limitClientOrderId": "a", "stopClientOrderId": "b"})
    assert [each["orderListId"] for each in stream.result("allOrderLists")] == [number, older["orderListId"]]


def test_a_list_counts_as_two_orders(alice: Hand) -> None:
    answer = alice.ask("POST", "orderList/oco", **PAIR)
    assert answer.headers["X-MBX-ORDER-COUNT-10S"] == "2"
    assert [each["count"] for each in alice.get("GET", "rateLimit/order")] == [2, 2]
    reports = msgspec.json.decode(alice.ask("POST", "orderList/oco", **PAIR | {
        "listClientOrderId": "x", "aboveClientOrderId": "y", "belowClientOrderId": "z", "newOrderRespType": "ACK"}).body)["orderReports"]
    assert {name for each in reports for name in each} == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}


def test_without_a_history_there_are_the_lists_that_are_open() -> None:
    spot = Trading(QuietMarket())
    alice = spot.trader("alice")
    place(alice)
    assert len(alice.get("GET", "openOrderList")) == 1
    assert alice.refused("GET", "allOrderList") == (404, -1020, "This operation is not supported.")
