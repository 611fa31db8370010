"""Who may ask: API keys, signatures and times of requests, with the venue's numbers and words; and that no request, however odd, leads to anything else."""

import json
from base64 import b64encode
from typing import Any
from urllib.parse import quote

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.access.revocations import Revocation
from stream.dialects.binance.connection import Connection
from stream.dialects.binance.endpoints import METHODS, PUBLIC, SIGNED
from stream.wire.codes import ErrorCode
from tests.dialects.spot import SECOND
from tests.dialects.traders import Hand, Trading, make_key

ORDER = "symbol=BTCUSD&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.5&price=100"
BAD_KEY = (401, -2015, "Invalid API-key, IP, or permissions for action.")


def said(answer: Any) -> tuple[int, int, str]:
    body = msgspec.json.decode(answer.body)
    return answer.status, body["code"], body["msg"]


def test_a_signature_is_over_query_and_body_as_they_were_sent(alice: Hand) -> None:
    time = f"timestamp={alice.timestamp}"
    for query, body in ((f"{ORDER}&{time}", ""), ("", f"{ORDER}&{time}"), (ORDER, time), (time, ORDER)):
        signature = f"signature={alice.sign(query + body)}"
        assert alice.request("POST", "order", f"{query}&{signature}" if query else "", body if query else f"{body}&{signature}").status == 200
        assert alice.request("POST", "order", f"{signature}&{query}" if query else signature, body).status == 200
        changed = f"{query}&{signature}".replace("0.5", "0.6")
        if "0.5" in query:
            assert said(alice.request("POST", "order", changed, body)) == (400, -1022, "Signature for this request is not valid.")
    assert alice.spot.market.exchange.order_count == 8


