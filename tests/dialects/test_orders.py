"""Orders through the spot dialect, without a socket: what is placed is what the engine has, and what is told is what happened to it."""

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import Side
from stream.commands.directory import OrderTicket
from stream.dialects.binance.own_orders import ENDED_MAX, Orders
from stream.dialects.binance.tickets import HASHED, number_of, text_of
from stream.wire.administration import SetPhase
from stream.wire.messages import Cancel, Place
from tests.dialects.spot import MILLISECOND
from tests.dialects.traders import Hand, Trading, UserClient
from tests.worlds import Desk

BUY = {"symbol": "BTCUSD", "side": "BUY"}
LIMIT = {**BUY, "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.5", "price": "100"}


def followed(hand: Hand) -> UserClient:
    """A user data stream that has begun."""
    stream = hand.stream()
    assert stream.result("userDataStream.subscribe.signature") == {"subscriptionId": 0}
    assert stream.told() == []
    return stream


def engine_orders(spot: Trading, subject: str) -> list[Any]:
    return spot.market.exchange.orders(spot.market.account_of(subject))


# New orders


def test_a_limit_order_is_the_engines_and_is_told(spot: Trading, alice: Hand) -> None:
    stream = followed(alice)
    told = alice.order("BUY", quantity="0.5", price="100", newClientOrderId="one")
    [order] = engine_orders(spot, "alice")
    assert (order.order, order.side, order.price, order.remaining) == (told["orderId"], Side.BUY, 10_000, 5000)
    assert told == {
        "symbol": "BTCUSD", "orderId": order.order, "orderListId": -1, "clientOrderId": "one", "transactTime": spot.market.now // MILLISECOND,
        "price": "100.00000000", "origQty": "0.50000000", "executedQty": "0.00000000", "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": "0.00000000", "status": "NEW", "timeInForce": "GTC", "type": "LIMIT", "side": "BUY",
        "workingTime": spot.market.now // MILLISECOND, "selfTradePreventionMode": "EXPIRE_TAKER", "fills": [],
    }
    report, position = stream.told()
    assert {name: report[name] for name in "ecSofqpxXilztwC"} == {
        "e": "executionReport", "c": "one", "S": "BUY", "o": "LIMIT", "f": "GTC", "q": "0.50000000", "p": "100.00000000", "x": "NEW", "X": "NEW",
        "i": order.order, "l": "0.00000000", "z": "0.00000000", "t": -1, "w": True, "C": "",
    }
    assert position["B"] == [{"a": "USD", "f": "99949.98500000", "l": "50.01500000"}]
    assert alice.free("USD") == ("99949.98500000", "50.01500000")


def test_fills_are_told_with_the_public_trades_ids(spot: Trading, alice: Hand, bob: Hand) -> None:
    makers, takers = followed(alice), followed(bob)
    alice.order("SELL", quantity="0.2", price="100", newClientOrderId="a")
    alice.order("SELL", quantity="0.3", price="101")
    makers.told()
    told = bob.order("BUY", "MARKET", quantity="0.4")
    trades = spot.get("trades", "symbol=BTCUSD")
    assert [(each["tradeId"], each["price"], each["qty"]) for each in told["fills"]] == [(each["id"], each["price"], each["qty"]) for each in trades]
    assert (told["status"], told["executedQty"], told["cummulativeQuoteQty"]) == ("FILLED", "0.40000000", "40.20000000")
    assert [each["commission"] for each in told["fills"]] == ["0.00600000", "0.00606000"]
    reports = [each for each in makers.told() if each["e"] == "executionReport"]
    assert [(each["X"], each["t"], each["m"], each["l"], each["L"], each["Y"], each["N"]) for each in reports] == [
        ("FILLED", trades[0]["id"], True, "0.20000000", "100.00000000", "20.00000000", "USD"),
        ("PARTIALLY_FILLED", trades[1]["id"], True, "0.20000000", "101.00000000", "20.20000000", "USD"),
    ]
    taken = [each for each in takers.told() if each["e"] == "executionReport"]
    assert [(each["x"], each["X"], each["t"], each["m"]) for each in taken] == [
        ("NEW", "NEW", -1, False), ("TRADE", "PARTIALLY_FILLED", trades[0]["id"], False), ("TRADE", "FILLED", trades[1]["id"], False),
    ]
    mine = bob.get("GET", "myTrades", symbol="BTCUSD")
    assert [(each["id"], each["orderId"], each["qty"], each["quoteQty"], each["isBuyer"], each["isMaker"]) for each in mine] == [
        (trades[0]["id"], told["orderId"], "0.20000000", "20.00000000", True, False),
        (trades[1]["id"], told["orderId"], "0.20000000", "20.20000000", True, False),
    ]
    assert bob.get("GET", "myTrades", symbol="BTCUSD", fromId=trades[1]["id"]) == mine[1:]
    assert alice.get("GET", "order", symbol="BTCUSD", origClientOrderId="a")["status"] == "FILLED"


