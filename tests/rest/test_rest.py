"""The REST API: it says what the native protocol says, and refuses as that does."""

from typing import Any, get_args
from urllib.parse import quote

import pytest

from stream.rest.endpoints import ENDPOINTS
from stream.rest.named import plain
from stream.rest.statuses import STATUSES, status_of
from stream.server.http_message import Request as Asked
from stream.wire.codes import CloseCode, ErrorCode
from stream.wire.messages import CancelOnDisconnect, ListSubscriptions, Login, Logout, Place, Request, Subscribe, Unsubscribe
from tests.account_history.recorded import RecordedMarket
from tests.rest.counter import Counter
from tests.worlds import Desk, QuietMarket

OF = "/v1/instruments/BTC-USD"
BUY = {"instrument": "BTC-USD", "side": "buy", "price": 100, "size": 5}


def test_every_request_of_the_protocol_is_there_but_those_about_a_connection() -> None:
    about_connections = {Login, Logout, Unsubscribe, ListSubscriptions, CancelOnDisconnect}
    assert {endpoint.kind for endpoint in ENDPOINTS} == set(get_args(Request)) - about_connections
    assert len({(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}) == len(ENDPOINTS)


@pytest.mark.parametrize(("path", "channel"), [
    (f"{OF}/book", "orderbook:BTC-USD"), (f"{OF}/trades", "trades:BTC-USD"), (f"{OF}/ticker", "ticker:BTC-USD"), (f"{OF}/orders", "market_by_order:BTC-USD"),
    ("/v1/orders", "orders"), ("/v1/balances", "balances"),
])
def test_a_look_is_a_snapshot_of_the_channel(path: str, channel: str) -> None:
    counter = Counter()
    maker, desk = Desk(counter.market).sign_in("bob"), Desk(counter.market).sign_in("alice")
    for price in (90, 95, 100, 105):
        maker.ask(Place, "BTC-USD", "sell" if price > 97 else "buy", price, 10)
    desk.ask(Place, "BTC-USD", "buy", 100, 4)
    desk.ask(Place, "BTC-USD", "buy", 93, 4)
    expected = next(message for message in desk.ask(Subscribe, [channel]) if hasattr(message, "channel"))
    assert counter.ask("GET", path, counter.token("alice")) == (200, plain(expected))
    assert counter.market.hub.listeners(channel.partition(":")[0]) == {channel: 1}    # the desk's; that of the look has ended


def test_an_order_lives_and_dies() -> None:
    market = RecordedMarket()
    counter = Counter(market)
    alice = counter.token("alice")
    status, done = counter.ask("POST", "/v1/orders", alice, BUY | {"client_id": 7})
    assert (status, done["status"], done["remaining"]) == (200, "open", 5)
    path = f"/v1/orders/{done['order']}"
    assert counter.ask("POST", f"{path}/reduce", alice, {"by": 2})[1]["remaining"] == 3
    assert counter.ask("PUT", path, alice, {"price": 99, "size": 2})[1]["remaining"] == 2
    assert counter.ask("GET", "/v1/orders", alice)[1]["orders"][0]["price"] == 99
    assert counter.ask("DELETE", "/v1/client_orders/7", alice)[1]["status"] == "cancelled"
    status, refusal = counter.ask("DELETE", path, alice)
    assert (status, refusal["code"], refusal["order"]) == (404, ErrorCode.UNKNOWN_ORDER, done["order"])
    counter.ask("POST", "/v1/orders", alice, BUY)
    assert counter.ask("DELETE", "/v1/orders", alice, instrument="ETH-USD")[1]["count"] == 0
    assert counter.ask("DELETE", "/v1/orders", alice, instrument="BTC-USD", side="buy")[1]["count"] == 1
    counter.send("GET", "/v1/order_history", alice, latest="true", count=1)
    while not counter.answers:
        market.await_answers()
        counter.tick()
    assert b'"orders":[{"order":' in counter.answers[0].body
    market.close()


def test_a_key_is_carried_out_once() -> None:
    counter = Counter()
    alice = counter.token("alice")
    first = counter.ask("POST", "/v1/orders", alice, BUY | {"key": 3})
    assert counter.ask("POST", "/v1/orders", alice, BUY | {"key": 3}) == first
    assert len(counter.ask("GET", "/v1/orders", alice)[1]["orders"]) == 1
    cancelled = counter.ask("DELETE", f"/v1/orders/{first[1]['order']}", alice, key=4)
    assert counter.ask("DELETE", f"/v1/orders/{first[1]['order']}", alice, key=4) == cancelled


def test_who_may_do_what() -> None:
    counter = Counter()
    for endpoint in ENDPOINTS:
        path = endpoint.path.replace("{instrument}", "BTC-USD").replace("{order}", "1").replace("{client_id}", "1")
        body = BODIES.get(endpoint.path.rpartition("/")[2], BODIES.get(endpoint.path)) if endpoint.has_body else None
        query = {"interval": "1m"} if endpoint.path.endswith("candles") else {}
        allowed = counter.ask(endpoint.method, path, counter.token("root", "account trade admin"), body, **query)
        assert allowed[0] in (200, 404, 503), (endpoint.path, allowed)
        nobody = counter.ask(endpoint.method, path, body=body, **query)
        assert (nobody[0] == 401) == bool(endpoint.scope), endpoint.path
        others = " ".join({"market", "account", "trade", "admin"} - {endpoint.scope})
        assert (counter.ask(endpoint.method, path, counter.token("carol", others), body, **query)[0] == 403) == bool(endpoint.scope)


BODIES: dict[str, Any] = {
    **{name: {"subject": "nobody", "asset": "USD", "amount": 1} for name in ("deposit", "withdraw", "pay_fees")},
    "mass_cancel": {}, "freeze": {"subject": "nobody"}, "set_tier": {"subject": "nobody", "tier": 1},
    "set_fees": {"instrument": "BTC-USD", "tier": 1, "maker": 0, "taker": 0},
    "/v1/orders": BUY, "/v1/orders/{order}": {"price": 1, "size": 1}, "reduce": {"by": 1}, "dead_man": {"timeout_ms": 0},
    "set_phase": {"instrument": "BTC-USD", "phase": "trading"}, "set_limits": {"subject": "root"},
    "list_instrument": {"instrument": "BTC-ETH", "base": "BTC", "quote": "ETH", "tick": "0.01", "lot": "0.0001"},
    "delist": {"instrument": "ETH-USD"}, "set_band": {"instrument": "BTC-USD", "band": 0}, "set_reference": {"instrument": "BTC-USD", "price": 0},
    "disconnect": {"subject": "nobody"}, "revoke": {"token_id": "x"},
}


def test_a_book_that_is_known_is_not_sent_again() -> None:
    counter = Counter()
    alice = counter.token("alice")
    counter.ask("POST", "/v1/orders", alice, BUY)
    tag = counter.whole("GET", f"{OF}/book").headers["ETag"]
    counter.ask("POST", "/v1/orders", alice, BUY | {"instrument": "ETH-USD"})    # another book's change is none of this one
    known = counter.whole("GET", f"{OF}/book", if_none_match=f'W/"x", {tag}')
    assert (known.status, known.body, known.headers["ETag"]) == (304, b"", tag)
    counter.ask("POST", "/v1/orders", alice, BUY)
    changed = counter.whole("GET", f"{OF}/book", if_none_match=tag)
    assert (changed.status, changed.headers["ETag"] != tag) == (200, True)


@pytest.mark.parametrize(("method", "path", "body", "query", "said"), [
    ("POST", "/v1/orders", "{", {}, "body: expected an object in JSON"),
    ("POST", "/v1/orders", "[" * 5000, {}, ""),
    ("POST", "/v1/orders", "[]", {}, "Expected object, got array"),
    ("POST", "/v1/orders", BUY | {"price": 1.5}, {}, "price: Expected int, got float: a whole number of ticks"),
    ("POST", "/v1/orders", BUY | {"price": "60000"}, {}, "price: Expected int, got str: a whole number of ticks"),
    ("POST", "/v1/orders", BUY | {"side": "by"}, {}, "side: Invalid enum value 'by': expected one of buy, sell"),
    ("POST", "/v1/orders", BUY | {"colour": "red"}, {}, "unknown field colour"),
    ("POST", "/v1/orders", {"instrument": "BTC-USD"}, {}, "missing required field side"),
    ("POST", "/v1/orders", BUY, {"key": 1}, "expected no query"),
    ("DELETE", "/v1/orders", None, {"instrument": "a b"}, "instrument: Expected str matching regex"),
    ("DELETE", "/v1/orders", None, {"colour": "red"}, "parameter 'colour': expected instrument, side, key, sent"),
    ("DELETE", "/v1/orders/x", None, {}, "order: Expected int, got str"),
    ("GET", f"{OF}/candles", None, {}, "missing required field interval"),
    ("GET", f"{OF}/candles", None, {"interval": "1m", "count": 1001}, "count: Expected int <= 1000"),
    ("GET", "/v1/instruments/" + quote("a b", "") + "/book", None, {}, "instrument: Expected str matching regex"),
])
def test_what_cannot_be_read(method: str, path: str, body: Any, query: dict[str, Any], said: str) -> None:
    counter = Counter()
    status, refusal = counter.ask(method, path, counter.token("alice"), body, **query)
    assert (status, refusal["code"]) == (400, ErrorCode.MALFORMED)
    assert said in refusal["message"]
    assert "`" not in refusal["message"]


def test_null_in_a_query_is_a_name_and_not_everything() -> None:
    counter = Counter()
    assert counter.ask("DELETE", "/v1/orders", counter.token("alice"), instrument="null")[1]["code"] == ErrorCode.UNKNOWN_INSTRUMENT
    assert counter.ask("DELETE", "/v1/orders", counter.token("alice"), side="null")[0] == 400


def test_what_is_given_twice() -> None:
    counter = Counter()
    for query in ("interval=1m&interval=1s", "interval=%ff", "&".join(f"x{i}=1" for i in range(40))):
        counter.rest.request(Asked("GET", f"{OF}/candles", query, address="10.0.0.1"), counter.market.now, counter.answers.append)
        assert counter.answers.pop().status == 400


def test_paths_and_methods_that_there_are_not() -> None:
    counter = Counter()
    assert counter.ask("GET", "/v1/orders/1/2/3")[0] == 404
    answer = counter.whole("PUT", "/v1/orders")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, POST, DELETE, HEAD")
    assert counter.ask("GET", "/v1/instruments/NO-SUCH/book")[1]["code"] == ErrorCode.UNKNOWN_INSTRUMENT
    assert counter.rest.open("/v1", "", None, 0, "").status == 404


def test_limits_are_those_of_a_connection() -> None:
    counter = Counter(messages_burst=3, messages_per_s=1, errors_max=5)
    statuses = [counter.ask("GET", "/v1/time")[0] for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert counter.ask("GET", "/v1/time", address="10.0.0.2")[0] == 200    # another address has its own
    while (refused := counter.ask("GET", "/v1/time"))[1]["code"] == ErrorCode.TOO_MANY_REQUESTS:
        pass
    assert refused[1]["code"] == CloseCode.ABUSE
    assert counter.ask("GET", "/v1/time")[0] == 200    # as after another handshake, of which an address has so many a second


def test_an_address_has_so_many_sessions_and_tokens() -> None:
    counter = Counter(connections_per_address_max=2, sign_ins_burst=4, sign_ins_per_s=1)
    tokens = [counter.token(f"user {i}") for i in range(4)]
    assert [counter.ask("GET", "/v1/balances", each)[0] for each in tokens] == [200, 200, 429, 429]
    status, refusal = counter.ask("GET", "/v1/balances", "nonsense")
    assert (status, refusal["code"]) == (429, ErrorCode.TOO_MANY_SIGN_INS)
    assert counter.ask("GET", "/v1/balances", tokens[0])[0] == 200    # who is known has not to sign in again


def test_there_are_so_many_sessions() -> None:
    counter = Counter(callers_max=2)
    assert [counter.ask("GET", "/v1/time", address=f"10.0.0.{i}")[0] for i in range(3)] == [200, 200, 503]
    counter.market.now += 21 * 10**9
    counter.rest.keep_house(counter.market.now)
    assert not counter.market.sessions
    assert counter.ask("GET", "/v1/time", address="10.0.0.2")[0] == 200


def test_bad_tokens() -> None:
    counter = Counter()
    answer = counter.whole("GET", "/v1/balances", "nonsense")
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    alice, root = counter.token("alice"), counter.token("root", "admin")
    assert counter.ask("GET", "/v1/balances", alice)[0] == 200
    assert counter.ask("POST", "/v1/admin/revoke", root, {"subject": "alice"})[0] == 200
    assert counter.ask("GET", "/v1/balances", alice)[0] == 401
    bob = counter.token("bob")
    assert counter.ask("GET", "/v1/balances", bob)[0] == 200
    counter.market.now += 11_000 * 10**9
    assert counter.ask("GET", "/v1/balances", bob)[0] == 401


def test_what_is_public_may_need_a_token() -> None:
    counter = Counter(public_needs_token=True)
    assert counter.ask("GET", f"{OF}/book")[0] == 401
    assert counter.ask("GET", f"{OF}/book", counter.token("alice"))[0] == 200


def test_a_request_that_is_too_long() -> None:
    counter = Counter(message_bytes_max=200)
    assert counter.ask("POST", "/v1/orders", counter.token("alice"), BUY | {"instrument": "x" * 200})[0] == 413


def test_when_the_server_leaves() -> None:
    counter = Counter()
    counter.send("POST", "/v1/orders", counter.token("alice"), BUY)    # its account is not open yet
    counter.rest.leave(counter.market.now)
    assert [answer.status for answer in counter.answers] == [503]
    counter.answers.clear()
    assert counter.ask("GET", "/v1/time")[0] == 503


def test_an_administrator_sees_who_asks_and_can_send_them_away() -> None:
    counter = Counter()
    alice, root = counter.token("alice"), counter.token("root", "admin")
    counter.ask("GET", "/v1/balances", alice)
    found = counter.ask("GET", "/v1/admin/connections", root)[1]["connections"]
    assert [each["subject"] for each in found] == ["alice", "root"]
    assert counter.ask("POST", "/v1/admin/disconnect", root, {"connection": found[0]["connection"]}) == (200, {})
    assert [session.subject for session in counter.market.sessions if not session.closed] == ["root"]
    assert counter.ask("GET", "/v1/admin/connections", root, after=found[0]["connection"], count=1)[1]["connections"][0]["subject"] == "root"


def test_every_error_has_a_status() -> None:
    for code in [*ErrorCode, *CloseCode]:
        assert status_of(code) in (400, 401, 403, 404, 409, 429, 500, 503, 504)
    assert STATUSES.keys() <= {*ErrorCode, *CloseCode}


def test_it_waits_for_nobody_who_has_been_answered() -> None:
    market = QuietMarket()
    counter = Counter(market)
    alice = counter.token("alice")
    for _ in range(3):
        counter.send("GET", "/v1/balances", alice)    # while the account is opened
        counter.send("GET", "/v1/orders", alice)
    counter.tick()
    assert [b'"balances":' in answer.body for answer in counter.answers] == [True, False] * 3
    assert all(answer.status == 200 for answer in counter.answers)
    assert market.traffic.unanswered == 0