def test_a_key_for_ed25519(spot: Trading) -> None:
    private = Ed25519PrivateKey.generate()
    public = b64encode(private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    carol = Hand(spot, spot.add(make_key("carol", spot.market.now, ed25519=public)), private)
    assert carol.order("BUY", quantity="0.5", price="100")["status"] == "NEW"
    text = f"timestamp={carol.timestamp}"
    assert carol.request("GET", "account", f"{text}&signature={carol.sign(text)}").status == 200    # a plus and a slash that are not quoted
    assert said(carol.request("GET", "account", f"{text}&signature={quote(carol.sign(text + '0'))}"))[1] == -1022
    assert said(carol.request("GET", "account", f"{text}&signature={'0' * 64}"))[1] == -1022


def test_a_request_is_of_now(alice: Hand) -> None:
    ahead = 400, -1021, "Timestamp for this request was 1000ms ahead of the server's time."
    late = 400, -1021, "Timestamp for this request is outside of the recvWindow."
    for skew, window, expected in ((999, 5000, None), (1000, 5000, ahead), (-5000, 5000, None), (-5001, 5000, late), (-10, 5, late), (-5001, 60000, None)):
        alice.skew_ms = skew
        answer = alice.ask("GET", "account", recvWindow=window)
        assert answer.status == 200 if expected is None else said(answer) == expected
    alice.skew_ms = 0
    assert alice.refused("GET", "account", recvWindow=60001) == (400, -1131, "recvWindow must be less than 60000.")
    assert alice.ask("GET", "account", recvWindow="4999.999").status == 200
    assert alice.refused("GET", "account", recvWindow="1e3")[1] == -1100
    assert said(alice.request("GET", "account", "signature=0")) == (400, -1102, "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed.")
    assert said(alice.request("GET", "account", f"timestamp={alice.timestamp}"))[2].startswith("Mandatory parameter 'signature'")


def test_keys_that_are_not_good(spot: Trading, alice: Hand) -> None:
    assert alice.ask("GET", "account").status == 200
    for key, expected in (("", (401, -2014, "API-key format invalid.")), ("a b", (401, -2014, "API-key format invalid.")), ("nobody", BAD_KEY)):
        text = f"timestamp={alice.timestamp}"
        assert said(alice.request("GET", "account", f"{text}&signature={alice.sign(text)}", key=key)) == expected
    market = spot.trader("dave", scopes="market")
    assert market.refused("GET", "account") == BAD_KEY
    reader = spot.trader("erin", scopes="account")
    assert reader.ask("GET", "account").status == 200
    assert reader.get("GET", "account")["canTrade"] is False
    assert reader.refused("POST", "order", symbol="BTCUSD", side="BUY", type="MARKET", quantity="1") == BAD_KEY
    assert reader.refused("POST", "order/test", symbol="BTCUSD", side="BUY", type="MARKET", quantity="1") == BAD_KEY
    assert reader.refused("DELETE", "openOrders", symbol="BTCUSD") == BAD_KEY
    stream = alice.stream()
    stream.result("userDataStream.subscribe.signature")
    spot.market.authenticator.revocations.revoke(Revocation(spot.market.now / SECOND, alice.key.id))
    assert alice.refused("GET", "account") == BAD_KEY
    spot.market.close_revoked()
    assert [each["e"] for each in stream.told()] == ["eventStreamTerminated"]
    spot.market.now += 40 * 24 * 3600 * SECOND
    assert reader.refused("GET", "account") == BAD_KEY


def test_a_session_of_the_websocket_api(spot: Trading, alice: Hand) -> None:
    client = alice.stream()
    assert client.call("userDataStream.subscribe", signed=False)["error"] == {"code": -2015, "msg": BAD_KEY[2]}
    status = client.result("session.logon")
    assert (status["apiKey"], status["userDataStream"]) == (alice.key.id, False)
    assert client.result("userDataStream.subscribe", signed=False) == {"subscriptionId": 0}
    order = {"symbol": "BTCUSD", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.5", "price": "100"}
    placed = client.call("order.place", signed=False, **order, timestamp=alice.timestamp)
    assert placed["result"]["status"] == "NEW"
    assert [each["count"] for each in placed["rateLimits"]] == [7, 1, 1]
    assert [each["e"] for each in client.events] == ["executionReport", "outboundAccountPosition"]
    assert client.call("order.place", signed=False, **order)["error"]["code"] == -1102    # without a time
    assert [each["orderId"] for each in client.result("openOrders.status", symbol="BTCUSD")] == [placed["result"]["orderId"]]
    assert client.result("account.status", omitZeroBalances=json.dumps(True)) == alice.get("GET", "account", omitZeroBalances="true")
    assert client.result("order.status", symbol="BTCUSD", orderId=placed["result"]["orderId"])["status"] == "NEW"
    assert client.result("order.cancel", symbol="BTCUSD", orderId=placed["result"]["orderId"])["status"] == "CANCELED"
    assert client.result("account.rateLimits.orders")[0]["count"] == 1
    assert client.call("session.subscriptions", signed=False)["result"] == [{"subscriptionId": 0}]
    assert client.result("userDataStream.unsubscribe", signed=False, subscriptionId=0) == {}
    assert [each["e"] for each in client.events] == ["eventStreamTerminated"]
    assert client.result("session.logout", signed=False)["apiKey"] is None
    assert client.call("order.place", signed=False, **order, timestamp=alice.timestamp)["status"] == 400
    assert client.result("time", signed=False)["serverTime"] == alice.timestamp
    assert client.call("depth", signed=False, symbol="BTCUSD", limit=5)["rateLimits"][0]["intervalNum"] == 1
    assert "rateLimits" not in client.call("ping", signed=False, returnRateLimits=False)


def test_what_is_no_request_of_the_websocket_api(spot: Trading, alice: Hand) -> None:
    client = alice.stream()
    for message, status, code in (
        ("nonsense", 400, -1135), ("[]", 400, -1135), ('{"id":1.5,"method":"ping"}', 400, -1135), ('{"id":1}', 400, -1134), ('{"id":1,"method":7}', 400, -1134),
        ('{"id":1,"method":"order.fly"}', 400, -1134), ('{"id":1,"method":"ping","params":[]}', 400, -1135), (b"\xff", 400, -1135),
        ('{"id":1,"method":"depth","params":{"symbol":1e3}}', 400, -1100), ('{"id":1,"method":"depth","params":{"symbol":null}}', 400, -1100),
        ('{"id":1,"method":"order.place","params":{"apiKey":"x","signature":"y","timestamp":1}}', 400, -1021), ("[" * 5000, 400, -1135),
        ('{"id":1,"method":"order.place","params":{}}', 400, -1102),
    ):
        client.send(message)
        [answer] = client.hear()
        assert (answer["status"], answer["error"]["code"]) == (status, code), message


def test_listen_keys(spot: Trading, alice: Hand) -> None:
    path = "userDataStream"
    key = msgspec.json.decode(alice.request("POST", path).body)["listenKey"]
    assert msgspec.json.decode(alice.request("POST", path).body)["listenKey"] == key
    client = spot.client(f"/ws/{key}")
    combined = spot.client("/stream", f"streams={key}/btcusd@trade")
    alice.order("BUY", quantity="0.5", price="100")
    assert [each["e"] for each in client.hear()] == ["executionReport", "outboundAccountPosition"]
    assert {each["stream"] for each in combined.hear()} == {key}
    assert alice.request("PUT", path, f"listenKey={key}").body == b"{}"
    assert said(spot.trader("bob").request("DELETE", path, f"listenKey={key}"))[1] == -1125
    assert alice.request("DELETE", path, f"listenKey={key}").status == 200
    assert said(alice.request("PUT", path, f"listenKey={key}")) == (400, -1125, "This listenKey does not exist.")
    assert said(alice.request("GET", path))[1] in (-1020, -1102)
    assert said(alice.request("POST", path, key="nobody")) == BAD_KEY


def test_who_does_not_read_own_events_is_closed() -> None:
    spot = Trading(pending_bytes_max=5000)
    alice = spot.trader("alice")
    stream = alice.stream()
    stream.result("userDataStream.subscribe.signature")
    stream.line.full = True
    for _ in range(20):
        alice.order("BUY", quantity="0.5", price="100")
    assert stream.line.closed == (1008, "Too slow: too much waits to be read")
    assert len(stream.line.data) < 20_000


def test_limits_of_orders() -> None:
    spot = Trading(orders_burst=3, orders_per_s=1)
    alice = spot.trader("alice")
    order = {"symbol": "BTCUSD", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.5", "price": "100"}
    answers = [alice.ask("POST", "order", **order) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert said(answers[3])[1:] == (-1015, "Too many new orders; current limit is 1 orders per 1 SECOND.")
    assert answers[2].headers["X-MBX-ORDER-COUNT-10S"] == answers[2].headers["X-MBX-ORDER-COUNT-1D"] == "3"
    assert [each["count"] for each in alice.get("GET", "rateLimit/order")] == [3, 3]
    spot.market.now += 10 * SECOND
    assert [each["count"] for each in alice.get("GET", "rateLimit/order")] == [0, 3]


VALUES = st.sampled_from([
    "BTCUSD", "BUY", "SELL", "LIMIT", "MARKET", "GTC", "0.5", "100", "1e5", "1E-7", "-1", "0", "00", "9" * 30, "9" * 400, "0." + "1" * 19, "NaN", "inf", "",
    " ", "%00", "null", "true", "[]", "{}", "\u0663", "0x10", "1_000", "STOP_LOSS_LIMIT", "OCO", "FULL", "17.5", "9223372036854775808", "18446744073709551616",
])
NAMES = st.sampled_from([
    "symbol", "side", "type", "timeInForce", "quantity", "price", "quoteOrderQty", "stopPrice", "icebergQty", "newClientOrderId", "orderId",
    "origClientOrderId", "recvWindow", "limit", "startTime", "endTime", "fromId", "cancelReplaceMode", "cancelOrderId", "newQty", "newOrderRespType",
    "selfTradePreventionMode", "foo",
])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_every_request_is_answered_with_success_or_a_number(data: st.DataObject) -> None:
    spot = Trading()
    alice = spot.trader("alice")
    method, path = data.draw(st.sampled_from(sorted([*SIGNED, *PUBLIC])))
    pairs = data.draw(st.lists(st.tuples(NAMES, VALUES), max_size=9))
    good = {"symbol": "BTCUSD", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.5", "price": "100"} if data.draw(st.booleans()) else {}
    text = "&".join([f"{name}={quote(value)}" for name, value in [*({**good, **dict(pairs)}.items() if data.draw(st.booleans()) else pairs)]])
    text += f"&timestamp={alice.timestamp}" if data.draw(st.booleans()) else ""
    cut = data.draw(st.integers(0, len(text)))
    query, body = text[:cut], text[cut:]
    signature = alice.sign(query + body) if data.draw(st.booleans()) else "00" * 32
    answer = alice.request(method, path, query, f"{body}&signature={signature}")
    assert answer.status in (200, 400, 401, 404, 409, 429, 503), answer.body
    if answer.status != 200:
        found = msgspec.json.decode(answer.body)
        assert isinstance(found["code"], int)
        assert found["code"] < -1000
    spot.market.exchange.check()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_every_message_of_the_websocket_api_is_answered(data: st.DataObject) -> None:
    spot = Trading()
    client = spot.trader("alice").stream()
    if data.draw(st.booleans()):
        client.result("session.logon")
    method = data.draw(st.sampled_from([*METHODS, "session.logon", "session.status", "userDataStream.subscribe", "userDataStream.unsubscribe", "x"]))
    value = st.one_of(VALUES, st.integers(), st.floats(allow_nan=False), st.none(), st.booleans(), st.lists(st.integers(), max_size=2))
    parameters = data.draw(st.dictionaries(NAMES | st.sampled_from(["timestamp", "apiKey", "signature"]), value, max_size=8))
    answer = client.call(method, signed=data.draw(st.booleans()), **parameters)
    assert ("result" in answer) == (answer["status"] == 200)
    assert answer["status"] == 200 or answer["error"]["code"] < -1000
    assert isinstance(client.connection, Connection)
    assert not client.connection.closed


def test_a_market_that_is_only_played_takes_nothing(spot: Trading, alice: Hand) -> None:
    spot.market.scopes, spot.market.refusal = frozenset(), ErrorCode.PAST_ONLY
    assert alice.refused("GET", "account") == (400, -1013, "Market is closed.")


def test_who_has_one_session_too_many_is_told() -> None:
    spot = Trading(connections_per_account_max=1)
    alice = spot.trader("alice")    # who is connected natively
    status, code, _ = alice.refused("GET", "account")
    assert (status, code) == (503, -1008)