def test_a_market_order_by_money_and_what_nobody_sells(alice: Hand, bob: Hand) -> None:
    alice.order("SELL", quantity="0.2", price="100")
    bought = bob.order("BUY", "MARKET", quoteOrderQty="10.01")
    assert (bought["executedQty"], bought["status"], bought["origQuoteOrderQty"]) == ("0.10000000", "FILLED", "10.01000000")
    rest = bob.order("BUY", "MARKET", quantity="0.5")
    assert (rest["executedQty"], rest["status"]) == ("0.10000000", "EXPIRED")
    assert bob.order("BUY", quantity="1", price="100", timeInForce="IOC")["status"] == "EXPIRED"


def test_stops_wait_and_work(spot: Trading, alice: Hand) -> None:
    spot.trade(10_000, 10)
    stream = followed(alice)
    placed = alice.order("SELL", "STOP_LOSS_LIMIT", timeInForce="GTC", quantity="0.1", price="95", stopPrice="96", newOrderRespType="RESULT")
    assert (placed["status"], placed["stopPrice"], placed["workingTime"]) == ("NEW", "96.00000000", -1)
    first = stream.told()[0]
    assert (first["x"], first["w"], first["P"], first["o"]) == ("NEW", False, "96.00000000", "STOP_LOSS_LIMIT")
    [order] = alice.get("GET", "openOrders", symbol="BTCUSD")
    assert (order["isWorking"], order["type"]) == (False, "STOP_LOSS_LIMIT")
    alice.order("SELL", "STOP_LOSS", quantity="0.1", stopPrice="94")
    spot.trade(9550, 10, "sell")
    reports = [each for each in stream.told() if each["e"] == "executionReport" and each["i"] == placed["orderId"]]
    assert [(each["x"], each["X"], each["w"]) for each in reports][:1] == [("NEW", "NEW", True)]
    assert alice.get("GET", "order", symbol="BTCUSD", orderId=placed["orderId"])["type"] == "STOP_LOSS_LIMIT"


@pytest.mark.parametrize(("side", "stop", "past"), [("SELL", "105", 10_500), ("BUY", "95", 9500)])
def test_an_order_that_takes_a_profit_waits_for_the_other_side(side: str, stop: str, past: int, spot: Trading, alice: Hand) -> None:
    spot.trade(10_000, 10)
    limited = alice.order(side, "TAKE_PROFIT_LIMIT", timeInForce="GTC", quantity="0.1", price="100", stopPrice=stop, newOrderRespType="RESULT")
    plain = alice.order(side, "TAKE_PROFIT", quantity="0.1", stopPrice=stop, newOrderRespType="RESULT")
    assert [(each["status"], each["stopPrice"], each["workingTime"]) for each in (limited, plain)] == [("NEW", f"{stop}.00000000", -1)] * 2
    assert [(each["type"], each["isWorking"], each["price"]) for each in alice.get("GET", "openOrders")] == [
        ("TAKE_PROFIT_LIMIT", False, "100.00000000"), ("TAKE_PROFIT", False, "0.00000000"),
    ]
    spot.trade(past, 10, "buy" if side == "BUY" else "sell")
    told = alice.get("GET", "order", symbol="BTCUSD", orderId=plain["orderId"])
    assert (told["type"], told["status"], told["workingTime"] > 0) == ("TAKE_PROFIT", "EXPIRED", True)    # nobody was there


