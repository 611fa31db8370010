"""Orders and fills of before through the spot dialect: they come from the account's history, whoever looked when they happened."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.feed.hub import Refused
from stream.wire.codes import ErrorCode
from stream.wire.messages import Place
from tests.dialects.spot import MILLISECOND
from tests.dialects.traders import Hand, Trading
from tests.worlds import QuietMarket

KINDS = {
    "LIMIT": {"timeInForce": "GTC", "price": "100", "quantity": "0.4"}, "LIMIT_MAKER": {"price": "99", "quantity": "0.3"}, "MARKET": {"quoteOrderQty": "33"},
    "STOP_LOSS_LIMIT": {"timeInForce": "GTC", "price": "101", "quantity": "0.2", "stopPrice": "101"}, "IOC": {"price": "100", "quantity": "0.7"},
}

SINCE = "updateTime", "workingTime"
"""What nobody has told to a dialect that has just begun."""


def pages(hand: Hand, path: str, id: str, **first: Any) -> list[Any]:
    """All pages of two, each from behind the last."""
    found: list[Any] = []
    named = first
    while page := hand.get("GET", path, symbol="BTCUSD", limit=2, **named):
        found += page
        named = {id: page[-1]["id" if id == "fromId" else id] + 1}
    return found


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.sampled_from(("BUY", "SELL")), st.booleans(), st.booleans()), min_size=1, max_size=8))
def test_the_history_is_what_was_told_when_it_happened(steps: list[tuple[str, str, bool, bool]]) -> None:
    spot = Trading()
    hands = [spot.trader("alice"), spot.trader("bob")]
    streams = [hand.stream() for hand in hands]
    for stream in streams:
        stream.result("userDataStream.subscribe.signature")
    reports: list[dict[int, Any]] = [{}, {}]
    fills: list[list[Any]] = [[], []]
    for number, (kind, side, who, cancels) in enumerate(steps):
        hand = hands[who]
        type = "LIMIT" if kind == "IOC" else kind
        named = {"timeInForce": "IOC"} if kind == "IOC" else {}
        hand.ask("POST", "order", symbol="BTCUSD", side=side, type=type, newClientOrderId=f"no.{number}", **KINDS[kind] | named)
        if cancels:
            hand.ask("DELETE", "openOrders", symbol="BTCUSD")
        spot.market.now += 7 * MILLISECOND
        for each, stream in enumerate(streams):
            for event in stream.told():
                if event["e"] == "executionReport":
                    reports[each][event["i"]] = event
                    fills[each] += [event] if event["x"] == "TRADE" else []
    spot.dialect.leave(spot.market.now)    # whoever looks now has seen nothing of it
    for each, hand in enumerate(hands):
        orders = hand.get("GET", "allOrders", symbol="BTCUSD")
        told = reports[each]
        assert [(order["orderId"], order["status"], order["executedQty"], order["cummulativeQuoteQty"], order["origQty"]) for order in orders] == [
            (number, told[number]["X"], told[number]["z"], told[number]["Z"], told[number]["q"]) for number in sorted(told)
        ]
        assert [(order["type"], order["side"], order["timeInForce"], order["price"], order["stopPrice"], order["origQuoteOrderQty"]) for order in orders] == [
            (report["o"], report["S"], report["f"], report["p"], report["P"], report["Q"]) for _, report in sorted(told.items())
        ]
        assert all(order["clientOrderId"].startswith("no.") for order in orders)
        is_open = [order for order in orders if order["status"] in ("NEW", "PARTIALLY_FILLED")]
        assert [order | dict.fromkeys(SINCE) for order in hand.get("GET", "openOrders", symbol="BTCUSD")] == [order | dict.fromkeys(SINCE) for order in is_open]
        trades = hand.get("GET", "myTrades", symbol="BTCUSD")
        assert [(trade["id"], trade["orderId"], trade["price"], trade["qty"], trade["quoteQty"], trade["commission"]) for trade in trades] == [
            (event["t"], event["i"], event["L"], event["l"], event["Y"], event["n"]) for event in fills[each]
        ]
        assert [(trade["isMaker"], trade["isBuyer"]) for trade in trades] == [(event["m"], event["S"] == "BUY") for event in fills[each]]
        for order in orders:
            assert hand.get("GET", "order", symbol="BTCUSD", orderId=order["orderId"]) == order
            assert hand.get("GET", "order", symbol="BTCUSD", origClientOrderId=order["clientOrderId"]) == order
        assert pages(hand, "allOrders", "orderId", orderId=1) == orders
        assert pages(hand, "myTrades", "fromId", fromId=0) == trades
        assert hand.get("GET", "allOrders", symbol="BTCUSD", limit=1) == orders[-1:]
        assert hand.get("GET", "myTrades", symbol="BTCUSD", limit=1) == trades[-1:]


def test_a_time_and_an_order_choose(spot: Trading, alice: Hand) -> None:
    times, numbers = [], []
    for price in ("10", "11", "12"):
        spot.market.now += 1000 * MILLISECOND
        times.append(spot.market.now // MILLISECOND)
        numbers.append(alice.order("BUY", quantity="1", price=price)["orderId"])
    spot.market.now += 1000 * MILLISECOND
    for price in (12, 11, 10):
        spot.bob.ask(Place, "BTC-USD", "sell", price * 100, 10_000, time_in_force="ioc")
    spot.tick()

    def found(**named: int) -> list[int]:
        return [numbers.index(each["orderId"]) for each in alice.get("GET", "allOrders", symbol="BTCUSD", **named)]

    assert found(startTime=times[1]) == [1, 2]
    assert found(endTime=times[1]) == [0, 1]
    assert found(startTime=times[1], endTime=times[1]) == [1]
    assert found(endTime=times[1], limit=1) == [1]
    assert found(startTime=times[0], limit=1) == [0]
    assert alice.refused("GET", "allOrders", symbol="BTCUSD", startTime=times[1], endTime=times[0])[1] == -1128
    assert [each["orderId"] for each in alice.get("GET", "myTrades", symbol="BTCUSD", orderId=numbers[1])] == [numbers[1]]
    assert alice.get("GET", "myTrades", symbol="ETHUSD") == alice.get("GET", "allOrders", symbol="ETHUSD") == []
    assert alice.get("GET", "myTrades", symbol="BTCUSD", endTime=times[2]) == []


@pytest.mark.parametrize(("path", "name"), [("order", "orderId"), ("allOrders", "orderId"), ("myTrades", "fromId"), ("myTrades", "orderId")])
def test_numbers_beyond_all_ids_end_nothing(path: str, name: str, spot: Trading, alice: Hand) -> None:
    for number, code in ((0, -2013), ((1 << 63) - 1, -2013), (1 << 63, -1130), (10**19, -1130), (10**20, -1100)):
        if path == "order" or code != -2013:
            assert alice.refused("GET", path, symbol="BTCUSD", **{name: number})[1] == code
        else:
            assert alice.get("GET", path, symbol="BTCUSD", **{name: number}) == []
    assert spot.market.recorder
    assert not spot.market.recorder.failure


def test_an_order_is_its_owners_and_its_symbols(spot: Trading, alice: Hand) -> None:
    bob, number = spot.trader("bob"), alice.order("BUY", quantity="1", price="10", newClientOrderId="mine")["orderId"]
    alice.get("DELETE", "order", symbol="BTCUSD", orderId=number)
    for hand, symbol, named in ((bob, "BTCUSD", {"orderId": number}), (bob, "BTCUSD", {"origClientOrderId": "mine"}), (alice, "ETHUSD", {"orderId": number}),
                                (alice, "BTCUSD", {"orderId": number, "origClientOrderId": "other"}), (alice, "BTCUSD", {"origClientOrderId": "other"})):
        assert hand.refused("GET", "order", symbol=symbol, **named) == (400, -2013, "Order does not exist.")


def test_who_asks_while_too_many_wait_may_come_back(spot: Trading, alice: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(question: object) -> None:
        raise Refused(ErrorCode.TOO_MANY_WAITING)

    monkeypatch.setattr(spot.market, "read_history", full)
    assert alice.refused("GET", "allOrders", symbol="BTCUSD") == (429, -1003, "Too many requests queued.")
    assert alice.ask("GET", "myTrades", symbol="BTCUSD").headers["Retry-After"] == "1"


def test_without_a_history_such_requests_are_not_served() -> None:
    alice = Trading(QuietMarket()).trader("alice")
    alice.order("BUY", quantity="1", price="10")
    for path, named in (("allOrders", {}), ("myTrades", {}), ("order", {"orderId": 1})):
        assert alice.refused("GET", path, symbol="BTCUSD", **named) == (404, -1020, "This operation is not supported.")
    assert len(alice.get("GET", "openOrders")) == 1