def test_options_reach_the_engine(spot: Trading, alice: Hand, bob: Hand) -> None:
    alice.order("SELL", quantity="1", price="100", icebergQty="0.1")
    assert spot.get("depth", "symbol=BTCUSD")["asks"] == [["100.00000000", "0.10000000"]]
    assert bob.refused("POST", "order", **LIMIT | {"type": "LIMIT_MAKER"})[1] == -1106
    maker = {name: value for name, value in LIMIT.items() if name != "timeInForce"} | {"type": "LIMIT_MAKER"}
    assert bob.refused("POST", "order", **maker) == (400, -2010, "Order would immediately match and take.")
    own = alice.order("BUY", quantity="0.2", price="100", selfTradePreventionMode="EXPIRE_MAKER")
    assert (own["status"], own["selfTradePreventionMode"]) == ("NEW", "EXPIRE_MAKER")
    assert [each["side"] for each in alice.get("GET", "openOrders")] == ["BUY"]
    [gone] = [each for each in alice.get("GET", "allOrders", symbol="BTCUSD") if each["side"] == "SELL"]
    assert gone["status"] == "EXPIRED_IN_MATCH"
    assert alice.order("BUY", quantity="1", price="1", newOrderRespType="ACK").keys() == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}


def test_what_only_tests_an_order_places_none(spot: Trading, alice: Hand) -> None:
    assert alice.get("POST", "order/test", **LIMIT) == {}
    assert alice.get("POST", "order/test", **LIMIT, computeCommissionRates="true")["standardCommission"]["taker"] == "0.00030000"
    assert alice.refused("POST", "order/test", **LIMIT | {"quantity": "0"}) == (400, -1013, "Invalid quantity.")
    assert engine_orders(spot, "alice") == []


# The ends of orders


def test_cancels(spot: Trading, alice: Hand, bob: Hand) -> None:
    stream = followed(alice)
    one, two = (alice.order("BUY", quantity="0.5", price=price, newClientOrderId=text)["orderId"] for price, text in (("100", "one"), ("99", "two")))
    stream.told()
    bob.order("SELL", "MARKET", quantity="0.2")
    stream.told()
    assert alice.refused("DELETE", "order", symbol="BTCUSD", orderId=one, cancelRestrictions="ONLY_NEW")[1] == -2011
    gone = alice.get("DELETE", "order", symbol="BTCUSD", origClientOrderId="one", newClientOrderId="the-cancel")
    assert (gone["orderId"], gone["origClientOrderId"], gone["clientOrderId"], gone["status"], gone["executedQty"]) == (
        one, "one", "the-cancel", "CANCELED", "0.20000000")
    report = stream.told()[0]
    assert (report["x"], report["X"], report["c"], report["C"], report["w"]) == ("CANCELED", "CANCELED", "the-cancel", "one", False)
    for named in ({"orderId": one}, {"origClientOrderId": "one"}, {"orderId": two, "symbol": "ETHUSD"}, {"orderId": 7}, {"origClientOrderId": "none"}):
        assert alice.refused("DELETE", "order", **{"symbol": "BTCUSD"} | named) == (400, -2011, "Unknown order sent.")
    assert alice.refused("DELETE", "order", symbol="BTCUSD")[1] == -1102
    assert bob.refused("DELETE", "order", symbol="BTCUSD", orderId=two) == (400, -2011, "Unknown order sent.")
    assert [each["orderId"] for each in alice.get("DELETE", "openOrders", symbol="BTCUSD")] == [two]
    assert alice.refused("DELETE", "openOrders", symbol="BTCUSD") == (400, -2011, "Unknown order sent.")
    assert engine_orders(spot, "alice") == []


def test_a_replacement_takes_the_place_of_an_order(alice: Hand) -> None:
    old = alice.order("BUY", quantity="0.5", price="100")["orderId"]
    named = LIMIT | {"price": "101", "cancelReplaceMode": "STOP_ON_FAILURE"}
    told = alice.get("POST", "order/cancelReplace", **named, cancelOrderId=old)
    assert (told["cancelResult"], told["newOrderResult"], told["cancelResponse"]["orderId"], told["newOrderResponse"]["price"]) == (
        "SUCCESS", "SUCCESS", old, "101.00000000")
    assert [each["price"] for each in alice.get("GET", "openOrders")] == ["101.00000000"]
    answer = alice.ask("POST", "order/cancelReplace", **named, cancelOrderId=old)
    said = msgspec.json.decode(answer.body)
    assert (answer.status, said["code"], said["data"]["cancelResult"], said["data"]["newOrderResult"]) == (400, -2022, "FAILURE", "NOT_ATTEMPTED")
    assert said["data"]["cancelResponse"] == {"code": -2011, "msg": "Unknown order sent."}
    answer = alice.ask("POST", "order/cancelReplace", **named | {"cancelReplaceMode": "ALLOW_FAILURE"}, cancelOrderId=old)
    assert (answer.status, msgspec.json.decode(answer.body)["code"]) == (409, -2021)
    [_, last] = alice.get("GET", "openOrders")
    answer = alice.ask("POST", "order/cancelReplace", **named | {"quantity": "100000"}, cancelOrderId=last["orderId"])
    said = msgspec.json.decode(answer.body)
    assert (answer.status, said["data"]["cancelResult"], said["data"]["newOrderResponse"]["code"]) == (409, "SUCCESS", -2010)


def test_a_smaller_order_keeps_its_place(spot: Trading, alice: Hand, bob: Hand) -> None:
    stream = followed(alice)
    first = alice.order("BUY", quantity="0.5", price="100")["orderId"]
    bob.order("BUY", quantity="0.5", price="100")
    told = alice.get("PUT", "order/amend/keepPriority", symbol="BTCUSD", orderId=first, newQty="0.3")["amendedOrder"]
    assert (told["qty"], told["orderId"], told["status"]) == ("0.30000000", first, "NEW")
    assert [each["x"] for each in stream.told() if each["e"] == "executionReport"] == ["NEW", "REPLACED"]
    assert spot.market.exchange.books[0].queue(0, 10_000)[0].order == first
    for size in ("0.3", "0.4"):
        assert alice.refused("PUT", "order/amend/keepPriority", symbol="BTCUSD", orderId=first, newQty=size)[1] == -2038
    assert alice.refused("PUT", "order/amend/keepPriority", symbol="BTCUSD", orderId=9, newQty="0.1") == (400, -2013, "Order does not exist.")


# Clients' own ids


def test_a_clients_id_names_one_open_order(spot: Trading, alice: Hand, bob: Hand) -> None:
    alice.order("BUY", quantity="0.5", price="100", newClientOrderId="x" * 36)
    assert alice.refused("POST", "order", **LIMIT, newClientOrderId="x" * 36) == (400, -2010, "Duplicate order sent.")
    bob.order("BUY", quantity="0.5", price="100", newClientOrderId="x" * 36)
    for bad in ("x" * 37, "a b", "ü", "a&b"):
        assert alice.refused("POST", "order", **LIMIT, newClientOrderId=bad)[1] == -1100
    assert len(engine_orders(spot, "alice")) == len(engine_orders(spot, "bob")) == 1


def test_orders_of_the_native_protocol_are_told_by_their_numbers(spot: Trading, alice: Hand) -> None:
    desk = spot.alice
    desk.ask(Place, "BTC-USD", "buy", 10_000, 100, client_id=77)
    desk.ask(Place, "BTC-USD", "buy", 9_900, 100)
    [one, two] = alice.get("GET", "openOrders")
    assert (one["clientOrderId"], two["clientOrderId"]) == ("77", "")
    assert alice.get("DELETE", "order", symbol="BTCUSD", origClientOrderId="77")["orderId"] == one["orderId"]
    assert alice.get("GET", "order", symbol="BTCUSD", orderId=two["orderId"])["type"] == "LIMIT"
    mine = alice.order("BUY", quantity="0.5", price="100", newClientOrderId="78")
    [heard] = [order for order in engine_orders(spot, "alice") if order.client_id == 78]
    assert heard.order == mine["orderId"]
    desk.ask(Cancel, client_id=78)
    spot.tick()
    assert alice.get("GET", "order", symbol="BTCUSD", orderId=mine["orderId"])["status"] == "CANCELED"


@given(st.text(alphabet="abcXYZ019._:/-", min_size=1, max_size=36))
def test_each_text_has_one_number_that_the_engine_takes(text: str) -> None:
    number = number_of(text)
    assert 0 < number < 1 << 53
    assert number_of(text) == number
    assert (text_of(number) == text) == (number < HASHED)


def test_tickets_go_when_their_orders_end(spot: Trading, alice: Hand, bob: Hand) -> None:
    def tickets() -> int:
        return sum(isinstance(key, OrderTicket) for key in spot.market.directory)

    for text in ("a", "b", "c"):
        alice.order("BUY", quantity="0.1", price="100", newClientOrderId=text)
    assert tickets() == 3
    bob.order("SELL", "MARKET", quantity="0.1")
    alice.get("DELETE", "order", symbol="BTCUSD", origClientOrderId="b")
    assert alice.refused("POST", "order", **LIMIT | {"quantity": "100000"})[1] == -2010
    spot.tick()
    assert tickets() == 1
    # while nobody looks
    spot.dialect.leave(spot.market.now)
    assert tickets() == 1
    spot.bob.ask(Place, "BTC-USD", "sell", 10_000, 1000, "limit", "ioc")
    spot.tick()
    assert tickets() == 1
    assert alice.get("GET", "openOrders") == []
    spot.tick()
    assert tickets() == 0


def test_a_dialect_that_begins_again_knows_what_clients_said(spot: Trading, alice: Hand) -> None:
    placed = alice.order("BUY", quantity="0.5", price="100", newClientOrderId="kept", icebergQty="0.1", selfTradePreventionMode="DECREMENT")
    before = alice.get("GET", "order", symbol="BTCUSD", origClientOrderId="kept")
    spot.dialect.leave(spot.market.now)
    assert alice.get("GET", "order", symbol="BTCUSD", origClientOrderId="kept") == before
    assert before["orderId"] == placed["orderId"]
    assert alice.get("DELETE", "order", symbol="BTCUSD", origClientOrderId="kept")["status"] == "CANCELED"


def test_only_so_many_orders_that_have_ended_are_remembered(alice: Hand) -> None:
    orders: Any = Orders()

    class Ended:
        def __init__(self, number: int) -> None:
            self.number = number
            self.list = number // 2
            self.ticket = type("T", (), {"text": f"t{number}", "list_text": f"l{number // 2}"})

    for number in range(ENDED_MAX + 5):
        order = Ended(number)
        orders.add(order)
        orders.end(order)
    assert len(orders.ended) == ENDED_MAX
    assert orders.find(None, "t4") is None
    assert orders.find(None, "t5").number == 5
    assert orders.find_list(None, "l1") is None
    assert [order.number for order in orders.find_list(2, None).orders] == [5]
    assert len(orders.lists()) == ENDED_MAX // 2 + 1


# Balances


def test_what_comes_into_an_account_is_told(spot: Trading, alice: Hand, bob: Hand) -> None:
    stream = followed(alice)
    spot.market.command("deposit", account=spot.market.account_of("alice"), asset=spot.market.exchange.asset("BTC"), amount=5)
    position, update = stream.told()
    assert (position["e"], update["e"], update["a"], update["d"]) == ("outboundAccountPosition", "balanceUpdate", "BTC", "0.00000005")
    # together with a fill in the same tick
    alice.order("SELL", quantity="0.2", price="100")
    stream.told()
    spot.market.command("deposit", account=spot.market.account_of("alice"), asset=spot.market.exchange.asset("USD"), amount=7)
    bob.order("BUY", "MARKET", quantity="0.1")
    updates = [(each["a"], each["d"]) for each in stream.told() if each["e"] == "balanceUpdate"]
    assert updates == [("USD", "0.00000700")]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_balances_and_orders_are_the_engines_whatever_is_done(data: st.DataObject) -> None:
    spot = Trading()
    hands = {subject: spot.trader(subject) for subject in ("alice", "bob")}
    streams = {subject: followed(hand) for subject, hand in hands.items()}
    shown: dict[str, dict[str, Any]] = {subject: {} for subject in hands}
    open_reports: dict[str, dict[int, str]] = {subject: {} for subject in hands}
    sides = st.sampled_from(("BUY", "SELL"))
    for _ in range(data.draw(st.integers(5, 20))):
        hand = hands[data.draw(st.sampled_from(sorted(hands)))]
        match data.draw(st.sampled_from(("limit", "limit", "market", "stop", "cancel", "replace"))):
            case "limit":
                hand.ask("POST", "order", **LIMIT | {
                    "side": data.draw(sides), "price": str(data.draw(st.integers(98, 102))), "quantity": f"0.{data.draw(st.integers(1, 9))}",
                    "timeInForce": data.draw(st.sampled_from(("GTC", "IOC", "FOK"))),
                })
            case "market":
                hand.ask("POST", "order", symbol="BTCUSD", side=data.draw(sides), type="MARKET", quantity="0.3")
            case "stop":
                hand.ask("POST", "order", symbol="BTCUSD", side=data.draw(sides), type="STOP_LOSS_LIMIT", timeInForce="GTC",
                         quantity="0.2", price="100", stopPrice=str(data.draw(st.integers(98, 102))))
            case "cancel":
                orders = hand.get("GET", "openOrders")
                if orders:
                    hand.get("DELETE", "order", symbol="BTCUSD", orderId=data.draw(st.sampled_from(orders))["orderId"])
            case "replace":
                orders = hand.get("GET", "openOrders")
                if orders:
                    hand.ask("POST", "order/cancelReplace", **LIMIT | {"price": "97"}, cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=orders[0]["orderId"])
        for subject, stream in streams.items():
            for event in stream.told():
                if event["e"] == "outboundAccountPosition":
                    shown[subject] |= {each["a"]: (each["f"], each["l"]) for each in event["B"]}
                elif event["e"] == "executionReport":
                    open_reports[subject][event["i"]] = event["X"]
                else:
                    raise AssertionError(event)
    for subject, hand in hands.items():
        account = spot.market.account_of(subject)
        for asset, decimals in (("BTC", 8), ("USD", 6)):
            free, held = spot.market.exchange.balance(account, spot.market.exchange.asset(asset))
            told = hand.free(asset)
            assert [round(float(each) * 10**decimals) for each in told] == [free, held]
            assert shown[subject].get(asset, told) == told
        truly = {order.order: order for order in engine_orders(spot, subject)}
        told_open = {each["orderId"]: each for each in hand.get("GET", "openOrders")}
        assert told_open.keys() == truly.keys() == {number for number, status in open_reports[subject].items() if status in ("NEW", "PARTIALLY_FILLED")}
        for number, order in truly.items():
            assert round(float(told_open[number]["origQty"]) * 10**4) == order.remaining + order.filled
            assert round(float(told_open[number]["executedQty"]) * 10**4) == order.filled
    spot.market.exchange.check()


def test_a_halt_is_a_closed_market(spot: Trading, alice: Hand) -> None:
    Desk(spot.market).sign_in("root", "admin").ask(SetPhase, "BTC-USD", "halt")
    assert alice.refused("POST", "order", **LIMIT) == (400, -1013, "Market is closed.")
